//! Invariant 9: bad input costs at most its own connection, and never the node.

use node::Effect;
use session::TransportId;

use super::{Verdict, violation};

pub(crate) const NAME: &str = "bad_input";

/// What a vandal sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Frame,
    /// Bytes that are no frame.
    Noise,
}

pub(crate) fn panicked(event: &str) -> Verdict {
    violation(NAME, format!("the node panicked on {event}"))
}

/// What came of something that `transport` sent.
pub(crate) fn handled(transport: TransportId, input: Input, effects: &[Effect]) -> Verdict {
    let closed = effects.iter().filter_map(|effect| match effect {
        Effect::Close(closed) => Some(*closed),
        _ => None,
    });
    let closed: Vec<_> = closed.collect();
    if let Some(other) = closed.iter().find(|closed| **closed != transport) {
        return violation(NAME, format!("bad input on {transport:?} closed {other:?}"));
    }
    if input == Input::Noise && closed.is_empty() {
        return violation(NAME, format!("unreadable bytes on {transport:?} were tolerated"));
    }
    Ok(())
}
