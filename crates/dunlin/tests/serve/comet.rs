//! Comet against the real node: a whole conversation, and its end in another transport's favour.

use serde_json::{Value, json};
use testkit::Folder;

use crate::process::Server;

fn list(body: &str) -> Vec<Value> {
    serde_json::from_str(body).unwrap()
}

/// Connects by polling; the connection key.
fn connect(server: &Server, query: &str) -> String {
    let (status, body) = server.get(&format!("/comet/connect?v=6&{query}"));
    assert_eq!(status, 200, "{body}");
    let connected = &list(&body)[0];
    assert_eq!(connected["action"], 4, "{body}");
    connected["connectionDetails"]["connectionKey"].as_str().unwrap().to_owned()
}

/// Polls until there is a message with this action; all that came.
fn poll(server: &Server, key: &str, action: u64) -> Vec<Value> {
    let mut all = Vec::new();
    while all.iter().all(|frame: &Value| frame["action"] != action) {
        let (status, body) = server.get(&format!("/comet/{key}/recv"));
        assert_eq!(status, 200, "{body}");
        all.extend(list(&body));
    }
    all
}

fn code((status, body): &(u16, String)) -> (u16, u64) {
    let body: Value = serde_json::from_str(body).unwrap();
    (*status, body["error"]["code"].as_u64().unwrap())
}

#[test]
fn a_polling_client_attaches_publishes_receives_and_closes() {
    let folder = Folder::new();
    let server = Server::start(&folder.path().join("data"));
    let key = connect(&server, "");
    let frames = json!([
        { "action": 10, "channel": "a" },
        { "action": 15, "channel": "a", "msgSerial": 0, "messages": [{ "data": "hello" }] },
    ]);
    assert_eq!(server.post(&format!("/comet/{key}/send"), &frames.to_string()), (200, "[]".into()));
    let got = poll(&server, &key, 15);
    assert!(got.iter().any(|frame| frame["action"] == 11), "{got:?}");
    let message = got.iter().find(|frame| frame["action"] == 15).unwrap();
    assert_eq!(message["messages"][0]["data"], "hello");
    assert_eq!(server.get(&format!("/comet/{key}/close")), (200, "[]".into()));
    poll(&server, &key, 8);
}

#[test]
fn a_connection_that_goes_on_elsewhere_is_not_there_any_more() {
    let folder = Folder::new();
    let server = Server::start(&folder.path().join("data"));
    let first = connect(&server, "");
    let second = connect(&server, &format!("resume={first}"));
    assert_ne!(first, second);
    assert_eq!(server.get(&format!("/comet/{first}/recv")), (200, "[]\n".into()));
    assert_eq!(code(&server.get(&format!("/comet/{first}/recv"))), (410, 80016));
    // The connection itself is alive where it is now.
    let _websocket = server.websocket_with(&format!("&resume={second}"));
    assert_eq!(server.get(&format!("/comet/{second}/recv")), (200, "[]\n".into()));
    assert_eq!(code(&server.get(&format!("/comet/{second}/recv"))), (410, 80016));
    assert_eq!(code(&server.get("/comet/nonsense/recv")), (410, 80022));
}

#[test]
fn a_refused_connection_says_why_in_a_list() {
    let folder = Folder::new();
    let server = Server::start(&folder.path().join("data"));
    let (status, body) = server.get("/comet/connect?v=99");
    let refused = &list(&body)[0];
    assert_eq!(
        (status, &refused["action"], &refused["error"]["code"]),
        (200, &json!(9), &json!(40017))
    );
}
