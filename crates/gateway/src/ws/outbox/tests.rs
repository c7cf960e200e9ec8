//! The queue against a peer that takes as much as a test says.

use std::sync::{Arc, atomic::AtomicUsize, mpsc};
use std::{thread, time::Duration};

use super::*;
use crate::ws::frame::CloseCode;

/// Room for three frames of ten bytes.
const LIMIT: usize = 3 * (size_of::<Frame>() + 12);

#[derive(Default)]
struct Wakes(AtomicUsize);

impl std::task::Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// A peer that accepts so many bytes per call and keeps them.
#[derive(Default)]
struct Peer(Mutex<Socket>);

#[derive(Default)]
struct Socket {
    accepts: VecDeque<usize>,
    got: Vec<u8>,
    calls: usize,
}

impl Stream for Peer {
    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write(&[IoSlice::new(bytes)])
    }

    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut socket = self.0.lock().unwrap();
        let Some(room) = socket.accepts.pop_front() else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        socket.calls += 1;
        let offered: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
        let taken = offered.len().min(room);
        socket.got.extend_from_slice(&offered[..taken]);
        Ok(taken)
    }

    fn poll_writable(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

struct Bench {
    outbox: Outbox<Peer>,
    batch: Batch,
    wakes: Arc<Wakes>,
}

impl Bench {
    fn new(limit: usize) -> Self {
        let (batch, wakes) = Default::default();
        Self { outbox: Outbox::new(Peer::default(), limit), batch, wakes }
    }

    /// From now on the peer accepts these amounts.
    fn accept(&self, accepts: &[usize]) {
        self.socket().accepts = accepts.iter().copied().collect();
    }

    /// What the connection does when it is polled, with a peer that accepts these amounts.
    fn flush(&mut self, accepts: &[usize]) -> Phase {
        self.accept(accepts);
        let waker = Waker::from(Arc::clone(&self.wakes));
        loop {
            let phase = self.outbox.refill(&mut self.batch, &waker, Then::Park);
            if self.batch.is_empty() {
                return phase;
            }
            let mut cx = Context::from_waker(&waker);
            match self.batch.poll_write(self.outbox.stream(), &mut cx) {
                Poll::Ready(result) => result.unwrap(),
                Poll::Pending => return phase,
            }
        }
    }

    fn socket(&self) -> MutexGuard<'_, Socket> {
        self.outbox.stream().0.lock().unwrap()
    }

    fn wakes(&self) -> usize {
        self.wakes.0.load(Relaxed)
    }

    fn waiting(&self) -> usize {
        self.outbox.lock().waiting
    }
}

fn frame(fill: u8) -> Frame {
    Frame::text(&[fill; 10])
}

fn wire(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(|frame| frame.as_bytes().to_vec()).collect()
}

fn bye() -> Frame {
    Frame::close(CloseCode::NORMAL, "")
}

#[test]
fn only_the_push_into_an_empty_outbox_wakes() {
    let mut bench = Bench::new(LIMIT);
    bench.flush(&[]);
    bench.outbox.push(&frame(b'a'));
    bench.outbox.push(&frame(b'b'));
    assert_eq!(bench.wakes(), 1);
    bench.flush(&[5]);
    bench.outbox.push(&frame(b'c'));
    assert_eq!(bench.wakes(), 1, "the task already waits for the socket");
    bench.flush(&[usize::MAX]);
    bench.outbox.push(&frame(b'd'));
    assert_eq!(bench.wakes(), 2);
}

#[test]
fn frames_that_gathered_go_out_in_one_write() {
    let mut bench = Bench::new(usize::MAX);
    let frames: Vec<Frame> = (0..32).map(frame).collect();
    for frame in &frames {
        assert_eq!(bench.outbox.push(frame), Pushed::Accepted);
    }
    bench.flush(&[usize::MAX]);
    assert_eq!(bench.socket().calls, 1);
    assert_eq!(bench.socket().got, wire(&frames));
}

#[test]
fn more_than_one_write_can_hold_takes_several() {
    let mut bench = Bench::new(usize::MAX);
    let frames: Vec<Frame> = (0..100).map(frame).collect();
    for frame in &frames {
        bench.outbox.push(frame);
    }
    bench.flush(&[usize::MAX; 4]);
    assert_eq!(bench.socket().calls, 2);
    assert_eq!(bench.socket().got, wire(&frames));
}

#[test]
fn a_peer_that_takes_any_piece_gets_every_byte_in_order() {
    for piece in 1..=30 {
        let mut bench = Bench::new(usize::MAX);
        let frames = [frame(b'a'), Frame::ping(&[]), frame(b'b'), frame(b'c')];
        for frame in &frames {
            bench.outbox.push(frame);
            bench.flush(&[piece]);
        }
        bench.flush(&[piece; 60]);
        assert_eq!(bench.socket().got, wire(&frames), "pieces of {piece}");
        assert_eq!(bench.waiting(), 0);
    }
}

#[test]
fn an_overflow_drops_what_is_not_started_and_lets_one_last_frame_through() {
    let mut bench = Bench::new(LIMIT);
    for fill in [b'a', b'b'] {
        bench.outbox.push(&frame(fill));
    }
    bench.flush(&[4]);
    assert_eq!(bench.outbox.push(&frame(b'c')), Pushed::Accepted);
    assert_eq!(bench.outbox.push(&frame(b'd')), Pushed::Overflowed);
    assert_eq!(bench.outbox.push(&frame(b'e')), Pushed::Overflowed);
    bench.outbox.close_after_flush(Some(frame(b'!')), bye());
    assert_eq!(bench.outbox.push(&frame(b'f')), Pushed::Closed);
    assert_eq!(bench.flush(&[usize::MAX; 4]), Phase::Closing);
    assert_eq!(bench.socket().got, wire(&[frame(b'a'), frame(b'!'), bye()]));
    assert_eq!(bench.waiting(), 0);
}

#[test]
fn what_was_asked_for_may_wait_beyond_the_limit_once() {
    let mut bench = Bench::new(LIMIT);
    let many: Vec<Frame> = (0..100).map(frame).collect();
    assert_eq!(bench.outbox.push(&frame(b'a')), Pushed::Accepted);
    assert_eq!(bench.outbox.answer(many.clone()), Pushed::Accepted);
    for fill in [b'b', b'c'] {
        assert_eq!(bench.outbox.push(&frame(fill)), Pushed::Accepted, "what waits besides counts");
    }
    bench.flush(&[20]);
    assert_eq!(bench.outbox.answer([frame(b'd')]), Pushed::Overflowed);
    let mut bench = Bench::new(LIMIT);
    bench.outbox.answer(many.clone());
    bench.outbox.push(&frame(b'a'));
    bench.flush(&[usize::MAX; 9]);
    assert_eq!(bench.socket().got, wire(&[many, vec![frame(b'a')]].concat()));
    let state = bench.outbox.lock();
    assert_eq!((state.waiting, state.answers), (0, 0));
}

#[test]
fn a_frame_that_is_larger_than_the_limit_may_be_all_that_waits() {
    let mut bench = Bench::new(LIMIT);
    let large = Frame::text(&[b'l'; 2 * LIMIT]);
    assert_eq!(bench.outbox.push(&large), Pushed::Accepted);
    bench.flush(&[usize::MAX]);
    bench.accept(&[usize::MAX]);
    assert_eq!(bench.outbox.push(&large), Pushed::Accepted, "the socket takes it");
    assert_eq!(bench.socket().got, wire(&[large.clone(), large]));
}

#[test]
fn an_overflow_wakes_a_connection_that_waits_for_its_peer() {
    let mut bench = Bench::new(LIMIT);
    bench.outbox.push(&frame(b'a'));
    bench.flush(&[4]);
    while bench.outbox.push(&frame(b'b')) == Pushed::Accepted {}
    assert_eq!(bench.wakes(), 1);
    assert_eq!(bench.flush(&[usize::MAX; 2]), Phase::Overflowed);
    assert_eq!(bench.socket().got, wire(&[frame(b'a')]));
}

#[test]
fn written_frames_make_room_again() {
    let mut bench = Bench::new(LIMIT);
    for fill in 0..100 {
        assert_eq!(bench.outbox.push(&frame(fill)), Pushed::Accepted);
        bench.flush(&[usize::MAX]);
    }
}

#[test]
fn empty_frames_count_too() {
    let outbox = Outbox::new(Peer::default(), LIMIT);
    let refused = (0..4).map(|_| outbox.push(&Frame::ping(&[])));
    assert_eq!(refused.last(), Some(Pushed::Overflowed));
}

#[test]
fn closing_sends_what_is_queued_first_and_only_the_first_close_counts() {
    let mut bench = Bench::new(LIMIT);
    bench.outbox.push(&frame(b'a'));
    bench.outbox.close_after_flush(None, bye());
    bench.outbox.close_after_flush(None, Frame::close_without_code());
    assert_eq!(bench.flush(&[usize::MAX]), Phase::Closing);
    assert_eq!(bench.socket().got, wire(&[frame(b'a'), bye()]));
}

#[test]
fn an_idle_outbox_owns_no_queue() {
    let mut bench = Bench::new(LIMIT);
    bench.outbox.push(&frame(b'a'));
    bench.flush(&[4]);
    bench.outbox.push(&frame(b'b'));
    bench.flush(&[usize::MAX; 2]);
    assert_eq!(bench.outbox.lock().queue.all.capacity() + bench.batch.frames.all.capacity(), 0);
}

#[test]
fn an_abandoned_outbox_frees_its_frames_and_refuses_more() {
    let bench = Bench::new(LIMIT);
    bench.outbox.push(&frame(b'a'));
    bench.outbox.abandon();
    assert_eq!(bench.outbox.lock().queue.all.capacity(), 0);
    assert_eq!(bench.outbox.push(&frame(b'a')), Pushed::Closed);
}

/// A connection that has nothing to write and waits.
fn parked(limit: usize) -> Bench {
    let mut bench = Bench::new(limit);
    bench.flush(&[]);
    bench
}

#[test]
fn what_the_socket_takes_at_once_wakes_nobody() {
    let bench = parked(LIMIT);
    bench.accept(&[usize::MAX; 2]);
    bench.outbox.push(&frame(b'a'));
    bench.outbox.push(&frame(b'b'));
    assert_eq!(bench.socket().got, wire(&[frame(b'a'), frame(b'b')]));
    assert_eq!((bench.wakes(), bench.waiting(), bench.socket().calls), (0, 0, 2));
}

#[test]
fn a_task_that_is_parked_does_not_wait_for_who_writes() {
    let mut bench = parked(LIMIT);
    let writes = bench.outbox.lock();
    let waker = Waker::from(Arc::clone(&bench.wakes));
    let (batch, outbox) = (&mut bench.batch, &bench.outbox);
    thread::scope(|scope| {
        let (done, heard) = mpsc::channel();
        let task = move || done.send(outbox.refill(batch, &waker, Then::Park)).unwrap();
        scope.spawn(task);
        let phase = heard.recv_timeout(Duration::from_secs(30));
        drop(writes);
        assert_eq!(phase, Ok(Phase::Open));
    });
}

#[test]
fn a_task_that_is_polled_by_another_waker_is_woken_by_that_one() {
    let mut bench = parked(LIMIT);
    let before = mem::take(&mut bench.wakes);
    bench.flush(&[]);
    bench.outbox.push(&frame(b'a'));
    assert_eq!((before.0.load(Relaxed), bench.wakes()), (0, 1));
}

#[test]
fn a_task_with_nothing_to_write_hears_again_and_again_that_it_is_the_end() {
    let mut bench = parked(LIMIT);
    while bench.outbox.push(&frame(b'a')) == Pushed::Accepted {}
    assert_eq!([bench.flush(&[]), bench.flush(&[])], [Phase::Overflowed; 2]);
    bench.outbox.close_after_flush(None, bye());
    let accepts = [usize::MAX; 2];
    assert_eq!([bench.flush(&accepts), bench.flush(&accepts)], [Phase::Closing; 2]);
}

#[test]
fn what_the_socket_does_not_take_at_once_comes_before_anything_else() {
    let mut bench = parked(LIMIT);
    bench.accept(&[5]);
    bench.outbox.push(&frame(b'a'));
    bench.accept(&[usize::MAX]);
    bench.outbox.push(&frame(b'b'));
    assert_eq!((bench.wakes(), bench.socket().got.len()), (1, 5));
    bench.flush(&[3, usize::MAX]);
    assert_eq!(bench.socket().got, wire(&[frame(b'a'), frame(b'b')]));
    assert_eq!(bench.waiting(), 0);
}

#[test]
fn an_overflow_keeps_the_rest_of_a_frame_that_the_producer_has_started() {
    let mut bench = parked(LIMIT);
    bench.accept(&[5]);
    while bench.outbox.push(&frame(b'a')) == Pushed::Accepted {}
    bench.outbox.close_after_flush(Some(frame(b'!')), bye());
    assert_eq!(bench.flush(&[usize::MAX; 2]), Phase::Closing);
    assert_eq!(bench.socket().got, wire(&[frame(b'a'), frame(b'!'), bye()]));
    assert_eq!(bench.waiting(), 0);
}
