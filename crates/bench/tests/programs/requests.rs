//! `raw-ingest`, `raw-ingest-json`, `raw-append`, `raw-store` and `raw-copy`.

use std::process::Command;

use testkit::Process;

use super::{Client, Program};

const INGEST: &str = env!("CARGO_BIN_EXE_raw-ingest");
const INGEST_JSON: &str = env!("CARGO_BIN_EXE_raw-ingest-json");
const APPEND: &str = env!("CARGO_BIN_EXE_raw-append");
const STORE: &str = env!("CARGO_BIN_EXE_raw-store");
const COPY: &str = env!("CARGO_BIN_EXE_raw-copy");

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn payload(number: u64) -> Vec<u8> {
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(250, number.to_le_bytes()[0]);
    payload
}

fn request(number: u64) -> Vec<u8> {
    masked(&payload(number))
}

/// A masked binary frame.
fn masked(payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    let masked = payload.iter().zip(MASK.into_iter().cycle()).map(|(a, b)| a ^ b);
    [0x82, 0x80 | 126, 0, length].into_iter().chain(MASK).chain(masked).collect()
}

fn assert_reply(client: &mut Client, number: u64) {
    assert_eq!(client.read(), [0x82, 43]);
    assert_eq!(client.read(), number.to_be_bytes());
    client.read::<35>();
}

/// Runs `test` with each program.
fn with_each_program(test: impl Fn(&Program)) {
    let folder = testkit::Folder::new();
    let file = folder.path().join("data");
    test(&Program::start(INGEST, &[]));
    test(&Program::start(APPEND, &["--file", file.to_str().unwrap()]));
    test(&Program::start(COPY, &[]));
}

#[test]
fn each_request_is_answered_once_and_in_order() {
    with_each_program(|program| {
        let mut clients: Vec<Client> = (0..3).map(|_| program.connect()).collect();
        for round in 0..20 {
            let numbers = round * 50..(round + 1) * 50;
            let requests: Vec<u8> = numbers.clone().flat_map(request).collect();
            clients.iter_mut().for_each(|client| client.send(&requests));
            for client in &mut clients {
                numbers.clone().for_each(|number| assert_reply(client, number));
            }
        }
    });
}

#[test]
fn requests_are_answered_however_they_are_split() {
    with_each_program(|program| {
        let mut client = program.connect();
        let requests: Vec<u8> = (0..3).flat_map(request).collect();
        client.send_in_pieces(&requests, 7);
        (0..3).for_each(|number| assert_reply(&mut client, number));
    });
}

#[test]
fn what_is_no_request_ends_its_connection_and_no_other() {
    with_each_program(|program| {
        let (mut good, mut bad) = (program.connect(), program.connect());
        bad.send(b"GET / HTTP/1.1\r\n\r\n");
        assert!(bad.is_closed());
        good.send(&request(1));
        assert_reply(&mut good, 1);
    });
}

fn publish(serial: u64) -> Vec<u8> {
    let json = format!(
        r#"{{"action":15,"msgSerial":{serial},"channel":"c","messages":[{{"data":"no {serial}"}}]}}"#
    );
    masked(json.as_bytes())
}

#[test]
fn a_publish_in_json_is_answered_by_its_serial_and_what_is_none_ends_its_connection() {
    let folder = testkit::Folder::new();
    let ingest = Program::start(INGEST_JSON, &[]);
    let store = Program::start(STORE, &["--folder", folder.path().to_str().unwrap()]);
    for program in [ingest, store] {
        let (mut good, mut bad) = (program.connect(), program.connect());
        bad.send(&[masked(b"{\"action\":15}"), request(1)].concat());
        assert!(bad.is_closed());
        for serial in 0..3 {
            good.send(&publish(serial));
            assert_reply(&mut good, serial);
        }
    }
}

#[test]
fn what_is_answered_is_in_the_store() {
    let folder = testkit::Folder::new();
    let mut program = Program::start(STORE, &["--folder", folder.path().to_str().unwrap()]);
    let mut client = program.connect();
    let mut expected = Vec::new();
    for number in 0..20_u64 {
        client.send(&publish(number));
        assert_reply(&mut client, number);
        let data = format!("no {number}");
        expected.extend([&[0, 0, 0, u8::try_from(data.len()).unwrap()], data.as_bytes()].concat());
    }
    program.process.signal("KILL");
    program.process.wait();
    let store = fjall::Database::builder(folder.path()).open().unwrap();
    let rows = store.keyspace("rows", fjall::KeyspaceCreateOptions::default).unwrap();
    let kept: Vec<u8> = rows.iter().flat_map(|row| row.value().unwrap().to_vec()).collect();
    assert_eq!(kept, expected);
}

#[test]
fn what_is_answered_is_in_the_file() {
    let folder = testkit::Folder::new();
    let file = folder.path().join("data");
    let program = Program::start(APPEND, &["--file", file.to_str().unwrap()]);
    let mut client = program.connect();
    let mut expected = Vec::new();
    for number in 0..20 {
        client.send(&request(number));
        assert_reply(&mut client, number);
        expected.extend([&250_u32.to_be_bytes()[..], &payload(number)].concat());
        assert_eq!(std::fs::read(&file).unwrap(), expected);
    }
}

#[test]
fn without_its_holder_a_program_answers_nothing_and_ends() {
    let process = Process::start(Command::new(COPY).args(["--listen", "127.0.0.1:0"]));
    let holder = process.printed_after("holder ");
    let (_, holder) = holder.split_once(" pid ").unwrap();
    let mut program = Program::ready(process);
    let mut client = program.connect();
    assert!(Command::new("kill").args(["-s", "STOP", holder]).status().unwrap().success());
    client.send(&request(1));
    assert!(Command::new("kill").args(["-s", "KILL", holder]).status().unwrap().success());
    assert!(client.is_closed());
    assert!(!program.process.wait().success());
}
