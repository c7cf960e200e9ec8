//! MQTT 3.1.1 over TCP. Publishes have QoS 1, and so are acknowledged; subscriptions QoS 0.

use super::{Channel, Event, Phase, Wire, WireError};

/// A clean session without a name, a will, a user or a time to live.
const CONNECT: &[u8] = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00";
const SUBSCRIBE: u8 = 0x82;
const PUBLISH_QOS_1: u8 = 0x32;
const SUBSCRIPTION_ID: u16 = 1;

pub(super) struct Mqtt;

impl Wire for Mqtt {
    fn hello(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(CONNECT);
    }

    fn subscribe(&self, channel: &Channel, out: &mut Vec<u8>) {
        let topic = channel.name.as_bytes();
        push_header(SUBSCRIBE, 2 + 2 + topic.len() + 1, out);
        out.extend_from_slice(&SUBSCRIPTION_ID.to_be_bytes());
        push_text(topic, out);
        out.push(0);
    }

    fn publish(&self, serial: u64, channel: &Channel, payload: &[u8], out: &mut Vec<u8>) {
        let topic = channel.name.as_bytes();
        push_header(PUBLISH_QOS_1, 2 + topic.len() + 2 + payload.len(), out);
        push_text(topic, out);
        out.extend_from_slice(&packet_id(serial).to_be_bytes());
        out.extend_from_slice(payload);
    }

    fn read(
        &self,
        phase: &mut Phase,
        input: &[u8],
        hear: &mut dyn FnMut(Event<'_>),
    ) -> Result<usize, WireError> {
        *phase = Phase::Open;
        let mut at = 0;
        while let Some((packet, len)) = first_packet(input.get(at..).unwrap_or_default()) {
            at += len;
            hear(event(packet)?);
        }
        Ok(at)
    }
}

/// A packet without the length of its rest.
#[derive(Clone, Copy)]
struct Packet<'a> {
    kind: u8,
    body: &'a [u8],
}

/// The first packet with its length on the wire, once it is there.
fn first_packet(input: &[u8]) -> Option<(Packet<'_>, usize)> {
    let (kind, rest) = input.split_first()?;
    let mut length = 0;
    for (index, byte) in rest.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let start = index + 1;
            let body = rest.get(start..start + length)?;
            return Some((Packet { kind: *kind, body }, 1 + start + length));
        }
    }
    None
}

fn event(packet: Packet<'_>) -> Result<Event<'_>, WireError> {
    let Packet { kind, body } = packet;
    Ok(match (kind, body) {
        (0x20, [_, 0]) => Event::Ready(body),
        (0x90, [_, _, 0..=2]) => Event::Subscribed(body),
        (0x30, _) => Event::Message(body),
        // In the order of publishes; its number says only which of 65,535 it is.
        (0x40, [_, _]) => Event::Answered(Ok(())),
        (0x20 | 0x90, _) => Event::Ended(format!("refused: {body:?}")),
        _ => return Err(WireError(format!("a packet that begins with {kind:#x}"))),
    })
}

/// From 1 on, and over again after 65,535: more are never under way.
fn packet_id(serial: u64) -> u16 {
    (serial % u64::from(u16::MAX)) as u16 + 1
}

fn push_header(kind: u8, length: usize, out: &mut Vec<u8>) {
    out.push(kind);
    let mut rest = length;
    loop {
        let byte = (rest % 0x80) as u8;
        rest /= 0x80;
        out.push(if rest > 0 { byte | 0x80 } else { byte });
        if rest == 0 {
            return;
        }
    }
}

fn push_text(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::super::testing::heard;
    use super::*;

    fn channel() -> Channel {
        Channel { number: 7, name: "a:b".to_owned() }
    }

    #[test]
    fn packets_are_told_one_by_one() {
        let input = b"\x20\x02\x00\x00\x90\x03\x00\x01\x00\x40\x02\x00\x0c\x30\x05\x00\x01a~x";
        let told = heard(&Mqtt, &mut Phase::Opening, input);
        let expected = ["ready \0\0", "subscribed \0\u{1}\0", "accepted", "message \0\u{1}a~x"];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_refusal_ends_the_connection() {
        let told = heard(&Mqtt, &mut Phase::Open, b"\x20\x02\x00\x05\x90\x03\x00\x01\x80");
        assert_eq!(told, ["ended refused: [0, 5]", "ended refused: [0, 1, 128]"]);
    }

    #[test]
    fn a_packet_waits_for_its_rest() {
        let mut out = Vec::new();
        Mqtt.publish(65_535, &channel(), &[b'x'; 300], &mut out);
        for end in 0..out.len() {
            assert!(first_packet(&out[..end]).is_none());
        }
        let (packet, len) = first_packet(&out).unwrap();
        assert_eq!((packet.kind, len), (0x32, out.len()));
        assert_eq!(packet.body[..7], *b"\x00\x03a:b\x00\x01");
        assert_eq!(packet.body.len(), 307);
    }

    #[test]
    fn what_a_client_sends() {
        let mut out = Vec::new();
        Mqtt.subscribe(&channel(), &mut out);
        assert_eq!(out, b"\x82\x08\x00\x01\x00\x03a:b\x00");
        out.clear();
        Mqtt.publish(9, &channel(), b"hi", &mut out);
        assert_eq!(out, b"\x32\x09\x00\x03a:b\x00\x0ahi");
    }

    #[test]
    fn an_unknown_packet_is_an_error() {
        assert!(Mqtt.read(&mut Phase::Open, b"\xe0\x00", &mut |_| {}).is_err());
    }
}
