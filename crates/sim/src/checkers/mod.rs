//! One checker for each invariant of the architecture (section 10), and a few for the protocol's rules.
//! Each says what it saw that must not be; the first one that speaks ends the run.
//!
//! [`stream`] keeps what each attachment has seen, for the checkers that judge by it.

pub(crate) mod ack_order;
pub(crate) mod bad_input;
pub(crate) mod bounds;
pub(crate) mod commit_first;
pub(crate) mod cursor_order;
pub(crate) mod durability;
pub(crate) mod exactly_once;
pub(crate) mod message_truth;
pub(crate) mod objects_truth;
pub(crate) mod once_per_id;
pub(crate) mod presence_truth;
pub(crate) mod progress;
pub(crate) mod publisher_order;
pub(crate) mod refused_publish;
mod stream;
mod summary;
pub(crate) mod truthful_resume;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use session::Echo;
use types::{Cursor, Kind};

use crate::client::Observed;
use crate::store::Store;
use crate::truth::Truth;
use stream::{Attacher, Stream};

/// What must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub checker: &'static str,
    pub message: String,
}

pub type Verdict = Result<(), Violation>;

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.checker, self.message)
    }
}

pub(crate) fn violation(checker: &'static str, message: impl Into<String>) -> Verdict {
    Err(Violation { checker, message: message.into() })
}

/// A client and a channel.
pub(crate) type StreamKey = (usize, Arc<str>);

/// The checkers that watch what clients observe.
#[derive(Debug, Default)]
pub(crate) struct Checkers {
    streams: BTreeMap<StreamKey, Stream>,
    publisher_order: publisher_order::PublisherOrder,
    once_per_id: once_per_id::OncePerId,
    refused_publish: refused_publish::RefusedPublish,
}

impl Checkers {
    pub(crate) fn observe(
        &mut self,
        truth: &mut Truth,
        store: &Store,
        (client, echo): (usize, Echo),
        observed: Observed,
    ) -> Verdict {
        match observed {
            Observed::Attached { channel, resumed, cursor, connection_id, modes, end } => {
                let by = Attacher { connection_id, incarnation: end.1, modes };
                let end = end.0;
                let known = truth.channel(&channel);
                let place = known.place(&decode(&cursor, &channel)?);
                let key = (client, channel);
                if resumed {
                    let stream = self.streams.get_mut(&key);
                    return truthful_resume::attached(&key, stream, known, place, by, end);
                }
                if let Some(stream) = self.streams.get(&key) {
                    stream.closed(&key)?;
                }
                self.publisher_order.restart(&key);
                self.streams.insert(key, Stream::new(place, end, by, echo));
                Ok(())
            }
            Observed::Entry { cursor, kind: Kind::Presence, .. } if cursor.is_empty() => Ok(()),
            Observed::Entry { channel, cursor, id, kind, labels, taken, connection_id, .. } => {
                let known = truth.channel(&channel);
                let place = known.place(&decode(&cursor, &channel)?);
                let key = (client, channel);
                commit_first::delivered(&key, known, place)?;
                self.once_per_id.delivered(&key, known, &id, place)?;
                let Some(stream) = self.streams.get_mut(&key).filter(|_| taken) else {
                    return Ok(());
                };
                stream.entry(&key, known, kind, place)?;
                self.publisher_order.entry(&key, connection_id.as_ref(), &labels)
            }
            Observed::Version { channel, step } => {
                message_truth::delivered(&(client, channel), &step)
            }
            Observed::Relied { channel, cursor } => {
                let known = truth.channel(&channel);
                let place = known.place(&decode(&cursor, &channel)?);
                let key = (client, channel);
                match self.streams.get_mut(&key) {
                    Some(stream) => stream.relied(&key, known, place),
                    None => Ok(()),
                }
            }
            Observed::Left { channel } => {
                let key = (client, channel);
                self.streams.remove(&key).map_or(Ok(()), |stream| stream.closed(&key))
            }
            Observed::Answered {
                accepted,
                msg_serial,
                count,
                serials,
                oldest,
                pending,
                version,
            } => {
                let answer = ack_order::Answer { accepted, msg_serial, count, serials, version };
                ack_order::answered(client, &answer, oldest, pending)
            }
            Observed::Settled { publish, id, result } => {
                let incarnation = truth.incarnation;
                let known = &*truth.channel(&publish.channel);
                if result.is_ok() {
                    commit_first::acknowledged(client, known, &publish, &id)?;
                    durability::acknowledged(client, known, store, &publish, &id)?;
                }
                self.refused_publish.settled(client, (known, incarnation), &publish, &id, &result)
            }
        }
    }

    /// Once everything has settled: what is attached has seen everything.
    pub(crate) fn settled(&mut self, truth: &Truth, attached: &[StreamKey]) -> Verdict {
        for key in attached {
            let (Some(stream), Some(known)) = (self.streams.get_mut(key), truth.get(&key.1)) else {
                continue;
            };
            stream.relied(key, known, known.end())?;
        }
        self.refused_publish.settled_at_last(truth)
    }
}

fn decode(cursor: &str, channel: &str) -> Result<Cursor, Violation> {
    Cursor::decode(cursor, channel).map_err(|error| Violation {
        checker: cursor_order::NAME,
        message: format!("channelSerial '{cursor}' of {channel} cannot be read: {error:?}"),
    })
}

/// The checker that speaks for missing or repeated entries of a kind.
pub(crate) fn checker_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Messages | Kind::Changes | Kind::Annotations | Kind::Objects => exactly_once::NAME,
        Kind::Presence => presence_truth::NAME,
    }
}
