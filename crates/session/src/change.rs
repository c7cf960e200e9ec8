//! Updates, deletes and appends of messages from a client: what is checked before the channel's host
//! sees them. Changes by REST pass the same checks.

use std::sync::Arc;

use auth::{Operation, Principal};
use types::error::{self, ErrorInfo};
use types::{AppLimits, ChannelName, ClientId, ItemPosition, Message, MessageAction, Version};

use crate::extras;
use crate::publish::{check_labels, check_size};

/// Checks one change as `principal` would publish it and fills in an implied clientId. Returns the
/// id under which the client wants it to be accepted once, if it gave one.
pub fn check_change(
    principal: &Principal,
    limits: &AppLimits,
    change: &mut Message,
) -> Result<Option<Arc<str>>, ErrorInfo> {
    if !change.action.is_change() {
        return Err(error::INVALID_PUBLISH.with("clients may create, update, delete and append"));
    }
    let serial = change.serial.as_deref().unwrap_or_default();
    if serial.parse::<ItemPosition>().is_err() {
        return Err(error::INVALID_PARAM.with("the serial names no message"));
    }
    check_size(change.size(), limits)?;
    check_labels(change.id.as_deref(), change.encoding.as_deref())?;
    change.extras = change.extras.take().map(extras::checked).transpose()?;
    if change.is_ephemeral() {
        return Err(error::INVALID_EXTRAS.with("a change of a message is not ephemeral"));
    }
    let said = change.version.take().unwrap_or_default();
    change.version = Some(Arc::new(Version {
        client_id: principal.check_client_id(said.client_id.as_ref())?,
        description: said.description.clone(),
        metadata: said.metadata.clone(),
        serial: None,
        timestamp: None,
    }));
    // What was received and is sent back changed says who published it; that does not change.
    change.client_id = None;
    change.connection_id = None;
    change.connection_key = None;
    change.timestamp = None;
    change.summary = None;
    let id = change.id.take();
    Ok(id.filter(|id| !id.is_empty()))
}

/// Whose messages `principal` may change in this way: anybody's, or only those of one client.
pub fn change_owner(
    principal: &Principal,
    channel: &ChannelName,
    change: &Message,
) -> Result<Option<ClientId>, ErrorInfo> {
    let (any, own) = match change.action {
        MessageAction::Delete => (Operation::MessageDeleteAny, Operation::MessageDeleteOwn),
        MessageAction::Create
        | MessageAction::Update
        | MessageAction::Append
        | MessageAction::Meta
        | MessageAction::Summary => (Operation::MessageUpdateAny, Operation::MessageUpdateOwn),
    };
    let permits = |operation| principal.capability.permits(channel.as_str(), operation);
    if permits(any) {
        return Ok(None);
    }
    if !permits(own) {
        return Err(error::CAPABILITY_MISSING.info());
    }
    let client_id = change.version.as_ref().and_then(|version| version.client_id.clone());
    client_id.map(Some).ok_or_else(|| error::OWN_NEEDS_IDENTITY.info())
}
