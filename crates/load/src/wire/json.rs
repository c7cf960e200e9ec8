//! The realtime protocol in JSON over WebSocket.

use memchr::memmem;

use super::realtime::{self, Format};
use super::websocket::{Opcode, push_frame};
use super::{Channel, Event, Phase, Place, Wire, WireError};
use crate::LoadError;

pub(super) struct Json {
    hello: Vec<u8>,
}

impl Json {
    pub(super) fn at(place: &Place) -> Result<Self, LoadError> {
        Ok(Self { hello: realtime::hello::<Self>(place)? })
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

    fn read(
        &self,
        phase: &mut Phase,
        input: &[u8],
        hear: &mut dyn FnMut(Event<'_>),
    ) -> Result<usize, WireError> {
        realtime::read::<Self>(phase, input, hear)
    }
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
