//! Work on objects: keys of the root that all clients write to, counters that all increment, maps within
//! the root. Operations are published by those whom a client library would let.

use std::sync::Arc;

use node::{Event, Operation, RequestId};
use protocol::{InitialValue, ObjectItem, ObjectPayload, ObjectRequest, RestOperation, flags};
use rand::RngExt;
use rand::seq::IteratorRandom;
use types::{Finite, ObjectAction, ObjectData, ObjectId, ObjectKind, random_text};

use crate::checkers::Verdict;
use crate::client::{ChannelState, Content, Publish};
use crate::world::{World, request};

const NONCE: usize = 16;
/// Requests that nobody waits for.
const CLEAR_REQUEST: RequestId = RequestId(1);

impl World {
    pub fn operate(&mut self, client: usize, channel: &Arc<str>) -> Verdict {
        let able = self.clients[client].hears_itself()
            && self.clients[client].channel(channel).is_some_and(|known| {
                known.state == ChannelState::Attached && known.modes & flags::OBJECT_PUBLISH != 0
            });
        if !able {
            return Ok(());
        }
        let root = ObjectId::root();
        let key: Arc<str> = format!("k{}", self.rng.random_range(0..6)).into();
        let items = match self.rng.random_range(0..100) {
            0..20 => vec![set(&root, key, self.value())],
            20..28 => vec![remove(&root, key)],
            28..40 => self.create(ObjectKind::Counter, key),
            40..48 => self.create(ObjectKind::Map, key),
            48..80 => self.increment(client, channel),
            80..90 => self.change_map(client, channel, key),
            90..96 => self.share(client, channel, key),
            _ => vec![operation(&root, ObjectAction::MapClear)],
        };
        if items.is_empty() {
            return Ok(());
        }
        self.trace.note(self.now, || format!("client {client} operates on {channel}: {items:?}"));
        let content = Content::Objects(items);
        let publish = Publish { channel: Arc::clone(channel), content, named: None };
        self.act(client, |client, _| client.publish(publish))
    }

    fn value(&mut self) -> ObjectData {
        let number = f64::from(self.rng.random_range(0..1_000_u32));
        match Finite::new(number).filter(|_| self.rng.random_bool(0.5)) {
            Some(number) => ObjectData::Number(number),
            None => ObjectData::Text("x".repeat(self.rng.random_range(0..80)).into()),
        }
    }

    /// A new object and the key of the root that refers to it.
    fn create(&mut self, kind: ObjectKind, key: Arc<str>) -> Vec<ObjectItem> {
        let number = self.rng.random_range(0..100);
        let json: Arc<str> = match kind {
            ObjectKind::Counter => format!(r#"{{"count":{number}}}"#).into(),
            ObjectKind::Map => {
                format!(r#"{{"semantics":0,"entries":{{"k0":{{"data":{{"number":{number}}}}}}}}}"#)
                    .into()
            }
        };
        let nonce: Arc<str> = random_text(&mut self.rng, NONCE).into();
        let id = session::derive_object_id(kind, &json, &nonce, self.now);
        let create = ObjectPayload::Create(InitialValue { kind, json, nonce });
        vec![item(&id, create), set(&ObjectId::root(), key, ObjectData::Object(id))]
    }

    fn increment(&mut self, client: usize, channel: &str) -> Vec<ObjectItem> {
        let Some(id) = self.any_object(client, channel, ObjectKind::Counter) else {
            return Vec::new();
        };
        let number = Finite::new(f64::from(self.rng.random_range(-5..20_i32))).unwrap_or_default();
        let times = self.rng.random_range(1..3);
        vec![operation(&id, ObjectAction::CounterInc(number)); times]
    }

    fn change_map(&mut self, client: usize, channel: &str, key: Arc<str>) -> Vec<ObjectItem> {
        let Some(id) = self.any_object(client, channel, ObjectKind::Map) else { return Vec::new() };
        match self.rng.random_range(0..10) {
            0..6 => vec![set(&id, key, self.value())],
            6..9 => vec![remove(&id, key)],
            _ => vec![operation(&id, ObjectAction::MapClear)],
        }
    }

    /// A counter at one more key.
    fn share(&mut self, client: usize, channel: &str, key: Arc<str>) -> Vec<ObjectItem> {
        let id = self.any_object(client, channel, ObjectKind::Counter);
        id.map(|id| set(&ObjectId::root(), key, ObjectData::Object(id))).into_iter().collect()
    }

    fn any_object(&mut self, client: usize, channel: &str, kind: ObjectKind) -> Option<ObjectId> {
        let objects = &self.clients[client].channel(channel)?.objects;
        objects.known(kind).choose(&mut self.rng).cloned()
    }

    /// Clears the roots, so that nothing keeps the channels.
    pub(crate) fn clear_objects(&mut self) -> Verdict {
        for channel in self.setup.channels.clone() {
            let action = ObjectPayload::Action(ObjectAction::MapClear);
            let clear = ObjectRequest { object_id: Some("root".into()), payload: Some(action) };
            let clear = RestOperation { id: None, path: None, request: clear };
            let channel = channel.to_string();
            let operation = Operation::PublishObjects { channel, operations: vec![clear] };
            let request = request(operation);
            self.feed(Event::Request { id: CLEAR_REQUEST, request })?;
        }
        Ok(())
    }
}

fn item(id: &ObjectId, payload: ObjectPayload) -> ObjectItem {
    let operation = ObjectRequest { object_id: Some(id.as_str().into()), payload: Some(payload) };
    ObjectItem { operation: Some(operation), ..ObjectItem::default() }
}

fn operation(id: &ObjectId, action: ObjectAction) -> ObjectItem {
    item(id, ObjectPayload::Action(action))
}

fn set(id: &ObjectId, key: Arc<str>, value: ObjectData) -> ObjectItem {
    operation(id, ObjectAction::MapSet { key, value })
}

fn remove(id: &ObjectId, key: Arc<str>) -> ObjectItem {
    operation(id, ObjectAction::MapRemove { key })
}
