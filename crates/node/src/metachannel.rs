//! Metachannels: what the server says of an app to those who listen. They are channels like others,
//! with rewind, resume and history of what was said while somebody listened; but only the server
//! publishes on them, and they are not themselves spoken of.
//!
//! Invariant: nothing is made up without an audience; what is not said costs one look into a map.

use std::sync::Arc;

use auth::{Operation as Capability, Principal};
use channel::{Limits, Publish, PublishToken};
use serde_json::{Map, Value, json};
use types::error::{self, ErrorInfo};
use types::{
    AppId, Body, ChannelName, Data, EntryId, Message, Metachannel, Timestamp, random_text,
};

use crate::event::{ChannelDetails, ChannelKey};
use crate::node::{Node, Publisher};
use crate::rest::MESSAGE_ID_LENGTH;
use crate::timers::TimerKey;

/// Of samples and errors, whose number clients decide: what is beyond it in a second is not said.
const EVENTS_PER_SECOND: u32 = 50;
const MINUTE_MS: u64 = 60_000;

/// The limits of a channel, which are others for metachannels: what they say is no client's.
pub(crate) fn limit(name: &ChannelName, limits: &mut Limits) {
    let Some(metachannel) = name.metachannel() else { return };
    limits.kib_rate = 0;
    limits.message_rate = match metachannel {
        // As many as there are channels, connections and minutes, which have limits of their own.
        Metachannel::ChannelLifecycle
        | Metachannel::ConnectionLifecycle
        | Metachannel::MinuteStats => 0,
        Metachannel::ConnectionEvents
        | Metachannel::RequestEvents
        | Metachannel::Log
        | Metachannel::PushLog => EVENTS_PER_SECOND,
    };
}

impl Node {
    /// The metachannel, if anybody listens.
    pub(crate) fn audience(
        &self,
        now: Timestamp,
        app: &AppId,
        metachannel: Metachannel,
    ) -> Option<ChannelKey> {
        let host = self.apps.get(app)?.metachannels.get(&metachannel)?;
        self.channels.get(*host).filter(|slot| slot.host.has_audience(now)).map(|_| *host)
    }

    /// Who asks a metachannel for its history listens for a while, as if attached.
    pub(crate) fn listen(
        &mut self,
        now: Timestamp,
        principal: &Principal,
        channel: &str,
    ) -> Result<(), ErrorInfo> {
        if channel.starts_with(Metachannel::PREFIX) {
            let name = self.channel_for(principal, channel, &[Capability::History])?;
            let host = self.activate(now, &principal.app_id, &name)?;
            self.on_channel(now, host, channel::Event::Linger);
        }
        Ok(())
    }

    /// Says what `data` makes, if anybody listens.
    pub(crate) fn tell(
        &mut self,
        now: Timestamp,
        app: &AppId,
        metachannel: Metachannel,
        event: &'static str,
        data: impl FnOnce(&Self) -> Value,
    ) {
        if let Some(host) = self.audience(now, app, metachannel) {
            let data = data(self);
            self.say(now, host, event, &data);
        }
    }

    fn say(&mut self, now: Timestamp, host: ChannelKey, event: &'static str, data: &Value) {
        let publish = Publish {
            token: PublishToken(self.next()),
            id: EntryId::Named(random_text(&mut self.rng, MESSAGE_ID_LENGTH).into()),
            connection_id: None,
            owner: None,
            body: Body::Messages(vec![Message {
                name: Some(event.into()),
                data: Data::Text(data.to_string().into()),
                encoding: Some(Arc::from("json")),
                ..Message::default()
            }]),
        };
        self.on_channel(now, host, channel::Event::Publish(publish));
    }

    /// Says on `log` what went wrong without any client being told.
    pub(crate) fn log(
        &mut self,
        now: Timestamp,
        app: &AppId,
        log: Metachannel,
        error: &ErrorInfo,
        about: &[(&str, &str)],
    ) {
        self.tell(now, app, log, "error", |_| {
            let mut fields = describe_error(error);
            fields.extend(about.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())));
            fields.into()
        });
    }

    /// Says that connections do not receive all that they have subscribed to.
    pub(crate) fn log_loss(&mut self, now: Timestamp, host: ChannelKey) {
        let Some(slot) = self.channels.get(host).filter(|slot| slot.fanout.is_lossy()) else {
            return;
        };
        if slot.host.name().metachannel().is_none() {
            let (app, name) = (slot.app.clone(), slot.host.name().clone());
            let error = error::OUTBOUND_RATE_LIMIT.info();
            self.log(now, &app, Metachannel::Log, &error, &[("channel", name.as_str())]);
        }
    }

    /// Says that a publish was refused whose session is over.
    pub(crate) fn log_unheard(
        &mut self,
        now: Timestamp,
        host: ChannelKey,
        publisher: &Publisher,
        error: Option<&ErrorInfo>,
    ) {
        let (Publisher::Session(session), Some(error)) = (publisher, error) else { return };
        let Some(slot) = self.channels.get(host) else { return };
        if !self.sessions.contains(*session) {
            let (app, name) = (slot.app.clone(), slot.host.name().clone());
            self.log(now, &app, Metachannel::Log, error, &[("channel", name.as_str())]);
        }
    }

    pub(crate) fn channel_opened(
        &mut self,
        now: Timestamp,
        app: &AppId,
        name: &ChannelName,
        key: ChannelKey,
    ) {
        let Some(metachannel) = name.metachannel() else {
            self.tell_lifecycle(now, app, name, ["channel.opened", "channel.region.active"]);
            return;
        };
        if let Some(state) = self.apps.get_mut(app) {
            state.metachannels.insert(metachannel, key);
        }
        if metachannel == Metachannel::MinuteStats {
            // For those who want the newest at once (`rewind=1`).
            self.say_minute(now, app, key);
        }
    }

    pub(crate) fn channel_closed(&mut self, now: Timestamp, app: &AppId, name: &ChannelName) {
        let Some(metachannel) = name.metachannel() else {
            self.tell_lifecycle(now, app, name, ["channel.region.inactive", "channel.closed"]);
            return;
        };
        if let Some(state) = self.apps.get_mut(app) {
            state.metachannels.remove(&metachannel);
        }
    }

    fn tell_lifecycle(
        &mut self,
        now: Timestamp,
        app: &AppId,
        name: &ChannelName,
        events: [&'static str; 2],
    ) {
        for event in events {
            self.tell(now, app, Metachannel::ChannelLifecycle, event, |node| {
                let details = node.details(app, name.clone());
                node.with_region(event, &details)
            });
        }
    }

    fn with_region(&self, event: &str, details: &ChannelDetails) -> Value {
        let mut data = details.describe();
        if let (true, Some(fields)) = (event.contains(".region."), data.as_object_mut()) {
            fields.insert("region".into(), self.config.identity.site.as_str().into());
        }
        data
    }

    /// A minute is over for those who listen to `host`.
    pub(crate) fn minute_over(&mut self, now: Timestamp, host: ChannelKey) {
        let Some(slot) = self.channels.get(host) else { return };
        let app = slot.app.clone();
        if slot.host.has_audience(now) {
            self.say_minute(now, &app, host);
        }
    }

    fn say_minute(&mut self, now: Timestamp, app: &AppId, host: ChannelKey) {
        let next = Timestamp((now.0 / MINUTE_MS + 1) * MINUTE_MS);
        self.timers.set(TimerKey::Minute(host.0), Some(next));
        let Some(state) = self.apps.get_mut(app) else { return };
        let data = state.stats.last_minute(now).flat(app);
        self.say(now, host, "update", &data);
    }
}

/// As [`ErrorInfo`] is written for clients.
pub(crate) fn describe_error(error: &ErrorInfo) -> Map<String, Value> {
    let fields = json!({
        "code": error.code,
        "statusCode": error.status,
        "message": error.message.as_ref(),
    });
    fields.as_object().cloned().unwrap_or_default()
}
