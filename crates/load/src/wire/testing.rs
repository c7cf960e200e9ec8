//! What tests of wires share: frames as a server sends them, and events as text.

use super::{Event, Phase, Place, Wire};

pub(super) fn place() -> Place {
    Place { authority: "localhost".to_owned(), path: String::new(), key: None }
}

/// Frames of a server, one for each payload.
pub(super) fn frames(payloads: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for payload in payloads {
        assert!(payload.len() < 126, "frames of tests are short");
        out.extend([0x81, payload.len() as u8]);
        out.extend_from_slice(payload);
    }
    out
}

/// The payload of a client's short frame.
pub(super) fn unmasked(frame: &[u8]) -> Vec<u8> {
    let (mask, payload) = frame[2..].split_at(4);
    assert_eq!(usize::from(frame[1] & 0x7f), payload.len());
    payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()
}

/// What the input says, all of which is used.
pub(super) fn heard(wire: &dyn Wire, phase: &mut Phase, input: &[u8]) -> Vec<String> {
    let mut told = Vec::new();
    let used = wire.read(phase, input, &mut |event| told.push(shown(event)));
    assert_eq!(used.unwrap(), input.len());
    told
}

fn shown(event: Event<'_>) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    match event {
        Event::Ready(frame) => format!("ready {}", text(frame)),
        Event::Subscribed(frame) => format!("subscribed {}", text(frame)),
        Event::Message(frame) => format!("message {}", text(frame)),
        Event::Acknowledged { serial, count } => format!("acknowledged {serial}+{count}"),
        Event::Refused { serial, count, reason } => format!("refused {serial}+{count} {reason}"),
        Event::Answered(Ok(())) => "accepted".to_owned(),
        Event::Answered(Err(reason)) => format!("not accepted {reason}"),
        Event::Reply(frame) => format!("reply {}", text(&unmasked(&frame))),
        Event::Ended(reason) => format!("ended {reason}"),
        Event::Other(frame) => format!("other {}", text(frame)),
    }
}
