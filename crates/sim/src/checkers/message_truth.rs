//! Changed and annotated messages: the versions that a client is given of one message follow each other,
//! and once faults stop, what it keeps of every message is the newest version and the summary of all
//! annotations that were committed, as is what the node answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use types::{Annotation, Body, Data, Entry, Kind, Message, MessageAction, Serial};

use super::summary::Summary;
use super::{StreamKey, Verdict, violation};
use crate::client::{ChannelState, Client, Step, join};
use crate::truth::Channel;

pub(crate) const NAME: &str = "message_truth";

/// A message after everything that was said of it.
#[derive(Debug)]
pub(crate) struct Truth {
    version: Arc<str>,
    versions: usize,
    appended: bool,
    data: Data,
    deleted: bool,
    summary: Summary,
}

/// The messages of a channel by their serials.
pub(crate) type Model = BTreeMap<Arc<str>, Truth>;

pub(crate) fn model(known: &Channel) -> Model {
    let mut model = Model::new();
    let mut all: Vec<(Serial, &Arc<Entry>)> =
        known.certain().map(|record| (record.entry.serial, &record.entry)).collect();
    all.sort_by_key(|(serial, _)| *serial);
    for (_, entry) in all {
        match (Kind::of(&entry.body), &entry.body) {
            (Kind::Messages, Body::Messages(messages)) => {
                for (index, message) in messages.iter().enumerate() {
                    let serial: Arc<str> = entry.serial.item(index);
                    model.insert(Arc::clone(&serial), Truth::new(serial, message));
                }
            }
            (Kind::Changes, Body::Messages(messages)) => {
                for message in messages {
                    let serial = message.serial.clone().unwrap_or_default();
                    let Some(truth) = model.get_mut(&serial) else { continue };
                    truth.change(entry.serial.item(0), message);
                }
            }
            (_, Body::Annotations(annotations)) => annotate(&mut model, annotations),
            _ => {}
        }
    }
    model
}

fn annotate(model: &mut Model, annotations: &[Annotation]) {
    for annotation in annotations {
        let serial = annotation.message_serial.clone().unwrap_or_default();
        if let Some(truth) = model.get_mut(&serial) {
            truth.summary.apply(annotation);
        }
    }
}

impl Truth {
    fn new(version: Arc<str>, message: &Message) -> Self {
        let (data, summary) = (message.data.clone(), Summary::default());
        Self { version, versions: 1, appended: false, data, deleted: false, summary }
    }

    fn change(&mut self, version: Arc<str>, message: &Message) {
        self.version = version;
        self.appended = message.action == MessageAction::Append;
        if self.appended {
            self.data = join(&self.data, &message.data);
            self.deleted = false;
        } else {
            self.versions += 1;
            self.data = message.data.clone();
            self.deleted = message.action == MessageAction::Delete;
        }
    }
}

/// A version reaches a client. What a rewind has shown as it is may be said again by a resume.
pub(super) fn delivered(key: &StreamKey, step: &Step) -> Verdict {
    let Step { serial, before, version, action } = step;
    let appends = *action == MessageAction::Append;
    let back = before.as_ref().is_some_and(|before| before > version);
    let again = before.as_ref() == Some(version) && appends;
    let alone = before.is_none() && appends;
    if back || again || alone {
        let (client, channel) = key;
        let message = format!(
            "client {client} on {channel} got {action:?} {version} of {serial} after {before:?}"
        );
        return violation(NAME, message);
    }
    Ok(())
}

pub(crate) fn settled(channel: &str, model: &Model, clients: &[Client]) -> Verdict {
    for client in clients.iter().filter(|client| client.is_connected() && client.hears_itself()) {
        let Some(known) = client.channel(channel) else { continue };
        if known.state != ChannelState::Attached {
            continue;
        }
        for (serial, seen) in known.messages.iter() {
            let Some(truth) = model.get(serial) else { continue };
            let same = (&seen.version, &seen.data, seen.deleted)
                == (&truth.version, &truth.data, truth.deleted);
            let summary = truth.summary.show();
            let told = seen.summary.is_some() || seen.from_the_start;
            let summed = !told || seen.summary.as_deref() == summary.as_ref();
            if !same || !summed {
                let index = client.index;
                let message = format!(
                    "{channel}: client {index} has of {serial} {seen:?}, not {truth:?} {summary:?}"
                );
                return violation(NAME, message);
            }
        }
    }
    Ok(())
}

/// What the node answers about one message: its newest version, and all of them.
pub(crate) fn answered(
    serial: &str,
    truth: &Truth,
    latest: Option<&Message>,
    versions: &[Message],
) -> Verdict {
    let version = |message: &Message| {
        let said = message.version.as_ref().and_then(|version| version.serial.clone());
        said.or_else(|| message.serial.clone())
    };
    let same = latest.is_some_and(|latest| {
        version(latest).as_ref() == Some(&truth.version)
            && latest.data == truth.data
            && latest.summary.as_deref() == truth.summary.show().as_ref()
    });
    let ordered = versions.iter().map(version).is_sorted();
    let newest = versions.last().and_then(version);
    if same
        && ordered
        && versions.len() == truth.versions
        && newest.as_ref() == Some(&truth.version)
    {
        return Ok(());
    }
    violation(NAME, format!("the node says of {serial} {latest:?} {versions:?}, not {truth:?}"))
}
