//! From the commit of an entry to its delivery: at once, or together with what follows.

use std::sync::Arc;

use channel::AttachmentId;
use types::{Body, Cursor, Entry, Timestamp};

use crate::event::ChannelKey;
use crate::fanout::Delivery;
use crate::host::LOSS_CHECK;
use crate::node::Node;
use crate::runs::Grouped;
use crate::timers::TimerKey;
use crate::window::{Arrival, Due, Held};

impl Node {
    /// Takes in a committed entry.
    pub(crate) fn deliver(
        &mut self,
        now: Timestamp,
        key: ChannelKey,
        entry: Arc<Entry>,
        cursor: Cursor,
    ) {
        let Some(slot) = self.channels.get(key) else { return };
        if slot.host.config().persisted {
            self.count_persisted(now, key, &entry);
        }
        self.push_messages(now, key, &entry);
        let changes_objects = matches!(entry.body, Body::Objects(_));
        let Some(slot) = self.channels.get_mut(key) else { return };
        if slot.fanout.is_unheard() {
            slot.fanout.window.note(cursor);
        } else {
            self.take_in(now, key, entry, cursor);
        }
        if changes_objects {
            self.objects_changed(now, key);
        }
    }

    fn take_in(&mut self, now: Timestamp, key: ChannelKey, entry: Arc<Entry>, cursor: Cursor) {
        let rollup = self.rollup(&entry);
        let Some(slot) = self.channels.get_mut(key) else { return };
        let arrival = Arrival { now, rollup, more: slot.host.has_pending() };
        match slot.fanout.window.take_in(entry, cursor, arrival) {
            Due::Now => self.flush(now, key),
            Due::At(at) => self.timers.set(TimerKey::Window(key.0), Some(at)),
        }
    }

    /// How long the publisher of an append lets it wait for more.
    fn rollup(&self, entry: &Entry) -> std::time::Duration {
        let connection = entry.body.change().and(entry.connection_id.as_ref());
        let session = connection.and_then(|id| self.by_connection.get(id));
        let slot = session.and_then(|session| self.sessions.get(*session));
        slot.map_or(session::DEFAULT_APPEND_ROLLUP, |slot| slot.session.append_rollup())
    }

    /// Delivers what waits.
    pub(crate) fn flush(&mut self, now: Timestamp, key: ChannelKey) {
        let Some(slot) = self.channels.get_mut(key) else { return };
        if slot.fanout.window.waits() {
            self.timers.set(TimerKey::Window(key.0), None);
        }
        let held = slot.fanout.window.take(now);
        self.deliver_held(now, key, &held, None);
    }

    /// Delivers what waits to one attachment that will not be there when it is due.
    pub(crate) fn flush_to(&mut self, now: Timestamp, key: ChannelKey, attachment: AttachmentId) {
        let Some(slot) = self.channels.get(key) else { return };
        let held = slot.fanout.window.held().to_vec();
        self.deliver_held(now, key, &held, Some(attachment));
    }

    fn deliver_held(
        &mut self,
        now: Timestamp,
        key: ChannelKey,
        held: &[Held],
        only: Option<AttachmentId>,
    ) {
        let Some(slot) = self.channels.get_mut(key).filter(|_| !held.is_empty()) else { return };
        let Some(state) = self.apps.get(&slot.app) else { return };
        let limits = &state.app.limits;
        let grouped = if slot.fanout.window.groups() {
            Grouped::Messages { max_bytes: limits.max_message_size as usize }
        } else {
            Grouped::No
        };
        let limit = limits.connection_outbound_rate;
        let (rates, host) = (&mut self.outbound_rates, &slot.host);
        let delivery = Delivery { now, channel: key, limit, rates, held, grouped, only, host };
        let delivered = slot.fanout.deliver(delivery, &mut self.effects);
        let app = slot.app.clone();
        self.count_deliveries(now, &app, delivered.sent);
        self.count_processed(now, key, &delivered.deltas, delivered.batches);
        if !delivered.changed.is_empty() {
            self.timers.set(TimerKey::Losses(key.0), Some(now.plus(LOSS_CHECK)));
            self.tell_of_loss(now, key, &delivered.changed);
            self.log_loss(now, key);
        }
    }
}
