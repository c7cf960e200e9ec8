//! What an event leaves to be done once it is worked off: sessions and channels that something has happened
//! to are looked at once, however much it was, for when they want to be called again, and whether the
//! channel is still needed.

use types::Timestamp;

use crate::event::ChannelKey;
use crate::node::{Node, SessionKey};
use crate::timers::TimerKey;

impl Node {
    /// Notes that something happens to a session.
    pub(crate) fn touch_session(&mut self, key: SessionKey) {
        if self.touched_sessions.last() != Some(&key) {
            self.touched_sessions.push(key);
        }
    }

    /// Notes that something happens to a channel.
    pub(crate) fn touch_channel(&mut self, key: ChannelKey) {
        if self.touched_channels.last() != Some(&key) {
            self.touched_channels.push(key);
        }
    }

    /// Works off what there is, and looks at what was touched. The end of a channel may touch another.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        self.work_off(now);
        loop {
            if let Some(key) = self.touched_sessions.pop() {
                self.schedule_session(key);
            } else if let Some(key) = self.touched_channels.pop() {
                self.schedule_channel(now, key);
                self.work_off(now);
            } else {
                return;
            }
        }
    }

    fn schedule_session(&mut self, key: SessionKey) {
        let slot = self.sessions.get(key);
        let deadline = slot.and_then(|slot| slot.session.next_deadline(&self.config.limits));
        self.timers.set(TimerKey::Session(key.0), deadline);
    }

    /// Ends the channel if it is idle.
    fn schedule_channel(&mut self, now: Timestamp, key: ChannelKey) {
        let Some(slot) = self.channels.get(key) else { return };
        if slot.host.is_idle(now) {
            self.deactivate(now, key);
        } else {
            self.timers.set(TimerKey::Channel(key.0), slot.host.next_deadline());
        }
    }
}
