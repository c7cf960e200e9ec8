//! A tape of bytes: texts are added at its end, and leave at its beginning. What a text costs is its length,
//! and a share of the piece that it lies in.

use std::collections::VecDeque;

/// Bytes of a piece. Longer texts have one of their own.
const PIECE: usize = 32 << 10;

/// Of so many pieces one more is kept that is empty, to be filled next.
const PIECES_PER_SPARE: usize = 64;

/// What is in front of a text: its length.
const HEADER: usize = size_of::<u32>();

#[derive(Debug, Default)]
pub(crate) struct Tape {
    /// One behind the other, without gaps. The last one is added to.
    pieces: VecDeque<Piece>,
    /// Of a long tape as much is added as leaves: memory that goes back to the system in between costs more
    /// than to fill it.
    spare: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Piece {
    /// The place of its first byte.
    start: usize,
    bytes: Vec<u8>,
}

impl Tape {
    /// Adds the text that is written, about `length` bytes, and says where it is. Places count from the
    /// beginning of the tape, also when that is gone.
    pub(crate) fn push(&mut self, length: usize, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        let place = self.end();
        let length = HEADER + length;
        match self.pieces.back_mut() {
            Some(piece) if piece.bytes.len() + length <= PIECE => piece.push(write),
            // It is likely to be filled.
            Some(_) => self.add_piece(place, length.max(PIECE)).push(write),
            // Most tapes have little on them.
            None => {
                self.pieces.reserve_exact(1);
                let piece = self.add_piece(place, length);
                piece.push(write);
                piece.bytes.shrink_to_fit();
            }
        }
        place
    }

    fn add_piece(&mut self, start: usize, capacity: usize) -> &mut Piece {
        let spare = self.spare.pop_if(|spare| spare.capacity() == capacity);
        let bytes = spare.unwrap_or_else(|| Vec::with_capacity(capacity));
        self.pieces.push_back_mut(Piece { start, bytes })
    }

    /// The place behind the last text.
    pub(crate) fn end(&self) -> usize {
        self.pieces.back().map_or(0, |piece| piece.start + piece.bytes.len())
    }

    /// The text at this place; empty if there is none.
    pub(crate) fn text(&self, place: usize) -> &[u8] {
        let behind = self.pieces.partition_point(|piece| piece.start <= place);
        let piece = behind.checked_sub(1).and_then(|at| self.pieces.get(at));
        piece.and_then(|piece| piece.text(place)).unwrap_or_default()
    }

    /// Lets go of everything before `place`, where a text begins or the tape ends.
    pub(crate) fn release(&mut self, place: usize) {
        while self.pieces.len() > 1
            && let Some(Piece { mut bytes, .. }) =
                self.pieces.pop_front_if(|first| first.end() <= place)
        {
            bytes.clear();
            if bytes.capacity() == PIECE {
                self.spare.push(bytes);
            }
        }
        self.spare.truncate(self.pieces.len() / PIECES_PER_SPARE);
        if self.pieces.len() == 1
            && let Some(piece) = self.pieces.front_mut()
        {
            piece.release(place);
        }
    }
}

impl Piece {
    fn end(&self) -> usize {
        self.start + self.bytes.len()
    }

    fn text(&self, place: usize) -> Option<&[u8]> {
        let (length, rest) = self.bytes.get(place - self.start..)?.split_first_chunk()?;
        rest.get(..u32::from_le_bytes(*length) as usize)
    }

    fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let header = self.bytes.len();
        self.bytes.extend_from_slice(&[0; HEADER]);
        write(&mut self.bytes);
        // It has come in one frame, which is far shorter than 4 GiB.
        let length = u32::try_from(self.bytes.len() - header - HEADER).unwrap_or(u32::MAX);
        if let Some(place) = self.bytes.get_mut(header..).and_then(|text| text.first_chunk_mut()) {
            *place = length.to_le_bytes();
        }
    }

    /// Once it is worth moving what stays.
    fn release(&mut self, place: usize) {
        let gone = place.saturating_sub(self.start).min(self.bytes.len());
        if gone > self.bytes.len() / 2 {
            self.bytes.drain(..gone);
            self.bytes.shrink_to(self.bytes.len() * 2);
            self.start += gone;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn capacity(tape: &Tape) -> usize {
        let used = tape.pieces.iter().map(|piece| &piece.bytes);
        used.chain(&tape.spare).map(Vec::capacity).sum()
    }

    #[test]
    fn a_tape_with_one_text_takes_its_length() {
        let mut tape = Tape::default();
        tape.push(64, |to| to.extend(b"text"));
        assert_eq!((capacity(&tape), tape.pieces.capacity()), (8, 1));
    }

    #[test]
    fn a_tape_of_which_little_is_left_takes_little() {
        let mut tape = Tape::default();
        let mut places: VecDeque<usize> =
            (0..10_000).map(|_| tape.push(100, |to| to.extend([1; 100]))).collect();
        for _ in 0..10_000 {
            places.pop_front();
            tape.release(*places.front().unwrap_or(&tape.end()));
            assert!(capacity(&tape) <= places.len() * 104 * 66 / 64 + 2 * PIECE);
        }
        for _ in 0..1_000 {
            places.push_back(tape.push(100, |to| to.extend([1; 100])));
            if places.len() > 10 {
                places.pop_front();
                tape.release(places[0]);
            }
        }
        assert!(capacity(&tape) <= 6 * 10 * 104, "{}", capacity(&tape));
    }

    #[test]
    fn a_long_tape_is_filled_from_what_left_it() {
        let mut tape = Tape::default();
        let text = [1; PIECE - HEADER];
        (0..129).for_each(|_| _ = tape.push(text.len(), |to| to.extend(text)));
        tape.release(3 * PIECE);
        let gone = tape.spare.first().map(|spare| spare.as_ptr());
        assert_eq!(tape.spare.len(), 1);
        tape.push(text.len(), |to| to.extend(text));
        assert_eq!(tape.pieces.back().map(|piece| piece.bytes.as_ptr()), gone);
        assert!(tape.spare.is_empty() && tape.text(3 * PIECE) == text);
    }

    proptest! {
        #[test]
        fn texts_are_there_until_they_are_released(
            steps in prop::collection::vec(
                (0_usize..3, 0_usize..PIECE + 9, 0_usize..500, 0_usize..9), 0..300,
            ),
        ) {
            let mut tape = Tape::default();
            let mut texts: VecDeque<(usize, Vec<u8>)> = VecDeque::new();
            for (number, (size, length, estimated, released)) in steps.into_iter().enumerate() {
                let text = vec![number.to_le_bytes()[0]; length >> (4 * size)];
                let place = tape.push(estimated, |to| to.extend(&text));
                texts.push_back((place, text));
                if number % 3 == 0 {
                    texts.drain(..released.min(texts.len()));
                    tape.release(texts.front().map_or(tape.end(), |(place, _)| *place));
                }
                for (place, text) in &texts {
                    prop_assert_eq!(tape.text(*place), text);
                }
            }
        }
    }
}
