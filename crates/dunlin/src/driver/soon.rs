//! Turns that wait until a thread of the runtime has polled what was ready with the one that asked. What
//! several sockets have brought is read first, worked off in one turn, and then answered: each of the three
//! costs less when it is done again and again than in turns with the others. But to wait costs a look for
//! sockets, so a thread that finds few others who ask takes its turns at once, and tries again later; and
//! so does one that has read much.
//!
//! Invariant: after [`Soon::take_turn`] a turn begins, as soon as the thread has nothing else to poll, at the
//! latest when it next looks for sockets.

use std::array;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicU32, AtomicUsize};
use std::sync::{Arc, Weak};

use tokio::runtime::Handle;
use tokio::task::yield_now;

use super::relay::{Relay, Worker};

/// Threads beyond that many share a place with another one, and turns.
const PLACES: usize = 64;

/// So many turns that wait are judged together: the first may begin in the middle of what is ready.
const JUDGED: u32 = 16;

/// So many who ask for these are worth the wait.
const MANY: u32 = 3 * JUDGED;

/// So many turns are taken at once after some that were not worth the wait.
const AT_ONCE: u32 = 64 * JUDGED;

/// So many frames are worth a turn of their own: they are still in the caches.
const ENOUGH: usize = 32;

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static THREAD: usize = THREADS.fetch_add(1, Relaxed);
}

pub(super) struct Soon<W> {
    relay: Weak<Relay<W>>,
    /// By thread.
    places: Arc<[Place; PLACES]>,
}

#[derive(Debug, Default)]
struct Place {
    /// How many have asked for the turn that waits; 0 if none does.
    asked: AtomicU32,
    /// The turns that have waited since they were last judged, and how many asked for them.
    waited: AtomicU32,
    asked_before: AtomicU32,
    /// How many more turns are taken at once.
    at_once: AtomicU32,
}

impl<W: Worker> Soon<W> {
    pub(super) fn new(relay: &Arc<Relay<W>>) -> Self {
        let places = Arc::new(array::from_fn(|_| Place::default()));
        Self { relay: Arc::downgrade(relay), places }
    }

    /// Has a turn taken soon for what brings so many frames; on a thread without a runtime at once.
    pub(super) fn take_turn(&self, frames: usize) {
        let at = THREAD.with(|thread| thread % PLACES);
        let (Ok(runtime), Some(place)) = (Handle::try_current(), self.places.get(at)) else {
            return Relay::take_turn_of(&self.relay);
        };
        if frames >= ENOUGH {
            return Relay::take_turn_of(&self.relay);
        }
        let left = place.at_once.load(Relaxed);
        if left > 0 {
            place.at_once.store(left - 1, Relaxed);
            return Relay::take_turn_of(&self.relay);
        }
        if place.asked.fetch_add(1, SeqCst) > 0 {
            return;
        }
        let (relay, places) = (Weak::clone(&self.relay), Arc::clone(&self.places));
        runtime.spawn(async move {
            yield_now().await;
            if let Some(place) = places.get(at) {
                place.turn_begins();
            }
            Relay::take_turn_of(&relay);
        });
    }
}

impl Place {
    fn turn_begins(&self) {
        let asked = self.asked.swap(0, SeqCst);
        let all = self.asked_before.fetch_add(asked, Relaxed) + asked;
        if self.waited.fetch_add(1, Relaxed) + 1 < JUDGED {
            return;
        }
        self.waited.store(0, Relaxed);
        self.asked_before.store(0, Relaxed);
        if all < MANY {
            self.at_once.store(AT_ONCE, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::runtime::Builder;
    use tokio::sync::oneshot;

    use super::super::relay::Next;
    use super::super::relay::tests::{NEVER, wait_for_sleep};
    use super::*;

    /// Tells how much it finds at each turn, if anything.
    struct Reporter {
        queue: mpsc::Receiver<()>,
        found: mpsc::Sender<usize>,
    }

    impl Worker for Reporter {
        fn turn(&mut self) -> Next {
            match self.queue.try_iter().count() {
                0 => {}
                found => self.found.send(found).unwrap(),
            }
            Next::TurnIn(NEVER)
        }

        fn may_wait(&self) -> bool {
            false
        }
    }

    struct Reported {
        relay: Arc<Relay<Reporter>>,
        queue: mpsc::Sender<()>,
        found: mpsc::Receiver<usize>,
        _ended: oneshot::Receiver<()>,
    }

    fn reporter() -> Reported {
        let ((queue, queued), (find, found)) = (mpsc::channel(), mpsc::channel());
        let worker = Reporter { queue: queued, found: find };
        let (relay, ended) = Relay::start("reporter", |_| Ok(worker)).unwrap();
        wait_for_sleep(&relay);
        Reported { relay, queue, found, _ended: ended }
    }

    /// Has so many tasks ask that are ready together, and waits for their turn.
    async fn ask(soon: &Arc<Soon<Reporter>>, queue: &mpsc::Sender<()>, tasks: usize) {
        let tasks = (0..tasks).map(|_| {
            let (soon, queue) = (Arc::clone(soon), queue.clone());
            tokio::spawn(async move {
                queue.send(()).unwrap();
                soon.take_turn(1);
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        yield_now().await;
        yield_now().await;
    }

    #[test]
    fn what_is_ready_together_is_worked_off_in_one_turn() {
        let Reported { relay, queue, found, .. } = reporter();
        let soon = Arc::new(Soon::new(&relay));
        Builder::new_current_thread().build().unwrap().block_on(async {
            // Of which many are enough, on average.
            for tasks in [9, 1].into_iter().cycle().take(3 * JUDGED as usize) {
                ask(&soon, &queue, tasks).await;
                assert_eq!(found.try_iter().collect::<Vec<_>>(), [tasks]);
            }
        });
    }

    #[test]
    fn who_asks_alone_is_let_wait_seldom() {
        let Reported { relay, queue, found, .. } = reporter();
        let soon = Arc::new(Soon::new(&relay));
        Builder::new_current_thread().build().unwrap().block_on(async {
            for _ in 0..3 {
                for _ in 0..JUDGED {
                    queue.send(()).unwrap();
                    soon.take_turn(1);
                    assert!(found.try_recv().is_err());
                    yield_now().await;
                    yield_now().await;
                    assert_eq!(found.try_recv(), Ok(1));
                }
                for _ in 0..AT_ONCE {
                    queue.send(()).unwrap();
                    soon.take_turn(1);
                    assert_eq!(found.try_recv(), Ok(1));
                }
            }
        });
    }

    #[test]
    fn what_brings_much_is_worked_off_at_once() {
        let Reported { relay, queue, found, .. } = reporter();
        let soon = Arc::new(Soon::new(&relay));
        Builder::new_current_thread().build().unwrap().block_on(async {
            queue.send(()).unwrap();
            soon.take_turn(ENOUGH - 1);
            assert!(found.try_recv().is_err());
            queue.send(()).unwrap();
            soon.take_turn(ENOUGH);
            assert_eq!(found.try_recv(), Ok(2));
        });
    }

    #[test]
    fn of_many_threads_each_has_its_turn() {
        let Reported { relay, queue, found, .. } = reporter();
        let soon = Arc::new(Soon::new(&relay));
        let runtime = Builder::new_multi_thread().worker_threads(4).build().unwrap();
        for _ in 0..1_000 {
            let (soon, queue) = (Arc::clone(&soon), queue.clone());
            runtime.spawn(async move {
                queue.send(()).unwrap();
                soon.take_turn(1);
            });
        }
        let mut left = 1_000;
        while left > 0 {
            left -= found.recv_timeout(Duration::from_secs(30)).unwrap();
        }
    }

    #[test]
    fn without_a_runtime_a_turn_is_taken_at_once() {
        let Reported { relay, queue, found, .. } = reporter();
        let soon = Soon::new(&relay);
        queue.send(()).unwrap();
        soon.take_turn(1);
        assert_eq!(found.try_recv(), Ok(1));
    }
}
