//! Carrying out jobs: one that is for a channel is a publish of the node's own, any other is the
//! driver's. Either way its end lets the next job of the device run.

use std::convert::identity;
use std::time::Duration;

use auth::{Credentials, Source};
use push::{Delivery, Failure, Lasting, Transport};
use serde_json::Value;
use types::error::ErrorInfo;
use types::{AppId, Data, Message, Metachannel, Timestamp};

use super::records;
use crate::apps::{admit, identify};
use crate::event::Effect;
use crate::node::{Node, Requester};
use crate::timers::TimerKey;
use crate::work::Work;

/// How long a notification takes to a channel, in place of the way through a provider. Test suites
/// begin to listen to the channel in the same moment in which they notify.
const CHANNEL_DELAY: Duration = Duration::from_millis(500);

/// The name of the message that stands for a notification.
const MESSAGE_NAME: &str = "__ably_push__";

impl Node {
    pub(crate) fn deliver_push(&mut self, now: Timestamp, app: AppId, delivery: Delivery) {
        match delivery.recipient.transport() {
            Transport::Apns | Transport::Fcm | Transport::Web => {
                self.effects.push(Effect::Push { app, delivery });
            }
            Transport::Channel => {
                let at = now.plus(CHANNEL_DELAY);
                if self.channel_pushes.is_empty() {
                    self.timers.set(TimerKey::Pushes, Some(at));
                }
                self.channel_pushes.push_back((at, app, delivery));
            }
        }
    }

    /// Publishes the notifications whose time has come.
    pub(crate) fn push_to_channels(&mut self, now: Timestamp) {
        while let Some((_, app, delivery)) = self.channel_pushes.pop_front_if(|(at, ..)| *at <= now)
        {
            self.push_to_channel(now, app, delivery);
        }
        let next = self.channel_pushes.front().map(|(at, ..)| *at);
        self.timers.set(TimerKey::Pushes, next);
    }

    /// The device keeps what is wrong with it.
    pub(crate) fn push_settled(
        &mut self,
        now: Timestamp,
        app: AppId,
        delivery: &Delivery,
        outcome: Result<(), Failure>,
    ) {
        let failure = outcome.as_ref().err().cloned();
        let Some(state) = self.apps.get_mut(&app) else { return };
        let Some(settled) = state.push.settle(delivery, outcome) else { return };
        self.count_push(
            now,
            &app,
            delivery.recipient.transport(),
            failure.as_ref().map(|failure| failure.lasting),
        );
        if let Some(Failure { error, .. }) = failure {
            let device = settled.device.as_ref();
            let about: Vec<_> =
                device.map(|device| ("deviceId", device.id.as_str())).into_iter().collect();
            self.log(now, &app, Metachannel::PushLog, &error, &about);
        }
        let change = settled.device.map(|device| records::keep_device(&app, &device));
        if let Some(Ok(change)) = change {
            self.keep(vec![change]);
        }
        let next = settled.next.map(|delivery| Work::Push { app, delivery });
        self.agenda.add(&mut Vec::from_iter(next), identity);
    }

    /// Publishes with the key of the address, as far as that goes. The server that the address names
    /// is this one, or the key is unknown.
    fn push_to_channel(&mut self, now: Timestamp, app: AppId, delivery: Delivery) {
        let text = |name| delivery.recipient.text(name).unwrap_or_default();
        let credentials = Credentials::Key(text("ablyKey").to_owned());
        let key = &self.config.sealing_key;
        // A key that is restricted to addresses or origins is none for a publish from here.
        let principal = identify(&self.apps, key, &credentials, None, auth::Place::Rest, now)
            .and_then(|principal| {
                admit(&self.apps, &principal, None, &Source::default()).map(|()| principal)
            })
            .map_err(|error| failure(error, Lasting::Yes));
        let message = Message {
            name: Some(MESSAGE_NAME.into()),
            data: Data::Text(Value::Object(delivery.payload.fields().clone()).to_string().into()),
            ..Message::default()
        };
        let checked = principal.and_then(|principal| {
            let publish = self.check_publish(now, &principal, text("channel"), vec![message]);
            let (name, publish, _) = publish.map_err(|error| failure(error, Lasting::No))?;
            Ok((principal.app_id, name, publish))
        });
        match checked {
            Ok((of, name, publish)) => {
                let publisher = Requester::Push { app, delivery };
                self.publish_in(now, publisher.into(), &of, &name, publish);
            }
            Err(failure) => self.push_settled(now, app, &delivery, Err(failure)),
        }
    }

    pub(crate) fn push_published(
        &mut self,
        now: Timestamp,
        app: AppId,
        delivery: &Delivery,
        outcome: Result<(), ErrorInfo>,
    ) {
        self.push_settled(now, app, delivery, outcome.map_err(|error| failure(error, Lasting::No)));
    }
}

fn failure(error: ErrorInfo, lasting: Lasting) -> Failure {
    Failure { error, lasting }
}
