//! The client protocol of NATS over WebSocket: lines, and payloads behind those that announce one.
//!
//! Core publish and subscribe, which acknowledge nothing. The server sends whole operations in each
//! frame; one that is split between two is an error.

use memchr::memmem;

use super::websocket::{self, Opcode, frame, push_frame};
use super::{Channel, Event, Phase, Place, Wire, WireError, push_number};

/// The PING is answered when the server has taken what is before it.
const CONNECT: &[u8] = b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\nPING\r\n";
const LINE_END: &[u8] = b"\r\n";

pub(super) struct Nats {
    upgrade: Vec<u8>,
}

impl Nats {
    pub(super) fn at(place: &Place) -> Self {
        Self { upgrade: websocket::upgrade(place, place.path_or("/")) }
    }
}

impl Wire for Nats {
    fn hello(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.upgrade);
    }

    fn subscribe(&self, channel: &Channel, out: &mut Vec<u8>) {
        push_frame(Opcode::Binary, out, |out| {
            out.extend_from_slice(b"SUB ");
            out.extend_from_slice(channel.name.as_bytes());
            out.push(b' ');
            push_number(u64::from(channel.number), out);
            out.extend_from_slice(b"\r\nPING\r\n");
        });
    }

    fn publish(&self, _serial: u64, channel: &Channel, payload: &[u8], out: &mut Vec<u8>) {
        push_frame(Opcode::Binary, out, |out| {
            out.extend_from_slice(b"PUB ");
            out.extend_from_slice(channel.name.as_bytes());
            out.push(b' ');
            push_number(payload.len() as u64, out);
            out.extend_from_slice(LINE_END);
            out.extend_from_slice(payload);
            out.extend_from_slice(LINE_END);
        });
    }

    fn acknowledges(&self) -> bool {
        false
    }

    fn read(
        &self,
        phase: &mut Phase,
        input: &[u8],
        hear: &mut dyn FnMut(Event<'_>),
    ) -> Result<usize, WireError> {
        let Some(start) = websocket::behind_upgrade(input)? else { return Ok(0) };
        let frames = input.get(start..).unwrap_or_default();
        let read = websocket::read(frames, hear, |payload, hear| {
            let mut rest = payload;
            while !rest.is_empty() {
                rest = hear_operation(rest, phase, hear).ok_or_else(|| {
                    WireError(format!("no whole operation: {}", String::from_utf8_lossy(rest)))
                })?;
            }
            Ok(())
        })?;
        Ok(start + read)
    }
}

/// Tells what the first operation says, and gives back what is behind it.
fn hear_operation<'i>(
    input: &'i [u8],
    phase: &mut Phase,
    hear: &mut dyn FnMut(Event<'_>),
) -> Option<&'i [u8]> {
    let end = memmem::find(input, LINE_END)?;
    let (line, rest) = (input.get(..end)?, input.get(end + LINE_END.len()..)?);
    if line.starts_with(b"MSG ") {
        let length = line.rsplit(|byte| *byte == b' ').next()?;
        let length: usize = std::str::from_utf8(length).ok()?.parse().ok()?;
        hear(Event::Message(rest.get(..length)?));
        return rest.get(length + LINE_END.len()..);
    }
    match (line, *phase) {
        (b"PONG", Phase::Opening) => {
            *phase = Phase::Open;
            hear(Event::Ready(line));
        }
        (b"PONG", Phase::Open) => hear(Event::Subscribed(line)),
        (b"PING", _) => hear(Event::Reply(frame(Opcode::Binary, b"PONG\r\n"))),
        (_, Phase::Opening) if line.starts_with(b"INFO ") => {
            hear(Event::Reply(frame(Opcode::Binary, CONNECT)));
        }
        _ if line.starts_with(b"-ERR") => {
            hear(Event::Ended(String::from_utf8_lossy(line).into_owned()));
        }
        _ => hear(Event::Other(line)),
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{frames, heard, place, unmasked};
    use super::*;

    fn wire() -> Nats {
        Nats::at(&place())
    }

    #[test]
    fn a_client_connects_after_the_server_has_introduced_itself() {
        let mut phase = Phase::Opening;
        let info = frames(&[b"INFO {\"version\":\"2\"}\r\n"]);
        let input = [b"HTTP/1.1 101 Switching Protocols\r\n\r\n", info.as_slice()].concat();
        assert_eq!(heard(&wire(), &mut phase, &input), [format!("reply {}", text(CONNECT))]);
        assert_eq!(heard(&wire(), &mut phase, &frames(&[b"PONG\r\n"])), ["ready PONG"]);
        assert_eq!(heard(&wire(), &mut phase, &frames(&[b"PONG\r\n"])), ["subscribed PONG"]);
    }

    #[test]
    fn operations_of_one_frame_are_told_one_by_one() {
        let mut phase = Phase::Open;
        let input = frames(&[b"MSG a 7 4\r\n\r\n~x\r\nPING\r\nMSG a 7 1\r\ny\r\n-ERR 'full'\r\n"]);
        let told = ["message \r\n~x", "reply PONG\r\n", "message y", "ended -ERR 'full'"];
        assert_eq!(heard(&wire(), &mut phase, &input), told);
    }

    #[test]
    fn what_a_client_sends() {
        let channel = Channel { number: 7, name: "a.b".to_owned() };
        let mut out = Vec::new();
        wire().subscribe(&channel, &mut out);
        assert_eq!(unmasked(&out), b"SUB a.b 7\r\nPING\r\n");
        out.clear();
        wire().publish(3, &channel, b"hi", &mut out);
        assert_eq!(unmasked(&out), b"PUB a.b 2\r\nhi\r\n");
    }

    #[test]
    fn an_operation_that_is_not_whole_is_an_error() {
        for operation in [&b"MSG a 7 4\r\nabc"[..], b"MSG a 7 x\r\n", b"PON"] {
            let read = wire().read(&mut Phase::Open, &frames(&[operation]), &mut |_| {});
            assert!(read.is_err(), "{}", text(operation));
        }
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }
}
