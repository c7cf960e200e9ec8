//! Event streams: the feed by itself, and over real HTTP against a scripted driver.

use node::TransportId;
use protocol::{Action, MessageShape, ProtocolMessage, flags};
use serde_json::{Value, json};
use types::{Data, Message, Params, PresenceAction, PresenceMessage, Timestamp};

use super::*;
use crate::testing::{Bench, Live, settings};

const RESUMED: u32 = flags::SUBSCRIBE | flags::RESUMED;

fn wanted(channels: &[&str], resume: Option<&str>) -> Wanted {
    Wanted {
        channels: channels.iter().map(|name| Arc::from(*name)).collect(),
        params: Params::new(),
        resume: resume.map(|text| Position::parse(text).unwrap()),
        framing: Framing::Lines,
        heartbeats: Heartbeats::Hidden,
        contents: Contents::Data,
        shape: MessageShape::default(),
    }
}

fn attached(channel: &str, serial: &str, flags: u32) -> ProtocolMessage {
    let mut frame = ProtocolMessage::new(Action::Attached);
    frame.channel = Some(channel.into());
    frame.channel_serial = Some(serial.into());
    frame.flags = Some(flags);
    frame
}

fn messages(channel: &str, serial: &str, data: &[&str]) -> ProtocolMessage {
    let mut frame = ProtocolMessage::new(Action::Message);
    frame.channel = Some(channel.into());
    frame.channel_serial = Some(serial.into());
    frame.id = Some("conn:7".into());
    frame.connection_id = Some("conn".into());
    frame.timestamp = Some(Timestamp(1_234));
    let message = |text: &&str| Message { data: Data::Text((*text).into()), ..Message::default() };
    frame.messages = data.iter().map(message).collect();
    frame
}

/// The events of what a frame leads to: id and data.
fn events(feed: &mut Feed, frame: &ProtocolMessage) -> Vec<(String, String)> {
    let text = match feed.take(frame).unwrap() {
        Some(Step::Begin(text) | Step::Write(text)) => text,
        None => String::new(),
        Some(Step::Attach(_)) => panic!(),
    };
    let event = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        (text("id"), if event["data"].is_string() { text("data") } else { event.to_string() })
    };
    text.lines().map(event).collect()
}

fn pair(id: &str, data: &str) -> (String, String) {
    (id.into(), data.into())
}

#[test]
fn an_id_covers_what_has_been_delivered_and_nothing_else() {
    let mut feed = Feed::new(wanted(&["a", "b"], None));
    events(&mut feed, &attached("a", "a0", flags::SUBSCRIBE));
    events(&mut feed, &attached("b", "b0", flags::SUBSCRIBE));
    let frame = messages("b", "b1", &["x", "y", "z"]);
    let expected = [pair("a0.b0~1", "x"), pair("a0.b0~2", "y"), pair("a0.b1", "z")];
    assert_eq!(events(&mut feed, &frame), expected);
    assert_eq!(events(&mut feed, &messages("a", "a1", &["w"])), [pair("a1.b1", "w")]);
}

#[test]
fn what_has_no_position_leaves_the_reader_where_it_is() {
    let mut feed = Feed::new(wanted(&["a"], Some("a0~1")));
    events(&mut feed, &attached("a", "a0", RESUMED));
    let told = ProtocolMessage { channel_serial: None, ..messages("a", "", &["occupancy"]) };
    assert_eq!(events(&mut feed, &told), [pair("a0~1", "occupancy")]);
    assert_eq!(events(&mut feed, &messages("a", "a1", &["x", "y"])), [pair("a1", "y")]);
}

#[test]
fn a_reader_that_goes_on_within_an_entry_gets_the_rest_of_it_once() {
    let mut feed = Feed::new(wanted(&["a", "b"], Some("a0~2.b0")));
    events(&mut feed, &attached("a", "a0", RESUMED));
    events(&mut feed, &attached("b", "b0", RESUMED));
    let other = messages("b", "b1", &["v"]);
    assert_eq!(events(&mut feed, &other), [pair("a0~2.b1", "v")]);
    let frame = messages("a", "a1", &["x", "y", "z"]);
    assert_eq!(events(&mut feed, &frame), [pair("a1.b1", "z")]);
    let frame = messages("a", "a2", &["q", "r"]);
    assert_eq!(events(&mut feed, &frame), [pair("a1~1.b1", "q"), pair("a2.b1", "r")]);
}

#[test]
fn items_that_come_in_other_frames_than_before_are_skipped_all_the_same() {
    let mut feed = Feed::new(wanted(&["a"], Some("a0~2")));
    events(&mut feed, &attached("a", "a0", RESUMED));
    assert_eq!(events(&mut feed, &messages("a", "a1", &["x"])), []);
    assert_eq!(events(&mut feed, &messages("a", "a2", &["y"])), []);
    assert_eq!(events(&mut feed, &messages("a", "a3", &["z"])), [pair("a3", "z")]);
}

#[test]
fn a_discontinuity_is_told_and_nothing_is_skipped_after_it() {
    let mut feed = Feed::new(wanted(&["a"], Some("a0~2")));
    let mut answer = attached("a", "a9", flags::SUBSCRIBE);
    answer.error = Some(error::RESUME_EXPIRED.info());
    let told = events(&mut feed, &answer);
    assert!(told[0].1.contains("\"code\":90003"), "{told:?}");
    assert_eq!(events(&mut feed, &messages("a", "a10", &["x"])), [pair("a10", "x")]);
}

#[test]
fn attaches_subscribe_only_and_go_on_from_the_position_with_the_options_of_the_url() {
    let mut wanted = wanted(&["[?rewind=1]a", "b"], Some("a0.b0~1"));
    wanted.params =
        Params::from([("rewind".into(), "5".into()), ("delta".into(), "vcdiff".into())]);
    let mut feed = Feed::new(wanted);
    let step = feed.take(&ProtocolMessage::new(Action::Connected)).unwrap();
    let Some(Step::Attach(frames)) = step else { panic!() };
    let (a, b) = (&frames[0], &frames[1]);
    assert_eq!((a.channel.as_deref(), b.channel.as_deref()), (Some("[?rewind=1]a"), Some("b")));
    assert_eq!(b.channel_serial.as_deref(), Some("b0"));
    let modes = flags::SUBSCRIBE | flags::PRESENCE_SUBSCRIBE;
    assert_eq!(a.flags, Some(modes | flags::ATTACH_RESUME));
    assert!(!a.params.contains_key("rewind") && b.params["rewind"] == "5");
}

#[test]
fn envelopes_say_what_items_inherit_from_their_frame() {
    let mut wanted = wanted(&["a"], None);
    wanted.contents = Contents::Envelope;
    let mut feed = Feed::new(wanted);
    feed.take(&attached("a", "a0", flags::SUBSCRIBE)).unwrap();
    let mut frame = messages("a", "a1", &["x"]);
    frame.messages[0].name = Some("n".into());
    let Some(Step::Write(text)) = feed.take(&frame).unwrap() else { panic!() };
    let event: Value = serde_json::from_str(&text).unwrap();
    let data = json!({
        "channel": "a", "id": "conn:7:0", "name": "n", "data": "x",
        "connectionId": "conn", "timestamp": 1_234,
    });
    assert_eq!(event, json!({ "id": "a1", "event": "message", "data": data }));

    let mut frame = ProtocolMessage::new(Action::Presence);
    frame.channel = Some("a".into());
    frame.channel_serial = Some("a2".into());
    frame.presence = vec![PresenceMessage::new(PresenceAction::Enter)];
    let Some(Step::Write(text)) = feed.take(&frame).unwrap() else { panic!() };
    let event: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&event["event"], &event["data"]["action"]), (&json!("presence"), &json!(2)));
}

#[test]
fn a_message_in_an_envelope_has_the_shape_of_the_version() {
    for (version, expected) in [(2, json!("s1")), (4, Value::Null)] {
        let shape = MessageShape::of(version);
        let mut feed =
            Feed::new(Wanted { contents: Contents::Envelope, shape, ..wanted(&["a"], None) });
        feed.take(&attached("a", "a0", flags::SUBSCRIBE)).unwrap();
        let mut frame = messages("a", "a1", &["x"]);
        frame.messages[0].serial = Some("s1".into());
        let Some(Step::Write(text)) = feed.take(&frame).unwrap() else { panic!() };
        let event: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(event["data"]["version"], expected, "{version}");
    }
}

#[test]
fn binary_data_without_an_envelope_is_base64() {
    let mut feed = Feed::new(wanted(&["a"], None));
    feed.take(&attached("a", "a0", flags::SUBSCRIBE)).unwrap();
    let mut frame = messages("a", "a1", &["", ""]);
    frame.messages[0].data = Data::Binary(Bytes::from_static(&[0xff, 0]));
    frame.messages[1].data = Data::None;
    assert_eq!(events(&mut feed, &frame), [pair("a0~1", "/wA="), pair("a1", "")]);
}

/// Opens a stream of the channel `a`; the node attaches it.
async fn open(bench: &mut Bench, target: &str, headers: &[&str]) -> (Live, TransportId) {
    let script = async {
        let Event::Connect { transport, .. } = bench.events.as_mut().unwrap().recv().await.unwrap()
        else {
            panic!()
        };
        send(&bench.hub, transport, &ProtocolMessage::new(Action::Connected));
        let Some(Event::Frame { .. }) = bench.events.as_mut().unwrap().recv().await else {
            panic!()
        };
        send(&bench.hub, transport, &attached("a", "a0", flags::SUBSCRIBE));
        transport
    };
    let address = bench.address;
    let call = format!("GET {target}");
    let (live, transport) = tokio::join!(Live::open_at(address, &call, headers), script);
    (live, transport)
}

fn send(hub: &Hub, transport: TransportId, frame: &ProtocolMessage) {
    hub.deliver([transport], &[protocol::encode(frame, Format::Json)]);
}

#[tokio::test]
async fn events_are_written_as_the_path_and_accept_say() {
    let sse = ["Accept: text/event-stream"];
    for (target, headers, content_type, begin) in [
        ("/sse?channels=a&v=1.2", &[][..], "text/event-stream", "id: a0\n\n"),
        ("/event-stream?channel=a&v=1.2", &sse[..], "text/event-stream", "id: a0\n\n"),
        ("/event-stream?channel=a&v=3", &[][..], "application/json", ""),
    ] {
        let mut bench = Bench::new(settings()).await;
        let (mut live, id) = open(&mut bench, target, headers).await;
        assert_eq!(live.head.header("content-type"), Some(content_type));
        assert_eq!(live.head.header("cache-control"), Some("no-store"));
        if !begin.is_empty() {
            assert_eq!(live.part().await, begin);
        }
        send(&bench.hub, id, &messages("a", "a1", &["x"]));
        assert!(live.part().await.contains("a1"));
    }
}

#[tokio::test]
async fn heartbeats_are_hidden_unless_asked_for() {
    for (target, expected) in [
        ("/sse?channels=a&v=1.2", ":keepalive\n\n"),
        ("/sse?channels=a&v=1.2&heartbeats=true", "event: heartbeat\ndata:\n\n"),
        ("/event-stream?channels=a&v=1.2", "\n"),
        ("/event-stream?channels=a&v=1.2&heartbeats=true", "{\"event\":\"heartbeat\"}\n"),
    ] {
        let mut bench = Bench::new(settings()).await;
        let (mut live, id) = open(&mut bench, target, &[]).await;
        if target.starts_with("/sse") {
            live.part().await;
        }
        send(&bench.hub, id, &ProtocolMessage::new(Action::Heartbeat));
        assert_eq!(live.part().await, expected, "{target}");
    }
}

#[tokio::test]
async fn a_session_that_the_node_ends_ends_the_stream_with_the_reason() {
    let mut bench = Bench::new(settings()).await;
    let (mut live, id) = open(&mut bench, "/event-stream?channels=a&v=1.2", &[]).await;
    let mut last = ProtocolMessage::new(Action::Disconnected);
    last.error = Some(error::TOKEN_EXPIRED.info());
    send(&bench.hub, id, &last);
    bench.hub.close(id);
    let event: Value = serde_json::from_str(&live.part().await).unwrap();
    assert_eq!((&event["event"], &event["data"]["code"]), (&json!("error"), &json!(40142)));
    assert_eq!(live.part().await, "");
    let closed = bench.next_event().await;
    assert!(matches!(closed, Event::TransportClosed { transport } if transport == id));
}

#[tokio::test]
async fn a_reader_that_goes_away_is_told_to_the_node() {
    let mut bench = Bench::new(settings()).await;
    let (live, id) = open(&mut bench, "/sse?channels=a&v=1.2", &[]).await;
    drop(live);
    let closed = bench.next_event().await;
    assert!(matches!(closed, Event::TransportClosed { transport } if transport == id));
}

#[tokio::test]
async fn a_refusal_before_the_beginning_is_the_answer() {
    let mut bench = Bench::new(settings()).await;
    let mut asked = Box::pin({
        let call = "GET /sse?channels=a&v=1.2";
        let address = bench.address;
        async move { crate::testing::ask_at(address, call, &[], b"").await }
    });
    let script = async {
        let Event::Connect { transport, .. } = bench.next_event().await else { panic!() };
        let mut refusal = ProtocolMessage::new(Action::Error);
        refusal.error = Some(error::INVALID_CREDENTIALS.info());
        send(&bench.hub, transport, &refusal);
    };
    let (answer, ()) = tokio::join!(&mut asked, script);
    assert_eq!(answer.error(), (401, 40101));
}

#[tokio::test]
async fn parameters_that_make_no_sense_are_refused() {
    let bench = Bench::new(settings()).await;
    let many = (0..=100).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    for (query, code) in [
        ("channels=a", 40017),
        ("channels=a&v=99", 40017),
        ("channels=a&v=0.8", 80024),
        ("v=1.2", 40003),
        ("v=1.2&channels=", 40003),
        ("v=1.2&channels=a&separator=", 40003),
        ("v=1.2&channels=a&enveloped=maybe", 40003),
        ("v=1.2&channels=a&heartbeats=1", 40003),
        ("v=1.2&channels=a&lastEvent=no%20id", 40003),
        ("v=1.2&channels=a,b&lastEvent=onlyone", 40003),
        (&format!("v=1.2&channels={many}"), 90010),
    ] {
        assert_eq!(bench.get(&format!("/sse?{query}")).await.error(), (400, code), "{query}");
    }
    assert_eq!(bench.ask("POST /sse", &[], b"").await.error(), (405, 40500));
}

#[tokio::test]
async fn a_header_is_newer_than_the_url_and_a_separator_allows_commas_in_names() {
    let mut bench = Bench::new(settings()).await;
    let target = "GET /sse?channel=fo,o%7Cb&separator=%7C&v=1.2&lastEvent=old.b";
    let address = bench.address;
    let ask = Live::open_at(address, target, &["Last-Event-ID: new~1.b"]);
    let script = async {
        let Event::Connect { transport, query, .. } = bench.next_event().await else { panic!() };
        assert!(query.contains(&("v".into(), "2".into())));
        send(&bench.hub, transport, &ProtocolMessage::new(Action::Connected));
        let Event::Frame { frame: first, .. } = bench.next_event().await else { panic!() };
        let Event::Frame { frame: second, .. } = bench.next_event().await else { panic!() };
        for name in ["fo,o", "b"] {
            send(&bench.hub, transport, &attached(name, name, RESUMED));
        }
        (first, second)
    };
    let (_live, (first, second)) = tokio::join!(ask, script);
    let what = |frame: &ProtocolMessage| (frame.channel.clone(), frame.channel_serial.clone());
    assert_eq!(what(&first), (Some("fo,o".into()), Some("new".into())));
    assert_eq!(what(&second), (Some("b".into()), Some("b".into())));
}
