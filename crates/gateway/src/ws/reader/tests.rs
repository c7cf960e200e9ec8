//! The reader: frames in any pieces, and what it refuses.

use std::slice;

use proptest::{collection::vec, prelude::*, sample::Index};

use super::*;
use crate::ws::testing::{
    BINARY, CLOSE, PING, PONG, TEXT, fragment, frame, header, owned, raw_frame,
};

const LIMIT: usize = 1000;
const CONTINUATION: u8 = 0x0;

type Outcome = (Vec<Message<'static>>, Option<Violation>);

/// Everything that a fresh reader makes of these pieces, up to the first violation.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut reader = Reader::new(LIMIT);
    let mut messages = Vec::new();
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut piece = piece.as_mut_slice();
        loop {
            match reader.next(&mut piece) {
                Ok(Some(message)) => messages.push(owned(message)),
                Ok(None) => break,
                Err(violation) => return (messages, Some(violation)),
            }
        }
        assert!(piece.is_empty());
        assert!(held(&reader) <= LIMIT + MAX_CONTROL_PAYLOAD + 3);
    }
    (messages, None)
}

/// Bytes on the heap.
fn held(reader: &Reader) -> usize {
    reader.control.capacity() + reader.message.as_ref().map_or(0, |message| message.data.capacity())
}

fn read_all(bytes: &[u8]) -> Outcome {
    read([bytes])
}

fn violation(bytes: &[u8]) -> Violation {
    let whole = read_all(bytes);
    assert_eq!(whole, read(bytes.iter().map(slice::from_ref)));
    whole.1.unwrap()
}

fn close_payload(code: u16, reason: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes(), reason].concat()
}

#[test]
fn a_masked_text_frame_is_a_message() {
    let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(read_all(&hello), (vec![Message::Text("Hello".into())], None));
}

#[test]
fn lengths_of_all_three_forms_are_read() {
    for len in [0, 1, 7, 8, 9, 125, 126, 127, LIMIT] {
        let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
        let bytes = frame(BINARY, &payload);
        assert_eq!(read_all(&bytes), (vec![Message::Binary(payload.into())], None));
    }
    let payload = vec![7; 70_000];
    let mut bytes = frame(BINARY, &payload);
    let message = Reader::new(70_000).next(&mut bytes.as_mut_slice());
    assert_eq!(message, Ok(Some(Message::Binary(payload.into()))));
}

#[test]
fn control_frames_stand_between_the_fragments_of_a_message() {
    let bytes = [
        fragment(TEXT, "caf\u{e9}".as_bytes().split_at(4).0),
        frame(PING, b"1"),
        fragment(CONTINUATION, "caf\u{e9}".as_bytes().split_at(4).1),
        frame(PONG, b"2"),
        frame(CONTINUATION, b"!"),
    ]
    .concat();
    let expected = vec![
        Message::Ping(b"1".to_vec()),
        Message::Pong(b"2".to_vec()),
        Message::Text("caf\u{e9}!".into()),
    ];
    assert_eq!(read_all(&bytes), (expected, None));
}

#[test]
fn what_comes_before_a_violation_still_counts() {
    let bytes = [frame(TEXT, b"a"), raw_frame(0xc1, b"b")].concat();
    let messages = vec![Message::Text("a".into())];
    assert_eq!(read_all(&bytes), (messages, Some(Violation::ReservedBits)));
}

#[test]
fn malformed_headers_are_violations_of_the_protocol() {
    for (bytes, expected) in [
        (raw_frame(0xc1, b""), Violation::ReservedBits),
        (raw_frame(0x91, b""), Violation::ReservedBits),
        (raw_frame(0x83, b""), Violation::UnknownOpcode),
        (raw_frame(0x8b, b""), Violation::UnknownOpcode),
        (vec![0x81, 0x00], Violation::Unmasked),
        (fragment(PING, b""), Violation::FragmentedControl),
        (frame(PING, &[0; 126]), Violation::LongControl),
        (vec![0x82, 0xfe, 0, 125], Violation::Length),
        (vec![0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff], Violation::Length),
        (vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0], Violation::Length),
        (frame(CONTINUATION, b""), Violation::NothingToContinue),
        ([fragment(TEXT, b""), frame(TEXT, b"")].concat(), Violation::Unfinished),
    ] {
        assert_eq!(violation(&bytes), expected, "{bytes:02x?}");
        assert_eq!(expected.code(), CloseCode(1002));
    }
}

#[test]
fn a_message_over_the_limit_is_refused_by_its_header_alone() {
    assert_eq!(violation(&header(0x82, LIMIT + 1)), Violation::TooBig);
    assert_eq!(violation(&header(0x82, usize::MAX >> 1)), Violation::TooBig);
    assert_eq!(Violation::TooBig.code(), CloseCode(1009));
}

#[test]
fn fragments_add_up_to_the_limit_and_no_further() {
    let first = fragment(BINARY, &[1; LIMIT - 1]);
    let (messages, _) = read_all(&[first.clone(), frame(CONTINUATION, b"2")].concat());
    let whole = [&[1; LIMIT - 1][..], b"2"].concat();
    assert_eq!(messages, [Message::Binary(whole.into())]);
    assert_eq!(violation(&[first, header(0x80, 2)].concat()), Violation::TooBig);
}

#[test]
fn invalid_utf8_fails_at_the_byte_that_makes_it_invalid() {
    let whole = frame(TEXT, b"ab\xf4\x90cd");
    let (start, rest) = whole.split_at(whole.len() - 3);
    assert_eq!(read_all(start), (vec![], None), "a prefix of some character");
    assert_eq!(read([start, &rest[..1]]).1, Some(Violation::Utf8));
    assert_eq!(Violation::Utf8.code(), CloseCode(1007));
}

#[test]
fn invalid_utf8_fails_wherever_it_is_in_a_long_text() {
    for at in 0..300 {
        let mut payload = "\u{e9}".repeat(150).into_bytes();
        payload[at] = 0xff;
        let whole = frame(TEXT, &payload);
        assert_eq!(violation(&whole), Violation::Utf8);
        let (start, rest) = whole.split_at(whole.len() - payload.len() + at);
        assert_eq!(read([start]), (vec![], None), "{at}");
        assert_eq!(read([start, &rest[..1]]).1, Some(Violation::Utf8), "{at}");
    }
}

#[test]
fn a_text_must_not_end_inside_a_character() {
    assert_eq!(violation(&frame(TEXT, b"\xce\xba\xe1\xbd")), Violation::Utf8);
    let bytes = [fragment(TEXT, b"\xce"), frame(CONTINUATION, b"")].concat();
    assert_eq!(violation(&bytes), Violation::Utf8);
}

#[test]
fn a_close_frame_has_no_payload_or_a_valid_code_and_reason() {
    for (payload, code) in [
        (vec![], None),
        (close_payload(1000, b""), Some(CloseCode(1000))),
        (close_payload(4999, "\u{e9}".as_bytes()), Some(CloseCode(4999))),
    ] {
        assert_eq!(read_all(&frame(CLOSE, &payload)), (vec![Message::Close(code)], None));
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000] {
        assert_eq!(violation(&frame(CLOSE, &close_payload(code, b""))), Violation::Close);
    }
    assert_eq!(violation(&frame(CLOSE, b"\x03")), Violation::Close);
    assert_eq!(violation(&frame(CLOSE, &close_payload(1000, b"\xff"))), Violation::Utf8);
}

#[test]
fn nothing_is_allocated_between_messages_and_before_payload_comes() {
    let mut reader = Reader::new(usize::MAX);
    for mut bytes in [frame(BINARY, &[0; 300]), frame(PING, b"x"), header(0x82, 1 << 40)] {
        let mut input = bytes.as_mut_slice();
        while reader.next(&mut input).unwrap().is_some() {}
        assert_eq!(held(&reader), 0);
    }
}

#[test]
fn a_message_that_has_come_whole_stays_where_it_was_read() {
    let mut bytes = [frame(TEXT, b"whole"), frame(TEXT, b"behind it")].concat();
    let (mut reader, mut input) = (Reader::new(LIMIT), bytes.as_mut_slice());
    for text in ["whole", "behind it"] {
        let message = reader.next(&mut input).unwrap().unwrap();
        assert!(matches!(message, Message::Text(Cow::Borrowed(borrowed)) if borrowed == text));
    }
    assert!(input.is_empty());
}

#[test]
fn an_incomplete_message_never_takes_more_than_it_can_become() {
    let mut reader = Reader::new(1 << 20);
    let mut input = header(0x82, 100_000);
    input.extend([0; 60_000]);
    reader.next(&mut input.as_mut_slice()).unwrap();
    assert_eq!(held(&reader), 60_000);
    reader.next(&mut [0; 10].as_mut_slice()).unwrap();
    assert_eq!(held(&reader), 100_000);
}

/// A frame as a client might send it, mostly valid.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        8 => Just(0x81), 4 => Just(0x82), 4 => Just(0x01), 4 => Just(0x00), 4 => Just(0x80),
        2 => Just(0x89), 2 => Just(0x8a), 1 => Just(0x88), 1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        4 => ".{0,40}".prop_map(String::into_bytes), 1 => vec(any::<u8>(), 0..300),
    ];
    (first, payload).prop_map(|(first, payload)| raw_frame(first, &payload))
}

fn split(bytes: &[u8], cuts: Vec<Index>) -> Vec<&[u8]> {
    let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|window| &bytes[window[0]..window[1]]).collect()
}

proptest! {
    #[test]
    fn any_split_of_frames_gives_the_same_messages(
        frames in vec(any_frame(), 0..12),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        let bytes = frames.concat();
        let whole = read_all(&bytes);
        prop_assert_eq!(&whole, &read(split(&bytes, cuts)));
        prop_assert_eq!(&whole, &read(bytes.iter().map(slice::from_ref)));
    }

    #[test]
    fn arbitrary_bytes_never_panic_whatever_the_split(
        bytes in vec(any::<u8>(), 0..400),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        prop_assert_eq!(read_all(&bytes), read(split(&bytes, cuts)));
    }

    #[test]
    fn text_is_accepted_exactly_when_it_is_utf8(payload in vec(any::<u8>(), 0..12)) {
        let (messages, violation) = read_all(&frame(TEXT, &payload));
        prop_assert_eq!(std::str::from_utf8(&payload).is_ok(), violation.is_none());
        prop_assert_eq!(messages.len(), usize::from(violation.is_none()));
    }

    #[test]
    fn masking_twice_changes_nothing(data in vec(any::<u8>(), 0..40), mask: [u8; 4]) {
        let mut masked = data.clone();
        unmask(&mut masked, mask);
        let by_byte = data.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key);
        prop_assert!(masked.iter().copied().eq(by_byte));
        unmask(&mut masked, mask);
        prop_assert_eq!(masked, data);
    }
}
