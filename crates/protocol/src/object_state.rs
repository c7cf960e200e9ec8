//! The fields of an object as it is (OST2), for those who begin to follow it. When it was deleted, the
//! item around it says.

use std::collections::BTreeMap;

use types::{ItemPosition, MapEntry, MapValue, ObjectId, ObjectState, ObjectValue, Timestamp};

use crate::object::{LWW, ObjectPayload, ObjectRequest};
use crate::object_data::{NumberField, read_data};
use crate::read::{Decode, Problem, Read, Reader};
use crate::write::{Encode, Writer};

impl Decode for ObjectState {
    fn read<'a, R: Reader<'a>>(r: &mut R) -> Read<Self> {
        let (mut object_id, mut value, mut created, mut deleted) = (None, None, None, None);
        let mut site_serials = BTreeMap::new();
        r.fields(|r, key| {
            match key {
                b"objectId" => object_id = ObjectId::parse(&r.text()?),
                b"siteTimeserials" => r.entries(|r, site| {
                    let site = site.parse().map_err(Problem::Malformed)?;
                    site_serials.insert(site, read_serial(r)?);
                    Ok(())
                })?,
                // When, the item says.
                b"tombstone" => deleted = r.boolean()?.then(Timestamp::default),
                b"createOp" => created = ObjectRequest::read(r)?.payload,
                b"map" => value = Some(read_map(r)?),
                b"counter" => {
                    value = Some(ObjectValue::Counter(NumberField::read(r)?.0.unwrap_or_default()));
                }
                _ => r.skip()?,
            }
            Ok(())
        })?;
        let created = match created {
            Some(ObjectPayload::Action(action)) => Some(action),
            Some(ObjectPayload::Create(_)) | None => None,
        };
        Ok(Self {
            object_id: object_id.ok_or(Problem::Malformed("objectId missing or invalid"))?,
            site_serials,
            deleted,
            created,
            value: value.ok_or(Problem::Malformed("neither map nor counter"))?,
        })
    }
}

fn read_serial<'a, R: Reader<'a>>(r: &mut R) -> Read<ItemPosition> {
    r.text()?.parse().map_err(Problem::Malformed)
}

fn read_map<'a, R: Reader<'a>>(r: &mut R) -> Read<ObjectValue> {
    let (mut entries, mut cleared) = (BTreeMap::new(), None);
    r.fields(|r, key| {
        match key {
            b"entries" => r.entries(|r, key| {
                let key = key.into();
                entries.insert(key, MapEntry::read(r)?);
                Ok(())
            })?,
            b"clearTimeserial" => cleared = Some(read_serial(r)?),
            _ => r.skip()?,
        }
        Ok(())
    })?;
    Ok(ObjectValue::Map { entries, cleared })
}

impl Decode for MapEntry {
    fn read<'a, R: Reader<'a>>(r: &mut R) -> Read<Self> {
        let (mut serial, mut removed, mut data, mut removed_at) = (None, false, None, None);
        r.fields(|r, key| {
            match key {
                b"tombstone" => removed = r.boolean()?,
                b"timeserial" => serial = Some(read_serial(r)?),
                b"serialTimestamp" => removed_at = Some(Timestamp(r.integer()?)),
                b"data" => data = read_data(r)?,
                _ => r.skip()?,
            }
            Ok(())
        })?;
        let value = if removed {
            MapValue::Tombstone(removed_at.unwrap_or_default())
        } else {
            MapValue::Data(data.ok_or(Problem::Malformed("entry without data"))?)
        };
        Ok(Self { value, serial })
    }
}

impl Encode for ObjectState {
    fn write<W: Writer>(&self, w: &mut W) {
        w.map(|f| {
            f.text("objectId", Some(self.object_id.as_str()));
            f.field("siteTimeserials").map(|f| {
                for (site, serial) in &self.site_serials {
                    f.foreign_field(site.as_str()).text(&serial.to_string());
                }
            });
            f.field("tombstone").boolean(self.deleted.is_some());
            let created = self.created.clone().map(|action| ObjectRequest {
                object_id: Some(self.object_id.as_str().into()),
                payload: Some(ObjectPayload::Action(action)),
            });
            f.value("createOp", created.as_ref());
            match &self.value {
                ObjectValue::Counter(sum) => {
                    f.field("counter").map(|f| f.value("count", Some(sum)));
                }
                ObjectValue::Map { entries, cleared } => f.field("map").map(|f| {
                    f.unsigned("semantics", Some(LWW));
                    f.field("entries").map(|f| {
                        for (key, entry) in entries {
                            entry.write(f.foreign_field(key));
                        }
                    });
                    let cleared = cleared.map(|serial| serial.to_string());
                    f.text("clearTimeserial", cleared.as_deref());
                }),
            }
        });
    }
}

impl Encode for MapEntry {
    fn write<W: Writer>(&self, w: &mut W) {
        w.map(|f| {
            let serial = self.serial.map(|serial| serial.to_string());
            f.text("timeserial", serial.as_deref());
            match &self.value {
                MapValue::Data(data) => f.value("data", Some(data)),
                MapValue::Tombstone(at) => {
                    f.field("tombstone").boolean(true);
                    f.unsigned("serialTimestamp", Some(at.0));
                }
            }
        });
    }
}
