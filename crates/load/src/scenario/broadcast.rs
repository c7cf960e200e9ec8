//! What fan-out and many channels share: streams on channels, each message to all subscribers of its
//! channel, at a fixed rate or with a fixed number of messages under way.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;

use serde_json::{Map, Value};

use super::Run;
use super::publisher::{Publisher, Sent};
use super::topology::{Kind, Stage, Topology};
use crate::account::{Account, Tally};
use crate::engine::{Engine, Player};
use crate::latency::Latency;
use crate::marker::{Marker, markers};
use crate::measure::{SECOND, Scene, measure};
use crate::watch::Counts;
use crate::wire::{Channel, Churn, Event};
use crate::{LoadError, Pace, Report};

/// How long it takes to learn what became of subscribers that had stalled.
const WAKING: u64 = 3 * SECOND;
/// Messages that are sent late together, before what has come is read.
const BURST_MAX: usize = 1000;

pub(super) fn run(
    run: &mut Run<'_>,
    name: &'static str,
    parameters: Map<String, Value>,
    topology: &Topology,
    channels: u32,
) -> Result<Report, LoadError> {
    let mut watch = run.watch()?;
    let mut engine = run.engine(topology.connections())?;
    let channels = run.channels(channels);
    let stage = Stage::join(run, &mut engine, topology, channels)?;
    let mut scene = Broadcast::new(topology, run, &stage);
    let course = run.course();
    let measured = measure(&mut engine, &mut scene, course, &mut watch, run.progress)?;
    let mut report = run.report(name, parameters, &scene, measured);
    report.completion = Some(scene.completion.quantiles());
    if topology.stalled > 0 {
        let (stalled, ended) = (topology.stalled, scene.wake_stalled(&mut engine, topology)?);
        report.notes.push(format!("of {stalled} stalled subscribers the server ended {ended}"));
    }
    Ok(report)
}

/// Connections are numbered: publishers, subscribers, stalled ones.
pub(super) struct Broadcast {
    kind: Kind,
    /// The number of the first connection.
    first: usize,
    account: Account,
    channels: Vec<Channel>,
    streams: Vec<Stream>,
    publishers: Vec<Publisher>,
    subscribers: usize,
    payload: Vec<u8>,
    pace: Pace,
    acknowledged: bool,
    sending: bool,
    /// Messages that may be sent at once, of a fixed number under way.
    free: usize,
    /// When the next one is to be sent, at a fixed rate.
    due: f64,
    turn: Turn,
    unsettled: usize,
    window: Option<Range<u64>>,
    latency: Latency,
    completion: Latency,
    counts: Counts,
    /// Stalled subscribers that the server has ended.
    given_up: BTreeSet<usize>,
    ended: Option<LoadError>,
}

struct Stream {
    channel: u32,
    publisher: usize,
    hearers: u32,
    /// Messages from `first` on of which deliveries are awaited.
    flights: VecDeque<Flight>,
    first: u64,
}

struct Flight {
    missing: u32,
    sent: u64,
}

/// Which stream is next.
enum Turn {
    Around(u32),
    /// The state of a generator of pseudo-random numbers (SplitMix64).
    Drawn(u64),
}

impl Broadcast {
    pub(super) fn new(topology: &Topology, run: &Run<'_>, stage: &Stage) -> Self {
        let channels = stage.channels.clone();
        let mut hearers = vec![0; channels.len()];
        for channel in &topology.subscribers {
            if let Some(count) = hearers.get_mut(*channel as usize) {
                *count += 1;
            }
        }
        let publishers = topology.publishers as usize;
        let stream = |(index, channel): (usize, &u32)| Stream {
            channel: *channel,
            publisher: index % publishers,
            hearers: hearers.get(*channel as usize).copied().unwrap_or_default(),
            flights: VecDeque::new(),
            first: 0,
        };
        Self {
            kind: topology.kind,
            first: stage.first,
            account: Account::new(&topology.streams, &topology.subscribers),
            turn: if channels.len() > 1 { Turn::Drawn(0) } else { Turn::Around(0) },
            channels,
            streams: topology.streams.iter().enumerate().map(stream).collect(),
            publishers: (0..publishers).map(|_| Publisher::default()).collect(),
            subscribers: topology.subscribers.len(),
            payload: run.payload(),
            pace: topology.pace,
            acknowledged: stage.acknowledges,
            sending: false,
            free: 0,
            due: 0.0,
            unsettled: 0,
            window: None,
            latency: Latency::new(),
            completion: Latency::new(),
            counts: Counts::default(),
            given_up: BTreeSet::new(),
            ended: None,
        }
    }

    /// Reads what stalled subscribers have been sent, and counts those that the server has ended.
    fn wake_stalled(
        &mut self,
        engine: &mut Engine,
        topology: &Topology,
    ) -> Result<usize, LoadError> {
        let stalled = topology.stalled as usize;
        let end = self.first + topology.connections();
        for connection in end - stalled..end {
            engine.resume_reading(connection)?;
        }
        let until = engine.now() + WAKING;
        while self.given_up.len() < stalled && engine.now() < until {
            engine.turn(self, until)?;
        }
        Ok(self.given_up.len())
    }

    pub(super) fn completion(&self) -> &Latency {
        &self.completion
    }

    pub(super) fn first_channel(&self) -> Option<&Channel> {
        self.channels.first()
    }

    fn hear_messages(&mut self, connection: usize, frame: &[u8], now: u64) {
        // Members are told of themselves.
        if self.kind == Kind::Presence && connection < self.publishers.len() {
            return;
        }
        let subscriber = connection.wrapping_sub(self.publishers.len());
        let is_stalled = connection >= self.publishers.len() + self.subscribers;
        if is_stalled {
            return;
        }
        for Marker { stream, sequence, sent } in markers(frame, self.payload.len()) {
            if !self.account.hear(subscriber, stream, sequence) {
                continue;
            }
            self.counts.delivered += 1;
            if self.window.as_ref().is_some_and(|window| window.contains(&sent)) {
                self.latency.record(now.saturating_sub(sent));
            }
            self.land(stream, sequence, 1, now);
        }
    }

    /// So many of the deliveries of a message are no longer awaited.
    fn land(&mut self, stream: u32, sequence: u64, deliveries: u32, now: u64) {
        let Some(stream) = self.streams.get_mut(stream as usize) else { return };
        let index =
            sequence.checked_sub(stream.first).and_then(|index| usize::try_from(index).ok());
        let Some(flight) = index.and_then(|index| stream.flights.get_mut(index)) else { return };
        if flight.missing == 0 {
            return;
        }
        flight.missing = flight.missing.saturating_sub(deliveries);
        if flight.missing > 0 {
            return;
        }
        let window = self.window.as_ref();
        if deliveries == 1 && window.is_some_and(|window| window.contains(&flight.sent)) {
            self.completion.record(now - flight.sent);
        }
        self.free += 1;
        self.unsettled -= 1;
        while stream.flights.front().is_some_and(|flight| flight.missing == 0) {
            stream.flights.pop_front();
            stream.first += 1;
        }
    }

    fn hear_refusal(&mut self, connection: usize, serials: Range<u64>, now: u64) {
        let Some(publisher) = self.publishers.get(connection) else { return };
        let refused: Vec<Sent> = serials.filter_map(|serial| publisher.find(serial)).collect();
        for Sent { stream, sequence, .. } in refused {
            self.account.refuse(stream, sequence);
            self.land(stream, sequence, u32::MAX, now);
        }
    }

    /// Serials below this one are answered.
    fn forget(&mut self, connection: usize, serial: u64) {
        if let Some(publisher) = self.publishers.get_mut(connection) {
            publisher.forget(serial);
        }
    }

    fn send(&mut self, engine: &mut Engine, sent: u64) {
        let number = self.turn.next(self.streams.len() as u32);
        let Some(stream) = self.streams.get_mut(number as usize) else { return };
        let Some(publisher) = self.publishers.get_mut(stream.publisher) else { return };
        let Some(channel) = self.channels.get(stream.channel as usize) else { return };
        let Some(sequence) = self.account.send(number) else { return };
        Marker { stream: number, sequence, sent }.write(&mut self.payload);
        let connection = self.first + stream.publisher;
        let (serial, payload) = (publisher.serial(), &self.payload);
        match self.kind {
            Kind::Messages => engine.publish(connection, serial, channel, payload),
            Kind::Presence => engine.write(connection, |wire, out| {
                let churn = Churn { member: number, sequence, payload };
                wire.realtime().inspect(|wire| wire.churn(serial, channel, churn, out));
            }),
        }
        publisher.push(Sent { stream: number, sequence, at: sent });
        if !self.acknowledged {
            publisher.forget(publisher.serial());
        }
        stream.flights.push_back(Flight { missing: stream.hearers, sent });
        self.counts.sent += 1;
        self.unsettled += 1;
    }
}

impl Player for Broadcast {
    fn hear(&mut self, connection: usize, event: Event<'_>, now: u64) {
        let connection = connection.wrapping_sub(self.first);
        match event {
            Event::Message(frame) => self.hear_messages(connection, frame, now),
            Event::Acknowledged { serial, count } => self.forget(connection, serial + count),
            Event::Refused { serial, count, .. } => {
                self.hear_refusal(connection, serial..serial + count, now);
                self.forget(connection, serial + count);
            }
            Event::Ended(reason) if connection < self.publishers.len() + self.subscribers => {
                self.ended = Some(LoadError::Ended { connection: self.first + connection, reason });
            }
            Event::Ended(_) => drop(self.given_up.insert(connection)),
            Event::Answered(_) => {
                let first = self.publishers.get(connection).map_or(0, Publisher::first);
                self.forget(connection, first + 1);
            }
            Event::Ready(_) | Event::Subscribed(_) | Event::Reply(_) | Event::Other(_) => {}
        }
    }

    fn act(&mut self, engine: &mut Engine) -> Result<(), LoadError> {
        if let Some(ended) = self.ended.take() {
            return Err(ended);
        }
        if !self.sending {
            return Ok(());
        }
        let before = self.counts.sent;
        match self.pace {
            Pace::InFlight(_) => {
                let now = engine.now();
                for _ in 0..std::mem::take(&mut self.free) {
                    self.send(engine, now);
                }
            }
            Pace::Rate(rate) => {
                let now = engine.now() as f64;
                for _ in 0..BURST_MAX {
                    if self.due > now {
                        break;
                    }
                    self.send(engine, self.due as u64);
                    self.due += 1e9 / rate;
                }
            }
        }
        if self.counts.sent == before {
            return Ok(());
        }
        for (connection, publisher) in self.publishers.iter_mut().enumerate() {
            if std::mem::take(&mut publisher.dirty) {
                engine.flush(self.first + connection)?;
            }
        }
        Ok(())
    }

    fn due(&self) -> Option<u64> {
        match self.pace {
            Pace::Rate(_) if self.sending => Some(self.due as u64),
            Pace::Rate(_) | Pace::InFlight(_) => None,
        }
    }
}

impl Scene for Broadcast {
    fn begin(&mut self, now: u64) {
        self.sending = true;
        match self.pace {
            Pace::InFlight(count) => self.free = count as usize,
            Pace::Rate(_) => self.due = now as f64,
        }
    }

    fn measure(&mut self, now: u64) {
        self.window = Some(now..u64::MAX);
    }

    fn stop(&mut self, now: u64) {
        self.sending = false;
        if let Some(window) = &mut self.window {
            window.end = now;
        }
    }

    fn counts(&self) -> Counts {
        self.counts
    }

    fn latency(&self) -> &Latency {
        &self.latency
    }

    fn is_settled(&self) -> bool {
        let answered = !self.publishers.iter().any(Publisher::waits);
        self.unsettled == 0 && answered
    }

    fn tally(&self) -> Tally {
        self.account.tally()
    }
}

impl Turn {
    /// Less than `count`, which is not 0.
    fn next(&mut self, count: u32) -> u32 {
        match self {
            Self::Around(next) => {
                let turn = *next % count;
                *next = turn + 1;
                turn
            }
            Self::Drawn(state) => {
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut drawn = *state;
                drawn = (drawn ^ (drawn >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                drawn = (drawn ^ (drawn >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                ((drawn ^ (drawn >> 31)) % u64::from(count)) as u32
            }
        }
    }
}
