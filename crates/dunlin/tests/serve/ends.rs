//! Signals, and what clients see of them.

use testkit::Folder;

use crate::process::{Server, dunlin, read_until};

const DISCONNECTED: &str = "\"action\":6";

#[test]
fn an_idle_server_ends_with_0_on_either_signal() {
    for signal in ["TERM", "INT"] {
        let folder = Folder::new();
        assert_eq!(
            Server::start(&folder.path().join("data")).end(signal).code(),
            Some(0),
            "{signal}"
        );
    }
}

#[test]
fn clients_are_told_to_reconnect_before_the_server_ends_with_0() {
    let folder = Folder::new();
    let mut server = Server::start(&folder.path().join("data"));
    let mut client = server.websocket();
    server.signal("TERM");
    read_until(&mut client, DISCONNECTED);
    drop(client);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn what_was_published_before_the_end_is_there_after_it() {
    let folder = Folder::new();
    let server = Server::start(&folder.path().join("data"));
    assert_eq!(server.publish("persisted:x", r#"{"data":"last words"}"#), 201);
    assert_eq!(server.end("TERM").code(), Some(0));
    assert!(
        Server::start(&folder.path().join("data")).history("persisted:x").contains("last words")
    );
}

#[test]
fn a_client_that_stays_holds_the_end_up_for_the_grace_only() {
    let folder = Folder::new();
    let mut command = dunlin();
    command.args(["serve", "--listen", "127.0.0.1:0", "--shutdown-grace", "1"]);
    let mut server = Server::start_with(&mut command, &folder.path().join("data"));
    let mut client = server.websocket();
    server.signal("TERM");
    read_until(&mut client, DISCONNECTED);
    assert_eq!(server.wait().code(), Some(0));
    drop(client);
}

#[test]
fn a_second_signal_ends_the_server_at_once_with_1() {
    let folder = Folder::new();
    let mut server = Server::start(&folder.path().join("data"));
    let mut client = server.websocket();
    server.signal("TERM");
    read_until(&mut client, DISCONNECTED);
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(1));
    drop(client);
}
