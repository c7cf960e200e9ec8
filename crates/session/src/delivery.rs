//! From entries to frames: which entries an attachment receives, and as what.

use std::sync::Arc;

use bytes::Bytes;
use channel::{AttachmentId, Member, Occupancy};
use protocol::{Action, Delivered, Format, MessageShape, ProtocolMessage, flags};
use types::{
    Body, ChannelName, ConnectionId, Cursor, Data, Entry, Message, MessageAction, PresenceAction,
    PresenceMessage, Serial, Timestamp,
};

use crate::delta::{Chain, Deltas};
use crate::filter::Filter;
use crate::object_sync::operation_item;
use crate::pages::{OVERHEAD, pack};
use crate::{Echo, Inband, OccupancyOf};

/// As what an attachment receives appends (`appendMode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appends {
    AsTheyAre,
    /// As updates with the whole message.
    Whole,
}

/// What one attachment wants to receive.
#[derive(Clone, Debug)]
pub struct Subscription {
    pub attachment: AttachmentId,
    pub channel: ChannelName,
    /// The channel's name in this attachment's frames.
    pub requested: Arc<str>,
    pub connection_id: ConnectionId,
    /// Granted modes.
    pub modes: u32,
    pub echo: Echo,
    pub occupancy: Option<OccupancyOf>,
    pub inband: Option<Inband>,
    pub appends: Appends,
    pub shape: MessageShape,
    /// The first serial that was delivered, or could have been.
    pub from: Option<Serial>,
    /// The same of changes.
    pub changes_from: Option<Serial>,
    /// What deltas to it are made of.
    pub chain: Chain,
    /// Only what it selects; a derived channel carries no presence.
    pub(crate) filter: Option<Filter>,
    /// Messages say their serial in their extras, too.
    pub(crate) exposes_timeserial: bool,
}

impl Subscription {
    /// Own presence events always come back (RTP17a); own messages unless echo is off.
    pub fn wants(&self, entry: &Entry) -> bool {
        let own = entry.connection_id.as_ref() == Some(&self.connection_id);
        match &entry.body {
            Body::Messages(messages) => {
                self.modes & flags::SUBSCRIBE != 0
                    && !(own && self.echo == Echo::Off && !is_summary(messages))
                    && messages
                        .iter()
                        .enumerate()
                        .any(|(n, message)| self.selects(entry, n, message))
            }
            Body::Objects(_) => {
                self.filter.is_none()
                    && self.modes & flags::OBJECT_SUBSCRIBE != 0
                    && !(own && self.echo == Echo::Off)
            }
            Body::Annotations(_) => {
                self.filter.is_none() && self.modes & flags::ANNOTATION_SUBSCRIBE != 0
            }
            Body::Presence(_) => {
                self.filter.is_none() && (own || self.modes & flags::PRESENCE_SUBSCRIBE != 0)
            }
        }
    }

    /// Whether every message that is published is wanted just as it is.
    pub fn is_plain(&self) -> bool {
        self.modes & flags::SUBSCRIBE != 0
            && self.echo == Echo::On
            && self.filter.is_none()
            && self.chain == Chain::Unlinked
    }

    fn selects(&self, entry: &Entry, index: usize, message: &Message) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.selects(entry, index, message))
    }

    /// What the attachment counts for.
    pub fn share(&self) -> Occupancy {
        let counts = |mode: u32| u32::from(self.modes & mode != 0);
        Occupancy {
            connections: 1,
            publishers: counts(flags::PUBLISH),
            subscribers: counts(flags::SUBSCRIBE),
            presence_connections: counts(flags::PRESENCE),
            presence_members: 0,
            presence_subscribers: counts(flags::PRESENCE_SUBSCRIBE),
            object_publishers: counts(flags::OBJECT_PUBLISH),
            object_subscribers: counts(flags::OBJECT_SUBSCRIBE),
        }
    }

    /// The frame that says as much of `occupancy` as this attachment wants to know. It is no entry
    /// and leaves the cursor as it is.
    pub fn occupancy(&self, occupancy: &Occupancy, now: Timestamp) -> Option<ProtocolMessage> {
        let wanted = self.occupancy?;
        let metrics: serde_json::Map<String, serde_json::Value> = occupancy
            .categories()
            .into_iter()
            .filter(|(name, _)| wanted.includes(name))
            .map(|(name, count)| (name.to_owned(), count.into()))
            .collect();
        let mut frame = ProtocolMessage::new(Action::Message);
        frame.channel = Some(Arc::clone(&self.requested));
        frame.id = Some(format!("occupancy-{}-{}", self.attachment.0, now.0).into());
        frame.timestamp = Some(now);
        frame.messages = vec![Message {
            name: Some("[meta]occupancy".into()),
            data: Data::Text(serde_json::json!({ "metrics": metrics }).to_string().into()),
            encoding: Some("json".into()),
            ..Message::default()
        }];
        Some(frame)
    }

    /// The frames that replay `entries`. The first is in full as a whole: a client that comes back
    /// may have had the beginning of it.
    pub(crate) fn replay(&mut self, entries: &[(Arc<Entry>, Cursor)]) -> Vec<ProtocolMessage> {
        let wanted = entries
            .iter()
            // Operations on objects are not replayed: what follows contains them.
            .filter(|(entry, _)| !matches!(entry.body, Body::Objects(_)))
            .filter(|(entry, _)| self.wants(entry));
        let mut frames: Vec<_> =
            wanted.map(|(entry, cursor)| self.delivery(entry, cursor)).collect();
        let mut deltas = Deltas::default();
        let mut messages = frames.iter_mut().filter(|frame| frame.action == Action::Message);
        if let Some(first) = messages.next() {
            self.chain.append_in_full(first);
        }
        messages.for_each(|frame| self.chain.append(frame, &mut deltas));
        frames
    }

    /// The frame that delivers `entry` here, the same for every attachment that used the same name
    /// for the channel and wants the same shape; `cursor` becomes its `channelSerial`.
    pub fn delivery(&self, entry: &Entry, cursor: &Cursor) -> ProtocolMessage {
        let mut frame = delivery(entry, cursor, self.channel.as_str(), &self.requested);
        frame.message_shape = self.shape;
        if self.filter.is_some() {
            let mut index = 0;
            frame.messages.retain_mut(|message| {
                message.id.get_or_insert_with(|| entry.item_id(index).into());
                let selected = self.selects(entry, index, message);
                index += 1;
                selected
            });
        }
        self.expose(&mut frame);
        frame
    }

    /// What [`Self::delivery`] makes, encoded. Of messages that are delivered as they are, which most
    /// are, no frame is made for it.
    pub fn encoded(&self, entry: &Entry, cursor: &Cursor, format: Format) -> Bytes {
        let messages = match &entry.body {
            Body::Messages(messages) if self.filter.is_none() && !self.exposes_timeserial => {
                messages.as_slice()
            }
            Body::Messages(_) | Body::Annotations(_) | Body::Presence(_) | Body::Objects(_) => &[],
        };
        if messages.is_empty() || messages.iter().any(|message| message.action.is_change()) {
            return protocol::encode(&self.delivery(entry, cursor), format);
        }
        let channel_serial = &cursor.encode(self.channel.as_str());
        let channel = &self.requested;
        let frame = Delivered { channel, channel_serial, entry, messages, shape: self.shape };
        frame.encode(format)
    }

    /// One frame for the messages of several entries, of which this attachment wants all; `cursor`
    /// covers the last. Each message says for itself what a frame of one entry says for all.
    pub fn batch<'a>(
        &self,
        entries: impl IntoIterator<Item = &'a Entry>,
        cursor: &Cursor,
    ) -> ProtocolMessage {
        let mut frame = ProtocolMessage::new(Action::Message);
        frame.channel = Some(Arc::clone(&self.requested));
        frame.channel_serial = Some(cursor.encode(self.channel.as_str()).as_str().into());
        frame.message_shape = self.shape;
        for entry in entries {
            let messages = (0..entry.body.len()).filter_map(|index| {
                entry.message(index).filter(|message| self.selects(entry, index, message))
            });
            frame.messages.extend(messages);
        }
        self.expose(&mut frame);
        frame
    }

    fn expose(&self, frame: &mut ProtocolMessage) {
        for message in frame.messages.iter_mut().filter(|_| self.exposes_timeserial) {
            let Some(serial) = message.serial.as_deref() else { continue };
            let extras = message.extras.get_or_insert_default();
            Arc::make_mut(extras).insert("timeserial".to_owned(), serial.into());
        }
    }
}

/// A summary is the server's, whoever brought it about.
fn is_summary(messages: &[Message]) -> bool {
    messages.iter().any(|message| message.action == MessageAction::Summary)
}

fn delivery(
    entry: &Entry,
    cursor: &Cursor,
    channel: &str,
    requested: &Arc<str>,
) -> ProtocolMessage {
    let mut frame = ProtocolMessage::new(Action::Message);
    frame.channel = Some(Arc::clone(requested));
    frame.channel_serial = Some(cursor.encode(channel).as_str().into());
    frame.id = Some(entry.id.text());
    frame.connection_id = entry.connection_id.clone();
    frame.timestamp = Some(entry.timestamp);
    match &entry.body {
        Body::Messages(messages) => {
            let messages = messages.iter().enumerate();
            frame.messages = messages.map(|(index, m)| entry.stamped(index, m)).collect();
        }
        Body::Annotations(annotations) => {
            frame.action = Action::Annotation;
            let indices = 0..annotations.len();
            frame.annotations = indices.filter_map(|index| entry.annotation(index)).collect();
        }
        Body::Objects(objects) => {
            frame.action = Action::Object;
            let items = objects.iter().enumerate();
            frame.state = items.map(|(n, object)| operation_item(entry, n, object)).collect();
        }
        Body::Presence(presence) => {
            frame.action = Action::Presence;
            frame.presence = presence.clone();
        }
    }
    frame
}

/// The presence set as SYNC frames of about `frame_size` bytes; the last has an empty cursor (RTP18).
pub(crate) fn sync_frames(
    members: &[Arc<Member>],
    sequence: &str,
    requested: &Arc<str>,
    frame_size: usize,
) -> Vec<ProtocolMessage> {
    let sized = members.iter().map(|member| {
        let item = present(member);
        let size = OVERHEAD + item.size();
        (item, size)
    });
    let pages = pack(sized, frame_size);
    let last = pages.len();
    (1..)
        .zip(pages)
        .map(|(page, (members, _))| {
            let mut frame = ProtocolMessage::new(Action::Sync);
            frame.channel = Some(Arc::clone(requested));
            let cursor = if page == last { String::new() } else { page.to_string() };
            frame.channel_serial = Some(format!("{sequence}:{cursor}").into());
            frame.presence = members;
            frame
        })
        .collect()
}

fn present(member: &Member) -> PresenceMessage {
    PresenceMessage {
        id: Some(Arc::clone(&member.id)),
        action: PresenceAction::Present,
        client_id: Some(member.client_id.clone()),
        connection_id: Some(member.connection_id.clone()),
        data: member.data.clone(),
        encoding: member.encoding.clone(),
        extras: member.extras.clone(),
        timestamp: Some(member.timestamp),
    }
}

#[cfg(test)]
mod tests {
    use types::{EntryId, SeriesId, Version};

    use super::*;

    fn series() -> SeriesId {
        SeriesId::from_bytes(b"dunAbCdEfGhI").unwrap()
    }

    fn subscription(shape: MessageShape) -> Subscription {
        Subscription {
            attachment: AttachmentId(1),
            channel: ChannelName::parse("room").unwrap(),
            requested: "[?rewind=1]room".into(),
            connection_id: ConnectionId::new("self"),
            modes: flags::SUBSCRIBE,
            echo: Echo::On,
            occupancy: None,
            inband: None,
            appends: Appends::AsTheyAre,
            shape,
            from: None,
            changes_from: None,
            chain: Chain::default(),
            filter: None,
            exposes_timeserial: false,
        }
    }

    fn entry(body: Body, publisher: Option<&str>) -> Entry {
        let connection_id = publisher.map(ConnectionId::new);
        let id = match &connection_id {
            Some(id) => EntryId::Connection { connection_id: id.clone(), msg_serial: -3 },
            None => EntryId::Named("na\"med".into()),
        };
        let serial = Serial { ms: 1_700_000_000_000, counter: 7, series: series() };
        Entry { id, serial, position: 9, timestamp: Timestamp(5), connection_id, body }
    }

    fn bodies() -> Vec<Body> {
        let message = |action| Message {
            name: Some("gree\"ting".into()),
            data: Data::Text("x\n".into()),
            action,
            ..Message::default()
        };
        let new = || message(MessageAction::Create);
        let binary = Message { data: Data::Binary(Bytes::from_static(b"\x00\xff")), ..new() };
        let named = Message { serial: Some("its own".into()), id: Some("a:0".into()), ..new() };
        let version = Version {
            serial: Some("v".into()),
            timestamp: Some(Timestamp(8)),
            ..Version::default()
        };
        let summary = Message {
            version: Some(Arc::new(version)),
            summary: Some(Arc::default()),
            timestamp: Some(Timestamp(4)),
            ..message(MessageAction::Summary)
        };
        let meta = message(MessageAction::Meta);
        vec![
            Body::Messages(vec![new()]),
            Body::Messages(vec![new(), binary, named]),
            Body::Messages(vec![summary]),
            Body::Messages(vec![meta]),
            Body::Messages(vec![message(MessageAction::Update)]),
            Body::Messages(Vec::new()),
            Body::Presence(vec![PresenceMessage::new(PresenceAction::Enter)]),
        ]
    }

    #[test]
    fn what_is_encoded_at_once_is_what_the_frame_is_encoded_as() {
        let cursor = Cursor::at(series(), 300);
        for (body, publisher) in
            bodies().into_iter().flat_map(|b| [(b.clone(), None), (b, Some("c\"d"))])
        {
            let entry = entry(body, publisher);
            for shape in [MessageShape::Versioned, MessageShape::Flat] {
                let plain = subscription(shape);
                let exposing = Subscription { exposes_timeserial: true, ..plain.clone() };
                let filter = Some(Filter::parse("data == 'y'").unwrap());
                let filtering = Subscription { filter, ..plain.clone() };
                for (subscription, format) in [plain, exposing, filtering]
                    .iter()
                    .flat_map(|s| Format::ALL.map(|format| (s, format)))
                {
                    let frame = subscription.delivery(&entry, &cursor);
                    let expected = protocol::encode(&frame, format);
                    let encoded = subscription.encoded(&entry, &cursor, format);
                    assert_eq!(encoded, expected, "{format:?} {shape:?} {entry:?}");
                }
            }
        }
    }
}
