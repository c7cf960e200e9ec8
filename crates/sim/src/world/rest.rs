//! Callers of the REST interface: each publishes one thing at a time under an id of its own, and repeats
//! it under that id until it knows the outcome.

use node::{Event, Operation, RequestId, Response};
use protocol::Format;
use rand::RngExt;
use session::Echo;
use types::{EntryId, ErrorInfo};

use super::{World, hosting};
use crate::checkers::Verdict;
use crate::client::{Observed, Publish};
use crate::queue::Happening;

/// Publishers behind those of the clients.
const FIRST_PUBLISHER: usize = 1_000;
const TIMEOUT_MS: u64 = 10_000;

#[derive(Debug, Default)]
pub(super) struct Caller {
    publish: Option<Publish>,
    request: Option<RequestId>,
}

impl World {
    /// Starts a publish if the caller is not busy with one.
    pub(crate) fn rest_publish(&mut self, caller: usize) -> Verdict {
        if self.rest[caller].publish.is_some() {
            return Ok(());
        }
        let channel = self.any_channel();
        let (publisher, count) = (FIRST_PUBLISHER + caller, self.rng.random_range(1..4));
        let mut publish = self.next_publish(publisher, &channel, count);
        let first = publish.labels().first().map_or(0, |label| label.number);
        publish.named = Some(format!("r{caller}-{first}").into());
        self.rest[caller].publish = Some(publish);
        self.rest_send(caller)
    }

    pub(super) fn rest_send(&mut self, caller: usize) -> Verdict {
        let Some(publish) = self.rest[caller].publish.clone() else { return Ok(()) };
        self.next_request += 1;
        let id = RequestId(self.next_request);
        self.rest[caller].request = Some(id);
        self.after(TIMEOUT_MS, Happening::RestTimeout { publisher: caller, request: id });
        if !self.node_is_up() {
            return Ok(());
        }
        self.requests.insert(id, caller);
        let body = protocol::encode_messages(&publish.messages(), Format::MessagePack);
        let messages = match protocol::decode_messages(Format::MessagePack, &body) {
            Ok(messages) => messages,
            Err(error) => return crate::checkers::violation("codec", error.to_string()),
        };
        self.trace.note(self.now, || format!("REST {caller} publishes {publish:?}"));
        let channel = publish.channel.to_string();
        let request = hosting::request(Operation::Publish { channel, messages });
        self.feed(Event::Request { id, request })
    }

    /// The node's answer, on its way back. It may be lost.
    pub(super) fn reply(&mut self, request: RequestId, response: Response) {
        let Some(publisher) = self.requests.remove(&request) else { return };
        let result = match response {
            Response::Error(error) => Err(error),
            _ => Ok(()),
        };
        let lost = self.faulty && self.rng.random_bool(0.1);
        if !lost {
            let delay = self.between(self.setup.latency);
            self.after(delay, Happening::RestReply { publisher, request, result });
        }
    }

    pub(super) fn rest_reply(
        &mut self,
        caller: usize,
        request: RequestId,
        result: Result<(), ErrorInfo>,
    ) -> Verdict {
        if self.rest[caller].request != Some(request) {
            return Ok(());
        }
        self.rest[caller].request = None;
        self.trace.note(self.now, || format!("REST {caller} hears {result:?}"));
        let retry = result.as_ref().is_err_and(|error| error.status >= 500 || error.status == 429);
        let Some(publish) = self.rest[caller].publish.clone() else { return Ok(()) };
        if retry {
            let delay = self.between((500, 3_000));
            self.after(delay, Happening::RestSend(caller));
        } else {
            self.rest[caller].publish = None;
        }
        let id = EntryId::Named(publish.named.clone().unwrap_or_default());
        let observed = Observed::Settled { publish, id, result };
        let by = (FIRST_PUBLISHER + caller, Echo::On);
        self.checkers.observe(&mut self.truth, &self.store, by, observed)
    }

    pub(super) fn rest_timeout(&mut self, caller: usize, request: RequestId) {
        if self.rest[caller].request == Some(request) {
            self.after(1, Happening::RestSend(caller));
        }
    }
}
