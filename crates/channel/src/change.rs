//! Changes and annotations of messages at append: what a client says of a message becomes its next
//! version, judged by the message as it will be once everything pending is committed.

use types::{
    Body, ClientId, Data, ErrorInfo, ItemPosition, Message, MessageAction, Timestamp, USER_CLAIM,
    error, set_user_claim,
};

use crate::Channel;
use crate::messages::MessageState;

impl Channel {
    /// The message that must be read from the store before a publish about it can be judged.
    pub(crate) fn unheld(
        &mut self,
        now: Timestamp,
        target: Option<ItemPosition>,
    ) -> Option<ItemPosition> {
        let key = target.filter(|key| !self.messages.holds(*key))?;
        if self.messages.is_full() {
            return None;
        }
        if let Some(published) = self.log.find(key.serial) {
            // Not held, so nothing was said of it since.
            self.messages.hold(now, MessageState::of(key, [&published]));
            return None;
        }
        self.config.persisted.then_some(key)
    }

    /// New messages as they are; a change of one as the full version that it makes, or, if it
    /// appends, with the name and extras that the message then has.
    pub(crate) fn resolve_messages(
        &self,
        owner: Option<&ClientId>,
        messages: Vec<Message>,
    ) -> Result<Body, ErrorInfo> {
        let body = Body::Messages(messages);
        let Some(change) = body.change() else { return Ok(body) };
        let key = body.target().ok_or_else(not_found)?;
        self.check_room_for(key)?;
        let expected = self.messages.expected(key).ok_or_else(not_found)?;
        let before = expected.newest;
        if owner.is_some_and(|owner| before.client_id.as_ref() != Some(owner)) {
            return Err(error::CAPABILITY_MISSING.with("the message is somebody else's"));
        }
        let mut version = Message {
            name: change.name.clone().or_else(|| before.name.clone()),
            data: change.data.clone(),
            encoding: change.encoding.clone(),
            client_id: before.client_id.clone(),
            connection_id: before.connection_id.clone(),
            extras: change.extras.clone().or_else(|| before.extras.clone()),
            timestamp: before.timestamp,
            serial: Some(key.to_string().into()),
            action: change.action,
            version: change.version.clone(),
            ..Message::default()
        };
        let of_publisher = before.extras.as_ref().and_then(|extras| extras.get(USER_CLAIM));
        set_user_claim(&mut version.extras, of_publisher.cloned());
        let mut size = version.size();
        if change.action == MessageAction::Append {
            check_append(change, before)?;
            size += expected.data_len;
        } else if matches!(change.data, Data::None) {
            let whole = self.messages.expected_whole(key).ok_or_else(not_found)?;
            (version.data, version.encoding) = (whole.data, whole.encoding);
            size += version.data.len();
        }
        let limit = self.config.limits.message_bytes;
        if size > limit {
            let message = format!("the message would have {size} bytes, the limit is {limit}");
            return Err(error::TOO_LARGE.with(message));
        }
        Ok(Body::Messages(vec![version]))
    }

    pub(crate) fn check_annotated(&self, body: &Body) -> Result<(), ErrorInfo> {
        let key = body.target().ok_or_else(not_found)?;
        self.check_room_for(key)?;
        self.messages.expected(key).map(drop).ok_or_else(not_found)
    }

    fn check_room_for(&self, key: ItemPosition) -> Result<(), ErrorInfo> {
        if !self.messages.holds(key) && self.messages.is_full() {
            let message = "too many messages of the channel are changed or annotated at once";
            return Err(error::CHANNEL_RATE_LIMIT.with(message));
        }
        Ok(())
    }
}

fn not_found() -> ErrorInfo {
    error::NOT_FOUND.with("no message with this serial")
}

/// Only plain text and plain binary can be continued.
fn check_append(change: &Message, before: &Message) -> Result<(), ErrorInfo> {
    let same_type = match (&change.data, &before.data) {
        (Data::None, _) => return Err(error::INVALID_DATA.with("an append needs data")),
        (_, Data::None) | (Data::Text(_), Data::Text(_)) | (Data::Binary(_), Data::Binary(_)) => {
            true
        }
        (Data::Text(_), Data::Binary(_)) | (Data::Binary(_), Data::Text(_)) => false,
    };
    let is_plain = |message: &Message| matches!(message.encoding.as_deref(), None | Some("utf-8"));
    if same_type && is_plain(change) && is_plain(before) {
        Ok(())
    } else {
        Err(error::INVALID_DATA.with("an append needs text or binary data, as the message has"))
    }
}
