//! The JSON protocol of Centrifugo over WebSocket: commands with ids, replies with the same ids, and
//! pushes; several in a frame, one on each line.

use memchr::memmem;

use super::websocket::{self, Opcode, frame, push_frame};
use super::{Channel, Event, Phase, Place, Wire, WireError, leading_number, push_number};

const PATH: &str = "/connection/websocket";
const CONNECT: &[u8] = b"{\"id\":1,\"connect\":{}}";
const SUBSCRIBE_ID: u64 = 2;
/// Of the publish with serial 0.
const PUBLISH_ID: u64 = 3;

pub(super) struct Centrifugo {
    upgrade: Vec<u8>,
}

impl Centrifugo {
    pub(super) fn at(place: &Place) -> Self {
        Self { upgrade: websocket::upgrade(place, place.path_or(PATH)) }
    }
}

impl Wire for Centrifugo {
    fn hello(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.upgrade);
    }

    fn subscribe(&self, channel: &Channel, out: &mut Vec<u8>) {
        push_command(SUBSCRIBE_ID, b"subscribe", channel, None, out);
    }

    fn publish(&self, serial: u64, channel: &Channel, payload: &[u8], out: &mut Vec<u8>) {
        push_command(serial + PUBLISH_ID, b"publish", channel, Some(payload), out);
    }

    fn read(
        &self,
        phase: &mut Phase,
        input: &[u8],
        hear: &mut dyn FnMut(Event<'_>),
    ) -> Result<usize, WireError> {
        let before = *phase;
        let Some(frames) = websocket::open(phase, input)? else { return Ok(0) };
        if before == Phase::Opening {
            hear(Event::Reply(frame(Opcode::Text, CONNECT)));
        }
        let read = websocket::read(frames, hear, |payload, hear| {
            for line in payload.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                hear(event(line)?);
            }
            Ok(())
        })?;
        Ok(input.len() - frames.len() + read)
    }
}

fn event(line: &[u8]) -> Result<Event<'_>, WireError> {
    let text = || String::from_utf8_lossy(line).into_owned();
    if line.starts_with(b"{\"push\":") {
        return Ok(Event::Message(line));
    }
    if line == b"{}" {
        return Ok(Event::Reply(frame(Opcode::Text, b"{}")));
    }
    let id = line.strip_prefix(b"{\"id\":").and_then(leading_number);
    let failed = memmem::find(line, b"\"error\":").is_some();
    Ok(match (id, id.and_then(|id| id.checked_sub(PUBLISH_ID))) {
        (Some(_), Some(serial)) if failed => Event::Refused { serial, count: 1, reason: text() },
        (Some(_), Some(serial)) => Event::Acknowledged { serial, count: 1 },
        (Some(_), None) if failed => Event::Ended(text()),
        (Some(SUBSCRIBE_ID), None) => Event::Subscribed(line),
        (Some(_), None) => Event::Ready(line),
        (None, _) => return Err(WireError(format!("neither reply nor push: {}", text()))),
    })
}

fn push_command(id: u64, method: &[u8], channel: &Channel, data: Option<&[u8]>, out: &mut Vec<u8>) {
    push_frame(Opcode::Text, out, |out| {
        out.extend_from_slice(b"{\"id\":");
        push_number(id, out);
        out.extend_from_slice(b",\"");
        out.extend_from_slice(method);
        out.extend_from_slice(b"\":{\"channel\":\"");
        // A colon would end the name of a namespace.
        out.extend(channel.name.bytes().map(|byte| if byte == b':' { b'.' } else { byte }));
        out.push(b'"');
        if let Some(data) = data {
            out.extend_from_slice(b",\"data\":\"");
            out.extend_from_slice(data);
            out.push(b'"');
        }
        out.extend_from_slice(b"}}");
    });
}

#[cfg(test)]
mod tests {
    use super::super::testing::{frames, heard, place, unmasked};
    use super::*;

    fn wire() -> Centrifugo {
        Centrifugo::at(&place())
    }

    #[test]
    fn a_client_connects_once_the_transport_is_there() {
        let mut phase = Phase::Opening;
        let told = heard(&wire(), &mut phase, b"HTTP/1.1 101 Switching Protocols\r\n\r\n");
        assert_eq!(told, ["reply {\"id\":1,\"connect\":{}}"]);
        let replies: &[u8] =
            b"{\"id\":1,\"connect\":{\"ping\":25}}\n{\"id\":2,\"subscribe\":{}}\n{}";
        let told = heard(&wire(), &mut phase, &frames(&[replies]));
        let ready = "ready {\"id\":1,\"connect\":{\"ping\":25}}";
        assert_eq!(told, [ready, "subscribed {\"id\":2,\"subscribe\":{}}", "reply {}"]);
    }

    #[test]
    fn publishes_are_answered_by_their_serial() {
        let mut phase = Phase::Open;
        let replies: &[u8] = b"{\"id\":3,\"publish\":{}}\n{\"id\":14,\"error\":{\"code\":103}}";
        let told = heard(&wire(), &mut phase, &frames(&[replies]));
        assert_eq!(told, ["acknowledged 0+1", "refused 11+1 {\"id\":14,\"error\":{\"code\":103}}"]);
        let refused = heard(&wire(), &mut phase, &frames(&[b"{\"id\":2,\"error\":{}}"]));
        assert_eq!(refused, ["ended {\"id\":2,\"error\":{}}"]);
    }

    #[test]
    fn a_push_is_a_message() {
        let push: &[u8] = b"{\"push\":{\"channel\":\"a\",\"pub\":{\"data\":\"~x\"}}}";
        let told = heard(&wire(), &mut Phase::Open, &frames(&[push]));
        assert_eq!(told, [format!("message {}", String::from_utf8_lossy(push))]);
    }

    #[test]
    fn what_a_client_sends() {
        let channel = Channel { number: 7, name: "a:b".to_owned() };
        let mut out = Vec::new();
        wire().subscribe(&channel, &mut out);
        assert_eq!(unmasked(&out), b"{\"id\":2,\"subscribe\":{\"channel\":\"a.b\"}}");
        out.clear();
        wire().publish(9, &channel, b"hi", &mut out);
        assert_eq!(
            unmasked(&out),
            b"{\"id\":12,\"publish\":{\"channel\":\"a.b\",\"data\":\"hi\"}}"
        );
    }

    #[test]
    fn what_is_neither_reply_nor_push_is_an_error() {
        let read = wire().read(&mut Phase::Open, &frames(&[b"[]"]), &mut |_| {});
        assert!(read.is_err());
    }
}
