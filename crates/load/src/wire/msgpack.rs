//! The realtime protocol in MessagePack over WebSocket.

use memchr::memmem;

use super::realtime::{self, Format};
use super::websocket::{Opcode, push_frame};
use super::{Channel, Event, Phase, Place, Wire, WireError};
use crate::LoadError;

pub(super) struct MessagePack {
    hello: Vec<u8>,
}

impl MessagePack {
    pub(super) fn at(place: &Place) -> Result<Self, LoadError> {
        Ok(Self { hello: realtime::hello::<Self>(place, "")? })
    }
}

impl Format for MessagePack {
    const NAME: &str = "msgpack";
    const OPCODE: Opcode = Opcode::Binary;

    fn action(frame: &[u8]) -> Option<u64> {
        // Nearly always it comes first, and is small.
        match frame.get(1..).and_then(|rest| rest.strip_prefix(b"\xa6action")) {
            Some(&[action @ ..0x80, ..]) => Some(u64::from(action)),
            Some(_) | None => number(frame, b"\xa6action"),
        }
    }

    fn serial(frame: &[u8]) -> Option<u64> {
        number(frame, b"\xa9msgSerial")
    }

    fn count(frame: &[u8]) -> Option<u64> {
        number(frame, b"\xa5count")
    }
}

impl Wire for MessagePack {
    fn hello(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.hello);
    }

    fn subscribe(&self, channel: &Channel, out: &mut Vec<u8>) {
        push_frame(Self::OPCODE, out, |out| {
            out.extend_from_slice(b"\x82\xa6action\x0a\xa7channel");
            push_text(channel.name.as_bytes(), out);
        });
    }

    fn publish(&self, serial: u64, channel: &Channel, payload: &[u8], out: &mut Vec<u8>) {
        push_frame(Self::OPCODE, out, |out| {
            out.extend_from_slice(b"\x84\xa6action\x0f\xa9msgSerial\xcf");
            out.extend_from_slice(&serial.to_be_bytes());
            out.extend_from_slice(b"\xa7channel");
            push_text(channel.name.as_bytes(), out);
            out.extend_from_slice(b"\xa8messages\x91\x81\xa4data");
            push_text(payload, out);
        });
    }

    fn read(
        &self,
        phase: &mut Phase,
        input: &[u8],
        hear: &mut dyn FnMut(Event<'_>),
    ) -> Result<usize, WireError> {
        realtime::read::<Self>(phase, input, hear)
    }
}

/// The form for 32-bit lengths stands for every length.
fn push_text(text: &[u8], out: &mut Vec<u8>) {
    out.push(0xdb);
    out.extend_from_slice(&(text.len() as u32).to_be_bytes());
    out.extend_from_slice(text);
}

/// The whole number behind a key, wherever it stands first.
fn number(frame: &[u8], key: &[u8]) -> Option<u64> {
    let at = memmem::find(frame, key)? + key.len();
    let (&first, rest) = frame.get(at..)?.split_first()?;
    match first {
        ..0x80 => Some(u64::from(first)),
        0xcc => rest.first().map(|byte| u64::from(*byte)),
        0xcd => rest.first_chunk().map(|bytes| u64::from(u16::from_be_bytes(*bytes))),
        0xce => rest.first_chunk().map(|bytes| u64::from(u32::from_be_bytes(*bytes))),
        0xcf => rest.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::websocket::tests::unmasked;

    #[test]
    fn a_publish_has_its_golden_bytes() {
        let key = Some("a.b:c".to_owned());
        let place = Place { authority: "h:80".to_owned(), path: String::new(), key };
        let channel = Channel { number: 7, name: "room".to_owned() };
        let mut out = Vec::new();
        MessagePack::at(&place).unwrap().publish(3, &channel, b"abc", &mut out);
        assert_eq!(
            unmasked(out)[2..],
            *b"\x84\xa6action\x0f\xa9msgSerial\xcf\0\0\0\0\0\0\0\x03\xa7channel\xdb\0\0\0\x04room\
               \xa8messages\x91\x81\xa4data\xdb\0\0\0\x03abc"
        );
    }

    #[test]
    fn whole_numbers_have_five_forms() {
        for (bytes, expected) in [
            (&b"\xa5count\x07"[..], Some(7)),
            (b"\xa5count\xcc\xff", Some(255)),
            (b"\xa5count\xcd\x01\x00", Some(256)),
            (b"\xa5count\xce\0\x01\0\0", Some(65_536)),
            (b"\xa5count\xcf\0\0\0\x01\0\0\0\0", Some(1 << 32)),
            (b"\xa5count\xcd\x01", None),
            (b"\xa5count\xa1x", None),
            (b"\xa5coun", None),
        ] {
            assert_eq!(MessagePack::count(bytes), expected, "{bytes:x?}");
        }
    }
}
