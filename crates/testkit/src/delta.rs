//! The other half of the protocol's deltas: VCDIFF with as much of it as the server writes. Anything
//! else is a failure of the test.

/// Opcodes: an addition of any size, and a copy of any size from an address that is written out.
/// Those behind each are for one size.
const ADD: u8 = 1;
const COPY: u8 = 19;

/// What `delta` makes of `base`.
pub fn undo_delta(base: &[u8], delta: &[u8]) -> Vec<u8> {
    let header = [0xd6, 0xc3, 0xc4, 0, 0];
    let mut rest = delta.strip_prefix(&header).expect("a header");
    rest = rest.strip_prefix(&[1]).expect("a window with a source");
    assert_eq!((integer(&mut rest), integer(&mut rest)), (base.len(), 0), "another base");
    assert_eq!(integer(&mut rest), rest.len(), "one window");
    let target_len = integer(&mut rest);
    rest = rest.strip_prefix(&[0]).expect("sections without compression");
    let lengths = [(); 3].map(|()| integer(&mut rest));
    let (mut data, rest) = rest.split_at(lengths[0]);
    let (mut instructions, mut addresses) = rest.split_at(lengths[1]);
    assert_eq!(addresses.len(), lengths[2]);
    let mut target = Vec::new();
    while let Some((opcode, rest)) = instructions.split_first() {
        instructions = rest;
        let is_add = *opcode < COPY;
        let size = match *opcode {
            ADD | COPY => integer(&mut instructions),
            short => usize::from(if is_add { short - 1 } else { short - 16 }),
        };
        if is_add {
            let (new, rest) = data.split_at(size);
            target.extend_from_slice(new);
            data = rest;
        } else {
            let address = integer(&mut addresses);
            target.extend_from_slice(&base[address..address + size]);
        }
    }
    assert!(data.is_empty() && addresses.is_empty(), "sections that are used up");
    assert_eq!(target.len(), target_len);
    target
}

fn integer(from: &mut &[u8]) -> usize {
    let mut value = 0;
    while let Some((byte, rest)) = from.split_first() {
        *from = rest;
        value = value << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}
