//! OBJECT from a client: what is checked before operations go to the channel's host, which knows the
//! objects. REST passes the same checks.

use std::sync::Arc;
use std::time::Duration;

use auth::Operation;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::{InitialValue, ObjectItem, ObjectPayload, ObjectRequest, ProtocolMessage, flags};
use types::error::{self, ErrorInfo};
use types::{
    AppLimits, Body, ChannelRef, EntryId, NodeLimits, ObjectAction, ObjectId, ObjectKind,
    ObjectMessage, ObjectOperation, Timestamp,
};

use crate::publish::{self, Checked};
use crate::session::Session;
use crate::{Context, Draft};

/// How far ahead of the server's clock the time in an object's id may be.
const MAX_AHEAD: Duration = Duration::from_secs(60);

/// The id of an object that is created from this value (RTO14).
pub fn derive_object_id(
    kind: ObjectKind,
    initial_value: &str,
    nonce: &str,
    created: Timestamp,
) -> ObjectId {
    let hash = digest(&SHA256, format!("{initial_value}:{nonce}").as_bytes());
    ObjectId::new(kind, &URL_SAFE_NO_PAD.encode(hash), created)
}

/// The object that an operation names (92000).
pub fn parse_object_id(text: &str) -> Result<ObjectId, ErrorInfo> {
    ObjectId::parse(text)
        .ok_or_else(|| error::OBJECT_INVALID.with(format!("invalid object id '{text}'")))
}

/// What a client's operation comes down to. A creation needs an id that was derived from it, and
/// that is not older than what is remembered of deleted objects: none comes back under its id.
pub fn check_operation(
    limits: &NodeLimits,
    now: Timestamp,
    object_id: ObjectId,
    payload: ObjectPayload,
) -> Result<ObjectOperation, ErrorInfo> {
    let invalid = |message: &'static str| error::OBJECT_INVALID.with(message);
    let action = match payload {
        ObjectPayload::Action(ObjectAction::Delete) => {
            return Err(invalid("clients do not delete objects"));
        }
        ObjectPayload::Action(action) if action.is_create() => {
            return Err(invalid("a creation needs the initial value as text, and a nonce"));
        }
        ObjectPayload::Action(action) => action,
        ObjectPayload::Create(InitialValue { kind, json, nonce }) => {
            let created = object_id.created().unwrap_or_default();
            if object_id != derive_object_id(kind, &json, &nonce, created) {
                return Err(invalid("the object id does not belong to the initial value"));
            }
            let grace = Duration::from_millis(limits.objects_grace_ms);
            if created > now.plus(MAX_AHEAD) || created < now.minus(grace) {
                return Err(invalid("the time in the object id is not current"));
            }
            protocol::decode_initial_value(kind, &json)?
                .ok_or_else(|| invalid("invalid initial value"))?
        }
    };
    Ok(ObjectOperation { object_id, action })
}

/// Whether the operations are small enough to be published together.
pub fn check_objects_size(limits: &AppLimits, objects: &[ObjectMessage]) -> Result<(), ErrorInfo> {
    publish::check_size(objects.iter().map(ObjectMessage::size).sum(), limits)
}

impl Session {
    pub(crate) fn handle_object(
        &mut self,
        ctx: &mut Context<'_>,
        frame: &mut ProtocolMessage,
    ) -> Option<Draft> {
        let count = u32::try_from(frame.state.len()).unwrap_or(u32::MAX);
        self.handle_publish(ctx, frame, count, |session, ctx, frame| {
            session.check_object_frame(ctx, frame)
        })
    }

    fn check_object_frame(&self, ctx: &Context<'_>, frame: &mut ProtocolMessage) -> Checked {
        let channel = ChannelRef::parse(frame.channel.take().unwrap_or_default())?;
        self.check_channel(ctx, &channel)?;
        if channel.filter.is_some() {
            return Err(error::INVALID_CHANNEL_NAME.with("a derived channel has no objects"));
        }
        if !self.principal.capability.permits(channel.name.as_str(), Operation::ObjectPublish) {
            return Err(error::CAPABILITY_MISSING.info());
        }
        let attachment = self.attachments.get(&channel.requested);
        if attachment.is_some_and(|attachment| attachment.modes & flags::OBJECT_PUBLISH == 0) {
            return Err(error::MODE_MISSING.info());
        }
        let objects = std::mem::take(&mut frame.state)
            .into_iter()
            .map(|item| self.check_object(ctx, item))
            .collect::<Result<Vec<_>, ErrorInfo>>()?;
        check_objects_size(&ctx.app.limits, &objects)?;
        let msg_serial = frame.msg_serial.unwrap_or_default();
        let id = EntryId::Connection { connection_id: self.id.clone(), msg_serial };
        Ok((channel.name, id, Body::Objects(objects)))
    }

    fn check_object(
        &self,
        ctx: &Context<'_>,
        item: ObjectItem,
    ) -> Result<ObjectMessage, ErrorInfo> {
        publish::check_labels(item.id.as_deref(), None)?;
        let invalid = || error::OBJECT_INVALID.info();
        let ObjectRequest { object_id, payload } = item.operation.ok_or_else(invalid)?;
        let id: Arc<str> = object_id.ok_or_else(|| error::OBJECT_UNNAMED.info())?;
        let (object_id, payload) = (parse_object_id(&id)?, payload.ok_or_else(invalid)?);
        Ok(ObjectMessage {
            id: item.id,
            client_id: self.principal.check_client_id(item.client_id.as_ref())?,
            extras: item.extras,
            operation: check_operation(ctx.limits, ctx.now, object_id, payload)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);
    const JSON: &str = r#"{"count":10}"#;

    fn created(id: ObjectId, kind: ObjectKind, json: &str) -> Result<ObjectAction, u32> {
        let create = InitialValue { kind, json: json.into(), nonce: "0123456789abcdef".into() };
        check_operation(&NodeLimits::default(), NOW, id, ObjectPayload::Create(create))
            .map(|operation| operation.action)
            .map_err(|error| error.code)
    }

    fn derived(kind: ObjectKind, json: &str, at: Timestamp) -> ObjectId {
        derive_object_id(kind, json, "0123456789abcdef", at)
    }

    #[test]
    fn an_id_is_the_hash_of_value_and_nonce() {
        let id = derive_object_id(ObjectKind::Map, "{}", "nonce", Timestamp(1));
        assert_eq!(id.as_str(), "map:Srv19GHkDBSV5B-4yuHAa6EzxbpDcWawIb_3KeFy6TM@1");
    }

    #[test]
    fn a_creation_needs_an_id_that_was_derived_from_it_now() {
        use ObjectKind::{Counter, Map};
        let count = ObjectAction::CounterCreate(types::Finite::new(10.0).unwrap());
        assert_eq!(created(derived(Counter, JSON, NOW), Counter, JSON), Ok(count));
        assert_eq!(created(derived(Counter, "{}", NOW), Counter, JSON), Err(92_000));
        assert_eq!(created(derived(Map, JSON, NOW), Counter, JSON), Err(92_000));
        let far = Duration::from_secs(2 * 86_400);
        for at in [NOW.plus(far), NOW.minus(far)] {
            assert_eq!(created(derived(Counter, JSON, at), Counter, JSON), Err(92_000));
        }
        for json in ["", "1", r#"{"semantics":1}"#, r#"{"entries":{"k":{"data":{}}}}"#] {
            assert_eq!(created(derived(Map, json, NOW), Map, json), Err(92_000), "{json}");
        }
    }

    #[test]
    fn what_only_the_server_does_is_refused() {
        let limits = NodeLimits::default();
        let create = ObjectAction::MapCreate(Vec::new());
        for action in [ObjectAction::Delete, create] {
            let payload = ObjectPayload::Action(action);
            let refused = check_operation(&limits, NOW, ObjectId::root(), payload);
            assert_eq!(refused.unwrap_err().code, 92_000);
        }
    }
}
