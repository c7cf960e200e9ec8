//! What the clients of a seeded run do: publish, attach, enter, leave, close, now in bursts, now nothing
//! for minutes. [`objects`] and [`changes`] are what some runs are about.

mod changes;
mod objects;

use std::sync::Arc;

use rand::RngExt;
use types::PresenceAction;

use crate::checkers::Verdict;
use crate::queue::Happening;
use crate::setup::Theme;
use crate::world::World;

impl World {
    /// Connects everybody and sets the workload and the faults going.
    pub(crate) fn begin(&mut self) -> Verdict {
        for index in 0..self.clients.len() {
            let channels = self.setup.channels.clone();
            self.act(index, |client, now| client.connect(now))?;
            for channel in channels {
                if self.rng.random_bool(0.8) {
                    self.act(index, |client, now| client.attach(now, &channel, None))?;
                }
            }
        }
        self.after(100, Happening::Work);
        self.after(500, Happening::Fault);
        Ok(())
    }

    pub(crate) fn any_channel(&mut self) -> Arc<str> {
        let at = self.rng.random_range(0..self.setup.channels.len());
        Arc::clone(&self.setup.channels[at])
    }

    pub(crate) fn work(&mut self) -> Verdict {
        if !self.is_working() {
            return Ok(());
        }
        let idle = self.rng.random_bool(0.005);
        let pause = self.between(if idle { (30_000, 200_000) } else { self.setup.pace });
        self.after(pause, Happening::Work);
        let client = self.rng.random_range(0..self.clients.len());
        let channel = self.any_channel();
        if self.setup.theme != Theme::Messages && self.rng.random_bool(0.4) {
            return self.themed(client, &channel);
        }
        match self.rng.random_range(0..100) {
            0..50 => {
                let count = self.rng.random_range(1..4);
                self.publish_if_live(client, &channel, count)
            }
            50..54 => {
                for _ in 0..self.rng.random_range(3..15) {
                    self.publish_if_live(client, &channel, 1)?;
                }
                Ok(())
            }
            54..62 => self.presence(client, &channel, PresenceAction::Enter),
            62..66 => self.presence(client, &channel, PresenceAction::Update),
            66..71 => self.presence(client, &channel, PresenceAction::Leave),
            71..76 => {
                let rewind = self.rng.random_bool(0.3).then(|| self.rng.random_range(1..20));
                self.act(client, |c, now| c.attach(now, &channel, rewind))
            }
            // Only while connected: a client that detaches offline does not tell the server.
            76..79 if self.clients[client].is_connected() => {
                self.trace.note(self.now, || format!("client {client} wants to detach {channel}"));
                self.act(client, |c, now| c.detach(now, &channel))
            }
            79..81 => {
                let rewind = self.rng.random_range(1..20);
                self.act(client, |c, _| c.set_options(&channel, rewind))
            }
            81..83 => self.act(client, |c, now| c.close(now)),
            83..88 => self.act(client, |c, now| c.connect(now)),
            88..96 if self.callers() > 0 => {
                let caller = self.rng.random_range(0..self.callers());
                self.rest_publish(caller)
            }
            _ => {
                self.vandalise();
                Ok(())
            }
        }
    }

    fn themed(&mut self, client: usize, channel: &Arc<str>) -> Verdict {
        if !self.clients[client].is_live() {
            return Ok(());
        }
        match self.setup.theme {
            Theme::Messages => Ok(()),
            Theme::Objects => self.operate(client, channel),
            Theme::Changes if self.rng.random_bool(0.6) => self.change(client, channel),
            Theme::Changes => self.annotate(client, channel),
        }
    }

    fn presence(&mut self, client: usize, channel: &Arc<str>, action: PresenceAction) -> Verdict {
        let data = self.rng.random_range(0..100);
        // Told of a loss, client libraries enter their members again, also one whose LEAVE is on its
        // way: with a rate that a connection can exceed, a member may outlive its application's wish.
        if self.setup.limits.connection_outbound_rate != 0 {
            return Ok(());
        }
        self.trace.note(self.now, || format!("client {client} wants {action:?} on {channel}"));
        self.act(client, |c, _| c.enter(channel, action, data))
    }

    fn publish_if_live(&mut self, client: usize, channel: &Arc<str>, count: usize) -> Verdict {
        if self.clients[client].is_live() {
            return self.publish(client, channel, count);
        }
        Ok(())
    }

    /// Faults are over: everybody comes back, and what became of presence that failed is settled.
    pub(crate) fn settle(&mut self) -> Verdict {
        self.calm()?;
        self.run_for(30_000)?;
        for _ in 0..4 {
            for index in 0..self.clients.len() {
                self.act(index, |client, now| client.connect(now))?;
                for channel in self.setup.channels.clone() {
                    let Some(known) = self.clients[index].channel(&channel) else { continue };
                    if known.wants_presence.is_none() {
                        self.presence(index, &channel, PresenceAction::Leave)?;
                    }
                }
            }
            self.run_for(20_000)?;
        }
        for channel in self.setup.channels.clone() {
            for index in 0..self.clients.len() {
                self.publish(index, &channel, 1)?;
            }
        }
        self.run_for(150_000)
    }
}
