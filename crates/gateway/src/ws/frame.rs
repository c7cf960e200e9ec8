//! Outgoing frames: the 2–10 header bytes inline, the payload shared.
//!
//! A frame that goes to many connections is built once and cloned: the payload is never copied.
//! Server frames are never masked, never fragmented, and carry no extension bits.

use bytes::Bytes;

/// Longest payload of a control frame (RFC 6455, 5.5).
pub(super) const MAX_CONTROL_PAYLOAD: usize = 125;

/// Longest server frame header: two bytes and a 64-bit length.
const MAX_HEADER: usize = 10;

/// What a frame or a reassembled message is. Continuations are the reader's affair.
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

/// One frame, ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    header: [u8; MAX_HEADER],
    header_len: u8,
    payload: Bytes,
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
    pub fn text(payload: Bytes) -> Self {
        Self::new(Opcode::Text, payload)
    }

    pub fn binary(payload: Bytes) -> Self {
        Self::new(Opcode::Binary, payload)
    }

    /// A ping; what does not fit into a control frame is cut off.
    pub fn ping(payload: Bytes) -> Self {
        Self::control(Opcode::Ping, payload)
    }

    /// A pong; what does not fit into a control frame is cut off.
    pub fn pong(payload: Bytes) -> Self {
        Self::control(Opcode::Pong, payload)
    }

    /// A close frame with a code and a reason, cut at a character boundary to what fits.
    pub fn close(code: CloseCode, reason: &str) -> Self {
        let room = reason.floor_char_boundary(MAX_CONTROL_PAYLOAD - size_of::<u16>());
        let reason = reason.get(..room).unwrap_or_default();
        Self::control(Opcode::Close, [&code.0.to_be_bytes(), reason.as_bytes()].concat().into())
    }

    /// A close frame without a code: the answer to one without a code.
    pub fn close_without_code() -> Self {
        Self::control(Opcode::Close, Bytes::new())
    }

    pub fn header(&self) -> &[u8] {
        self.header.get(..usize::from(self.header_len)).unwrap_or_default()
    }

    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Bytes on the wire, header included.
    pub(super) fn wire_len(&self) -> usize {
        usize::from(self.header_len) + self.payload.len()
    }

    fn control(opcode: Opcode, mut payload: Bytes) -> Self {
        payload.truncate(MAX_CONTROL_PAYLOAD);
        Self::new(opcode, payload)
    }

    fn new(opcode: Opcode, payload: Bytes) -> Self {
        let first = 0x80 | opcode.bits();
        let mut header = [0; MAX_HEADER];
        let header_len = match payload.len() {
            len @ 0..=125 => {
                header[..2].copy_from_slice(&[first, len as u8]);
                2
            }
            len @ 126..=0xffff => {
                header[..2].copy_from_slice(&[first, 126]);
                header[2..4].copy_from_slice(&(len as u16).to_be_bytes());
                4
            }
            len => {
                header[..2].copy_from_slice(&[first, 127]);
                header[2..].copy_from_slice(&(len as u64).to_be_bytes());
                10
            }
        };
        Self { header, header_len, payload }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header_of(len: usize) -> Vec<u8> {
        Frame::binary(vec![0; len].into()).header().to_vec()
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
        assert_eq!(Frame::text(Bytes::from_static(b"hi")).header(), [0x81, 2]);
        assert_eq!(Frame::ping(Bytes::new()).header(), [0x89, 0]);
        assert_eq!(Frame::pong(Bytes::new()).header(), [0x8a, 0]);
        assert_eq!(Frame::close_without_code().header(), [0x88, 0]);
    }

    #[test]
    fn a_close_reason_is_cut_between_characters_to_fit_a_control_frame() {
        let frame = Frame::close(CloseCode::TOO_BIG, &"é".repeat(100));
        assert_eq!(frame.header(), [0x88, 124]);
        assert_eq!(frame.payload()[..2], [0x03, 0xf1]);
        assert_eq!(frame.payload()[2..], *"é".repeat(61).as_bytes());
    }

    #[test]
    fn a_clone_shares_the_payload() {
        let frame = Frame::text(Bytes::from(vec![b'x'; 300]));
        assert_eq!(frame.clone().payload().as_ptr(), frame.payload().as_ptr());
    }

    #[test]
    fn an_oversized_ping_still_is_a_control_frame() {
        assert_eq!(Frame::ping(vec![0; 200].into()).header(), [0x89, 125]);
    }
}
