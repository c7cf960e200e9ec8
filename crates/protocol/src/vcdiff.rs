//! Deltas as VCDIFF (RFC 3284), in its default code table: what a message's payload is compared to
//! the one before it. Only encoding; clients decode.
//!
//! A delta consists of what the payload has in common with its base at both ends, and of pieces of
//! the base in between, found by the hashes of short blocks. It has one window, whose source is the
//! whole base; it does not refer to itself, and uses neither runs nor address caches. The effort
//! is linear in both lengths, whatever they contain.

/// "VCD" with high bits, version 0; no secondary compression, no code table of its own.
const HEADER: [u8; 5] = [0xd6, 0xc3, 0xc4, 0, 0];
/// The window copies from a source.
const VCD_SOURCE: u8 = 1;

/// Bytes that are looked for in the base.
const BLOCK: usize = 8;
/// Every how many bytes a block of the base is noted: anything in common that is as long as this and
/// a block is found.
const STEP: usize = 4;
/// A copy of less costs more than it saves.
const MIN_COPY: usize = 4;

const ADD: u8 = 1;
/// From an address in the source, written out.
const COPY: u8 = 19;

/// What makes `target` of `base`; none if that is not smaller.
pub fn delta(base: &[u8], target: &[u8]) -> Option<Vec<u8>> {
    // Positions are noted in 32 bits.
    u32::try_from(base.len()).ok().filter(|len| *len > 0)?;
    let prefix = long_enough(common(base.iter(), target.iter()));
    let (base_rest, target_rest) = (base.get(prefix..)?, target.get(prefix..)?);
    let suffix = long_enough(common(base_rest.iter().rev(), target_rest.iter().rev()));
    let end = target.len() - suffix;
    let mut window = Window::default();
    window.copy(0, prefix);
    window.between(base, target.get(..end)?, prefix)?;
    window.copy(base.len() - suffix, suffix);
    let delta = window.finish(base.len(), target.len());
    (delta.len() < target.len()).then_some(delta)
}

fn common<'a>(one: impl Iterator<Item = &'a u8>, other: impl Iterator<Item = &'a u8>) -> usize {
    one.zip(other).take_while(|(one, other)| one == other).count()
}

fn long_enough(len: usize) -> usize {
    if len < MIN_COPY { 0 } else { len }
}

/// The three sections of a window.
#[derive(Default)]
struct Window {
    data: Vec<u8>,
    instructions: Vec<u8>,
    addresses: Vec<u8>,
}

impl Window {
    /// Writes `target` from `start` on, which is at most its length.
    fn between(&mut self, base: &[u8], target: &[u8], start: usize) -> Option<()> {
        let blocks = if target.len() - start < BLOCK { Blocks::none() } else { Blocks::of(base) };
        let (mut written, mut at) = (start, start);
        while let Some(block) = target.get(at..)?.first_chunk() {
            let found = blocks.find(block).unwrap_or(base.len());
            let ahead = common(base.get(found..)?.iter(), target.get(at..)?.iter());
            if ahead < BLOCK {
                at += 1;
                continue;
            }
            let new = target.get(written..at)?;
            let behind = common(base.get(..found)?.iter().rev(), new.iter().rev());
            self.add(target.get(written..at - behind)?);
            self.copy(found - behind, ahead + behind);
            at += ahead;
            written = at;
        }
        self.add(target.get(written..)?);
        Some(())
    }

    fn add(&mut self, data: &[u8]) {
        if !data.is_empty() {
            self.data.extend_from_slice(data);
            // Opcodes 2 to 18 are additions of 1 to 17 bytes.
            self.instruction(ADD, 1..=17, 0, data.len());
        }
    }

    fn copy(&mut self, address: usize, len: usize) {
        if len > 0 {
            push_integer(&mut self.addresses, address);
            // Opcodes 20 to 34 are copies of 4 to 18 bytes.
            self.instruction(COPY, 4..=18, 3, len);
        }
    }

    /// The opcode for `size` if there is one, else that for any size, followed by it.
    fn instruction(
        &mut self,
        opcode: u8,
        short: std::ops::RangeInclusive<usize>,
        less: u8,
        size: usize,
    ) {
        match u8::try_from(size) {
            Ok(byte) if short.contains(&size) => self.instructions.push(opcode + byte - less),
            Ok(_) | Err(_) => {
                self.instructions.push(opcode);
                push_integer(&mut self.instructions, size);
            }
        }
    }

    fn finish(self, base_len: usize, target_len: usize) -> Vec<u8> {
        let sections = [&self.data, &self.instructions, &self.addresses];
        let mut encoding = Vec::new();
        push_integer(&mut encoding, target_len);
        // No section is compressed.
        encoding.push(0);
        for section in sections {
            push_integer(&mut encoding, section.len());
        }
        let content: usize = sections.iter().map(|section| section.len()).sum();
        let mut delta = HEADER.to_vec();
        delta.push(VCD_SOURCE);
        push_integer(&mut delta, base_len);
        push_integer(&mut delta, 0);
        push_integer(&mut delta, encoding.len() + content);
        delta.extend(encoding);
        sections.iter().for_each(|section| delta.extend_from_slice(section));
        delta
    }
}

/// Where blocks of the base begin, by their hash. Of those with the same hash the first counts.
struct Blocks {
    positions: Vec<u32>,
    shift: u32,
}

impl Blocks {
    const FREE: u32 = u32::MAX;

    fn none() -> Self {
        Self { positions: Vec::new(), shift: 0 }
    }

    fn of(base: &[u8]) -> Self {
        let slots = (base.len() / STEP).next_power_of_two().max(2) * 2;
        let mut blocks =
            Self { positions: vec![Self::FREE; slots], shift: u64::BITS - slots.trailing_zeros() };
        for at in (0..base.len()).step_by(STEP) {
            let Some(block) = base.get(at..).and_then(|rest| rest.first_chunk()) else { break };
            let slot = blocks.slot(block);
            if let Some(position) = blocks.positions.get_mut(slot)
                && *position == Self::FREE
            {
                *position = u32::try_from(at).unwrap_or(Self::FREE);
            }
        }
        blocks
    }

    /// A place in the base that may begin with `block`.
    fn find(&self, block: &[u8; BLOCK]) -> Option<usize> {
        let position = self.positions.get(self.slot(block)).filter(|at| **at != Self::FREE)?;
        usize::try_from(*position).ok()
    }

    fn slot(&self, block: &[u8; BLOCK]) -> usize {
        let hash = u64::from_le_bytes(*block).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        usize::try_from(hash.checked_shr(self.shift).unwrap_or_default()).unwrap_or_default()
    }
}

/// Seven bits a byte, the highest first; all but the last byte have the high bit.
fn push_integer(into: &mut Vec<u8>, value: usize) {
    let mut bytes = [0_u8; 10];
    let mut rest = value;
    let mut len = 0;
    for byte in bytes.iter_mut().rev() {
        let more = if len == 0 { 0 } else { 0x80 };
        *byte = u8::try_from(rest & 0x7f).unwrap_or_default() | more;
        rest >>= 7;
        len += 1;
        if rest == 0 {
            break;
        }
    }
    into.extend(bytes.iter().skip(bytes.len() - len));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use testkit::undo_delta;

    use super::*;

    fn size(base: &str, target: &str) -> Option<usize> {
        let delta = delta(base.as_bytes(), target.as_bytes())?;
        assert_eq!(undo_delta(base.as_bytes(), &delta), target.as_bytes());
        Some(delta.len())
    }

    #[test]
    fn a_small_object_in_which_little_changed_is_a_delta() {
        let target = r#"{"foo":"bar","count":2,"status":"active"}"#;
        let delta = delta(target.replace('2', "1").as_bytes(), target.as_bytes()).unwrap();
        let expected = [
            &HEADER[..],
            &[VCD_SOURCE, 41, 0, 13, 41, 0, 1, 5, 2],
            b"2",
            &[COPY, 21, ADD + 1, COPY, 19],
            &[0, 22],
        ];
        assert_eq!(delta, expected.concat());
        assert!(size(target, &target.replace("active", "inactive")) < Some(30));
        assert!(size(target, &target.replace('2', "3").replace("active", "gone")) < Some(41));
    }

    #[test]
    fn what_moved_or_was_put_in_between_is_still_found() {
        let words: Vec<String> = (0..300).map(|n: u32| format!("word{}", n * n)).collect();
        let base = words.join(" ");
        let mut moved = words;
        moved.rotate_left(100);
        moved.insert(50, "new".into());
        moved.remove(200);
        assert!(size(&base, &moved.join(" ")).unwrap() < 60);
        assert!(size(&base, &(base.clone() + &base)).unwrap() < 40);
    }

    #[test]
    fn there_is_no_delta_that_is_not_smaller() {
        for (base, target) in [
            ("", "something"),
            ("something", ""),
            ("a", "a"),
            ("apples and oranges", "completely different"),
            ("0123456789", "0123456789"),
        ] {
            assert_eq!(size(base, target), None, "{base} to {target}");
        }
        assert_eq!(size(&"x".repeat(300), &"x".repeat(300)), Some(20));
    }

    proptest! {
        #[test]
        fn a_delta_makes_the_target_of_its_base(
            base in prop::collection::vec(0_u8..4, 0..400),
            other in prop::collection::vec(0_u8..4, 0..400),
            (cut, put) in (0_usize..400, 0_usize..400),
        ) {
            let mut edited = base.clone();
            edited.truncate(cut);
            edited.extend_from_slice(&other[..put.min(other.len())]);
            edited.extend_from_slice(&base[cut.min(base.len())..]);
            for target in [&edited, &other] {
                if let Some(delta) = delta(&base, target) {
                    prop_assert!(delta.len() < target.len());
                    prop_assert_eq!(&undo_delta(&base, &delta), target);
                }
            }
        }
    }
}
