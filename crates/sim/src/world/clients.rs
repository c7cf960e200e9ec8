//! The clients' side: what reaches them, what they do, and their timers.

use std::sync::Arc;
use std::time::Duration;

use auth::{Capability, ClientPolicy, Grant};
use protocol::{Action, ProtocolMessage};
use rand::RngExt;
use session::TransportId;
use types::{ClientId, Timestamp};

use super::{KEY, World, sealing_key};
use crate::checkers::Verdict;
use crate::client::{Act, Client, Content, Profile, Publish};
use crate::queue::{Downlink, Happening, Uplink};
use crate::report::show;
use crate::transport::{self, Transport};
use crate::truth::Label;

impl World {
    pub(super) fn arrive_at_client(
        &mut self,
        transport: TransportId,
        downlink: Downlink,
    ) -> Verdict {
        let index = usize::try_from(transport.0 >> 32).unwrap_or(usize::MAX);
        if let Downlink::Closed = downlink {
            if transport::is_vandal(transport) {
                self.vandal_closed(transport);
                return Ok(());
            }
            self.trace.note(self.now, || format!("{transport:?} closed at client {index}"));
            return self.act(index, |client, now| client.transport_closed(now, transport));
        }
        let is_vandal = transport::is_vandal(transport);
        let Some(link) = self.transports.get_mut(&transport) else { return Ok(()) };
        if link.down.cut || is_vandal {
            return Ok(());
        }
        if link.down.breaks_now() {
            self.break_transport(transport);
            return Ok(());
        }
        match downlink {
            Downlink::Frame(frame, end) => {
                self.trace.note(self.now, || format!("client {index} hears {}", show(&frame)));
                self.act(index, |client, now| client.receive(now, transport, &frame, end))
            }
            Downlink::Ping => self.act(index, |client, now| client.ping(now, transport)),
            Downlink::Closed => Ok(()),
        }
    }

    pub(super) fn client_timer(&mut self, index: usize) -> Verdict {
        if self.timers.get(index).copied().flatten().is_none_or(|at| at > self.now) {
            return Ok(());
        }
        self.timers[index] = None;
        self.act(index, Client::wake)
    }

    /// Lets a client do something, and carries out what it does.
    pub fn act(&mut self, index: usize, what: impl FnOnce(&mut Client, Timestamp)) -> Verdict {
        let Some(client) = self.clients.get_mut(index) else { return Ok(()) };
        what(client, self.now);
        let acts = std::mem::take(&mut client.acts);
        let echo = client.profile.echo;
        if let Some(at) = client.deadline()
            && self.timers[index].is_none_or(|scheduled| scheduled > at)
        {
            let at = at.max(self.now);
            self.timers[index] = Some(at);
            self.queue.push(at, Happening::ClientTimer(index));
        }
        for act in acts {
            match act {
                Act::Open { transport, query } => self.open(index, transport, query),
                Act::Send(transport, frame) => self.send_up(transport, &frame),
                Act::HangUp(transport) => self.hang_up(transport),
                Act::Renew(transport) => {
                    let mut frame = ProtocolMessage::new(Action::Auth);
                    frame.access_token = self.credentials(index).map(|(_, token)| token.into());
                    self.send_up(transport, &frame);
                }
                Act::Observe(observed) => {
                    let by = (index, echo);
                    self.checkers.observe(&mut self.truth, &self.store, by, observed)?;
                }
            }
        }
        Ok(())
    }

    /// The credentials of a client as a query parameter.
    fn credentials(&mut self, index: usize) -> Option<(&'static str, String)> {
        let profile = &self.setup.clients.get(index)?;
        let Some(ttl) = profile.token_ttl else { return Some(("key", KEY.to_owned())) };
        let grant = Grant {
            app_id: "app".into(),
            key_id: "key".into(),
            client: ClientPolicy::Fixed(ClientId::clone(&profile.client_id)),
            capability: Capability::parse(r#"{"*":["*"]}"#).ok()?,
            ttl: Duration::from_millis(ttl),
        };
        let token = auth::issue(&grant, &sealing_key(), self.now, &mut self.rng).token;
        Some(("accessToken", token))
    }

    fn open(&mut self, index: usize, transport: TransportId, mut query: Vec<(String, String)>) {
        if !self.node_is_up() {
            self.after(20, Happening::ToClient(transport, Downlink::Closed));
            return;
        }
        if let Some((name, value)) = self.credentials(index) {
            query.push((name.to_owned(), value));
        }
        let Profile { format, framing, .. } = self.setup.clients[index];
        let mut link = Transport::new(format, framing);
        if self.rng.random_bool(self.setup.break_chance) {
            let frames = self.rng.random_range(0..40);
            let stream = if self.rng.random_bool(0.7) { &mut link.down } else { &mut link.up };
            stream.break_after(frames);
        }
        let is_it =
            |&&(client, count, _): &&(usize, u64, u64)| transport::id(client, count) == transport;
        if let Some((_, _, frames)) = self.setup.breaks.iter().find(is_it) {
            link.down.break_after(*frames);
        }
        self.transports.insert(transport, link);
        self.uplink(transport, Uplink::Opened(query));
    }

    fn send_up(&mut self, transport: TransportId, frame: &ProtocolMessage) {
        let Some(link) = self.transports.get(&transport) else { return };
        let bytes = protocol::encode(frame, link.format);
        self.stats.frames += 1;
        self.uplink(transport, Uplink::Bytes(bytes));
    }

    pub(super) fn uplink(&mut self, transport: TransportId, uplink: Uplink) {
        let latency = self.between(self.setup.latency);
        let Some(link) = self.transports.get_mut(&transport) else { return };
        if let Some(at) = link.up.send(self.now, latency) {
            self.queue.push(at, Happening::ToNode(transport, uplink));
        }
    }

    fn hang_up(&mut self, transport: TransportId) {
        let Some(link) = self.transports.get_mut(&transport) else { return };
        let known = link.up.cut;
        link.down.cut = true;
        if !known {
            // What was sent before still arrives.
            self.uplink(transport, Uplink::Closed);
        }
    }

    /// Publishes `count` messages as one publish.
    pub fn publish(&mut self, index: usize, channel: &Arc<str>, count: usize) -> Verdict {
        let publish = self.next_publish(index, channel, count);
        self.act(index, |client, _| client.publish(publish))
    }

    pub(crate) fn next_publish(
        &mut self,
        publisher: usize,
        channel: &Arc<str>,
        count: usize,
    ) -> Publish {
        let number = self.numbers.entry((publisher, Arc::clone(channel))).or_default();
        let labels = (0..count).map(|_| {
            *number += 1;
            Label { publisher, number: *number }
        });
        let content = Content::Labels(labels.collect());
        Publish { channel: Arc::clone(channel), content, named: None }
    }
}
