//! What `state` carries (OM2): operations on objects, or objects as they are, which `object_state`
//! describes. Binary values are bytes in MessagePack and base64 text in JSON (OD4).
//!
//! An operation that cannot be read as one has no payload: that is for whoever checks it to refuse,
//! and costs nobody the connection. The fields of protocol versions before 6 are read, not written.

use std::collections::BTreeMap;
use std::sync::Arc;

use types::{
    ClientId, ConnectionId, Extras, Finite, ObjectAction, ObjectData, ObjectKind, ObjectState,
    SiteCode, Timestamp,
};

use crate::object_data::{NumberField, read_data, read_finite};
use crate::payload::read_extras;
use crate::read::{Decode, Kind, MAX_ITEMS, Problem, Read, Reader};
use crate::write::{Encode, Fields, Writer};

/// `semantics`: last writer wins, the only one that there is (OMP2).
pub(crate) const LWW: u8 = 0;

/// An item of `state`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObjectItem {
    pub id: Option<Arc<str>>,
    pub client_id: Option<ClientId>,
    pub connection_id: Option<ConnectionId>,
    pub extras: Option<Extras>,
    pub timestamp: Option<Timestamp>,
    pub operation: Option<ObjectRequest>,
    pub object: Option<Box<ObjectState>>,
    pub serial: Option<Arc<str>>,
    pub serial_timestamp: Option<Timestamp>,
    pub site_code: Option<SiteCode>,
}

/// An operation as it travels (OOP3).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObjectRequest {
    pub object_id: Option<Arc<str>>,
    /// None if it is missing, not valid, or not what `action` says.
    pub payload: Option<ObjectPayload>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ObjectPayload {
    Action(ObjectAction),
    Create(InitialValue),
}

/// The creation of an object whose id the client derived from it (RTO14).
#[derive(Clone, Debug, PartialEq)]
pub struct InitialValue {
    pub kind: ObjectKind,
    /// JSON text.
    pub json: Arc<str>,
    pub nonce: Arc<str>,
}

/// An operation of a REST request, which may name objects by path.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RestOperation {
    pub id: Option<Arc<str>>,
    pub path: Option<Arc<str>>,
    pub request: ObjectRequest,
}

/// The fields of an operation, in any order.
#[derive(Default)]
struct Arrived {
    action: Option<u8>,
    object_id: Option<Arc<str>>,
    payload: Option<ObjectPayload>,
    key: Option<Arc<str>>,
    data: Option<ObjectData>,
    initial_value: Option<Arc<str>>,
    nonce: Option<Arc<str>>,
}

impl Arrived {
    fn field<'a, R: Reader<'a>>(&mut self, r: &mut R, key: &[u8]) -> Read<()> {
        match key {
            b"action" => self.action = Some(r.integer()?),
            b"objectId" => self.object_id = Some(r.shared()?),
            b"mapCreate" => self.payload = Created::read(r)?.action(ObjectKind::Map),
            b"counterCreate" => self.payload = Created::read(r)?.action(ObjectKind::Counter),
            b"mapCreateWithObjectId" => self.payload = read_initial(r, ObjectKind::Map)?,
            b"counterCreateWithObjectId" => {
                self.payload = read_initial(r, ObjectKind::Counter)?;
            }
            b"mapSet" => self.payload = KeyValue::read(r)?.set(),
            b"mapRemove" => self.payload = KeyValue::read(r)?.remove(),
            b"counterInc" | b"counterOp" => {
                self.payload = NumberField::read(r)?.0.map(ObjectAction::CounterInc).map(action);
            }
            b"mapClear" => {
                r.skip()?;
                self.payload = Some(action(ObjectAction::MapClear));
            }
            b"objectDelete" => {
                r.skip()?;
                self.payload = Some(action(ObjectAction::Delete));
            }
            b"mapOp" => KeyValue { key: self.key, value: self.data } = KeyValue::read(r)?,
            b"initialValue" => self.initial_value = Some(r.shared()?),
            b"nonce" => self.nonce = Some(r.shared()?),
            _ => r.skip()?,
        }
        Ok(())
    }

    fn finish(self) -> ObjectRequest {
        let Self { action: code, object_id, payload, key, data, initial_value, nonce } = self;
        let create = |kind| {
            let (json, nonce) = (initial_value?, nonce?);
            Some(ObjectPayload::Create(InitialValue { kind, json, nonce }))
        };
        let before_6 = || match code? {
            0 => create(ObjectKind::Map),
            1 => KeyValue { key, value: data }.set(),
            2 => KeyValue { key, value: data }.remove(),
            3 => create(ObjectKind::Counter),
            _ => None,
        };
        let payload = payload.or_else(before_6);
        let payload = payload.filter(|payload| code.is_none_or(|code| code == payload.code()));
        ObjectRequest { object_id, payload }
    }
}

impl ObjectPayload {
    fn code(&self) -> u8 {
        match self {
            Self::Action(action) => action.code(),
            Self::Create(InitialValue { kind: ObjectKind::Map, .. }) => 0,
            Self::Create(InitialValue { kind: ObjectKind::Counter, .. }) => 3,
        }
    }
}

fn action(action: ObjectAction) -> ObjectPayload {
    ObjectPayload::Action(action)
}

fn read_initial<'a, R: Reader<'a>>(r: &mut R, kind: ObjectKind) -> Read<Option<ObjectPayload>> {
    let (mut json, mut nonce) = (None, None);
    r.fields(|r, key| {
        match key {
            b"initialValue" => json = Some(r.shared()?),
            b"nonce" => nonce = Some(r.shared()?),
            _ => r.skip()?,
        }
        Ok(())
    })?;
    let initial = json.zip(nonce).map(|(json, nonce)| InitialValue { kind, json, nonce });
    Ok(initial.map(ObjectPayload::Create))
}

/// `mapSet`, `mapRemove`, and the `mapOp` of earlier versions.
#[derive(Default)]
struct KeyValue {
    key: Option<Arc<str>>,
    value: Option<ObjectData>,
}

impl KeyValue {
    fn set(self) -> Option<ObjectPayload> {
        Some(action(ObjectAction::MapSet { key: self.key?, value: self.value? }))
    }

    fn remove(self) -> Option<ObjectPayload> {
        Some(action(ObjectAction::MapRemove { key: self.key? }))
    }
}

impl Decode for KeyValue {
    fn read<'a, R: Reader<'a>>(r: &mut R) -> Read<Self> {
        let mut entry = Self::default();
        r.fields(|r, key| {
            match key {
                b"key" => entry.key = Some(r.shared()?),
                b"value" | b"data" => entry.value = read_data(r)?,
                _ => r.skip()?,
            }
            Ok(())
        })?;
        Ok(entry)
    }
}

/// The content of a creation, of either kind.
#[derive(Default)]
pub(crate) struct Created {
    entries: BTreeMap<Arc<str>, ObjectData>,
    count: Option<Finite>,
    invalid: bool,
}

impl Created {
    fn action(self, kind: ObjectKind) -> Option<ObjectPayload> {
        self.into_action(kind).map(action)
    }

    pub(crate) fn into_action(self, kind: ObjectKind) -> Option<ObjectAction> {
        (!self.invalid).then(|| match kind {
            ObjectKind::Map => ObjectAction::MapCreate(self.entries.into_iter().collect()),
            ObjectKind::Counter => ObjectAction::CounterCreate(self.count.unwrap_or_default()),
        })
    }

    fn read_entries<'a, R: Reader<'a>>(&mut self, r: &mut R) -> Read<()> {
        r.entries(|r, name| {
            let name: Arc<str> = name.into();
            let mut data = None;
            r.fields(|r, key| {
                match key {
                    b"data" => data = read_data(r)?,
                    _ => r.skip()?,
                }
                Ok(())
            })?;
            if self.entries.len() == MAX_ITEMS {
                return Err(Problem::Malformed("too many entries"));
            }
            match data {
                Some(data) => drop(self.entries.insert(name, data)),
                None => self.invalid = true,
            }
            Ok(())
        })
    }
}

impl Decode for Created {
    fn read<'a, R: Reader<'a>>(r: &mut R) -> Read<Self> {
        let mut created = Self::default();
        r.fields(|r, key| {
            match key {
                b"semantics" => created.invalid |= !is_lww(r)?,
                b"entries" => created.read_entries(r)?,
                b"count" => created.count = read_finite(r)?,
                // How versions before 6 nest it.
                b"map" | b"counter" => {
                    r.fields(|r, key| {
                        match key {
                            b"semantics" => created.invalid |= !is_lww(r)?,
                            b"entries" => created.read_entries(r)?,
                            b"count" => created.count = read_finite(r)?,
                            _ => r.skip()?,
                        }
                        Ok(())
                    })?;
                }
                _ => r.skip()?,
            }
            Ok(())
        })?;
        Ok(created)
    }
}

fn is_lww<'a, R: Reader<'a>>(r: &mut R) -> Read<bool> {
    if r.kind()? == Kind::Text {
        return Ok(r.text()?.eq_ignore_ascii_case("lww"));
    }
    Ok(r.integer::<i64>()? == i64::from(LWW))
}

impl Decode for ObjectRequest {
    fn read<'a, R: Reader<'a>>(r: &mut R) -> Read<Self> {
        let mut arrived = Arrived::default();
        r.fields(|r, key| arrived.field(r, key))?;
        Ok(arrived.finish())
    }
}

impl Decode for RestOperation {
    fn read<'a, R: Reader<'a>>(r: &mut R) -> Read<Self> {
        let (mut arrived, mut id, mut path) = (Arrived::default(), None, None);
        r.fields(|r, key| {
            match key {
                b"id" => id = Some(r.shared()?),
                b"path" => path = Some(r.shared()?),
                _ => arrived.field(r, key)?,
            }
            Ok(())
        })?;
        Ok(Self { id, path, request: arrived.finish() })
    }
}

impl Encode for ObjectRequest {
    fn write<W: Writer>(&self, w: &mut W) {
        w.map(|f| {
            f.unsigned("action", self.payload.as_ref().map(ObjectPayload::code));
            f.text("objectId", self.object_id.as_deref());
            match &self.payload {
                None => {}
                Some(ObjectPayload::Action(action)) => write_action(f, action),
                Some(ObjectPayload::Create(InitialValue { kind, json, nonce })) => {
                    let field = f.field(match kind {
                        ObjectKind::Map => "mapCreateWithObjectId",
                        ObjectKind::Counter => "counterCreateWithObjectId",
                    });
                    field.map(|f| {
                        f.text("initialValue", Some(json));
                        f.text("nonce", Some(nonce));
                    });
                }
            }
        });
    }
}

fn write_action<W: Writer>(f: &mut Fields<'_, W>, action: &ObjectAction) {
    match action {
        ObjectAction::MapCreate(entries) => f.field("mapCreate").map(|f| {
            f.unsigned("semantics", Some(LWW));
            f.field("entries").map(|f| {
                for (key, data) in entries {
                    f.foreign_field(key).map(|f| f.value("data", Some(data)));
                }
            });
        }),
        ObjectAction::MapSet { key, value } => f.field("mapSet").map(|f| {
            f.text("key", Some(key));
            f.value("value", Some(value));
        }),
        ObjectAction::MapRemove { key } => {
            f.field("mapRemove").map(|f| f.text("key", Some(key)));
        }
        ObjectAction::MapClear => f.field("mapClear").map(|_| {}),
        ObjectAction::CounterCreate(count) => {
            f.field("counterCreate").map(|f| f.value("count", Some(count)));
        }
        ObjectAction::CounterInc(number) => {
            f.field("counterInc").map(|f| f.value("number", Some(number)));
        }
        ObjectAction::Delete => f.field("objectDelete").map(|_| {}),
    }
}

impl Decode for ObjectItem {
    fn read<'a, R: Reader<'a>>(r: &mut R) -> Read<Self> {
        let mut item = Self::default();
        r.fields(|r, key| {
            match key {
                b"id" => item.id = Some(r.shared()?),
                b"clientId" => item.client_id = Some(ClientId::new(r.text()?)),
                b"connectionId" => item.connection_id = Some(ConnectionId::new(r.text()?)),
                b"extras" => item.extras = read_extras(r)?,
                b"timestamp" => item.timestamp = Some(Timestamp(r.integer()?)),
                b"operation" => item.operation = Some(ObjectRequest::read(r)?),
                b"object" => item.object = Some(Box::new(ObjectState::read(r)?)),
                b"serial" => item.serial = Some(r.shared()?),
                b"serialTimestamp" => item.serial_timestamp = Some(Timestamp(r.integer()?)),
                b"siteCode" => item.site_code = r.text()?.parse().ok(),
                _ => r.skip()?,
            }
            Ok(())
        })?;
        if let Some(deleted) = item.object.as_mut().and_then(|object| object.deleted.as_mut()) {
            *deleted = item.serial_timestamp.unwrap_or_default();
        }
        Ok(item)
    }
}

impl Encode for ObjectItem {
    fn write<W: Writer>(&self, w: &mut W) {
        w.map(|f| {
            f.text("id", self.id.as_deref());
            f.text("clientId", self.client_id.as_ref().map(ClientId::as_str));
            f.text("connectionId", self.connection_id.as_ref().map(ConnectionId::as_str));
            f.object("extras", self.extras.as_deref());
            f.unsigned("timestamp", self.timestamp.map(|timestamp| timestamp.0));
            f.value("operation", self.operation.as_ref());
            f.value("object", self.object.as_deref());
            f.text("serial", self.serial.as_deref());
            f.unsigned("serialTimestamp", self.serial_timestamp.map(|timestamp| timestamp.0));
            f.text("siteCode", self.site_code.as_ref().map(SiteCode::as_str));
        });
    }
}
