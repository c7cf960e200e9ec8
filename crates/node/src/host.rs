//! The core role: channels that this node hosts, from activation to the end of their use, and the
//! link between them and the sessions.

use std::sync::Arc;
use std::time::Duration;

use channel::{Attach, AttachmentId, Channel, Occupancy, Publish};
use session::{Draft, Subscription};
use types::error::ErrorInfo;
use types::{Accepted, AppId, ChannelName, Entry, Timestamp};

use crate::count::{RequestKind, Volume};
use crate::event::{ChannelKey, Effect, Response};
use crate::fanout::{Arrival, Continuity, Fanout, Subscriber};
use crate::form::Completed;
use crate::inband::Telling;
use crate::node::{Node, Publisher, Requester, SessionKey};
use crate::publishers::Waiting;
use crate::status::registration;
use crate::timers::TimerKey;
use crate::window::Window;
use crate::work::Work;

/// How often attachments that are missing something are looked at.
pub(crate) const LOSS_CHECK: Duration = Duration::from_secs(1);

/// Entries that one effect has stored at most: the store takes them all or refuses them all.
const STORED_TOGETHER: usize = 256;

#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) app: AppId,
    pub(crate) host: Channel,
    pub(crate) fanout: Fanout,
    pub(crate) telling: Telling,
}

impl Node {
    /// The active channel of that name; it becomes active if it was not.
    pub(crate) fn activate(
        &mut self,
        now: Timestamp,
        app: &AppId,
        name: &ChannelName,
    ) -> Result<ChannelKey, ErrorInfo> {
        let state = self.apps.get_mut(app).ok_or_else(|| types::error::NOT_FOUND.info())?;
        if let Some(key) = state.active.get(name) {
            return Ok(*key);
        }
        state.admit_channel(now)?;
        let registered = state.register(name).then(|| registration(app, name));
        let key = self.open_channel(now, app, name);
        if let Some(registered) = registered {
            self.keep(vec![registered]);
        }
        key.ok_or_else(|| types::error::NOT_FOUND.info())
    }

    /// Makes the channel active. None if there is no such app.
    pub(crate) fn open_channel(
        &mut self,
        now: Timestamp,
        app: &AppId,
        name: &ChannelName,
    ) -> Option<ChannelKey> {
        let state = self.apps.get_mut(app)?;
        let config = state.channel_config(name, &self.config);
        let fanout = Fanout::new(Window::new(Arc::clone(&config)));
        let host = Channel::new(name.clone(), config, &mut self.rng);
        let slot = Slot { app: app.clone(), host, fanout, telling: Telling::default() };
        let key = self.channels.insert(Box::new(slot));
        state.add_channel(now, name, key);
        self.channel_opened(now, app, name, key);
        Some(key)
    }

    /// The channel if it is active.
    pub(crate) fn active(&self, app: &AppId, name: &ChannelName) -> Option<ChannelKey> {
        self.apps.get(app)?.active.get(name).copied()
    }

    pub(crate) fn on_channel(&mut self, now: Timestamp, key: ChannelKey, event: channel::Event) {
        let Some(slot) = self.channels.get_mut(key) else { return };
        slot.host.handle(now, event, &mut self.channel_effects);
        self.agenda.add(&mut self.channel_effects, |effect| Work::Channel(key, effect));
        self.touch_channel(key);
    }

    pub(crate) fn deactivate(&mut self, now: Timestamp, key: ChannelKey) {
        self.timers.set(TimerKey::Channel(key.0), None);
        for timer in [TimerKey::Losses, TimerKey::Window, TimerKey::Minute, TimerKey::Inband] {
            self.timers.set(timer(key.0), None);
        }
        let Some(slot) = self.channels.remove(key) else { return };
        if let Some(app) = self.apps.get_mut(&slot.app) {
            app.release_channel(now, slot.host.name());
        }
        self.channel_closed(now, &slot.app, slot.host.name());
    }

    pub(crate) fn channel_effect(
        &mut self,
        now: Timestamp,
        key: ChannelKey,
        effect: channel::Effect,
    ) {
        match effect {
            channel::Effect::Attached(attached) => {
                if let Some(session) = self.attachments.get(&attached.attachment).copied() {
                    self.on_session(now, session, |session, ctx| session.attached(ctx, *attached));
                }
            }
            channel::Effect::AttachRefused { attachment, error } => {
                if let Some(session) = self.attachments.remove(&attachment) {
                    self.on_session(now, session, |session, ctx| {
                        session.attach_refused(ctx, attachment, error);
                    });
                }
            }
            channel::Effect::Deliver { entry, cursor } => self.deliver(now, key, entry, cursor),
            channel::Effect::Occupancy(occupancy) => {
                if let Some(slot) = self.channels.get_mut(key) {
                    let changed = |told: Option<&Occupancy>| told != Some(&occupancy);
                    slot.fanout.tell_occupancy(now, &occupancy, changed, &mut self.effects);
                }
            }
            channel::Effect::Published { token, result } => {
                if let Some(Waiting { publisher, volume, .. }) = self.publishers.remove(token) {
                    self.count_decided(now, key, &publisher, volume, result.as_ref());
                    self.log_unheard(now, key, &publisher, result.as_ref().err());
                    self.published(now, publisher, token, result);
                }
            }
            channel::Effect::Store(entry) => self.store(key, entry),
            channel::Effect::StoreObjects(snapshot) => {
                let Some(slot) = self.channels.get(key) else { return };
                self.effects.push(Effect::StoreObjects {
                    app: slot.app.clone(),
                    name: slot.host.name().clone(),
                    snapshot,
                    since: now.minus(slot.host.config().limits.id_window()),
                });
            }
            channel::Effect::KeepLast(entry) => {
                let Some((app, name)) = self.place_of(key) else { return };
                self.effects.push(Effect::KeepLast { app, name, entry });
            }
            channel::Effect::LoadMessages(messages) => {
                let Some((app, name)) = self.place_of(key) else { return };
                self.effects.push(Effect::LoadMessages { channel: key, app, name, messages });
            }
            channel::Effect::LoadBacklog { attachment, query } => {
                let Some((app, name)) = self.place_of(key) else { return };
                let channel = key;
                self.effects.push(Effect::LoadBacklog { channel, attachment, app, name, query });
            }
            channel::Effect::Load => {
                let Some(slot) = self.channels.get(key) else { return };
                self.effects.push(Effect::Load {
                    channel: key,
                    app: slot.app.clone(),
                    name: slot.host.name().clone(),
                    since: now.minus(slot.host.config().limits.id_window()),
                });
            }
        }
    }

    /// With those of the channel that are to be stored already, if nothing came between.
    fn store(&mut self, key: ChannelKey, entry: Arc<Entry>) {
        let Some(slot) = self.channels.get(key) else { return };
        let persisted = slot.host.config().persisted;
        if let Some(Effect::Store { channel, entries, persisted: before, .. }) =
            self.effects.last_mut()
            && (*channel, *before) == (key, persisted)
            && entries.len() < STORED_TOGETHER
        {
            entries.push(entry);
            return;
        }
        self.effects.push(Effect::Store {
            channel: key,
            app: slot.app.clone(),
            name: slot.host.name().clone(),
            entries: vec![entry],
            persisted,
        });
    }

    pub(crate) fn place_of(&self, key: ChannelKey) -> Option<(AppId, ChannelName)> {
        self.channels.get(key).map(|slot| (slot.app.clone(), slot.host.name().clone()))
    }

    /// Tells the attachments that may receive again that they missed something.
    pub(crate) fn recover(&mut self, now: Timestamp, key: ChannelKey) {
        // They are told of a position that covers what waits.
        self.flush(now, key);
        let Some(slot) = self.channels.get_mut(key) else { return };
        let Some(state) = self.apps.get(&slot.app) else { return };
        let limit = state.app.limits.connection_outbound_rate;
        let recovered = slot.fanout.recover(now, limit, &mut self.outbound_rates);
        let next = slot.fanout.is_lossy().then(|| now.plus(LOSS_CHECK));
        self.timers.set(TimerKey::Losses(key.0), next);
        self.tell_of_loss(now, key, &recovered);
    }

    pub(crate) fn tell_of_loss(
        &mut self,
        now: Timestamp,
        key: ChannelKey,
        lossy: &[(AttachmentId, Arc<str>)],
    ) {
        let Some(slot) = self.channels.get(key).filter(|_| !lossy.is_empty()) else { return };
        let cursor = slot.fanout.window.newest().cloned().unwrap_or_else(|| slot.host.head());
        let members: Vec<_> = slot.host.members().cloned().collect();
        let objects = slot.host.objects();
        for (attachment, requested) in lossy {
            if let Some(session) = self.attachments.get(attachment).copied() {
                self.on_session(now, session, |session, ctx| {
                    session.continuity_lost(ctx, requested, &cursor, &members, &objects);
                });
            }
        }
    }

    pub(crate) fn published(
        &mut self,
        now: Timestamp,
        publisher: Publisher,
        token: channel::PublishToken,
        result: Result<Accepted, ErrorInfo>,
    ) {
        match publisher {
            Publisher::Session(key) => {
                let Some(slot) = self.sessions.get_mut(key) else { return };
                if slot.session.published(token, result) {
                    self.unacknowledged.push(key);
                }
                self.touch_session(key);
            }
            Publisher::Other(requester) => self.answer_publish(now, *requester, result),
        }
    }

    fn answer_publish(
        &mut self,
        now: Timestamp,
        requester: Requester,
        result: Result<Accepted, ErrorInfo>,
    ) {
        match requester {
            Requester::Request { id, app, channel, message_id } => {
                self.count_request(now, &app, RequestKind::Other, result.as_ref().err());
                let response = match result {
                    Ok(accepted) => Response::Published { channel, message_id, accepted },
                    Err(error) => Response::Error(error),
                };
                self.effects.push(Effect::Reply { request: id, response });
            }
            Requester::Batch { part, message_id } => {
                self.batch_published(part, message_id, result);
            }
            Requester::Objects { id, app, channel, message_id } => {
                self.count_request(now, &app, RequestKind::Other, result.as_ref().err());
                let response = match result {
                    Ok(accepted) => self.objects_published(&app, &channel, message_id, accepted),
                    Err(error) => Response::Error(error),
                };
                self.effects.push(Effect::Reply { request: id, response });
            }
            Requester::Change { id, app } => {
                self.count_request(now, &app, RequestKind::Other, result.as_ref().err());
                let response = match result {
                    Ok(accepted) => Response::Changed {
                        version_serial: accepted.serial.map(|serial| serial.item(0)),
                    },
                    Err(error) => Response::Error(error),
                };
                self.effects.push(Effect::Reply { request: id, response });
            }
            Requester::Chat(request) => self.chat_published(now, request, result),
            Requester::Push { app, delivery } => {
                self.push_published(now, app, &delivery, result.map(drop));
            }
            Requester::Fixture(id) => self.fixture_published(id, result),
        }
    }

    pub(crate) fn attach(
        &mut self,
        now: Timestamp,
        key: SessionKey,
        channel: &ChannelName,
        attach: Attach,
    ) {
        let Some(app) = self.app_of(key) else { return };
        let attachment = attach.attachment;
        match self.activate(now, &app, channel) {
            Ok(host) => {
                self.attachments.insert(attachment, key);
                self.on_channel(now, host, channel::Event::Attach(attach));
            }
            Err(error) => self.on_session(now, key, |session, ctx| {
                session.attach_refused(ctx, attachment, error);
            }),
        }
    }

    pub(crate) fn detach(
        &mut self,
        now: Timestamp,
        key: SessionKey,
        channel: &ChannelName,
        attachment: AttachmentId,
    ) {
        self.unsubscribe(key, channel, attachment);
        self.attachments.remove(&attachment);
        if let Some(host) = self.app_of(key).and_then(|app| self.active(&app, channel)) {
            self.on_channel(now, host, channel::Event::Detach(attachment));
        }
    }

    pub(crate) fn subscribe(
        &mut self,
        now: Timestamp,
        key: SessionKey,
        subscription: Subscription,
    ) {
        let Some(session) = self.sessions.get(key) else { return };
        let Some(transport) = session.session.transport() else { return };
        let format = session.format;
        let app = session.session.app_id().clone();
        let Some(host) = self.active(&app, &subscription.channel) else { return };
        let Subscription { attachment, occupancy, .. } = subscription;
        let share = subscription.share();
        let inband = subscription.inband;
        let mut arrival = Arrival::Known;
        if let Some(slot) = self.channels.get_mut(host) {
            arrival = slot.fanout.subscribe(Box::new(Subscriber {
                subscription,
                transport,
                format,
                completed: Completed::default(),
                joined: slot.fanout.window.count(),
                continuity: Continuity::Kept,
                told: None,
            }));
        }
        self.on_channel(now, host, channel::Event::Occupy { attachment, share });
        // Whoever wants to know the occupancy learns what it is now.
        if occupancy.is_some()
            && let Some(slot) = self.channels.get_mut(host)
        {
            let occupancy = slot.host.occupancy();
            let is_new = |told: Option<&Occupancy>| told.is_none();
            slot.fanout.tell_occupancy(now, &occupancy, is_new, &mut self.effects);
        }
        if inband.is_some() && arrival == Arrival::New {
            self.greet_with_objects(now, host, attachment);
        }
    }

    pub(crate) fn unsubscribe(
        &mut self,
        key: SessionKey,
        channel: &ChannelName,
        attachment: AttachmentId,
    ) -> Continuity {
        let host = self.app_of(key).and_then(|app| self.active(&app, channel));
        if let Some(slot) = host.and_then(|host| self.channels.get_mut(host)) {
            return slot.fanout.unsubscribe(attachment);
        }
        Continuity::Kept
    }

    /// Ends live delivery to an attachment that the same client's next one replaces. What it was
    /// missing is told: the next one may go on without a replay.
    pub(crate) fn replace(
        &mut self,
        now: Timestamp,
        key: SessionKey,
        channel: &ChannelName,
        attachment: (AttachmentId, Arc<str>),
    ) {
        let host = self.app_of(key).and_then(|app| self.active(&app, channel));
        if let Some(host) = host {
            self.flush_to(now, host, attachment.0);
        }
        let continuity = self.unsubscribe(key, channel, attachment.0);
        if let (Continuity::Lost, Some(host)) = (continuity, host) {
            self.tell_of_loss(now, host, &[attachment]);
        }
    }

    /// Hands a publish of `key`'s session to the host of its channel: mostly the one before went there, too.
    pub(crate) fn publish(&mut self, now: Timestamp, key: SessionKey, draft: Draft) {
        if let Some(count) = draft.uncounted
            && let Err(error) = self.count_resend(now, key, &draft, count)
        {
            return self.published(now, Publisher::Session(key), draft.publish.token, Err(error));
        }
        let Draft { channel, publish, size, uncounted: _ } = draft;
        let Some(slot) = self.sessions.get(key) else { return };
        let last = slot.published_on.as_ref().filter(|(name, _)| *name == channel);
        if let Some((_, host)) = last.filter(|(_, host)| self.channels.contains(*host)) {
            let volume = Volume::sized(&publish.body, size);
            return self.publish_on(now, *host, Publisher::Session(key), publish, volume);
        }
        let app = slot.session.app_id().clone();
        let host = self.publish_in(now, Publisher::Session(key), &app, &channel, publish);
        if let Some(slot) = self.sessions.get_mut(key) {
            slot.published_on = host.map(|host| (channel, host));
        }
    }

    /// Counts what a client sends again as if it were new, unless its channel may know it.
    fn count_resend(
        &mut self,
        now: Timestamp,
        key: SessionKey,
        draft: &Draft,
        count: u32,
    ) -> Result<(), ErrorInfo> {
        let host = self.app_of(key).and_then(|app| self.active(&app, &draft.channel));
        let slot = host.and_then(|host| self.channels.get(host));
        if slot.is_some_and(|slot| slot.host.may_know(&draft.publish.id)) {
            return Ok(());
        }
        let mut counted = Ok(());
        self.on_session(now, key, |session, ctx| {
            counted = session.count_resend(ctx, draft, count);
        });
        counted
    }

    /// Returns the channel that decides, if there is one.
    pub(crate) fn publish_in(
        &mut self,
        now: Timestamp,
        publisher: Publisher,
        app: &AppId,
        channel: &ChannelName,
        publish: Publish,
    ) -> Option<ChannelKey> {
        let within = match &publisher {
            // The session has counted it.
            Publisher::Session(_) => Ok(()),
            Publisher::Other(requester) => match &**requester {
                Requester::Fixture(_) => Ok(()),
                Requester::Request { .. }
                | Requester::Batch { .. }
                | Requester::Change { .. }
                | Requester::Chat(_)
                | Requester::Objects { .. }
                | Requester::Push { .. } => self.use_up(now, app, channel, &publish),
            },
        };
        let volume = Volume::of(&publish.body);
        match within.and_then(|()| self.activate(now, app, channel)) {
            Ok(host) => {
                self.publish_on(now, host, publisher, publish, volume);
                Some(host)
            }
            Err(error) => {
                self.count_refused(now, app, &publisher, volume, &error);
                self.published(now, publisher, publish.token, Err(error));
                None
            }
        }
    }

    fn publish_on(
        &mut self,
        now: Timestamp,
        host: ChannelKey,
        publisher: Publisher,
        publish: Publish,
        volume: Volume,
    ) {
        self.publishers.insert(publish.token, Waiting { host, publisher, volume });
        self.on_channel(now, host, channel::Event::Publish(publish));
    }

    /// Counts a publish against the limits of the app, unless it repeats one that was accepted: a
    /// caller who did not hear of it must learn so in time, whatever the app has used.
    fn use_up(
        &mut self,
        now: Timestamp,
        app: &AppId,
        channel: &ChannelName,
        publish: &Publish,
    ) -> Result<(), ErrorInfo> {
        if self.knows(app, channel, publish) {
            return Ok(());
        }
        let state = self.apps.get_mut(app).ok_or_else(|| types::error::NOT_FOUND.info())?;
        state.usage.publish(now, &state.app.limits, publish.body.len(), publish.body.size())
    }

    /// Whether a publish repeats one that was accepted lately.
    pub(crate) fn knows(&self, app: &AppId, channel: &ChannelName, publish: &Publish) -> bool {
        let host = self.active(app, channel).and_then(|host| self.channels.get(host));
        host.is_some_and(|slot| slot.host.knows(&publish.id))
    }

    pub(crate) fn sync(
        &mut self,
        now: Timestamp,
        key: SessionKey,
        channel: &ChannelName,
        requested: &Arc<str>,
    ) {
        let host = self.app_of(key).and_then(|app| self.active(&app, channel));
        let Some(slot) = host.and_then(|host| self.channels.get(host)) else { return };
        let members: Vec<_> = slot.host.members().cloned().collect();
        self.on_session(now, key, |session, ctx| session.send_members(ctx, requested, &members));
    }

    fn app_of(&self, key: SessionKey) -> Option<AppId> {
        self.sessions.get(key).map(|slot| slot.session.app_id().clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_in_a_kilobyte() {
        assert!(size_of::<Slot>() <= 1024, "{}", size_of::<Slot>());
    }
}
