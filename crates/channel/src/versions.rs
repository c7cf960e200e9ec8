//! One message as a fold over its entries: the newest full version by serial, and what was appended
//! to it since, in the order of serials whatever order they are applied in (amendment 20).
//!
//! A version is full: what an update leaves out was filled in when it was accepted. So the newest
//! one wins as a whole, and appends older than it are part of it or lost with what it replaced.

use std::collections::BTreeMap;
use std::sync::Arc;

use types::{Data, Entry, ItemPosition, Message, MessageAction, Serial};

#[derive(Clone, Debug, Default)]
pub(crate) struct Versions {
    /// The newest full version, as it stands alone.
    base: Option<(Serial, Message)>,
    /// Appends behind it. They are no more than their entries in the log, or in the store.
    appends: BTreeMap<Serial, Message>,
}

impl Versions {
    /// Takes in `entry` if it is about the message at `key`: its publish or a change.
    pub(crate) fn apply(&mut self, key: ItemPosition, entry: &Entry) {
        let index = if entry.serial == key.serial { key.index } else { 0 };
        let is_it = entry.serial == key.serial || entry.body.target() == Some(key);
        let Some(message) = entry.message(index).filter(|_| is_it) else { return };
        let newest = self.base_serial();
        if newest.is_some_and(|newest| newest >= entry.serial) {
            return;
        }
        if message.action == MessageAction::Append {
            self.appends.insert(entry.serial, message);
        } else {
            self.appends = self.appends.split_off(&entry.serial);
            self.base = Some((entry.serial, message));
        }
    }

    /// Whether the message is known, and not only changes of it.
    pub(crate) fn is_known(&self) -> bool {
        self.base.is_some()
    }

    /// The serial of the newest full version.
    pub(crate) fn base_serial(&self) -> Option<Serial> {
        self.base.as_ref().map(|(serial, _)| *serial)
    }

    /// The newest version: an append stands for what it adds.
    pub(crate) fn newest(&self) -> Option<&Message> {
        let append = self.appends.last_key_value().map(|(_, append)| append);
        self.base.as_ref().map(|(_, base)| append.unwrap_or(base))
    }

    /// The newest version in one piece: with its appends it is an update.
    pub(crate) fn whole(&self) -> Option<Message> {
        let (_, base) = self.base.as_ref()?;
        let Some(newest) = self.newest().filter(|_| !self.appends.is_empty()) else {
            return Some(base.clone());
        };
        let data = join(&base.data, self.appends.values().map(|append| &append.data));
        Some(Message {
            data,
            encoding: base.encoding.clone().or_else(|| newest.encoding.clone()),
            action: MessageAction::Update,
            ..newest.clone()
        })
    }

    /// Bytes of the newest version's data in one piece.
    pub(crate) fn data_len(&self) -> usize {
        let base = self.base.as_ref().map_or(0, |(_, base)| base.data.len());
        base + self.appends.values().map(|append| append.data.len()).sum::<usize>()
    }

    /// Bytes that this occupies.
    pub(crate) fn memory(&self) -> usize {
        let messages = self.base.iter().map(|(_, base)| base).chain(self.appends.values());
        messages.map(|message| size_of::<Message>() + message.size()).sum()
    }
}

/// The data followed by the pieces of its type. A piece of another type was accepted elsewhere, of
/// a version that lost.
pub(crate) fn join<'a>(base: &'a Data, pieces: impl Iterator<Item = &'a Data>) -> Data {
    let mut pieces = pieces.filter(|piece| !piece.is_empty()).peekable();
    let first = match base {
        Data::None => pieces.peek().copied().unwrap_or(base),
        Data::Text(_) | Data::Binary(_) => base,
    };
    match first {
        Data::None => Data::None,
        Data::Text(_) => {
            let mut text = String::new();
            for piece in std::iter::once(base).chain(pieces) {
                if let Data::Text(piece) = piece {
                    text.push_str(piece);
                }
            }
            Data::Text(text.into())
        }
        Data::Binary(_) => {
            let mut binary = Vec::new();
            for piece in std::iter::once(base).chain(pieces) {
                if let Data::Binary(piece) = piece {
                    binary.extend_from_slice(piece);
                }
            }
            Data::Binary(binary.into())
        }
    }
}

/// Every version of the message at `key`, oldest first, each with its appends. `entries` are all
/// that is known of the message, in the order of serials.
pub fn versions(key: ItemPosition, entries: &[Arc<Entry>]) -> Vec<Message> {
    let mut all = Vec::new();
    let mut current = Versions::default();
    for entry in entries {
        let mut version = Versions::default();
        version.apply(key, entry);
        if version.is_known() {
            all.extend(std::mem::replace(&mut current, version).whole());
        } else {
            current.apply(key, entry);
        }
    }
    all.extend(current.whole());
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use types::{Body, EntryId, SeriesId, Timestamp};

    use super::*;

    fn serial(ms: u64) -> Serial {
        Serial { ms, counter: 0, series: SeriesId::from_bytes(b"dun000000001").unwrap() }
    }

    fn key() -> ItemPosition {
        ItemPosition { serial: serial(1), index: 0 }
    }

    fn entry(ms: u64, action: MessageAction) -> Arc<Entry> {
        let message = Message {
            data: Data::Text(format!("{ms}.").into()),
            serial: action.is_change().then(|| key().to_string().into()),
            action,
            ..Message::default()
        };
        Arc::new(Entry {
            id: EntryId::Named(ms.to_string().into()),
            serial: serial(ms),
            position: ms,
            timestamp: Timestamp(ms),
            connection_id: None,
            body: Body::Messages(vec![message]),
        })
    }

    fn of<'a>(entries: impl IntoIterator<Item = &'a Arc<Entry>>) -> Versions {
        let mut versions = Versions::default();
        entries.into_iter().for_each(|entry| versions.apply(key(), entry));
        versions
    }

    fn text(message: &Message) -> &str {
        match &message.data {
            Data::Text(text) => text,
            other => panic!("{other:?}"),
        }
    }

    fn history(actions: &[MessageAction]) -> Vec<Arc<Entry>> {
        let changes = (2..).zip(actions).map(|(ms, action)| entry(ms, *action));
        std::iter::once(entry(1, MessageAction::Create)).chain(changes).collect()
    }

    #[test]
    fn appends_make_one_update_of_the_version_that_they_follow() {
        let (update, append) = (MessageAction::Update, MessageAction::Append);
        let entries = history(&[append, update, append, append]);
        let whole = of(&entries).whole().unwrap();
        assert_eq!((text(&whole), whole.action), ("3.4.5.", MessageAction::Update));
        let version = whole.version.unwrap();
        assert_eq!(version.serial.as_deref(), Some(serial(5).item(0).as_ref()));
        let versions = versions(key(), &entries);
        assert_eq!(versions.iter().map(text).collect::<Vec<_>>(), ["1.2.", "3.4.5."]);
    }

    #[test]
    fn a_deleted_message_that_is_not_appended_to_stays_deleted() {
        let whole = of(&history(&[MessageAction::Delete])).whole().unwrap();
        assert_eq!(whole.action, MessageAction::Delete);
        assert_eq!(whole.serial.as_deref(), Some(key().to_string().as_str()));
    }

    #[test]
    fn pieces_of_another_type_than_the_data_are_left_out() {
        let binary = Data::Binary(b"x".to_vec().into());
        let pieces = [Data::Text("b".into()), binary.clone(), Data::None];
        assert_eq!(join(&Data::Text("a".into()), pieces.iter()), Data::Text("ab".into()));
        assert_eq!(join(&binary, pieces.iter()), Data::Binary(b"xx".to_vec().into()));
        assert_eq!(join(&Data::None, pieces.iter()), Data::Text("b".into()));
    }

    proptest! {
        #[test]
        fn any_order_of_the_same_changes_gives_the_same_message(
            (straight, shuffled) in prop::collection::vec(
                prop::sample::select(vec![
                    MessageAction::Update,
                    MessageAction::Delete,
                    MessageAction::Append,
                    MessageAction::Append,
                ]),
                0..12,
            ).prop_flat_map(|actions| {
                let entries = history(&actions);
                (Just(entries.clone()), Just(entries).prop_shuffle())
            })
        ) {
            let (one, other) = (of(&straight), of(&shuffled));
            prop_assert_eq!(one.whole(), other.whole());
            prop_assert_eq!(one.data_len(), other.data_len());
            prop_assert_eq!(one.data_len(), text(&one.whole().unwrap()).len());
        }
    }
}
