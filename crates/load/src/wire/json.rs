//! The realtime protocol in JSON over WebSocket.

use memchr::memmem;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

use super::realtime::{self, Format};
use super::websocket::{Opcode, push_frame};
use super::{Channel, Churn, Event, Phase, Place, Realtime, Wire, WireError};
use crate::LoadError;

pub(super) struct Json {
    hello: Vec<u8>,
    place: Place,
}

impl Json {
    pub(super) fn at(place: &Place) -> Result<Self, LoadError> {
        Ok(Self { hello: realtime::hello::<Self>(place, "")?, place: place.clone() })
    }
}

impl Format for Json {
    const NAME: &str = "json";
    const OPCODE: Opcode = Opcode::Text;

    fn action(frame: &[u8]) -> Option<u64> {
        number(frame, b"\"action\":")
    }

    fn serial(frame: &[u8]) -> Option<u64> {
        number(frame, b"\"msgSerial\":")
    }

    fn count(frame: &[u8]) -> Option<u64> {
        number(frame, b"\"count\":")
    }
}

impl Wire for Json {
    fn hello(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.hello);
    }

    fn greets(&self) -> bool {
        true
    }

    fn subscribe(&self, channel: &Channel, out: &mut Vec<u8>) {
        push_frame(Self::OPCODE, out, |out| {
            out.extend_from_slice(b"{\"action\":10,\"channel\":\"");
            out.extend_from_slice(channel.name.as_bytes());
            out.extend_from_slice(b"\"}");
        });
    }

    fn introduce_publisher(&self, _out: &mut Vec<u8>) {}

    fn publish(&self, serial: u64, channel: &Channel, payload: &[u8], out: &mut Vec<u8>) {
        push_frame(Self::OPCODE, out, |out| {
            out.extend_from_slice(b"{\"action\":15,\"msgSerial\":");
            out.extend_from_slice(itoa::Buffer::new().format(serial).as_bytes());
            out.extend_from_slice(b",\"channel\":\"");
            out.extend_from_slice(channel.name.as_bytes());
            out.extend_from_slice(b"\",\"messages\":[{\"data\":\"");
            out.extend_from_slice(payload);
            out.extend_from_slice(b"\"}]}");
        });
    }

    fn acknowledges(&self) -> bool {
        true
    }

    fn realtime(&self) -> Option<&dyn Realtime> {
        Some(self)
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

impl Realtime for Json {
    fn resume(&self, ready: &[u8], out: &mut Vec<u8>) {
        let key = text(ready, b"\"connectionKey\":\"");
        let resume = format!("&resume={}", percent_encode(key, NON_ALPHANUMERIC));
        // It has worked without the parameter.
        out.extend(realtime::hello::<Self>(&self.place, &resume).unwrap_or_default());
    }

    fn attach_from(&self, channel: &Channel, frame: &[u8], out: &mut Vec<u8>) {
        push_frame(Self::OPCODE, out, |out| {
            let parts = [
                b"{\"action\":10,\"flags\":32,\"channel\":\"",
                channel.name.as_bytes(),
                b"\",\"channelSerial\":\"",
                text(frame, b"\"channelSerial\":\""),
                b"\"}",
            ];
            out.extend(parts.concat());
        });
    }

    fn attach_member(&self, channel: &Channel, out: &mut Vec<u8>) {
        push_frame(Self::OPCODE, out, |out| {
            out.extend_from_slice(b"{\"action\":10,\"flags\":65536,\"channel\":\"");
            out.extend_from_slice(channel.name.as_bytes());
            out.extend_from_slice(b"\"}");
        });
    }

    fn churn(&self, serial: u64, channel: &Channel, member: Churn<'_>, out: &mut Vec<u8>) {
        let Churn { member, sequence, payload } = member;
        let action = if sequence.is_multiple_of(2) { 2 } else { 3 };
        push_frame(Self::OPCODE, out, |out| {
            let start = format!(
                "{{\"action\":14,\"msgSerial\":{serial},\"channel\":\"{}\",\"presence\":[{{\"action\":{action},\
                 \"clientId\":\"m{member}\",\"data\":\"",
                channel.name
            );
            out.extend_from_slice(start.as_bytes());
            out.extend_from_slice(payload);
            out.extend_from_slice(b"\"}]}");
        });
    }
}

/// The text behind a key, wherever it stands first. Keys and serials have no escapes.
fn text<'a>(frame: &'a [u8], key: &[u8]) -> &'a [u8] {
    let rest = memmem::find(frame, key).and_then(|at| frame.get(at + key.len()..));
    let rest = rest.unwrap_or_default();
    rest.split(|byte| *byte == b'"').next().unwrap_or_default()
}

/// The number behind a key, wherever it stands first.
fn number(frame: &[u8], key: &[u8]) -> Option<u64> {
    let at = memmem::find(frame, key)? + key.len();
    let digits = frame.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit());
    let mut digits = digits.peekable();
    digits.peek()?;
    digits.try_fold(0u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}
