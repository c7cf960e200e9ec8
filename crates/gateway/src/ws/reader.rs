//! Incoming frames, strictly: bytes in any split go in, whole messages or the first violation come out.
//!
//! Sans-IO: the caller owns the socket and the buffer it reads into, where a message that has come whole is
//! unmasked and stays. Nothing is allocated between messages; while one is incomplete, what has come of it is
//! kept and nothing more. The limit is checked against the frame header, before a byte of payload is kept.
//! Text is validated as it comes, so that invalid UTF-8 fails at the byte that makes it invalid.
//!
//! After a violation or a close message the reader is of no further use: feed it no more.

use std::borrow::Cow;

use super::frame::{CloseCode, Frame, MAX_CONTROL_PAYLOAD, Opcode};

/// Longest client frame header: two bytes, a 64-bit length and the mask.
const MAX_HEADER: usize = 14;

/// A whole message, or a control frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// A `Text` payload is valid UTF-8; a `Close` payload is empty or a valid code and reason.
    pub opcode: Opcode,
    pub payload: Cow<'a, [u8]>,
}

/// What the peer did wrong; the text becomes the reason in the close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    #[error("reserved bits are set without an extension")]
    ReservedBits,
    #[error("unknown opcode")]
    UnknownOpcode,
    #[error("client frames must be masked")]
    Unmasked,
    #[error("the length is not in its shortest form")]
    Length,
    #[error("control frames must not be fragmented")]
    FragmentedControl,
    #[error("control frames carry at most 125 bytes")]
    LongControl,
    #[error("a continuation without a message to continue")]
    NothingToContinue,
    #[error("a new message inside a fragmented one")]
    Unfinished,
    #[error("malformed close frame")]
    Close,
    #[error("text is not UTF-8")]
    Utf8,
    #[error("the message is over the size limit")]
    TooBig,
}

/// The reader of one connection.
#[derive(Debug)]
pub struct Reader {
    max_message: usize,
    /// The beginning of a frame header that is incomplete.
    header: [u8; MAX_HEADER],
    header_len: u8,
    /// The frame whose payload is incomplete.
    frame: Option<Head>,
    /// The text or binary message that is incomplete.
    message: Option<Partial>,
    /// Payload of an incomplete control frame, which may stand between the frames of a message.
    control: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    First(Opcode),
    Continuation,
    Control(Opcode),
}

#[derive(Clone, Copy, Debug)]
struct Head {
    kind: Kind,
    fin: bool,
    /// Rotated with each piece of payload, so that it always applies to the next byte.
    mask: [u8; 4],
    remaining: usize,
}

#[derive(Debug)]
struct Partial {
    opcode: Opcode,
    data: Vec<u8>,
    /// How much of a text is known to be UTF-8: all but an unfinished last character.
    valid: usize,
}

impl Violation {
    pub fn code(self) -> CloseCode {
        match self {
            Self::Utf8 => CloseCode::INVALID_DATA,
            Self::TooBig => CloseCode::TOO_BIG,
            Self::ReservedBits
            | Self::UnknownOpcode
            | Self::Unmasked
            | Self::Length
            | Self::FragmentedControl
            | Self::LongControl
            | Self::NothingToContinue
            | Self::Unfinished
            | Self::Close => CloseCode::PROTOCOL_ERROR,
        }
    }

    /// The close frame that answers it.
    pub fn frame(self) -> Frame {
        Frame::close(self.code(), &self.to_string())
    }
}

impl Message<'_> {
    /// The code in a close message, if it has one.
    pub fn close_code(&self) -> Option<CloseCode> {
        self.payload.first_chunk().map(|code| CloseCode(u16::from_be_bytes(*code)))
    }
}

impl Reader {
    /// A reader that refuses messages of more than `max_message` bytes.
    pub const fn new(max_message: usize) -> Self {
        Self {
            max_message,
            header: [0; MAX_HEADER],
            header_len: 0,
            frame: None,
            message: None,
            control: Vec::new(),
        }
    }

    /// Takes bytes off the front of `input` up to the end of the next message; `None` once all is taken.
    pub fn next<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Message<'a>>, Violation> {
        loop {
            let mut head = match self.frame.take() {
                Some(head) => head,
                None => {
                    let Some(head) = self.take_header(input)? else { return Ok(None) };
                    self.admit(&head)?;
                    head
                }
            };
            let chunk = take_front(input, head.remaining);
            let length = chunk.len();
            head.remaining -= length;
            let done = match head.kind {
                Kind::Control(opcode) => self.take_control(opcode, &head, chunk)?,
                Kind::First(_) | Kind::Continuation => self.take_data(&head, chunk)?,
            };
            if done.is_some() {
                return Ok(done);
            }
            if head.remaining > 0 {
                head.mask.rotate_left(length % 4);
                self.frame = Some(head);
                return Ok(None);
            }
        }
    }

    /// A whole frame header, from the input alone where it is all there.
    fn take_header(&mut self, input: &mut &mut [u8]) -> Result<Option<Head>, Violation> {
        if self.header_len == 0
            && let Some((head, rest)) = Head::parse(input)?
        {
            let length = input.len() - rest.len();
            take_front(input, length);
            return Ok(Some(head));
        }
        while let [byte] = take_front(input, 1) {
            if let Some(slot) = self.header.get_mut(usize::from(self.header_len)) {
                *slot = *byte;
                self.header_len += 1;
            }
            let so_far = self.header.get(..usize::from(self.header_len)).unwrap_or_default();
            if let Some((head, _)) = Head::parse(so_far)? {
                self.header_len = 0;
                return Ok(Some(head));
            }
        }
        Ok(None)
    }

    /// Checks a header against the message it belongs to, and the limit.
    fn admit(&self, head: &Head) -> Result<(), Violation> {
        let so_far = match (head.kind, &self.message) {
            (Kind::Control(_), _) | (Kind::First(_), None) => 0,
            (Kind::First(_), Some(_)) => return Err(Violation::Unfinished),
            (Kind::Continuation, Some(message)) => message.data.len(),
            (Kind::Continuation, None) => return Err(Violation::NothingToContinue),
        };
        let is_data = !matches!(head.kind, Kind::Control(_));
        if is_data && so_far.saturating_add(head.remaining) > self.max_message {
            return Err(Violation::TooBig);
        }
        Ok(())
    }

    fn take_control(
        &mut self,
        opcode: Opcode,
        head: &Head,
        chunk: &[u8],
    ) -> Result<Option<Message<'static>>, Violation> {
        append_unmasked(&mut self.control, chunk, head.mask);
        if head.remaining > 0 {
            return Ok(None);
        }
        let message = Message { opcode, payload: std::mem::take(&mut self.control).into() };
        if opcode == Opcode::Close {
            check_close(&message)?;
        }
        Ok(Some(message))
    }

    fn take_data<'a>(
        &mut self,
        head: &Head,
        chunk: &'a mut [u8],
    ) -> Result<Option<Message<'a>>, Violation> {
        let is_last = head.remaining == 0 && head.fin;
        if is_last
            && self.message.is_none()
            && let Kind::First(opcode) = head.kind
        {
            unmask(chunk, head.mask);
            return whole(opcode, chunk).map(Some);
        }
        let mut message = match (self.message.take(), head.kind) {
            (Some(message), _) => message,
            (None, Kind::First(opcode)) => Partial::with_capacity(opcode, chunk.len()),
            (None, Kind::Continuation | Kind::Control(_)) => return Ok(None),
        };
        message.reserve(chunk.len(), head, self.max_message);
        append_unmasked(&mut message.data, chunk, head.mask);
        message.validate()?;
        if !is_last {
            self.message = Some(message);
            return Ok(None);
        }
        message.finish().map(Some)
    }
}

impl Head {
    /// The header at the front of `bytes` and what follows it; `None` while it is incomplete.
    fn parse(bytes: &[u8]) -> Result<Option<(Self, &[u8])>, Violation> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(Violation::ReservedBits);
        }
        let fin = first & 0x80 != 0;
        let kind = Kind::of(first & 0x0f)?;
        if second & 0x80 == 0 {
            return Err(Violation::Unmasked);
        }
        let short = second & 0x7f;
        if let Kind::Control(_) = kind {
            if !fin {
                return Err(Violation::FragmentedControl);
            }
            if usize::from(short) > MAX_CONTROL_PAYLOAD {
                return Err(Violation::LongControl);
            }
        }
        let Some((length, rest)) = parse_length(short, rest)? else { return Ok(None) };
        let Some((mask, rest)) = rest.split_first_chunk() else { return Ok(None) };
        let remaining = usize::try_from(length).unwrap_or(usize::MAX);
        Ok(Some((Self { kind, fin, mask: *mask, remaining }, rest)))
    }
}

impl Kind {
    const fn of(bits: u8) -> Result<Self, Violation> {
        match bits {
            0x0 => Ok(Self::Continuation),
            0x1 => Ok(Self::First(Opcode::Text)),
            0x2 => Ok(Self::First(Opcode::Binary)),
            0x8 => Ok(Self::Control(Opcode::Close)),
            0x9 => Ok(Self::Control(Opcode::Ping)),
            0xa => Ok(Self::Control(Opcode::Pong)),
            _ => Err(Violation::UnknownOpcode),
        }
    }
}

impl Partial {
    fn with_capacity(opcode: Opcode, bytes: usize) -> Self {
        Self { opcode, data: Vec::with_capacity(bytes), valid: 0 }
    }

    /// Makes room for `more` bytes: doubling, but never beyond what the message can still become.
    fn reserve(&mut self, more: usize, head: &Head, max_message: usize) {
        let needed = self.data.len() + more;
        if needed <= self.data.capacity() {
            return;
        }
        let most = if head.fin { needed + head.remaining } else { max_message };
        let capacity = needed.max(most.min(2 * self.data.capacity()));
        self.data.reserve_exact(capacity - self.data.len());
    }

    fn validate(&mut self) -> Result<(), Violation> {
        if self.opcode != Opcode::Text {
            return Ok(());
        }
        match simdutf8::compat::from_utf8(self.data.get(self.valid..).unwrap_or_default()) {
            Ok(_) => self.valid = self.data.len(),
            Err(error) if error.error_len().is_none() => self.valid += error.valid_up_to(),
            Err(_) => return Err(Violation::Utf8),
        }
        Ok(())
    }

    fn finish(self) -> Result<Message<'static>, Violation> {
        if self.opcode == Opcode::Text && self.valid < self.data.len() {
            return Err(Violation::Utf8);
        }
        Ok(Message { opcode: self.opcode, payload: self.data.into() })
    }
}

/// The payload length: in place, or in the next two or eight bytes.
fn parse_length(short: u8, bytes: &[u8]) -> Result<Option<(u64, &[u8])>, Violation> {
    let (length, least, rest) = match short {
        126 => {
            let Some((long, rest)) = bytes.split_first_chunk() else { return Ok(None) };
            (u64::from(u16::from_be_bytes(*long)), 126, rest)
        }
        127 => {
            let Some((long, rest)) = bytes.split_first_chunk() else { return Ok(None) };
            (u64::from_be_bytes(*long), 0x1_0000, rest)
        }
        short => (u64::from(short), 0, bytes),
    };
    if length < least || length > i64::MAX as u64 {
        return Err(Violation::Length);
    }
    Ok(Some((length, rest)))
}

fn check_close(message: &Message<'_>) -> Result<(), Violation> {
    match (message.close_code(), message.payload.get(2..)) {
        (Some(code), Some(reason)) if code.may_be_sent() => {
            std::str::from_utf8(reason).map_err(|_invalid| Violation::Utf8).map(drop)
        }
        (None, None) if message.payload.is_empty() => Ok(()),
        _ => Err(Violation::Close),
    }
}

/// A message that has come with one frame, in one piece.
fn whole(opcode: Opcode, payload: &[u8]) -> Result<Message<'_>, Violation> {
    if opcode == Opcode::Text && simdutf8::basic::from_utf8(payload).is_err() {
        return Err(Violation::Utf8);
    }
    Ok(Message { opcode, payload: payload.into() })
}

/// Takes so many bytes off the front, or all if there are fewer.
fn take_front<'a>(input: &mut &'a mut [u8], length: usize) -> &'a mut [u8] {
    let length = length.min(input.len());
    input.split_off_mut(..length).unwrap_or_default()
}

fn append_unmasked(data: &mut Vec<u8>, chunk: &[u8], mask: [u8; 4]) {
    let start = data.len();
    data.extend_from_slice(chunk);
    unmask(data.get_mut(start..).unwrap_or_default(), mask);
}

/// Eight bytes at a time: a tenth of the cost of one at a time.
fn unmask(data: &mut [u8], mask: [u8; 4]) {
    let key = u64::from(u32::from_ne_bytes(mask));
    let key = key << 32 | key;
    let (words, tail) = data.as_chunks_mut();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ key).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(key.to_ne_bytes()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests;
