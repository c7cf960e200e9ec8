//! A node and its clients, without sockets: events in, effects drained and dropped.

use std::hint::black_box;

use auth::SealingKey;
use node::{Config, Effect, Event, Node, Origin, Stored, TransportId, Way};
use protocol::{Action, Format, ProtocolMessage};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;
use session::Identity;
use types::{App, AppLimits, Key, Namespace, NodeLimits, Restrictions, Timestamp};

use crate::codec::{frame, published};

const START: u64 = 1_700_000_000_000;
/// Attached to the channel on which members come and go.
const AUDIENCE: u64 = 10;
/// Messages that come with one read.
const TOGETHER: u64 = 16;
const ATTACH: &str = r#"{"action":10,"channel":"room"}"#;
const DETACH: &str = r#"{"action":12,"channel":"room"}"#;
/// What a presence event says that the member does.
const ENTER: u8 = 2;
const LEAVE: u8 = 3;

/// One message to so many subscribers, and its acknowledgement.
pub(crate) fn publish(count: u64, subscribers: u64) {
    let mut room = Room::with_subscribers(subscribers);
    let publisher = room.connect();
    let message = published();
    for serial in 0..count {
        room.send_numbered(publisher, &message, serial);
    }
}

/// Messages that came with one read, on a channel that nobody is attached to, and their acknowledgement.
pub(crate) fn publish_unheard(count: u64) {
    let mut room = Room::with_subscribers(0);
    let publisher = room.connect();
    let message = published();
    for read in 0..count {
        room.send_together(publisher, &message, read);
    }
}

/// As [`publish_unheard`], on a channel whose messages are acknowledged when they are on disk, which they are
/// together.
pub(crate) fn publish_persisted(count: u64) {
    let mut room = Room::persisted();
    let publisher = room.connect();
    let message = published();
    for read in 0..count {
        room.send_together(publisher, &message, read);
        room.store();
    }
}

/// One message to so many subscribers while somebody else attaches or detaches before each.
pub(crate) fn publish_among_changes(count: u64, subscribers: u64) {
    let mut room = Room::with_subscribers(subscribers);
    let (publisher, client) = (room.connect(), room.connect());
    let message = published();
    let changes = [frame(ATTACH), frame(DETACH)];
    for (serial, change) in (0..count).zip(changes.iter().cycle()) {
        room.send(client, change.clone());
        room.send_numbered(publisher, &message, serial);
    }
}

/// One client comes and goes.
pub(crate) fn connect_and_close(count: u64) {
    let mut room = Room::with_subscribers(AUDIENCE);
    for _ in 0..count {
        let client = room.connect();
        room.close(client);
    }
}

/// One client attaches to a channel that exists, and detaches.
pub(crate) fn attach_and_detach(count: u64) {
    let mut room = Room::with_subscribers(AUDIENCE);
    let client = room.connect();
    let (attach, detach) = (frame(ATTACH), frame(DETACH));
    for _ in 0..count {
        room.send(client, attach.clone());
        room.send(client, detach.clone());
    }
}

/// One member enters and leaves, and everybody there is told.
pub(crate) fn enter_and_leave(count: u64) {
    let mut room = Room::with_subscribers(AUDIENCE);
    let member = room.attach();
    let enter = frame(&presence(ENTER));
    let leave = frame(&presence(LEAVE));
    for serial in 0..count {
        room.send_numbered(member, &enter, 2 * serial);
        room.send_numbered(member, &leave, 2 * serial + 1);
    }
}

fn presence(action: u8) -> String {
    format!(
        r#"{{"action":14,"channel":"room","presence":[{{"action":{action},"clientId":"member"}}]}}"#
    )
}

fn numbered(frame: &ProtocolMessage, serial: u64) -> ProtocolMessage {
    ProtocolMessage { msg_serial: Some(serial.cast_signed()), ..frame.clone() }
}

struct Room {
    node: Node,
    now: u64,
    effects: Vec<Effect>,
    last_transport: u64,
}

impl Room {
    fn with_subscribers(count: u64) -> Self {
        let mut room = Self::new(Vec::new());
        for _ in 0..count {
            room.attach();
        }
        room
    }

    /// With messages before, so that it is loaded.
    fn persisted() -> Self {
        let rules = Namespace { id: "room".into(), persisted: true, ..Namespace::default() };
        let mut room = Self::new(vec![rules]);
        let publisher = room.connect();
        room.send_numbered(publisher, &published(), 0);
        let load = room.effects.iter().find_map(|effect| match effect {
            Effect::Load { channel, .. } => Some(*channel),
            _ => None,
        });
        room.handle(Event::Loaded { channel: load.unwrap(), entries: Ok(Vec::new()) });
        room.store();
        room
    }

    fn new(namespaces: Vec<Namespace>) -> Self {
        let key = Key {
            id: "key".into(),
            secret: "secret".into(),
            capability: r#"{"*":["*"]}"#.into(),
            revocable_tokens: false,
            restrictions: Restrictions::default(),
        };
        let app = App {
            id: "app".into(),
            account_id: "account".into(),
            keys: vec![key],
            namespaces,
            limits: AppLimits::unlimited(),
        };
        let config = Config {
            identity: Identity { site: "dun".parse().unwrap(), server_id: "node".into() },
            limits: NodeLimits { connection_frame_rate: 0, ..NodeLimits::default() },
            apps: vec![app],
            sealing_key: SealingKey::from_bytes([7; 32]),
            incarnation: 1,
            previous: None,
        };
        let node = Node::new(config, ChaCha12Rng::seed_from_u64(1));
        Self { node, now: START, effects: Vec::new(), last_transport: 0 }
    }

    fn connect(&mut self) -> TransportId {
        self.last_transport += 1;
        let transport = TransportId(self.last_transport);
        let query =
            vec![("v".to_owned(), "6".to_owned()), ("key".to_owned(), "app.key:secret".to_owned())];
        let origin = Origin::new(Way::default(), auth::Source::default(), |_| None, &query);
        let origin = Box::new(origin);
        self.handle(Event::Connect { transport, format: Format::Json, query, origin });
        transport
    }

    fn attach(&mut self) -> TransportId {
        let transport = self.connect();
        self.send(transport, frame(ATTACH));
        transport
    }

    fn close(&mut self, transport: TransportId) {
        self.send(transport, ProtocolMessage::new(Action::Close));
        self.handle(Event::TransportClosed { transport });
    }

    fn send(&mut self, transport: TransportId, frame: ProtocolMessage) {
        self.handle(Event::Frame { transport, frame: Box::new(frame) });
    }

    fn send_numbered(&mut self, transport: TransportId, frame: &ProtocolMessage, serial: u64) {
        self.send(transport, numbered(frame, serial));
    }

    fn send_together(&mut self, transport: TransportId, frame: &ProtocolMessage, read: u64) {
        let first = read * TOGETHER;
        let frames = (first..first + TOGETHER).map(|serial| numbered(frame, serial)).collect();
        self.handle(Event::Frames { transport, frames });
    }

    /// What is to be stored is on disk.
    fn store(&mut self) {
        let mut outcomes = Vec::new();
        for effect in self.effects.drain(..) {
            if let Effect::Store { channel, entries, .. } = effect {
                let positions = entries.into_iter().map(|entry| entry.position);
                let stored = |position| Stored { channel, position, durable: true };
                outcomes.extend(positions.map(stored));
            }
        }
        self.handle(Event::Stored(outcomes));
    }

    /// A millisecond later.
    fn handle(&mut self, event: Event) {
        self.now += 1;
        self.node.handle(Timestamp(self.now), event);
        self.node.drain_effects(&mut self.effects);
        black_box(&self.effects);
    }
}

#[cfg(test)]
mod tests {
    use protocol::decode;

    use super::*;

    /// How many clients the last event sent such a frame to.
    fn receivers(room: &Room, action: Action) -> usize {
        let sent = room.effects.iter().map(|effect| match effect {
            Effect::Send { frame, .. } | Effect::Acknowledge { frame, .. } => (frame, 1),
            Effect::Deliver { transports, frame, .. } => (frame, transports.len()),
            other => panic!("no client is told by {other:?}"),
        });
        let is_asked_for = |frame| decode(Format::Json, frame).unwrap().action == action;
        sent.filter(|(frame, _)| is_asked_for(frame)).map(|(_, count)| count).sum()
    }

    #[test]
    fn a_publish_reaches_every_subscriber_and_is_acknowledged() {
        let mut room = Room::with_subscribers(100);
        let publisher = room.connect();
        for serial in 0..3 {
            room.send_numbered(publisher, &published(), serial);
            assert_eq!(receivers(&room, Action::Message), 100);
            assert_eq!(receivers(&room, Action::Ack), 1);
        }
    }

    #[test]
    fn messages_that_come_together_are_acknowledged_together() {
        let mut room = Room::with_subscribers(0);
        let publisher = room.connect();
        for read in 0..3 {
            room.send_together(publisher, &published(), read);
            let [Effect::Acknowledge { frame, .. }] = room.effects.as_slice() else { panic!() };
            assert_eq!(decode(Format::Json, frame).unwrap().count, Some(16));
        }
    }

    #[test]
    fn messages_that_are_stored_together_are_acknowledged_together() {
        let mut room = Room::persisted();
        let publisher = room.connect();
        for read in 0..3 {
            room.send_together(publisher, &published(), read);
            let [Effect::Store { entries, .. }] = room.effects.as_slice() else { panic!() };
            assert_eq!(entries.len(), 16);
            room.store();
            let [Effect::Acknowledge { frame, .. }] = room.effects.as_slice() else { panic!() };
            assert_eq!(decode(Format::Json, frame).unwrap().count, Some(16));
        }
    }

    #[test]
    fn a_client_attaches_and_detaches_again_and_again() {
        let mut room = Room::with_subscribers(AUDIENCE);
        let client = room.connect();
        for _ in 0..3 {
            room.send(client, frame(ATTACH));
            assert_eq!(receivers(&room, Action::Attached), 1);
            room.send(client, frame(DETACH));
            assert_eq!(receivers(&room, Action::Detached), 1);
        }
    }

    #[test]
    fn a_member_that_enters_and_leaves_is_seen_by_everybody() {
        let mut room = Room::with_subscribers(AUDIENCE);
        let member = room.attach();
        for serial in 0..6 {
            let action = if serial % 2 == 0 { ENTER } else { LEAVE };
            room.send_numbered(member, &frame(&presence(action)), serial);
            assert_eq!(receivers(&room, Action::Presence), AUDIENCE as usize + 1);
            assert_eq!(receivers(&room, Action::Ack), 1);
        }
    }

    #[test]
    fn a_client_that_comes_and_goes_leaves_nothing() {
        let mut room = Room::with_subscribers(AUDIENCE);
        let client = room.connect();
        assert_eq!(room.node.session_count(), AUDIENCE as usize + 1);
        room.close(client);
        assert_eq!(room.node.session_count(), AUDIENCE as usize);
    }
}
