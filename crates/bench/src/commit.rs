//! Group commit: a thread that appends to a file what has gathered while it was busy, and says when
//! it is on disk. One write and one `fdatasync` for each group.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::event::{EventfdFlags, eventfd};

use crate::ingest::Sequence;
use crate::sockets::Id;

/// Bytes that may wait for the disk; beyond that the loop waits too.
const WAITING_MAX: usize = 16 * 1024 * 1024;

/// Size at which the file begins anew: it is written for its cost, not for what is in it.
const FILE_MAX: usize = 1024 * 1024 * 1024;

/// Payloads that belong to one group, and who waits for them.
#[derive(Debug, Default)]
pub struct Group {
    pub bytes: Vec<u8>,
    pub waiting: Vec<(Id, Sequence)>,
}

/// The loop's side of the thread.
#[derive(Debug)]
pub struct Committer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    next: Mutex<Group>,
    /// `next` was filled, or taken.
    changed: Condvar,
    done: Mutex<Vec<(Id, Sequence)>>,
    /// Readable while something is done.
    wake: OwnedFd,
}

impl Committer {
    /// Starts the thread. It ends the program if the file cannot be written.
    ///
    /// # Errors
    /// As the system's `eventfd`.
    pub fn start(file: File) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            next: Mutex::default(),
            changed: Condvar::new(),
            done: Mutex::default(),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        });
        let committer = Self { shared: Arc::clone(&shared) };
        thread::spawn(move || shared.commit(file).map_err(|error| give_up(&error)));
        Ok(committer)
    }

    /// Adds `group` to the next one, and empties it.
    pub fn append(&self, group: &mut Group) {
        let mut next = lock(&self.shared.next);
        while next.bytes.len() > WAITING_MAX {
            next = self.shared.wait(next);
        }
        next.bytes.append(&mut group.bytes);
        next.waiting.append(&mut group.waiting);
        drop(next);
        self.shared.changed.notify_all();
    }

    /// Who waits for nothing any more, in the order in which they came.
    ///
    /// # Errors
    /// As the system's `read`.
    pub fn take_done(&self) -> io::Result<Vec<(Id, Sequence)>> {
        rustix::io::read(&self.shared.wake, &mut [0; 8])?;
        Ok(mem::take(&mut *lock(&self.shared.done)))
    }
}

/// Readable when [`Committer::take_done`] has something to take.
impl AsFd for Committer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.wake.as_fd()
    }
}

impl Shared {
    fn commit(&self, mut file: File) -> io::Result<Infallible> {
        let mut written = 0;
        loop {
            let Group { bytes, mut waiting } = self.take();
            file.write_all(&bytes)?;
            file.sync_data()?;
            lock(&self.done).append(&mut waiting);
            rustix::io::write(&self.wake, &1_u64.to_ne_bytes())?;
            written += bytes.len();
            if written > FILE_MAX {
                file.set_len(0)?;
                file.rewind()?;
                written = 0;
            }
        }
    }

    /// The next group, as soon as there is one.
    fn take(&self) -> Group {
        let mut next = lock(&self.next);
        while next.waiting.is_empty() {
            next = self.wait(next);
        }
        let group = mem::take(&mut *next);
        drop(next);
        self.changed.notify_all();
        group
    }

    fn wait<'g>(&self, next: MutexGuard<'g, Group>) -> MutexGuard<'g, Group> {
        self.changed.wait(next).unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is locked is whole between any two statements, so a poisoned lock is as good as another.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::print_stderr, reason = "the last words of the program")]
fn give_up(error: &io::Error) -> ! {
    eprintln!("cannot append: {error}");
    std::process::exit(1)
}
