//! ATTACH and DETACH: what is asked for, and what the answer says.
//!
//! Every ATTACH has an attachment id of its own, so an answer that a later ATTACH or DETACH has
//! overtaken finds nobody. The attachment before it ends only behind it, so that the channel is
//! never deserted in between.

use std::sync::Arc;

use auth::Operation;
use channel::{Attach, Attached, AttachmentId, Member};
use protocol::{Action, MessageShape, ProtocolMessage, flags};
use types::error::{self, ErrorInfo};
use types::{ChannelName, ChannelRef, Cursor, ObjectState, Params, Serial};

use crate::delivery::{Appends, sync_frames};
use crate::delta::Chain;
use crate::filter::Filter;
use crate::object_sync::object_sync_frames;
use crate::options::{
    check_rewind, granted_modes, inband, occupancy, requested_modes, rewind, understood,
};
use crate::rules::check_rules;
use crate::session::{Session, is_retryable};
use crate::{Context, Echo, Effect, Subscription};

/// The protocol version from which on clients know appends.
const APPENDS_SINCE: u32 = 5;

/// Longest name with its qualifier, in bytes; attachments keep it.
const MAX_REQUESTED: usize = 4096;

/// Bytes of replays, members and objects that a connection may ask for per second. One answer may be larger;
/// what is asked for soon afterwards is refused, and clients try again by themselves.
const ANSWERS_PER_SECOND: u32 = 16 << 20;

/// What a replayed entry takes besides what it says.
const ENVELOPE: usize = 200;

/// One channel as this session is attached to it.
#[derive(Debug)]
pub(crate) struct Attachment {
    pub(crate) id: AttachmentId,
    pub(crate) channel: ChannelName,
    /// What the capability must permit.
    resource: Arc<str>,
    requested_modes: u32,
    pub(crate) modes: u32,
    /// The params that were understood; every ATTACHED repeats them (RTL4k1).
    params: Params,
    filter: Option<Filter>,
    exposes_timeserial: bool,
    /// Where delivery started, once it has.
    from: Option<Serial>,
    changes_from: Option<Serial>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The host has been asked; its answer starts delivery.
    Attaching,
    /// As `Attaching`, but only options changed: nothing was missed and nothing is replayed.
    ChangingOptions,
    Attached,
}

impl Attachment {
    fn subscription(&self, session: &Session, requested: &Arc<str>) -> Subscription {
        let echo = match self.params.get("echo").map(String::as_str) {
            Some("false") => Echo::Off,
            Some(_) | None => session.params.echo,
        };
        Subscription {
            attachment: self.id,
            channel: self.channel.clone(),
            requested: Arc::clone(requested),
            connection_id: session.id.clone(),
            modes: self.modes,
            occupancy: occupancy(
                &self.params,
                &session.principal.capability,
                &self.resource,
                self.modes,
            ),
            inband: inband(&self.params, &session.principal.capability, &self.resource, self.modes)
                .filter(|_| self.filter.is_none()),
            echo,
            appends: match self.params.get("appendMode").map(String::as_str) {
                Some("full") => Appends::Whole,
                // They would not know what to do with an append.
                Some(_) | None if session.params.version < APPENDS_SINCE => Appends::Whole,
                Some(_) | None => Appends::AsTheyAre,
            },
            shape: MessageShape::of(session.params.version),
            from: self.from,
            changes_from: self.changes_from,
            chain: Chain::of_param(self.params.get("delta")),
            filter: self.filter.clone(),
            exposes_timeserial: self.exposes_timeserial,
        }
    }

    /// Whether it is told of members; derived channels carry no presence.
    fn sees_presence(&self) -> bool {
        self.modes & flags::PRESENCE_SUBSCRIBE != 0 && self.filter.is_none()
    }

    fn sees_objects(&self) -> bool {
        self.modes & flags::OBJECT_SUBSCRIBE != 0 && self.filter.is_none()
    }

    /// ATTACHED, with the flags that hold whatever the reason for it.
    fn frame(
        &self,
        requested: &Arc<str>,
        cursor: &Cursor,
        members: &[Arc<Member>],
        objects: &[ObjectState],
    ) -> ProtocolMessage {
        let has_presence = self.sees_presence() && !members.is_empty();
        let has_objects = self.sees_objects() && !objects.is_empty();
        let mut frame = ProtocolMessage::new(Action::Attached);
        frame.channel = Some(Arc::clone(requested));
        frame.channel_serial = Some(cursor.encode(self.channel.as_str()).as_str().into());
        frame.params = self.params.clone();
        frame.flags = Some(
            self.modes
                | if has_presence { flags::HAS_PRESENCE } else { 0 }
                | if has_objects { flags::HAS_OBJECTS } else { 0 },
        );
        frame
    }
}

impl Session {
    pub(crate) fn handle_attach(&mut self, ctx: &mut Context<'_>, frame: &ProtocolMessage) {
        let requested: Arc<str> = frame.channel.clone().unwrap_or_default();
        if let Err(error) = self.attach(ctx, frame, &requested) {
            self.refuse(ctx, &requested, error);
        }
    }

    /// The client takes the channel for failed, whatever it was before.
    fn refuse(&mut self, ctx: &mut Context<'_>, requested: &Arc<str>, error: ErrorInfo) {
        if self.attachments.contains_key(requested) {
            self.detach(ctx, requested);
        }
        self.fail_channel(ctx, requested, error);
    }

    fn check_answer_rate(&mut self, ctx: &Context<'_>) -> Result<(), ErrorInfo> {
        if self.answer_rate.take(ctx.now, ANSWERS_PER_SECOND, 0) {
            return Ok(());
        }
        Err(error::OUTBOUND_RATE_LIMIT.with("too much is replayed to the connection at a time"))
    }

    fn charge_answer(&mut self, ctx: &Context<'_>, bytes: usize) {
        self.answer_rate.charge(ctx.now, ANSWERS_PER_SECOND.into(), bytes as u64);
    }

    fn attach(
        &mut self,
        ctx: &mut Context<'_>,
        frame: &ProtocolMessage,
        requested: &Arc<str>,
    ) -> Result<(), ErrorInfo> {
        let mut attachment = self.check_attach(ctx, frame, requested)?;
        self.check_answer_rate(ctx)?;
        self.publishable = None;
        let known = self.attachments.get(requested);
        let answered = known.filter(|known| known.state != State::Attaching);
        if answered.is_some_and(|known| {
            known.params != attachment.params || known.requested_modes != attachment.requested_modes
        }) {
            attachment.state = State::ChangingOptions;
        }
        let resume = match attachment.state {
            State::ChangingOptions => None,
            State::Attaching | State::Attached => frame
                .channel_serial
                .as_deref()
                .filter(|serial| !serial.is_empty())
                .map(|text| Cursor::decode(text, attachment.channel.as_str())),
        };
        let continues = frame.flags.unwrap_or_default() & flags::ATTACH_RESUME != 0;
        let rewind =
            if answered.is_none() && !continues { rewind(&attachment.params) } else { None };
        if let Some(known) = known {
            let channel = known.channel.clone();
            let requested = Arc::clone(requested);
            ctx.effects.push(Effect::Unsubscribe { channel, attachment: known.id, requested });
        }
        ctx.effects.push(Effect::Attach {
            channel: attachment.channel.clone(),
            attach: Box::new(Attach { attachment: attachment.id, resume, rewind }),
        });
        if let Some(before) = self.attachments.insert(Arc::clone(requested), Box::new(attachment)) {
            ctx.effects.push(Effect::Detach { channel: before.channel, attachment: before.id });
        }
        Ok(())
    }

    /// The attachment that an ATTACH asks for, if it may have it.
    fn check_attach(
        &self,
        ctx: &mut Context<'_>,
        frame: &ProtocolMessage,
        requested: &Arc<str>,
    ) -> Result<Attachment, ErrorInfo> {
        if requested.len() > MAX_REQUESTED {
            return Err(error::INVALID_CHANNEL_NAME.with("channel name with qualifier too long"));
        }
        let channel = ChannelRef::parse(Arc::clone(requested))?;
        self.check_channel(ctx, &channel)?;
        let filter = channel.filter.as_deref().map(Filter::parse).transpose()?;
        let limit = ctx.app.limits.channels_per_connection as usize;
        if limit != 0
            && self.attachments.len() >= limit
            && !self.attachments.contains_key(requested)
        {
            return Err(error::CHANNELS_PER_CONNECTION.info());
        }
        let resource: Arc<str> = channel.resource().into();
        let mut params = channel.params;
        params.extend(frame.params.clone());
        check_rewind(&params)?;
        let mut params = understood(params);
        if !self.principal.capability.permits(&resource, Operation::ChannelMetadata) {
            params.remove("occupancy");
            params.remove("objects");
        }
        let requested_modes = requested_modes(&params, frame.flags.unwrap_or_default());
        let rules = ctx.app.namespace(&channel.name);
        Ok(Attachment {
            id: ctx.attachment_id(),
            channel: channel.name,
            modes: granted_modes(&self.principal.capability, &resource, requested_modes),
            resource,
            requested_modes,
            params,
            filter,
            exposes_timeserial: rules.is_some_and(|rules| rules.expose_timeserial),
            from: None,
            changes_from: None,
            state: State::Attaching,
        })
    }

    /// The host's answer to an attach.
    pub fn attached(&mut self, ctx: &mut Context<'_>, attached: Attached) {
        let known = self.attachments.iter_mut().find(|(_, known)| known.id == attached.attachment);
        // Detached or attached anew meanwhile: the answer is of no use to anyone.
        let Some((requested, attachment)) = known else { return };
        let requested = Arc::clone(requested);
        let resumed = attached.resumed || attachment.state == State::ChangingOptions;
        attachment.state = State::Attached;
        attachment.from = Some(attached.from);
        attachment.changes_from = Some(attached.changes_from);
        let Attached { cursor, members, objects, .. } = &attached;
        let mut answer = attachment.frame(&requested, cursor, members, objects);
        let Some(attachment) = self.attachments.get(&requested) else { return };
        let mut subscription = attachment.subscription(self, &requested);
        let replay = subscription.replay(&attached.replay);
        answer.error = attached.error;
        answer.flags = answer.flags.map(|known| {
            known
                | if resumed { flags::RESUMED } else { 0 }
                | if replay.is_empty() { 0 } else { flags::HAS_BACKLOG }
        });
        let replayed = attached.replay.iter().map(|(entry, _)| ENVELOPE + entry.body.size()).sum();
        self.charge_answer(ctx, replayed);
        self.send(ctx, answer);
        for frame in replay {
            self.send(ctx, frame);
        }
        if !attached.members.is_empty() {
            self.send_members(ctx, &requested, &attached.members);
        }
        self.send_objects(ctx, &requested, &attached.objects);
        ctx.effects.push(Effect::Subscribe(Box::new(subscription)));
    }

    /// Entries were not delivered to this attachment (80020). `cursor` is where it goes on.
    pub fn continuity_lost(
        &mut self,
        ctx: &mut Context<'_>,
        requested: &Arc<str>,
        cursor: &Cursor,
        members: &[Arc<Member>],
        objects: &[ObjectState],
    ) {
        let Some(attachment) = self.attachments.get(requested) else { return };
        let mut answer = attachment.frame(requested, cursor, members, objects);
        answer.error = Some(error::CONTINUITY_LOST.info());
        self.send(ctx, answer);
        if !members.is_empty() {
            self.send_members(ctx, requested, members);
        }
        self.send_objects(ctx, requested, objects);
    }

    /// The objects, as OBJECT_SYNC, if there are any and this attachment sees them. A RESUMED
    /// attach needs them too: clients begin anew with every ATTACHED (RTO4).
    fn send_objects(
        &mut self,
        ctx: &mut Context<'_>,
        requested: &Arc<str>,
        objects: &[ObjectState],
    ) {
        let sees =
            self.attachments.get(requested).is_some_and(|attachment| attachment.sees_objects());
        if sees && !objects.is_empty() {
            let sequence = ctx.sync_sequence();
            let frame_size = ctx.app.limits.max_message_size as usize;
            let pages = object_sync_frames(objects, &sequence, requested, frame_size);
            self.send_pages(ctx, pages);
        }
    }

    fn send_pages(&mut self, ctx: &mut Context<'_>, pages: Vec<ProtocolMessage>) {
        let full = pages.len().saturating_sub(1);
        self.charge_answer(ctx, full * ctx.app.limits.max_message_size as usize);
        for page in pages {
            self.send(ctx, page);
        }
    }

    /// The presence set, as SYNC, if this attachment sees it.
    pub fn send_members(
        &mut self,
        ctx: &mut Context<'_>,
        requested: &Arc<str>,
        members: &[Arc<Member>],
    ) {
        if self.attachments.get(requested).is_some_and(|attachment| attachment.sees_presence()) {
            let sequence = ctx.sync_sequence();
            let frame_size = ctx.app.limits.max_message_size as usize;
            let pages = sync_frames(members, &sequence, requested, frame_size);
            self.send_pages(ctx, pages);
        }
    }

    /// SYNC from a client: it wants the presence set again.
    pub(crate) fn handle_sync(&mut self, ctx: &mut Context<'_>, requested: &Arc<str>) {
        if let Err(error) = self.check_answer_rate(ctx) {
            return self.refuse(ctx, requested, error);
        }
        let known = self.attachments.get(requested);
        if let Some(attachment) = known.filter(|known| known.state == State::Attached) {
            let (channel, requested) = (attachment.channel.clone(), Arc::clone(requested));
            ctx.effects.push(Effect::Sync { channel, requested });
        }
    }

    /// The host refused an attach.
    pub fn attach_refused(
        &mut self,
        ctx: &mut Context<'_>,
        attachment: AttachmentId,
        error: ErrorInfo,
    ) {
        let known = self.attachments.iter().find(|(_, known)| known.id == attachment);
        if let Some(requested) = known.map(|(requested, _)| Arc::clone(requested)) {
            self.attachments.remove(&requested);
            self.fail_channel(ctx, &requested, error);
        }
    }

    pub(crate) fn handle_detach(&mut self, ctx: &mut Context<'_>, requested: &Arc<str>) {
        self.detach(ctx, requested);
        let mut answer = ProtocolMessage::new(Action::Detached);
        answer.channel = Some(Arc::clone(requested));
        self.send(ctx, answer);
    }

    /// Ends an attachment; the session's members on the channel leave with its last one.
    fn detach(&mut self, ctx: &mut Context<'_>, requested: &Arc<str>) {
        let Ok(ChannelRef { name, .. }) = ChannelRef::parse(Arc::clone(requested)) else { return };
        if let Some(attachment) = self.attachments.remove(requested) {
            let (channel, attachment) = (attachment.channel, attachment.id);
            ctx.effects.push(Effect::Detach { channel, attachment });
        }
        // After a resume a client may give up a channel that it has not attached to again.
        if !self.is_attached(&name) {
            self.leave_channel(ctx, &name);
        }
    }

    pub(crate) fn is_attached(&self, channel: &ChannelName) -> bool {
        self.attachments.values().any(|attachment| attachment.channel == *channel)
    }

    /// After a change of credentials: modes shrink or grow, channels that are no longer allowed
    /// fail (RTC8a1).
    pub(crate) fn apply_capability(&mut self, ctx: &mut Context<'_>) {
        self.publishable = None;
        let capability = Arc::clone(&self.principal.capability);
        let mut lost = Vec::new();
        for (requested, attachment) in &mut self.attachments {
            if !capability.permits_any(&attachment.resource) {
                lost.push(Arc::clone(requested));
                continue;
            }
            attachment.modes =
                granted_modes(&capability, &attachment.resource, attachment.requested_modes);
        }
        for requested in lost {
            self.detach(ctx, &requested);
            self.fail_channel(ctx, &requested, error::CAPABILITY_MISSING.info());
        }
        for (requested, attachment) in &self.attachments {
            if attachment.state == State::Attached {
                let subscription = attachment.subscription(self, requested);
                ctx.effects.push(Effect::Subscribe(Box::new(subscription)));
            }
        }
    }

    /// The connection stays. What another attempt may mend is DETACHED, upon which clients try
    /// again by themselves (RTL13b); the rest fails the channel.
    fn fail_channel(&mut self, ctx: &mut Context<'_>, requested: &Arc<str>, error: ErrorInfo) {
        let action = if is_retryable(&error) { Action::Detached } else { Action::Error };
        let mut answer = ProtocolMessage::new(action);
        answer.channel = Some(Arc::clone(requested));
        answer.error = Some(error);
        self.send(ctx, answer);
    }

    /// Whether these credentials may use the channel at all.
    pub(crate) fn check_channel(
        &self,
        ctx: &Context<'_>,
        channel: &ChannelRef,
    ) -> Result<(), ErrorInfo> {
        if !self.principal.capability.permits_any(&channel.resource()) {
            return Err(error::CAPABILITY_MISSING.info());
        }
        check_rules(ctx.app, &channel.name, &self.principal, self.params.security)
    }
}
