//! What a JWT says about channels beyond its capability: claims about the user that the server puts
//! on what the user publishes, and how fast the user may publish.
//!
//! | claim | value |
//! | --- | --- |
//! | `ably.channel.<pattern>` | text, for the channels that match |
//! | `ably.room.<pattern>` | text, for the channels `<room>::$chat` of the rooms that match |
//! | `ably.limits.publish.perAttachment.maxRate.<pattern>` | messages per second on each channel |
//!
//! Patterns are those of capabilities. Of several that match, the most specific counts.

use std::sync::Arc;

use serde_json::Value;
use types::error::INVALID_JWT;
use types::{ChannelName, ErrorInfo};

use crate::resource::Resource;

const CHANNEL: &str = "ably.channel.";
const ROOM: &str = "ably.room.";
const RATE: &str = "ably.limits.publish.perAttachment.maxRate.";
/// What a room's name is followed by in the name of its channel.
const ROOM_SUFFIX: &str = "::$chat";

/// Most claims about channels in one token; more are refused (40144). They are tried in turn.
const MAX_CLAIMS: usize = 100;
/// Longest text of a claim, in bytes; longer ones are refused (40144). It goes on every message.
const MAX_TEXT: usize = 4096;

/// Empty for credentials other than JWTs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    channels: Vec<(Resource, Arc<str>)>,
    rooms: Vec<(Resource, Arc<str>)>,
    rates: Vec<(Resource, u32)>,
    token: Arc<[u8]>,
}

impl Claims {
    /// From the claims of a token; those about other things are ignored.
    pub(crate) fn read<'a>(
        claims: impl IntoIterator<Item = (&'a String, &'a Value)>,
        signature: &[u8],
    ) -> Result<Self, ErrorInfo> {
        let mut read = Self { token: signature.into(), ..Self::default() };
        for (name, value) in claims {
            if let Some(pattern) = name.strip_prefix(CHANNEL) {
                read.channels.push((resource(name, pattern)?, text(name, value)?));
            } else if let Some(pattern) = name.strip_prefix(ROOM) {
                read.rooms.push((resource(name, pattern)?, text(name, value)?));
            } else if let Some(pattern) = name.strip_prefix(RATE) {
                read.rates.push((resource(name, pattern)?, rate(name, value)?));
            }
            if read.channels.len() + read.rooms.len() + read.rates.len() > MAX_CLAIMS {
                return Err(INVALID_JWT.with("too many claims about channels"));
            }
        }
        most_specific_first(&mut read.channels);
        most_specific_first(&mut read.rooms);
        most_specific_first(&mut read.rates);
        Ok(read)
    }

    /// What is known about the user, for those who read what it publishes on `channel`.
    pub fn user_claim(&self, channel: &ChannelName) -> Option<&Arc<str>> {
        let of_room = || {
            let room = channel.as_str().strip_suffix(ROOM_SUFFIX)?;
            first(&self.rooms, room)
        };
        of_room().or_else(|| first(&self.channels, channel.as_str()))
    }

    /// Messages per second that may be published on `channel`, if that is limited.
    pub fn publish_rate(&self, channel: &ChannelName) -> Option<u32> {
        first(&self.rates, channel.as_str()).copied()
    }

    /// What tells the token from all others.
    pub fn token(&self) -> &Arc<[u8]> {
        &self.token
    }
}

fn first<'a, T>(claims: &'a [(Resource, T)], name: &str) -> Option<&'a T> {
    claims.iter().find(|(pattern, _)| pattern.matches(name)).map(|(_, value)| value)
}

fn most_specific_first<T>(claims: &mut [(Resource, T)]) {
    claims.sort_by_cached_key(|(pattern, _)| pattern.generality());
}

fn resource(claim: &str, pattern: &str) -> Result<Resource, ErrorInfo> {
    Resource::parse(pattern).ok_or_else(|| invalid(claim, "does not name channels"))
}

fn text(claim: &str, value: &Value) -> Result<Arc<str>, ErrorInfo> {
    let text = value.as_str().ok_or_else(|| invalid(claim, "must be text"))?;
    if text.len() > MAX_TEXT {
        return Err(invalid(claim, "is too long"));
    }
    Ok(text.into())
}

fn rate(claim: &str, value: &Value) -> Result<u32, ErrorInfo> {
    value
        .as_u64()
        .and_then(|rate| u32::try_from(rate).ok())
        .filter(|rate| *rate > 0)
        .ok_or_else(|| invalid(claim, "must be a whole number from 1"))
}

fn invalid(claim: &str, problem: &str) -> ErrorInfo {
    let shown: String = claim.chars().take(64).collect();
    INVALID_JWT.with(format!("claim '{shown}' {problem}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(claims: &Value) -> Result<Claims, ErrorInfo> {
        Claims::read(claims.as_object().unwrap(), b"signature")
    }

    fn channel(name: &str) -> ChannelName {
        ChannelName::parse(name).unwrap()
    }

    #[test]
    fn the_most_specific_pattern_counts() {
        let claims = read(&json!({
            "ably.channel.*": "all",
            "ably.channel.a:*": "below a",
            "ably.channel.*:x": "any x",
            "ably.channel.a:*:c": "c below a",
            "ably.channel.a:b": "exact",
            "ably.limits.publish.perAttachment.maxRate.*": 10,
            "ably.limits.publish.perAttachment.maxRate.a:b": 20,
            "sub": "somebody",
        }))
        .unwrap();
        for (name, expected) in [
            ("z", "all"),
            ("a", "all"),
            ("a:b", "exact"),
            ("a:x", "below a"),
            ("b:x", "any x"),
            ("a:b:c", "c below a"),
            ("a:b:d", "below a"),
        ] {
            assert_eq!(claims.user_claim(&channel(name)).unwrap().as_ref(), expected, "{name}");
        }
        assert_eq!(claims.publish_rate(&channel("a:b")), Some(20));
        assert_eq!(claims.publish_rate(&channel("a:c")), Some(10));
    }

    #[test]
    fn claims_of_rooms_are_about_their_channels_and_win_there() {
        let claims = read(&json!({"ably.room.support:*": "agent", "ably.channel.*": "all"}));
        let claims = claims.unwrap();
        let of = |name: &str| claims.user_claim(&channel(name)).unwrap().as_ref();
        assert_eq!(of("support:1::$chat"), "agent");
        assert_eq!(of("support:1"), "all");
        assert_eq!(of("sales::$chat"), "all");
    }

    #[test]
    fn claims_that_cannot_be_used_are_refused_with_40144() {
        let many: serde_json::Map<String, Value> =
            (0..=MAX_CLAIMS).map(|n| (format!("ably.channel.{n}"), "x".into())).collect();
        for claims in [
            json!({"ably.channel.a": {}}),
            json!({"ably.channel.": "x"}),
            json!({"ably.channel.a": "x".repeat(MAX_TEXT + 1)}),
            json!({"ably.limits.publish.perAttachment.maxRate.a": "10"}),
            json!({"ably.limits.publish.perAttachment.maxRate.a": 0}),
            many.into(),
        ] {
            assert_eq!(read(&claims).unwrap_err().code, 40144, "{claims:.80}");
        }
    }
}
