//! Keys that come and go: in the configuration file while the server runs, and in the data directory
//! while it does not.

use std::io::Read as _;
use std::path::Path;

use testkit::Folder;

use crate::process::{Server, dunlin, fails};

fn keys(data: &Path, args: &[&str]) -> String {
    let output = dunlin().arg("keys").args(args).arg("--data-dir").arg(data).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_key_that_is_revoked_in_the_file_ends_its_connections_when_the_server_is_told() {
    let shop = |revoked: bool| {
        format!(
            "[[apps]]\nid = \"shop\"\nkeys = [{{ id = \"k\", secret = \"s\", revoked = {revoked} }}]"
        )
    };
    let folder = Folder::new();
    let config = folder.write("dunlin.toml", &shop(false));
    let mut command = dunlin();
    command.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(config);
    let mut server = Server::start_with(&mut command, &folder.path().join("data"));
    server.key = "shop.k:s".into();
    assert_eq!(server.publish("a", r#"{"data":"x"}"#), 201);
    let mut stream = server.open("/sse?channels=a&v=1.2&key=shop.k:s", "");
    folder.write("dunlin.toml", &shop(true));
    server.signal("HUP");
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.contains("40131"), "{text}");
    assert_eq!(server.publish("a", r#"{"data":"x"}"#), 401);
}

#[test]
fn keys_in_the_data_directory_are_made_listed_and_revoked() {
    let folder = Folder::new();
    let data = folder.path().join("data");
    let server = Server::start(&data);
    let first = server.key.clone();
    server.end("TERM");
    let second = keys(&data, &["create", "--capability", r#"{"a":["publish"]}"#]);
    let second = second.trim_end();
    let id = first.split_once('.').unwrap().1.split_once(':').unwrap().0;
    assert_eq!(keys(&data, &["revoke", id]), "");
    let listed =
        format!("{first}  {{\"[*]*\":[\"*\"]}}  revoked\n{second}  {{\"a\":[\"publish\"]}}\n");
    assert_eq!(keys(&data, &["list"]), listed);

    let mut server = Server::start(&data);
    assert_eq!(server.key, second, "the first that is of use");
    assert_eq!(server.publish("a", r#"{"data":"x"}"#), 201);
    assert_eq!(server.publish("b", r#"{"data":"x"}"#), 401);
    server.key = first;
    assert_eq!(server.publish("a", r#"{"data":"x"}"#), 401);
}

#[test]
fn keys_are_not_touched_while_the_server_runs_or_without_a_data_directory() {
    let folder = Folder::new();
    let data = folder.path().join("data");
    let on = |data: &Path| fails(dunlin().args(["keys", "list", "--data-dir"]).arg(data));
    let (status, message) = on(&data);
    assert_eq!(status, Some(1));
    assert!(message.contains("there is no data directory"), "{message}");
    let _server = Server::start(&data);
    let (status, message) = on(&data);
    assert_eq!(status, Some(1));
    assert!(message.contains("is in use by another process"), "{message}");
}
