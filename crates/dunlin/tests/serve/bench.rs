//! `dunlin bench` against the real binary, and against a server with planted faults.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use testkit::Folder;

use crate::process::{Server, dunlin};

/// Exit code and the result as JSON. A machine that stands still for some seconds loses nothing.
fn bench(address: SocketAddr, key: &str, args: &[&str]) -> (Option<i32>, Value) {
    bench_with_patience("30s", address, key, args)
}

fn bench_with_patience(
    patience: &str,
    address: SocketAddr,
    key: &str,
    args: &[&str],
) -> (Option<i32>, Value) {
    let mut command = dunlin();
    command.arg("bench").args(args).args(["--json", "--warmup", "100ms", "--duration", "400ms"]);
    command.args(["--patience", patience]);
    command.args(["--url", &format!("http://{address}"), "--key", key]);
    let output = command.output().unwrap();
    let result = serde_json::from_slice(&output.stdout);
    (output.status.code(), result.unwrap_or_else(|_| panic!("{output:?}")))
}

/// Takes as many frames from one connection as it can.
fn serve(limits: &str) -> (Server, Folder) {
    let folder = Folder::new();
    let config = folder.write("dunlin.toml", "[node]\nconnection_frame_rate = 0");
    let mut command = dunlin();
    command.args(["serve", "--listen", "127.0.0.1:0", limits, "--config"]).arg(config);
    (Server::start_with(&mut command, &folder.path().join("data")), folder)
}

/// Speaks the wire `raw` to one publisher and one subscriber, and delivers each message as many times as
/// `copies` says of its number.
fn faulty(copies: fn(u32) -> usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut publisher, mut subscriber) = (None, None);
        while publisher.is_none() || subscriber.is_none() {
            let (mut stream, _) = listener.accept().unwrap();
            let mut hello = [0; 5];
            stream.read_exact(&mut hello).unwrap();
            if hello[0] == b'S' {
                stream.write_all(b"+").unwrap();
                subscriber = Some(stream);
            } else {
                publisher = Some(stream);
            }
        }
        forward(publisher.unwrap(), subscriber.unwrap(), copies);
    });
    address
}

fn forward(mut publisher: TcpStream, mut subscriber: TcpStream, copies: fn(u32) -> usize) {
    for number in 0.. {
        let mut head = [0; 8];
        match publisher.read_exact(&mut head) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return,
            read => read.unwrap(),
        }
        let len = u32::from_be_bytes(head[..4].try_into().unwrap()) - 4;
        let mut message = len.to_be_bytes().to_vec();
        message.resize(4 + len as usize, 0);
        publisher.read_exact(&mut message[4..]).unwrap();
        subscriber.write_all(&message.repeat(copies(number))).unwrap();
    }
}

#[test]
fn a_run_against_the_server_accounts_for_every_delivery() {
    let (server, _folder) = serve("--unlimited");
    for wire in ["json", "msgpack"] {
        let args = ["fan-out", "--subscribers", "5", "--in-flight", "3", "--wire", wire];
        let (code, result) = bench(server.address, &server.key, &args);
        assert_eq!((code, &result["verdict"]), (Some(0), &"pass".into()), "{result}");
        let sent = result["sent"].as_u64().unwrap();
        assert!(sent > 3, "{result}");
        assert_eq!(result["delivered"], 5 * sent, "{result}");
        assert!(result["latency_us"]["p50"].as_f64().unwrap() > 0.0, "{result}");
    }
}

#[test]
fn what_a_generator_that_is_awake_spends_on_waiting_is_not_counted() {
    let (server, _folder) = serve("--unlimited");
    let few = ["fan-out", "--subscribers", "2", "--rate", "20"];
    let cpu = |waiting: &str| {
        let (code, result) =
            bench(server.address, &server.key, &[few.as_slice(), &["--waiting", waiting]].concat());
        assert_eq!(code, Some(0), "{result}");
        result["generator"]["cpu_share"].as_f64().unwrap()
    };
    let (asleep, awake) = (cpu("asleep"), cpu("awake"));
    assert!(awake < 0.5 && asleep < 0.5, "{awake} and {asleep} of a core");
}

#[test]
fn subscribers_who_resume_miss_nothing() {
    let (server, _folder) = serve("--unlimited");
    let args = ["resume", "--subscribers", "5", "--rate", "200"];
    let (code, result) = bench(server.address, &server.key, &args);
    assert_eq!(code, Some(0), "{result}");
    assert_eq!(result["delivered"], 5 * result["sent"].as_u64().unwrap(), "{result}");
    assert!(result["completion_us"]["max"].as_f64().unwrap() > 0.0, "they were dropped: {result}");
}

#[test]
fn publishes_over_rest_are_accounted_for_in_the_order_of_their_answers() {
    let args = ["publish", "--publishers", "2", "--pipeline", "4", "--wire", "rest"];
    let (server, _folder) = serve("--unlimited");
    let (code, result) = bench(server.address, &server.key, &args);
    assert_eq!((code, &result["verdict"]), (Some(0), &"pass".into()), "{result}");
    assert!(result["sent"].as_u64().unwrap() > 8, "{result}");
    assert_eq!(
        (&result["delivered"], &result["refused"]),
        (&result["sent"], &0.into()),
        "{result}"
    );
    let (code, result) = bench(server.address, "no.key:ofit", &args);
    assert_eq!((code, &result["refused"]), (Some(0), &result["sent"]), "{result}");
}

#[test]
fn what_a_server_refuses_is_told_and_not_missed() {
    let (server, _folder) = serve("--unlimited=false");
    let args = ["fan-out", "--subscribers", "1", "--rate", "400"];
    let (code, result) = bench(server.address, &server.key, &args);
    assert_eq!(code, Some(0), "{result}");
    let count = |name: &str| result[name].as_u64().unwrap();
    assert!(count("refused") > 0, "{result}");
    assert_eq!(count("expected") + count("refused"), count("sent"), "{result}");
}

#[test]
fn a_message_that_is_lost_fails_the_run() {
    let address = faulty(|number| usize::from(number != 3));
    let args = ["fan-out", "--subscribers", "1", "--rate", "100", "--wire", "raw"];
    let (code, result) = bench_with_patience("5s", address, "", &args);
    assert_eq!((code, &result["verdict"]), (Some(1), &"fail".into()), "{result}");
    assert_eq!((&result["lost"], &result["duplicated"]), (&1.into(), &0.into()), "{result}");
}

#[test]
fn only_what_comes_within_the_patience_is_not_lost() {
    let slow = |number| {
        if number == 3 {
            thread::sleep(Duration::from_secs(2));
        }
        1
    };
    let args = ["fan-out", "--subscribers", "1", "--rate", "100", "--wire", "raw"];
    for (patience, verdict) in [("30s", "pass"), ("500ms", "fail")] {
        let (_, result) = bench_with_patience(patience, faulty(slow), "", &args);
        assert_eq!(result["verdict"], verdict, "{result}");
    }
}

#[test]
fn a_message_that_comes_twice_fails_the_run() {
    let address = faulty(|number| if number == 3 { 2 } else { 1 });
    let args = ["fan-out", "--subscribers", "1", "--rate", "100", "--wire", "raw"];
    let (code, result) = bench(address, "", &args);
    assert_eq!((code, &result["verdict"]), (Some(1), &"fail".into()), "{result}");
    assert_eq!((&result["lost"], &result["duplicated"]), (&0.into(), &1.into()), "{result}");
}
