//! What a publish says, as a hash: two clients that use the same connection and msgSerial (a
//! duplicated tab) are told apart from one client that repeats itself (amendment 25).
//!
//! It covers what publishers give; what servers fill in or may change on a repeat (timestamp,
//! connection, serial, version, user claim) is left out. It never leaves the process.

use std::hash::{Hash, Hasher};
use std::num::NonZeroU64;

use types::{
    Annotation, Body, Data, Entry, EntryId, ErrorInfo, Extras, Message, PresenceMessage,
    USER_CLAIM, error,
};
use xxhash_rust::xxh3::Xxh3Default;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content(NonZeroU64);

impl Content {
    /// None for a client's own id: whoever repeats that says that it is the same publish.
    pub(crate) fn of(id: &EntryId, body: &Body) -> Option<Self> {
        match id {
            EntryId::Named(_) => None,
            EntryId::Connection { .. } => Some(Self::hash(body)),
        }
    }

    /// Of an entry as it was stored; none for presence and for changes of messages, which are stored
    /// as what they amounted to and not as what the client said.
    pub(crate) fn of_stored(entry: &Entry) -> Option<Self> {
        match entry.body {
            Body::Messages(_) if entry.body.change().is_some() => None,
            Body::Messages(_) | Body::Annotations(_) | Body::Objects(_) => {
                Self::of(&entry.id, &entry.body)
            }
            Body::Presence(_) => None,
        }
    }

    fn hash(body: &Body) -> Self {
        let mut hasher = Xxh3Default::new();
        match body {
            Body::Messages(messages) => {
                0_u8.hash(&mut hasher);
                messages.iter().for_each(|message| hash_message(message, &mut hasher));
            }
            Body::Annotations(annotations) => {
                2_u8.hash(&mut hasher);
                annotations.iter().for_each(|item| hash_annotation(item, &mut hasher));
            }
            Body::Presence(items) => {
                1_u8.hash(&mut hasher);
                items.iter().for_each(|item| hash_presence(item, &mut hasher));
            }
            Body::Objects(items) => {
                2_u8.hash(&mut hasher);
                items.hash(&mut hasher);
            }
        }
        Self(NonZeroU64::new(hasher.finish()).unwrap_or(NonZeroU64::MAX))
    }
}

/// Whether a repeat of `id` may be answered with what became of the original.
pub(crate) fn check_repeat(
    id: &EntryId,
    original: Option<Content>,
    repeat: Option<Content>,
) -> Result<(), ErrorInfo> {
    match (original, repeat) {
        (Some(original), Some(repeat)) if original != repeat => Err(error::INVALID_PUBLISH
            .with(format!("{id} was published before with other content; connect anew"))),
        _ => Ok(()),
    }
}

fn hash_message(message: &Message, hasher: &mut impl Hasher) {
    (&message.id, &message.name, &message.encoding, &message.client_id).hash(hasher);
    message.action.code().hash(hasher);
    hash_extras(message.extras.as_ref(), hasher);
    if message.action.is_change() {
        message.serial.hash(hasher);
    }
    hash_data(&message.data, hasher);
}

fn hash_presence(item: &PresenceMessage, hasher: &mut impl Hasher) {
    (&item.id, &item.encoding, &item.client_id, item.action.code()).hash(hasher);
    hash_extras(item.extras.as_ref(), hasher);
    hash_data(&item.data, hasher);
}

fn hash_annotation(item: &Annotation, hasher: &mut impl Hasher) {
    (&item.id, &item.kind, &item.name, item.count, &item.encoding, &item.client_id).hash(hasher);
    (&item.message_serial, item.action.code()).hash(hasher);
    hash_extras(item.extras.as_ref(), hasher);
    hash_data(&item.data, hasher);
}

/// Without what servers add: between a publish and its repeat the token may have changed.
fn hash_extras(extras: Option<&Extras>, hasher: &mut impl Hasher) {
    let said = extras.into_iter().flat_map(|extras| extras.iter());
    said.filter(|(field, _)| *field != USER_CLAIM).for_each(|field| field.hash(hasher));
    // Where they end.
    u8::MAX.hash(hasher);
}

fn hash_data(data: &Data, hasher: &mut impl Hasher) {
    match data {
        Data::None => 0_u8.hash(hasher),
        Data::Text(text) => (1_u8, text).hash(hasher),
        Data::Binary(bytes) => (2_u8, bytes).hash(hasher),
    }
}
