//! The limit of open files, and connections that would use it up.

use std::io::Read as _;
use std::process::Command;

use testkit::Folder;

use crate::process::{Server, dunlin};

/// The binary, under what `ulimit` says of open files.
fn limited(ulimit: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.env_clear().arg("-c").arg(format!("ulimit {ulimit} && exec \"$0\" \"$@\""));
    command.arg(dunlin().get_program()).args(["serve", "--listen", "127.0.0.1:0"]);
    command
}

#[cfg(target_os = "linux")]
#[test]
fn a_node_may_open_as_many_files_as_it_is_allowed() {
    let folder = Folder::new();
    let server = Server::start_with(&mut limited("-Sn 64"), &folder.path().join("data"));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.id())).unwrap();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let [soft, hard, _unit] = *files.split_whitespace().collect::<Vec<_>>() else {
        panic!("{files}")
    };
    assert_eq!(soft, hard);
}

#[test]
fn connections_leave_files_to_the_node_and_are_refused_beyond_that() {
    let shop = |revoked: bool| {
        format!(
            "[[apps]]\nid = \"shop\"\nkeys = [{{ id = \"k\", secret = \"s\", revoked = {revoked} }}]"
        )
    };
    let folder = Folder::new();
    let config = folder.write("dunlin.toml", &shop(false));
    let mut command = limited("-n 64");
    command.arg("--config").arg(config);
    let server = Server::start_with(&mut command, &folder.path().join("data"));
    let mut stream = server.open("/sse?channels=a&v=1.2&key=shop.k:s", "");
    let mut held: Vec<_> = (0..64).map(|_| server.connect()).collect();
    let mut answer = [0; 12];
    held.last_mut().unwrap().read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 503");
    // What is in the file can still be read, so the store could open its own.
    folder.write("dunlin.toml", &shop(true));
    server.signal("HUP");
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.contains("40131"), "{text}");
    drop(held);
}
