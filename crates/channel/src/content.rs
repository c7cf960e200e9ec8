//! What a publish says, as a hash: two clients that use the same connection and msgSerial (a
//! duplicated tab) are told apart from one client that repeats itself (amendment 25).
//!
//! It covers what publishers give; what servers fill in or may change on a repeat (timestamp,
//! connection, serial, version, user claim) is left out. It never leaves the process.

use std::hash::{Hash, Hasher};
use std::num::NonZeroU64;

use types::{
    Annotation, Body, ClientId, Data, Entry, EntryId, ErrorInfo, Extras, Message, PresenceMessage,
    USER_CLAIM, error,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::conflation::places;

/// 2⁶⁴ by the golden ratio: bits in no pattern.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

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

    /// Of an entry as it was stored; none for presence, for changes of messages and for what conflation
    /// left of a publish, which are stored as what they amounted to and not as what the client said.
    pub(crate) fn of_stored(entry: &Entry) -> Option<Self> {
        match entry.body {
            Body::Messages(_) if entry.body.change().is_some() => None,
            Body::Messages(_) if places(entry).next().is_some() => None,
            Body::Messages(_) | Body::Annotations(_) | Body::Objects(_) => {
                Self::of(&entry.id, &entry.body)
            }
            Body::Presence(_) => None,
        }
    }

    pub(crate) fn bits(self) -> u64 {
        self.0.get()
    }

    /// None of zero.
    pub(crate) fn from_bits(bits: u64) -> Option<Self> {
        NonZeroU64::new(bits).map(Self)
    }

    fn hash(body: &Body) -> Self {
        let mut hasher = Pieces(GOLDEN);
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

/// A hash of pieces, each mixed in by itself: most are a few bytes long, and a hasher that gathers them
/// costs several times as much as they do. Their order counts, and where each of them ends.
#[derive(Clone, Copy)]
struct Pieces(u64);

impl Pieces {
    /// Only together do the halves of the product depend on every bit; what was is added, so that no factor
    /// makes it be forgotten.
    #[inline]
    fn mix(&mut self, first: u64, second: u64) {
        let (low, high) = (self.0 ^ first).carrying_mul(second ^ GOLDEN, self.0);
        self.0 = low ^ high;
    }
}

impl Hasher for Pieces {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.mix(xxh3_64(bytes), bytes.len() as u64);
    }

    #[inline]
    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.mix(number, 0);
    }

    #[inline]
    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
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
    let client_id = message.client_id.as_ref().map(ClientId::as_str);
    let texts =
        [message.id.as_deref(), message.name.as_deref(), message.encoding.as_deref(), client_id];
    let present = texts.iter().fold(0, |bits, text| bits << 1 | u8::from(text.is_some()));
    let (kind, data) = kind_and_bytes(&message.data);
    hasher.write_u64(u64::from_le_bytes([present, message.action.code(), kind, 0, 0, 0, 0, 0]));
    texts.into_iter().flatten().for_each(|text| hasher.write(text.as_bytes()));
    hash_extras(message.extras.as_ref(), hasher);
    if message.action.is_change() {
        message.serial.hash(hasher);
    }
    hasher.write(data);
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
    kind_and_bytes(data).hash(hasher);
}

fn kind_and_bytes(data: &Data) -> (u8, &[u8]) {
    match data {
        Data::None => (0, &[]),
        Data::Text(text) => (1, text.as_bytes()),
        Data::Binary(bytes) => (2, bytes),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use serde_json::json;
    use types::{MessageAction, Version};

    use super::*;

    /// A message with what the text says of it: fields by their first letter, `|` between them.
    fn message(text: &str) -> Message {
        let mut message = Message::default();
        for field in text.split('|') {
            let (field, value) = field.split_at_checked(1).unwrap_or_default();
            match field {
                "i" => message.id = Some(value.into()),
                "n" => message.name = Some(value.into()),
                "e" => message.encoding = Some(value.into()),
                "c" => message.client_id = Some(value.into()),
                "d" => message.data = Data::Text(value.into()),
                "b" => message.data = Data::Binary(value.to_owned().into()),
                "x" => message.extras = json!({ "said": value }).as_object().cloned().map(Arc::new),
                "y" => message.extras = json!({ value: "said" }).as_object().cloned().map(Arc::new),
                "a" => message.action = MessageAction::from_code(value.parse().unwrap()).unwrap(),
                "s" => message.serial = Some(value.into()),
                _ => assert_eq!(field, ""),
            }
        }
        message
    }

    fn content(messages: &[&str]) -> Content {
        Content::hash(&Body::Messages(messages.iter().map(|text| message(text)).collect()))
    }

    #[test]
    fn what_says_something_else_is_other_content() {
        let long = format!("d{}", "x".repeat(300));
        let contents: &[&[&str]] = &[
            &[],
            &[""],
            &["", ""],
            &["", "", ""],
            &["i"],
            &["n"],
            &["e"],
            &["c"],
            &["d"],
            &["b"],
            &["iab"],
            &["nab"],
            &["eab"],
            &["cab"],
            &["dab"],
            &["bab"],
            &["xab"],
            &["yab"],
            &["iab|nc"],
            &["ia|nbc"],
            &["iabc|n"],
            &["i|nabc"],
            &["iabc"],
            &["nabc"],
            &["nab|ec"],
            &["na|ebc"],
            &["eab|cc"],
            &["ea|cbc"],
            &["cab|dc"],
            &["ca|dbc"],
            &["dab", "dc"],
            &["da", "dbc"],
            &["dc", "dab"],
            &["dab", "dc", ""],
            &["dab|nc"],
            &["d\0"],
            &["d\0\0"],
            &["d\u{1}"],
            &["nb|dc|xa"],
            &["na|db|xc"],
            &["nb|da|xc"],
            &["a1|sab"],
            &["a1|sac"],
            &["a2|sab"],
            &["a5|sab"],
            &["a5"],
            &[&long],
            &[&long, ""],
            &[&long[..300]],
            &["nx", &long[..300]],
        ];
        let hashes: BTreeSet<u64> = contents.iter().map(|texts| content(texts).0.get()).collect();
        assert_eq!(hashes.len(), contents.len());
    }

    #[test]
    fn every_byte_of_a_long_message_counts() {
        let data = "x".repeat(1_000);
        let mut hashes = BTreeSet::from([content(&[&format!("d{data}")]).0.get()]);
        for at in 0..data.len() {
            for other in ["y", "z", "X", "\u{7f}"] {
                let data = format!("d{}{other}{}", &data[..at], &data[at + 1..]);
                assert!(hashes.insert(content(&[&data]).0.get()));
            }
        }
    }

    #[test]
    fn every_length_counts() {
        let texts = (0..100).map(|len| format!("d{}", "\0".repeat(len)));
        let hashes: BTreeSet<u64> = texts.map(|text| content(&[&text]).0.get()).collect();
        assert_eq!(hashes.len(), 100);
    }

    #[test]
    fn what_servers_add_is_not_content() {
        let said = message("na|db|xc");
        let mut stored = said.clone();
        stored.connection_id = Some("connection".into());
        stored.timestamp = Some(types::Timestamp(1));
        stored.serial = Some("serial".into());
        stored.version = Some(Arc::new(Version::default()));
        types::set_user_claim(&mut stored.extras, Some(json!("claim")));
        let hash = |message| Content::hash(&Body::Messages(vec![message]));
        assert_eq!(hash(said), hash(stored));
    }
}
