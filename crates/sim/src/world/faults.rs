//! What breaks: transports in all the ways in which they do, the node, the store.

use rand::RngExt;
use rand::seq::IteratorRandom;
use session::TransportId;
use types::Timestamp;

use super::World;
use crate::checkers::Verdict;
use crate::client::Link;
use crate::queue::{Downlink, Happening, Uplink};
use crate::transport::Cut;

impl World {
    pub(super) fn fault(&mut self) -> Verdict {
        let Some(gap) = self.setup.faults.filter(|_| self.faulty) else { return Ok(()) };
        let delay = self.between(gap);
        self.after(delay, Happening::Fault);
        let target = self.transports.keys().copied().choose(&mut self.rng);
        match self.rng.random_range(0..100) {
            0..5 if self.setup.crashes => {
                let down = if self.rng.random_bool(0.1) { 150_000 } else { 8_000 };
                let down = self.between((10, down));
                self.crash(down);
            }
            0..55 => {
                if let Some(transport) = target {
                    self.break_transport(transport);
                }
            }
            55..90 => {
                if let Some(link) = target.and_then(|target| self.transports.get_mut(&target)) {
                    let until = Timestamp(self.now.0 + self.rng.random_range(100..8_000));
                    let stream =
                        if self.rng.random_bool(0.5) { &mut link.up } else { &mut link.down };
                    stream.stall(until);
                }
            }
            _ => {
                let client = self.rng.random_range(0..self.clients.len());
                return self.act(client, |client, now| client.drop_link(now));
            }
        }
        Ok(())
    }

    /// Breaks a transport in one of the ways in which transports break.
    pub(super) fn break_transport(&mut self, transport: TransportId) {
        let noticed = self.between((10_000, 90_000));
        let how = match self.rng.random_range(0..10) {
            0..6 => Cut::Clean,
            6..8 => Cut::HalfOpen(noticed),
            _ => Cut::Silent(noticed),
        };
        self.cut(transport, if self.faulty { how } else { Cut::Clean });
    }

    pub(crate) fn cut(&mut self, transport: TransportId, how: Cut) {
        let Some(link) = self.transports.get_mut(&transport) else { return };
        if link.up.cut {
            return;
        }
        (link.up.cut, link.down.cut) = (true, true);
        self.trace.note(self.now, || format!("{transport:?} breaks: {how:?}"));
        let (client, node) = match how {
            Cut::Clean => (Some(50), self.between((0, 300))),
            Cut::HalfOpen(node) => (Some(50), node),
            Cut::Silent(node) => (None, node),
        };
        if let Some(soon) = client {
            let delay = self.between((0, soon));
            self.after(delay, Happening::ToClient(transport, Downlink::Closed));
        }
        self.after(node, Happening::ToNode(transport, Uplink::Closed));
    }

    /// Breaks the transport that a client uses now.
    pub fn cut_client(&mut self, index: usize, how: Cut) {
        if let Some(Link::Connected(transport)) = self.clients.get(index).map(|client| client.link)
        {
            self.cut(transport, how);
        }
    }

    /// The node dies, and starts again after `down` milliseconds.
    pub fn crash(&mut self, down: u64) {
        if !self.node_is_up() {
            return;
        }
        self.trace.note(self.now, || "the node crashes".to_owned());
        let reached = self.rng.random_range(0..=self.store.waiting());
        let changed = self.rng.random_range(0..=self.store.waiting_changes());
        self.store.crash(reached, changed);
        self.drop_node();
        for transport in std::mem::take(&mut self.transports).into_keys() {
            self.cursor_order.closed(transport);
            if self.rng.random_bool(0.9) {
                let delay = self.between((0, 100));
                self.after(delay, Happening::ToClient(transport, Downlink::Closed));
            }
        }
        self.after(down, Happening::Restart);
    }
}
