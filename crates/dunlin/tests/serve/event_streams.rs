//! Readers that have nothing but HTTP, against the real node.

use std::io::Read as _;
use std::net::TcpStream;

use serde_json::Value;
use testkit::Folder;

use crate::process::{Server, read_until};

/// Id and data of the events of a stream in lines.
fn events(text: &str) -> Vec<(String, String)> {
    let (_head, body) = text.split_once("\r\n\r\n").unwrap();
    let event = |line: &str| {
        let event: Value = serde_json::from_str(line).ok()?;
        Some((event["id"].as_str()?.to_owned(), event["data"].as_str()?.to_owned()))
    };
    body.lines().filter_map(event).collect()
}

/// Reads up to the event with the data `last`.
fn read_events(stream: &mut TcpStream, last: &str) -> Vec<(String, String)> {
    events(&read_until(stream, &format!("\"data\":\"{last}\"}}\n")))
}

fn token(server: &Server, ttl_ms: u64) -> String {
    let key_name = server.key.split(':').next().unwrap();
    let body = format!(r#"{{"keyName":"{key_name}","ttl":{ttl_ms}}}"#);
    let (status, body) = server.post(&format!("/keys/{key_name}/requestToken"), &body);
    assert_eq!(status, 201, "{body}");
    serde_json::from_str::<Value>(&body).unwrap()["token"].as_str().unwrap().to_owned()
}

#[test]
fn a_reader_that_drops_anywhere_goes_on_without_loss_or_duplicate() {
    let folder = Folder::new();
    let server = Server::start(&folder.path().join("data"));
    let path = format!("/event-stream?channels=a,b&v=1.2&enveloped=false&key={}", server.key);
    let mut stream = server.open(&path, "");
    read_until(&mut stream, "\r\n\r\n");
    server.publish("a", r#"[{"data":"1"},{"data":"2"},{"data":"3"}]"#);
    server.publish("b", r#"{"data":"4"}"#);
    let seen = {
        let text = read_until(&mut stream, "\"data\":\"4\"}\n");
        events(&format!("\r\n\r\n{text}"))
    };
    drop(stream);
    server.publish("a", r#"[{"data":"5"},{"data":"6"}]"#);
    server.publish("b", r#"{"data":"7"}"#);
    let all: Vec<String> = (1..=7).map(|n| n.to_string()).collect();
    let data = |events: &[(String, String)]| {
        let mut data: Vec<_> = events.iter().map(|(_, data)| data.clone()).collect();
        // The order between channels is nobody's promise.
        data.sort();
        data
    };
    assert_eq!(data(&seen), all[..4]);
    for drop_after in 0..seen.len() {
        let (before, _) = seen.split_at(drop_after + 1);
        let mut stream = server.open(&format!("{path}&lastEvent={}", before[drop_after].0), "");
        let missing = all.len() - before.len();
        let mut text = read_until(&mut stream, "\"data\":\"7\"}\n");
        while events(&text).len() < missing {
            text += &read_until(&mut stream, "\n");
        }
        let mut got = before.to_vec();
        got.extend(events(&text));
        assert_eq!(data(&got), all, "dropped after {drop_after}");
    }
}

#[test]
fn a_browser_that_reconnects_before_the_first_event_misses_nothing() {
    let folder = Folder::new();
    let server = Server::start(&folder.path().join("data"));
    let path = format!("/sse?channels=a&v=1.2&key={}", server.key);
    let mut stream = server.open(&path, "");
    let begin = read_until(&mut stream, "\n\n");
    let id = begin.rsplit("id: ").next().unwrap().trim().to_owned();
    drop(stream);
    server.publish("a", r#"{"name":"n","data":"missed"}"#);
    let mut stream = server.open(&path, &format!("Last-Event-ID: {id}\r\n"));
    let text = read_until(&mut stream, "}\n\n");
    assert!(text.contains("event: message\ndata: {\"channel\":\"a\","), "{text}");
    assert!(!text.contains("event: error"), "{text}");
}

#[test]
fn a_rewind_comes_first_and_only_for_those_who_are_new() {
    let folder = Folder::new();
    let server = Server::start(&folder.path().join("data"));
    let path =
        format!("/event-stream?channels=a&v=1.2&enveloped=false&rewind=1&key={}", server.key);
    for data in ["old", "newest"] {
        server.publish("a", &format!(r#"{{"data":"{data}"}}"#));
    }
    let seen = read_events(&mut server.open(&path, ""), "newest");
    assert_eq!(seen.len(), 1);
    let mut stream = server.open(&format!("{path}&lastEvent={}", seen[0].0), "");
    read_until(&mut stream, "\r\n\r\n");
    server.publish("a", r#"{"data":"live"}"#);
    let text = format!("\r\n\r\n{}", read_until(&mut stream, "\"data\":\"live\"}\n"));
    assert_eq!(events(&text).len(), 1, "{text}");
}

#[test]
fn a_position_that_the_server_does_not_know_any_more_is_told() {
    let folder = Folder::new();
    let server = Server::start(&folder.path().join("data"));
    let path = format!("/event-stream?channels=a&v=1.2&enveloped=false&key={}", server.key);
    let mut stream = server.open(&path, "");
    read_until(&mut stream, "\r\n\r\n");
    server.publish("a", r#"{"data":"1"}"#);
    let text = format!("\r\n\r\n{}", read_until(&mut stream, "\"data\":\"1\"}\n"));
    let id = events(&text)[0].0.clone();
    assert_eq!(server.end("KILL").code(), None);
    let server = Server::start(&folder.path().join("data"));
    let mut stream = server.open(&format!("{path}&lastEvent={id}"), "");
    read_until(&mut stream, "\"code\":90003");
    server.publish("a", r#"{"data":"2"}"#);
    read_until(&mut stream, "\"data\":\"2\"}\n");
}

#[test]
fn an_expired_token_ends_the_stream_and_a_new_one_goes_on() {
    let folder = Folder::new();
    let server = Server::start(&folder.path().join("data"));
    let path = "/event-stream?channels=a&v=1.2&enveloped=false";
    let mut stream = server.open(&format!("{path}&accessToken={}", token(&server, 1_500)), "");
    read_until(&mut stream, "\r\n\r\n");
    server.publish("a", r#"{"data":"1"}"#);
    let text = format!("\r\n\r\n{}", read_until(&mut stream, "\"data\":\"1\"}\n"));
    read_until(&mut stream, "{\"event\":\"error\",\"data\":{\"code\":40142");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    server.publish("a", r#"{"data":"2"}"#);
    let id = &events(&text)[0].0;
    let token = token(&server, 60_000);
    let authorization = format!("Authorization: Bearer {token}\r\n");
    let mut stream = server.open(&format!("{path}&lastEvent={id}"), &authorization);
    assert_eq!(read_events(&mut stream, "2").len(), 1);
}

#[test]
fn who_may_not_subscribe_is_refused() {
    let folder = Folder::new();
    let server = Server::start(&folder.path().join("data"));
    for (query, code) in [
        ("channels=a&v=1.2".to_owned(), "40100"),
        ("channels=a&v=1.2&key=no.key:x".to_owned(), "4"),
        (format!("channels=:a&v=1.2&key={}", server.key), "40010"),
        (format!("channels=a&key={}", server.key), "40017"),
    ] {
        let mut stream = server.open(&format!("/sse?{query}"), "");
        let answer = read_until(&mut stream, "\"message\"");
        assert!(answer.starts_with("HTTP/1.0 4"), "{answer}");
        assert!(answer.contains(&format!("\"code\":{code}")), "{answer}");
    }
}
