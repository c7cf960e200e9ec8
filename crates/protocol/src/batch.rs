//! Bodies of batch requests: publishes on many channels, and what became of each channel or target
//! (RSC22, RSC24, RSA17).

use std::sync::Arc;

use types::error::BATCH_FAILED;
use types::{Accepted, ErrorInfo, Message, PresenceMessage, Timestamp};

use crate::codec::OneOrMany;
use crate::frame_fields::write_serials;
use crate::read::{Decode, Kind, MAX_ITEMS, Problem, Read, Reader};
use crate::write::{Encode, Fields, Writer};

/// The same messages on each of the channels (BSP2).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BatchSpec {
    pub channels: Vec<Arc<str>>,
    pub messages: Vec<Message>,
}

/// One specification, or a list of them: the answer has the same form.
#[derive(Clone, Debug, PartialEq)]
pub enum BatchPublish {
    One(BatchSpec),
    Many(Vec<BatchSpec>),
}

/// What a part of a batch was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    Channel(Arc<str>),
    /// Which tokens to revoke, as `type:value`.
    Target(Arc<str>),
}

/// What became of a part of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchResult {
    pub subject: Subject,
    pub outcome: Result<BatchSuccess, ErrorInfo>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum BatchSuccess {
    /// BPR2
    Published { message_id: Arc<str>, accepted: Accepted },
    /// BGR2
    Presence(Vec<PresenceMessage>),
    /// TRS2
    Revoked { issued_before: Timestamp, applies_at: Timestamp },
}

/// The forms of an answer.
#[derive(Clone, Copy, Debug)]
pub enum BatchBody<'a> {
    /// BAR2
    One(&'a [BatchResult]),
    Many(&'a [Vec<BatchResult>]),
    /// Of versions before 3: a bare list, or an error with a list if anything failed.
    Legacy(&'a [BatchResult]),
}

impl BatchPublish {
    /// Messages to publish, on all channels together.
    pub fn messages(&self) -> usize {
        let of = |spec: &BatchSpec| spec.channels.len() * spec.messages.len();
        match self {
            Self::One(spec) => of(spec),
            Self::Many(specs) => specs.iter().map(of).sum(),
        }
    }
}

impl Decode for BatchPublish {
    fn read<'a, R: Reader<'a>>(r: &mut R) -> Read<Self> {
        if r.kind()? == Kind::List {
            r.items().map(Self::Many)
        } else {
            BatchSpec::read(r).map(Self::One)
        }
    }
}

impl Decode for BatchSpec {
    fn read<'a, R: Reader<'a>>(r: &mut R) -> Read<Self> {
        let mut spec = Self::default();
        r.fields(|r, key| {
            match key {
                b"channels" if r.kind()? == Kind::List => r.list(|r| {
                    if spec.channels.len() == MAX_ITEMS {
                        return Err(Problem::Malformed("too many channels"));
                    }
                    spec.channels.push(r.shared()?);
                    Ok(())
                })?,
                b"channels" => spec.channels.push(r.shared()?),
                b"messages" => OneOrMany(spec.messages) = OneOrMany::read(r)?,
                _ => r.skip()?,
            }
            Ok(())
        })?;
        Ok(spec)
    }
}

impl Encode for BatchBody<'_> {
    fn write<W: Writer>(&self, w: &mut W) {
        match self {
            Self::One(results) => summary(w, results),
            Self::Many(batches) => w.list(*batches, |w, results| summary(w, results)),
            Self::Legacy(results) if results.iter().all(|result| result.outcome.is_ok()) => {
                w.items(results);
            }
            Self::Legacy(results) => w.map(|f| {
                f.value("error", Some(&BATCH_FAILED.info()));
                f.field("batchResponse").items(results);
            }),
        }
    }
}

fn summary<W: Writer>(w: &mut W, results: &[BatchResult]) {
    let succeeded = results.iter().filter(|result| result.outcome.is_ok()).count();
    w.map(|f| {
        f.field("successCount").unsigned(count(succeeded));
        f.field("failureCount").unsigned(count(results.len() - succeeded));
        f.field("results").items(results);
    });
}

impl Encode for BatchResult {
    fn write<W: Writer>(&self, w: &mut W) {
        w.map(|f| {
            match &self.subject {
                Subject::Channel(name) => f.text("channel", Some(name)),
                Subject::Target(target) => f.text("target", Some(target)),
            }
            match &self.outcome {
                Ok(success) => success.write(f),
                Err(error) => f.value("error", Some(error)),
            }
        });
    }
}

impl BatchSuccess {
    fn write<W: Writer>(&self, f: &mut Fields<'_, W>) {
        match self {
            Self::Published { message_id, accepted } => {
                f.text("messageId", Some(message_id));
                write_serials(f, accepted);
            }
            Self::Presence(members) => f.field("presence").items(members),
            Self::Revoked { issued_before, applies_at } => {
                f.unsigned("issuedBefore", Some(issued_before.0));
                f.unsigned("appliesAt", Some(applies_at.0));
            }
        }
    }
}

fn count(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use types::ItemPosition;
    use types::error::INVALID_CHANNEL_NAME;

    use super::*;
    use crate::{Format, decode_batch, encode_batch};

    const SERIAL: &str = "00000000001000-002@dunAbCdEfGhI:000";

    fn read(body: &Value) -> Result<BatchPublish, ErrorInfo> {
        decode_batch(Format::Json, body.to_string().as_bytes())
    }

    fn written(body: BatchBody<'_>) -> Value {
        let json = serde_json::from_slice(&encode_batch(&body, Format::Json)).unwrap();
        let packed: Value =
            rmp_serde::from_slice(&encode_batch(&body, Format::MessagePack)).unwrap();
        assert_eq!(packed, json);
        json
    }

    fn published(channel: &str) -> BatchResult {
        let serial = SERIAL.parse::<ItemPosition>().unwrap().serial;
        let accepted = Accepted { serial: Some(serial), items: 1, dropped: 0 };
        let outcome = Ok(BatchSuccess::Published { message_id: "m".into(), accepted });
        BatchResult { subject: Subject::Channel(channel.into()), outcome }
    }

    #[test]
    fn channels_and_messages_come_alone_or_in_lists() {
        let one = read(&json!({"channels": "a", "messages": {"data": "x"}})).unwrap();
        let BatchPublish::One(spec) = one else { panic!() };
        assert_eq!((spec.channels.len(), spec.messages.len()), (1, 1));
        let many = json!([{"channels": ["a", "b"], "messages": [{"data": "x"}, {}]}]);
        let BatchPublish::Many(specs) = read(&many).unwrap() else { panic!() };
        assert_eq!((specs[0].channels.len(), specs[0].messages.len()), (2, 2));
        assert_eq!(read(&json!({"channels": [1], "messages": []})).unwrap_err().code, 40001);
    }

    #[test]
    fn answers_count_successes_and_failures() {
        let failed = BatchResult {
            subject: Subject::Target("x:y".into()),
            outcome: Err(INVALID_CHANNEL_NAME.with("bad")),
        };
        let results = [published("a"), failed];
        let success = json!({"channel": "a", "messageId": "m", "serials": [SERIAL]});
        let failure =
            json!({"target": "x:y", "error": {"code": 40010, "statusCode": 400, "message": "bad"}});
        let whole = json!({"successCount": 1, "failureCount": 1, "results": [success, failure]});
        assert_eq!(written(BatchBody::One(&results)), whole);
        assert_eq!(written(BatchBody::Many(&[results.to_vec()])), json!([whole]));
        let legacy = written(BatchBody::Legacy(&results));
        assert_eq!(legacy["error"]["code"], 40020);
        assert_eq!(legacy["batchResponse"], json!([success, failure]));
        assert_eq!(written(BatchBody::Legacy(&[published("a")])), json!([success]));
    }

    #[test]
    fn a_channel_without_members_has_an_empty_list_and_a_revocation_its_times() {
        let result = |outcome| BatchResult { subject: Subject::Channel("a".into()), outcome };
        let results = [
            result(Ok(BatchSuccess::Presence(Vec::new()))),
            result(Ok(BatchSuccess::Revoked {
                issued_before: Timestamp(1),
                applies_at: Timestamp(2),
            })),
        ];
        assert_eq!(
            written(BatchBody::Legacy(&results)),
            json!([{"channel": "a", "presence": []}, {"channel": "a", "issuedBefore": 1, "appliesAt": 2}])
        );
    }
}
