//! Objects on their way to clients: an entry's operations, and the whole tree as OBJECT_SYNC.
//!
//! A sync comes in frames of about the size of a message; a map that is larger is split, with
//! disjoint keys (RTO5f2).

use std::sync::Arc;

use protocol::{Action, ObjectItem, ObjectPayload, ObjectRequest, ProtocolMessage};
use types::{Entry, MapEntry, MapValue, ObjectMessage, ObjectState, ObjectValue};

use crate::pages::{OVERHEAD, pack};

/// An operation as subscribers receive it.
pub(crate) fn operation_item(entry: &Entry, index: usize, message: &ObjectMessage) -> ObjectItem {
    let operation = &message.operation;
    ObjectItem {
        id: message.id.clone(),
        client_id: message.client_id.clone(),
        extras: message.extras.clone(),
        operation: Some(ObjectRequest {
            object_id: Some(operation.object_id.as_str().into()),
            payload: Some(ObjectPayload::Action(operation.action.clone())),
        }),
        serial: Some(entry.serial.item(index)),
        serial_timestamp: Some(entry.timestamp),
        site_code: Some(entry.serial.series.site()),
        ..ObjectItem::default()
    }
}

/// The objects as OBJECT_SYNC frames of about `frame_size` bytes; the last has an empty cursor
/// (RTO5a).
pub(crate) fn object_sync_frames(
    objects: &[ObjectState],
    sequence: &str,
    requested: &Arc<str>,
    frame_size: usize,
) -> Vec<ProtocolMessage> {
    let parts = objects.iter().flat_map(|object| parts(object, frame_size));
    let pages = pack(parts, frame_size);
    let last = pages.len();
    (1..)
        .zip(pages)
        .map(|(page, (parts, _))| {
            let mut frame = ProtocolMessage::new(Action::ObjectSync);
            frame.channel = Some(Arc::clone(requested));
            let cursor = if page == last { String::new() } else { page.to_string() };
            frame.channel_serial = Some(format!("{sequence}:{cursor}").into());
            frame.state = parts.into_iter().map(state_item).collect();
            frame
        })
        .collect()
}

fn state_item(object: ObjectState) -> ObjectItem {
    ObjectItem {
        serial_timestamp: object.deleted,
        object: Some(Box::new(object)),
        ..ObjectItem::default()
    }
}

/// The object in parts of at most `size` bytes, each with its size. A part has one entry at least.
fn parts(object: &ObjectState, size: usize) -> Vec<(ObjectState, usize)> {
    let ObjectValue::Map { entries, cleared } = &object.value else {
        return vec![(object.clone(), OVERHEAD)];
    };
    let sized = entries.iter().map(|(key, entry)| {
        ((Arc::clone(key), entry.clone()), OVERHEAD + key.len() + data_size(entry))
    });
    let state = |entries| ObjectState {
        object_id: object.object_id.clone(),
        site_serials: object.site_serials.clone(),
        deleted: object.deleted,
        created: object.created.clone(),
        value: ObjectValue::Map { entries, cleared: *cleared },
    };
    pack(sized, size.saturating_sub(OVERHEAD))
        .into_iter()
        .map(|(entries, used)| (state(entries.into_iter().collect()), OVERHEAD + used))
        .collect()
}

fn data_size(entry: &MapEntry) -> usize {
    match &entry.value {
        MapValue::Data(data) => data.size(),
        MapValue::Tombstone(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use types::{Finite, ObjectData, ObjectId, ObjectKind, Timestamp};

    use super::*;

    fn state(object_id: ObjectId, value: ObjectValue) -> ObjectState {
        let site_serials = BTreeMap::new();
        ObjectState { object_id, site_serials, deleted: None, created: None, value }
    }

    fn map(sizes: &[usize]) -> ObjectState {
        let entry = |(key, size): (u32, &usize)| {
            let value = MapValue::Data(ObjectData::Text("x".repeat(*size).into()));
            (format!("k{key}").into(), MapEntry { value, serial: None })
        };
        let entries = (0..).zip(sizes).map(entry).collect();
        state(ObjectId::root(), ObjectValue::Map { entries, cleared: None })
    }

    /// The keys in each frame; counters have none.
    fn keys(frame: &ProtocolMessage) -> Vec<String> {
        let objects = frame.state.iter().filter_map(|item| item.object.as_ref());
        let entries = objects.filter_map(|object| match &object.value {
            ObjectValue::Map { entries, .. } => Some(entries.keys()),
            ObjectValue::Counter(_) => None,
        });
        entries.flatten().map(ToString::to_string).collect()
    }

    #[test]
    fn a_large_map_is_split_and_every_key_is_sent_once() {
        let frames = object_sync_frames(&[map(&[900, 1_500, 10, 10])], "s1", &"c".into(), 1_000);
        let all: Vec<_> = frames.iter().map(keys).collect();
        assert_eq!(all, [vec!["k0"], vec!["k1"], vec!["k2", "k3"]]);
        let serials: Vec<_> = frames.iter().filter_map(|f| f.channel_serial.as_deref()).collect();
        assert_eq!(serials, ["s1:1", "s1:2", "s1:"]);
    }

    #[test]
    fn small_objects_share_a_frame_and_none_is_a_frame_too() {
        let id = ObjectId::new(ObjectKind::Counter, "a", Timestamp(1));
        let counter = state(id, ObjectValue::Counter(Finite::default()));
        let frames = object_sync_frames(&[map(&[10]), counter], "s1", &"c".into(), 1_000);
        assert_eq!(frames.iter().map(|frame| frame.state.len()).collect::<Vec<_>>(), [2]);
        assert_eq!(object_sync_frames(&[], "s1", &"c".into(), 1_000).len(), 1);
    }
}
