//! Chat rooms: what is said there is published and changed as messages of the room's channel are,
//! and answered with the message that it makes. Everything else about rooms is asked of their
//! channels.

use types::error::{self, ErrorInfo};
use types::{Accepted, AppId, ChannelName, ItemPosition, Message, MessageAction, Timestamp};

use crate::count::RequestKind;
use crate::event::{Caller, Effect, RequestId, Response};
use crate::messages::{At, Question, What};
use crate::node::{Node, Requester};

/// Who waits for a message.
#[derive(Debug)]
pub(crate) struct ChatRequest {
    id: RequestId,
    app: AppId,
    channel: ChannelName,
    /// The message that is changed; none if it is new.
    changed: Option<ItemPosition>,
}

impl Node {
    /// Answered later.
    pub(crate) fn chat(
        &mut self,
        now: Timestamp,
        id: RequestId,
        caller: &Caller,
        room: &str,
        message: Message,
    ) -> Result<Option<Response>, ErrorInfo> {
        let principal = self.authenticate_caller(now, caller)?;
        let channel = ChannelName::of_chat_room(room);
        let is_new = message.action == MessageAction::Create;
        let serial = message.serial.clone().unwrap_or_default();
        let (channel, publish) = if is_new {
            let (name, publish, _) =
                self.check_publish(now, &principal, &channel, vec![message])?;
            (name, publish)
        } else {
            let at = At { channel: &channel, serial: &serial };
            self.check_change_at(now, &principal, at, message)?
        };
        let changed = publish.body.target();
        let app = principal.app_id;
        let request = ChatRequest { id, app: app.clone(), channel: channel.clone(), changed };
        self.publish_in(now, Requester::Chat(request).into(), &app, &channel, publish);
        Ok(None)
    }

    pub(crate) fn chat_published(
        &mut self,
        now: Timestamp,
        request: ChatRequest,
        result: Result<Accepted, ErrorInfo>,
    ) {
        let ChatRequest { id, app, channel, changed } = request;
        self.count_request(now, &app, RequestKind::Other, result.as_ref().err());
        let is = |accepted: Accepted| {
            let new = accepted.serial.map(|serial| ItemPosition { serial, index: 0 });
            changed.or(new).ok_or_else(|| error::NOT_FOUND.with("the message was not kept"))
        };
        let response = match result.and_then(is) {
            Ok(message) => {
                let question = Question { message, what: What::Latest };
                self.answer_question(id, app, channel, question)
            }
            Err(error) => Some(Response::Error(error)),
        };
        self.effects.extend(response.map(|response| Effect::Reply { request: id, response }));
    }
}
