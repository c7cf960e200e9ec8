//! Deltas of messages (the channel param `delta=vcdiff`): each message as what it adds to the one
//! that the attachment was given before it (RTL18–RTL20).
//!
//! What comes first after an ATTACHED, or after a loss, is in full, as is what a delta would not make
//! smaller. A message without data, or with an encoding that clients may be unable to undo (encrypted
//! data above all), is no base and no delta: not all of them then remember it in the same form.
//!
//! Invariant: a chain ends in the message that its client was given last.

use std::sync::Arc;

use protocol::{Action, ProtocolMessage};
use types::{Data, Extras, Message};

/// Bytes that the making of deltas may look at for one entry, or one replay; what is left when they are
/// used up is delivered in full. It bounds the time that one delivery takes to a few milliseconds.
const MAX_EFFORT: usize = 1 << 20;
/// What a delta costs at least, so that there are not too many of them either.
const MIN_EFFORT: usize = 4 << 10;

/// What an attachment can make messages of.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Chain {
    /// It did not ask for deltas.
    #[default]
    Unlinked,
    /// The message that it was given last; none if the next has to come in full.
    Vcdiff(Option<Link>),
}

#[derive(Clone, Debug)]
pub struct Link {
    id: Arc<str>,
    data: Data,
}

/// Deltas that were made already, because another attachment needed the same one.
#[derive(Debug, Default)]
pub struct Deltas {
    made: Vec<Made>,
    effort: usize,
    skipped: u64,
}

#[derive(Debug)]
struct Made {
    base: Data,
    target: Data,
    delta: Option<Data>,
}

impl Chain {
    /// A chain that begins with the next message.
    pub(crate) fn of_param(delta: Option<&String>) -> Self {
        if delta.is_some() { Self::Vcdiff(None) } else { Self::Unlinked }
    }

    /// The client lost something, or was given something that is not of this chain.
    pub fn restart(&mut self) {
        if let Self::Vcdiff(last) = self {
            *last = None;
        }
    }

    /// Appends the messages of `frame` to the chain, as deltas where that makes them smaller.
    pub fn append(&mut self, frame: &mut ProtocolMessage, deltas: &mut Deltas) {
        self.each(frame, |last, message, link| {
            let delta = last.zip(link).and_then(|(last, link)| {
                let delta = deltas.between(&last.data, &link.data)?;
                Some((delta, Arc::clone(&last.id)))
            });
            if let Some((delta, from)) = delta {
                shrink(message, delta, &from);
            }
        });
    }

    /// Appends the messages of `frame` to the chain as they are.
    pub(crate) fn append_in_full(&mut self, frame: &mut ProtocolMessage) {
        self.each(frame, |_, _, _| {});
    }

    fn each(
        &mut self,
        frame: &mut ProtocolMessage,
        mut visit: impl FnMut(Option<&Link>, &mut Message, Option<&Link>),
    ) {
        let Self::Vcdiff(last) = self else { return };
        if frame.action != Action::Message {
            return;
        }
        for (index, message) in frame.messages.iter_mut().enumerate() {
            let link = Link::of(frame.id.as_deref(), index, message);
            visit(last.as_ref(), message, link.as_ref());
            *last = link;
        }
    }
}

impl Link {
    /// None if the message cannot be the base of a delta, nor a delta itself.
    fn of(frame_id: Option<&str>, index: usize, message: &Message) -> Option<Self> {
        let mut steps = message.encoding.as_deref().unwrap_or_default().split('/');
        let undoable = steps.all(|step| matches!(step, "" | "json" | "utf-8"));
        let inherited = || frame_id.map(|id| format!("{id}:{index}").into());
        let id = message.id.clone().or_else(inherited)?;
        (undoable && !message.data.is_empty()).then(|| Self { id, data: message.data.clone() })
    }
}

/// Whether they stand for the same message; the data of one that was delivered to many is shared.
impl PartialEq for Link {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && is_same(&self.data, &other.data)
    }
}

impl Deltas {
    /// How many there are, and how many would not have been smaller than their messages.
    pub fn made(&self) -> (usize, usize) {
        let smaller = self.made.iter().filter(|made| made.delta.is_some()).count();
        (smaller, self.made.len() - smaller)
    }

    /// Messages for which nothing was tried.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    fn between(&mut self, base: &Data, target: &Data) -> Option<Data> {
        let known = |made: &&Made| is_same(&made.base, base) && is_same(&made.target, target);
        if let Some(made) = self.made.iter().find(known) {
            return made.delta.clone();
        }
        let effort = (base.len() + target.len()).max(MIN_EFFORT);
        if self.effort + effort > MAX_EFFORT {
            self.skipped += 1;
            return None;
        }
        self.effort += effort;
        let delta = protocol::delta(bytes(base), bytes(target));
        let delta = delta.map(|delta| Data::Binary(delta.into()));
        self.made.push(Made { base: base.clone(), target: target.clone(), delta: delta.clone() });
        delta
    }
}

/// Whether both are the same memory.
fn is_same(one: &Data, other: &Data) -> bool {
    match (one, other) {
        (Data::Text(one), Data::Text(other)) => Arc::ptr_eq(one, other),
        (Data::Binary(one), Data::Binary(other)) => {
            one.as_ptr() == other.as_ptr() && one.len() == other.len()
        }
        (Data::None, Data::None) => true,
        (Data::None | Data::Text(_) | Data::Binary(_), _) => false,
    }
}

fn bytes(data: &Data) -> &[u8] {
    match data {
        Data::None => &[],
        Data::Text(text) => text.as_bytes(),
        Data::Binary(bytes) => bytes,
    }
}

fn shrink(message: &mut Message, delta: Data, from: &Arc<str>) {
    let mut steps: Vec<&str> = message.encoding.as_deref().into_iter().collect();
    if matches!(message.data, Data::Text(_)) {
        steps.push("utf-8");
    }
    steps.push("vcdiff");
    message.encoding = Some(steps.join("/").into());
    message.data = delta;
    let extras: &mut Extras = message.extras.get_or_insert_default();
    let delta = serde_json::json!({ "from": from.as_ref(), "format": "vcdiff" });
    Arc::make_mut(extras).insert("delta".to_owned(), delta);
}

#[cfg(test)]
mod tests;
