//! Bugs on purpose: what a node with a certain mistake would emit, or do with what it receives. Each must
//! be found by the checker that is meant to find it. They live here, never in the product.

use std::collections::BTreeMap;
use std::sync::Arc;

use node::{Effect, Event};
use protocol::{Action, Format, ProtocolMessage, flags};
use rand::RngExt;
use rand_chacha::ChaCha12Rng;
use session::TransportId;
use types::{Data, Finite, MessageAction, ObjectValue, PresenceAction, error};

use crate::checkers::{
    ack_order, bad_input, bounds, commit_first, cursor_order, durability, exactly_once,
    message_truth, objects_truth, once_per_id, presence_truth, progress, publisher_order,
    refused_publish, truthful_resume,
};
use crate::transport::{self, Transport};

macro_rules! bugs {
    ($($bug:ident = $name:literal, $checker:ident;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Bug { $($bug),* }

        impl Bug {
            pub const ALL: &[Self] = &[$(Self::$bug),*];

            pub fn name(self) -> &'static str {
                match self { $(Self::$bug => $name),* }
            }

            /// Who must find it.
            pub fn checker(self) -> &'static str {
                match self { $(Self::$bug => $checker::NAME),* }
            }
        }
    };
}

bugs! {
    DropMessage = "drop-message", exactly_once;
    RepeatMessage = "repeat-message", exactly_once;
    SwapMessages = "swap-messages", publisher_order;
    ReuseId = "reuse-id", once_per_id;
    RefuseAccepted = "refuse-accepted", refused_publish;
    AckDropped = "ack-dropped", commit_first;
    FalseResume = "false-resume", truthful_resume;
    HeadCursor = "head-cursor", cursor_order;
    StaleCursor = "stale-cursor", cursor_order;
    SkipAck = "skip-ack", ack_order;
    LoseLeave = "lose-leave", presence_truth;
    ShrinkSync = "shrink-sync", presence_truth;
    ForgetWrite = "forget-write", durability;
    KeepSession = "keep-session", bounds;
    SharedFate = "shared-fate", bad_input;
    LoseOperation = "lose-operation", objects_truth;
    MiscountSync = "miscount-sync", objects_truth;
    LoseAppend = "lose-append", message_truth;
    WrongVersion = "wrong-version", message_truth;
    LoseSummary = "lose-summary", message_truth;
    DeafToAttach = "deaf-to-attach", progress;
}

/// How a node sends a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// To one transport: an answer or a replay.
    Direct,
    /// To all that are attached: live.
    Shared,
}

impl Bug {
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|bug| bug.name() == name)
    }
}

type Links = BTreeMap<TransportId, Transport>;

/// A bug at work.
pub(crate) struct Planted {
    bug: Bug,
    rng: ChaCha12Rng,
    held: BTreeMap<TransportId, Arc<ProtocolMessage>>,
    last: BTreeMap<Arc<str>, Arc<str>>,
}

impl Planted {
    pub(crate) fn new(bug: Bug, rng: ChaCha12Rng) -> Self {
        Self { bug, rng, held: BTreeMap::new(), last: BTreeMap::new() }
    }

    /// What the node makes of an event: it handles another one or none, or answers by itself.
    pub(crate) fn receive(&mut self, event: Event, links: &Links) -> (Option<Event>, Vec<Effect>) {
        match (&event, self.bug) {
            (Event::Frame { transport, frame }, Bug::AckDropped)
                if frame.action == Action::Message && self.rng.random_bool(0.2) =>
            {
                let mut elsewhere = frame.clone();
                elsewhere.channel = Some("elsewhere".into());
                (Some(Event::Frame { transport: *transport, frame: elsewhere }), Vec::new())
            }
            (Event::Frame { frame, .. }, Bug::DeafToAttach) if frame.action == Action::Attach => {
                (None, Vec::new())
            }
            (Event::TransportClosed { transport }, Bug::KeepSession)
                if transport::is_vandal(*transport) =>
            {
                (None, Vec::new())
            }
            (Event::BadFrame { .. }, Bug::SharedFate) => {
                let other = links.keys().next().copied();
                (Some(event), other.map(Effect::Close).into_iter().collect())
            }
            _ => (Some(event), Vec::new()),
        }
    }

    /// What the node sends instead.
    pub(crate) fn emit(&mut self, effects: &mut Vec<Effect>, links: &Links) {
        let mut kept = Vec::with_capacity(effects.len());
        for effect in effects.drain(..) {
            let (to, bytes) = match &effect {
                Effect::Send { transport, frame } | Effect::Acknowledge { transport, frame } => {
                    (vec![*transport], frame)
                }
                Effect::Deliver { transports, frame, .. } => (transports.to_vec(), frame),
                _ => {
                    kept.push(effect);
                    continue;
                }
            };
            let format = to.iter().find_map(|to| links.get(to)).map_or(Format::Json, |l| l.format);
            let Ok(frame) = protocol::decode(format, bytes) else {
                kept.push(effect);
                continue;
            };
            let route = match effect {
                Effect::Deliver { .. } => Route::Shared,
                _ => Route::Direct,
            };
            let Some(changed) = self.change(frame, route) else { continue };
            let changed = protocol::encode(&changed, format);
            kept.push(match effect {
                Effect::Send { transport, .. } => Effect::Send { transport, frame: changed },
                Effect::Acknowledge { transport, .. } => {
                    Effect::Acknowledge { transport, frame: changed }
                }
                Effect::Deliver { channel, transports, .. } => {
                    Effect::Deliver { channel, transports, frame: changed }
                }
                other => other,
            });
        }
        *effects = kept;
    }

    fn change(&mut self, mut frame: ProtocolMessage, route: Route) -> Option<ProtocolMessage> {
        let often = self.rng.random_bool(0.2);
        let channel = frame.channel.clone().unwrap_or_default();
        match (self.bug, frame.action) {
            (Bug::ReuseId, Action::Message) => {
                let before = frame.id.clone().and_then(|id| self.last.insert(channel, id));
                if often && before.is_some() {
                    frame.id = before;
                }
            }
            (Bug::RefuseAccepted, Action::Ack) if often => {
                frame.action = Action::Nack;
                frame.res.clear();
                frame.error = Some(error::CHANNEL_RATE_LIMIT.info());
            }
            (Bug::FalseResume, Action::Attached) if frame.error.is_some() => {
                frame.flags = frame.flags.map(|set| set | flags::RESUMED);
                frame.error = None;
            }
            (Bug::HeadCursor | Bug::StaleCursor, Action::Message) => {
                if route == Route::Shared {
                    let serial = frame.channel_serial.clone();
                    let before = serial.and_then(|serial| self.last.insert(channel, serial));
                    if self.bug == Bug::StaleCursor && often {
                        frame.channel_serial = before.or(frame.channel_serial);
                    }
                } else if self.bug == Bug::HeadCursor {
                    frame.channel_serial =
                        self.last.get(&channel).cloned().or(frame.channel_serial);
                }
            }
            (Bug::SkipAck, Action::Ack) if often => return None,
            (Bug::MiscountSync, Action::ObjectSync) => {
                for object in frame.state.iter_mut().filter_map(|item| item.object.as_mut()) {
                    if let ObjectValue::Counter(sum) = &mut object.value {
                        *sum = sum.plus(Finite::new(1.0).unwrap_or_default());
                    }
                }
            }
            (Bug::WrongVersion, Action::Message) if often => {
                for message in frame.messages.iter_mut().filter(|m| m.action.is_change()) {
                    message.data = Data::Text("wrong".into());
                }
            }
            (Bug::ShrinkSync, Action::Sync) => {
                frame.presence.pop();
            }
            _ => {}
        }
        Some(frame)
    }

    /// What becomes of a frame on its way to one client.
    pub(crate) fn carry(
        &mut self,
        transport: TransportId,
        frame: &Arc<ProtocolMessage>,
        route: Route,
    ) -> Vec<Arc<ProtocolMessage>> {
        let same = vec![Arc::clone(frame)];
        let often = self.rng.random_bool(0.2);
        let live = route == Route::Shared;
        let is_message = live && has(frame, MessageAction::Create);
        match self.bug {
            Bug::LoseOperation if live && frame.action == Action::Object && often => Vec::new(),
            Bug::LoseAppend if live && has(frame, MessageAction::Append) && often => Vec::new(),
            Bug::LoseSummary if live && has(frame, MessageAction::Summary) && often => Vec::new(),
            Bug::DropMessage if is_message && often => Vec::new(),
            Bug::RepeatMessage if is_message && often => vec![Arc::clone(frame), Arc::clone(frame)],
            Bug::SwapMessages => self.swap(transport, frame, route),
            Bug::LoseLeave if live && frame.action == Action::Presence && often => {
                let leaves = frame.presence.iter().any(|item| item.action == PresenceAction::Leave);
                if leaves { Vec::new() } else { same }
            }
            _ => same,
        }
    }

    /// Holds a message back until the next of the same publisher has passed.
    fn swap(
        &mut self,
        transport: TransportId,
        frame: &Arc<ProtocolMessage>,
        route: Route,
    ) -> Vec<Arc<ProtocolMessage>> {
        let is_message = route == Route::Shared && has(frame, MessageAction::Create);
        let Some(held) = self.held.remove(&transport) else {
            if is_message {
                self.held.insert(transport, Arc::clone(frame));
                return Vec::new();
            }
            return vec![Arc::clone(frame)];
        };
        let same = held.connection_id == frame.connection_id && held.channel == frame.channel;
        if is_message && same {
            vec![Arc::clone(frame), held]
        } else {
            vec![held, Arc::clone(frame)]
        }
    }

    /// Whether the store forgets the next entry that it reports as durable.
    pub(crate) fn forgets(&mut self) -> bool {
        self.bug == Bug::ForgetWrite && self.rng.random_bool(0.2)
    }
}

/// Whether the frame has messages with this action.
fn has(frame: &ProtocolMessage, action: MessageAction) -> bool {
    frame.messages.iter().any(|message| message.action == action)
}
