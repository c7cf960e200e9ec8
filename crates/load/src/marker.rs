//! What a payload begins with: which message of which stream it is, and when it was to be sent.
//!
//! `~`, sixteen letters for stream and sequence, sixteen for the time, `~`. One letter from `a` to `p`
//! stands for four bits, so no format escapes anything, and a marker is read eight bytes at a time.

/// Bytes of a marker; a payload is at least as long.
pub(crate) const LEN: usize = 34;
const EDGE: u8 = b'~';
/// Bits of the sequence within its word; the stream has those above.
const SEQUENCE_BITS: u32 = 44;
/// Streams of one run: as many as the bits above the sequence can name.
pub(crate) const STREAMS_MAX: u32 = 1 << (u64::BITS - SEQUENCE_BITS);
const LETTERS: u64 = 0x6161_6161_6161_6161;

/// Streams are numbered from 0, and so are the messages of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) stream: u32,
    pub(crate) sequence: u64,
    /// When the message was to be sent: nanoseconds of the engine's clock.
    pub(crate) sent: u64,
}

impl Marker {
    /// The payload of `len` bytes that begins with this marker.
    pub(crate) fn write(self, payload: &mut [u8]) {
        let mut text = [EDGE; LEN];
        let name = (u64::from(self.stream) << SEQUENCE_BITS) | self.sequence;
        let digits = name.to_be_bytes().into_iter().chain(self.sent.to_be_bytes());
        let letters = digits.flat_map(|byte| [b'a' + (byte >> 4), b'a' + (byte & 0xf)]);
        for (place, letter) in text.iter_mut().skip(1).zip(letters) {
            *place = letter;
        }
        if let Some(place) = payload.first_chunk_mut() {
            *place = text;
        }
    }

    fn read(text: &[u8; LEN]) -> Option<Self> {
        let (words, _) = text[1..LEN - 1].as_chunks::<8>();
        let &[a, b, c, d] = words.first_chunk()?;
        let name = (bits(a)? << 32) | bits(b)?;
        let sent = (bits(c)? << 32) | bits(d)?;
        let sequence = name & ((1 << SEQUENCE_BITS) - 1);
        let stream = u32::try_from(name >> SEQUENCE_BITS).ok()?;
        (text[LEN - 1] == EDGE).then_some(Self { stream, sequence, sent })
    }
}

/// The markers in a frame that carries payloads of `payload` bytes each.
pub(crate) fn markers(frame: &[u8], payload: usize) -> impl Iterator<Item = Marker> {
    let mut rest = frame;
    std::iter::from_fn(move || {
        while rest.len() >= payload {
            let at = memchr::memchr(EDGE, rest)?;
            rest = rest.get(at..)?;
            if let Some(marker) = rest.first_chunk().and_then(Marker::read) {
                rest = rest.get(payload..).unwrap_or_default();
                return Some(marker);
            }
            rest = rest.get(1..)?;
        }
        None
    })
}

/// The 32 bits that eight letters stand for.
fn bits(letters: [u8; 8]) -> Option<u64> {
    let nibbles = u64::from_be_bytes(letters).wrapping_sub(LETTERS);
    if nibbles & 0xf0f0_f0f0_f0f0_f0f0 != 0 {
        return None;
    }
    let bytes = (nibbles | nibbles >> 4) & 0x00ff_00ff_00ff_00ff;
    let pairs = (bytes | bytes >> 8) & 0x0000_ffff_0000_ffff;
    Some((pairs | pairs >> 16) & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn payload(marker: Marker, len: usize) -> Vec<u8> {
        let mut payload = vec![b'.'; len];
        marker.write(&mut payload);
        payload
    }

    #[test]
    fn a_marker_has_its_golden_text() {
        let marker = Marker { stream: 0x12, sequence: 0x34, sent: 0xabc };
        assert_eq!(payload(marker, LEN), b"~aaabcaaaaaaaaadeaaaaaaaaaaaaaklm~");
    }

    proptest! {
        #[test]
        fn markers_are_found_wherever_they_stand(
            messages in proptest::collection::vec((0..STREAMS_MAX, 0u64..1 << SEQUENCE_BITS, any::<u64>()), 0..5),
            len in LEN..200,
            between in "[ -}]{0,60}",
        ) {
            let expected: Vec<_> = messages
                .into_iter()
                .map(|(stream, sequence, sent)| Marker { stream, sequence, sent })
                .collect();
            let mut frame = between.clone().into_bytes();
            for marker in &expected {
                frame.extend(payload(*marker, len));
                frame.extend(between.bytes());
            }
            prop_assert_eq!(markers(&frame, len).collect::<Vec<_>>(), expected);
        }

        #[test]
        fn what_is_no_marker_is_passed_over(mut frame in proptest::collection::vec(any::<u8>(), 0..300)) {
            let marker = Marker { stream: 1, sequence: 2, sent: 3 };
            frame.extend([EDGE; 3]);
            frame.extend(payload(marker, LEN));
            prop_assert!(markers(&frame, LEN).any(|found| found == marker));
        }
    }
}
