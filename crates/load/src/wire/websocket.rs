//! The client's side of WebSocket (RFC 6455): upgrade, masked frames out, plain frames in.
//!
//! Written for speed and not for strictness: the answer to the upgrade is believed, and a message that
//! comes in fragments is an error, because no server here fragments.

use memchr::memmem;

use super::{Event, Phase, Place, WireError};

/// The key of the RFC's example: what it proves is of no use here.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// Not zero, so that the server has to unmask.
const MASK: [u8; 4] = [0x5a, 0xc3, 0x96, 0x3c];
const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) opcode: Opcode,
    pub(super) payload: &'a [u8],
}

/// The request that opens a WebSocket.
pub(super) fn upgrade(place: &Place, target: &str) -> Vec<u8> {
    let host = &place.authority;
    format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    )
    .into_bytes()
}

/// How many bytes the answer to the upgrade has, once it is there.
pub(super) fn upgraded(input: &[u8]) -> Result<Option<usize>, WireError> {
    let Some(end) = memmem::find(input, b"\r\n\r\n") else { return Ok(None) };
    if !input.starts_with(b"HTTP/1.1 101 ") {
        let answer = String::from_utf8_lossy(input);
        return Err(WireError(format!("the server does not upgrade: {answer}")));
    }
    Ok(Some(end + 4))
}

/// Where frames begin in what a connection reads until its wire is open: behind the answer to the
/// upgrade, which no frame is like, once that is whole.
pub(super) fn behind_upgrade(input: &[u8]) -> Result<Option<usize>, WireError> {
    if input.first() == Some(&b'H') { upgraded(input) } else { Ok(Some(0)) }
}

/// Hands over the payload of each frame of text or bytes, and tells `hear` of the others. Says how many
/// bytes that took.
pub(super) fn read(
    input: &[u8],
    hear: &mut dyn FnMut(Event<'_>),
    mut take: impl FnMut(&[u8], &mut dyn FnMut(Event<'_>)) -> Result<(), WireError>,
) -> Result<usize, WireError> {
    let mut at = 0;
    while let Some((frame, len)) = first_frame(input.get(at..).unwrap_or_default())? {
        at += len;
        match frame.opcode {
            Opcode::Text | Opcode::Binary => take(frame.payload, hear)?,
            Opcode::Ping => hear(Event::Reply(frame.pong())),
            Opcode::Pong => hear(Event::Other(frame.payload)),
            Opcode::Close => hear(Event::Ended(frame.close_reason())),
        }
    }
    Ok(at)
}

/// The frames behind the answer to the upgrade, which opens the wire; none while that is not whole.
pub(super) fn open<'i>(phase: &mut Phase, input: &'i [u8]) -> Result<Option<&'i [u8]>, WireError> {
    if *phase == Phase::Open {
        return Ok(Some(input));
    }
    let end = upgraded(input)?;
    end.inspect(|_| *phase = Phase::Open);
    Ok(end.and_then(|end| input.get(end..)))
}

/// A masked frame.
pub(super) fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    push_frame(opcode, &mut out, |out| out.extend_from_slice(payload));
    out
}

/// Appends a masked frame whose payload is what `write` appends.
pub(super) fn push_frame(opcode: Opcode, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    write(out);
    let len = out.len() - start;
    let payload = out.get_mut(start..).unwrap_or_default();
    let (words, tail) = payload.as_chunks_mut::<8>();
    let mask = u64::from_ne_bytes([MASK, MASK].concat().try_into().unwrap_or_default());
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ mask).to_ne_bytes();
    }
    for (byte, mask) in tail.iter_mut().zip(MASK.into_iter().cycle()) {
        *byte ^= mask;
    }
    let mut header = Vec::with_capacity(14);
    header.push(FINAL | opcode.bits());
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(len @ ..=125), _) => header.push(MASKED | len),
        (_, Ok(len)) => {
            header.push(MASKED | 126);
            header.extend(len.to_be_bytes());
        }
        (_, Err(_)) => {
            header.push(MASKED | 127);
            header.extend((len as u64).to_be_bytes());
        }
    }
    header.extend(MASK);
    out.splice(start..start, header);
}

/// The first frame of the input with its length on the wire, once it is there.
pub(super) fn first_frame(input: &[u8]) -> Result<Option<(Frame<'_>, usize)>, WireError> {
    let Some((&[first, second], rest)) = input.split_first_chunk() else { return Ok(None) };
    let (header, len) = match second {
        126 => match rest.first_chunk() {
            Some(len) => (4, u64::from(u16::from_be_bytes(*len))),
            None => return Ok(None),
        },
        127 => match rest.first_chunk() {
            Some(len) => (10, u64::from_be_bytes(*len)),
            None => return Ok(None),
        },
        ..126 => (2, u64::from(second)),
        MASKED.. => return Err(WireError("the server masks its frames".to_owned())),
    };
    let opcode = match first {
        0x81 => Opcode::Text,
        0x82 => Opcode::Binary,
        0x88 => Opcode::Close,
        0x89 => Opcode::Ping,
        0x8a => Opcode::Pong,
        _ => return Err(WireError(format!("a frame that begins with {first:#x}"))),
    };
    let end = usize::try_from(len).map_or(usize::MAX, |len| len.saturating_add(header));
    Ok(input.get(header..end).map(|payload| (Frame { opcode, payload }, end)))
}

impl Opcode {
    const fn bits(self) -> u8 {
        match self {
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xa,
        }
    }
}

impl Frame<'_> {
    /// The answer to a ping.
    pub(super) fn pong(&self) -> Vec<u8> {
        frame(Opcode::Pong, self.payload)
    }

    /// Code and reason of a close frame.
    pub(super) fn close_reason(&self) -> String {
        let Some((code, reason)) = self.payload.split_first_chunk() else {
            return "closed without a code".to_owned();
        };
        format!("closed: {} {}", u16::from_be_bytes(*code), String::from_utf8_lossy(reason))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A short text frame of a server.
    pub(in crate::wire) fn served(payload: &[u8]) -> Vec<u8> {
        [&[0x81, payload.len() as u8], payload].concat()
    }

    /// What a server makes of a client's frame.
    pub(in crate::wire) fn unmasked(mut frame: Vec<u8>) -> Vec<u8> {
        frame[1] ^= MASKED;
        let header = [2, 4, 10][usize::from(frame[1].saturating_sub(125))];
        let mask: Vec<u8> = frame.drain(header..header + 4).collect();
        for (index, byte) in frame[header..].iter_mut().enumerate() {
            *byte ^= mask[index % 4];
        }
        frame
    }

    proptest! {
        #[test]
        fn a_frame_comes_out_as_it_went_in(payload in proptest::collection::vec(any::<u8>(), 0..300), before in 0usize..9) {
            let mut out = vec![0; before];
            push_frame(Opcode::Binary, &mut out, |out| out.extend_from_slice(&payload));
            let frame = unmasked(out.split_off(before));
            let expected = (Frame { opcode: Opcode::Binary, payload: &payload }, frame.len());
            prop_assert_eq!(first_frame(&frame).unwrap(), Some(expected));
            for part in 0..frame.len() {
                prop_assert!(first_frame(&frame[..part]).unwrap().is_none());
            }
        }
    }

    #[test]
    fn lengths_take_one_three_or_nine_bytes() {
        for (len, header) in [(125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let mut out = Vec::new();
            push_frame(Opcode::Text, &mut out, |out| out.resize(len, b'x'));
            let frame = unmasked(out);
            assert_eq!(frame.len(), header + len);
            let (frame, _) = first_frame(&frame).unwrap().unwrap();
            assert!(frame.payload.iter().all(|byte| *byte == b'x') && frame.payload.len() == len);
        }
    }

    #[test]
    fn fragments_and_masked_frames_are_refused() {
        assert!(first_frame(&[0x01, 1, b'x']).is_err());
        assert!(first_frame(&[0x80, 1, b'x']).is_err());
        assert!(first_frame(&[0x81, 0x81, 0, 0, 0, 0, b'x']).is_err());
    }

    #[test]
    fn an_upgrade_is_over_with_its_head() {
        assert_eq!(upgraded(b"HTTP/1.1 101 Switching Protocols\r\n").unwrap(), None);
        assert_eq!(upgraded(b"HTTP/1.1 101 Yes\r\n\r\n\x81").unwrap(), Some(20));
        assert!(upgraded(b"HTTP/1.1 401 Unauthorized\r\n\r\n").is_err());
    }

    #[test]
    fn a_ping_has_its_answer() {
        let ping = Frame { opcode: Opcode::Ping, payload: b"abc" };
        assert_eq!(unmasked(ping.pong()), b"\x8a\x03abc");
    }
}
