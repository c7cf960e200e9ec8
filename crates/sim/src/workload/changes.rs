//! Updates, deletes and appends of messages, mostly of the newest, and annotations of all methods.

use std::sync::Arc;

use rand::RngExt;
use types::{Annotation, AnnotationAction, Data, Message, MessageAction};

use crate::checkers::Verdict;
use crate::client::{ChannelState, Content, Publish};
use crate::world::World;

/// The newest messages, of which most is said.
const RECENT: usize = 6;
const MANY: usize = 200;

impl World {
    pub fn change(&mut self, client: usize, channel: &Arc<str>) -> Verdict {
        let Some(serial) = self.any_message(client, channel) else { return Ok(()) };
        let number = self.numbers.entry((client, Arc::clone(channel))).or_default();
        *number += 1;
        let text = format!("[{client} {number}]");
        let (action, data) = match self.rng.random_range(0..10) {
            0..4 => (MessageAction::Append, Data::Text(text.into())),
            4..7 => (MessageAction::Update, Data::Text(text.into())),
            // What it leaves out is filled in.
            7 => (MessageAction::Update, Data::None),
            _ => (MessageAction::Delete, Data::Text(text.into())),
        };
        let change = Message { action, data, serial: Some(serial), ..Message::default() };
        let content = Content::Change(Box::new(change));
        let publish = Publish { channel: Arc::clone(channel), content, named: None };
        self.act(client, |client, _| client.publish(publish))
    }

    pub fn annotate(&mut self, client: usize, channel: &Arc<str>) -> Verdict {
        let Some(serial) = self.any_message(client, channel) else { return Ok(()) };
        let annotations = (0..self.rng.random_range(1..3)).map(|_| self.annotation(&serial));
        let content = Content::Annotations(annotations.collect());
        let publish = Publish { channel: Arc::clone(channel), content, named: None };
        self.act(client, |client, _| client.publish(publish))
    }

    fn annotation(&mut self, serial: &Arc<str>) -> Annotation {
        let methods = ["total", "flag", "distinct", "unique", "multiple"];
        let method = methods[self.rng.random_range(0..methods.len())];
        let deletes = self.rng.random_bool(0.3);
        let action = if deletes { AnnotationAction::Delete } else { AnnotationAction::Create };
        let name = ["one", "other"][self.rng.random_range(0..2)];
        Annotation {
            name: (!matches!(method, "total" | "flag")).then(|| name.into()),
            count: (method == "multiple" && !deletes).then(|| self.rng.random_range(1..4)),
            message_serial: Some(Arc::clone(serial)),
            ..Annotation::new(action, format!("r:{method}.v1"))
        }
    }

    /// A message that the client knows.
    fn any_message(&mut self, client: usize, channel: &str) -> Option<Arc<str>> {
        let known = self.clients[client].channel(channel)?;
        if known.state != ChannelState::Attached {
            return None;
        }
        let reach = if self.rng.random_bool(0.85) { RECENT } else { MANY };
        let serials: Vec<_> = known.messages.iter().rev().take(reach).map(|(s, _)| s).collect();
        let at = (!serials.is_empty()).then(|| self.rng.random_range(0..serials.len()))?;
        serials.get(at).map(|serial| Arc::clone(serial))
    }
}
