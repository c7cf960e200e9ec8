//! Directories, entries and appends for these tests. No clocks: times are made up.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use store::{Durable, Outcomes, Place, Store, Write, WriteRequest, Writer};
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

    /// What the store is kept in, to see or do what no version of the store does.
    pub(crate) fn engine(&self) -> Database {
        Database::builder(self.path().join("store")).open().unwrap()
    }
}

pub(crate) fn keyspace(engine: &Database, name: &str) -> Keyspace {
    engine.keyspace(name, KeyspaceCreateOptions::default).unwrap()
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

/// What is called with the outcome of a write.
pub(crate) type Done = Box<dyn FnOnce(bool) + Send>;

pub(crate) fn start(store: &Store) -> Writer<Done> {
    let completed = |outcomes: Outcomes<Done>| {
        outcomes.into_iter().for_each(|(done, durable)| done(durable == Durable::Yes));
    };
    Writer::start(store.clone(), completed).unwrap()
}

pub(crate) fn add(channel: &ChannelName, entry: &Arc<Entry>) -> Write {
    let (channel, entries) = (channel.clone(), vec![Arc::clone(entry)]);
    Write::Entries { app: app(), channel, entries, place: Place::History }
}

/// Has the writes made durable, all in one batch; says of each whether it is.
pub(crate) fn try_write(store: &Store, writes: Vec<Write>) -> Vec<bool> {
    let (done, outcomes) = mpsc::channel();
    let requests = writes.into_iter().map(|write| {
        let done = done.clone();
        let token: Done = Box::new(move |stored| done.send(stored).unwrap());
        WriteRequest { write, token }
    });
    let requests: Vec<_> = requests.collect();
    drop(done);
    assert!(start(store).try_write(requests).is_empty());
    outcomes.iter().collect()
}

/// Makes the writes durable, all in one batch.
pub(crate) fn write(store: &Store, writes: Vec<Write>) {
    assert!(try_write(store, writes).into_iter().all(|stored| stored));
}

pub(crate) fn append(store: &Store, channel: &ChannelName, entries: &[Arc<Entry>]) {
    write(store, entries.iter().map(|entry| add(channel, entry)).collect());
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
