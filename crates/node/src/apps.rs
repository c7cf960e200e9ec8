//! What the node keeps per app beside its document: rates, counts, used nonces and revocations.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use auth::{Credentials, Nonces, Place, Principal, Revocations, SealingKey, Source};
use push::Push;
use session::ClaimedRates;
use stats::Stats;
use types::error::{self, ErrorInfo};
use types::{
    Allowance, App, AppId, ChannelName, Exceeded, Grouping, Metachannel, Meter, Rate, Timestamp,
    Usage,
};

use crate::config::Config;
use crate::event::ChannelKey;
use crate::metachannel;

/// Channels that an app registers at most; further ones are enumerated while they are active.
const MAX_REGISTERED: usize = 100_000;
/// Pairs of a token and a channel whose rates over REST an app remembers at a time; publishes that need
/// one more are refused (42911).
const MAX_CLAIMED_RATES: usize = 10_000;

#[derive(Debug)]
pub(crate) struct AppState {
    pub(crate) app: Arc<App>,
    pub(crate) usage: Usage,
    pub(crate) nonces: Nonces,
    pub(crate) revocations: Revocations,
    pub(crate) stats: Stats,
    pub(crate) push: Push,
    /// By the token that limits them, and the channel.
    pub(crate) claimed_rates: ClaimedRates<(Arc<[u8]>, ChannelName)>,
    /// Those that are active.
    pub(crate) metachannels: BTreeMap<Metachannel, ChannelKey>,
    connection_rate: Rate,
    channel_rate: Rate,
    requests: Meter,
    token_requests: Meter,
    pushes: Rate,
    connections: u32,
    /// By namespace, and whether the channels are persisted.
    channel_configs: BTreeMap<(Option<Arc<str>>, bool), Arc<channel::Config>>,
    /// The active channels.
    pub(crate) active: BTreeMap<ChannelName, ChannelKey>,
    /// Channels that are enumerated whether they are active or not.
    pub(crate) registry: BTreeSet<ChannelName>,
}

impl AppState {
    pub(crate) fn new(app: Arc<App>) -> Self {
        Self {
            app,
            usage: Usage::default(),
            nonces: Nonces::default(),
            revocations: Revocations::default(),
            stats: Stats::default(),
            push: Push::default(),
            claimed_rates: ClaimedRates::new(MAX_CLAIMED_RATES),
            metachannels: BTreeMap::new(),
            connection_rate: Rate::default(),
            channel_rate: Rate::default(),
            requests: Meter::default(),
            token_requests: Meter::default(),
            pushes: Rate::default(),
            connections: 0,
            channel_configs: BTreeMap::new(),
            active: BTreeMap::new(),
            registry: BTreeSet::new(),
        }
    }

    /// Counts a new connection, or says why there may be none.
    pub(crate) fn admit_connection(&mut self, now: Timestamp) -> Result<(), ErrorInfo> {
        let limits = &self.app.limits;
        let refusal = if limits.connections != 0 && self.connections >= limits.connections {
            error::CONNECTION_LIMIT
        } else if !self.connection_rate.take(now, limits.connection_rate, 1) {
            error::CONNECTION_CREATION_RATE
        } else {
            self.connections += 1;
            self.stats.at(now).connections.opened += 1;
            self.stats.set_connections(now, self.connections);
            return Ok(());
        };
        self.stats.at(now).connections.refused += 1;
        Err(refusal.info())
    }

    pub(crate) fn release_connection(&mut self, now: Timestamp) {
        self.connections = self.connections.saturating_sub(1);
        self.stats.set_connections(now, self.connections);
    }

    /// Whether one more channel may become active.
    pub(crate) fn admit_channel(&mut self, now: Timestamp) -> Result<(), ErrorInfo> {
        let limits = &self.app.limits;
        let refusal = if limits.channels != 0 && self.active.len() >= limits.channels as usize {
            error::CHANNEL_LIMIT
        } else if !self.channel_rate.take(now, limits.channel_rate, 1) {
            error::CHANNEL_CREATION_RATE
        } else {
            self.stats.at(now).channels.opened += 1;
            return Ok(());
        };
        self.stats.at(now).channels.refused += 1;
        Err(refusal.info())
    }

    /// Notes a channel that is active, whatever the limits.
    pub(crate) fn add_channel(&mut self, now: Timestamp, name: &ChannelName, key: ChannelKey) {
        self.active.insert(name.clone(), key);
        self.count_channels(now);
    }

    pub(crate) fn release_channel(&mut self, now: Timestamp, name: &ChannelName) {
        self.active.remove(name);
        self.count_channels(now);
    }

    fn count_channels(&mut self, now: Timestamp) {
        let count = u32::try_from(self.active.len()).unwrap_or(u32::MAX);
        self.stats.set_channels(now, count);
    }

    /// What the channel is told at its creation.
    pub(crate) fn channel_config(
        &mut self,
        name: &ChannelName,
        node: &Config,
    ) -> Arc<channel::Config> {
        let persisted = self.app.persists(name);
        let rules = self.app.namespace(name);
        let make = || {
            // Rules that make no sense were refused with their app.
            let grouping = rules.and_then(|rules| rules.grouping().ok()).unwrap_or(Grouping::None);
            let mut limits = channel::Limits::new(&self.app.limits, &node.limits);
            if matches!(grouping, Grouping::Batching { .. }) {
                limits.presence_members = self.app.limits.presence_members_batched as usize;
            }
            metachannel::limit(name, &mut limits);
            let persist_last = rules.is_some_and(|rules| rules.persist_last);
            let site = node.identity.site;
            Arc::new(channel::Config { site, persisted, persist_last, grouping, limits })
        };
        if name.metachannel().is_some() {
            return make();
        }
        let namespace = rules.map(|rules| Arc::clone(&rules.id));
        let known = self.channel_configs.entry((namespace, persisted));
        Arc::clone(known.or_insert_with(make))
    }

    /// Registers the channel if its namespace wants that; says whether it is new there.
    pub(crate) fn register(&mut self, channel: &ChannelName) -> bool {
        let wanted =
            self.app.namespace(channel).is_some_and(|rules| rules.populate_channel_registry);
        wanted && self.registry.len() < MAX_REGISTERED && self.registry.insert(channel.clone())
    }

    pub(crate) fn admit_request(&mut self, now: Timestamp) -> Result<(), ErrorInfo> {
        let limits = &self.app.limits;
        let allowance = of_requests(limits.request_rate, limits.requests_per_hour);
        self.requests.take(now, &allowance, 1).map_err(|exceeded| match exceeded {
            Exceeded::Rate => error::REQUEST_RATE_LIMIT.info(),
            Exceeded::Hour | Exceeded::Month => error::REQUEST_QUOTA.info(),
        })
    }

    pub(crate) fn admit_token_request(&mut self, now: Timestamp) -> Result<(), ErrorInfo> {
        let limits = &self.app.limits;
        let allowance = of_requests(limits.token_request_rate, limits.token_requests_per_hour);
        self.token_requests.take(now, &allowance, 1).map_err(|exceeded| match exceeded {
            Exceeded::Rate => error::RATE_LIMIT.with("token request rate limit exceeded"),
            Exceeded::Hour | Exceeded::Month => {
                error::REQUEST_QUOTA.with("token request quota used up")
            }
        })
    }

    /// Takes so many push notifications from the rate.
    pub(crate) fn admit_push(&mut self, now: Timestamp, count: usize) -> Result<(), ErrorInfo> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let limit = self.app.limits.push_rate;
        let admitted = self.pushes.take(now, limit, count);
        if admitted { Ok(()) } else { Err(error::PUSH_RATE_LIMIT.info()) }
    }
}

fn of_requests(per_second: u32, per_hour: u32) -> Allowance {
    let (per_second, per_hour) = (per_second.into(), per_hour.into());
    Allowance { per_second, burst_seconds: 1, per_hour, per_month: 0 }
}

/// The apps of the node, by id.
pub(crate) type Apps = BTreeMap<AppId, AppState>;

/// The lookup that authentication needs.
fn lookup(apps: &Apps) -> impl Fn(&str) -> Option<Arc<App>> + '_ {
    |id| apps.get(&AppId::new(id)).map(|state| Arc::clone(&state.app))
}

/// Who presents `credentials`, unless the token is revoked (40141).
pub(crate) fn identify(
    apps: &Apps,
    secret: &SealingKey,
    credentials: &Credentials,
    requested_client_id: Option<&str>,
    place: Place,
    now: Timestamp,
) -> Result<Principal, ErrorInfo> {
    let requested = requested_client_id;
    let mut principal =
        auth::authenticate(&lookup(apps), secret, credentials, requested, place, now)?;
    let state = apps.get(&principal.app_id);
    principal.revoked_at = state.and_then(|state| state.revocations.applies_at(&principal));
    match principal.revoked_at {
        Some(at) if at <= now => Err(error::TOKEN_REVOKED.info()),
        Some(_) | None => Ok(principal),
    }
}

/// Whether `principal` may come from `source`, and is what it says that it is.
pub(crate) fn admit(
    apps: &Apps,
    principal: &Principal,
    client_type: Option<&str>,
    source: &Source,
) -> Result<(), ErrorInfo> {
    principal.check_client_type(client_type)?;
    let app = apps.get(&principal.app_id).map(|state| &state.app);
    app.and_then(|app| app.key(&principal.key_id))
        .map_or(Ok(()), |key| auth::check_source(key, source))
}
