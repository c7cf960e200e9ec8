//! The wire of the programs that take requests and answer each: WebSocket frames without a handshake.
//!
//! A request is a masked binary frame whose payload begins with an 8-byte sequence number; a reply is
//! an unmasked binary frame of 43 bytes, about the size of an ACK, that begins with the same number.
//! Payloads are unmasked and not looked at.

use crate::sockets::{Id, Sockets};

/// What a reply repeats of its request.
pub type Sequence = [u8; 8];

const REPLY_PAYLOAD: usize = 43;
const REPLY_HEADER: [u8; 2] = [BINARY, REPLY_PAYLOAD as u8];
const REPLY: usize = REPLY_HEADER.len() + REPLY_PAYLOAD;

/// The first byte of a binary frame that is a whole message.
const BINARY: u8 = 0x82;
const MASKED: u8 = 0x80;

/// A frame that is no request: not binary, not whole, not masked, or without a sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Malformed;

/// Reads a connection once, and hands over each request that is whole: its number and its payload.
pub fn receive<T>(
    sockets: &mut Sockets<T>,
    id: Id,
    buffer: &mut [u8],
    mut take: impl FnMut(&mut Sockets<T>, Sequence, &[u8]),
) {
    let Some(mut input) = sockets.read(id, buffer) else { return };
    loop {
        match next_request(&mut input) {
            Ok(Some((sequence, payload))) => take(sockets, sequence, payload),
            Ok(None) => return sockets.keep(id, input),
            Err(Malformed) => return sockets.close(id),
        }
    }
}

/// The reply to a request.
pub fn reply(sequence: Sequence) -> [u8; REPLY] {
    let mut frame = [b'.'; REPLY];
    let parts = REPLY_HEADER.iter().chain(&sequence);
    frame.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
    frame
}

/// Adds a payload to `records`, behind its length.
pub fn record(records: &mut Vec<u8>, payload: &[u8]) {
    // A payload has come through the read buffer, which is far smaller than 4 GiB.
    records.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    records.extend_from_slice(payload);
}

/// Takes a request off the front, and unmasks it.
fn next_request<'i>(
    input: &mut &'i mut [u8],
) -> Result<Option<(Sequence, &'i mut [u8])>, Malformed> {
    let Some((header, length, mask)) = parse_header(input)? else { return Ok(None) };
    if input.len() - header < length {
        return Ok(None);
    }
    let (request, rest) = std::mem::take(input).split_at_mut(header + length);
    *input = rest;
    let payload = request.get_mut(header..).unwrap_or_default();
    unmask(payload, mask);
    let sequence = payload.first_chunk().copied().ok_or(Malformed)?;
    Ok(Some((sequence, payload)))
}

/// The lengths of header and payload, and the mask.
fn parse_header(input: &[u8]) -> Result<Option<(usize, usize, [u8; 4])>, Malformed> {
    let [first, second, rest @ ..] = input else { return Ok(None) };
    if *first != BINARY || second & MASKED == 0 {
        return Err(Malformed);
    }
    let (length, rest) = match second & !MASKED {
        126 => {
            let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (u64::from(u16::from_be_bytes(*length)), rest)
        }
        127 => {
            let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (u64::from_be_bytes(*length), rest)
        }
        length => (u64::from(length), rest),
    };
    let Some((mask, rest)) = rest.split_first_chunk() else { return Ok(None) };
    let length = usize::try_from(length).map_err(|_too_long| Malformed)?;
    Ok(Some((input.len() - rest.len(), length, *mask)))
}

/// Eight bytes at a time.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    fn request(header: &[u8], payload: &[u8]) -> Vec<u8> {
        let masked = payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key);
        header.iter().copied().chain(MASK).chain(masked).collect()
    }

    fn read(mut bytes: Vec<u8>) -> Result<Option<(Sequence, Vec<u8>)>, Malformed> {
        let read = next_request(&mut bytes.as_mut_slice())?;
        Ok(read.map(|(sequence, payload)| (sequence, payload.to_vec())))
    }

    #[test]
    fn each_form_of_the_length_is_read() {
        for (header, length) in [
            (vec![BINARY, MASKED | 125], 125),
            (vec![BINARY, MASKED | 126, 0, 250], 250),
            (vec![BINARY, MASKED | 127, 0, 0, 0, 0, 0, 1, 0, 1], 65_537),
        ] {
            let payload: Vec<u8> = (0..length).map(|at: u32| at.to_le_bytes()[0]).collect();
            let sequence = [0, 1, 2, 3, 4, 5, 6, 7];
            assert_eq!(read(request(&header, &payload)), Ok(Some((sequence, payload))));
        }
    }

    #[test]
    fn a_request_is_read_only_when_it_is_whole() {
        let whole = request(&[BINARY, MASKED | 126, 0, 250], &[7; 250]);
        for end in 0..whole.len() {
            assert_eq!(read(whole[..end].to_vec()), Ok(None), "{end} bytes");
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        assert_eq!(read(vec![0x81, MASKED | 8]), Err(Malformed), "a text");
        assert_eq!(read(vec![BINARY, 8]), Err(Malformed), "unmasked");
        assert_eq!(read(request(&[BINARY, MASKED | 7], &[0; 7])), Err(Malformed), "no number");
    }

    #[test]
    fn a_reply_is_a_frame_with_the_number_of_its_request() {
        let frame = reply(*b"01234567");
        assert_eq!(frame.len(), 45);
        assert_eq!(frame[..10], *b"\x82\x2b01234567");
    }
}
