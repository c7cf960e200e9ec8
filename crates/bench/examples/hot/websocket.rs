//! WebSocket frames: one masked text message is read, whole, as most are; several messages that leave
//! together are framed.

use std::hint::black_box;

use gateway::ws::{Frame, Opcode, Reader};
use protocol::{Format, encode};

use crate::codec::published;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const MESSAGE_MAX: usize = 65_536;
/// Messages that share a write.
const JOINED: usize = 16;

pub(crate) fn read(count: u64) {
    let frame = masked(&encode(&published(), Format::Json));
    let mut reader = Reader::new(MESSAGE_MAX);
    for _ in 0..count {
        // It is unmasked where it is.
        let mut read = frame.clone();
        let message = reader.next(&mut black_box(read.as_mut_slice()));
        assert!(matches!(black_box(message), Ok(Some(_))));
    }
}

pub(crate) fn frame(count: u64) {
    let payloads = vec![encode(&published(), Format::Json); JOINED];
    for _ in 0..count {
        black_box(Frame::messages(Opcode::Text, black_box(&payloads)));
    }
}

fn masked(payload: &[u8]) -> Vec<u8> {
    let [.., a, b] = payload.len().to_be_bytes();
    let payload = payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key);
    [0x81, 0x80 | 126, a, b].into_iter().chain(MASK).chain(payload).collect()
}
