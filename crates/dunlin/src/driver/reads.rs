//! What the driver's reading threads do: ask the store, and shape what it knows into answers.
//! Messages are shown as they are now: what was said of each since is found by its serial.

use std::collections::BTreeSet;
use std::sync::Arc;

use channel::MessageState;
use node::{Question, Response};
use store::{Store, StoreError};
use types::{
    AppId, Body, ChannelName, Entry, ErrorInfo, HistoryPage, HistoryQuery, ItemPosition, Kind,
    Message, Timestamp, error,
};

pub(super) type Entries = Result<Vec<Arc<Entry>>, ErrorInfo>;

pub(super) fn recent(store: &Store, app: &AppId, name: &ChannelName, since: Timestamp) -> Entries {
    let read = || {
        let mut entries = store.load_recent(app, name, since)?;
        let last = store.last(app, name)?;
        let known = |last: &Arc<Entry>| entries.iter().any(|entry| entry.serial == last.serial);
        if let Some(last) = last.filter(|last| !known(last)) {
            let at = entries.partition_point(|entry| entry.serial < last.serial);
            entries.insert(at, last);
        }
        Ok(entries)
    };
    read().map_err(|error| unreadable(&error, app, name))
}

pub(super) fn about(
    store: &Store,
    app: &AppId,
    name: &ChannelName,
    messages: &BTreeSet<ItemPosition>,
) -> Entries {
    store.about(app, name, messages).map_err(|error| unreadable(&error, app, name))
}

pub(super) fn message(
    store: &Store,
    app: &AppId,
    name: &ChannelName,
    question: &Question,
) -> Response {
    let entries = about(store, app, name, &BTreeSet::from([question.message]));
    entries.map_or_else(Response::Error, |entries| question.answer(&entries))
}

pub(super) fn history(
    store: &Store,
    app: &AppId,
    name: &ChannelName,
    query: &HistoryQuery,
) -> Response {
    let page = store.history(app, name, query).and_then(|page| match query.kind {
        Kind::Messages => in_place(store, app, name, page),
        Kind::Presence | Kind::Changes | Kind::Annotations | Kind::Objects => Ok(page),
    });
    page.map_or_else(|error| Response::Error(unreadable(&error, app, name)), Response::History)
}

/// The entries of messages that `query` asks for, oldest first, each message as it is now.
pub(super) fn backlog(
    store: &Store,
    app: &AppId,
    name: &ChannelName,
    query: &HistoryQuery,
) -> Entries {
    let page = store.history(app, name, query).and_then(|page| {
        let mut entries: Vec<_> = page.items.into_iter().map(|(entry, _)| entry).collect();
        entries.dedup_by_key(|entry| entry.serial);
        entries.reverse();
        entries.iter().map(|entry| whole_in_place(store, app, name, entry)).collect()
    });
    page.map_err(|error| unreadable(&error, app, name))
}

fn whole_in_place(
    store: &Store,
    app: &AppId,
    name: &ChannelName,
    entry: &Arc<Entry>,
) -> Result<Arc<Entry>, StoreError> {
    let mut shown = Arc::clone(entry);
    for index in 0..entry.body.len() {
        let key = ItemPosition { serial: entry.serial, index };
        if let Some(latest) = latest(store, app, name, key)?
            && let Body::Messages(messages) = &mut Arc::make_mut(&mut shown).body
            && let Some(message) = messages.get_mut(index)
        {
            *message = latest;
        }
    }
    Ok(shown)
}

/// The message as it is now, if that is not how it was published.
fn latest(
    store: &Store,
    app: &AppId,
    name: &ChannelName,
    key: ItemPosition,
) -> Result<Option<Message>, StoreError> {
    if !store.is_changed(app, name, key)? {
        return Ok(None);
    }
    let entries = store.about(app, name, &BTreeSet::from([key]))?;
    Ok(MessageState::of(key, &entries).latest())
}

/// The page with every message as it is now.
fn in_place(
    store: &Store,
    app: &AppId,
    name: &ChannelName,
    mut page: HistoryPage,
) -> Result<HistoryPage, StoreError> {
    for (entry, index) in &mut page.items {
        let key = ItemPosition { serial: entry.serial, index: *index };
        if let Some(latest) = latest(store, app, name, key)? {
            let body = Body::Messages(vec![latest]);
            (*entry, *index) = (Arc::new(Entry { body, ..entry.as_ref().clone() }), 0);
        }
    }
    Ok(page)
}

fn unreadable(error: &StoreError, app: &AppId, channel: &ChannelName) -> ErrorInfo {
    tracing::error!(%error, %app, %channel, "history cannot be read");
    error::INTERNAL.info()
}
