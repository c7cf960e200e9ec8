//! MESSAGE from a client: what is checked before a publish goes to the channel's host. REST
//! publishes pass the same checks.

use std::mem::take;
use std::sync::Arc;

use auth::{Operation, Principal};
use channel::{Publish, PublishToken};
use protocol::{ProtocolMessage, flags};
use types::error::{self, ErrorInfo};
use types::{Accepted, AppLimits, Body, ChannelName, ChannelRef, EntryId, Message, MessageAction};

use crate::annotation::check_mutable;
use crate::change::{change_owner, check_change};
use crate::claims::stamp_user_claim;
use crate::extras::{self, check_privileged};
use crate::push::check_push;
use crate::session::Session;
use crate::{Context, Draft, Effect};

/// A publish rate this many times its limit closes the connection (42921).
const FATAL_RATE_FACTOR: u32 = 20;

/// Longest id or encoding, in bytes (40031, 40013).
const MAX_LABEL: usize = 512;

/// Checks messages as `principal` would publish them and fills in an implied clientId. Returns the
/// id under which the client wants the publish to be accepted once, if it gave one.
pub fn check_messages(
    principal: &Principal,
    limits: &AppLimits,
    messages: &mut [Message],
) -> Result<Option<Arc<str>>, ErrorInfo> {
    if messages.is_empty() {
        return Err(error::INVALID_PUBLISH.with("a publish needs at least one message"));
    }
    let size: usize = messages.iter().map(Message::size).sum();
    check_size(size, limits)?;
    for message in messages.iter_mut() {
        if message.action != MessageAction::Create {
            return Err(
                error::INVALID_PUBLISH.with("a change of a message is a publish of its own")
            );
        }
        message.client_id = principal.check_client_id(message.client_id.as_ref())?;
        check_labels(message.id.as_deref(), message.encoding.as_deref())?;
        // What the server says of a message is not the publisher's to say, and the key is a secret.
        message.connection_key = None;
        message.connection_id = None;
        message.timestamp = None;
        message.serial = None;
        message.version = None;
        message.summary = None;
    }
    extras::check(messages)?;
    named_id(messages.iter().map(|message| message.id.as_deref()))
}

pub(crate) fn check_size(size: usize, limits: &AppLimits) -> Result<(), ErrorInfo> {
    let limit = limits.max_message_size as usize;
    if size > limit {
        return Err(error::TOO_LARGE
            .with(format!("maximum message length exceeded: {size} bytes, the limit is {limit}")));
    }
    Ok(())
}

/// What no limit on sizes counts, and what is kept nevertheless.
pub(crate) fn check_labels(id: Option<&str>, encoding: Option<&str>) -> Result<(), ErrorInfo> {
    if id.is_some_and(|id| id.len() > MAX_LABEL) {
        return Err(error::INVALID_MESSAGE_ID.with("id too long"));
    }
    if encoding.is_some_and(|encoding| encoding.len() > MAX_LABEL) {
        return Err(error::INVALID_DATA.with("encoding too long"));
    }
    Ok(())
}

/// The id that covers all messages: a single one's own, or the `<base>` of `<base>:<index>` (RSL1k).
pub fn named_id<'a>(
    mut ids: impl ExactSizeIterator<Item = Option<&'a str>> + Clone,
) -> Result<Option<Arc<str>>, ErrorInfo> {
    if ids.clone().all(|id| id.is_none()) {
        return Ok(None);
    }
    let invalid = || {
        error::INVALID_MESSAGE_ID
            .with("messages of one publish need ids <base>:<index> with one base, or none")
    };
    if ids.len() == 1
        && let Some(Some(id)) = ids.next()
    {
        if id.is_empty() {
            return Err(error::INVALID_MESSAGE_ID.with("a message id must not be empty"));
        }
        let base = id.strip_suffix(":0").unwrap_or(id);
        return Ok(Some(base.into()));
    }
    let mut base: Option<&str> = None;
    for (index, id) in ids.enumerate() {
        let id = id.ok_or_else(invalid)?;
        let (this, suffix) = id.rsplit_once(':').ok_or_else(invalid)?;
        let same = base.is_none_or(|base| base == this);
        if this.is_empty() || !same || suffix.parse() != Ok(index) {
            return Err(invalid());
        }
        base = Some(this);
    }
    Ok(base.map(Arc::from))
}

/// Turns a frame into what its channel's host is asked to append.
type Check = fn(&mut Session, &Context<'_>, &mut ProtocolMessage) -> Checked;
pub(crate) type Checked = Result<(ChannelName, EntryId, Body), ErrorInfo>;

impl Session {
    pub(crate) fn handle_message(
        &mut self,
        ctx: &mut Context<'_>,
        frame: &mut ProtocolMessage,
    ) -> Option<Draft> {
        let count = self.rollup.count(ctx.now, self.params.append_rollup, &frame.messages);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.handle_publish(ctx, frame, count, Self::check_message_frame)
    }

    /// The common part of MESSAGE and PRESENCE: count it, check it, ask the host or refuse it.
    pub(crate) fn handle_publish(
        &mut self,
        ctx: &mut Context<'_>,
        frame: &mut ProtocolMessage,
        count: u32,
        check: Check,
    ) -> Option<Draft> {
        let Some(msg_serial) = frame.msg_serial else {
            self.fail(ctx, error::PROTOCOL_ERROR.with("msgSerial missing"));
            return None;
        };
        let most = ctx.limits.connection_unacknowledged as usize;
        if self.acks.len() >= most {
            self.acknowledge(ctx);
        }
        if self.acks.len() >= most {
            self.fail(ctx, error::FATAL_RATE_LIMIT.with("too many unacknowledged publishes"));
            return None;
        }
        // What was accepted is acknowledged again, whatever the rates: only its channel knows.
        let uncounted = self.is_resend(msg_serial).then_some(count);
        let within = match uncounted {
            Some(_) => self.acks.refusal(msg_serial).cloned().map_or(Ok(()), Err),
            None => self.take_rate(ctx, count),
        };
        // It may have been too fast for its connection.
        self.transport?;
        let outcome = within.and_then(|()| self.draft(ctx, frame, (count, uncounted), check));
        self.last_msg_serial = self.last_msg_serial.max(Some(msg_serial));
        match outcome {
            Ok(draft) => {
                let publish = &draft.publish;
                self.acks.wait(msg_serial, publish.token);
                if let Body::Presence(items) = &publish.body {
                    self.members.published(publish.token, &draft.channel, items);
                }
                Some(draft)
            }
            Err(error) => {
                self.acks.refuse(msg_serial, ctx.publish_token(), error);
                if self.acknowledge_soon() {
                    ctx.effects.push(Effect::AcknowledgeSoon);
                }
                None
            }
        }
    }

    /// What the channel's host is asked to do. It is counted here unless that depends on what its channel knows.
    fn draft(
        &mut self,
        ctx: &mut Context<'_>,
        frame: &mut ProtocolMessage,
        (count, uncounted): (u32, Option<u32>),
        check: Check,
    ) -> Result<Draft, ErrorInfo> {
        let (channel, id, mut body) = check(self, ctx, frame)?;
        stamp_user_claim(&self.principal, &channel, &mut body);
        let owner = |change| change_owner(&self.principal, &channel, change);
        let owner = body.change().map(owner).transpose()?.flatten();
        let size = body.size();
        if uncounted.is_none() {
            self.use_up(ctx, &channel, count, (body.len(), size))?;
        }
        let (token, connection_id) = (ctx.publish_token(), Some(self.id.clone()));
        let publish = Publish { token, id, connection_id, owner, body };
        Ok(Draft { channel, publish, size, uncounted })
    }

    /// Counts a publish for the rate that the token sets, and against the limits of the app.
    fn use_up(
        &mut self,
        ctx: &mut Context<'_>,
        channel: &ChannelName,
        count: u32,
        (items, size): (usize, usize),
    ) -> Result<(), ErrorInfo> {
        if let Some(limit) = self.principal.claims.publish_rate(channel) {
            self.claimed_rates.take(ctx.now, channel.clone(), limit, count)?;
        }
        ctx.usage.publish(ctx.now, &ctx.app.limits, items, size)
    }

    /// Counts what was said to be sent again, and is not known to its channel.
    pub fn count_resend(
        &mut self,
        ctx: &mut Context<'_>,
        draft: &Draft,
        count: u32,
    ) -> Result<(), ErrorInfo> {
        self.take_publish_rate(ctx, count)?;
        self.use_up(ctx, &draft.channel, count, (draft.publish.body.len(), draft.size))
    }

    /// The host's answer to a publish. [`Self::acknowledge`] tells the client; says whether it is to be called.
    pub fn published(&mut self, token: PublishToken, result: Result<Accepted, ErrorInfo>) -> bool {
        self.members.settle(token, result.as_ref().map(drop));
        self.acks.settle(token, result);
        self.acknowledge_soon()
    }

    /// What becomes of publishes that arrive together is told together: says whether that is new.
    fn acknowledge_soon(&mut self) -> bool {
        !std::mem::replace(&mut self.acks_due, true)
    }

    /// Tells the client what became of its publishes.
    pub fn acknowledge(&mut self, ctx: &mut Context<'_>) {
        self.acks_due = false;
        if self.transport.is_none() {
            return;
        }
        while let Some(frame) = self.acks.drain(self.params.version) {
            self.send_at_once(ctx, frame);
        }
    }

    /// Whether the client may be repeating what it sent on an earlier transport. It does so in order,
    /// before anything new; other repeats are not excused from the rates.
    fn is_resend(&self, msg_serial: i64) -> bool {
        self.sent_before.is_some_and(|sent| msg_serial <= sent)
            && self.last_msg_serial.is_none_or(|last| msg_serial > last)
    }

    fn take_rate(&mut self, ctx: &mut Context<'_>, count: u32) -> Result<(), ErrorInfo> {
        let limit = ctx.app.limits.connection_inbound_rate;
        if !self.fatal_rate.take(ctx.now, limit.saturating_mul(FATAL_RATE_FACTOR), count) {
            self.fail(ctx, error::FATAL_PUBLISH_RATE.info());
            return Ok(());
        }
        self.take_publish_rate(ctx, count)
    }

    fn take_publish_rate(&mut self, ctx: &Context<'_>, count: u32) -> Result<(), ErrorInfo> {
        let limit = ctx.app.limits.connection_inbound_rate;
        if !self.publish_rate.take(ctx.now, limit, count) {
            return Err(error::CONNECTION_RATE_LIMIT.with(format!(
                "publish rate limit of the connection exceeded: {limit} messages per second"
            )));
        }
        Ok(())
    }

    fn check_message_frame(&mut self, ctx: &Context<'_>, frame: &mut ProtocolMessage) -> Checked {
        let requested = frame.channel.take().unwrap_or_default();
        let known = match &self.publishable {
            Some(name) => name.said_by(requested),
            None => Err(requested),
        };
        let (channel, unknown) = match known {
            Ok(channel) => (channel, None),
            Err(requested) => (self.check_message_channel(ctx, &requested)?, Some(requested)),
        };
        let extras = frame.messages.iter().map(|message| &message.extras);
        check_privileged(&self.principal, &channel, extras)?;
        if let [change] = frame.messages.as_mut_slice()
            && change.action != MessageAction::Create
        {
            check_mutable(ctx.app, &channel)?;
            let named = check_change(&self.principal, &ctx.app.limits, change)?;
            let id = self.entry_id(named, frame.msg_serial);
            return Ok((channel, id, Body::Messages(take(&mut frame.messages))));
        }
        if let Some(requested) = unknown {
            self.check_publish(&requested, &channel)?;
            self.publishable = Some(channel.clone()).filter(|name| name.as_str() == &*requested);
        }
        if frame.params.get("_forceNack").is_some_and(|value| value == "true") {
            return Err(error::FORCED_NACK.info());
        }
        let named = check_messages(&self.principal, &ctx.app.limits, &mut frame.messages)?;
        let named = named.filter(|_| !ctx.app.batches(&channel));
        check_push(ctx.app, &channel, &frame.messages)?;
        let id = self.entry_id(named, frame.msg_serial);
        Ok((channel, id, Body::Messages(take(&mut frame.messages))))
    }

    /// The channel that a MESSAGE is about, if these credentials may use it.
    fn check_message_channel(
        &self,
        ctx: &Context<'_>,
        requested: &Arc<str>,
    ) -> Result<ChannelName, ErrorInfo> {
        let channel = ChannelRef::parse(Arc::clone(requested))?;
        self.check_channel(ctx, &channel)?;
        if channel.filter.is_some() {
            return Err(
                error::INVALID_CHANNEL_NAME.with("a derived channel cannot be published on")
            );
        }
        Ok(channel.name)
    }

    /// Whether new messages may be published there.
    fn check_publish(&self, requested: &str, channel: &ChannelName) -> Result<(), ErrorInfo> {
        if !self.principal.capability.permits(channel.as_str(), Operation::Publish) {
            return Err(error::CAPABILITY_MISSING.info());
        }
        let attachment = self.attachments.get(requested);
        if attachment.is_some_and(|attachment| attachment.modes & flags::PUBLISH == 0) {
            return Err(error::MODE_MISSING.info());
        }
        Ok(())
    }

    /// The id under which a publish is accepted once: the client's own, if it gave one.
    pub(crate) fn entry_id(&self, named: Option<Arc<str>>, msg_serial: Option<i64>) -> EntryId {
        named.map_or_else(
            || EntryId::Connection {
                connection_id: self.id.clone(),
                msg_serial: msg_serial.unwrap_or_default(),
            },
            EntryId::Named,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_publish_share_a_base_and_count_from_zero() {
        assert_eq!(named_id([None, None].into_iter()), Ok(None));
        assert_eq!(named_id([Some("a:b:0"), Some("a:b:1")].into_iter()), Ok(Some("a:b".into())));
        assert_eq!(named_id([Some("anything")].into_iter()), Ok(Some("anything".into())));
        assert_eq!(named_id([Some("x:0")].into_iter()), Ok(Some("x".into())));
        let refused: &[&[Option<&str>]] = &[
            &[Some("")],
            &[Some("a:0"), None],
            &[Some("a:0"), Some("b:1")],
            &[Some("a:0"), Some("a:2")],
            &[Some("a"), Some("b")],
        ];
        for ids in refused {
            assert_eq!(named_id(ids.iter().copied()).unwrap_err().code, 40031, "{ids:?}");
        }
    }
}
