//! Batch requests: one publish for each channel of each specification, and the presence sets of
//! several channels. Parts succeed or fail on their own; the answer leaves when the last is known.

use std::sync::Arc;

use auth::Principal;
use protocol::{BatchPublish, BatchResult, BatchSuccess, Subject};
use types::error::{self, ErrorInfo};
use types::{Accepted, Timestamp};

use crate::count::RequestKind;
use crate::event::{Caller, Effect, PresenceQuery, RequestId, Response};
use crate::node::{Node, Requester};

/// Channels in one batch, all specifications together; more are refused (90010).
const MAX_CHANNELS: usize = 100;
/// Messages in one specification; more are refused (40034).
const MAX_MESSAGES: usize = 1_000;

/// A batch publish some of whose parts are still on their way.
#[derive(Debug)]
pub(crate) struct Batch {
    form: Form,
    /// Parts that are not settled have the error that their outcome is unknown.
    results: Vec<Vec<BatchResult>>,
    remaining: usize,
}

/// Whether the answer is a list of results or the only one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    One,
    Many,
}

/// One channel of one specification of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    request: RequestId,
    spec: usize,
    channel: usize,
}

impl Node {
    pub(crate) fn batch_publish(
        &mut self,
        now: Timestamp,
        id: RequestId,
        principal: &Principal,
        batch: BatchPublish,
    ) -> Result<(), ErrorInfo> {
        let (form, specs) = match batch {
            BatchPublish::One(spec) => (Form::One, vec![spec]),
            BatchPublish::Many(specs) => (Form::Many, specs),
        };
        let remaining = specs.iter().map(|spec| spec.channels.len()).sum();
        check_channels(remaining)?;
        if specs.iter().any(|spec| spec.channels.is_empty() || spec.messages.is_empty()) {
            return Err(error::INVALID_BODY.with("every specification has channels and messages"));
        }
        if specs.iter().any(|spec| spec.messages.len() > MAX_MESSAGES) {
            return Err(error::TOO_MANY_MESSAGES.info());
        }
        let unknown = |channel: &Arc<str>| BatchResult {
            subject: Subject::Channel(Arc::clone(channel)),
            outcome: Err(error::TIMEOUT.info()),
        };
        let results =
            specs.iter().map(|spec| spec.channels.iter().map(unknown).collect()).collect();
        self.batches.insert(id, Batch { form, results, remaining });
        for (spec_index, spec) in specs.into_iter().enumerate() {
            for (index, channel) in spec.channels.iter().enumerate() {
                let part = Part { request: id, spec: spec_index, channel: index };
                match self.check_publish(now, principal, channel, spec.messages.clone()) {
                    Ok((name, publish, message_id)) => {
                        let publisher = Requester::Batch { part, message_id };
                        self.publish_in(now, publisher.into(), &principal.app_id, &name, publish);
                    }
                    Err(error) => self.settle_batch(part, Err(error)),
                }
            }
        }
        self.count_request(now, &principal.app_id, RequestKind::Other, None);
        Ok(())
    }

    pub(crate) fn batch_published(
        &mut self,
        part: Part,
        message_id: Arc<str>,
        result: Result<Accepted, ErrorInfo>,
    ) {
        let outcome = result.map(|accepted| BatchSuccess::Published { message_id, accepted });
        self.settle_batch(part, outcome);
    }

    fn settle_batch(&mut self, part: Part, outcome: Result<BatchSuccess, ErrorInfo>) {
        let Some(batch) = self.batches.get_mut(&part.request) else { return };
        let results = batch.results.get_mut(part.spec);
        if let Some(result) = results.and_then(|results| results.get_mut(part.channel)) {
            result.outcome = outcome;
        }
        batch.remaining -= 1;
        if batch.remaining > 0 {
            return;
        }
        let Some(batch) = self.batches.remove(&part.request) else { return };
        let response = match batch.form {
            Form::One => Response::Batch(batch.results.into_iter().flatten().collect()),
            Form::Many => Response::Batches(batch.results),
        };
        self.effects.push(Effect::Reply { request: part.request, response });
    }

    pub(crate) fn batch_presence(
        &mut self,
        now: Timestamp,
        caller: &Caller,
        channels: Vec<String>,
    ) -> Result<Response, ErrorInfo> {
        let principal = self.authenticate_caller(now, caller)?;
        check_channels(channels.len())?;
        let everyone =
            PresenceQuery { limit: usize::MAX, client_id: None, connection_id: None, after: None };
        let results = channels.into_iter().map(|channel| {
            let page = self.presence(&principal, &channel, &everyone);
            let outcome = page.map(|page| BatchSuccess::Presence(page.members));
            BatchResult { subject: Subject::Channel(channel.into()), outcome }
        });
        Ok(Response::Batch(results.collect()))
    }
}

fn check_channels(count: usize) -> Result<(), ErrorInfo> {
    match count {
        0 => Err(error::INVALID_BODY.with("a batch needs at least one channel")),
        1..=MAX_CHANNELS => Ok(()),
        _ => Err(error::CHANNELS_PER_CONNECTION
            .with(format!("a batch has at most {MAX_CHANNELS} channels"))),
    }
}
