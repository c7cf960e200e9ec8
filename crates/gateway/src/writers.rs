//! The threads that write to sockets when a turn of the node has more to send than one thread should
//! write: on a machine with several cores a large fan-out is done by all of them.
//!
//! Invariant: what is for one connection happens in the order in which it was handed over. Each
//! connection has its thread, and the caller does something itself only while all of them are idle.

use std::{
    io,
    sync::{
        Arc,
        atomic::{
            AtomicUsize,
            Ordering::{Acquire, Release},
        },
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use bytes::Bytes;
use node::TransportId;

use crate::hub::Hub;

/// Jobs that wait for one thread at most; then the caller waits.
const QUEUE: usize = 4096;

/// Something to do for connections.
#[derive(Clone, Debug)]
pub(crate) enum Job {
    Deliver {
        transports: Arc<[TransportId]>,
        frames: Arc<[Bytes]>,
    },
    /// What one client has asked for.
    Answer {
        transport: TransportId,
        frames: Arc<[Bytes]>,
    },
    Ping(TransportId),
    Close(TransportId),
}

#[derive(Debug)]
pub(crate) struct Writers {
    hub: Arc<Hub>,
    threads: Vec<Writer>,
}

#[derive(Debug)]
struct Writer {
    share: Share,
    jobs: SyncSender<Job>,
    /// Jobs that are not done.
    waiting: Arc<AtomicUsize>,
}

/// Which connections a thread cares for.
#[derive(Clone, Copy, Debug)]
struct Share {
    of: usize,
    index: usize,
}

impl Writers {
    /// Without threads everything is done by the caller.
    pub(crate) fn start(hub: Arc<Hub>, threads: usize) -> io::Result<Self> {
        let start = |index| {
            let (jobs, receiver) = sync_channel(QUEUE);
            let waiting = Arc::new(AtomicUsize::new(0));
            let (hub, done) = (Arc::clone(&hub), Arc::clone(&waiting));
            let share = Share { of: threads, index };
            thread::Builder::new()
                .name(format!("writer-{index}"))
                .spawn(move || work(&hub, share, &receiver, &done))?;
            Ok(Writer { share, jobs, waiting })
        };
        let threads = (0..threads).map(start).collect::<io::Result<_>>()?;
        Ok(Self { hub, threads })
    }

    pub(crate) fn are_idle(&self) -> bool {
        self.threads.iter().all(|thread| thread.waiting.load(Acquire) == 0)
    }

    /// Whether one of the threads has so much to do that [`Writers::dispatch`] might wait soon.
    pub(crate) fn are_behind(&self) -> bool {
        self.threads.iter().any(|thread| thread.waiting.load(Acquire) > QUEUE / 2)
    }

    /// Does the job here. Only while all threads are idle.
    pub(crate) fn perform(&self, job: &Job) {
        perform(&self.hub, job, |_| true);
    }

    /// Leaves the job to the threads whose connections it is about.
    pub(crate) fn dispatch(&self, job: &Job) {
        if self.threads.is_empty() {
            self.perform(job);
        }
        for thread in &self.threads {
            if job.transports().iter().any(|transport| thread.share.has(*transport)) {
                thread.waiting.fetch_add(1, Release);
                if thread.jobs.send(job.clone()).is_err() {
                    tracing::error!("a thread that writes to sockets has ended");
                }
            }
        }
    }
}

impl Job {
    pub(crate) fn transports(&self) -> &[TransportId] {
        match self {
            Self::Deliver { transports, .. } => transports,
            Self::Answer { transport, .. } | Self::Ping(transport) | Self::Close(transport) => {
                std::slice::from_ref(transport)
            }
        }
    }
}

impl Share {
    fn has(self, transport: TransportId) -> bool {
        usize::try_from(transport.0).unwrap_or(usize::MAX) % self.of == self.index
    }
}

fn work(hub: &Hub, share: Share, jobs: &Receiver<Job>, waiting: &AtomicUsize) {
    for job in jobs {
        perform(hub, &job, |transport| share.has(transport));
        waiting.fetch_sub(1, Release);
    }
}

fn perform(hub: &Hub, job: &Job, mine: impl Fn(TransportId) -> bool) {
    match job {
        Job::Deliver { transports, frames } => {
            hub.deliver(transports.iter().copied().filter(|transport| mine(*transport)), frames);
        }
        Job::Answer { transport, frames } => hub.answer(*transport, frames),
        Job::Ping(transport) => hub.ping(*transport),
        Job::Close(transport) => hub.close(*transport),
    }
}

#[cfg(test)]
mod tests {
    use types::NodeLimits;

    use super::*;

    #[test]
    fn the_threads_are_behind_before_a_caller_would_have_to_wait() {
        let (hub, _events) = Hub::new(&NodeLimits::default());
        let (jobs, unread) = sync_channel(QUEUE);
        let waiting = Arc::new(AtomicUsize::new(0));
        let share = Share { of: 1, index: 0 };
        let writers = Writers { hub, threads: vec![Writer { share, jobs, waiting }] };
        for _ in 0..QUEUE / 2 {
            assert!(!writers.are_behind());
            writers.dispatch(&Job::Ping(TransportId(1)));
        }
        assert!(!writers.are_behind());
        writers.dispatch(&Job::Ping(TransportId(1)));
        assert!(writers.are_behind());
        assert!(unread.try_iter().count() < QUEUE);
    }
}
