//! Where a reader of several channels is: the id of an event, with which a later request goes on.
//!
//! Text that needs no escapes in a header or a query: for each channel, in the order of the
//! request, its cursor and how many items it has had of the entry behind that; `cursor~2.cursor`.
//! Opaque to clients, and granting nothing; a cursor is bound to its channel.

use std::{fmt, sync::Arc};

/// Longest text that is looked at: what fits a request's head.
const MAX_TEXT: usize = 60 << 10;

/// One reader's position in one channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// None before the first answer to an attach.
    pub(crate) cursor: Option<Arc<str>>,
    /// Items behind the cursor that have been delivered.
    pub(crate) items: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position(pub(crate) Vec<Place>);

impl Position {
    pub(crate) fn start(channels: usize) -> Self {
        Self(vec![Place::default(); channels])
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > MAX_TEXT {
            return None;
        }
        text.split('.').map(Place::parse).collect::<Option<_>>().map(Self)
    }
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        let (cursor, items) = match text.split_once('~') {
            Some((cursor, items)) => (cursor, items.parse().ok()?),
            None => (text, 0),
        };
        let valid = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if !cursor.bytes().all(valid) {
            return None;
        }
        Some(Self { cursor: (!cursor.is_empty()).then(|| cursor.into()), items })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, place) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            f.write_str(place.cursor.as_deref().unwrap_or_default())?;
            if place.items > 0 {
                write!(f, "~{}", place.items)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(cursor: &str, items: usize) -> Place {
        Place { cursor: Some(cursor.into()), items }
    }

    #[test]
    fn positions_round_trip_and_need_no_escapes() {
        let position = Position(vec![place("AbC-_9", 0), Place::default(), place("x", 12)]);
        assert_eq!(position.to_string(), "AbC-_9..x~12");
        assert_eq!(Position::parse("AbC-_9..x~12"), Some(position));
    }

    #[test]
    fn what_is_no_position_is_refused() {
        for text in ["", "a b", "a~", "a~-1", "a~1~2", "cbf:1556-0", "ä"] {
            assert_eq!(Position::parse(text), None, "{text}");
        }
        assert_eq!(Position::parse(&"a".repeat(MAX_TEXT + 1)), None);
    }
}
