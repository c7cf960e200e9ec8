//! The send queue of one connection, between the threads that produce frames and the task that
//! writes them.
//!
//! While nothing waits, the producer writes to the socket itself, with the lock held: nobody is woken.
//! What the socket does not take, and what comes while the task is busy or the peer is slow, gathers
//! and goes out together. The queue is bounded by bytes: a peer that falls behind further than that
//! loses what has not been started on the wire, may be told so by one last frame, and is closed. What a
//! peer has asked for, however much it is, does not mean that it is behind.
//! Producers never wait: the socket is non-blocking. The task moves frames into its own [`Batch`]
//! first and writes them without the lock, for which it does not ask while it has nothing to write. An
//! idle outbox owns no heap memory.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker, ready},
};

use rustix::net::SendFlags;
use tokio::net::TcpStream;

use super::frame::Frame;

/// Most slices in one vectored write: enough to make the system call cheap per frame, few enough
/// to gather on the stack. What is left goes out with the next write.
const MAX_SLICES: usize = 64;

/// What became of a pushed frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It is written, or waits to be.
    Accepted,
    /// The limit is reached: this frame and all that were not started are dropped. Time for
    /// [`Outbox::close_after_flush`].
    Overflowed,
    /// The connection is closing or gone.
    Closed,
}

/// Where frames go; never blocks.
pub trait Stream {
    /// For those who do not wait until it is possible.
    fn send(&self, bytes: &[u8]) -> io::Result<usize>;

    /// For those who do.
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// The queue, shared by producers and the connection.
#[derive(Debug)]
pub struct Outbox<S = TcpStream> {
    stream: S,
    /// Bytes that may wait, counting each frame's own footprint.
    limit: usize,
    /// The connection's task found nothing to write and waits for a push. Changes only under the lock, and
    /// who ends it wakes the task afterwards.
    parked: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    queue: Frames,
    /// Footprint of the queue and of the batch, until written.
    waiting: usize,
    /// So much of that may be answers: it may wait besides what the limit allows.
    answers: usize,
    /// The batch still holds frames that an overflow has dropped.
    batch_is_stale: bool,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// Nothing is accepted but the last frame.
    Overflowed,
    /// Nothing is accepted any more; what is queued is the end.
    Closing,
}

/// What the connection's task does when there is nothing to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Wait to be woken by a push.
    Park,
    /// Ask again soon.
    Return,
}

/// Frames in their order.
#[derive(Debug, Default)]
struct Frames {
    all: VecDeque<Frame>,
    /// The first is the rest of one that the peer has part of.
    started: bool,
}

/// The frames that the connection's task is writing.
#[derive(Debug, Default)]
pub(super) struct Batch {
    frames: Frames,
    /// Footprint of frames written since the outbox was last told.
    done: usize,
    /// Who was told to the outbox last.
    waker: Option<Waker>,
}

impl Stream for TcpStream {
    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(self, bytes, SendFlags::empty())?)
    }

    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.try_write_vectored(slices)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_ready(cx)
    }
}

impl<S: Stream> Outbox<S> {
    /// An empty outbox that overflows when more than `limit` bytes wait.
    pub const fn new(stream: S, limit: usize) -> Self {
        let state = State {
            phase: Phase::Open,
            queue: Frames { all: VecDeque::new(), started: false },
            waiting: 0,
            answers: 0,
            batch_is_stale: false,
            waker: None,
        };
        Self { stream, limit, parked: AtomicBool::new(false), state: Mutex::new(state) }
    }

    pub(super) fn stream(&self) -> &S {
        &self.stream
    }

    /// Writes a frame if nothing waits, and queues what cannot be written; wakes the connection
    /// only if it had nothing to write and has now.
    pub fn push(&self, frame: &Frame) -> Pushed {
        let mut state = self.lock();
        match state.phase {
            Phase::Open if state.has_room(footprint(frame), self.limit) => {
                let waker = self.put(&mut state, frame);
                wake(state, waker);
                Pushed::Accepted
            }
            Phase::Open => self.overflow(state),
            Phase::Overflowed => Pushed::Overflowed,
            Phase::Closing => Pushed::Closed,
        }
    }

    /// Like [`Outbox::push`], for what the peer has asked for: however much it is, it may wait beyond the limit.
    /// No more is taken while more than the limit of such waits.
    pub fn answer(&self, frames: impl IntoIterator<Item = Frame>) -> Pushed {
        let mut state = self.lock();
        match state.phase {
            Phase::Open if state.answers <= self.limit => {
                let mut waker = None;
                for frame in frames {
                    let before = state.waiting;
                    waker = self.put(&mut state, &frame).or(waker);
                    state.answers += state.waiting - before;
                }
                wake(state, waker);
                Pushed::Accepted
            }
            Phase::Open => self.overflow(state),
            Phase::Overflowed => Pushed::Overflowed,
            Phase::Closing => Pushed::Closed,
        }
    }

    /// Writes what the socket takes if nothing waits, and queues the rest. Returns who is to be woken.
    fn put(&self, state: &mut State, frame: &Frame) -> Option<Waker> {
        let parked = self.parked.load(Relaxed);
        let written = if parked { self.write(frame) } else { 0 };
        if written == frame.len() {
            return None;
        }
        state.queue.started |= written > 0;
        state.enqueue(frame.behind(written));
        if parked { self.unpark(state) } else { None }
    }

    /// How much of the frame the socket takes at once. Of an error the connection's task learns when
    /// it writes the rest.
    fn write(&self, frame: &Frame) -> usize {
        self.stream.send(frame.as_bytes()).unwrap_or(0)
    }

    /// Queues `last`, whatever the limit, and a close frame, and accepts nothing afterwards. After
    /// an overflow these two are all that the peer still gets. Only the first call counts.
    pub fn close_after_flush(&self, last: Option<Frame>, close: Frame) {
        let mut state = self.lock();
        if state.phase == Phase::Closing {
            return;
        }
        state.phase = Phase::Closing;
        last.into_iter().chain([close]).for_each(|frame| state.enqueue(frame));
        let waker = self.unpark(&mut state);
        wake(state, waker);
    }

    /// Moves queued frames to `batch`. Every frame in it afterwards is to be written; an empty batch
    /// means that there is nothing to do in this phase.
    pub(super) fn refill(&self, batch: &mut Batch, waker: &Waker, then: Then) -> Phase {
        if self.parked.load(Relaxed) && batch.is_for(waker) {
            return Phase::Open;
        }
        let mut state = self.lock();
        state.no_longer_waits(mem::take(&mut batch.done));
        if mem::take(&mut state.batch_is_stale) {
            let dropped = batch.frames.drop_unstarted();
            state.no_longer_waits(dropped.iter().map(footprint).sum());
        }
        if batch.is_empty() {
            mem::swap(&mut batch.frames, &mut state.queue);
        } else if batch.frames.all.len() < MAX_SLICES {
            batch.frames.all.append(&mut state.queue.all);
        }
        let parks = then == Then::Park && batch.is_empty() && state.phase == Phase::Open;
        if parks {
            state.queue = Frames::default();
            batch.frames = Frames::default();
        }
        if !batch.is_for(waker) {
            batch.waker = Some(waker.clone());
        }
        state.waker.clone_from(&batch.waker);
        self.parked.store(parks, Relaxed);
        state.phase
    }

    /// Returns who is to be woken.
    fn unpark(&self, state: &mut State) -> Option<Waker> {
        self.parked.store(false, Relaxed);
        state.waker.take()
    }

    fn overflow(&self, mut state: MutexGuard<'_, State>) -> Pushed {
        let dropped = state.overflow();
        let waker = self.unpark(&mut state);
        wake(state, waker);
        drop(dropped);
        Pushed::Overflowed
    }

    /// The connection is gone: frees everything, accepts nothing.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.phase = Phase::Closing;
        (state.waiting, state.answers) = (0, 0);
        let garbage = (mem::take(&mut state.queue), state.waker.take());
        drop(state);
        drop(garbage);
    }

    /// The state is whole between any two statements, so a poisoned lock is as good as another.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether the peer keeps up. A frame that is larger than the limit may be all that waits.
    fn has_room(&self, bytes: usize, limit: usize) -> bool {
        self.waiting == 0 || self.waiting + bytes <= limit.saturating_add(self.answers)
    }

    fn enqueue(&mut self, frame: Frame) {
        self.waiting += footprint(&frame);
        self.queue.all.push_back(frame);
    }

    fn no_longer_waits(&mut self, bytes: usize) {
        self.waiting -= bytes;
        self.answers = self.answers.min(self.waiting);
    }

    /// Empties the queue and marks the batch; returns the frames, to be dropped without the lock.
    fn overflow(&mut self) -> VecDeque<Frame> {
        self.phase = Phase::Overflowed;
        self.batch_is_stale = true;
        let dropped = self.queue.drop_unstarted();
        self.no_longer_waits(dropped.iter().map(footprint).sum());
        dropped
    }
}

impl Batch {
    fn is_for(&self, waker: &Waker) -> bool {
        self.waker.as_ref().is_some_and(|known| known.will_wake(waker))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.all.is_empty()
    }

    /// One vectored write of as much as there is. `Ready(Ok(()))` is progress.
    pub(super) fn poll_write<S: Stream>(
        &mut self,
        stream: &S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let gathered = slices.iter_mut().zip(&self.frames.all);
            let gathered =
                gathered.map(|(slot, frame)| *slot = IoSlice::new(frame.as_bytes())).count();
            match stream.try_write(slices.get(..gathered).unwrap_or_default()) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(written) => {
                    self.advance(written);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(stream.poll_writable(cx))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn advance(&mut self, mut written: usize) {
        let Frames { all, started } = &mut self.frames;
        while let Some(first) = all.pop_front_if(|first| written >= first.len()) {
            written -= first.len();
            self.done += footprint(&first);
            *started = false;
        }
        if let Some(first) = all.front_mut().filter(|_| written > 0) {
            *first = first.behind(written);
            self.done += written;
            *started = true;
        }
    }
}

impl Frames {
    /// Takes out all but a frame that the peer has part of.
    fn drop_unstarted(&mut self) -> VecDeque<Frame> {
        self.all.split_off(usize::from(self.started).min(self.all.len()))
    }
}

/// What a waiting frame costs: its bytes, and its place in the queue even if it has none.
fn footprint(frame: &Frame) -> usize {
    size_of::<Frame>() + frame.len()
}

/// Wakes without holding the lock.
fn wake(state: MutexGuard<'_, State>, waker: Option<Waker>) {
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests;
