//! What is known about channels themselves: which are active, and who occupies them.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use auth::{Operation as Capability, Principal};
use bytes::Bytes;
use channel::Occupancy;
use serde_json::{Map, Value, json};
use types::error::{self, ErrorInfo};
use types::{AppId, ChannelName, Record, RecordChange, RecordId, RecordKind, Timestamp};

use crate::event::{ChannelDetails, ChannelsPage, ChannelsQuery};
use crate::node::Node;
use crate::records::Damaged;

impl ChannelDetails {
    /// As clients read it (CHD2).
    pub fn describe(&self) -> Value {
        let categories = self.occupancy.categories().into_iter();
        let metrics: Map<String, Value> =
            categories.map(|(name, count)| (name.to_owned(), count.into())).collect();
        json!({
            "channelId": self.name.as_str(),
            "name": self.name.as_str(),
            "status": {
                "isActive": self.is_active,
                "occupancy": { "metrics": metrics },
            },
        })
    }
}

impl Node {
    /// The channel as it is. Asking makes it active, for as long as nothing else does.
    pub(crate) fn channel_details(
        &mut self,
        now: Timestamp,
        principal: &Principal,
        channel: &str,
    ) -> Result<ChannelDetails, ErrorInfo> {
        let name = self.channel_for(principal, channel, &[Capability::ChannelMetadata])?;
        let host = self.activate(now, &principal.app_id, &name)?;
        let details = self.details(&principal.app_id, name);
        self.on_channel(now, host, channel::Event::Tick);
        Ok(details)
    }

    /// The active channels, and those that are registered, by name, without metachannels.
    pub(crate) fn enumerate(
        &self,
        principal: &Principal,
        query: &ChannelsQuery,
    ) -> Result<ChannelsPage, ErrorInfo> {
        if !principal.capability.permits_everywhere(Capability::ChannelMetadata) {
            return Err(error::CAPABILITY_MISSING.info());
        }
        let app = &principal.app_id;
        let start = match &query.after {
            Some(after) => Bound::Excluded(ChannelName::bound(after)),
            None => Bound::Included(ChannelName::bound(&query.prefix)),
        };
        let begins = |name: &&ChannelName| name.as_str().starts_with(&query.prefix);
        let state = self.apps.get(app);
        let bounds = (start.as_ref(), Bound::Unbounded);
        let registered = state.into_iter().flat_map(|state| state.registry.range(bounds));
        let active = state
            .into_iter()
            .flat_map(|state| state.active.range(bounds))
            .map(|(name, _)| name)
            .filter(|name| name.metachannel().is_none());
        // One more than a page, so that it is known whether there is a next one.
        let count = query.limit.saturating_add(1);
        let active = active.take_while(begins).take(count);
        let names: BTreeSet<_> = active.chain(registered.take_while(begins).take(count)).collect();
        let mut names = names.into_iter();
        let channels: Vec<_> =
            names.by_ref().take(query.limit).map(|name| self.details(app, name.clone())).collect();
        let more = names.next().and(channels.last());
        let next = more.map(|last| last.name.as_str().to_owned());
        Ok(ChannelsPage { channels, next })
    }

    /// Takes back a channel that an earlier run of the node registered. What its namespace does not
    /// enumerate any more stays in the store.
    pub(crate) fn restore_channel(&mut self, id: &RecordId) -> Result<(), Damaged> {
        let name = ChannelName::parse(Arc::clone(&id.key)).or(Err(Damaged))?;
        if let Some(state) = self.apps.get_mut(&id.app) {
            state.register(&name);
        }
        Ok(())
    }

    pub(crate) fn details(&self, app: &AppId, name: ChannelName) -> ChannelDetails {
        let host = self.active(app, &name).and_then(|host| self.channels.get(host));
        let occupancy = host.map_or_else(Occupancy::default, |slot| slot.host.occupancy());
        ChannelDetails { name, is_active: host.is_some(), occupancy }
    }
}

/// The record that says that the channel is registered; there is nothing in it.
pub(crate) fn registration(app: &AppId, name: &ChannelName) -> RecordChange {
    let (kind, key) = (RecordKind::Channel, name.as_str().into());
    let id = RecordId { app: app.clone(), kind, key };
    RecordChange::Keep(Record { id, value: Bytes::new() })
}
