//! Subscriptions of devices and clients to the notifications of channels (RSH1c, RSH7).

use auth::Operation;
use push::{Subscriber, Subscription, SubscriptionFilter};
use serde_json::{Map, Value};
use types::ChannelName;
use types::error::{self, ErrorInfo};

use super::{Actor, Done, PushResponse, records};
use crate::event::Response;
use crate::node::Node;

impl Node {
    pub(super) fn subscribe_to_push(
        &mut self,
        actor: &Actor,
        details: &Map<String, Value>,
    ) -> Result<Done, ErrorInfo> {
        let subscription = Subscription::parse(details)?;
        let Subscription { channel, subscriber } = &subscription;
        if !actor.is_admin_of(Some(channel)) {
            self.check_own(actor, Some(channel), subscriber)?;
        }
        let app = self.app_mut(&actor.principal.app_id)?;
        if !app.app.namespace(channel).is_some_and(|rules| rules.push_enabled) {
            return Err(error::UNAUTHORIZED.with("push is not enabled for this channel"));
        }
        if let Subscriber::Device(id) = subscriber
            && app.push.devices.get(id).is_none()
        {
            return Err(error::INVALID_DEVICE_ID.with("the device is not registered"));
        }
        app.push.subscriptions.insert(subscription.clone())?;
        let change = records::keep_subscription(&actor.principal.app_id, &subscription);
        Ok((Response::Push(PushResponse::Subscription(subscription)), vec![change]))
    }

    pub(super) fn unsubscribe_from_push(
        &mut self,
        actor: &Actor,
        filter: &SubscriptionFilter,
    ) -> Result<Done, ErrorInfo> {
        if filter.channel.is_none() && filter.subscribers.is_empty() {
            return Err(error::BAD_REQUEST.with("say which subscriptions to remove"));
        }
        self.check_filter(actor, filter)?;
        let app = &actor.principal.app_id;
        let ended = self.app_mut(app)?.push.subscriptions.remove(filter);
        let changes = ended.iter().map(|ended| records::delete_subscription(app, ended));
        Ok((Response::NoContent, changes.collect()))
    }

    /// Whether everything that `filter` can select is the actor's business.
    pub(super) fn check_filter(
        &self,
        actor: &Actor,
        filter: &SubscriptionFilter,
    ) -> Result<(), ErrorInfo> {
        let channel = filter.channel.as_ref();
        if actor.is_admin_of(channel) {
            return Ok(());
        }
        if filter.subscribers.is_empty() {
            return Err(error::CAPABILITY_MISSING.info());
        }
        filter.subscribers.iter().try_for_each(|whose| self.check_own(actor, channel, whose))
    }

    /// Whether `subscriber` is the actor itself, and it may subscribe to push on the channel.
    fn check_own(
        &self,
        actor: &Actor,
        channel: Option<&ChannelName>,
        subscriber: &Subscriber,
    ) -> Result<(), ErrorInfo> {
        let capability = &actor.principal.capability;
        let permitted = match channel {
            Some(channel) => capability.permits(channel.as_str(), Operation::PushSubscribe),
            None => capability.permits_somewhere(Operation::PushSubscribe),
        };
        if !permitted {
            return Err(error::CAPABILITY_MISSING.info());
        }
        match subscriber {
            Subscriber::Client(id) => actor.principal.check_client_id(Some(id)).map(drop),
            Subscriber::Device(id) => self.device(actor, id.as_str()).map(drop),
        }
    }
}

impl Actor {
    /// Whether it may do everything on the channel, or on all channels.
    fn is_admin_of(&self, channel: Option<&ChannelName>) -> bool {
        let of = |channel: &ChannelName| {
            self.principal.capability.permits(channel.as_str(), Operation::PushAdmin)
        };
        channel.map_or_else(|| self.is_admin(), of)
    }
}
