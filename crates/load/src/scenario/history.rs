//! Readers of history: each asks over REST for the newest page of one channel, again and again. What a
//! page holds is known, so it is checked like deliveries are.

use std::ops::Range;

use super::Run;
use super::gather::{self, Opening, Role};
use super::publish::Publish;
use crate::account::Tally;
use crate::engine::{Engine, Player};
use crate::latency::Latency;
use crate::marker::markers;
use crate::measure::{SECOND, Scene, measure};
use crate::watch::Counts;
use crate::wire::{Channel, Event, Rest};
use crate::{LoadError, Pace, Report};

/// Messages under way while the channel is filled.
const FILLING: u32 = 64;
/// Without an acknowledgement for so long, filling has failed.
const PATIENCE: u64 = 10 * SECOND;

#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) readers: u32,
    /// Messages of a page.
    pub(super) page: u32,
}

pub(super) fn run(run: &mut Run<'_>, shape: Shape) -> Result<Report, LoadError> {
    let Shape { readers, page } = shape;
    if readers == 0 || page == 0 {
        return Err(LoadError::Usage("somebody has to read something".to_owned()));
    }
    let channels = run.channels(1);
    run.tell(&format!("{page} messages are published, for {readers} readers"))?;
    let published = fill(run, &channels, page)?;
    let mut watch = run.watch()?;
    let (server, place) = run.options.place()?;
    let rest = Box::new(Rest::reader(&place, page)?);
    let mut engine = Engine::new(server, rest, readers as usize, run.options.waiting)?;
    let roles = vec![Role::Idle; readers as usize];
    gather::gather(&mut engine, &roles, &channels, Opening::AFew)?.all()?;
    let mut scene = History {
        channels,
        published,
        page: page.into(),
        payload: run.options.payload,
        asked: vec![None; readers as usize],
        free: Vec::new(),
        sending: false,
        window: None,
        latency: Latency::new(),
        counts: Counts::default(),
        tally: Tally::default(),
        ended: None,
    };
    let course = run.course();
    let measured = measure(&mut engine, &mut scene, course, &mut watch, run.progress)?;
    let parameters = run.parameters(vec![("readers", readers.into()), ("page", page.into())]);
    let mut report = run.report("history", parameters, &scene, measured);
    let told = "sent are requests, delivered the messages in their answers; the latency is that of a request";
    report.notes.push(told.to_owned());
    Ok(report)
}

/// How many messages the channel has then: at least as many as were wanted.
fn fill(run: &mut Run<'_>, channels: &[Channel], wanted: u32) -> Result<u64, LoadError> {
    let mut engine = run.engine(1)?;
    gather::gather(&mut engine, &[Role::Publisher], channels, Opening::AFew)?.all()?;
    let mut filling = Publish::new(channels.to_vec(), Pace::InFlight(FILLING), run.payload());
    filling.begin(engine.now());
    filling.act(&mut engine)?;
    let until = engine.now() + PATIENCE;
    while !filling.is_settled() {
        engine.turn(&mut filling, until)?;
        if filling.counts().delivered >= wanted.into() {
            filling.stop(engine.now());
        }
        if engine.now() >= until {
            return Err(LoadError::NotReady { seconds: PATIENCE / SECOND, waiting: 1 });
        }
    }
    let refused = filling.tally().refused;
    if refused > 0 {
        let what = format!("the server refuses what history is to hold: {refused} messages");
        return Err(LoadError::Usage(what));
    }
    Ok(filling.counts().sent)
}

struct History {
    channels: Vec<Channel>,
    /// The newest message has the sequence before this.
    published: u64,
    page: u64,
    payload: usize,
    /// When each reader asked what is not answered yet.
    asked: Vec<Option<u64>>,
    free: Vec<usize>,
    sending: bool,
    window: Option<Range<u64>>,
    latency: Latency,
    counts: Counts,
    tally: Tally,
    ended: Option<LoadError>,
}

impl History {
    fn hear_page(&mut self, page: &[u8]) {
        let expected = self.published - self.page..self.published;
        let mut missing: Vec<u64> = expected.collect();
        let mut before = u64::MAX;
        for marker in markers(page, self.payload) {
            match missing.binary_search(&marker.sequence) {
                Ok(index) => drop(missing.remove(index)),
                Err(_) => self.tally.duplicated += 1,
            }
            self.tally.reordered += u64::from(marker.sequence > before);
            before = marker.sequence;
        }
        let delivered = self.page - missing.len() as u64;
        self.tally.expected += self.page;
        self.tally.lost += missing.len() as u64;
        self.tally.delivered += delivered;
        self.counts.delivered += delivered;
    }

    fn answered(&mut self, reader: usize, now: u64) {
        let asked = self.asked.get_mut(reader).and_then(Option::take);
        let window = self.window.as_ref();
        if let Some(asked) = asked {
            self.free.push(reader);
            if window.is_some_and(|window| window.contains(&asked)) {
                self.latency.record(now - asked);
            }
        }
    }
}

impl Player for History {
    fn hear(&mut self, reader: usize, event: Event<'_>, now: u64) {
        match event {
            Event::Message(page) => self.hear_page(page),
            Event::Answered(result) => {
                self.tally.refused += u64::from(result.is_err());
                self.answered(reader, now);
            }
            Event::Ended(reason) => {
                self.ended = Some(LoadError::Ended { connection: reader, reason });
            }
            Event::Acknowledged { .. }
            | Event::Refused { .. }
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
        if !self.sending {
            return Ok(());
        }
        let now = engine.now();
        while let Some(reader) = self.free.pop() {
            let Some(channel) = self.channels.first() else { break };
            engine.publish(reader, 0, channel, &[]);
            engine.flush(reader)?;
            if let Some(asked) = self.asked.get_mut(reader) {
                *asked = Some(now);
            }
            self.counts.sent += 1;
        }
        Ok(())
    }

    fn due(&self) -> Option<u64> {
        None
    }
}

impl Scene for History {
    fn begin(&mut self, _now: u64) {
        self.sending = true;
        self.free = (0..self.asked.len()).collect();
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
        self.asked.iter().all(Option::is_none)
    }

    /// A page that has not come is missed with everything that is in it.
    fn tally(&self) -> Tally {
        let open = self.asked.iter().flatten().count() as u64 * self.page;
        let Tally { expected, lost, .. } = self.tally;
        Tally { expected: expected + open, lost: lost + open, ..self.tally }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::marker::{LEN, Marker};

    /// What is found wrong with a page of these sequences where 7, 6 and 5 are expected.
    fn tally(sequences: &[u64]) -> Tally {
        let mut history = History {
            channels: Vec::new(),
            published: 8,
            page: 3,
            payload: LEN,
            asked: Vec::new(),
            free: Vec::new(),
            sending: false,
            window: None,
            latency: Latency::new(),
            counts: Counts::default(),
            tally: Tally::default(),
            ended: None,
        };
        let mut page = Vec::new();
        for sequence in sequences {
            let mut payload = [0; LEN];
            Marker { stream: 0, sequence: *sequence, sent: 0 }.write(&mut payload);
            page.extend(payload);
        }
        history.hear_page(&page);
        history.tally()
    }

    #[test]
    fn a_page_holds_the_newest_messages_backwards_and_nothing_else() {
        let exact = Tally { expected: 3, delivered: 3, ..Tally::default() };
        assert_eq!(tally(&[7, 6, 5]), exact);
        assert_eq!(tally(&[7, 5]), Tally { delivered: 2, lost: 1, ..exact });
        assert_eq!(tally(&[7, 6, 6, 5]), Tally { duplicated: 1, ..exact });
        assert_eq!(tally(&[7, 6, 5, 4]), Tally { duplicated: 1, ..exact });
        assert_eq!(tally(&[7, 5, 6]), Tally { reordered: 1, ..exact });
    }
}
