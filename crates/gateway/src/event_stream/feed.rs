//! From the frames of a session to the events of a stream, and where the reader is after each.
//! No IO.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_STANDARD};
use protocol::{Action, Format, MessageShape, ProtocolMessage, flags};
use types::{ChannelRef, Data, ErrorInfo, Message, Params, PresenceMessage, error};

use super::{
    framing::{Framing, Heartbeats, Payload},
    position::{Place, Position},
};

/// What a stream shows, and asks of channels: to be told, and nothing else.
const MODES: u32 = flags::SUBSCRIBE | flags::PRESENCE_SUBSCRIBE;

/// What a client asks for.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// As the client wrote them, without repetitions.
    pub(crate) channels: Vec<Arc<str>>,
    /// For channels that do not say otherwise in their names.
    pub(crate) params: Params,
    /// Where to go on.
    pub(crate) resume: Option<Position>,
    pub(crate) framing: Framing,
    pub(crate) heartbeats: Heartbeats,
    pub(crate) contents: Contents,
    pub(crate) shape: MessageShape,
}

/// What the data of an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contents {
    /// The message with all its fields, as JSON.
    Envelope,
    /// The message's data alone.
    Data,
}

#[derive(Debug)]
pub(crate) struct Feed {
    wanted: Wanted,
    position: Position,
    /// Items that the client has had of what each channel delivers first.
    skip: Vec<usize>,
    attached: Vec<Attached>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attached {
    NotYet,
    Yes,
}

/// What follows from a frame.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// To be sent to the node.
    Attach(Vec<ProtocolMessage>),
    /// All channels are attached: the stream begins with this.
    Begin(String),
    Write(String),
}

impl Feed {
    pub(crate) fn new(wanted: Wanted) -> Self {
        let channels = wanted.channels.len();
        Self {
            position: wanted.resume.clone().unwrap_or_else(|| Position::start(channels)),
            skip: vec![0; channels],
            attached: vec![Attached::NotYet; channels],
            wanted,
        }
    }

    pub(crate) fn framing(&self) -> Framing {
        self.wanted.framing
    }

    /// The end of the stream if the frame is one.
    pub(crate) fn take(&mut self, frame: &ProtocolMessage) -> Result<Option<Step>, ErrorInfo> {
        let heartbeat = self.wanted.framing.heartbeat(self.wanted.heartbeats);
        Ok(match frame.action {
            Action::Connected => Some(Step::Attach(self.attaches())),
            Action::Attached => self.attached(frame)?,
            Action::Message | Action::Presence => self.deliver(frame).map(Step::Write),
            Action::Heartbeat => Some(Step::Write(heartbeat.into())),
            Action::Error | Action::Disconnected | Action::Closed | Action::Detached => {
                return Err(frame.error.clone().unwrap_or_else(|| error::SERVER_LEAVING.info()));
            }
            _ => None,
        })
    }

    fn attaches(&self) -> Vec<ProtocolMessage> {
        let places = self.position.0.iter();
        self.wanted
            .channels
            .iter()
            .zip(places)
            .map(|(name, place)| self.attach(name, place))
            .collect()
    }

    fn attach(&self, name: &Arc<str>, place: &Place) -> ProtocolMessage {
        let mut frame = ProtocolMessage::new(Action::Attach);
        frame.channel = Some(Arc::clone(name));
        frame.channel_serial.clone_from(&place.cursor);
        let resumes = if place.cursor.is_some() { flags::ATTACH_RESUME } else { 0 };
        frame.flags = Some(MODES | resumes);
        frame.params.clone_from(&self.wanted.params);
        // A name that cannot be read is for the node to refuse.
        if let Ok(channel) = ChannelRef::parse(Arc::clone(name)) {
            frame.params.retain(|param, _| !channel.params.contains_key(param));
        }
        frame
    }

    fn attached(&mut self, frame: &ProtocolMessage) -> Result<Option<Step>, ErrorInfo> {
        let granted = frame.flags.unwrap_or_default();
        if granted & MODES == 0 {
            return Err(error::CAPABILITY_MISSING.info());
        }
        let Some(channel) = self.channel(frame) else { return Ok(None) };
        let first = self
            .attached
            .get_mut(channel)
            .is_some_and(|attached| std::mem::replace(attached, Attached::Yes) == Attached::NotYet);
        if let (Some(place), Some(skip)) =
            (self.position.0.get_mut(channel), self.skip.get_mut(channel))
        {
            *skip = if first && granted & flags::RESUMED != 0 { place.items } else { 0 };
            *place = Place { cursor: frame.channel_serial.clone(), items: *skip };
        }
        // A discontinuity: what comes next does not follow from what the client has had.
        let mut text = frame.error.as_ref().map(|e| self.framing().error(e)).unwrap_or_default();
        if first && self.attached.iter().all(|attached| *attached == Attached::Yes) {
            text.insert_str(0, &self.framing().start(&self.position));
            return Ok(Some(Step::Begin(text)));
        }
        Ok((!text.is_empty()).then_some(Step::Write(text)))
    }

    fn deliver(&mut self, frame: &ProtocolMessage) -> Option<String> {
        let channel = self.channel(frame)?;
        let count = frame.messages.len() + frame.presence.len();
        let mut text = String::new();
        for index in 0..count {
            let (place, skip) = (self.position.0.get_mut(channel)?, self.skip.get_mut(channel)?);
            // What has no position (occupancy, objects in messages) leaves the reader where it is.
            if let Some(cursor) = &frame.channel_serial {
                let last = index + 1 == count;
                if last {
                    place.cursor = Some(Arc::clone(cursor));
                }
                if *skip > 0 {
                    *skip -= 1;
                    place.items = if last { *skip } else { place.items };
                    continue;
                }
                place.items = if last { 0 } else { index + 1 };
            }
            let (kind, payload) = self.payload(frame, index)?;
            text.push_str(&self.framing().event(kind, &self.position, &payload));
        }
        Some(text)
    }

    fn payload(&self, frame: &ProtocolMessage, index: usize) -> Option<(&'static str, Payload)> {
        let (kind, data, envelope): (_, _, &dyn Fn() -> String) = match frame.action {
            Action::Presence => {
                let event = frame.presence.get(index)?;
                ("presence", &event.data, &|| presence_envelope(event.clone(), frame, index))
            }
            _ => {
                let message = frame.messages.get(index)?;
                ("message", &message.data, &|| {
                    message_envelope(message.clone(), self.wanted.shape, frame, index)
                })
            }
        };
        Some((
            kind,
            match (self.wanted.contents, data) {
                (Contents::Envelope, _) => Payload::Json(envelope()),
                (Contents::Data, Data::None) => Payload::Text(String::new()),
                (Contents::Data, Data::Text(text)) => Payload::Text(text.as_ref().into()),
                (Contents::Data, Data::Binary(bytes)) => {
                    Payload::Text(BASE64_STANDARD.encode(bytes))
                }
            },
        ))
    }

    fn channel(&self, frame: &ProtocolMessage) -> Option<usize> {
        let name = frame.channel.as_ref()?;
        self.wanted.channels.iter().position(|channel| channel == name)
    }
}

/// What items inherit from their frame they have to say themselves here (TM2a, TM2f).
fn message_envelope(
    mut message: Message,
    shape: MessageShape,
    frame: &ProtocolMessage,
    index: usize,
) -> String {
    message.id = message.id.or_else(|| item_id(frame, index));
    message.timestamp = message.timestamp.or(frame.timestamp);
    message.connection_id = message.connection_id.or_else(|| frame.connection_id.clone());
    with_channel(&protocol::encode_messages_as(shape, &[message], Format::Json), frame)
}

fn presence_envelope(mut event: PresenceMessage, frame: &ProtocolMessage, index: usize) -> String {
    event.id = event.id.or_else(|| item_id(frame, index));
    event.timestamp = event.timestamp.or(frame.timestamp);
    event.connection_id = event.connection_id.or_else(|| frame.connection_id.clone());
    with_channel(&protocol::encode_presence(&[event], Format::Json), frame)
}

fn item_id(frame: &ProtocolMessage, index: usize) -> Option<Arc<str>> {
    frame.id.as_ref().map(|id| format!("{id}:{index}").into())
}

/// The one object of a list, and in it the name of the channel.
fn with_channel(list: &[u8], frame: &ProtocolMessage) -> String {
    let channel = serde_json::Value::from(frame.channel.as_deref().unwrap_or_default());
    let list = String::from_utf8_lossy(list);
    let fields = list.trim_start_matches("[{").trim_end_matches("}]");
    let separator = if fields.is_empty() { "" } else { "," };
    format!("{{\"channel\":{channel}{separator}{fields}}}")
}
