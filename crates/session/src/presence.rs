//! PRESENCE from a client, and the members that leave with the session.

use auth::Operation;
use channel::Publish;
use protocol::{ProtocolMessage, flags};
use types::error::{self, ErrorInfo};
use types::{
    Body, ChannelName, ChannelRef, ClientId, ConnectionId, EntryId, PresenceAction, PresenceMessage,
};

use crate::claims::stamp_user_claim;
use crate::publish::{self, Checked};
use crate::session::Session;
use crate::{Context, Draft, Effect};

impl Session {
    pub(crate) fn handle_presence(
        &mut self,
        ctx: &mut Context<'_>,
        frame: &mut ProtocolMessage,
    ) -> Option<Draft> {
        let count = u32::try_from(frame.presence.len()).unwrap_or(u32::MAX);
        self.handle_publish(ctx, frame, count, |session, ctx, frame| {
            session.check_presence_frame(ctx, frame)
        })
    }

    fn check_presence_frame(&self, ctx: &Context<'_>, frame: &mut ProtocolMessage) -> Checked {
        let channel = ChannelRef::parse(frame.channel.take().unwrap_or_default())?;
        if channel.filter.is_some() {
            return Err(error::INVALID_CHANNEL_NAME.with("a derived channel has no presence"));
        }
        if !self.principal.capability.permits(channel.name.as_str(), Operation::Presence) {
            return Err(error::CAPABILITY_MISSING.info());
        }
        let Some(attachment) = self.attachments.get(&channel.requested) else {
            return Err(error::PRESENCE_NOT_ATTACHED.info());
        };
        if attachment.modes & flags::PRESENCE == 0 {
            return Err(error::MODE_MISSING.info());
        }
        if frame.presence.is_empty() {
            return Err(error::INVALID_PUBLISH.with("a presence frame needs at least one event"));
        }
        publish::check_size(
            frame.presence.iter().map(PresenceMessage::size).sum(),
            &ctx.app.limits,
        )?;
        let msg_serial = frame.msg_serial.unwrap_or_default();
        for (index, item) in frame.presence.iter_mut().enumerate() {
            self.check_presence(item)?;
            item.id.get_or_insert_with(|| format!("{}:{msg_serial}:{index}", self.id).into());
        }
        Ok((
            channel.name,
            self.presence_id(msg_serial),
            Body::Presence(std::mem::take(&mut frame.presence)),
        ))
    }

    fn check_presence(&self, item: &mut PresenceMessage) -> Result<(), ErrorInfo> {
        match item.action {
            PresenceAction::Enter | PresenceAction::Update | PresenceAction::Leave => {}
            PresenceAction::Absent | PresenceAction::Present => {
                return Err(error::BAD_REQUEST.with("clients may enter, update and leave"));
            }
        }
        publish::check_labels(item.id.as_deref(), item.encoding.as_deref())?;
        let client_id = self.principal.check_client_id(item.client_id.as_ref())?;
        if client_id.is_none() {
            return Err(error::PRESENCE_NO_CLIENT_ID.info());
        }
        item.client_id = client_id;
        item.connection_id = None;
        item.timestamp = None;
        Ok(())
    }

    /// A presence frame is accepted once for each life of the session's members: an ENTER that is
    /// sent again after its member had to leave is not a repeat (amendment 22).
    fn presence_id(&self, msg_serial: i64) -> EntryId {
        let connection_id = match self.presence_life {
            0 => self.id.clone(),
            life => ConnectionId::new(format!("{}.{life}", self.id)),
        };
        EntryId::Connection { connection_id, msg_serial }
    }

    /// All members leave all channels.
    pub(crate) fn leave_all(&mut self, ctx: &mut Context<'_>) {
        self.presence_life = self.epoch.saturating_add(1);
        for channel in self.members.channels() {
            self.leave_channel(ctx, &channel);
        }
    }

    /// Members leave the channels that the client did not attach to again.
    pub(crate) fn leave_unattached(&mut self, ctx: &mut Context<'_>) {
        for channel in self.members.channels() {
            if !self.is_attached(&channel) {
                self.leave_channel(ctx, &channel);
            }
        }
    }

    /// Synthesises the LEAVE of this session's members on `channel`. Its ids do not start with the
    /// connectionId, which tells clients that the server made them (RTP2b1), and no client can
    /// publish under them.
    pub(crate) fn leave_channel(&mut self, ctx: &mut Context<'_>, channel: &ChannelName) {
        let members = self.members.take(channel);
        if members.is_empty() {
            return;
        }
        self.leaves += 1;
        let connection_id = ConnectionId::new(format!("leave-{}-{}", self.id, self.epoch));
        let id = EntryId::Connection { connection_id, msg_serial: self.leaves };
        let leave = |client_id: ClientId| PresenceMessage {
            client_id: Some(client_id),
            connection_id: Some(self.id.clone()),
            ..PresenceMessage::new(PresenceAction::Leave)
        };
        let mut body = Body::Presence(members.into_iter().map(leave).collect());
        stamp_user_claim(&self.principal, channel, &mut body);
        let publish =
            Publish { token: ctx.publish_token(), id, connection_id: None, owner: None, body };
        let (channel, size) = (channel.clone(), publish.body.size());
        let draft = Draft { channel, publish, size, uncounted: None };
        ctx.effects.push(Effect::Publish(Box::new(draft)));
    }
}
