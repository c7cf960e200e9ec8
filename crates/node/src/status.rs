//! What is known about channels themselves: which are active, and who occupies them.

use std::ops::Bound;

use auth::{Operation as Capability, Principal};
use channel::Occupancy;
use serde_json::{Map, Value, json};
use types::error::{self, ErrorInfo};
use types::{AppId, ChannelName};

use crate::event::{ChannelDetails, ChannelsPage, ChannelsQuery};
use crate::node::Node;

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
    /// The channel as it is; asking does not make it active.
    pub(crate) fn channel_details(
        &self,
        principal: &Principal,
        channel: &str,
    ) -> Result<ChannelDetails, ErrorInfo> {
        let name = self.channel_for(principal, channel, &[Capability::ChannelMetadata])?;
        Ok(self.details(&principal.app_id, name))
    }

    /// The active channels, by name, without metachannels.
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
            Some(after) => Bound::Excluded((app.clone(), ChannelName::bound(after))),
            None => Bound::Included((app.clone(), ChannelName::bound(&query.prefix))),
        };
        let mut names = self
            .by_name
            .range((start, Bound::Unbounded))
            .map(|((of, name), _)| (of, name))
            .take_while(|(of, name)| *of == app && name.as_str().starts_with(&query.prefix))
            .map(|(_, name)| name)
            .filter(|name| name.metachannel().is_none());
        let channels: Vec<_> =
            names.by_ref().take(query.limit).map(|name| self.details(app, name.clone())).collect();
        let more = names.next().and(channels.last());
        let next = more.map(|last| last.name.as_str().to_owned());
        Ok(ChannelsPage { channels, next })
    }

    pub(crate) fn details(&self, app: &AppId, name: ChannelName) -> ChannelDetails {
        let host = self.active(app, &name).and_then(|host| self.channels.get(&host));
        let occupancy = host.map_or_else(Occupancy::default, |slot| slot.host.occupancy());
        ChannelDetails { name, is_active: host.is_some(), occupancy }
    }
}
