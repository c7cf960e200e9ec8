//! The send queue of one connection, between the threads that produce frames and the task that
//! writes them.
//!
//! Frames gather while the task is busy or the peer is slow, and go out together. The queue is
//! bounded by bytes: a peer that falls behind further than that loses what has not been started on
//! the wire, may be told so by one last frame, and is closed. Producers never wait. The lock is
//! never held across a write: the task moves frames into its own [`Batch`] first.
//! An idle outbox owns no heap memory.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    mem,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use tokio::io::AsyncWrite;

use super::frame::Frame;

/// Most slices in one vectored write: enough to make the system call cheap per frame, few enough
/// to gather on the stack. What is left goes out with the next write.
const MAX_SLICES: usize = 64;

/// A batch takes more frames only below this many: a write gathers no more of them.
const BATCH_FRAMES: usize = MAX_SLICES / 2;

/// What became of a pushed frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    Queued,
    /// The limit is reached: this frame and all that were not started are dropped. Time for
    /// [`Outbox::close_after_flush`].
    Overflowed,
    /// The connection is closing or gone.
    Closed,
}

/// The queue, shared by producers and the connection.
#[derive(Debug)]
pub struct Outbox {
    /// Bytes that may wait, counting each frame's own footprint.
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    queue: VecDeque<Frame>,
    /// Footprint of the queue and of the batch, until written.
    waiting: usize,
    /// The batch still holds frames that an overflow has dropped.
    batch_is_stale: bool,
    /// The connection's task found nothing to write and waits for a push.
    parked: bool,
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

/// The frames that the connection's task is writing.
#[derive(Debug, Default)]
pub(super) struct Batch {
    frames: VecDeque<Frame>,
    /// Bytes of the first frame that are on the wire.
    written: usize,
    /// Footprint of frames written since the outbox was last told.
    done: usize,
}

impl Outbox {
    /// An empty outbox that overflows when more than `limit` bytes wait.
    pub const fn new(limit: usize) -> Self {
        let state = State {
            phase: Phase::Open,
            queue: VecDeque::new(),
            waiting: 0,
            batch_is_stale: false,
            parked: false,
            waker: None,
        };
        Self { limit, state: Mutex::new(state) }
    }

    /// Queues a frame; wakes the connection only if it had nothing to write.
    pub fn push(&self, frame: Frame) -> Pushed {
        let mut state = self.lock();
        match state.phase {
            Phase::Open if state.waiting + footprint(&frame) <= self.limit => {
                state.enqueue(frame);
                let waker = if state.parked { state.unpark() } else { None };
                wake(state, waker);
                Pushed::Queued
            }
            Phase::Open => {
                let dropped = state.overflow();
                let waker = state.unpark();
                wake(state, waker);
                drop(dropped);
                Pushed::Overflowed
            }
            Phase::Overflowed => Pushed::Overflowed,
            Phase::Closing => Pushed::Closed,
        }
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
        let waker = state.unpark();
        wake(state, waker);
    }

    /// Moves queued frames to `batch`. Every frame in it afterwards is to be written; an empty batch
    /// means that there is nothing to do in this phase.
    pub(super) fn refill(&self, batch: &mut Batch, waker: &Waker, then: Then) -> Phase {
        let mut state = self.lock();
        state.waiting -= mem::take(&mut batch.done);
        if mem::take(&mut state.batch_is_stale) {
            state.waiting -= batch.drop_unstarted();
        }
        if batch.frames.is_empty() {
            mem::swap(&mut batch.frames, &mut state.queue);
        } else if batch.frames.len() < BATCH_FRAMES {
            batch.frames.append(&mut state.queue);
        }
        state.parked = then == Then::Park && batch.frames.is_empty();
        if state.parked {
            state.queue = VecDeque::new();
            batch.frames = VecDeque::new();
        }
        if !state.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            state.waker = Some(waker.clone());
        }
        state.phase
    }

    /// The connection is gone: frees everything, accepts nothing.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.phase = Phase::Closing;
        state.waiting = 0;
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
    fn enqueue(&mut self, frame: Frame) {
        self.waiting += footprint(&frame);
        self.queue.push_back(frame);
    }

    /// Empties the queue and marks the batch; returns the frames, to be dropped without the lock.
    fn overflow(&mut self) -> VecDeque<Frame> {
        self.phase = Phase::Overflowed;
        self.batch_is_stale = true;
        self.waiting -= self.queue.iter().map(footprint).sum::<usize>();
        mem::take(&mut self.queue)
    }

    fn unpark(&mut self) -> Option<Waker> {
        self.parked = false;
        self.waker.take()
    }
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// One vectored write of as much as there is. `Ready(Ok(()))` is progress.
    pub(super) fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let gathered = self.gather(&mut slices);
        let slices = slices.get(..gathered).unwrap_or_default();
        match Pin::new(stream).poll_write_vectored(cx, slices) {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(written)) => {
                self.advance(written);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Points `slices` at what is to be written next; returns how many are in use.
    fn gather<'a>(&'a self, slices: &mut [IoSlice<'a>; MAX_SLICES]) -> usize {
        let mut skip = self.written;
        let parts = self.frames.iter().flat_map(|frame| [frame.header(), frame.payload()]);
        let unwritten = parts.filter_map(|part| {
            let rest = part.get(skip..);
            skip = skip.saturating_sub(part.len());
            rest.filter(|rest| !rest.is_empty())
        });
        slices.iter_mut().zip(unwritten).map(|(slot, part)| *slot = IoSlice::new(part)).count()
    }

    fn advance(&mut self, written: usize) {
        self.written += written;
        while let Some(first) = self.frames.front()
            && self.written >= first.wire_len()
        {
            self.written -= first.wire_len();
            self.done += footprint(first);
            self.frames.pop_front();
        }
    }

    /// Keeps only a frame that the peer has part of; returns the footprint of the others.
    fn drop_unstarted(&mut self) -> usize {
        let started = usize::from(self.written > 0);
        self.frames.drain(started.min(self.frames.len())..).map(|frame| footprint(&frame)).sum()
    }
}

/// What a waiting frame costs: its payload, and its place in the queue even if it has none.
fn footprint(frame: &Frame) -> usize {
    size_of::<Frame>() + frame.payload().len()
}

/// Wakes without holding the lock.
fn wake(state: MutexGuard<'_, State>, waker: Option<Waker>) {
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use bytes::Bytes;

    use super::*;
    use crate::ws::frame::CloseCode;

    /// Room for three frames of ten bytes.
    const LIMIT: usize = 3 * (size_of::<Frame>() + 10);

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl std::task::Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A peer that accepts so many bytes per call and keeps them.
    #[derive(Default)]
    struct Peer {
        accepts: VecDeque<usize>,
        got: Vec<u8>,
        calls: usize,
    }

    impl AsyncWrite for Peer {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(buf)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let Some(room) = self.accepts.pop_front() else { return Poll::Pending };
            self.calls += 1;
            let offered: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
            let taken = offered.len().min(room);
            self.got.extend_from_slice(&offered[..taken]);
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    struct Bench {
        outbox: Outbox,
        batch: Batch,
        peer: Peer,
        wakes: Arc<Wakes>,
    }

    impl Bench {
        fn new(limit: usize) -> Self {
            let (batch, peer, wakes) = Default::default();
            Self { outbox: Outbox::new(limit), batch, peer, wakes }
        }

        /// What the connection does when it is polled, with a peer that accepts these amounts.
        fn flush(&mut self, accepts: &[usize]) -> Phase {
            self.peer.accepts = accepts.iter().copied().collect();
            let waker = Waker::from(Arc::clone(&self.wakes));
            loop {
                let phase = self.outbox.refill(&mut self.batch, &waker, Then::Park);
                if self.batch.is_empty() {
                    return phase;
                }
                match self.batch.poll_write(&mut self.peer, &mut Context::from_waker(&waker)) {
                    Poll::Ready(result) => result.unwrap(),
                    Poll::Pending => return phase,
                }
            }
        }

        fn wakes(&self) -> usize {
            self.wakes.0.load(Ordering::Relaxed)
        }

        fn waiting(&self) -> usize {
            self.outbox.lock().waiting
        }
    }

    fn frame(fill: u8) -> Frame {
        Frame::text(Bytes::from(vec![fill; 10]))
    }

    fn wire(frames: &[Frame]) -> Vec<u8> {
        frames.iter().flat_map(|frame| [frame.header(), frame.payload()].concat()).collect()
    }

    fn bye() -> Frame {
        Frame::close(CloseCode::NORMAL, "")
    }

    #[test]
    fn only_the_push_into_an_empty_outbox_wakes() {
        let mut bench = Bench::new(LIMIT);
        bench.flush(&[]);
        bench.outbox.push(frame(b'a'));
        bench.outbox.push(frame(b'b'));
        assert_eq!(bench.wakes(), 1);
        bench.flush(&[5]);
        bench.outbox.push(frame(b'c'));
        assert_eq!(bench.wakes(), 1, "the task already waits for the socket");
        bench.flush(&[usize::MAX]);
        bench.outbox.push(frame(b'd'));
        assert_eq!(bench.wakes(), 2);
    }

    #[test]
    fn frames_that_gathered_go_out_in_one_write() {
        let mut bench = Bench::new(usize::MAX);
        let frames: Vec<Frame> = (0..32).map(frame).collect();
        for frame in &frames {
            assert_eq!(bench.outbox.push(frame.clone()), Pushed::Queued);
        }
        bench.flush(&[usize::MAX]);
        assert_eq!(bench.peer.calls, 1);
        assert_eq!(bench.peer.got, wire(&frames));
    }

    #[test]
    fn more_than_one_write_can_hold_takes_several() {
        let mut bench = Bench::new(usize::MAX);
        let frames: Vec<Frame> = (0..100).map(frame).collect();
        for frame in &frames {
            bench.outbox.push(frame.clone());
        }
        bench.flush(&[usize::MAX; 4]);
        assert_eq!(bench.peer.calls, 4);
        assert_eq!(bench.peer.got, wire(&frames));
    }

    #[test]
    fn a_peer_that_takes_any_piece_gets_every_byte_in_order() {
        for piece in 1..=30 {
            let mut bench = Bench::new(usize::MAX);
            let frames = [frame(b'a'), Frame::ping(Bytes::new()), frame(b'b'), frame(b'c')];
            for frame in &frames {
                bench.outbox.push(frame.clone());
                bench.flush(&[piece]);
            }
            bench.flush(&[piece; 60]);
            assert_eq!(bench.peer.got, wire(&frames), "pieces of {piece}");
            assert_eq!(bench.waiting(), 0);
        }
    }

    #[test]
    fn an_overflow_drops_what_is_not_started_and_lets_one_last_frame_through() {
        let mut bench = Bench::new(LIMIT);
        for fill in [b'a', b'b'] {
            bench.outbox.push(frame(fill));
        }
        bench.flush(&[4]);
        assert_eq!(bench.outbox.push(frame(b'c')), Pushed::Queued);
        assert_eq!(bench.outbox.push(frame(b'd')), Pushed::Overflowed);
        assert_eq!(bench.outbox.push(frame(b'e')), Pushed::Overflowed);
        bench.outbox.close_after_flush(Some(frame(b'!')), bye());
        assert_eq!(bench.outbox.push(frame(b'f')), Pushed::Closed);
        assert_eq!(bench.flush(&[usize::MAX; 4]), Phase::Closing);
        assert_eq!(bench.peer.got, wire(&[frame(b'a'), frame(b'!'), bye()]));
        assert_eq!(bench.waiting(), 0);
    }

    #[test]
    fn an_overflow_wakes_a_connection_that_waits_for_its_peer() {
        let mut bench = Bench::new(LIMIT);
        bench.outbox.push(frame(b'a'));
        bench.flush(&[4]);
        while bench.outbox.push(frame(b'b')) == Pushed::Queued {}
        assert_eq!(bench.wakes(), 1);
        assert_eq!(bench.flush(&[usize::MAX; 2]), Phase::Overflowed);
        assert_eq!(bench.peer.got, wire(&[frame(b'a')]));
    }

    #[test]
    fn written_frames_make_room_again() {
        let mut bench = Bench::new(LIMIT);
        for fill in 0..100 {
            assert_eq!(bench.outbox.push(frame(fill)), Pushed::Queued);
            bench.flush(&[usize::MAX]);
        }
    }

    #[test]
    fn empty_frames_count_too() {
        let outbox = Outbox::new(LIMIT);
        let refused = (0..4).map(|_| outbox.push(Frame::ping(Bytes::new())));
        assert_eq!(refused.last(), Some(Pushed::Overflowed));
    }

    #[test]
    fn closing_sends_what_is_queued_first_and_only_the_first_close_counts() {
        let mut bench = Bench::new(LIMIT);
        bench.outbox.push(frame(b'a'));
        bench.outbox.close_after_flush(None, bye());
        bench.outbox.close_after_flush(None, Frame::close_without_code());
        assert_eq!(bench.flush(&[usize::MAX]), Phase::Closing);
        assert_eq!(bench.peer.got, wire(&[frame(b'a'), bye()]));
    }

    #[test]
    fn an_idle_outbox_owns_no_queue() {
        let mut bench = Bench::new(LIMIT);
        bench.outbox.push(frame(b'a'));
        bench.flush(&[4]);
        bench.outbox.push(frame(b'b'));
        bench.flush(&[usize::MAX; 2]);
        assert_eq!(bench.outbox.lock().queue.capacity() + bench.batch.frames.capacity(), 0);
    }

    #[test]
    fn an_abandoned_outbox_frees_its_frames_and_refuses_more() {
        let bench = Bench::new(LIMIT);
        let payload = Bytes::from(vec![0; 10]);
        bench.outbox.push(Frame::text(payload.clone()));
        bench.outbox.abandon();
        assert!(payload.is_unique());
        assert_eq!(bench.outbox.push(frame(b'a')), Pushed::Closed);
    }
}
