//! Outgoing frames, as they stand on the wire.
//!
//! A frame that goes to many connections is built once and cloned: its bytes are shared. Messages that
//! go out together are joined into one piece. Server frames are never masked, never fragmented, and
//! carry no extension bits.

use bytes::{BufMut, Bytes, BytesMut};

/// Longest payload of a control frame (RFC 6455, 5.5).
pub(super) const MAX_CONTROL_PAYLOAD: usize = 125;

/// Longest server frame header: two bytes and a 64-bit length.
const MAX_HEADER: usize = 10;

/// What a frame is. None that goes out is continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

/// A close code as it stands on the wire (RFC 6455, 7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCode(pub u16);

/// One frame, several that belong together, or the rest of them, ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame(Bytes);

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

impl CloseCode {
    pub const NORMAL: Self = Self(1000);
    pub const GOING_AWAY: Self = Self(1001);
    pub const PROTOCOL_ERROR: Self = Self(1002);
    pub const INVALID_DATA: Self = Self(1007);
    pub const POLICY: Self = Self(1008);
    pub const TOO_BIG: Self = Self(1009);
    pub const INTERNAL_ERROR: Self = Self(1011);

    /// Whether an endpoint may send it: registered and not reserved for local use, or private.
    pub(super) const fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl Frame {
    pub fn text(payload: &[u8]) -> Self {
        Self::messages(Opcode::Text, &[payload])
    }

    pub fn binary(payload: &[u8]) -> Self {
        Self::messages(Opcode::Binary, &[payload])
    }

    /// A frame for each payload.
    pub fn messages<T: AsRef<[u8]>>(opcode: Opcode, payloads: &[T]) -> Self {
        let bytes: usize = payloads.iter().map(|payload| MAX_HEADER + payload.as_ref().len()).sum();
        let mut wire = BytesMut::with_capacity(bytes);
        for payload in payloads {
            put(&mut wire, opcode, payload.as_ref());
        }
        Self(wire.freeze())
    }

    /// A ping; what does not fit into a control frame is cut off.
    pub fn ping(payload: &[u8]) -> Self {
        Self::control(Opcode::Ping, payload)
    }

    /// A pong; what does not fit into a control frame is cut off.
    pub fn pong(payload: &[u8]) -> Self {
        Self::control(Opcode::Pong, payload)
    }

    /// A close frame with a code and a reason, cut at a character boundary to what fits.
    pub fn close(code: CloseCode, reason: &str) -> Self {
        let room = reason.floor_char_boundary(MAX_CONTROL_PAYLOAD - size_of::<u16>());
        let reason = reason.get(..room).unwrap_or_default();
        Self::control(Opcode::Close, &[&code.0.to_be_bytes(), reason.as_bytes()].concat())
    }

    /// A close frame without a code: the answer to one without a code.
    pub fn close_without_code() -> Self {
        Self::control(Opcode::Close, &[])
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// What is left when the first `written` bytes are on the wire.
    pub(super) fn behind(&self, written: usize) -> Self {
        Self(self.0.get(written..).map(|rest| self.0.slice_ref(rest)).unwrap_or_default())
    }

    fn control(opcode: Opcode, payload: &[u8]) -> Self {
        let payload = payload.get(..MAX_CONTROL_PAYLOAD).unwrap_or(payload);
        Self::messages(opcode, &[payload])
    }
}

fn put(wire: &mut BytesMut, opcode: Opcode, payload: &[u8]) {
    wire.put_u8(0x80 | opcode.bits());
    match payload.len() {
        len @ 0..=125 => wire.put_u8(len as u8),
        len @ 126..=0xffff => {
            wire.put_u8(126);
            wire.put_u16(len as u16);
        }
        len => {
            wire.put_u8(127);
            wire.put_u64(len as u64);
        }
    }
    wire.put_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header_of(len: usize) -> Vec<u8> {
        let frame = Frame::binary(&vec![0; len]);
        frame.as_bytes()[..frame.len() - len].to_vec()
    }

    #[test]
    fn the_length_takes_as_few_bytes_as_possible() {
        assert_eq!(header_of(0), [0x82, 0]);
        assert_eq!(header_of(125), [0x82, 125]);
        assert_eq!(header_of(126), [0x82, 126, 0, 126]);
        assert_eq!(header_of(65_535), [0x82, 126, 0xff, 0xff]);
        assert_eq!(header_of(65_536), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn each_opcode_has_its_golden_header() {
        assert_eq!(Frame::text(b"hi").as_bytes(), b"\x81\x02hi");
        assert_eq!(Frame::ping(&[]).as_bytes(), [0x89, 0]);
        assert_eq!(Frame::pong(&[]).as_bytes(), [0x8a, 0]);
        assert_eq!(Frame::close_without_code().as_bytes(), [0x88, 0]);
    }

    #[test]
    fn messages_are_joined_each_in_its_frame() {
        let joined = Frame::messages(Opcode::Text, &[b"one".as_slice(), b"", b"three"]);
        assert_eq!(joined.as_bytes(), b"\x81\x03one\x81\x00\x81\x05three");
        assert_eq!(joined.behind(5).as_bytes(), b"\x81\x00\x81\x05three");
    }

    #[test]
    fn a_close_reason_is_cut_between_characters_to_fit_a_control_frame() {
        let frame = Frame::close(CloseCode::TOO_BIG, &"é".repeat(100));
        let (header, payload) = frame.as_bytes().split_at(2);
        assert_eq!(header, [0x88, 124]);
        assert_eq!(payload[..2], [0x03, 0xf1]);
        assert_eq!(payload[2..], *"é".repeat(61).as_bytes());
    }

    #[test]
    fn a_clone_shares_the_bytes() {
        let frame = Frame::text(&[b'x'; 300]);
        assert_eq!(frame.clone().as_bytes().as_ptr(), frame.as_bytes().as_ptr());
    }

    #[test]
    fn an_oversized_ping_still_is_a_control_frame() {
        assert_eq!(Frame::ping(&[0; 200]).as_bytes()[..2], [0x89, 125]);
    }
}
