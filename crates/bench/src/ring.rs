//! Writes to many sockets with one system call, by io_uring. The only unsafe code in the repository:
//! the kernel reads the bytes behind the compiler's back.
//!
//! Everything stays safe outside because [`Ring::send_all`] returns only after the kernel has said of
//! every write that it is done with it, so whatever was borrowed for the call outlives the writes.
#![expect(unsafe_code, reason = "io_uring takes pointers")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use bytes::Bytes;
use io_uring::{IoUring, opcode, types::Fd};
use rustix::net::SendFlags;

use crate::fanout::{Delivery, Role};
use crate::sockets::{Id, Sockets};

/// Writes in one submit; more take several.
const ENTRIES: usize = 4096;

/// A write is over at once, also one that the kernel cannot take.
const FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

/// An io_uring for writes only.
pub struct Ring {
    ring: IoUring,
}

impl Ring {
    /// # Errors
    /// The kernel does not have io_uring, or does not allow it here.
    pub fn new() -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_submit_all()
            .setup_single_issuer()
            .setup_coop_taskrun()
            .build(ENTRIES as u32)?;
        Ok(Self { ring })
    }

    /// Writes `bytes` to each socket, and tells of each how that ended.
    fn send_all(&mut self, sockets: &[BorrowedFd<'_>], bytes: &[u8]) -> Vec<io::Result<usize>> {
        let mut outcomes = Vec::new();
        outcomes.resize_with(sockets.len(), || Ok(0));
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let chunks = sockets.chunks(ENTRIES).zip(outcomes.chunks_mut(ENTRIES));
        for (sockets, outcomes) in chunks {
            for (socket, place) in sockets.iter().zip(0..) {
                let send = opcode::Send::new(Fd(socket.as_raw_fd()), bytes.as_ptr(), length);
                let entry = send.flags(FLAGS.bits().cast_signed()).build().user_data(place);
                // SAFETY: the socket and the bytes are borrowed until this function returns, which
                // is after the completion of this entry: see `complete`.
                let pushed = unsafe { self.ring.submission().push(&entry) };
                assert!(pushed.is_ok(), "a chunk fits into the queue, which is empty before it");
            }
            self.complete(sockets.len());
            for completion in self.ring.completion() {
                let place = usize::try_from(completion.user_data()).unwrap_or(usize::MAX);
                if let Some(outcome) = outcomes.get_mut(place) {
                    let written = completion.result();
                    *outcome = usize::try_from(written)
                        .map_err(|_negative| io::Error::from_raw_os_error(-written));
                }
            }
        }
        outcomes
    }

    /// Submits what was pushed, and returns when all of it is complete. Never returns otherwise: the
    /// kernel may still be reading what the caller has borrowed.
    fn complete(&mut self, count: usize) {
        while self.ring.completion().len() < count {
            match self.ring.submit_and_wait(count) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => std::process::abort(),
            }
        }
    }
}

impl Delivery for Ring {
    fn deliver(&mut self, sockets: &mut Sockets<Role>, subscribers: &mut Vec<Id>, bytes: &Bytes) {
        let is_idle = |id: &Id| sockets.writable(*id).is_some();
        let (idle, behind): (Vec<Id>, Vec<Id>) = subscribers.drain(..).partition(is_idle);
        let targets: Vec<_> = idle.iter().filter_map(|id| sockets.writable(*id)).collect();
        let outcomes = self.send_all(&targets, bytes);
        let written = idle.into_iter().zip(outcomes);
        let written = written.filter_map(|(id, end)| sockets.settle(id, bytes, end).then_some(id));
        subscribers.extend(written);
        subscribers.extend(behind.into_iter().filter(|id| sockets.send(*id, bytes)));
    }
}
