//! First and later starts, and starts that must fail.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;
use testkit::Folder;

use crate::process::{Server, dunlin, fails};

#[test]
fn a_first_start_needs_no_configuration() {
    let folder = Folder::new();
    let server = Server::start(&folder.path().join("data"));
    let (status, body) = server.get("/time");
    assert_eq!(status, 200);
    let time: u64 = body.trim_matches(['[', ']']).parse().unwrap();
    assert!(time > 1_700_000_000_000, "{time}");
    assert_eq!(server.publish("greetings", r#"{"data":"hello"}"#), 201);
    assert!(server.history("greetings").contains(r#""data":"hello""#));
}

#[cfg(target_os = "linux")]
#[test]
fn a_node_takes_no_huge_pages() {
    let folder = Folder::new();
    let server = Server::start(&folder.path().join("data"));
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    // Kernels before 5.0 do not say.
    let said = status.lines().find_map(|line| line.strip_prefix("THP_enabled:"));
    assert_eq!(said.map_or("0", str::trim), "0");
}

#[test]
fn the_data_directory_is_for_its_owner_alone() {
    let folder = Folder::new();
    let _server = Server::start(&folder.path().join("data"));
    let mode = std::fs::metadata(folder.path().join("data")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_data_directory_that_exists_stays_as_it_is_and_what_is_made_in_it_is_for_its_owner_alone() {
    let folder = Folder::new();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let foreign = data.join("foreign");
    std::fs::write(&foreign, "").unwrap();
    for (path, mode) in [(&data, 0o1777), (&foreign, 0o644)] {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    let _server = Server::start(&data);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&data) & 0o7777, 0o1777);
    assert_eq!(mode(&foreign) & 0o777, 0o644);
    let made = std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path());
    let made: Vec<_> = made.filter(|path| *path != foreign).collect();
    assert!(!made.is_empty());
    assert!(made.iter().all(|path| mode(path).trailing_zeros() >= 6), "{made:?}");
}

#[test]
fn a_killed_server_comes_back_with_its_key_and_its_persisted_history() {
    let folder = Folder::new();
    let server = Server::start(&folder.path().join("data"));
    let key = server.key.clone();
    assert_eq!(server.publish("persisted:orders", r#"{"data":"kept"}"#), 201);
    assert_eq!(server.publish("loose", r#"{"data":"forgotten"}"#), 201);
    assert_eq!(server.end("KILL").code(), None);
    let server = Server::start(&folder.path().join("data"));
    assert_eq!(server.key, key);
    assert!(server.history("persisted:orders").contains(r#""data":"kept""#));
    assert_eq!(server.history("loose"), "[]");
}

#[test]
fn further_apps_of_the_configuration_are_served() {
    let folder = Folder::new();
    let config = "[[apps]]\nid = \"shop\"\nkeys = [{ id = \"k\", secret = \"s\" }]\n\
        namespaces = [{ id = \"orders\", persisted = true }]";
    let config = folder.write("dunlin.toml", config);
    let mut command = dunlin();
    command.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(config);
    let mut server = Server::start_with(&mut command, &folder.path().join("data"));
    server.key = "shop.k:s".into();
    assert_eq!(server.publish("orders:1", r#"{"data":"x"}"#), 201);
}

#[test]
fn a_node_says_that_it_is_ready_and_what_it_counts() {
    let folder = Folder::new();
    let server = Server::start(&folder.path().join("data"));
    assert_eq!(server.get("/health/live").0, 200);
    assert_eq!(server.get("/health/ready").0, 200);
    assert_eq!(server.publish("persisted:x", r#"{"data":"x"}"#), 201);
    let (status, page) = server.get("/metrics");
    assert_eq!(status, 200);
    for line in ["dunlin_ready 1", "dunlin_store_entries_total 1", "dunlin_requests_total 1"] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
}

#[test]
fn a_start_that_fails_costs_nobody_the_connection() {
    let folder = Folder::new();
    let data = folder.path().join("data");
    // By polling, which is less to read than a WebSocket.
    let connect = |server: &Server, query: &str| -> Value {
        let (_, body) = server.get(&format!("/comet/connect?v=6&{query}"));
        serde_json::from_str::<Value>(&body).unwrap()[0].take()
    };
    let server = Server::start(&data);
    let app = server.key.split('.').next().unwrap().to_owned();
    let first = connect(&server, "");
    server.end("KILL");

    let config = folder.write("dunlin.toml", &format!("[[apps]]\nid = \"{app}\"\nkeys = []"));
    let mut twin = dunlin();
    twin.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(config);
    let (code, message) = fails(twin.arg("--data-dir").arg(&data));
    assert_eq!(code, Some(1));
    assert!(message.contains(&format!("the configuration has an app {app}")), "{message}");

    let server = Server::start(&data);
    let key = first["connectionDetails"]["connectionKey"].as_str().unwrap();
    let second = connect(&server, &format!("resume={key}"));
    assert_eq!(second["connectionId"], first["connectionId"], "{second}");
}

#[test]
fn a_data_directory_in_use_is_refused() {
    let folder = Folder::new();
    let _server = Server::start(&folder.path().join("data"));
    let second = fails(
        dunlin()
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder.path().join("data")),
    );
    assert_eq!(second.0, Some(1));
    assert!(second.1.contains("is in use by another process"), "{}", second.1);
}

#[test]
fn a_port_in_use_is_refused() {
    let folder = Folder::new();
    let server = Server::start(&folder.path().join("data"));
    let address = server.address.to_string();
    let other = Folder::new();
    let second = fails(
        dunlin().args(["serve", "--listen", &address, "--data-dir"]).arg(other.path().join("data")),
    );
    assert_eq!(second.0, Some(1));
    assert!(second.1.contains(&format!("cannot listen on {address}")), "{}", second.1);
}

#[test]
fn a_wrong_configuration_is_refused_with_its_line() {
    let folder = Folder::new();
    let config = folder.write("dunlin.toml", "sandbox = true\nport = 80\n");
    let (code, message) = fails(dunlin().args(["serve", "--config"]).arg(&config));
    assert_eq!(code, Some(2));
    assert!(message.contains("dunlin.toml") && message.contains("line 2"), "{message}");
}
