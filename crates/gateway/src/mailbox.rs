//! The send queue of a transport that has no socket of its own: frames wait here until a task takes
//! them to whatever request the client has open.
//!
//! Bounded by bytes; a client that falls behind further than that loses what waits, is told so by
//! one last frame, and the transport ends. What a client has asked for does not mean that it is behind.
//! Producers never wait.

use std::{
    collections::VecDeque,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::ws::Pushed;

/// Bytes that are taken at once, or one frame that is longer.
const BATCH_BYTES: usize = 64 << 10;

#[derive(Debug)]
pub(crate) struct Mailbox {
    limit: usize,
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// So much of that may be answers: it may wait besides what the limit allows.
    answers: usize,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Open,
    /// Nothing is accepted but the last frame.
    Overflowed,
    /// What waits is the end.
    Closed,
}

impl Mailbox {
    /// An empty mailbox that overflows when more than `limit` bytes wait.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default(), arrived: Notify::new() }
    }

    /// Queues all of them, or none.
    pub(crate) fn push_all(&self, frames: &[Bytes]) -> Pushed {
        let state = self.lock();
        // Frames that are larger than the limit may be all that waits.
        let most =
            if state.bytes == 0 { usize::MAX } else { self.limit.saturating_add(state.answers) };
        self.put(state, frames, most)
    }

    /// Like [`Mailbox::push_all`], for what the client has asked for: so many bytes may wait besides those of
    /// the limit, and any number if no such do yet.
    pub(crate) fn answer(&self, frames: &[Bytes]) -> Pushed {
        let mut state = self.lock();
        let most = if state.answers <= self.limit { usize::MAX } else { 0 };
        state.answers += size(frames);
        self.put(state, frames, most)
    }

    /// Queues the frames if no more than `most` bytes wait then.
    fn put(&self, mut state: MutexGuard<'_, State>, frames: &[Bytes], most: usize) -> Pushed {
        match state.phase {
            Phase::Open if state.bytes + size(frames) <= most => {
                frames.iter().for_each(|frame| state.enqueue(frame.clone()));
                self.arrived.notify_one();
                Pushed::Accepted
            }
            Phase::Open => {
                let phase = Phase::Overflowed;
                let dropped = mem::replace(&mut *state, State { phase, ..State::default() });
                drop(state);
                drop(dropped);
                Pushed::Overflowed
            }
            Phase::Overflowed => Pushed::Overflowed,
            Phase::Closed => Pushed::Closed,
        }
    }

    /// Queues `last`, whatever the limit, and accepts nothing afterwards.
    pub(crate) fn close(&self, last: Option<Bytes>) {
        let mut state = self.lock();
        if state.phase != Phase::Closed {
            state.phase = Phase::Closed;
            last.into_iter().for_each(|frame| state.enqueue(frame));
            self.arrived.notify_one();
        }
    }

    /// Waits for frames and takes them, at least one; none after the end. Only one task may wait.
    /// One that gives up has taken nothing.
    pub(crate) async fn next(&self) -> Option<Vec<Bytes>> {
        loop {
            {
                let mut state = self.lock();
                let batch = state.take();
                if !batch.is_empty() {
                    return Some(batch);
                }
                if state.phase == Phase::Closed {
                    return None;
                }
            }
            self.arrived.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn enqueue(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }

    fn take(&mut self) -> Vec<Bytes> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(frame) = self.frames.front()
            && (batch.is_empty() || bytes + frame.len() <= BATCH_BYTES)
            && let Some(frame) = self.frames.pop_front()
        {
            bytes += frame.len();
            batch.push(frame);
        }
        self.bytes -= bytes;
        self.answers = self.answers.min(self.bytes);
        batch
    }
}

fn size(frames: &[Bytes]) -> usize {
    frames.iter().map(Bytes::len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_are_taken_in_order_in_bounded_batches() {
        let mailbox = Mailbox::new(1 << 20);
        let frame = Bytes::from(vec![b'x'; BATCH_BYTES / 2]);
        for _ in 0..3 {
            assert_eq!(mailbox.push_all(std::slice::from_ref(&frame)), Pushed::Accepted);
        }
        mailbox.close(Some(Bytes::from_static(b"end")));
        assert_eq!(mailbox.push_all(std::slice::from_ref(&frame)), Pushed::Closed);
        assert_eq!(mailbox.next().await.unwrap(), [frame.clone(), frame.clone()]);
        assert_eq!(mailbox.next().await.unwrap(), [frame, Bytes::from_static(b"end")]);
        assert_eq!(mailbox.next().await, None);
    }

    #[tokio::test]
    async fn what_was_asked_for_may_wait_beyond_the_limit_once() {
        let mailbox = Mailbox::new(10);
        let frames = |bytes: usize| [Bytes::from(vec![b'x'; bytes])];
        assert_eq!(mailbox.push_all(&frames(4)), Pushed::Accepted);
        assert_eq!(mailbox.answer(&frames(100)), Pushed::Accepted);
        assert_eq!(mailbox.push_all(&frames(6)), Pushed::Accepted, "what waits besides counts");
        assert_eq!(mailbox.next().await.unwrap().len(), 3);
        assert_eq!(mailbox.push_all(&frames(100)), Pushed::Accepted, "it is all that waits");
        assert_eq!(mailbox.answer(&frames(11)), Pushed::Accepted);
        assert_eq!(mailbox.answer(&frames(1)), Pushed::Overflowed);
    }

    #[tokio::test]
    async fn beyond_the_limit_only_the_last_frame_is_left() {
        let mailbox = Mailbox::new(10);
        assert_eq!(mailbox.push_all(&[Bytes::from_static(b"123456")]), Pushed::Accepted);
        assert_eq!(mailbox.push_all(&[Bytes::from_static(b"78901")]), Pushed::Overflowed);
        assert_eq!(mailbox.push_all(&[Bytes::from_static(b"1")]), Pushed::Overflowed);
        mailbox.close(Some(Bytes::from_static(b"last frame of all")));
        assert_eq!(mailbox.next().await.unwrap(), [Bytes::from_static(b"last frame of all")]);
        assert_eq!(mailbox.next().await, None);
    }
}
