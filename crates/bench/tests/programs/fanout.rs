//! `raw-fanout` and `raw-fanout-uring`.

use bench::ring::Ring;

use super::{Client, Program};

const DIRECT: &str = env!("CARGO_BIN_EXE_raw-fanout");
const RING: &str = env!("CARGO_BIN_EXE_raw-fanout-uring");

/// Each program, in each of its ways; the second only where the system lets a program use io_uring.
fn programs() -> impl Iterator<Item = Program> {
    let ways = [(DIRECT, "never"), (DIRECT, "tick"), (RING, "never"), (RING, "tick")];
    let is_possible = |path: &str| path != RING || Ring::new().is_ok();
    ways.into_iter()
        .filter(move |(path, _)| is_possible(path))
        .map(|(path, coalesce)| Program::start(path, &["--coalesce", coalesce]))
}

fn hello(kind: u8, channel: u32) -> Vec<u8> {
    [&[kind][..], &channel.to_be_bytes()].concat()
}

fn subscribe(program: &Program, channel: u32) -> Client {
    let mut client = program.connect();
    client.send(&hello(b'S', channel));
    assert_eq!(client.read(), *b"+");
    client
}

fn publisher(program: &Program) -> Client {
    let mut client = program.connect();
    client.send(&hello(b'P', 0));
    client
}

fn message(channel: u32, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u32 + 4;
    [&length.to_be_bytes()[..], &channel.to_be_bytes(), payload].concat()
}

fn receive(client: &mut Client) -> Vec<u8> {
    let length = u32::from_be_bytes(client.read());
    client.read_vec(length as usize)
}

fn payload(number: u32, length: usize) -> Vec<u8> {
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(length, number.to_le_bytes()[0]);
    payload
}

#[test]
fn every_subscriber_of_a_channel_gets_each_message_once_and_in_order() {
    for program in programs() {
        let mut one: Vec<Client> = (0..3).map(|_| subscribe(&program, 1)).collect();
        let mut two = subscribe(&program, 2);
        let mut publisher = publisher(&program);
        for number in 0..500 {
            let channel = 1 + u32::from(number % 5 == 0);
            publisher.send(&message(channel, &payload(number, 300)));
        }
        for number in 0..500 {
            if number % 5 == 0 {
                assert_eq!(receive(&mut two), payload(number, 300));
            } else {
                one.iter_mut().for_each(|client| assert_eq!(receive(client), payload(number, 300)));
            }
        }
    }
}

#[test]
fn messages_arrive_whole_however_they_are_split() {
    for program in programs() {
        let mut subscriber = program.connect();
        subscriber.send_in_pieces(&hello(b'S', 7), 1);
        assert_eq!(subscriber.read(), *b"+");
        let messages: Vec<Vec<u8>> =
            [0, 1, 300].iter().map(|length| message(7, &vec![b'x'; *length])).collect();
        let mut publisher = program.connect();
        publisher.send_in_pieces(&[hello(b'P', 0), messages.concat()].concat(), 3);
        for length in [0, 1, 300] {
            assert_eq!(receive(&mut subscriber), vec![b'x'; length]);
        }
    }
}

#[test]
fn a_slow_reader_misses_nothing() {
    // More than the buffers of the kernel hold.
    const LENGTH: usize = 100_000;
    for program in programs() {
        let mut slow = subscribe(&program, 1);
        let mut fast = subscribe(&program, 1);
        let mut publisher = publisher(&program);
        for number in 0..300 {
            publisher.send(&message(1, &payload(number, LENGTH)));
            assert_eq!(receive(&mut fast), payload(number, LENGTH));
        }
        for number in 0..300 {
            assert_eq!(receive(&mut slow), payload(number, LENGTH));
        }
    }
}

#[test]
fn who_leaves_takes_nothing_from_others_and_leaves_nothing_to_them() {
    for program in programs() {
        let mut stays = subscribe(&program, 1);
        let mut publisher = publisher(&program);
        for round in 0..20 {
            drop(subscribe(&program, 1));
            // Often gets the descriptor of the one who left.
            let mut comes = subscribe(&program, 1);
            for number in [2 * round, 2 * round + 1] {
                publisher.send(&message(1, &payload(number, 10)));
                assert_eq!(receive(&mut stays), payload(number, 10));
                assert_eq!(receive(&mut comes), payload(number, 10));
            }
        }
    }
}

#[test]
fn who_is_neither_publisher_nor_subscriber_is_turned_away() {
    for program in programs() {
        let mut client = program.connect();
        client.send(&hello(b'?', 0));
        assert!(client.is_closed());
    }
}
