//! Records: small values beside history that a node gets back after a restart, each named by app,
//! kind and key. What is in a value, and which version of its format, is known to the owner of the
//! kind alone.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::AppId;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordKind {
    /// Says that the app ends with the run of the node that made it.
    Passing,
    /// Revoked tokens.
    Revocation,
    /// A device that is registered for push, by its id.
    PushDevice,
    /// Of a device or a client to the notifications of a channel.
    PushSubscription,
    /// A channel that is enumerated whether it is active or not.
    Channel,
    /// What was counted in an interval.
    Statistics,
}

impl RecordKind {
    pub const ALL: [Self; 6] = [
        Self::Passing,
        Self::Revocation,
        Self::PushDevice,
        Self::PushSubscription,
        Self::Channel,
        Self::Statistics,
    ];

    /// What stands for the kind in the store; never used again for another one.
    pub fn code(self) -> u8 {
        match self {
            Self::Passing => 0,
            Self::Revocation => 1,
            Self::PushDevice => 2,
            Self::PushSubscription => 3,
            Self::Channel => 10,
            Self::Statistics => 11,
        }
    }

    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordId {
    pub app: AppId,
    pub kind: RecordKind,
    pub key: Arc<str>,
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} '{}' of {}", self.kind, self.key, self.app)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub id: RecordId,
    pub value: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordChange {
    /// Adds the record, or replaces the one with its id.
    Keep(Record),
    Delete(RecordId),
    /// Deletes all records of the app, and the objects of its channels.
    DeleteApp(AppId),
}

impl RecordChange {
    /// Bytes of key and value.
    pub fn size(&self) -> usize {
        match self {
            Self::Keep(record) => record.id.key.len() + record.value.len(),
            Self::Delete(id) => id.key.len(),
            Self::DeleteApp(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_code_of_its_own() {
        for kind in RecordKind::ALL {
            assert_eq!(RecordKind::from_code(kind.code()), Some(kind));
        }
        assert_eq!(RecordKind::from_code(0xff), None);
    }
}
