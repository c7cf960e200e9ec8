//! Notifications: sent to devices, clients and addresses directly, and by messages to those who are
//! subscribed to a channel.

use std::convert::identity;

use push::{JobId, Payload, Target};
use serde_json::{Map, Value};
use types::error::{self, ErrorInfo};
use types::{AppId, Body, Entry, Message, MessageAction, Timestamp};

use super::Notified;
use crate::event::ChannelKey;
use crate::node::Node;
use crate::work::Work;

/// Notifications of one batch; more are refused (40034).
const MAX_BATCH: usize = 10_000;

impl Node {
    pub(super) fn push_directly(
        &mut self,
        now: Timestamp,
        app: &AppId,
        mut body: Map<String, Value>,
    ) -> Result<(), ErrorInfo> {
        let recipient = body.remove("recipient").unwrap_or_default();
        let target = Target::parse(&recipient)?;
        let payload = self.payload(app, &Value::Object(body))?;
        self.push_to(now, app, target, &payload)
    }

    /// A result for each recipient.
    pub(super) fn push_batch(
        &mut self,
        now: Timestamp,
        app: &AppId,
        specs: &[Value],
    ) -> Result<Vec<Notified>, ErrorInfo> {
        let recipients = |spec: &Value| match spec.get("recipient") {
            Some(Value::Array(all)) => all.clone(),
            Some(one) => vec![one.clone()],
            None => vec![Value::Null],
        };
        let specs: Vec<_> =
            specs.iter().map(|spec| (recipients(spec), spec.get("payload"))).collect();
        let count: usize = specs.iter().map(|(recipients, _)| recipients.len()).sum();
        if count > MAX_BATCH {
            return Err(error::TOO_MANY_MESSAGES
                .with(format!("a batch has at most {MAX_BATCH} notifications")));
        }
        let mut results = Vec::with_capacity(count);
        for (recipients, payload) in specs {
            let payload = self.payload(app, payload.unwrap_or(&Value::Null));
            for recipient in recipients {
                let sent = payload.clone().and_then(|payload| {
                    self.push_to(now, app, Target::parse(&recipient)?, &payload)
                });
                results.push((recipient, sent));
            }
        }
        Ok(results)
    }

    /// Notifies the subscribers of a channel of messages that say so. Nobody is told what becomes of
    /// that: the messages are published whether or not it works.
    pub(crate) fn push_messages(&mut self, now: Timestamp, channel: ChannelKey, entry: &Entry) {
        let Body::Messages(messages) = &entry.body else { return };
        let payloads = messages.iter().filter_map(payload_of);
        for payload in payloads.filter_map(|value| Payload::parse(value).ok()) {
            let Some((app, name)) = self.place_of(channel) else { return };
            let Some(state) = self.apps.get_mut(&app) else { return };
            state.stats.at(now).push.channel_messages += 1;
            let enabled = state.app.namespace(&name).is_some_and(|rules| rules.push_enabled);
            let targets = if enabled { state.push.subscribed(&name) } else { Vec::new() };
            if state.admit_push(now, targets.len()).is_err() {
                return;
            }
            for target in targets {
                if self.start_push(&app, &target, &payload).is_err() {
                    return;
                }
            }
        }
    }

    fn push_to(
        &mut self,
        now: Timestamp,
        app: &AppId,
        target: Target,
        payload: &Payload,
    ) -> Result<(), ErrorInfo> {
        let state = self.app_mut(app)?;
        let targets = state.push.resolve(target)?;
        state.admit_push(now, targets.len())?;
        state.stats.at(now).push.direct_publishes += 1;
        targets.iter().try_for_each(|target| self.start_push(app, target, payload))
    }

    fn start_push(
        &mut self,
        app: &AppId,
        target: &Target,
        payload: &Payload,
    ) -> Result<(), ErrorInfo> {
        let job = JobId(self.next());
        let delivery = self.app_mut(app)?.push.start(job, target, payload.clone())?;
        let first = delivery.map(|delivery| Work::Push { app: app.clone(), delivery });
        self.agenda.add(&mut Vec::from_iter(first), identity);
        Ok(())
    }

    /// 40000 if it is none, 40009 if it is longer than a message may be.
    fn payload(&self, app: &AppId, value: &Value) -> Result<Payload, ErrorInfo> {
        let limit = self.apps.get(app).map_or(0, |state| state.app.limits.max_message_size);
        let payload = Payload::parse(value).map_err(|reason| error::BAD_REQUEST.with(reason))?;
        if value.to_string().len() > limit as usize {
            return Err(error::TOO_LARGE.with(format!("a payload has at most {limit} bytes")));
        }
        Ok(payload)
    }
}

/// What a new message wants to be pushed.
fn payload_of(message: &Message) -> Option<&Value> {
    let extras = message.extras.as_ref().filter(|_| message.action == MessageAction::Create);
    extras.and_then(|extras| extras.get("push"))
}
