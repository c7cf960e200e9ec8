//! LiveObjects: what clients do to the objects of a channel, and what the objects then are. Values
//! only; how operations add up to state is the channel's business.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;

use crate::message::{extras_len, text_len};
use crate::{ClientId, Extras, ItemPosition, Serial, SiteCode, Timestamp};

/// Bytes that a number, and a counter, count for (OD3d, CCR3a).
const NUMBER_SIZE: usize = 8;
/// Bytes that a boolean counts for (OD3b).
const BOOLEAN_SIZE: usize = 1;

/// The id of an object: `root`, or `<kind>:<hash>@<ms>` (RTO14).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(Arc<str>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    Map,
    Counter,
}

impl ObjectKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Map => "map",
            Self::Counter => "counter",
        }
    }
}

impl ObjectId {
    const ROOT: &'static str = "root";

    /// The map that every channel has.
    pub fn root() -> Self {
        Self(Self::ROOT.into())
    }

    pub fn new(kind: ObjectKind, hash: &str, created: Timestamp) -> Self {
        Self(format!("{}:{hash}@{}", kind.as_str(), created.0).into())
    }

    /// None if `text` does not have the form of an id.
    pub fn parse(text: &str) -> Option<Self> {
        let id = Self(text.into());
        (id.is_root() || id.parts().is_some()).then_some(id)
    }

    pub fn is_root(&self) -> bool {
        &*self.0 == Self::ROOT
    }

    pub fn kind(&self) -> ObjectKind {
        self.parts().map_or(ObjectKind::Map, |(kind, _, _)| kind)
    }

    /// When the object was created, as the id says; none for the root.
    pub fn created(&self) -> Option<Timestamp> {
        self.parts().map(|(_, _, created)| created)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parts(&self) -> Option<(ObjectKind, &str, Timestamp)> {
        let (kind, rest) = self.0.split_once(':')?;
        let kind = [ObjectKind::Map, ObjectKind::Counter]
            .into_iter()
            .find(|known| known.as_str() == kind)?;
        let (hash, created) = rest.split_once('@')?;
        let created = created.parse().ok().map(Timestamp)?;
        (!hash.is_empty()).then_some((kind, hash, created))
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A number that every format can carry: finite, and compared by its bits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Finite(f64);

impl Finite {
    /// None unless finite. There is one zero.
    pub fn new(number: f64) -> Option<Self> {
        number.is_finite().then_some(Self(number + 0.0))
    }

    pub fn get(self) -> f64 {
        self.0
    }

    /// The sum; at the ends of the range it stays there.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self((self.0 + other.0).clamp(f64::MIN, f64::MAX))
    }
}

impl PartialEq for Finite {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Finite {}

impl Hash for Finite {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

/// The value at a key of a map (OD2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ObjectData {
    Object(ObjectId),
    Boolean(bool),
    Bytes(Bytes),
    Number(Finite),
    Text(Arc<str>),
    /// An object or array, as JSON text.
    Json(Arc<str>),
}

impl ObjectData {
    /// The object that it refers to.
    pub fn reference(&self) -> Option<&ObjectId> {
        match self {
            Self::Object(id) => Some(id),
            Self::Boolean(_) | Self::Bytes(_) | Self::Number(_) | Self::Text(_) | Self::Json(_) => {
                None
            }
        }
    }

    /// Bytes that count towards the message size (OD3); a reference counts nothing.
    pub fn size(&self) -> usize {
        match self {
            Self::Object(_) => 0,
            Self::Boolean(_) => BOOLEAN_SIZE,
            Self::Bytes(bytes) => bytes.len(),
            Self::Number(_) => NUMBER_SIZE,
            Self::Text(text) | Self::Json(text) => text.len(),
        }
    }
}

/// What an operation does (OOP2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ObjectAction {
    /// With the initial entries.
    MapCreate(Vec<(Arc<str>, ObjectData)>),
    MapSet {
        key: Arc<str>,
        value: ObjectData,
    },
    MapRemove {
        key: Arc<str>,
    },
    MapClear,
    CounterCreate(Finite),
    CounterInc(Finite),
    /// Made by the server only, for objects that nothing refers to.
    Delete,
}

impl ObjectAction {
    pub fn code(&self) -> u8 {
        match self {
            Self::MapCreate(_) => 0,
            Self::MapSet { .. } => 1,
            Self::MapRemove { .. } => 2,
            Self::CounterCreate(_) => 3,
            Self::CounterInc(_) => 4,
            Self::Delete => 5,
            Self::MapClear => 6,
        }
    }

    /// The kind of object that it can be applied to; none for any.
    pub fn kind(&self) -> Option<ObjectKind> {
        match self {
            Self::MapCreate(_) | Self::MapSet { .. } | Self::MapRemove { .. } | Self::MapClear => {
                Some(ObjectKind::Map)
            }
            Self::CounterCreate(_) | Self::CounterInc(_) => Some(ObjectKind::Counter),
            Self::Delete => None,
        }
    }

    pub fn is_create(&self) -> bool {
        matches!(self, Self::MapCreate(_) | Self::CounterCreate(_))
    }

    /// Bytes that count towards the message size (OOP4).
    pub fn size(&self) -> usize {
        match self {
            Self::MapCreate(entries) => {
                entries.iter().map(|(key, value)| key.len() + value.size()).sum()
            }
            Self::MapSet { key, value } => key.len() + value.size(),
            Self::MapRemove { key } => key.len(),
            Self::CounterCreate(_) | Self::CounterInc(_) => NUMBER_SIZE,
            Self::MapClear | Self::Delete => 0,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectOperation {
    pub object_id: ObjectId,
    pub action: ObjectAction,
}

/// An operation as it was published (OM2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectMessage {
    pub id: Option<Arc<str>>,
    pub client_id: Option<ClientId>,
    pub extras: Option<Extras>,
    pub operation: ObjectOperation,
}

impl ObjectMessage {
    pub fn new(operation: ObjectOperation) -> Self {
        Self { id: None, client_id: None, extras: None, operation }
    }

    /// Size as limits count it: clientId, operation and extras (OM3).
    pub fn size(&self) -> usize {
        text_len(self.client_id.as_ref().map(ClientId::as_str))
            + self.operation.action.size()
            + extras_len(self.extras.as_ref())
    }
}

/// What is at a key of a map (OME2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapEntry {
    pub value: MapValue,
    /// Of the operation that set or removed it; none if it came with the map's creation, which is
    /// earlier than everything.
    pub serial: Option<ItemPosition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapValue {
    Data(ObjectData),
    /// Removed, at this time.
    Tombstone(Timestamp),
}

/// An object as it is (OST2), for those who begin to follow it.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectState {
    pub object_id: ObjectId,
    /// The last operation of each site that is contained.
    pub site_serials: BTreeMap<SiteCode, ItemPosition>,
    /// When it was deleted, if it was.
    pub deleted: Option<Timestamp>,
    /// The operation that created it, if that is known. Its entries are among those of the map.
    pub created: Option<ObjectAction>,
    pub value: ObjectValue,
}

/// The objects of a channel with all operations up to a serial.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectsSnapshot {
    pub until: Serial,
    pub objects: Vec<ObjectState>,
}

impl ObjectsSnapshot {
    /// Bytes of keys and values.
    pub fn size(&self) -> usize {
        let entries = self.objects.iter().filter_map(|object| match &object.value {
            ObjectValue::Map { entries, .. } => Some(entries),
            ObjectValue::Counter(_) => None,
        });
        let value = |entry: &MapEntry| match &entry.value {
            MapValue::Data(data) => data.size(),
            MapValue::Tombstone(_) => 0,
        };
        entries.flatten().map(|(key, entry)| key.len() + value(entry)).sum()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum ObjectValue {
    Map {
        entries: BTreeMap<Arc<str>, MapEntry>,
        /// Of the last MAP_CLEAR.
        cleared: Option<ItemPosition>,
    },
    /// The sum of the increments, without the initial value.
    Counter(Finite),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_a_kind_a_hash_and_a_time() {
        let id = ObjectId::new(ObjectKind::Counter, "a-b_c", Timestamp(7));
        assert_eq!(ObjectId::parse("counter:a-b_c@7"), Some(id.clone()));
        assert_eq!((id.kind(), id.created()), (ObjectKind::Counter, Some(Timestamp(7))));
        assert_eq!(ObjectId::parse("root").map(|id| id.created()), Some(None));
        for text in ["", "map", "map:@1", "map:x", "map:x@", "map:x@y", "list:x@1", "Root"] {
            assert_eq!(ObjectId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn sums_stay_finite() {
        let most = Finite::new(f64::MAX).unwrap();
        assert_eq!(most.plus(most), most);
        assert_eq!(Finite::new(f64::NAN), None);
    }
}
