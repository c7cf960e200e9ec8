//! What a client received, as one line of text for each frame.

use std::sync::Arc;

use protocol::{Action, ObjectItem, ObjectPayload, ProtocolMessage, flags};
use types::{
    Annotation, Data, Message, MessageAction, ObjectAction, ObjectValue, PresenceAction,
    PresenceMessage,
};

pub(crate) fn show(frame: &ProtocolMessage) -> String {
    let mut words = vec![name(frame.action)];
    words.extend(frame.channel.iter().map(ToString::to_string));
    if frame.action == Action::Attached {
        let set = frame.flags.unwrap_or_default();
        let known = [
            (flags::RESUMED, "resumed"),
            (flags::HAS_PRESENCE, "presence"),
            (flags::HAS_OBJECTS, "objects"),
            (flags::HAS_BACKLOG, "backlog"),
        ];
        words
            .extend(known.iter().filter(|(bit, _)| set & bit != 0).map(|(_, word)| (*word).into()));
    }
    if let (Action::Ack | Action::Nack, Some(first), Some(count)) =
        (frame.action, frame.msg_serial, frame.count)
    {
        words.push(format!("{first}+{count}"));
    }
    words.extend(frame.messages.iter().map(message));
    words.extend(frame.annotations.iter().map(annotation));
    words.extend(frame.presence.iter().map(|event| presence(event, frame.action)));
    words.extend(frame.state.iter().map(object));
    words.extend(frame.error.as_ref().map(|error| error.code.to_string()));
    words.join(" ")
}

/// The serials of the first publish that the frame acknowledges.
pub(crate) fn serials(ack: &ProtocolMessage) -> Vec<Option<Arc<str>>> {
    ack.res[0].serials().map(|serial| serial.map(|serial| serial.to_string().into())).collect()
}

pub(crate) fn data(data: &Data) -> String {
    match data {
        Data::None => String::new(),
        Data::Text(text) => text.to_string(),
        Data::Binary(bytes) => format!("{bytes:?}"),
    }
}

fn name(action: Action) -> String {
    format!("{action:?}").to_lowercase()
}

/// The action only if it is not a publish.
fn message(message: &Message) -> String {
    let said = match (&message.name, &message.summary) {
        (_, Some(summary)) => serde_json::to_string(summary).unwrap(),
        (Some(name), None) => format!("{name}={}", data(&message.data)),
        (None, None) => data(&message.data),
    };
    match message.action {
        MessageAction::Create => said,
        action => format!("{action:?}:{said}").to_lowercase(),
    }
}

fn object(item: &ObjectItem) -> String {
    if let Some(object) = &item.object {
        return match &object.value {
            ObjectValue::Counter(sum) => format!("counter={}", sum.get()),
            ObjectValue::Map { entries, .. } => {
                let keys: Vec<_> = entries.keys().map(AsRef::as_ref).collect();
                format!("map={}", keys.join(","))
            }
        };
    }
    match item.operation.as_ref().and_then(|operation| operation.payload.as_ref()) {
        Some(ObjectPayload::Action(ObjectAction::MapSet { key, .. })) => format!("set:{key}"),
        Some(ObjectPayload::Action(ObjectAction::CounterInc(number))) => {
            format!("inc:{}", number.get())
        }
        other => format!("{other:?}"),
    }
}

fn annotation(annotation: &Annotation) -> String {
    let client = annotation.client_id.as_ref().map(ToString::to_string).unwrap_or_default();
    let what = format!("{:?}", annotation.action).to_lowercase();
    format!("{what}:{client}:{}", annotation.name.as_deref().unwrap_or_default())
}

fn presence(event: &PresenceMessage, action: Action) -> String {
    let client = event.client_id.as_ref().map(ToString::to_string).unwrap_or_default();
    let what = match event.action {
        PresenceAction::Present if action == Action::Sync => String::new(),
        other => format!("{other:?}:").to_lowercase(),
    };
    match data(&event.data).as_str() {
        "" => format!("{what}{client}"),
        data => format!("{what}{client}={data}"),
    }
}
