//! The presence members of a session, as far as it has to make them leave: those that a host
//! confirmed, and those whose outcome is not known.
//!
//! Invariant: never fewer than the hosts have; a member too many costs a LEAVE that changes
//! nothing. Bounded by the hosts' limits on members and by the limit on unacknowledged publishes.

use std::collections::{BTreeMap, BTreeSet};

use channel::PublishToken;
use types::error::TIMEOUT;
use types::{ChannelName, ClientId, ErrorInfo, PresenceAction, PresenceMessage};

#[derive(Debug, Default)]
pub(crate) struct Members {
    confirmed: BTreeMap<ChannelName, BTreeSet<ClientId>>,
    /// What was published and is not answered, in the order of publishing.
    unsettled: BTreeMap<PublishToken, (ChannelName, Vec<Event>)>,
}

#[derive(Debug)]
enum Event {
    Join(ClientId),
    Leave(ClientId),
}

impl Members {
    pub(crate) fn is_empty(&self) -> bool {
        self.confirmed.is_empty() && self.unsettled.is_empty()
    }

    pub(crate) fn published(
        &mut self,
        token: PublishToken,
        channel: &ChannelName,
        items: &[PresenceMessage],
    ) {
        let event = |item: &PresenceMessage| {
            let client_id = item.client_id.clone()?;
            Some(match item.action {
                PresenceAction::Enter | PresenceAction::Update | PresenceAction::Present => {
                    Event::Join(client_id)
                }
                PresenceAction::Leave | PresenceAction::Absent => Event::Leave(client_id),
            })
        };
        self.unsettled.insert(token, (channel.clone(), items.iter().filter_map(event).collect()));
    }

    /// A publish that timed out may have happened.
    pub(crate) fn settle(&mut self, token: PublishToken, result: Result<(), &ErrorInfo>) {
        let Some((channel, events)) = self.unsettled.remove(&token) else { return };
        let unknown = result.is_err_and(|error| error.code == TIMEOUT.code);
        if result.is_err() && !unknown {
            return;
        }
        let members = self.confirmed.entry(channel.clone()).or_default();
        for event in events {
            match event {
                Event::Join(client_id) => {
                    members.insert(client_id);
                }
                Event::Leave(client_id) if !unknown => {
                    members.remove(&client_id);
                }
                Event::Leave(_) => {}
            }
        }
        if members.is_empty() {
            self.confirmed.remove(&channel);
        }
    }

    /// Forgets and returns who is, or may be, a member of `channel`.
    pub(crate) fn take(&mut self, channel: &ChannelName) -> BTreeSet<ClientId> {
        let mut members = self.confirmed.remove(channel).unwrap_or_default();
        let unsettled = self.unsettled.extract_if(.., |_, (other, _)| other == channel);
        for event in unsettled.flat_map(|(_, (_, events))| events) {
            match event {
                Event::Join(client_id) => {
                    members.insert(client_id);
                }
                Event::Leave(_) => {}
            }
        }
        members
    }

    pub(crate) fn channels(&self) -> BTreeSet<ChannelName> {
        let unsettled = self.unsettled.values().map(|(channel, _)| channel);
        self.confirmed.keys().chain(unsettled).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use types::error;

    use super::*;

    fn channel() -> ChannelName {
        ChannelName::parse("c").unwrap()
    }

    fn publish(members: &mut Members, token: u64, action: PresenceAction, client: &str) {
        let item =
            PresenceMessage { client_id: Some(client.into()), ..PresenceMessage::new(action) };
        members.published(PublishToken(token), &channel(), &[item]);
    }

    fn taken(members: &mut Members) -> Vec<String> {
        members.take(&channel()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_refused_enter_leaves_nothing_behind() {
        let mut members = Members::default();
        publish(&mut members, 1, PresenceAction::Enter, "x");
        members.settle(PublishToken(1), Err(&error::PRESENCE_MEMBER_LIMIT.info()));
        assert!(members.is_empty());
    }

    #[test]
    fn a_refused_update_does_not_make_a_member_forgotten() {
        let mut members = Members::default();
        publish(&mut members, 1, PresenceAction::Enter, "x");
        publish(&mut members, 2, PresenceAction::Update, "x");
        members.settle(PublishToken(1), Ok(()));
        members.settle(PublishToken(2), Err(&error::PRESENCE_DATA_LIMIT.info()));
        assert_eq!(taken(&mut members), ["x"]);
        assert!(members.is_empty());
    }

    #[test]
    fn an_unknown_outcome_counts_as_a_member_and_not_as_a_leave() {
        let mut members = Members::default();
        publish(&mut members, 1, PresenceAction::Enter, "x");
        members.settle(PublishToken(1), Err(&TIMEOUT.info()));
        publish(&mut members, 2, PresenceAction::Leave, "x");
        members.settle(PublishToken(2), Err(&TIMEOUT.info()));
        publish(&mut members, 3, PresenceAction::Enter, "y");
        assert_eq!(members.channels(), BTreeSet::from([channel()]));
        assert_eq!(taken(&mut members), ["x", "y"]);
    }

    #[test]
    fn a_member_that_left_is_forgotten() {
        let mut members = Members::default();
        publish(&mut members, 1, PresenceAction::Enter, "x");
        publish(&mut members, 2, PresenceAction::Leave, "x");
        members.settle(PublishToken(1), Ok(()));
        members.settle(PublishToken(2), Ok(()));
        assert!(members.is_empty());
    }
}
