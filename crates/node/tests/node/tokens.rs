//! `requestToken`: who gets a token, and every reason not to.

use auth::{Credentials, TokenRequest};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use node::{Caller, Operation, Response};
use serde_json::{Value, json};

use crate::world::{START, World, code, key_caller, world};

fn request(world: &mut World, caller: Caller, path: &str, body: &Value) -> Response {
    let request: TokenRequest = serde_json::from_value(body.clone()).unwrap();
    world.request_as(caller, Operation::RequestToken { key_name: path.into(), request })
}

/// A request of the holder of the key `all`, authenticated with it.
pub(crate) fn unsigned(world: &mut World) -> Response {
    request(world, key_caller("all"), "app.all", &json!({ "keyName": "app.all" }))
}

/// A signed request; `change` comes before the signature.
fn signed(change: &Value) -> Value {
    let mut body = json!({
        "keyName": "app.all", "ttl": 60_000, "capability": "", "clientId": "bob",
        "timestamp": START, "nonce": "0123456789abcdef",
    });
    for (name, value) in change.as_object().unwrap() {
        body[name] = value.clone();
    }
    let text = |name: &str| match &body[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let signed: String = ["keyName", "ttl", "capability", "clientId", "timestamp", "nonce"]
        .map(|name| text(name) + "\n")
        .concat();
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"secret of all");
    body["mac"] = json!(STANDARD.encode(hmac::sign(&key, signed.as_bytes())));
    body
}

fn anyone() -> Caller {
    Caller::default()
}

#[test]
fn a_signed_request_is_good_for_one_token_whoever_presents_it() {
    let mut world = world();
    let Response::Token(details) = request(&mut world, anyone(), "app.all", &signed(&json!({})))
    else {
        panic!("a token");
    };
    assert_eq!((details.key_name.as_str(), details.client_id.as_deref()), ("app.all", Some("bob")));
    assert_eq!(details.expires.0 - details.issued.0, 60_000);
    world.connect(&format!("accessToken={}&clientId=bob", details.token));
    assert_eq!(code(&request(&mut world, anyone(), "app.all", &signed(&json!({})))), 40105);
}

#[test]
fn the_holder_of_a_key_needs_no_signature() {
    let mut world = world();
    let Response::Token(details) = unsigned(&mut world) else { panic!("a token") };
    assert_eq!(details.expires.0 - details.issued.0, 3_600_000);
    world.connect(&format!("accessToken={}", details.token));
}

#[test]
fn each_refusal_of_a_token_request_has_its_code() {
    let mut world = world();
    let old = START - 121_000;
    let mut forged = signed(&json!({}));
    forged["clientId"] = json!("eve");
    let cases = [
        (forged, 40101),
        (signed(&json!({ "timestamp": old })), 40104),
        (signed(&json!({ "ttl": 86_400_001_u64 })), 40003),
        (signed(&json!({ "ttl": "soon" })), 40003),
        (signed(&json!({ "capability": "{\"a\":\"b\"" })), 40000),
        (signed(&json!({ "clientId": "" })), 40012),
        (signed(&json!({ "nonce": "" })), 40003),
        (json!({ "keyName": "app.all" }), 40101),
        (json!({ "keyName": "app.other" }), 40000),
    ];
    for (body, expected) in cases {
        assert_eq!(code(&request(&mut world, anyone(), "app.all", &body)), expected, "{body}");
    }
    let narrow = json!({ "keyName": "app.news", "capability": r#"{"other":["publish"]}"# });
    let news = key_caller("news");
    assert_eq!(code(&request(&mut world, news, "app.news", &narrow)), 40160);
    let other_key =
        request(&mut world, key_caller("reader"), "app.all", &json!({ "keyName": "app.all" }));
    assert_eq!(code(&other_key), 40102);
    let wrong =
        Caller { credentials: Some(Credentials::Key("app.all:wrong".into())), ..Caller::default() };
    assert_eq!(
        code(&request(&mut world, wrong, "app.all", &json!({ "keyName": "app.all" }))),
        40101
    );
    for (path, expected) in [("app.nobody", 40400), ("nobody.all", 40400)] {
        let body = json!({ "keyName": path });
        assert_eq!(code(&request(&mut world, anyone(), path, &body)), expected, "{path}");
    }
}

#[test]
fn a_token_is_not_exchanged_for_another_without_a_signature() {
    let mut world = world();
    let Response::Token(details) = unsigned(&mut world) else { panic!("a token") };
    let caller =
        Caller { credentials: Some(Credentials::Token(details.token)), ..Caller::default() };
    assert_eq!(
        code(&request(&mut world, caller, "app.all", &json!({ "keyName": "app.all" }))),
        40101
    );
}
