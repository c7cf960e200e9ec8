//! What a session does because time passed: heartbeats, the expiry of its token, the members that
//! leave, the end of a connection that nobody resumed.

use std::sync::Arc;
use std::time::Duration;

use auth::Method;
use protocol::{Action, ProtocolMessage};
use types::{NodeLimits, Timestamp, error};

use crate::session::Session;
use crate::{Context, Effect, Heartbeats};

/// How long before its token expires a client is asked for a new one (RTN22).
const REAUTH_MARGIN: Duration = Duration::from_secs(30);
/// How long after a resume a client may take to attach its channels again: longer than client
/// libraries wait for an answer to ATTACH.
const REATTACH_WITHIN: Duration = Duration::from_secs(15);
/// How long the answer to a ping waits, by a clock of milliseconds: never less than one, so that
/// clients which count whole milliseconds measure a time at all.
const PING_PAUSE: Duration = Duration::from_millis(2);
const NEVER: Timestamp = Timestamp(u64::MAX);

impl Session {
    /// When [`Session::tick`] has something to do, at the latest.
    pub fn next_deadline(&self, limits: &NodeLimits) -> Option<Timestamp> {
        match self.dropped_at {
            None => {
                let token = self
                    .principal
                    .ends_at()
                    .map(|end| if self.reauth_requested { end } else { end.minus(REAUTH_MARGIN) });
                let answer = self.pings.front().map(|(at, _)| *at);
                let deadlines = [token, self.heartbeat_at, self.reattach_by, answer];
                let earliest = deadlines.map(|at| at.unwrap_or(NEVER)).into_iter().min();
                earliest.filter(|at| *at != NEVER)
            }
            Some(dropped_at) if self.members.is_empty() => Some(dropped_at.plus(state_ttl(limits))),
            Some(dropped_at) => Some(dropped_at.plus(self.grace(limits))),
        }
    }

    pub fn tick(&mut self, ctx: &mut Context<'_>) {
        match self.dropped_at {
            None => self.tick_connected(ctx),
            Some(dropped_at) => {
                if ctx.now >= dropped_at.plus(self.grace(ctx.limits)) && !self.members.is_empty() {
                    self.leave_all(ctx);
                }
                if ctx.now >= dropped_at.plus(state_ttl(ctx.limits)) {
                    self.end(
                        ctx,
                        Some(error::RESUME_FAILED.with("the connection was not resumed in time")),
                    );
                }
            }
        }
    }

    fn tick_connected(&mut self, ctx: &mut Context<'_>) {
        if let Some(end) = self.principal.ends_at() {
            let revoked = self.principal.revoked_at == Some(end);
            if ctx.now >= end {
                match (revoked, self.principal.method) {
                    (true, _) => self.disconnect(ctx, Some(error::TOKEN_REVOKED.info())),
                    (false, Method::Basic) => self.fail(ctx, error::KEY_EXPIRED.info()),
                    (false, Method::Token | Method::Jwt) => {
                        self.disconnect(ctx, Some(error::TOKEN_EXPIRED.info()));
                    }
                }
                return;
            }
            if ctx.now >= end.minus(REAUTH_MARGIN) && !self.reauth_requested {
                self.reauth_requested = true;
                let issued = self.principal.issued.unwrap_or(ctx.now);
                if revoked || end.since(issued) > REAUTH_MARGIN {
                    self.send(ctx, ProtocolMessage::new(Action::Auth));
                }
            }
        }
        if self.reattach_by.is_some_and(|by| ctx.now >= by) {
            self.reattach_by = None;
            self.leave_unattached(ctx);
        }
        while let Some((_, id)) = self.pings.pop_front_if(|(at, _)| ctx.now >= *at) {
            let mut answer = ProtocolMessage::new(Action::Heartbeat);
            answer.id = Some(id);
            self.send(ctx, answer);
        }
        if self.heartbeat_at.is_some_and(|at| ctx.now >= at) {
            self.schedule_heartbeat(ctx);
            match self.params.heartbeats {
                Heartbeats::Messages => self.send(ctx, ProtocolMessage::new(Action::Heartbeat)),
                Heartbeats::TransportPings => ctx.effects.extend(self.transport.map(Effect::Ping)),
            }
        }
    }

    /// A heartbeat without an id asks for nothing (RTN13e).
    pub(crate) fn handle_heartbeat(&mut self, ctx: &Context<'_>, id: Option<Arc<str>>) {
        self.pings.extend(id.map(|id| (ctx.now.plus(PING_PAUSE), id)));
    }

    /// A transport has come: from now on it is told that the server is there.
    pub(crate) fn schedule(&mut self, ctx: &Context<'_>) {
        self.schedule_heartbeat(ctx);
        self.reattach_by = (!self.members.is_empty()).then(|| ctx.now.plus(REATTACH_WITHIN));
    }

    fn schedule_heartbeat(&mut self, ctx: &Context<'_>) {
        let interval = self.heartbeat_interval(ctx);
        // An interval of 0 tells clients not to expect any (CD2h).
        self.heartbeat_at = (!interval.is_zero()).then(|| ctx.now.plus(interval));
    }

    pub(crate) fn heartbeat_interval(&self, ctx: &Context<'_>) -> Duration {
        self.params
            .heartbeat_interval
            .unwrap_or(Duration::from_millis(ctx.limits.max_idle_interval_ms))
    }

    fn grace(&self, limits: &NodeLimits) -> Duration {
        self.params
            .remain_present_for
            .unwrap_or(Duration::from_millis(limits.remain_present_for_ms))
            .min(state_ttl(limits))
    }
}

fn state_ttl(limits: &NodeLimits) -> Duration {
    Duration::from_millis(limits.connection_state_ttl_ms)
}
