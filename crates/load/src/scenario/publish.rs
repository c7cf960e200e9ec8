//! Publishers that wait for acknowledgements, and nobody who listens.
//!
//! An acknowledgement is what counts as delivered here: one that does not come is lost, one that comes
//! twice is duplicated, one that comes before an earlier one is reordered.

use std::ops::Range;

use super::Run;
use super::gather::{self, Opening, Role};
use super::publisher::{Publisher, Sent};
use crate::account::{Account, Tally};
use crate::engine::{Engine, Player};
use crate::latency::Latency;
use crate::marker::Marker;
use crate::measure::{Scene, measure};
use crate::watch::Counts;
use crate::wire::{Channel, Event};
use crate::{LoadError, Pace, Report};

#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) publishers: u32,
    /// Of all publishers together, unless each has its own pipeline.
    pub(super) pace: Pace,
}

pub(super) fn run(run: &mut Run<'_>, shape: Shape) -> Result<Report, LoadError> {
    let Shape { publishers, pace } = shape;
    if publishers == 0 {
        return Err(LoadError::Usage("somebody has to publish".to_owned()));
    }
    let pace = pace.check()?;
    let mut watch = run.watch()?;
    let mut engine = run.engine(publishers as usize)?;
    if !engine.wire().acknowledges() {
        return Err(LoadError::Usage("this wire has no acknowledgements".to_owned()));
    }
    run.tell(&format!("{publishers} connections"))?;
    let channels = run.channels(publishers);
    let roles = vec![Role::Publisher; publishers as usize];
    gather::gather(&mut engine, &roles, &channels, Opening::AFew)?.all()?;
    let mut scene = Publish::new(channels, pace, run.payload());
    let course = run.course();
    let measured = measure(&mut engine, &mut scene, course, &mut watch, run.progress)?;
    let pace = match pace {
        Pace::InFlight(count) => ("pipeline", count.into()),
        Pace::Rate(_) => pace.parameter(),
    };
    let parameters = run.parameters(vec![("publishers", publishers.into()), pace]);
    let mut report = run.report("publish", parameters, &scene, measured);
    report.notes.push("delivered means acknowledged".to_owned());
    Ok(report)
}

/// Each publisher has a channel and a stream of its own number.
pub(super) struct Publish {
    account: Account,
    channels: Vec<Channel>,
    publishers: Vec<Publisher>,
    payload: Vec<u8>,
    pace: Pace,
    sending: bool,
    /// Publishers who may send, of a fixed number under way; one may be in it several times.
    free: Vec<usize>,
    due: f64,
    next: usize,
    window: Option<Range<u64>>,
    latency: Latency,
    counts: Counts,
    ended: Option<LoadError>,
}

impl Publish {
    pub(super) fn new(channels: Vec<Channel>, pace: Pace, payload: Vec<u8>) -> Self {
        let numbers: Vec<u32> = channels.iter().map(|channel| channel.number).collect();
        Self {
            account: Account::new(&numbers, &numbers),
            publishers: channels.iter().map(|_| Publisher::default()).collect(),
            channels,
            payload,
            pace,
            sending: false,
            free: Vec::new(),
            due: 0.0,
            next: 0,
            window: None,
            latency: Latency::new(),
            counts: Counts::default(),
            ended: None,
        }
    }

    fn send(&mut self, engine: &mut Engine, connection: usize, at: u64) {
        let stream = connection as u32;
        let Some(publisher) = self.publishers.get_mut(connection) else { return };
        let Some(channel) = self.channels.get(connection) else { return };
        let Some(sequence) = self.account.send(stream) else { return };
        Marker { stream, sequence, sent: at }.write(&mut self.payload);
        engine.publish(connection, publisher.serial(), channel, &self.payload);
        publisher.push(Sent { stream, sequence, at });
        self.counts.sent += 1;
    }

    fn hear_answer(&mut self, connection: usize, serials: Range<u64>, now: u64, answer: Answer) {
        let end = serials.end;
        for serial in serials {
            let sent = self.publishers.get(connection).and_then(|publisher| publisher.find(serial));
            match (answer, sent) {
                (Answer::Accepted, sent) => {
                    let first = self.account.hear(connection, connection as u32, serial);
                    self.counts.delivered += u64::from(first);
                    let window = self.window.as_ref();
                    if let Some(Sent { at, .. }) = sent
                        && window.is_some_and(|window| window.contains(&at))
                    {
                        self.latency.record(now - at);
                    }
                }
                (Answer::Refused, Some(Sent { stream, sequence, .. })) => {
                    self.account.refuse(stream, sequence);
                }
                (Answer::Refused, None) => {}
            }
            if sent.is_some() {
                self.free.push(connection);
            }
        }
        if let Some(publisher) = self.publishers.get_mut(connection) {
            publisher.forget(end);
        }
    }
}

#[derive(Clone, Copy)]
enum Answer {
    Accepted,
    Refused,
}

impl Player for Publish {
    fn hear(&mut self, connection: usize, event: Event<'_>, now: u64) {
        match event {
            Event::Acknowledged { serial, count } => {
                self.hear_answer(connection, serial..serial + count, now, Answer::Accepted);
            }
            Event::Refused { serial, count, .. } => {
                self.hear_answer(connection, serial..serial + count, now, Answer::Refused);
            }
            Event::Answered(result) => {
                let serial = self.publishers.get(connection).map_or(0, Publisher::first);
                let answer = if result.is_ok() { Answer::Accepted } else { Answer::Refused };
                self.hear_answer(connection, serial..serial + 1, now, answer);
            }
            Event::Ended(reason) => self.ended = Some(LoadError::Ended { connection, reason }),
            Event::Message(_)
            | Event::Ready(_)
            | Event::Subscribed(_)
            | Event::Reply(_)
            | Event::Other(_) => {}
        }
    }

    fn act(&mut self, engine: &mut Engine) -> Result<(), LoadError> {
        if let Some(ended) = self.ended.take() {
            return Err(ended);
        }
        let now = engine.now();
        if !self.sending {
            return Ok(());
        }
        match self.pace {
            Pace::InFlight(_) => {
                let mut free = std::mem::take(&mut self.free);
                for connection in free.drain(..) {
                    self.send(engine, connection, now);
                }
                self.free = free;
            }
            Pace::Rate(rate) => {
                self.free.clear();
                while self.due <= now as f64 {
                    self.send(engine, self.next, self.due as u64);
                    self.next = (self.next + 1) % self.publishers.len();
                    self.due += 1e9 / rate;
                }
            }
        }
        for (connection, publisher) in self.publishers.iter_mut().enumerate() {
            if std::mem::take(&mut publisher.dirty) {
                engine.flush(connection)?;
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

impl Scene for Publish {
    fn begin(&mut self, now: u64) {
        self.sending = true;
        match self.pace {
            Pace::InFlight(count) => {
                let publishers = 0..self.publishers.len();
                self.free = publishers.flat_map(|one| (0..count).map(move |_| one)).collect();
            }
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
        !self.publishers.iter().any(Publisher::waits)
    }

    fn tally(&self) -> Tally {
        self.account.tally()
    }
}
