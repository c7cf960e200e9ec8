//! Many threads, one turn at a time: whoever brings work takes the turn itself, on its own thread, if
//! nobody else is at it. For work that comes alone nobody is woken.
//!
//! Invariant: work that was there when [`Relay::take_turn`] was called is done. Who finds somebody at
//! a turn, or a worker that might have to wait, rings for the relay's own thread, which takes the next
//! one: nobody else waits for a turn.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError, TryLockError, Weak, mpsc};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// What is passed from thread to thread.
pub(super) trait Worker: Send + 'static {
    /// Works off what is there.
    fn turn(&mut self) -> Next;

    /// Whether a turn might wait for somebody now.
    fn may_wait(&self) -> bool;
}

/// What is to happen after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another turn, after this time at the latest.
    TurnIn(Duration),
    End,
}

pub(super) struct Relay<W> {
    place: Mutex<Place<W>>,
    alarm: Alarm,
}

/// Has the relay's own thread take a turn.
#[derive(Clone, Debug)]
pub(super) struct Alarm {
    /// Since that thread has begun its last turn. Unlike the thread's token it outlasts whatever a turn
    /// waits for.
    rung: Arc<AtomicBool>,
    thread: Thread,
}

struct Place<W> {
    /// None once it has been dropped, by the relay's thread.
    worker: Option<W>,
    /// When the relay's thread wakes by itself.
    wakes: Instant,
    ended: bool,
}

impl<W: Worker> Place<W> {
    /// Returns when the next turn is due; None after the last.
    fn turn(&mut self) -> Option<Duration> {
        let next = self.worker.as_mut().filter(|_| !self.ended).map_or(Next::End, Worker::turn);
        match next {
            Next::TurnIn(patience) => Some(patience),
            Next::End => {
                self.ended = true;
                None
            }
        }
    }
}

impl<W> Place<W> {
    /// Whether the relay's thread may sleep for longer than this: also if it should be awake, for it may
    /// have gone to sleep late.
    fn sleeps_beyond(&self, patience: Duration) -> bool {
        let now = Instant::now();
        self.wakes <= now || now + patience < self.wakes
    }
}

impl Alarm {
    pub(super) fn ring(&self) {
        self.rung.store(true, SeqCst);
        self.thread.unpark();
    }
}

/// A turn has panicked.
struct Panicked;

impl<W: Worker> Relay<W> {
    /// Takes the first turn and starts the thread. What is returned besides is told of its end, unless it
    /// panics.
    pub(super) fn start(
        name: &str,
        worker: impl FnOnce(&Arc<Self>) -> io::Result<W>,
    ) -> io::Result<(Arc<Self>, oneshot::Receiver<()>)> {
        let (begin, begun) = mpsc::sync_channel::<Arc<Self>>(1);
        let (ending, ended) = oneshot::channel();
        let thread = thread::Builder::new().name(name.into()).spawn(move || {
            if begun.recv().is_ok_and(|relay| relay.run().is_ok()) {
                // Nobody waits any more if the grace is over.
                ending.send(()).ok();
            }
        })?;
        let alarm = Alarm { rung: Arc::default(), thread: thread.thread().clone() };
        let place = Place { worker: None, wakes: Instant::now(), ended: false };
        let relay = Arc::new(Self { place: Mutex::new(place), alarm });
        // Nobody takes a turn before there is a worker.
        let mut place = relay.place.lock().unwrap_or_else(PoisonError::into_inner);
        place.worker = Some(worker(&relay)?);
        place.turn();
        drop(place);
        // The thread waits for it.
        begin.send(Arc::clone(&relay)).ok();
        Ok((relay, ended))
    }

    pub(super) fn alarm(&self) -> &Alarm {
        &self.alarm
    }

    /// Takes a turn, or has one taken as soon as possible.
    pub(super) fn take_turn(&self) {
        let mut place = match self.place.try_lock() {
            Ok(place) => place,
            Err(TryLockError::WouldBlock | TryLockError::Poisoned(_)) => {
                self.alarm.ring();
                return;
            }
        };
        let ring = place.worker.as_ref().is_some_and(Worker::may_wait)
            || place.turn().is_none_or(|patience| place.sleeps_beyond(patience));
        drop(place);
        if ring {
            self.alarm.ring();
        }
    }

    /// Has a turn taken by a thread of the runtime.
    pub(super) fn take_turn_on(relay: &Weak<Self>, runtime: &Handle) {
        let relay = Weak::clone(relay);
        runtime.spawn(async move { Self::take_turn_of(&relay) });
    }

    /// As [`Relay::take_turn`], if there is the relay still.
    pub(super) fn take_turn_of(relay: &Weak<Self>) {
        if let Some(relay) = relay.upgrade() {
            relay.take_turn();
        }
    }

    /// The relay's thread: takes a turn whenever one is due.
    fn run(&self) -> Result<(), Panicked> {
        loop {
            self.alarm.rung.store(false, SeqCst);
            let mut place = self.place.lock().map_err(|_poisoned| Panicked)?;
            let Some(patience) = place.turn() else {
                place.worker = None;
                return Ok(());
            };
            place.wakes = Instant::now() + patience;
            drop(place);
            if !patience.is_zero() && !self.alarm.rung.load(SeqCst) {
                thread::park_timeout(patience);
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    pub(crate) const NEVER: Duration = Duration::from_hours(1);

    /// Counts what it is sent; nothing ends it.
    struct Counter {
        queue: mpsc::Receiver<()>,
        done: Arc<AtomicUsize>,
    }

    impl Worker for Counter {
        fn turn(&mut self) -> Next {
            self.done.fetch_add(self.queue.try_iter().count(), SeqCst);
            Next::TurnIn(NEVER)
        }

        fn may_wait(&self) -> bool {
            false
        }
    }

    fn counter() -> (Arc<Relay<Counter>>, mpsc::Sender<()>, Arc<AtomicUsize>) {
        let (sender, queue) = mpsc::channel();
        let done = Arc::new(AtomicUsize::new(0));
        let worker = Counter { queue, done: Arc::clone(&done) };
        let (relay, _ended) = Relay::start("counter", |_| Ok(worker)).unwrap();
        wait_for_sleep(&relay);
        (relay, sender, done)
    }

    /// Until the relay's thread has taken a turn, and wakes no more by itself.
    pub(crate) fn wait_for_sleep<W: Worker>(relay: &Relay<W>) {
        while relay.place.lock().unwrap().wakes < Instant::now() + NEVER / 2 {
            thread::yield_now();
        }
    }

    /// Whoever else is at it.
    fn wait_for(done: &AtomicUsize, count: usize) {
        while done.load(SeqCst) < count {
            thread::yield_now();
        }
    }

    #[test]
    fn work_of_many_threads_is_all_done() {
        let (relay, queue, done) = counter();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        queue.send(()).unwrap();
                        relay.take_turn();
                    }
                });
            }
        });
        wait_for(&done, 80_000);
    }

    #[test]
    fn work_that_finds_somebody_at_a_turn_is_done_by_the_thread() {
        let (relay, queue, done) = counter();
        let place = relay.place.lock().unwrap();
        queue.send(()).unwrap();
        relay.take_turn();
        drop(place);
        wait_for(&done, 1);
    }

    #[test]
    fn a_thread_of_the_runtime_takes_a_turn_when_it_is_asked_to() {
        let (relay, queue, done) = counter();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        queue.send(()).unwrap();
        Relay::take_turn_on(&Arc::downgrade(&relay), runtime.handle());
        assert_eq!(done.load(SeqCst), 0, "its thread has not run");
        runtime.block_on(tokio::task::yield_now());
        assert_eq!(done.load(SeqCst), 1);
    }

    /// Wants its turns at these times, and ends when there are none left; tells who takes them.
    struct Script {
        times: Vec<Duration>,
        turns: mpsc::Sender<thread::ThreadId>,
        /// How long each waits for something.
        waits: Duration,
    }

    impl Worker for Script {
        fn turn(&mut self) -> Next {
            self.turns.send(thread::current().id()).unwrap();
            if !self.waits.is_zero() {
                // Uses up the thread's token.
                thread::park_timeout(self.waits);
            }
            self.times.pop().map_or(Next::End, Next::TurnIn)
        }

        fn may_wait(&self) -> bool {
            !self.waits.is_zero()
        }
    }

    type Started = (Arc<Relay<Script>>, oneshot::Receiver<()>, mpsc::Receiver<thread::ThreadId>);

    fn script(times: &[Duration], waits: Duration) -> Started {
        let (turns, taken) = mpsc::channel();
        let script = Script { times: times.iter().rev().copied().collect(), turns, waits };
        let (relay, ended) = Relay::start("script", |_| Ok(script)).unwrap();
        assert_eq!(taken.try_recv(), Ok(thread::current().id()), "the first turn is over");
        (relay, ended, taken)
    }

    /// The thread sleeps for long; the next turn wants another one soon, which is the last.
    fn asleep() -> (Started, thread::ThreadId) {
        let started = script(&[NEVER, NEVER, Duration::from_millis(1)], Duration::ZERO);
        wait_for_sleep(&started.0);
        let thread = started.2.recv().unwrap();
        (started, thread)
    }

    #[test]
    fn the_thread_wakes_for_what_is_due_earlier_than_it_knew() {
        let ((relay, ended, taken), thread) = asleep();
        relay.take_turn();
        assert_ne!(taken.recv().unwrap(), thread);
        // The last turn, which ends it.
        assert_eq!(taken.recv().unwrap(), thread);
        ended.blocking_recv().unwrap();
        assert!(relay.place.lock().unwrap().worker.is_none());
    }

    #[test]
    fn the_thread_wakes_although_it_went_to_sleep_late() {
        let ((relay, _ended, taken), thread) = asleep();
        relay.place.lock().unwrap().wakes = Instant::now();
        relay.take_turn();
        assert_ne!(taken.recv().unwrap(), thread);
        assert_eq!(taken.recv_timeout(Duration::from_secs(30)).unwrap(), thread);
    }

    #[test]
    fn a_turn_that_may_wait_is_the_threads_and_what_rings_meanwhile_is_heard() {
        let (relay, _ended, taken) = script(&[NEVER, NEVER, NEVER], Duration::from_millis(100));
        let thread = taken.recv().unwrap();
        // During that turn.
        relay.take_turn();
        assert_eq!(taken.recv_timeout(Duration::from_secs(30)).unwrap(), thread);
        wait_for_sleep(&relay);
        relay.take_turn();
        assert_eq!(taken.recv_timeout(Duration::from_secs(30)).unwrap(), thread);
    }
}
