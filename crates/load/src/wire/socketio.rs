//! Socket.IO 5 over WebSocket, to a server in which `subscribe` and `publish` are events that are
//! acknowledged, and subscribers get the event `message` (`crates/xtask/src/bench/peers/socketio.mjs`).

use super::websocket::{self, Opcode, frame, push_frame};
use super::{Channel, Event, Phase, Place, Wire, WireError, leading_number, push_number};

const TARGET: &str = "/socket.io/?EIO=4&transport=websocket";
/// Of the acknowledgement of a subscription.
const SUBSCRIBE_ID: u64 = 0;
/// Of the publish with serial 0.
const PUBLISH_ID: u64 = 1;

pub(super) struct SocketIo {
    upgrade: Vec<u8>,
}

impl SocketIo {
    pub(super) fn at(place: &Place) -> Self {
        Self { upgrade: websocket::upgrade(place, place.path_or(TARGET)) }
    }
}

impl Wire for SocketIo {
    fn hello(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.upgrade);
    }

    fn subscribe(&self, channel: &Channel, out: &mut Vec<u8>) {
        push_event(SUBSCRIBE_ID, b"subscribe", channel, None, out);
    }

    fn publish(&self, serial: u64, channel: &Channel, payload: &[u8], out: &mut Vec<u8>) {
        push_event(serial + PUBLISH_ID, b"publish", channel, Some(payload), out);
    }

    fn read(
        &self,
        phase: &mut Phase,
        input: &[u8],
        hear: &mut dyn FnMut(Event<'_>),
    ) -> Result<usize, WireError> {
        let Some(frames) = websocket::open(phase, input)? else { return Ok(0) };
        let read = websocket::read(frames, hear, |packet, hear| {
            hear(event(packet)?);
            Ok(())
        })?;
        Ok(input.len() - frames.len() + read)
    }
}

fn event(packet: &[u8]) -> Result<Event<'_>, WireError> {
    let text = || String::from_utf8_lossy(packet).into_owned();
    Ok(match packet {
        // Engine.IO opens, and so does the namespace.
        [b'0', ..] => Event::Reply(frame(Opcode::Text, b"40")),
        [b'4', b'0', ..] => Event::Ready(packet),
        [b'2', ..] => Event::Reply(frame(Opcode::Text, b"3")),
        [b'4', b'2', ..] => Event::Message(packet),
        [b'4', b'3', rest @ ..] => {
            match leading_number(rest).and_then(|id| id.checked_sub(PUBLISH_ID)) {
                Some(serial) => Event::Acknowledged { serial, count: 1 },
                None => Event::Subscribed(packet),
            }
        }
        [b'1', ..] | [b'4', b'1' | b'4', ..] => Event::Ended(text()),
        _ => return Err(WireError(format!("an unknown packet: {}", text()))),
    })
}

fn push_event(id: u64, name: &[u8], channel: &Channel, data: Option<&[u8]>, out: &mut Vec<u8>) {
    push_frame(Opcode::Text, out, |out| {
        out.extend_from_slice(b"42");
        push_number(id, out);
        out.extend_from_slice(b"[\"");
        out.extend_from_slice(name);
        out.extend_from_slice(b"\",\"");
        out.extend_from_slice(channel.name.as_bytes());
        if let Some(data) = data {
            out.extend_from_slice(b"\",\"");
            out.extend_from_slice(data);
        }
        out.extend_from_slice(b"\"]");
    });
}

#[cfg(test)]
mod tests {
    use super::super::testing::{frames, heard, place, unmasked};
    use super::*;

    fn wire() -> SocketIo {
        SocketIo::at(&place())
    }

    #[test]
    fn a_client_enters_the_namespace_once_the_engine_is_open() {
        let mut phase = Phase::Opening;
        let input = [b"HTTP/1.1 101 Switching Protocols\r\n\r\n", &*frames(&[b"0{}"])].concat();
        assert_eq!(heard(&wire(), &mut phase, &input), ["reply 40"]);
        let told = heard(&wire(), &mut phase, &frames(&[b"40{\"sid\":\"a\"}", b"2"]));
        assert_eq!(told, ["ready 40{\"sid\":\"a\"}", "reply 3"]);
    }

    #[test]
    fn acknowledgements_and_messages_are_told() {
        let packets: &[&[u8]] = &[b"430[]", b"431[]", b"4312[]", b"42[\"message\",\"~x\"]", b"41"];
        let told = heard(&wire(), &mut Phase::Open, &frames(packets));
        let message = "message 42[\"message\",\"~x\"]";
        let expected =
            ["subscribed 430[]", "acknowledged 0+1", "acknowledged 11+1", message, "ended 41"];
        assert_eq!(told, expected);
    }

    #[test]
    fn what_a_client_sends() {
        let channel = Channel { number: 7, name: "a:b".to_owned() };
        let mut out = Vec::new();
        wire().subscribe(&channel, &mut out);
        assert_eq!(unmasked(&out), b"420[\"subscribe\",\"a:b\"]");
        out.clear();
        wire().publish(9, &channel, b"hi", &mut out);
        assert_eq!(unmasked(&out), b"4210[\"publish\",\"a:b\",\"hi\"]");
    }

    #[test]
    fn an_unknown_packet_is_an_error() {
        assert!(wire().read(&mut Phase::Open, &frames(&[b"7"]), &mut |_| {}).is_err());
    }
}
