//! Requests about push, and the bodies of their answers.

use node::{PushResponse, Request, Response, Reveal};
use push::{Device, FormFactor, Page, Platform, Recipient, Subscription};
use serde_json::json;
use types::{Timestamp, error::PUSH_NOT_CONFIGURED};

use super::*;
use crate::testing::Bench;

const JSON: &str = "Content-Type: application/json";

fn device() -> Device {
    let recipient = json!({"transportType": "fcm", "registrationToken": "t"});
    Device {
        id: "d".into(),
        client_id: Some("bob".into()),
        platform: Platform::Android,
        form_factor: FormFactor::Phone,
        metadata: Map::default().into(),
        secret: Some("secret".into()),
        recipient: Recipient::parse(recipient.as_object().unwrap()).unwrap(),
        state: State::Failing,
        error: Some(PUSH_NOT_CONFIGURED.info()),
        tokens: "1".into(),
    }
}

fn described() -> Value {
    let error = json!({"code": 103_006, "statusCode": 400, "message": PUSH_NOT_CONFIGURED.meaning});
    json!({
        "id": "d", "clientId": "bob", "platform": "android", "formFactor": "phone", "metadata": {},
        "push": {
            "recipient": {"transportType": "fcm", "registrationToken": "t"},
            "state": "FAILING", "errorReason": error, "error": error,
        },
    })
}

/// Asks a node that gives `answer`; returns what it was asked, and status and body of the answer.
async fn asked(
    call: &str,
    headers: &[&str],
    body: &[u8],
    answer: impl Fn() -> PushResponse + Send + 'static,
) -> (PushRequest, u16, Value) {
    let (bench, mut requests) = Bench::answering(move |_| Response::Push(answer())).await;
    let answer = bench.ask(call, &[&[JSON], headers].concat(), body).await;
    let Request { operation, .. } = requests.recv().await.unwrap();
    let Operation::Push(request) = operation else { panic!("{operation:?}") };
    (request, answer.status, answer.json())
}

#[tokio::test]
async fn only_who_reads_one_device_is_told_its_secret() {
    let get = "GET /push/deviceRegistrations/d%2F1";
    let one = || PushResponse::Device { device: device(), reveal: Reveal::Secret };
    let (request, status, body) = asked(get, &[], b"", one).await;
    assert!(matches!(request.operation, PushOperation::Read(PushQuery::Device(id)) if id == "d/1"));
    assert_eq!((status, &body["deviceSecret"]), (200, &json!("secret")));

    let list = "GET /push/deviceRegistrations?clientId=bob&state=failing&limit=5000";
    let page = || PushResponse::Devices(Page { items: vec![device()], next: None });
    let (request, _, body) = asked(list, &[], b"", page).await;
    assert_eq!(body, json!([described()]));
    let PushOperation::Read(PushQuery::Devices { filter, limit, after }) = request.operation else {
        panic!("{request:?}")
    };
    assert_eq!((filter.client_id, filter.device_id), (Some("bob".into()), None));
    assert_eq!((filter.state, limit, after), (Some(State::Failing), 1000, None));

    let put = "PUT /push/deviceRegistrations/d";
    let saved = || PushResponse::Device { device: device(), reveal: Reveal::Nothing };
    let (request, status, body) = asked(put, &[], b"{\"id\":\"d\"}", saved).await;
    assert!(matches!(request.operation, PushOperation::Save(id, _) if id == "d"));
    assert_eq!((status, body), (200, described()));
}

#[tokio::test]
async fn a_device_that_registers_is_told_its_identity_token() {
    let registered = || {
        let token = auth::TokenDetails {
            token: "app.token".into(),
            key_name: "app.key".into(),
            issued: Timestamp(1),
            expires: Timestamp(2),
            capability: "{}".into(),
            client_id: None,
        };
        PushResponse::Device { device: device(), reveal: Reveal::Token(Some(token)) }
    };
    let (_, status, body) = asked("POST /push/deviceRegistrations", &[], b"{}", registered).await;
    assert_eq!((status, body.get("deviceSecret")), (201, None));
    let token = json!({
        "token": "app.token", "keyName": "app.key", "issued": 1, "expires": 2, "capability": "{}",
        "deviceId": "d",
    });
    assert_eq!((&body["deviceIdentityToken"], &body["updateToken"]), (&token, &json!("app.token")));
}

#[tokio::test]
async fn devices_prove_themselves_in_headers() {
    let channels =
        || PushResponse::Channels(Page { items: vec!["a".into()], next: Some("a".into()) });
    for header in ["X-Ably-DeviceToken: app.x", "X-Ably-DeviceToken: YXBwLng="] {
        let (request, _, body) =
            asked("GET /push/channels?limit=1", &[header], b"", channels).await;
        assert_eq!(request.device_token.as_deref(), Some("app.x"), "{header}");
        assert_eq!((request.device_secret, body), (None, json!(["a"])));
    }
    let secret = ["X-Ably-DeviceSecret: s"];
    let (request, ..) = asked("GET /push/channels", &secret, b"", channels).await;
    assert_eq!((request.device_token, request.device_secret), (None, Some("s".into())));
}

#[tokio::test]
async fn subscriptions_are_asked_for_by_channel_and_subscriber() {
    let one = || {
        let subscriber = Subscriber::Device("d".into());
        let channel = ChannelName::parse("a").unwrap();
        PushResponse::Subscriptions(Page {
            items: vec![Subscription { channel, subscriber }],
            next: Some("a\nd1".into()),
        })
    };
    let path = "GET /push/channelSubscriptions?channel=a&deviceId=d&clientId=c&concatFilters=true";
    let (request, status, body) = asked(path, &[], b"", one).await;
    assert_eq!((status, body), (200, json!([{"channel": "a", "deviceId": "d"}])));
    let PushOperation::Read(PushQuery::Subscriptions { filter, .. }) = request.operation else {
        panic!("{request:?}")
    };
    let both = vec![Subscriber::Device("d".into()), Subscriber::Client("c".into())];
    assert_eq!((filter.channel, filter.subscribers), (ChannelName::parse("a").ok(), both));
}

#[tokio::test]
async fn a_batch_is_answered_with_a_result_for_each_recipient() {
    let results = || {
        let results = [Ok(()), Err(PUSH_NOT_CONFIGURED.info())];
        PushResponse::Batch(results.map(|result| (json!({"deviceId": "d"}), result)).into())
    };
    for path in ["POST /push/batch/publish", "POST /push/admin/batch/publish"] {
        let (_, status, body) = asked(path, &[], b"[]", results).await;
        assert_eq!(
            (status, &body["successCount"], &body["failureCount"]),
            (201, &json!(1), &json!(1))
        );
        assert_eq!(body["results"][0], json!({"recipient": {"deviceId": "d"}}));
        assert_eq!(body["results"][1]["error"]["code"], 103_006);
    }
}

#[tokio::test]
async fn requests_about_push_that_make_no_sense_are_refused() {
    let (bench, _requests) = Bench::answering(|_| Response::NoContent).await;
    for (call, body, expected) in [
        ("POST /push/publish", "[]", (400, 40001)),
        ("POST /push/batch/publish", "{}", (400, 40001)),
        ("GET /push/deviceRegistrations?state=gone", "", (400, 40003)),
        ("GET /push/channels?limit=0", "", (400, 40003)),
        ("DELETE /push/channelSubscriptions?deviceId=d&clientId=c", "", (400, 40000)),
        ("GET /push/channelSubscriptions?channel=%3Aa", "", (400, 40010)),
        ("GET /push/publish", "", (405, 40500)),
        ("POST /push/deviceRegistrations/d", "{}", (405, 40500)),
        ("GET /push/other", "", (404, 40400)),
    ] {
        let answer = bench.ask(call, &[JSON], body.as_bytes()).await;
        assert_eq!(answer.error(), expected, "{call}");
    }
    for call in
        ["DELETE /push/deviceRegistrations/d", "DELETE /push/channelSubscriptions?channel=a"]
    {
        assert_eq!(bench.ask(call, &[], b"").await.status, 204, "{call}");
    }
}
