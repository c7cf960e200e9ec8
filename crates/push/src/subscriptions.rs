//! Who receives the notifications of which channels: single devices, and all devices of a client.

use std::collections::BTreeSet;
use std::ops::Bound;

use serde_json::{Map, Value};
use types::error::{BAD_REQUEST, FORBIDDEN};
use types::{ChannelName, ClientId, DeviceId, ErrorInfo};

use crate::Page;
use crate::fields::{label, required};

/// Subscriptions of one app; one more is refused (40300).
const MAX_SUBSCRIPTIONS: usize = 500_000;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subscriber {
    Device(DeviceId),
    Client(ClientId),
}

impl Subscriber {
    /// Comes before every other.
    fn first() -> Self {
        Self::Device(DeviceId::from(""))
    }
}

/// PCS1
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subscription {
    pub channel: ChannelName,
    pub subscriber: Subscriber,
}

impl Subscription {
    /// 40000 unless it is for one device or one client (PCS5).
    pub fn parse(fields: &Map<String, Value>) -> Result<Self, ErrorInfo> {
        let channel = required(label(fields, "channel")?, "channel")?;
        let subscriber = match (label(fields, "deviceId")?, label(fields, "clientId")?) {
            (Some(id), None) => Subscriber::Device(DeviceId::from(id)),
            (None, Some(id)) => Subscriber::Client(ClientId::from(id)),
            (Some(_), Some(_)) | (None, None) => {
                return Err(BAD_REQUEST.with("a subscription is for a deviceId or a clientId"));
            }
        };
        Ok(Self { channel: ChannelName::parse(channel)?, subscriber })
    }

    /// A text that names it; channel names have no line feed.
    pub fn position(&self) -> String {
        match &self.subscriber {
            Subscriber::Device(id) => format!("{}\nd{id}", self.channel),
            Subscriber::Client(id) => format!("{}\nc{id}", self.channel),
        }
    }

    /// What `position` names.
    pub fn at(position: &str) -> Option<Self> {
        let (channel, subscriber) = position.split_once('\n')?;
        let subscriber = match subscriber.strip_prefix('d') {
            Some(id) => Subscriber::Device(DeviceId::from(id)),
            None => Subscriber::Client(ClientId::from(subscriber.strip_prefix('c')?)),
        };
        Some(Self { channel: ChannelName::parse(channel).ok()?, subscriber })
    }
}

/// Which subscriptions are meant; nothing selects all.
#[derive(Clone, Debug, Default)]
pub struct SubscriptionFilter {
    pub channel: Option<ChannelName>,
    /// Of one of these.
    pub subscribers: Vec<Subscriber>,
}

#[derive(Debug, Default)]
pub struct Subscriptions {
    by_channel: BTreeSet<Subscription>,
    by_subscriber: BTreeSet<(Subscriber, ChannelName)>,
}

impl Subscriptions {
    pub fn insert(&mut self, subscription: Subscription) -> Result<(), ErrorInfo> {
        if self.by_channel.len() >= MAX_SUBSCRIPTIONS && !self.by_channel.contains(&subscription) {
            return Err(FORBIDDEN
                .with(format!("an app has at most {MAX_SUBSCRIPTIONS} push subscriptions")));
        }
        let Subscription { channel, subscriber } = subscription.clone();
        self.by_subscriber.insert((subscriber, channel));
        self.by_channel.insert(subscription);
        Ok(())
    }

    /// Removes what `filter` selects, and says what that was.
    pub fn remove(&mut self, filter: &SubscriptionFilter) -> Vec<Subscription> {
        let removed: Vec<_> = self.selected(filter, None).collect();
        for subscription in &removed {
            self.by_channel.remove(subscription);
            let Subscription { channel, subscriber } = subscription.clone();
            self.by_subscriber.remove(&(subscriber, channel));
        }
        removed
    }

    pub fn of_channel<'a>(
        &'a self,
        channel: &'a ChannelName,
    ) -> impl Iterator<Item = &'a Subscriber> {
        let start = Subscription { channel: channel.clone(), subscriber: Subscriber::first() };
        let of_channel = self.by_channel.range(start..);
        of_channel.take_while(move |all| all.channel == *channel).map(|all| &all.subscriber)
    }

    /// What `filter` selects, by channel; 40000 if `after` is no position of a page.
    pub fn list(
        &self,
        filter: &SubscriptionFilter,
        limit: usize,
        after: Option<&str>,
    ) -> Result<Page<Subscription>, ErrorInfo> {
        let invalid = || BAD_REQUEST.with("invalid position of a page");
        let after = after.map(|after| Subscription::at(after).ok_or_else(invalid)).transpose()?;
        Ok(Page::of(self.selected(filter, after), limit, Subscription::position))
    }

    /// The channels that have subscriptions, by name.
    pub fn channels(&self, limit: usize, after: Option<&str>) -> Page<String> {
        let mut next = self.channel_behind(after.map(ChannelName::bound).as_ref());
        let channels = std::iter::from_fn(|| {
            let channel = next.take()?;
            next = self.channel_behind(Some(&channel));
            Some(channel.as_str().to_owned())
        });
        Page::of(channels, limit, Clone::clone)
    }

    fn channel_behind(&self, after: Option<&ChannelName>) -> Option<ChannelName> {
        let Some(after) = after else {
            return self.by_channel.first().map(|first| first.channel.clone());
        };
        // No name has a NUL behind it: this is where the next name can begin.
        let bound = ChannelName::bound(&format!("{after}\0"));
        let start = Subscription { channel: bound, subscriber: Subscriber::first() };
        self.by_channel.range(start..).next().map(|next| next.channel.clone())
    }

    fn selected<'a>(
        &'a self,
        filter: &'a SubscriptionFilter,
        after: Option<Subscription>,
    ) -> Box<dyn Iterator<Item = Subscription> + 'a> {
        let wanted = |whose: &Subscriber| {
            filter.subscribers.is_empty() || filter.subscribers.contains(whose)
        };
        let start = after.clone().map_or(Bound::Unbounded, Bound::Excluded);
        match &filter.channel {
            Some(channel) => {
                let subscribers = self.of_channel(channel).filter(move |whose| wanted(whose));
                let of = |subscriber: &Subscriber| Subscription {
                    channel: channel.clone(),
                    subscriber: subscriber.clone(),
                };
                let all = subscribers.map(of);
                Box::new(all.filter(move |this| after.as_ref().is_none_or(|after| this > after)))
            }
            None if filter.subscribers.is_empty() => {
                Box::new(self.by_channel.range((start, Bound::Unbounded)).cloned())
            }
            None => {
                let of = |subscriber| self.of_subscriber(subscriber);
                let all: BTreeSet<_> = filter.subscribers.iter().flat_map(of).collect();
                Box::new(
                    all.into_iter()
                        .filter(move |this| after.as_ref().is_none_or(|after| this > after)),
                )
            }
        }
    }

    fn of_subscriber<'a>(
        &'a self,
        subscriber: &'a Subscriber,
    ) -> impl Iterator<Item = Subscription> + 'a {
        let start = (subscriber.clone(), ChannelName::bound(""));
        let of_subscriber = self.by_subscriber.range(start..);
        of_subscriber.take_while(move |(whose, _)| whose == subscriber).map(|(whose, channel)| {
            Subscription { channel: channel.clone(), subscriber: whose.clone() }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn device(id: &str) -> Subscriber {
        Subscriber::Device(id.into())
    }

    fn client(id: &str) -> Subscriber {
        Subscriber::Client(id.into())
    }

    fn subscription(channel: &str, subscriber: Subscriber) -> Subscription {
        Subscription { channel: ChannelName::parse(channel).unwrap(), subscriber }
    }

    fn filled() -> Subscriptions {
        let mut all = Subscriptions::default();
        for (channel, subscriber) in [
            ("a", device("d1")),
            ("a", client("d1")),
            ("a:b", device("d2")),
            ("b", device("d1")),
            ("b", client("c1")),
        ] {
            all.insert(subscription(channel, subscriber)).unwrap();
        }
        all
    }

    fn filter(channel: Option<&str>, subscribers: &[Subscriber]) -> SubscriptionFilter {
        let channel = channel.map(|name| ChannelName::parse(name).unwrap());
        SubscriptionFilter { channel, subscribers: subscribers.to_vec() }
    }

    fn count(filter: &SubscriptionFilter) -> usize {
        filled().list(filter, 100, None).unwrap().items.len()
    }

    #[test]
    fn a_subscription_is_for_one_device_or_one_client() {
        let parse = |value: Value| Subscription::parse(value.as_object().unwrap());
        let good = parse(json!({"channel": "a", "deviceId": "d", "clientId": null})).unwrap();
        assert_eq!(good, subscription("a", device("d")));
        for (bad, code) in [
            (json!({"channel": "a"}), 40000),
            (json!({"deviceId": "d"}), 40000),
            (json!({"channel": "a", "deviceId": "d", "clientId": "c"}), 40000),
            (json!({"channel": ":a", "deviceId": "d"}), 40010),
        ] {
            assert_eq!(parse(bad).unwrap_err().code, code);
        }
    }

    #[test]
    fn filters_are_by_channel_and_by_any_of_the_subscribers() {
        assert_eq!(count(&filter(None, &[])), 5);
        assert_eq!(count(&filter(Some("a"), &[])), 2);
        assert_eq!(count(&filter(None, &[device("d1")])), 2);
        assert_eq!(count(&filter(None, &[device("d1"), client("c1")])), 3);
        assert_eq!(count(&filter(Some("b"), &[device("d1"), client("c1")])), 2);
        assert_eq!(count(&filter(Some("c"), &[])), 0);
    }

    #[test]
    fn pages_add_up_to_everything() {
        let all = filled();
        for wanted in [filter(None, &[]), filter(Some("b"), &[]), filter(None, &[device("d1")])] {
            let whole = all.list(&wanted, 100, None).unwrap();
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = all.list(&wanted, 1, after.as_deref()).unwrap();
                seen.extend(page.items);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(seen, whole.items);
        }
        assert_eq!(all.list(&filter(None, &[]), 1, Some("x")).unwrap_err().code, 40000);
    }

    #[test]
    fn channels_are_listed_once_each() {
        let all = filled();
        let page = all.channels(2, None);
        assert_eq!(
            (page.items, page.next.as_deref()),
            (vec!["a".into(), "a:b".into()], Some("a:b"))
        );
        let page = all.channels(2, Some("a:b"));
        assert_eq!((page.items, page.next), (vec!["b".to_owned()], None));
    }

    #[test]
    fn what_is_removed_is_gone_from_both_sides() {
        let mut all = filled();
        assert_eq!(all.remove(&filter(None, &[device("d1")])).len(), 2);
        assert_eq!(all.remove(&filter(None, &[device("d1")])), []);
        assert_eq!(all.remove(&filter(Some("b"), &[])), [subscription("b", client("c1"))]);
        assert_eq!(all.channels(9, None).items, ["a", "a:b"]);
        assert_eq!(all.by_subscriber.len(), all.by_channel.len());
    }
}
