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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscriber_hears_that_it_is_one_and_then_messages() {
        let input = b"+\0\0\0\x02hi\0\0\0\x01x\0\0\0\x09part";
        let (mut phase, mut heard) = (Phase::Opening, Vec::new());
        let used = Raw.read(&mut phase, input, &mut |event| heard.push(format!("{event:?}")));
        assert_eq!(used.unwrap(), 12);
        assert_eq!(heard.len(), 3, "{heard:?}");
        assert!(Raw.read(&mut Phase::Opening, b"-", &mut |_| {}).is_err());
    }

    #[test]
    fn a_message_names_its_channel_by_number() {
        let mut out = Vec::new();
        let channel = Channel { number: 258, name: String::new() };
        Raw.publish(0, &channel, b"hi", &mut out);
        assert_eq!(out, b"\0\0\0\x06\0\0\x01\x02hi");
    }
}
