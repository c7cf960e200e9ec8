//! The wire of the reference programs for ingest: masked WebSocket frames over plain TCP without an
//! upgrade, each answered by a frame that begins with the first eight bytes of its payload.
//!
//! Those eight bytes are the serial; the payload has as many bytes as the run says, all in all. Or the payload
//! is a publish in JSON, just as the server gets it, and the answer begins with its serial.

use super::json::push_message;
use super::websocket::{self, Opcode};
use super::{Channel, Event, Phase, Wire, WireError};

pub(super) enum RawIngest {
    Bytes,
    Json,
}

impl Wire for RawIngest {
    fn hello(&self, _out: &mut Vec<u8>) {}

    fn greets(&self) -> bool {
        false
    }

    fn subscribe(&self, _channel: &Channel, _out: &mut Vec<u8>) {}

    fn delivers(&self) -> bool {
        false
    }

    fn publish(&self, serial: u64, channel: &Channel, payload: &[u8], out: &mut Vec<u8>) {
        websocket::push_frame(Opcode::Binary, out, |out| match self {
            Self::Bytes => {
                let serial = serial.to_be_bytes();
                out.extend_from_slice(&serial);
                out.extend_from_slice(payload.get(serial.len()..).unwrap_or_default());
            }
            Self::Json => push_message(serial, channel, payload, out),
        });
    }

    fn read(
        &self,
        _phase: &mut Phase,
        input: &[u8],
        hear: &mut dyn FnMut(Event<'_>),
    ) -> Result<usize, WireError> {
        let mut at = 0;
        while let Some((frame, len)) = websocket::first_frame(input.get(at..).unwrap_or_default())?
        {
            at += len;
            let serial = frame.payload.first_chunk().map(|serial| u64::from_be_bytes(*serial));
            let serial =
                serial.ok_or_else(|| WireError("an answer without a serial".to_owned()))?;
            hear(Event::Acknowledged { serial, count: 1 });
        }
        Ok(at)
    }
}
