//! REST over real HTTP against a scripted driver.

use std::sync::Arc;

use ::stats::{Interval, Page, Period, Totals, Unit};
use auth::Credentials;
use node::{
    Caller, ChannelDetails, ChannelsPage, Event, Occupancy, PresencePage, Request, VersionsPage,
    What,
};
use protocol::{BatchResult, Subject};
use serde_json::{Value, json};
use types::{
    Accepted, App, AppLimits, Body, ChannelName, Data, Direction, Entry, EntryId, HistoryPage,
    ItemPosition, Key, Message, MessageAction, PresenceAction, PresenceMessage, Restrictions,
    Serial, SeriesId, Timestamp, Version,
    error::{CAPABILITY_MISSING, INVALID_CHANNEL_NAME},
};

use super::*;
use crate::{
    Settings,
    server::Sandbox,
    testing::{Answered, Bench, NOW, settings},
};

const AUTH: &str = "Authorization: Basic YXBwLmtleTpzZWNyZXQ=";
const JSON: &str = "Content-Type: application/json";

fn published() -> Response {
    let accepted = Accepted { serial: Some(serial()), items: 2, dropped: 0b10 };
    Response::Published { channel: "a,b".into(), message_id: "id".into(), accepted }
}

fn serial() -> Serial {
    Serial { ms: 1_000, counter: 2, series: SeriesId::from_bytes(b"dunAAAAAAAAA").unwrap() }
}

fn entry(body: Body) -> Arc<Entry> {
    Arc::new(Entry {
        id: EntryId::Connection { connection_id: "conn".into(), msg_serial: 7 },
        serial: serial(),
        position: 1,
        timestamp: Timestamp(1_234),
        connection_id: Some("conn".into()),
        body,
    })
}

/// Asks a node that answers with an empty page, and returns what it was asked, or the error.
async fn asked(path: &str) -> Result<Operation, (u16, u64)> {
    let (bench, mut requests) =
        Bench::answering(|_| Response::History(HistoryPage::default())).await;
    let answer = bench.get(path).await;
    match requests.try_recv() {
        Ok(request) => Ok(request.operation),
        Err(_) => Err(answer.error()),
    }
}

#[tokio::test]
async fn a_publish_reaches_the_node_and_its_serials_come_back() {
    let (bench, mut requests) = Bench::answering(|_| published()).await;
    let body = br#"[{"name":"n","data":"d"},{"data":"e"}]"#;
    let call = "POST /channels/a%2Fb%3Ac%20%C3%A9+/messages";
    let answer = bench.ask(call, &[AUTH, JSON, "X-Ably-ClientId: Ym9i"], body).await;
    assert_eq!(answer.status, 201);
    assert_eq!(
        answer.json(),
        json!({"channel": "a,b", "messageId": "id", "serials": [serial().item(0), null]})
    );
    assert_eq!(answer.header("x-ably-serverid"), Some("node-1"));

    let Request { caller, operation, .. } = requests.recv().await.unwrap();
    assert!(caller.credentials == Some(Credentials::Key("app.key:secret".into())));
    assert_eq!(caller.client_id.as_deref(), Some("bob"));
    let Operation::Publish { channel, messages } = operation else { panic!() };
    assert_eq!((channel.as_str(), messages.len()), ("a/b:c é+", 2));
}

#[tokio::test]
async fn messagepack_goes_in_by_content_type_and_comes_out_by_accept() {
    let (bench, mut requests) = Bench::answering(|_| published()).await;
    let body = protocol::encode_messages(&[Message::default()], Format::MessagePack);
    let headers = ["Content-Type: application/x-msgpack", "Accept: application/x-msgpack"];
    let answer = bench.ask("POST /channels/a/messages", &headers, &body).await;
    assert_eq!(answer.msgpack()["messageId"], "id");
    let Operation::Publish { messages, .. } = requests.recv().await.unwrap().operation else {
        panic!()
    };
    assert_eq!(messages.len(), 1);

    let answer = bench.ask("POST /channels/a/messages?format=msgpack", &[JSON], b"{}").await;
    assert_eq!(answer.msgpack()["channel"], "a,b");
}

#[tokio::test]
async fn forms_have_the_fields_of_an_object_unless_they_are_json() {
    let (bench, mut requests) = Bench::answering(|_| published()).await;
    let form = "Content-Type: application/x-www-form-urlencoded";
    for body in ["name=n&data=a+b%26", r#"{"name":"n","data":"a b&"}"#] {
        let answer = bench.ask("POST /channels/a/messages", &[form], body.as_bytes()).await;
        assert_eq!(answer.status, 201);
        let Operation::Publish { messages, .. } = requests.recv().await.unwrap().operation else {
            panic!()
        };
        assert_eq!(messages[0].name.as_deref(), Some("n"));
        assert_eq!(messages[0].data, Data::Text("a b&".into()));
    }
}

#[tokio::test]
async fn a_request_says_where_it_comes_from_and_what_its_client_is() {
    let (bench, mut requests) = Bench::answering(|_| published()).await;
    let headers = [JSON, "Origin: https://a.example", "X-Forwarded-For: 1.1.1.1"];
    bench.ask("POST /channels/a/messages?clientType=server", &headers, b"{}").await;
    let Caller { source, client_type, .. } = requests.recv().await.unwrap().caller;
    assert_eq!(source.address, Some([127, 0, 0, 1].into()), "not a trusted proxy");
    assert_eq!(source.origin.as_deref(), Some("https://a.example"));
    assert_eq!(client_type.as_deref(), Some("server"));
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused() {
    let (bench, _requests) = Bench::answering(|_| published()).await;
    let limit = usize::try_from(settings().limits.max_frame_size).unwrap();
    for (header, body, error) in [
        (JSON, b"{".to_vec(), (400, 40001)),
        ("Content-Type: text/html", b"{}".to_vec(), (400, 40001)),
        (JSON, vec![b' '; limit + 1], (413, 40009)),
        (JSON, vec![b' '; 8 * limit], (413, 40009)),
    ] {
        let answer = bench.ask("POST /channels/a/messages", &[header], &body).await;
        assert_eq!(answer.error(), error);
    }
}

#[tokio::test]
async fn history_has_each_item_with_what_its_entry_knows() {
    let messages =
        vec![Message { data: Data::Text("x".into()), ..Message::default() }, Message::default()];
    let page = HistoryPage { items: vec![(entry(Body::Messages(messages)), 0)], next: None };
    let (bench, _requests) = Bench::answering(move |_| Response::History(page.clone())).await;
    let answer = bench.get("/channels/a/messages").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json(),
        json!([{
            "id": "conn:7:0", "connectionId": "conn", "timestamp": 1234, "data": "x",
            "serial": "00000000001000-002@dunAAAAAAAAA:000", "action": 0,
        }])
    );
}

#[tokio::test]
async fn one_message_is_named_by_its_serial_and_changed_by_patch() {
    let changed = |_: &Request| Response::Changed { version_serial: Some("v1".into()) };
    let (bench, mut requests) = Bench::answering(changed).await;
    let path = "/channels/a/messages/01-002%40dunAAAAAAAAA%3A000";
    let append = br#"{"data":"x","action":5,"version":{"description":"d"}}"#;
    let old = br#"{"data":"x","operation":{"description":"d"}}"#;
    for (call, body, action) in [
        (format!("PATCH {path}"), &append[..], MessageAction::Append),
        (format!("PATCH {path}"), &old[..], MessageAction::Update),
        (format!("POST {path}/delete"), &old[..], MessageAction::Delete),
    ] {
        let answer = bench.ask(&call, &[JSON], body).await;
        assert_eq!((answer.status, answer.json()), (200, json!({"versionSerial": "v1"})));
        let Operation::Change { serial, change, .. } = requests.recv().await.unwrap().operation
        else {
            panic!()
        };
        assert_eq!((serial.as_str(), change.action), ("01-002@dunAAAAAAAAA:000", action));
        assert_eq!(change.version.unwrap().description.as_deref(), Some("d"));
    }
    let answer = bench.ask(&format!("POST {path}/delete"), &[], b"").await;
    assert_eq!(answer.status, 200);
    assert_eq!(bench.ask(&format!("PUT {path}"), &[], b"").await.error(), (405, 40500));
}

#[tokio::test]
async fn annotations_are_a_list_and_say_their_action() {
    let (bench, mut requests) = Bench::answering(|_| published()).await;
    let path = "POST /channels/a/messages/s/annotations";
    let answer = bench.ask(path, &[JSON], br#"[{"action":0,"type":"r:flag.v1"}]"#).await;
    assert_eq!(answer.status, 201);
    let Operation::Annotate { annotations, .. } = requests.recv().await.unwrap().operation else {
        panic!()
    };
    assert_eq!(annotations[0].kind.as_ref(), "r:flag.v1");
    for body in [&br#"{"action":0,"type":"r:flag.v1"}"#[..], br#"[{"type":"r:flag.v1"}]"#] {
        assert_eq!(bench.ask(path, &[JSON], body).await.error(), (400, 40001));
    }
}

#[tokio::test]
async fn what_is_known_of_one_message_is_asked_for_below_it() {
    let path = |what: &str| format!("/channels/a/messages/{}{what}", serial().item(0));
    let asked_at = async |what: &str| asked(&path(what)).await;
    let Ok(Operation::History { query, .. }) = asked_at("/annotations?limit=2").await else {
        panic!()
    };
    assert_eq!((query.kind, query.limit), (Kind::Annotations, 2));
    assert_eq!(query.about.unwrap().to_string(), *serial().item(0));
    let latest = asked_at("").await;
    assert!(matches!(latest, Ok(Operation::ReadMessage { what: What::Latest, .. })));
    let versions = asked_at("/versions?limit=3").await;
    let Ok(Operation::ReadMessage { what: What::Versions(query), .. }) = versions else { panic!() };
    assert_eq!((query.limit, query.direction), (3, Direction::Forwards));
    let summary = asked_at("/client-summary?forClientId=bob").await;
    let Ok(Operation::ReadMessage { what: What::SummaryOf(client), .. }) = summary else {
        panic!()
    };
    assert_eq!(client, Some("bob".into()));
}

#[tokio::test]
async fn a_changed_message_has_the_shape_of_the_version_of_the_request() {
    let version = Version {
        serial: Some("s1".into()),
        timestamp: Some(Timestamp(5)),
        description: Some("why".into()),
        ..Version::default()
    };
    let message = Message {
        serial: Some("s0".into()),
        timestamp: Some(Timestamp(4)),
        action: MessageAction::Update,
        version: Some(Arc::new(version)),
        ..Message::default()
    };
    let flat = json!({
        "serial": "s0", "timestamp": 5, "createdAt": 4, "action": 1, "version": "s1",
        "operation": { "description": "why" },
    });
    let versioned = json!({
        "serial": "s0", "timestamp": 4, "action": 1,
        "version": { "serial": "s1", "timestamp": 5, "description": "why" },
    });
    let (bench, _requests) = Bench::answering(move |request| match &request.operation {
        Operation::ReadMessage { what: What::Versions(_), .. } => {
            Response::Versions(VersionsPage { versions: vec![message.clone()], next: None })
        }
        _ => Response::Message(Box::new(message.clone())),
    })
    .await;
    let path = format!("/channels/a/messages/{}", serial().item(0));
    for (v, expected) in [(3, flat), (4, versioned)] {
        assert_eq!(bench.get(&format!("{path}?v={v}")).await.json(), expected);
        let versions = bench.get(&format!("{path}/versions?v={v}")).await;
        assert_eq!(versions.json(), json!([expected]));
    }
}

#[tokio::test]
async fn presence_history_keeps_the_action_that_happened() {
    let mut enter = PresenceMessage::new(PresenceAction::Enter);
    enter.client_id = Some("bob".into());
    let page = HistoryPage { items: vec![(entry(Body::Presence(vec![enter])), 0)], next: None };
    let (bench, _requests) = Bench::answering(move |_| Response::History(page.clone())).await;
    let answer = bench.get("/channels/a/presence/history").await;
    assert_eq!(
        answer.json(),
        json!([{
            "id": "conn:7:0", "connectionId": "conn", "timestamp": 1234, "action": 2,
            "clientId": "bob",
        }])
    );
}

#[tokio::test]
async fn history_parameters_become_a_query() {
    let path = "/channels/a/messages?start=1&end=2&limit=3&direction=forwards&from_serial=c";
    let Operation::History { channel, query, until } = asked(path).await.unwrap() else { panic!() };
    assert_eq!(
        (channel.as_str(), query.kind, query.direction),
        ("a", Kind::Messages, Direction::Forwards)
    );
    assert_eq!((query.start, query.end), (Some(Timestamp(1)), Some(Timestamp(2))));
    assert_eq!((query.limit, until.as_deref()), (3, Some("c")));

    let path = "/channels/a/presence/history?fromSerial=d";
    let Operation::History { query, until, .. } = asked(path).await.unwrap() else { panic!() };
    assert_eq!((query.kind, query.direction), (Kind::Presence, Direction::Backwards));
    assert_eq!((query.limit, until.as_deref()), (100, Some("d")));
}

#[tokio::test]
async fn parameters_that_make_no_sense_are_refused_with_40003() {
    for query in [
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=-1",
        "start=x",
        "end=1.5",
        "direction=up",
        "after=x",
        "a=%ff",
    ] {
        let error = asked(&format!("/channels/a/messages?{query}")).await.unwrap_err();
        assert_eq!(error, (400, 40003), "{query}");
    }
    assert!(asked("/channels/a/messages?limit=1000").await.is_ok());
    assert_eq!(asked("/channels/a/presence?limit=0").await.unwrap_err(), (400, 40003));
}

/// What a client library makes of the links: relation and reference.
fn links(answer: &Answered) -> Vec<(String, String)> {
    let parse = |value: &str| {
        let (reference, rel) = value.split_once(">; rel=\"").unwrap();
        (rel.trim_end_matches('"').to_owned(), reference.trim_start_matches('<').to_owned())
    };
    answer.headers_named("link").into_iter().map(parse).collect()
}

#[tokio::test]
async fn links_keep_the_parameters_and_lead_on() {
    let next = ItemPosition { serial: serial(), index: 4 };
    let page = HistoryPage { items: vec![], next: Some(next) };
    let (bench, mut requests) = Bench::answering(move |_| Response::History(page.clone())).await;
    let path = "/channels/a,b/messages?key=a.b:c&limit=2&x=%C3%A9,%3E%22+&direction=forwards";
    let answer = bench.get(path).await;
    let query = "./messages?limit=2&x=%C3%A9%2C%3E%22%20&direction=forwards";
    let after = "&after=00000000001000-002%40dunAAAAAAAAA%3A004";
    let expected = [
        ("first", query.to_owned()),
        ("current", query.to_owned()),
        ("next", format!("{query}{after}")),
    ];
    assert_eq!(links(&answer), expected.map(|(rel, reference)| (rel.to_owned(), reference)));
    requests.recv().await.unwrap();

    let answer = bench.get(&format!("/channels/a/{}", &links(&answer)[2].1[2..])).await;
    let Operation::History { query: asked, .. } = requests.recv().await.unwrap().operation else {
        panic!()
    };
    assert_eq!(asked.after, Some(next));
    assert_eq!(links(&answer)[0].1, query);
    assert_eq!(links(&answer)[1].1, format!("{query}{after}"));
}

#[tokio::test]
async fn links_have_parameters_also_if_the_request_has_none() {
    let (bench, _requests) = Bench::answering(|_| Response::History(HistoryPage::default())).await;
    let rels = links(&bench.get("/channels/a/messages").await);
    let page = || "./messages?limit=100".to_owned();
    assert_eq!(rels, [("first".to_owned(), page()), ("current".to_owned(), page())]);
}

#[tokio::test]
async fn the_last_page_has_no_next_link() {
    let (bench, _requests) = Bench::answering(|_| Response::History(HistoryPage::default())).await;
    let answer = bench.get("/channels/a/presence/history").await;
    assert_eq!(answer.json(), json!([]));
    let rels = links(&answer);
    assert_eq!(rels[0], ("first".to_owned(), "./history?limit=100".to_owned()));
    assert_eq!((rels.len(), rels[1].0.as_str()), (2, "current"));
}

#[tokio::test]
async fn presence_is_filtered_and_paged() {
    let mut member = PresenceMessage::new(PresenceAction::Present);
    member.client_id = Some("bob".into());
    let (bench, mut requests) = Bench::answering(move |_| {
        let page = PresencePage { members: vec![member.clone()], next: Some("c:b,b".into()) };
        Response::Presence(page)
    })
    .await;
    let path = "/channels/a/presence?limit=1&clientId=bob&connectionId=c&after=a%3Ab";
    let answer = bench.get(path).await;
    assert_eq!(answer.json(), json!([{"action": 1, "clientId": "bob"}]));
    assert!(links(&answer)[2].1.starts_with("./presence?limit=1&clientId=bob&"));
    assert!(links(&answer)[2].1.ends_with("&after=c%3Ab%2Cb"));
    let Operation::Presence { query, .. } = requests.recv().await.unwrap().operation else {
        panic!()
    };
    assert_eq!((query.limit, query.after.as_deref()), (1, Some("a:b")));
    assert_eq!(query.client_id, Some("bob".into()));
    assert_eq!(query.connection_id, Some("c".into()));
}

#[tokio::test]
async fn a_token_request_is_answered_with_the_details() {
    let (bench, mut requests) = Bench::answering(|_| {
        Response::Token(auth::TokenDetails {
            token: "app.t".into(),
            key_name: "app.key".into(),
            issued: Timestamp(1),
            expires: Timestamp(2),
            capability: "{}".into(),
            client_id: None,
        })
    })
    .await;
    let answer = bench
        .ask("POST /keys/app.key/requestToken", &[JSON], br#"{"keyName":"app.key","ttl":1}"#)
        .await;
    assert_eq!((answer.status, &answer.json()["token"]), (201, &json!("app.t")));
    let Operation::RequestToken { key_name, .. } = requests.recv().await.unwrap().operation else {
        panic!()
    };
    assert_eq!(key_name, "app.key");
}

fn app() -> App {
    App {
        id: "app".into(),
        account_id: "acct".into(),
        keys: vec![Key {
            id: "key".into(),
            secret: "secret".into(),
            capability: r#"{"*":["*"]}"#.into(),
            revocable_tokens: false,
            restrictions: Restrictions::default(),
        }],
        namespaces: vec![types::Namespace { id: "persisted".into(), ..Default::default() }],
        limits: AppLimits::default(),
    }
}

#[tokio::test]
async fn a_sandbox_app_says_where_its_clients_are_to_connect() {
    let (bench, mut requests) = Bench::answering(|_| Response::AppCreated(Arc::new(app()))).await;
    let body = br#"{"keys":[{}],"namespaces":[{"id":"persisted","persisted":true}]}"#;
    let answer = bench.ask("POST /apps", &[JSON], body).await;
    assert_eq!(answer.status, 201);
    let told = answer.json();
    let expected = json!({
        "appId": "app", "accountId": "acct", "id": "acct:app", "tlsOnly": false,
        "endpoint": "dunlin.test", "port": 8123, "tls": false,
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&told[name], value, "{name}");
    }
    let expected = json!({
        "id": "key", "value": "secret", "keyName": "app.key", "keySecret": "secret",
        "keyStr": "app.key:secret", "key_str": "app.key:secret", "capability": r#"{"*":["*"]}"#,
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&told["keys"][0][name], value, "{name}");
    }
    assert_eq!(told["namespaces"].as_array().unwrap().len(), 1);
    let Operation::CreateApp(spec) = requests.recv().await.unwrap().operation else { panic!() };
    assert_eq!((spec.keys.len(), spec.namespaces.len()), (1, 1));
}

#[tokio::test]
async fn sandbox_apps_are_deleted_and_statistics_posted() {
    let (bench, mut requests) = Bench::answering(|request| match request.operation {
        Operation::PostStats(_) => Response::Created,
        _ => Response::NoContent,
    })
    .await;
    let answer = bench.ask("DELETE /apps/app", &[AUTH], b"").await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    let Operation::DeleteApp(id) = requests.recv().await.unwrap().operation else { panic!() };
    assert_eq!(id.as_str(), "app");
    let answer = bench.ask("POST /stats", &[AUTH, JSON], br#"[{"intervalId":"x"}]"#).await;
    assert_eq!((answer.status, answer.json()), (201, json!([])));
    let Operation::PostStats(fixtures) = requests.recv().await.unwrap().operation else { panic!() };
    assert_eq!(fixtures[0].interval_id, "x");
    let answer = bench.ask("POST /stats", &[AUTH, JSON], b"1").await;
    assert_eq!(answer.error(), (400, 40001));
}

#[tokio::test]
async fn without_the_sandbox_its_paths_do_not_exist() {
    let bench = Bench::new(Settings { sandbox: Sandbox::Off, ..settings() }).await;
    for call in ["POST /apps", "DELETE /apps/app"] {
        assert_eq!(bench.ask(call, &[JSON], b"{}").await.error(), (404, 40400), "{call}");
    }
    assert_eq!(bench.ask("POST /stats", &[JSON], b"[]").await.error(), (405, 40500));
}

#[tokio::test]
async fn unknown_paths_and_methods_have_errors_of_their_own() {
    let bench = Bench::new(settings()).await;
    for path in
        ["/nowhere", "/channels/a/b", "/time/", "/keys/app.key/requestToken", "/keys/a", "//"]
    {
        assert_eq!(bench.get(path).await.error(), (404, 40400), "{path}");
    }
    for (call, allow) in [
        ("PUT /channels/a/messages", "GET, POST"),
        ("POST /time", "GET"),
        ("POST /", "GET"),
        ("PUT /keys/app.key/requestToken", "POST"),
        ("GET /apps/app", "DELETE"),
    ] {
        let answer = bench.ask(call, &[], b"").await;
        assert_eq!(answer.error(), (405, 40500), "{call}");
        assert_eq!(answer.header("allow"), Some(allow));
    }
}

#[tokio::test]
async fn versions_are_checked_where_they_are_named() {
    let bench = Bench::new(settings()).await;
    assert_eq!(bench.ask("GET /time", &["X-Ably-Version: 6"], b"").await.status, 200);
    assert_eq!(bench.get("/time?v=2").await.status, 200);
    assert_eq!(bench.get("/time?v=1.2").await.status, 200);
    for (version, code) in [("99", 40017), ("1", 80024), ("x", 40017)] {
        let header = format!("X-Ably-Version: {version}");
        let answer = bench.ask("GET /time?v=6", &[&header], b"").await;
        assert_eq!(answer.error(), (400, code));
        let answer = bench.get(&format!("/channels/a/messages?v={version}")).await;
        assert_eq!(answer.error(), (400, code));
    }
}

#[tokio::test]
async fn credentials_come_from_the_header_or_the_query() {
    let (bench, mut requests) = Bench::answering(|_| Response::NoContent).await;
    for (call, headers, credentials) in [
        (
            "GET /channels/a/presence",
            &["Authorization: Bearer a.t"][..],
            Some(Credentials::Token("a.t".into())),
        ),
        ("GET /channels/a/presence?key=a.b%3Ac", &[], Some(Credentials::Key("a.b:c".into()))),
        ("GET /channels/a/presence?access_token=t", &[], Some(Credentials::Token("t".into()))),
        ("GET /channels/a/presence", &[], None),
    ] {
        bench.ask(call, headers, b"").await;
        assert!(requests.recv().await.unwrap().caller.credentials == credentials, "{call}");
    }
    for (header, code) in [("Authorization: Digest x", 40005), ("X-Ably-ClientId: *", 40012)] {
        let answer = bench.ask("GET /channels/a/presence", &[header], b"").await;
        assert_eq!(answer.error(), (400, code));
    }
}

#[tokio::test]
async fn errors_of_the_node_come_in_the_format_that_was_asked_for() {
    let (bench, _requests) =
        Bench::answering(|_| Response::Error(CAPABILITY_MISSING.with("not été"))).await;
    let answer = bench.get("/channels/a/presence").await;
    assert_eq!(answer.error(), (401, 40160));
    assert_eq!(answer.header("x-ably-errormessage"), Some("not ?t?"));
    let answer = bench.get("/channels/a/presence?format=msgpack").await;
    assert_eq!((answer.status, &answer.msgpack()["error"]["message"]), (401, &json!("not été")));
    let answer = bench.ask("GET /nowhere", &["Accept: application/x-msgpack"], b"").await;
    assert_eq!((answer.status, &answer.msgpack()["error"]["code"]), (404, &json!(40400)));
}

#[tokio::test]
async fn errors_come_to_browsers_as_json() {
    let bench = Bench::new(settings()).await;
    let msgpack = "Accept: application/x-msgpack";
    let answer = bench.ask("GET /nowhere", &["Origin: https://example.test", msgpack], b"").await;
    assert_eq!(answer.error(), (404, 40400));
}

#[tokio::test]
async fn scripts_of_any_origin_may_call_and_read() {
    let (bench, _requests) =
        Bench::answering(|_| Response::Error(INVALID_CHANNEL_NAME.info())).await;
    let origin = "Origin: https://example.test";
    let asks = "Access-Control-Request-Headers: authorization,x-anything";
    let answer = bench.ask("OPTIONS /channels/a/messages", &[origin, asks], b"").await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert_eq!(answer.header("access-control-allow-headers"), Some("authorization,x-anything"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://example.test"));
    assert!(answer.header("access-control-allow-methods").unwrap().contains("PATCH"));
    let answer = bench.ask("GET /channels/%3A/presence", &[origin], b"").await;
    assert_eq!(answer.error(), (400, 40010));
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://example.test"));
    assert!(answer.header("access-control-expose-headers").unwrap().contains("Link"));
    assert_eq!(bench.get("/time").await.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn time_is_the_clock_of_the_node_in_a_list() {
    let bench = Bench::new(settings()).await;
    assert_eq!(bench.get("/time").await.json(), json!([NOW]));
}

#[tokio::test]
async fn head_answers_as_get_does_but_without_a_body() {
    let bench = Bench::new(settings()).await;
    let answer = bench.ask("HEAD /time", &[], b"").await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(bench.ask("HEAD /sse", &[], b"").await.status, 405);
}

#[tokio::test]
async fn a_publish_is_refused_on_request_of_the_publisher() {
    let bench = Bench::new(settings()).await;
    let json = "Content-Type: application/json";
    let call = "POST /channels/a/messages?_forceNack=true";
    assert_eq!(bench.ask(call, &[json], b"{}").await.error(), (400, 40099));
}

#[tokio::test]
async fn a_person_is_told_what_this_is() {
    let bench = Bench::new(settings()).await;
    let answer = bench.get("/").await;
    assert_eq!((answer.status, answer.body.as_ref()), (200, ABOUT.as_bytes()));
    let answer = bench.get("/metrics").await;
    assert_eq!((answer.status, answer.body.as_ref()), (200, &b"# EOF\n"[..]));
    assert!(answer.header("content-type").unwrap().starts_with("application/openmetrics-text"));
}

#[tokio::test]
async fn health_follows_the_node_and_the_shutdown() {
    let mut bench = Bench::new(settings()).await;
    for path in ["/health/live", "/health/ready", "/health"] {
        assert_eq!(bench.get(path).await.status, 200, "{path}");
    }
    assert_eq!(bench.get("/health").await.json(), json!({"status": "ready", "connections": 0}));
    let failing = Settings { ready: Arc::new(|| false), ..settings() };
    let failing = Bench::new(failing).await;
    assert_eq!(failing.get("/health/live").await.status, 200);
    assert_eq!(failing.get("/health/ready").await.status, 503);
    bench.events = None;
    for path in ["/health/live", "/health/ready", "/health"] {
        assert_eq!(bench.get(path).await.status, 503, "{path}");
    }
    assert_eq!(bench.get("/health").await.json()["status"], "dead");
}

#[tokio::test]
async fn a_node_that_is_gone_is_an_error_that_clients_retry_elsewhere() {
    let mut bench = Bench::new(settings()).await;
    bench.events = None;
    assert_eq!(bench.get("/channels/a/presence").await.error(), (503, 80003));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_answer_in_time_leaves_the_outcome_unknown() {
    let mut bench = Bench::new(settings()).await;
    assert_eq!(bench.get("/channels/a/presence").await.error(), (500, 50003));
    let Event::Request { id, .. } = bench.next_event().await else { panic!() };
    bench.hub.reply(id, Response::NoContent);
}

#[tokio::test]
async fn requests_follow_each_other_on_one_connection() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let bench = Bench::new(settings()).await;
    let mut stream = bench.connect().await;
    let one = b"GET /time HTTP/1.1\r\nHost: a\r\n\r\n";
    let last = b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(&[&one[..], &one[..], &last[..]].concat()).await.unwrap();
    let mut got = String::new();
    stream.read_to_string(&mut got).await.unwrap();
    assert_eq!(got.matches("HTTP/1.1 200 OK").count(), 3);
    let report: Value = serde_json::from_str(got.rsplit("\r\n\r\n").next().unwrap()).unwrap();
    assert_eq!(report["status"], "ready");
}

#[tokio::test]
async fn a_publish_without_envelope_has_the_body_as_data() {
    let (bench, mut requests) = Bench::answering(|_| published()).await;
    let call = "POST /channels/a/messages?enveloped=false&clientId=bob";
    let cases = [
        ("text/plain; charset=utf-8", Data::Text("{}".into()), None),
        ("application/json", Data::Text("{}".into()), Some("json")),
        ("application/octet-stream", Data::Binary("{}".into()), None),
    ];
    for (content_type, data, encoding) in cases {
        let header = format!("Content-Type: {content_type}");
        bench.ask(call, &[AUTH, &header, "X-Ably-Name: n", "X-Ably-MessageId: i"], b"{}").await;
        let Operation::Publish { messages, .. } = requests.recv().await.unwrap().operation else {
            panic!()
        };
        let expected = Message {
            id: Some("i".into()),
            name: Some("n".into()),
            client_id: Some("bob".into()),
            encoding: encoding.map(Into::into),
            data,
            ..Message::default()
        };
        assert_eq!(messages, [expected]);
    }
}

fn batch() -> Vec<BatchResult> {
    let outcome = Err(INVALID_CHANNEL_NAME.info());
    vec![BatchResult { subject: Subject::Channel("a".into()), outcome }]
}

#[tokio::test]
async fn failures_in_a_batch_are_an_error_only_before_version_3() {
    let (bench, mut requests) = Bench::answering(|_| Response::Batch(batch())).await;
    let body = br#"{"channels":"a","messages":{"data":"x"}}"#;
    for (version, status, failed) in [("2", 400, true), ("3", 201, false)] {
        let header = format!("X-Ably-Version: {version}");
        let answer = bench.ask("POST /messages", &[AUTH, JSON, &header], body).await;
        assert_eq!((answer.status, answer.json().get("batchResponse").is_some()), (status, failed));
        assert_eq!(answer.header("x-ably-errorcode"), failed.then_some("40020"));
    }
    let path = "POST /messages?newBatchResponse=true";
    let answer = bench.ask(path, &[AUTH, JSON, "X-Ably-Version: 2"], body).await;
    assert_eq!((answer.status, &answer.json()["failureCount"]), (201, &json!(1)));

    while requests.try_recv().is_ok() {}
    let answer = bench.get("/presence?channels=a;b,c&separator=;").await;
    assert_eq!(answer.status, 200);
    let Operation::BatchPresence { channels } = requests.recv().await.unwrap().operation else {
        panic!()
    };
    assert_eq!(channels, ["a", "b,c"]);
    assert_eq!(bench.get("/presence").await.error(), (400, 40003));
}

#[tokio::test]
async fn a_list_of_batches_is_answered_with_a_list() {
    let (bench, _requests) = Bench::answering(|_| Response::Batches(vec![batch(), batch()])).await;
    let body = br#"[{"channels":"a","messages":{"data":"x"}}]"#;
    let answer = bench.ask("POST /messages", &[AUTH, JSON], body).await;
    assert_eq!(answer.json().as_array().unwrap().len(), 2);
    assert_eq!(answer.json()[1]["failureCount"], 1);
}

fn occupied(name: &str) -> ChannelDetails {
    let occupancy = Occupancy { subscribers: 2, ..Occupancy::default() };
    ChannelDetails { name: ChannelName::parse(name).unwrap(), is_active: true, occupancy }
}

#[tokio::test]
async fn a_channel_is_described_with_all_categories_of_its_occupancy() {
    let (bench, mut requests) =
        Bench::answering(|_| Response::ChannelDetails(occupied("a b"))).await;
    let answer = bench.get("/channels/a%20b").await.json();
    let Operation::ChannelDetails { channel } = requests.recv().await.unwrap().operation else {
        panic!()
    };
    assert_eq!((channel.as_str(), &answer["channelId"]), ("a b", &json!("a b")));
    assert_eq!(answer["status"]["isActive"], true);
    let metrics = answer["status"]["occupancy"]["metrics"].as_object().unwrap();
    assert_eq!((metrics.len(), &metrics["subscribers"]), (8, &json!(2)));
}

#[tokio::test]
async fn channels_are_listed_by_name_or_with_what_is_known_of_them() {
    let (bench, mut requests) = Bench::answering(|_| {
        Response::Channels(ChannelsPage {
            channels: vec![occupied("a,b")],
            next: Some("a,b".into()),
        })
    })
    .await;
    let answer = bench.get("/channels?prefix=a&limit=1").await;
    assert_eq!(answer.json(), json!(["a,b"]));
    let next = "./channels?prefix=a&limit=1&after=a%2Cb".to_owned();
    assert!(links(&answer).contains(&("next".into(), next)));
    let Operation::Channels(query) = requests.recv().await.unwrap().operation else { panic!() };
    assert_eq!((query.prefix.as_str(), query.limit), ("a", 1));
    for path in ["/channels?by=value", "/channels?v=2"] {
        assert_eq!(bench.get(path).await.json()[0]["channelId"], "a,b", "{path}");
    }
    assert_eq!(bench.get("/channels?by=name").await.error(), (400, 40003));
}

#[tokio::test]
async fn statistics_have_the_form_of_the_version() {
    let (bench, mut requests) = Bench::answering(|_| {
        let mut totals = Totals::default();
        totals.inbound.rest.messages.add(2, 20);
        let interval = Interval::parse("2024-02-03:15").unwrap();
        let in_progress = Interval::parse("2024-02-03:15:04");
        let next = Some(interval.start);
        let page = Page { periods: vec![Period { interval, totals, in_progress }], next };
        Response::Stats { app: "app".into(), page }
    })
    .await;
    let answer = bench.get("/stats?by=hour&start=2024-02-03:15&end=2024-02-03:15&limit=1").await;
    let expected = json!({
        "intervalId": "2024-02-03:15", "unit": "hour", "inProgress": "2024-02-03:15:04",
        "appId": "app", "schema": "https://schemas.ably.com/json/app-stats-0.0.5.json",
    });
    let item = &answer.json()[0];
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&item[name], value, "{name}");
    }
    assert_eq!(item["entries"]["messages.inbound.all.messages.count"], 2);
    assert_eq!(links(&answer).len(), 3);
    let Operation::Stats(query) = requests.recv().await.unwrap().operation else { panic!() };
    assert_eq!((query.unit, query.limit), (Unit::Hour, 1));
    let hour = Timestamp(1_706_972_400_000);
    assert_eq!((query.start, query.end), (Some(hour), Some(Timestamp(hour.0 + 3_599_999))));

    let nested = bench.get("/stats?v=2").await.json();
    assert_eq!(
        nested[0]["inbound"]["rest"]["messages"],
        json!({"count": 2, "billableCount": 2, "data": 20, "uncompressedData": 20})
    );
    for query in ["unit=week", "start=x", "end=2024-13", "direction=up", "limit=1001"] {
        assert_eq!(bench.get(&format!("/stats?{query}")).await.error(), (400, 40003), "{query}");
    }
}

#[tokio::test]
async fn a_revocation_names_its_targets() {
    let (bench, mut requests) = Bench::answering(|_| Response::Batch(batch())).await;
    let body = br#"{"targets":["clientId:a"],"issuedBefore":7,"allowReauthMargin":true}"#;
    let answer = bench.ask("POST /keys/app.key/revokeTokens", &[AUTH, JSON], body).await;
    assert_eq!((answer.status, &answer.json()["failureCount"]), (201, &json!(1)));
    let Operation::RevokeTokens { key_name, request } = requests.recv().await.unwrap().operation
    else {
        panic!()
    };
    assert_eq!((key_name.as_str(), request.targets.len()), ("app.key", 1));
    assert_eq!((request.issued_before, request.allow_reauth_margin), (Some(7), true));
}
