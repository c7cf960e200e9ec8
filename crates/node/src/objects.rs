//! Objects over REST: publishing operations on objects that are named by id or by path, and reading
//! what is at a path.
//!
//! Paths are resolved by the objects as they are when the request arrives, all operations of a
//! request alike.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use auth::Operation as Capability;
use channel::{Channel, ObjectView, Publish, PublishToken};
use protocol::{ObjectPayload, RestOperation, Tree};
use session::{check_objects_size, check_operation, derive_object_id, named_id, parse_object_id};
use types::error::{self, ErrorInfo};
use types::{
    Accepted, AppId, Body, ChannelName, Entry, EntryId, Finite, MapEntry, MapValue, ObjectAction,
    ObjectData, ObjectId, ObjectKind, ObjectMessage, ObjectOperation, Timestamp, random_text,
};

use crate::event::{Caller, ObjectQuery, RequestId, Response, View};
use crate::node::{Node, Requester};
use crate::path::{Path, Segment};

/// Random characters that make the id of an object unique.
const NONCE_LENGTH: usize = 16;
const MESSAGE_ID_LENGTH: usize = 12;
/// Maps within maps that one answer shows; deeper ones, and those that were shown before, are
/// represented by their ids.
const MAX_DEPTH: usize = 32;

static NO_ENTRIES: BTreeMap<Arc<str>, MapEntry> = BTreeMap::new();

/// The objects of a channel, whether it is active or not.
#[derive(Clone, Copy)]
struct Objects<'a>(Option<&'a Channel>);

impl Node {
    pub(crate) fn publish_objects(
        &mut self,
        now: Timestamp,
        id: RequestId,
        caller: &Caller,
        channel: &str,
        operations: Vec<RestOperation>,
    ) -> Result<(), ErrorInfo> {
        let principal = self.authenticate_caller(now, caller)?;
        let name = self.channel_for(&principal, channel, &[Capability::ObjectPublish])?;
        let named = named_id(operations.iter().map(|operation| operation.id.as_deref()))?;
        let client_id = principal.check_client_id(None)?;
        let mut objects = Vec::new();
        for operation in operations {
            for operation in self.resolve(now, &principal.app_id, &name, operation)? {
                let client_id = client_id.clone();
                objects.push(ObjectMessage { client_id, ..ObjectMessage::new(operation) });
            }
        }
        let Some(state) = self.apps.get_mut(&principal.app_id) else {
            return Err(error::NOT_FOUND.info());
        };
        check_objects_size(&state.app.limits, &objects)?;
        let base = named.unwrap_or_else(|| random_text(&mut self.rng, MESSAGE_ID_LENGTH).into());
        let publish = Publish {
            token: PublishToken(self.next()),
            id: EntryId::Named(Arc::clone(&base)),
            connection_id: None,
            owner: None,
            body: Body::Objects(objects),
        };
        self.take_claimed_rate(now, &principal, &name, &publish)?;
        let app = principal.app_id;
        let publisher =
            Requester::Objects { id, app: app.clone(), channel: name.clone(), message_id: base };
        self.publish_in(now, publisher.into(), &app, &name, publish);
        Ok(())
    }

    /// What the request is told: the objects of the entry, also if it is a repeat.
    pub(crate) fn objects_published(
        &self,
        app: &AppId,
        channel: &ChannelName,
        message_id: Arc<str>,
        accepted: Accepted,
    ) -> Response {
        let entry = accepted.serial.and_then(|serial| self.host(app, channel)?.entry(serial));
        let object_ids = entry.as_deref().map(object_ids).unwrap_or_default();
        Response::ObjectsPublished { channel: channel.clone(), message_id, object_ids }
    }

    pub(crate) fn read_object(
        &mut self,
        now: Timestamp,
        caller: &Caller,
        query: &ObjectQuery,
    ) -> Result<Response, ErrorInfo> {
        let principal = self.authenticate_caller(now, caller)?;
        let name = self.channel_for(&principal, &query.channel, &[Capability::ObjectSubscribe])?;
        let objects = Objects(self.host(&principal.app_id, &name));
        let base = query.object_id.as_deref().map_or(Ok(ObjectId::root()), parse_object_id)?;
        match objects.get(&base) {
            None => return Err(error::OBJECT_NOT_FOUND.with(format!("{base} does not exist"))),
            Some(ObjectView::Deleted) => return Err(error::OBJECT_ROOT_DELETED.info()),
            Some(ObjectView::Map(_) | ObjectView::Counter(_)) => {}
        }
        let path = Path::parse(query.path.as_deref().unwrap_or_default());
        let mut data = ObjectData::Object(base);
        for segment in path.segments() {
            data = objects.child(&data, segment).ok_or_else(|| nothing_at(&path))?;
        }
        let mut shown = BTreeSet::new();
        let tree = objects.tree(&data, query.view, &mut shown, 0);
        tree.map(Response::Object).ok_or_else(|| nothing_at(&path))
    }

    /// The operations that a request's operation amounts to.
    fn resolve(
        &mut self,
        now: Timestamp,
        app: &AppId,
        channel: &ChannelName,
        operation: RestOperation,
    ) -> Result<Vec<ObjectOperation>, ErrorInfo> {
        let RestOperation { path, request, .. } = operation;
        let path = path.as_deref().map(Path::parse);
        let object_id = request.object_id.as_deref().map(parse_object_id).transpose()?;
        let payload = request.payload.ok_or_else(|| error::OBJECT_INVALID.info())?;
        let limits = self.config.limits.clone();
        match payload {
            ObjectPayload::Create(_) => {
                let id = object_id.ok_or_else(|| error::OBJECT_UNNAMED.info())?;
                let created = check_operation(&limits, now, id, payload)?;
                let Some(path) = path else { return Ok(vec![created]) };
                let places = Objects(self.host(app, channel)).places(ObjectId::root(), &path)?;
                let put = |(parent, key)| put(parent, key, &created.object_id);
                let puts: Vec<_> = places.into_iter().map(put).collect();
                Ok(std::iter::once(created).chain(puts).collect())
            }
            ObjectPayload::Action(action) if action.is_create() => {
                let Some(path) = path else {
                    return match object_id {
                        None => Ok(vec![self.creation(now, &action)]),
                        Some(_) => Err(error::OBJECT_INVALID
                            .with("a creation under a given id needs its initial value as text")),
                    };
                };
                let base = object_id.unwrap_or_else(ObjectId::root);
                let places = Objects(self.host(app, channel)).places(base, &path)?;
                let each = places.into_iter().flat_map(|(parent, key)| {
                    let created = self.creation(now, &action);
                    let put = put(parent, key, &created.object_id);
                    [created, put]
                });
                Ok(each.collect())
            }
            ObjectPayload::Action(action) => {
                let targets = match (object_id, path) {
                    (None, None) => return Err(error::OBJECT_UNNAMED.info()),
                    (Some(id), None) => vec![id],
                    (id, Some(path)) => {
                        let base = id.unwrap_or_else(ObjectId::root);
                        Objects(self.host(app, channel)).targets(base, &path, action.kind())?
                    }
                };
                let check =
                    |id| check_operation(&limits, now, id, ObjectPayload::Action(action.clone()));
                targets.into_iter().map(check).collect()
            }
        }
    }

    /// The creation of an object under an id of its own.
    fn creation(&mut self, now: Timestamp, action: &ObjectAction) -> ObjectOperation {
        let nonce = random_text(&mut self.rng, NONCE_LENGTH);
        let kind = action.kind().unwrap_or(ObjectKind::Map);
        ObjectOperation {
            object_id: derive_object_id(kind, "", &nonce, now),
            action: action.clone(),
        }
    }

    fn host(&self, app: &AppId, channel: &ChannelName) -> Option<&Channel> {
        let key = self.active(app, channel)?;
        self.channels.get(key).map(|slot| &slot.host)
    }
}

impl<'a> Objects<'a> {
    /// The root is always there.
    fn get(self, id: &ObjectId) -> Option<ObjectView<'a>> {
        let known = self.0.and_then(|host| host.object(id));
        known.or_else(|| id.is_root().then_some(ObjectView::Map(&NO_ENTRIES)))
    }

    fn entries(self, id: &ObjectId) -> Option<&'a BTreeMap<Arc<str>, MapEntry>> {
        match self.get(id)? {
            ObjectView::Map(entries) => Some(entries),
            ObjectView::Counter(_) | ObjectView::Deleted => None,
        }
    }

    /// What is at the key of a map; a wildcard is not a key.
    fn child(self, data: &ObjectData, segment: &Segment) -> Option<ObjectData> {
        match (data, segment) {
            (ObjectData::Object(id), Segment::Key(key)) => {
                self.entries(id)?.get(key.as_str()).and_then(present).cloned()
            }
            (
                ObjectData::Object(_)
                | ObjectData::Boolean(_)
                | ObjectData::Bytes(_)
                | ObjectData::Number(_)
                | ObjectData::Text(_)
                | ObjectData::Json(_),
                Segment::Any | Segment::Key(_),
            ) => None,
        }
    }

    /// The objects at the end of a path.
    fn matches(self, base: ObjectId, segments: &[Segment]) -> BTreeSet<ObjectId> {
        let mut found = BTreeSet::from([base]);
        for segment in segments {
            let maps = found.iter().filter_map(|id| self.entries(id));
            let values = maps.flat_map(|entries| {
                entries.iter().filter(|(key, _)| segment.selects(key)).map(|(_, entry)| entry)
            });
            found = values.filter_map(present).filter_map(ObjectData::reference).cloned().collect();
        }
        found
            .retain(|id| matches!(self.get(id), Some(ObjectView::Map(_) | ObjectView::Counter(_))));
        found
    }

    /// The objects at the end of a path that can take an operation for objects of `kind`.
    fn targets(
        self,
        base: ObjectId,
        path: &Path,
        kind: Option<ObjectKind>,
    ) -> Result<Vec<ObjectId>, ErrorInfo> {
        let mut found = self.matches(base, path.segments());
        if found.is_empty() {
            return Err(nothing_at(path));
        }
        found.retain(|id| kind.is_none_or(|kind| id.kind() == kind));
        if found.is_empty() {
            return Err(error::OBJECT_NOT_PROCESSABLE.info());
        }
        Ok(found.into_iter().collect())
    }

    /// The maps, each with the key, that a new object at `path` is put into.
    fn places(self, base: ObjectId, path: &Path) -> Result<Vec<(ObjectId, Arc<str>)>, ErrorInfo> {
        let Some((Segment::Key(key), parents)) = path.segments().split_last() else {
            return Err(
                error::OBJECT_NOT_PROCESSABLE.with("the path of a new object ends in a key")
            );
        };
        let mut maps = self.matches(base, parents);
        maps.retain(|id| id.kind() == ObjectKind::Map);
        if maps.is_empty() {
            return Err(nothing_at(path));
        }
        Ok(maps.into_iter().map(|id| (id, key.as_str().into())).collect())
    }

    /// What an answer shows of a value; none if it is an object that is not there.
    fn tree(
        self,
        data: &ObjectData,
        view: View,
        shown: &mut BTreeSet<ObjectId>,
        depth: usize,
    ) -> Option<Tree> {
        let ObjectData::Object(id) = data else { return Some(leaf(data, view)) };
        let object_id = || ("objectId".into(), Tree::Text(id.as_str().into()));
        match self.get(id)? {
            ObjectView::Deleted => None,
            ObjectView::Counter(count) => Some(match view {
                View::Compact => Tree::Number(count),
                View::Full => Tree::Map(vec![object_id(), ("counter".into(), counter(count))]),
            }),
            ObjectView::Map(_) if depth == MAX_DEPTH || !shown.insert(id.clone()) => {
                Some(Tree::Map(vec![object_id()]))
            }
            ObjectView::Map(entries) => {
                let mut trees = Vec::new();
                for (key, entry) in entries {
                    let value = present(entry);
                    let tree = value.and_then(|value| self.tree(value, view, shown, depth + 1));
                    trees.extend(tree.map(|tree| (Arc::clone(key), tree)));
                }
                Some(match view {
                    View::Compact => Tree::Map(trees),
                    View::Full => Tree::Map(vec![object_id(), ("map".into(), map(trees))]),
                })
            }
        }
    }
}

fn map(entries: Vec<(Arc<str>, Tree)>) -> Tree {
    let entry = |(key, tree)| (key, Tree::Map(vec![("data".into(), tree)]));
    Tree::Map(vec![
        ("semantics".into(), Tree::Text("LWW".into())),
        ("entries".into(), Tree::Map(entries.into_iter().map(entry).collect())),
    ])
}

fn counter(count: Finite) -> Tree {
    let data = Tree::Map(vec![("number".into(), Tree::Number(count))]);
    Tree::Map(vec![("data".into(), data)])
}

fn leaf(data: &ObjectData, view: View) -> Tree {
    let (name, tree) = match data {
        ObjectData::Object(id) => ("objectId", Tree::Text(id.as_str().into())),
        ObjectData::Boolean(value) => ("boolean", Tree::Boolean(*value)),
        ObjectData::Bytes(bytes) => ("bytes", Tree::Bytes(bytes.clone())),
        ObjectData::Number(number) => ("number", Tree::Number(*number)),
        ObjectData::Text(text) => ("string", Tree::Text(Arc::clone(text))),
        ObjectData::Json(json) => ("json", Tree::Text(Arc::clone(json))),
    };
    match view {
        View::Compact => tree,
        View::Full => Tree::Map(vec![(name.into(), tree)]),
    }
}

fn present(entry: &MapEntry) -> Option<&ObjectData> {
    match &entry.value {
        MapValue::Data(data) => Some(data),
        MapValue::Tombstone(_) => None,
    }
}

fn put(object_id: ObjectId, key: Arc<str>, value: &ObjectId) -> ObjectOperation {
    let value = ObjectData::Object(value.clone());
    ObjectOperation { object_id, action: ObjectAction::MapSet { key, value } }
}

/// The objects that an entry changed, each once, in the order of the operations.
fn object_ids(entry: &Entry) -> Vec<ObjectId> {
    let Body::Objects(objects) = &entry.body else { return Vec::new() };
    let mut seen = BTreeSet::new();
    let ids = objects.iter().map(|message| &message.operation.object_id);
    ids.filter(|id| seen.insert(*id)).cloned().collect()
}

fn nothing_at(path: &Path) -> ErrorInfo {
    error::OBJECT_PATH_NOT_FOUND.with(format!("nothing at the path '{path}'"))
}
