//! Help, and the order of flag, environment variable, file and default.

use std::path::Path;
use std::process::Command;

use testkit::Folder;

use crate::process::{Server, dunlin, fails};

fn help(command: &mut Command) -> String {
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let expected = std::fs::read_to_string(&path).unwrap();
    // Options without a description leave blanks at the ends of lines.
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let text = lines.join("\n") + "\n";
    assert_eq!(text, expected, "tests/golden/{name} should be:\n{text}");
}

#[test]
fn the_help_is_the_documented_one() {
    golden("help.txt", &help(dunlin().arg("--help")));
    golden("serve-help.txt", &help(dunlin().args(["serve", "--help"])));
    golden("bench-help.txt", &help(dunlin().args(["bench", "--help"])));
    golden("keys-help.txt", &help(dunlin().args(["keys", "--help"])));
}

#[test]
fn a_flag_wins_over_its_variable_which_wins_over_the_file() {
    let folder = Folder::new();
    let config = folder.write("dunlin.toml", "listen = \"127.0.0.3:0\"");
    let listening = |command: &mut Command| {
        let server =
            Server::start_with(command.arg("--config").arg(&config), &folder.path().join("data"));
        server.address.ip().to_string()
    };
    assert_eq!(listening(dunlin().arg("serve")), "127.0.0.3");
    let variable = |command: &mut Command| {
        command.arg("serve").env("DUNLIN_LISTEN", "127.0.0.2:0");
    };
    let mut command = dunlin();
    variable(&mut command);
    assert_eq!(listening(&mut command), "127.0.0.2");
    let mut command = dunlin();
    variable(&mut command);
    assert_eq!(listening(command.args(["--listen", "127.0.0.1:0"])), "127.0.0.1");
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    for args in [
        vec!["serve", "--listen", "8080"],
        vec!["serve", "--site", "long"],
        vec!["serve", "--log", "store=loud"],
        vec!["serve", "--sandbox=perhaps"],
        vec!["swim"],
        vec![],
    ] {
        assert_eq!(fails(dunlin().args(&args)).0, Some(2), "{args:?}");
    }
}
