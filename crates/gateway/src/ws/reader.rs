//! Incoming frames, strictly: bytes in any split go in, whole messages or the first violation come out.
//!
//! Sans-IO: the caller owns the socket and the buffer it reads into, where a message that has come whole is
//! unmasked and stays. Nothing is allocated between messages; while one is incomplete, what has come of it is
//! kept and nothing more. The limit is checked against the frame header, before a byte of payload is kept.
//! Text is validated as it comes, so that invalid UTF-8 fails at the byte that makes it invalid.
//!
//! After a violation or a close message the reader is of no further use: feed it no more.

use std::borrow::Cow;

use super::frame::{CloseCode, Frame, MAX_CONTROL_PAYLOAD};

/// Longest client frame header: two bytes, a 64-bit length and the mask.
const MAX_HEADER: usize = 14;

/// A whole message, or a control frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    Text(Cow<'a, str>),
    Binary(Cow<'a, [u8]>),
    /// With the code, if it has one.
    Close(Option<CloseCode>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
    Continuation,
    Close,
    Ping,
    Pong,
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
    kind: Kind,
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
                Kind::Text | Kind::Binary | Kind::Continuation => self.take_data(&head, chunk)?,
                Kind::Close => match self.take_control(&head, chunk) {
                    Some(payload) => Some(Message::Close(read_close(&payload)?)),
                    None => None,
                },
                Kind::Ping => self.take_control(&head, chunk).map(Message::Ping),
                Kind::Pong => self.take_control(&head, chunk).map(Message::Pong),
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
            (Kind::Close | Kind::Ping | Kind::Pong, _) => return Ok(()),
            (Kind::Text | Kind::Binary, None) => 0,
            (Kind::Text | Kind::Binary, Some(_)) => return Err(Violation::Unfinished),
            (Kind::Continuation, Some(message)) => message.data.len(),
            (Kind::Continuation, None) => return Err(Violation::NothingToContinue),
        };
        if so_far.saturating_add(head.remaining) > self.max_message {
            return Err(Violation::TooBig);
        }
        Ok(())
    }

    /// The payload of a control frame, once it is all there.
    fn take_control(&mut self, head: &Head, chunk: &[u8]) -> Option<Vec<u8>> {
        append_unmasked(&mut self.control, chunk, head.mask);
        (head.remaining == 0).then(|| std::mem::take(&mut self.control))
    }

    fn take_data<'a>(
        &mut self,
        head: &Head,
        chunk: &'a mut [u8],
    ) -> Result<Option<Message<'a>>, Violation> {
        let is_last = head.remaining == 0 && head.fin;
        let mut message = match self.message.take() {
            None if is_last => {
                unmask(chunk, head.mask);
                return whole(head.kind, chunk).map(Some);
            }
            None => Partial::with_capacity(head.kind, chunk.len()),
            Some(message) => message,
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
        if let Kind::Close | Kind::Ping | Kind::Pong = kind {
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
            0x1 => Ok(Self::Text),
            0x2 => Ok(Self::Binary),
            0x8 => Ok(Self::Close),
            0x9 => Ok(Self::Ping),
            0xa => Ok(Self::Pong),
            _ => Err(Violation::UnknownOpcode),
        }
    }
}

impl Partial {
    fn with_capacity(kind: Kind, bytes: usize) -> Self {
        Self { kind, data: Vec::with_capacity(bytes), valid: 0 }
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
        if self.kind != Kind::Text {
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
        if self.kind != Kind::Text {
            return Ok(Message::Binary(self.data.into()));
        }
        match String::from_utf8(self.data) {
            Ok(text) => Ok(Message::Text(text.into())),
            Err(_) => Err(Violation::Utf8),
        }
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

/// Nothing, or a code that may be sent and a reason.
fn read_close(payload: &[u8]) -> Result<Option<CloseCode>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(None) } else { Err(Violation::Close) };
    };
    let code = CloseCode(u16::from_be_bytes(*code));
    if !code.may_be_sent() {
        return Err(Violation::Close);
    }
    std::str::from_utf8(reason).map(|_| Some(code)).map_err(|_invalid| Violation::Utf8)
}

/// A message that has come with one frame, in one piece.
fn whole(kind: Kind, payload: &[u8]) -> Result<Message<'_>, Violation> {
    if kind != Kind::Text {
        return Ok(Message::Binary(payload.into()));
    }
    match simdutf8::basic::from_utf8(payload) {
        Ok(text) => Ok(Message::Text(text.into())),
        Err(_) => Err(Violation::Utf8),
    }
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
