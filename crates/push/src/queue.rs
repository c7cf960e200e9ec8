//! Jobs that wait for their turn: one at a time for each device, in the order in which they came.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use types::DeviceId;
use types::ErrorInfo;
use types::error::OVERLOADED;

use crate::{Payload, Recipient};

/// Jobs of one app that wait or run; one more is refused (50004).
const MAX_JOBS: usize = 20_000;

/// Names a job for as long as it runs; the caller draws it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobId(pub u64);

/// What has its jobs run one at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    Device(DeviceId),
    /// An address that need not be of a registered device.
    Address(Arc<str>),
}

#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) payload: Payload,
    /// Of an address; that of a device is the one that it has when the job runs.
    pub(crate) recipient: Option<Recipient>,
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// A lane is here while one of its jobs runs, with those that wait for it.
    waiting: BTreeMap<Lane, VecDeque<Job>>,
    running: BTreeMap<JobId, Lane>,
    jobs: usize,
}

impl Queue {
    /// The job, if it is to run now; otherwise it waits.
    pub(crate) fn start(&mut self, lane: Lane, job: Job) -> Result<Option<Job>, ErrorInfo> {
        if self.jobs >= MAX_JOBS {
            return Err(OVERLOADED.with("too many push notifications wait to be delivered"));
        }
        self.jobs += 1;
        if let Some(waiting) = self.waiting.get_mut(&lane) {
            waiting.push_back(job);
            return Ok(None);
        }
        self.waiting.insert(lane.clone(), VecDeque::new());
        self.running.insert(job.id, lane);
        Ok(Some(job))
    }

    /// A job has run: the lane that it ran on, and the next job of it, which runs now.
    pub(crate) fn finish(&mut self, id: JobId) -> Option<(Lane, Option<Job>)> {
        let lane = self.running.remove(&id)?;
        self.jobs -= 1;
        let next = self.waiting.get_mut(&lane).and_then(VecDeque::pop_front);
        match &next {
            Some(job) => drop(self.running.insert(job.id, lane.clone())),
            None => drop(self.waiting.remove(&lane)),
        }
        Some((lane, next))
    }
}
