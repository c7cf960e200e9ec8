//! Annotations: what clients say about a message that was published before (TAN2).
//!
//! Fields that the host fills in (`serial`, `timestamp`) are optional here because a publish
//! arrives without them.

use std::sync::Arc;

use crate::{ClientId, Data, Extras, Timestamp};

/// `annotation.action` (TAN2b).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnnotationAction {
    Create,
    /// Takes back what the client contributed to the summary; the annotations stay.
    Delete,
}

impl AnnotationAction {
    pub fn code(self) -> u8 {
        match self {
            Self::Create => 0,
            Self::Delete => 1,
        }
    }

    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Create, Self::Delete].into_iter().find(|action| action.code() == code)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Annotation {
    pub id: Option<Arc<str>>,
    pub action: AnnotationAction,
    /// `type`: `<namespace>:<method>.<version>`, or any text for one that is not summarised.
    pub kind: Arc<str>,
    pub name: Option<Arc<str>>,
    pub count: Option<u32>,
    pub client_id: Option<ClientId>,
    pub data: Data,
    pub encoding: Option<Arc<str>>,
    pub extras: Option<Extras>,
    pub message_serial: Option<Arc<str>>,
    pub serial: Option<Arc<str>>,
    pub timestamp: Option<Timestamp>,
}

impl Annotation {
    pub fn new(action: AnnotationAction, kind: impl Into<Arc<str>>) -> Self {
        Self {
            id: None,
            action,
            kind: kind.into(),
            name: None,
            count: None,
            client_id: None,
            data: Data::None,
            encoding: None,
            extras: None,
            message_serial: None,
            serial: None,
            timestamp: None,
        }
    }

    /// Size as limits count it: type, name, clientId, data and extras (RSAN1a4).
    pub fn size(&self) -> usize {
        self.kind.len()
            + self.name.as_deref().map_or(0, str::len)
            + self.client_id.as_ref().map_or(0, |id| id.as_str().len())
            + self.data.len()
            + crate::message::extras_len(self.extras.as_ref())
    }
}
