//! The world of one run: a clock, a node, its store, transports, clients, and what is on its way
//! between them. Everything happens on one thread, one thing at a time, in virtual time.
//!
//! [`hosting`] is the node's side (its driver, in effect) with its [`storage`], [`clients`] the clients', [`faults`] what
//! breaks, [`inquiry`] what the node is asked at the end, [`rest`] the callers of the REST interface, [`vandals`] those who send nonsense.

mod clients;
mod faults;
mod hosting;
mod inquiry;
mod rest;
mod storage;
mod vandals;

pub(crate) use hosting::request;

use std::collections::BTreeMap;
use std::sync::Arc;

use auth::SealingKey;
use node::{Effect, Node, RequestId};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;
use session::TransportId;
use types::{App, Key, Namespace, Restrictions, Timestamp};

use crate::checkers::bad_input::Input;
use crate::checkers::cursor_order::CursorOrder;
use crate::checkers::{Checkers, Verdict, durability, presence_truth, progress};
use crate::client::{ChannelState, Client};
use crate::planted::{Bug, Planted};
use crate::queue::{Happening, Queue};
use crate::report::{Stats, Trace};
use crate::setup::{MUTABLE, PERSISTED, Setup, Theme};
use crate::store::Store;
use crate::transport::Transport;
use crate::truth::Truth;

const START: Timestamp = Timestamp(1_800_000_000_000);
const KEY: &str = "app.key:secret";

pub struct World {
    pub now: Timestamp,
    pub clients: Vec<Client>,
    pub truth: Truth,
    pub stats: Stats,
    pub(crate) setup: Setup,
    pub(crate) trace: Trace,
    pub(crate) rng: ChaCha12Rng,
    queue: Queue,
    node: Option<Node>,
    incarnation: u64,
    last_alive: Timestamp,
    tick_at: Option<Timestamp>,
    transports: BTreeMap<TransportId, Transport>,
    timers: Vec<Option<Timestamp>>,
    pub(crate) store: Store,
    checkers: Checkers,
    cursor_order: CursorOrder,
    planted: Option<Planted>,
    rest: Vec<rest::Caller>,
    requests: BTreeMap<RequestId, usize>,
    next_request: u64,
    vandals: Vec<vandals::Vandal>,
    /// The number of the last message of each publisher on each channel.
    pub(crate) numbers: BTreeMap<(usize, Arc<str>), u64>,
    effects: Vec<Effect>,
    /// The vandal whose input the node is handling, and whether it was unreadable.
    watch: Option<(TransportId, Input)>,
    faulty: bool,
}

impl World {
    pub fn new(setup: Setup, mut rng: ChaCha12Rng, bug: Option<Bug>, trace: Trace) -> Self {
        let clients: Vec<_> = setup
            .clients
            .iter()
            .enumerate()
            .map(|(index, profile)| Client::new(index, profile.clone(), fork(&mut rng)))
            .collect();
        let mut truth = Truth::default();
        for name in &setup.channels {
            truth.channel(name).persisted =
                name.starts_with(PERSISTED) || name.starts_with(MUTABLE);
        }
        let mut world = Self {
            now: START,
            timers: vec![None; clients.len()],
            clients,
            truth,
            stats: Stats::default(),
            queue: Queue::default(),
            node: None,
            incarnation: 0,
            last_alive: START,
            tick_at: None,
            transports: BTreeMap::new(),
            store: Store::default(),
            checkers: Checkers::default(),
            cursor_order: CursorOrder::default(),
            planted: bug.map(|bug| Planted::new(bug, fork(&mut rng))),
            rest: (0..setup.rest).map(|_| rest::Caller::default()).collect(),
            requests: BTreeMap::new(),
            next_request: 0,
            vandals: (0..setup.vandals).map(|_| vandals::Vandal::default()).collect(),
            numbers: BTreeMap::new(),
            effects: Vec::new(),
            watch: None,
            faulty: true,
            setup,
            trace,
            rng,
        };
        world.start_node();
        world
    }

    pub fn run_for(&mut self, ms: u64) -> Verdict {
        self.run_until(Timestamp(self.now.0 + ms))
    }

    pub fn run_until(&mut self, end: Timestamp) -> Verdict {
        while self.queue.next().is_some_and(|at| at <= end) {
            let Some((at, happening)) = self.queue.pop() else { break };
            self.now = at;
            self.stats.happenings += 1;
            self.happen(happening)?;
        }
        self.now = end;
        Ok(())
    }

    fn happen(&mut self, happening: Happening) -> Verdict {
        match happening {
            Happening::ToNode(transport, uplink) => self.arrive_at_node(transport, uplink),
            Happening::ToClient(transport, downlink) => self.arrive_at_client(transport, downlink),
            Happening::NodeTick(incarnation) => self.node_tick(incarnation),
            Happening::ClientTimer(client) => self.client_timer(client),
            Happening::Written { incarnation, channel, entry, outcome } => {
                self.written(incarnation, channel, &entry, outcome)
            }
            Happening::Changed { incarnation, ticket, outcome } => {
                self.changed(incarnation, ticket, outcome)
            }
            Happening::Read { incarnation, channel, name, wanted, error } => {
                self.read(incarnation, channel, &name, &wanted, error)
            }
            Happening::ReadBacklog { incarnation, channel, attachment, entries } => {
                self.read_backlog(incarnation, channel, attachment, entries)
            }
            Happening::RestSend(caller) => self.rest_send(caller),
            Happening::RestReply { publisher, request, result } => {
                self.rest_reply(publisher, request, result)
            }
            Happening::RestTimeout { publisher, request } => {
                self.rest_timeout(publisher, request);
                Ok(())
            }
            Happening::Restart => self.restart_node(),
            Happening::Work => self.work(),
            Happening::Fault => self.fault(),
        }
    }

    pub(crate) fn after(&mut self, ms: u64, happening: Happening) {
        self.queue.push(Timestamp(self.now.0 + ms), happening);
    }

    pub(crate) fn between(&mut self, (low, high): (u64, u64)) -> u64 {
        self.rng.random_range(low..=high.max(low))
    }

    pub(crate) fn into_trace(self) -> Trace {
        self.trace
    }

    pub(crate) fn is_working(&self) -> bool {
        self.faulty
    }

    pub(crate) fn callers(&self) -> usize {
        self.rest.len()
    }

    /// Everything has settled: everybody is served, nothing is missing, presence is the truth.
    pub(crate) fn check_settled(&mut self) -> Verdict {
        let mut attached = Vec::new();
        for client in &self.clients {
            progress::settled(client)?;
            let channels = client.channels.iter();
            let live = channels.filter(|(_, channel)| channel.state == ChannelState::Attached);
            attached.extend(live.map(|(name, _)| (client.index, Arc::clone(name))));
        }
        self.checkers.settled(&self.truth, &attached)?;
        durability::settled(&self.truth, &self.store)?;
        for name in self.setup.channels.clone() {
            let members = self.node_members(&name);
            presence_truth::settled(&name, &self.clients, &members)?;
            self.check_content(&name)?;
        }
        Ok(())
    }

    /// Everybody leaves for good.
    pub(crate) fn leave(&mut self) -> Verdict {
        if self.setup.theme == Theme::Objects {
            self.clear_objects()?;
        }
        for index in 0..self.clients.len() {
            self.act(index, Client::close)?;
        }
        Ok(())
    }

    /// Sessions and channels of the node, for tests of growth.
    pub fn sizes(&self) -> (usize, usize) {
        self.node.as_ref().map_or((0, 0), |node| (node.session_count(), node.channel_count()))
    }

    /// No fault happens from now on, and what is broken heals.
    pub(crate) fn calm(&mut self) -> Verdict {
        self.faulty = false;
        self.leave_vandals();
        self.setup.store.fail_chance = 0.0;
        self.setup.store.delay = (1, 20);
        self.setup.break_chance = 0.0;
        for transport in self.transports.values_mut() {
            transport.heal();
        }
        self.restart_node()
    }

    fn restart_node(&mut self) -> Verdict {
        if self.node.is_some() {
            return Ok(());
        }
        self.start_node();
        self.surface_objects()
    }

    fn app(&self) -> App {
        App {
            id: "app".into(),
            account_id: "account".into(),
            keys: vec![Key {
                id: "key".into(),
                secret: "secret".into(),
                capability: r#"{"*":["*"]}"#.into(),
                revocable_tokens: false,
                restrictions: Restrictions::default(),
            }],
            namespaces: vec![
                Namespace { id: PERSISTED.into(), persisted: true, ..Namespace::default() },
                Namespace { id: MUTABLE.into(), mutable_messages: true, ..Namespace::default() },
            ],
            limits: self.setup.limits.clone(),
        }
    }
}

fn sealing_key() -> SealingKey {
    SealingKey::from_bytes([7; 32])
}

fn fork(rng: &mut ChaCha12Rng) -> ChaCha12Rng {
    ChaCha12Rng::seed_from_u64(rng.random())
}
