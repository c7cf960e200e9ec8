//! Group commit: a thread that writes what has gathered while it was busy, and says when it is on disk. And the
//! loop of the programs that answer then.

use std::convert::Infallible;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::event::{EventfdFlags, eventfd};

use crate::announce;
use crate::ingest::{Sequence, receive, reply};
use crate::sockets::{Id, READ_BUFFER, Sockets};

/// Bytes that may wait for the disk; beyond that the loop waits too.
const WAITING_MAX: usize = 16 * 1024 * 1024;

/// Answers requests at `listen` when what `keep` has put down of each is durable by `write`. A request of which
/// `keep` returns no number for the reply ends its connection.
///
/// # Errors
/// As the system's calls for sockets.
pub fn run(
    listen: SocketAddr,
    write: impl FnMut(&[u8]) -> anyhow::Result<()> + Send + 'static,
    mut keep: impl FnMut(&mut Vec<u8>, Sequence, &[u8]) -> Option<Sequence>,
) -> anyhow::Result<Infallible> {
    let committer = Committer::start(write)?;
    let mut sockets = Sockets::<()>::listen(listen)?;
    let committed = sockets.watch(&committer)?;
    announce("listening", sockets.address()?, std::process::id());
    let mut buffer = vec![0; READ_BUFFER];
    let mut ready = Vec::new();
    let mut group = Group::default();
    loop {
        sockets.wait(&mut ready)?;
        for id in ready.drain(..) {
            if id == committed {
                for (id, sequence) in committer.take_done()? {
                    sockets.gather(id, &reply(sequence));
                }
                sockets.send_gathered();
            } else {
                receive(&mut sockets, id, &mut buffer, |sockets, sequence, payload| {
                    match keep(&mut group.bytes, sequence, payload) {
                        Some(sequence) => group.waiting.push((id, sequence)),
                        None => sockets.close(id),
                    }
                });
            }
        }
        if !group.waiting.is_empty() {
            committer.append(&mut group);
        }
    }
}

/// What belongs to one group, and who waits for it.
#[derive(Debug, Default)]
struct Group {
    bytes: Vec<u8>,
    waiting: Vec<(Id, Sequence)>,
}

/// The loop's side of the thread.
#[derive(Debug)]
struct Committer {
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
    /// Starts the thread, on which `write` makes the bytes of a group durable. It ends the program if they cannot be.
    fn start(write: impl FnMut(&[u8]) -> anyhow::Result<()> + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            next: Mutex::default(),
            changed: Condvar::new(),
            done: Mutex::default(),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        });
        let committer = Self { shared: Arc::clone(&shared) };
        thread::spawn(move || shared.commit(write).map_err(|error| give_up(&error)));
        Ok(committer)
    }

    /// Adds `group` to the next one, and empties it.
    fn append(&self, group: &mut Group) {
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
    fn take_done(&self) -> io::Result<Vec<(Id, Sequence)>> {
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
    fn commit(
        &self,
        mut write: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<Infallible> {
        loop {
            let Group { bytes, mut waiting } = self.take();
            write(&bytes)?;
            lock(&self.done).append(&mut waiting);
            rustix::io::write(&self.wake, &1_u64.to_ne_bytes())?;
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
fn give_up(error: &anyhow::Error) -> ! {
    eprintln!("cannot write: {error}");
    std::process::exit(1)
}
