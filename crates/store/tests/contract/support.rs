//! Directories, entries and appends for these tests. No clocks: times are made up.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use store::{Place, Store, Write, WriteRequest, Writer};
use testkit::Folder;
use types::{
    AppId, Body, ChannelName, Entry, EntryId, ItemPosition, Message, MessageAction, ObjectAction,
    ObjectId, ObjectMessage, ObjectOperation, PresenceAction, PresenceMessage, Serial, SeriesId,
    Timestamp,
};
use types::{Direction, HistoryQuery, Kind};

/// A folder of its own for one test; gone when dropped.
pub(crate) struct Dir(Folder);

impl Dir {
    pub(crate) fn new() -> Self {
        Self(Folder::new())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Opens the store with a retention that nothing outlives.
    pub(crate) fn open(&self) -> Store {
        open(self.path())
    }
}

pub(crate) fn open(directory: &Path) -> Store {
    Store::open(directory, Duration::MAX).unwrap()
}

pub(crate) fn app() -> AppId {
    AppId::from("app")
}

pub(crate) fn channel(name: &str) -> ChannelName {
    ChannelName::parse(name).unwrap()
}

pub(crate) fn series(number: u32) -> SeriesId {
    SeriesId::from_bytes(format!("dun{number:09}").as_bytes()).unwrap()
}

/// The entry at `position` of a series, published at `ms`, with `items` items.
pub(crate) fn entry(
    kind: Kind,
    series_number: u32,
    position: u64,
    ms: u64,
    items: usize,
) -> Arc<Entry> {
    let body = match kind {
        Kind::Messages => Body::Messages(vec![Message::default(); items]),
        Kind::Changes | Kind::Annotations => panic!("they are about a message"),
        Kind::Presence => Body::Presence(vec![PresenceMessage::new(PresenceAction::Enter); items]),
        Kind::Objects => {
            let operation =
                ObjectOperation { object_id: ObjectId::root(), action: ObjectAction::MapClear };
            Body::Objects(vec![ObjectMessage::new(operation); items])
        }
    };
    Arc::new(Entry {
        id: EntryId::Named(format!("{series_number}-{position}").into()),
        serial: Serial { ms, counter: 0, series: series(series_number) },
        position,
        timestamp: Timestamp(ms),
        connection_id: None,
        body,
    })
}

pub(crate) fn message(series_number: u32, position: u64, ms: u64) -> Arc<Entry> {
    entry(Kind::Messages, series_number, position, ms, 1)
}

/// Makes the entries durable.
/// An entry with this body.
pub(crate) fn said(position: u64, ms: u64, body: Body) -> Arc<Entry> {
    Arc::new(Entry { body, ..message(1, position, ms).as_ref().clone() })
}

pub(crate) fn change(position: u64, ms: u64, of: ItemPosition) -> Arc<Entry> {
    let change = Message {
        action: MessageAction::Update,
        serial: Some(of.to_string().into()),
        ..Message::default()
    };
    said(position, ms, Body::Messages(vec![change]))
}

pub(crate) fn append(store: &Store, channel: &ChannelName, entries: &[Arc<Entry>]) {
    let writer = Writer::start(store.clone()).unwrap();
    let (done, outcomes) = mpsc::channel();
    for entry in entries {
        let done = done.clone();
        let request = WriteRequest {
            write: Write::Entry {
                app: app(),
                channel: channel.clone(),
                entry: Arc::clone(entry),
                place: Place::History,
            },
            done: Box::new(move |stored| done.send(stored).unwrap()),
        };
        assert!(writer.try_write(request).is_ok());
    }
    drop(done);
    assert_eq!(outcomes.iter().collect::<Vec<_>>(), vec![true; entries.len()]);
}

/// All items of the query's pages.
pub(crate) fn read_all(
    store: &Store,
    channel: &ChannelName,
    mut query: HistoryQuery,
) -> Vec<(Arc<Entry>, usize)> {
    let mut items = Vec::new();
    loop {
        let page = store.history(&app(), channel, &query).unwrap();
        assert!(page.items.len() <= query.limit);
        items.extend(page.items);
        if page.next.is_none() {
            return items;
        }
        query.after = page.next;
    }
}

/// The ids of the messages that are stored, oldest first.
pub(crate) fn ids(store: &Store, channel: &ChannelName) -> Vec<String> {
    let direction = Direction::Forwards;
    let query = HistoryQuery { direction, ..HistoryQuery::new(Kind::Messages, 1000) };
    names(&read_all(store, channel, query))
}

pub(crate) fn names(items: &[(Arc<Entry>, usize)]) -> Vec<String> {
    items.iter().map(|(entry, _)| entry.id.to_string()).collect()
}
