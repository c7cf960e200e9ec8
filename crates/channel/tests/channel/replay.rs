//! Exactly once across drops, trims, failed writes and restarts, against a model client that does
//! what client libraries do: it keeps the last cursor that it was given, and presents it.

use std::collections::VecDeque;
use std::sync::Arc;

use channel::{Attached, Config, Effect, Event, Limits, Rewind};
use proptest::prelude::*;
use types::{Cursor, Entry};

use crate::host::{Host, START, config, messages, sent, window_ms};

#[derive(Clone, Copy, Debug)]
enum Step {
    Publish,
    /// The store answers for the oldest entry that waits.
    Settle {
        durable: bool,
    },
    /// The client loses its transport, resumes, and loses it again after some frames.
    Resume {
        frames: usize,
    },
    /// The client starts anew with a rewind.
    Rewind {
        messages: u32,
    },
    Drop,
    Wait {
        ms: u64,
    },
    /// Of the entries that wait, this many have reached the store.
    Restart {
        written: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => Just(Step::Publish),
        8 => Just(Step::Settle { durable: true }),
        1 => Just(Step::Settle { durable: false }),
        5 => (0_usize..12).prop_map(|frames| Step::Resume { frames }),
        1 => (0_u32..6).prop_map(|messages| Step::Rewind { messages }),
        2 => Just(Step::Drop),
        2 => (0_u64..90_000).prop_map(|ms| Step::Wait { ms }),
        1 => (0_usize..3).prop_map(|written| Step::Restart { written }),
    ]
}

struct Model {
    host: Host,
    config: Config,
    /// What is committed, in order; the log holds the end of it.
    store: Vec<Arc<Entry>>,
    waiting: VecDeque<Arc<Entry>>,
    published: i64,
    restarts: u64,
    client: Client,
}

#[derive(Default)]
struct Client {
    cursor: Option<Cursor>,
    attached: bool,
    /// The index in the store of what it must see next.
    next: usize,
}

impl Model {
    fn new(config: Config) -> Self {
        let mut host = Host::open(config.clone(), 0, 0);
        if config.persisted {
            host.load(vec![]);
        }
        Self {
            host,
            config,
            store: vec![],
            waiting: VecDeque::new(),
            published: 0,
            restarts: 0,
            client: Client::default(),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Publish => {
                self.published += 1;
                let event = self.host.publish_event(sent("c", self.published), messages(&["x"]));
                self.feed(event);
            }
            Step::Settle { durable } => {
                if let Some(entry) = self.waiting.pop_front() {
                    self.feed(Event::Stored { position: entry.position, durable });
                }
            }
            Step::Resume { frames } => self.resume(frames),
            Step::Rewind { messages } => {
                let attached = self.host.rewind(Rewind::Messages(messages));
                self.client.next = self.store.len() - attached.replay.len();
                self.client.cursor = Some(attached.cursor.clone());
                self.replay(attached, usize::MAX);
            }
            Step::Drop => self.client.attached = false,
            Step::Wait { ms } => {
                self.host.at(self.host.now - START + ms);
            }
            Step::Restart { written } => self.restart(written),
        }
    }

    fn feed(&mut self, event: Event) {
        for effect in self.host.handle(event) {
            match effect {
                Effect::Store(entry) => self.waiting.push_back(entry),
                Effect::Deliver { entry, cursor } => {
                    self.store.push(Arc::clone(&entry));
                    if self.client.attached {
                        self.see(&entry, cursor);
                    }
                }
                _ => {}
            }
        }
    }

    fn see(&mut self, entry: &Arc<Entry>, cursor: Cursor) {
        assert_eq!(entry.id, self.store[self.client.next].id, "lost, repeated or out of order");
        self.client.next += 1;
        self.client.cursor = Some(cursor);
    }

    fn resume(&mut self, frames: usize) {
        let Some(cursor) = self.client.cursor.clone() else {
            let attached = self.host.attach();
            return self.start_at_head(&attached);
        };
        let attached = self.host.resume(&cursor);
        let trimmed = self.store.len() - self.host.channel.metrics().entries;
        if attached.resumed {
            assert_eq!(attached.cursor, cursor);
            self.replay(attached, frames);
        } else {
            // A host that stored nothing leaves no trace of its series.
            let unknown = self.restarts > 0 && self.client.next == 0;
            assert!(self.client.next < trimmed || unknown, "resumable, and refused");
            assert_eq!(attached.error.as_ref().unwrap().code, 90003);
            self.start_at_head(&attached);
        }
    }

    fn start_at_head(&mut self, attached: &Attached) {
        assert!(attached.replay.is_empty());
        self.client = Client {
            cursor: Some(attached.cursor.clone()),
            attached: true,
            next: self.store.len(),
        };
    }

    fn replay(&mut self, attached: Attached, frames: usize) {
        assert_eq!(attached.replay.len(), self.store.len() - self.client.next);
        let all = attached.replay.len() <= frames;
        for (entry, label) in attached.replay.into_iter().take(frames) {
            self.see(&entry, label);
        }
        self.client.attached = all;
    }

    fn restart(&mut self, written: usize) {
        if !self.config.persisted {
            return;
        }
        self.client.attached = false;
        let written = written.min(self.waiting.len());
        self.store.extend(self.waiting.drain(..written));
        self.waiting.clear();
        self.restarts += 1;
        let now = self.host.now - START;
        self.host = Host::open(self.config.clone(), self.restarts, now);
        let horizon = (START + now).saturating_sub(window_ms());
        let recent = self.store.partition_point(|entry| entry.timestamp.0 <= horizon);
        self.host.load(self.store[recent.saturating_sub(1)..].to_vec());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_client_sees_everything_once_and_in_order_or_is_told(
        persisted: bool,
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let limits = Limits { log_bytes: 2_500, ..config().limits };
        let mut model = Model::new(Config { persisted, limits, ..config() });
        for step in steps {
            model.step(step);
        }
        model.resume(usize::MAX);
        prop_assert!(model.client.attached && model.client.next == model.store.len());
    }
}
