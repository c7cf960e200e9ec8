//! The wire of the reference programs for fan-out: plain TCP, no acknowledgements.
//!
//! A client introduces itself with `S` or `P` and a channel number; a subscriber gets `+`. Messages have
//! their length before them, and on the way to the server also the number of the channel.

use super::{Channel, Event, Phase, Wire, WireError};

pub(super) struct Raw;

impl Wire for Raw {
    fn hello(&self, _out: &mut Vec<u8>) {}

    fn greets(&self) -> bool {
        false
    }

    fn subscribe(&self, channel: &Channel, out: &mut Vec<u8>) {
        out.push(b'S');
        out.extend_from_slice(&channel.number.to_be_bytes());
    }

    fn introduce_publisher(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[b'P', 0, 0, 0, 0]);
    }

    fn publish(&self, _serial: u64, channel: &Channel, payload: &[u8], out: &mut Vec<u8>) {
        let number = channel.number.to_be_bytes();
        let len = (number.len() + payload.len()) as u32;
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(&number);
        out.extend_from_slice(payload);
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
        let mut at = 0;
        if *phase == Phase::Opening {
            match input.first() {
                Some(b'+') => hear(Event::Subscribed(b"+")),
                Some(other) => return Err(WireError(format!("{other:#x} instead of +"))),
                None => return Ok(0),
            }
            *phase = Phase::Open;
            at = 1;
        }
        while let Some((len, rest)) = input.get(at..).and_then(<[u8]>::split_first_chunk)
            && let Some(payload) = rest.get(..u32::from_be_bytes(*len) as usize)
        {
            hear(Event::Message(payload));
            at += len.len() + payload.len();
        }
        Ok(at)
    }
}
