//! Objects in messages: the objects of a channel as messages named `[meta]objects`, for clients that
//! know messages only. When they are told is the node's business.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use protocol::{Action, ProtocolMessage};
use serde_json::{Map, Value, json};
use types::error::{self, ErrorInfo};
use types::{
    Data, MapEntry, MapValue, Message, ObjectAction, ObjectData, ObjectState, ObjectValue,
    Timestamp,
};

use crate::Subscription;

/// How an attachment learns of objects (the param `objects`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inband {
    /// All of them, now and after changes.
    Objects,
    /// That something changed, and where to read it.
    Notification,
}

impl Inband {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "objects" => Some(Self::Objects),
            "notification" => Some(Self::Notification),
            _ => None,
        }
    }
}

impl Subscription {
    /// The frames of one sequence, which say what this attachment wants to know; they are the same
    /// for every attachment that used the same name for the channel and wants the same. They
    /// are no entries and leave the cursor as it is. 92001 if an object is larger than `max` bytes.
    pub fn inband_frames(
        &self,
        objects: &[ObjectState],
        sequence: &str,
        max: usize,
        now: Timestamp,
    ) -> Result<Vec<ProtocolMessage>, ErrorInfo> {
        let data = match self.inband {
            None => Vec::new(),
            Some(Inband::Notification) => {
                let name = protocol::encode_segment(self.channel.as_str());
                vec![json!({ "link": format!("/channels/{name}/object") })]
            }
            Some(Inband::Objects) => snapshot(objects, sequence),
        };
        let frame = |(index, data): (usize, Value)| {
            let data = data.to_string();
            if data.len() > max {
                let message = format!("an object is larger than {max} bytes");
                return Err(error::OBJECTS_TOO_LARGE.with(message));
            }
            let mut frame = ProtocolMessage::new(Action::Message);
            frame.channel = Some(Arc::clone(&self.requested));
            frame.id = Some(format!("objects-{sequence}-{index}").into());
            frame.timestamp = Some(now);
            frame.messages = vec![Message {
                name: Some("[meta]objects".into()),
                data: Data::Text(data.into()),
                encoding: Some("json".into()),
                ..Message::default()
            }];
            Ok(frame)
        };
        data.into_iter().enumerate().map(frame).collect()
    }
}

/// The data of the messages that together describe all objects.
fn snapshot(objects: &[ObjectState], sequence: &str) -> Vec<Value> {
    let next = objects.iter().skip(1).map(Some).chain([None]);
    let message = |(object, next): (&ObjectState, Option<&ObjectState>)| {
        let mut data = json!({ "syncId": sequence, "object": describe(object) });
        if let (Some(next), Some(fields)) = (next, data.as_object_mut()) {
            fields.insert("nextCursor".into(), next.object_id.as_str().into());
        }
        data
    };
    objects.iter().zip(next).map(message).collect()
}

fn describe(object: &ObjectState) -> Value {
    let sites = object.site_serials.iter();
    let sites: Map<String, Value> =
        sites.map(|(site, at)| (site.as_str().to_owned(), at.to_string().into())).collect();
    let (kind, value) = match &object.value {
        ObjectValue::Counter(increments) => {
            let count = match object.created {
                Some(ObjectAction::CounterCreate(initial)) => increments.plus(initial),
                Some(_) | None => *increments,
            };
            ("counter", json!({ "count": number(count.get()) }))
        }
        ObjectValue::Map { entries, .. } => {
            let entries = entries.iter();
            let entries: Map<String, Value> =
                entries.map(|(key, entry)| (key.to_string(), describe_entry(entry))).collect();
            ("map", json!({ "semantics": 0, "entries": entries }))
        }
    };
    json!({
        "objectId": object.object_id.as_str(),
        "siteTimeserials": sites,
        "tombstone": object.deleted.is_some(),
        kind: value,
    })
}

fn describe_entry(entry: &MapEntry) -> Value {
    let mut fields = Map::new();
    if let Some(at) = entry.serial {
        fields.insert("timeserial".into(), at.to_string().into());
    }
    let tombstone = match &entry.value {
        MapValue::Data(data) => {
            fields.insert("data".into(), describe_data(data));
            false
        }
        MapValue::Tombstone(_) => true,
    };
    fields.insert("tombstone".into(), tombstone.into());
    fields.into()
}

fn describe_data(data: &ObjectData) -> Value {
    match data {
        ObjectData::Object(id) => json!({ "objectId": id.as_str() }),
        ObjectData::Boolean(value) => json!({ "boolean": value }),
        ObjectData::Bytes(bytes) => json!({ "bytes": BASE64_STANDARD.encode(bytes) }),
        ObjectData::Number(value) => json!({ "number": number(value.get()) }),
        ObjectData::Text(text) => json!({ "string": text.as_ref() }),
        ObjectData::Json(text) => json!({ "json": text.as_ref() }),
    }
}

/// An integer looks like one.
fn number(value: f64) -> Value {
    /// Beyond this, floats do not tell integers apart.
    const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= MAX_EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "integral and within 54 bits")]
        return (value as i64).into();
    }
    value.into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use types::{Finite, ObjectId};

    use super::*;

    #[test]
    fn a_counter_counts_what_it_was_created_with_and_what_was_added() {
        let number = |value| Finite::new(value).unwrap();
        let counter = ObjectState {
            object_id: ObjectId::parse("counter:a@1").unwrap(),
            site_serials: BTreeMap::new(),
            deleted: None,
            created: Some(ObjectAction::CounterCreate(number(10.0))),
            value: ObjectValue::Counter(number(2.5)),
        };
        assert_eq!(describe(&counter)["counter"], json!({ "count": 12.5 }));
        assert_eq!(describe(&counter)["tombstone"], false);
    }

    #[test]
    fn a_sequence_names_the_next_object_until_the_last() {
        let object = |id: &str| ObjectState {
            object_id: ObjectId::parse(id).unwrap(),
            site_serials: BTreeMap::new(),
            deleted: None,
            created: None,
            value: ObjectValue::Map { entries: BTreeMap::new(), cleared: None },
        };
        let data = snapshot(&[object("map:a@1"), object("root")], "s1");
        assert_eq!(data.len(), 2);
        assert_eq!((&data[0]["syncId"], &data[0]["nextCursor"]), (&"s1".into(), &"root".into()));
        assert_eq!(data[1].get("nextCursor"), None);
        assert_eq!(data[1]["object"]["map"], json!({ "semantics": 0, "entries": {} }));
    }
}
