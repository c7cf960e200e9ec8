//! What the node is asked once everything has settled, and what is made of the answers.

use std::sync::Arc;

use node::{ObjectQuery, Operation, PresenceQuery, Response, VersionsQuery, View, What};
use types::{Direction, HistoryQuery, Kind, PresenceMessage};

use super::World;
use crate::checkers::{Verdict, durability, message_truth, objects_truth};
use crate::setup::Theme;

/// Messages that the node is asked about.
const ASKED: usize = 3;
const PAGE: usize = 100;

impl World {
    pub(crate) fn node_members(&mut self, channel: &str) -> Vec<PresenceMessage> {
        let query =
            PresenceQuery { limit: 1_000, client_id: None, connection_id: None, after: None };
        let operation = Operation::Presence { channel: channel.to_owned(), query };
        match self.ask(operation) {
            Ok(Some(Response::Presence(page))) => page.members,
            _ => Vec::new(),
        }
    }

    pub(super) fn check_content(&mut self, name: &Arc<str>) -> Verdict {
        self.check_history(name)?;
        match self.setup.theme {
            Theme::Messages => Ok(()),
            Theme::Objects => self.check_objects(name),
            Theme::Changes => self.check_messages(name),
        }
    }

    fn check_history(&mut self, name: &Arc<str>) -> Verdict {
        let query = HistoryQuery::new(Kind::Messages, PAGE);
        let operation = Operation::History { channel: name.to_string(), query, until: None };
        match (self.ask(operation)?, self.truth.get(name)) {
            (Some(Response::History(page)), Some(known)) => {
                durability::remembered(name, known, &page)
            }
            _ => Ok(()),
        }
    }

    fn check_objects(&mut self, name: &Arc<str>) -> Verdict {
        let (channel, view) = (name.to_string(), View::Compact);
        let query = ObjectQuery { channel, object_id: None, path: None, view };
        let tree = match self.ask(Operation::ReadObject(query))? {
            Some(Response::Object(tree)) => Some(tree),
            _ => None,
        };
        let Some(known) = self.truth.get(name) else { return Ok(()) };
        let model = objects_truth::model(known);
        objects_truth::settled(name, &model, &self.clients, tree.as_ref())
    }

    fn check_messages(&mut self, name: &Arc<str>) -> Verdict {
        let Some(known) = self.truth.get(name) else { return Ok(()) };
        let model = message_truth::model(known);
        message_truth::settled(name, &model, &self.clients)?;
        for (serial, truth) in model.iter().rev().take(ASKED) {
            let ask = |what| Operation::ReadMessage {
                channel: name.to_string(),
                serial: serial.to_string(),
                what,
            };
            let latest = match self.ask(ask(What::Latest))? {
                Some(Response::Message(message)) => Some(*message),
                _ => None,
            };
            let query =
                VersionsQuery { direction: Direction::Forwards, limit: 10_000, after: None };
            let versions = match self.ask(ask(What::Versions(query)))? {
                Some(Response::Versions(page)) => page.versions,
                _ => Vec::new(),
            };
            message_truth::answered(serial, truth, latest.as_ref(), &versions)?;
        }
        Ok(())
    }
}
