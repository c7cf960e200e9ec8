//! The messages of one channel as an application keeps them that follows changes and summaries: each
//! as its newest version. What it was not given whole it cannot continue.

use std::collections::BTreeMap;
use std::sync::Arc;

use types::{Data, Extras, Message, MessageAction};

#[derive(Debug, Default)]
pub struct Messages {
    known: BTreeMap<Arc<str>, Known>,
}

/// One message as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    pub version: Arc<str>,
    pub data: Data,
    pub deleted: bool,
    pub summary: Option<Extras>,
    /// Whether everything that was said of it came after it.
    pub(crate) from_the_start: bool,
}

/// A new version of a message, and the one before it.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) serial: Arc<str>,
    pub(crate) before: Option<Arc<str>>,
    pub(crate) version: Arc<str>,
    pub(crate) action: MessageAction,
}

impl Messages {
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Arc<str>, &Known)> {
        self.known.iter()
    }

    pub(super) fn clear(&mut self) {
        self.known.clear();
    }

    /// Takes in a message as it was delivered; none if it is no version.
    pub(super) fn receive(&mut self, message: &Message) -> Option<Step> {
        let serial = message.serial.clone()?;
        let known = self.known.get_mut(&serial);
        if message.action == MessageAction::Summary {
            if let Some(known) = known {
                known.summary.clone_from(&message.summary);
            }
            return None;
        }
        let said = message.version.as_ref().and_then(|version| version.serial.clone());
        let version = said.unwrap_or_else(|| Arc::clone(&serial));
        // A rewind shows a message as it is; when it breaks off, what is resumed repeats how it came to be so:
        // from a full version on, for an append continues that.
        let repeats =
            known.as_ref().is_some_and(|known| !known.from_the_start && known.version > version);
        if repeats && message.action == MessageAction::Append {
            return None;
        }
        let before = known.as_ref().map(|known| Arc::clone(&known.version));
        let next = Known {
            version: Arc::clone(&version),
            data: message.data.clone(),
            deleted: message.action == MessageAction::Delete,
            summary: message.summary.clone(),
            from_the_start: message.action == MessageAction::Create,
        };
        match known {
            None => drop(self.known.insert(Arc::clone(&serial), next)),
            Some(known) => {
                let appends = message.action == MessageAction::Append;
                let data = if appends { join(&known.data, &next.data) } else { next.data };
                (known.version, known.data, known.deleted) = (next.version, data, next.deleted);
            }
        }
        (!repeats).then_some(Step { serial, before, version, action: message.action })
    }
}

pub(crate) fn join(data: &Data, more: &Data) -> Data {
    match (data, more) {
        (Data::Text(data), Data::Text(more)) => Data::Text(format!("{data}{more}").into()),
        _ => more.clone(),
    }
}

#[cfg(test)]
mod tests {
    use types::Version;

    use super::*;

    fn version(action: MessageAction, version: &str, data: &str) -> Message {
        let version = Version { serial: Some(version.into()), ..Version::default() };
        Message {
            serial: Some("m".into()),
            version: Some(version.into()),
            data: Data::Text(data.into()),
            action,
            ..Message::default()
        }
    }

    #[test]
    fn what_a_resume_repeats_behind_a_rewind_leaves_the_message_as_it_was() {
        let mut messages = Messages::default();
        let mut receive = |action, number: &str, data| {
            let step = messages.receive(&version(action, number, data));
            let known = &messages.known["m"];
            (step.is_some(), known.version.to_string(), known.data.clone())
        };
        let text = |text: &str| Data::Text(text.into());
        let rewound = receive(MessageAction::Update, "3", "ab");
        assert_eq!(rewound, (true, "3".to_owned(), text("ab")));
        let repeated = receive(MessageAction::Update, "2", "a");
        assert_eq!(repeated, (false, "2".to_owned(), text("a")));
        let appended = receive(MessageAction::Append, "3", "b");
        assert_eq!(appended, (true, "3".to_owned(), text("ab")));
    }
}
