//! A snapshot of a channel's objects: the serial up to which operations are contained, then the objects.

use std::collections::BTreeMap;

use types::{
    ItemPosition, MapEntry, MapValue, ObjectState, ObjectValue, ObjectsSnapshot, Timestamp,
};

use crate::codec::{Decoder, Unreadable, put_option, put_text, put_varint};
use crate::object::{
    put_action, put_data, put_number, take_action, take_data, take_id, take_number,
};
use crate::serial::{serial, take_serial};

const VERSION: u8 = 1;
const WHAT: &str = "a snapshot of objects";

const MAP: u8 = 0;
const COUNTER: u8 = 1;

const DATA: u8 = 0;
const TOMBSTONE: u8 = 1;

pub fn encode(snapshot: &ObjectsSnapshot) -> Vec<u8> {
    let mut to = vec![VERSION];
    to.extend_from_slice(&serial(&snapshot.until));
    put_varint(&mut to, snapshot.objects.len() as u64);
    snapshot.objects.iter().for_each(|object| put_object(&mut to, object));
    to
}

pub fn decode(bytes: &[u8]) -> Result<ObjectsSnapshot, Unreadable> {
    let mut from = Decoder::new(bytes, WHAT);
    let version = from.byte()?;
    if version != VERSION {
        return Err(Unreadable::UnknownFormat { what: WHAT, found: version.into() });
    }
    let until = take_serial(&mut from)?;
    let count = from.length()?;
    let objects = (0..count).map(|_| take_object(&mut from)).collect::<Result<_, _>>()?;
    from.finish()?;
    Ok(ObjectsSnapshot { until, objects })
}

fn put_object(to: &mut Vec<u8>, object: &ObjectState) {
    put_text(to, object.object_id.as_str());
    put_varint(to, object.site_serials.len() as u64);
    object.site_serials.values().for_each(|last| put_position(to, *last));
    put_option(to, object.deleted.map(|at| at.0), put_varint);
    put_option(to, object.created.as_ref(), put_action);
    match &object.value {
        ObjectValue::Map { entries, cleared } => {
            to.push(MAP);
            put_varint(to, entries.len() as u64);
            for (key, MapEntry { value, serial }) in entries {
                put_text(to, key);
                put_option(to, *serial, put_position);
                match value {
                    MapValue::Data(data) => {
                        to.push(DATA);
                        put_data(to, data);
                    }
                    MapValue::Tombstone(at) => {
                        to.push(TOMBSTONE);
                        put_varint(to, at.0);
                    }
                }
            }
            put_option(to, *cleared, put_position);
        }
        ObjectValue::Counter(sum) => {
            to.push(COUNTER);
            put_number(to, *sum);
        }
    }
}

fn take_object(from: &mut Decoder<'_>) -> Result<ObjectState, Unreadable> {
    let object_id = take_id(from)?;
    let mut site_serials = BTreeMap::new();
    for _ in 0..from.length()? {
        let last = take_position(from)?;
        site_serials.insert(last.serial.series.site(), last);
    }
    Ok(ObjectState {
        object_id,
        site_serials,
        deleted: from.option(Decoder::varint)?.map(Timestamp),
        created: from.option(take_action)?,
        value: take_value(from)?,
    })
}

fn take_value(from: &mut Decoder<'_>) -> Result<ObjectValue, Unreadable> {
    match from.byte()? {
        MAP => {
            let count = from.length()?;
            let entries = (0..count).map(|_| Ok((from.text()?, take_entry(from)?)));
            let entries = entries.collect::<Result<_, Unreadable>>()?;
            Ok(ObjectValue::Map { entries, cleared: from.option(take_position)? })
        }
        COUNTER => take_number(from).map(ObjectValue::Counter),
        _ => Err(from.damaged()),
    }
}

fn take_entry(from: &mut Decoder<'_>) -> Result<MapEntry, Unreadable> {
    let serial = from.option(take_position)?;
    let value = match from.byte()? {
        DATA => MapValue::Data(take_data(from)?),
        TOMBSTONE => MapValue::Tombstone(Timestamp(from.varint()?)),
        _ => return Err(from.damaged()),
    };
    Ok(MapEntry { value, serial })
}

fn put_position(to: &mut Vec<u8>, at: ItemPosition) {
    to.extend_from_slice(&serial(&at.serial));
    put_varint(to, at.index as u64);
}

fn take_position(from: &mut Decoder<'_>) -> Result<ItemPosition, Unreadable> {
    Ok(ItemPosition { serial: take_serial(from)?, index: from.length()? })
}

#[cfg(test)]
mod tests {
    use types::{Finite, ObjectAction, ObjectData, ObjectId, ObjectKind, Serial, SeriesId};

    use super::*;

    fn at(ms: u64) -> ItemPosition {
        let series = SeriesId::from_bytes(b"dun000000001").unwrap();
        ItemPosition { serial: Serial { ms, counter: 1, series }, index: 2 }
    }

    fn snapshot() -> ObjectsSnapshot {
        let last = at(9);
        let entry = |value, serial| MapEntry { value, serial };
        let entries = BTreeMap::from([
            ("a".into(), entry(MapValue::Data(ObjectData::Boolean(true)), Some(at(3)))),
            ("b".into(), entry(MapValue::Data(ObjectData::Text("x".into())), None)),
            ("c".into(), entry(MapValue::Tombstone(Timestamp(5)), Some(at(5)))),
        ]);
        let count = Finite::new(1.5).unwrap();
        let map = ObjectState {
            object_id: ObjectId::root(),
            site_serials: BTreeMap::from([(last.serial.series.site(), last)]),
            deleted: None,
            created: None,
            value: ObjectValue::Map { entries, cleared: Some(at(1)) },
        };
        let counter = ObjectState {
            object_id: ObjectId::new(ObjectKind::Counter, "n", Timestamp(1)),
            site_serials: BTreeMap::new(),
            deleted: Some(Timestamp(8)),
            created: Some(ObjectAction::CounterCreate(count)),
            value: ObjectValue::Counter(count),
        };
        ObjectsSnapshot { until: last.serial, objects: vec![map, counter] }
    }

    #[test]
    fn a_snapshot_comes_back_as_it_was() {
        assert_eq!(decode(&encode(&snapshot())).unwrap(), snapshot());
    }

    #[test]
    fn a_snapshot_that_is_cut_or_of_another_version_is_an_error() {
        let bytes = encode(&snapshot());
        for length in 0..bytes.len() {
            assert!(decode(bytes.get(..length).unwrap()).is_err(), "{length}");
        }
        let mut other = bytes;
        other[0] = 9;
        assert!(matches!(decode(&other), Err(Unreadable::UnknownFormat { found: 9, .. })));
    }
}
