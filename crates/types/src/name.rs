//! Channel names: what a client may ask for, and what a channel is called.
//!
//! A reference may carry a qualifier, `[?param=value&…]name` or `[filter=<base64>]name`; the
//! channel is named by the rest. `[meta]name` is a metachannel, and the prefix belongs to its name.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::Metachannel;
use crate::error::{self, ErrorInfo};

/// Longest channel name, in bytes.
const MAX_NAME_BYTES: usize = 2048;

/// Filters come in standard base64, with or without padding.
const FILTER_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The channel of a chat room.
const CHAT: &str = "$chat";
/// What channels are called that belong to a chat room or a space: their names are that of the room
/// or space, two colons, and one of these.
pub const CHANNELS_OF_OWNERS: [&str; 3] = [CHAT, "$space", "$cursors"];

/// The room or space that the channel `name` belongs to, if it does.
pub fn owner_of_channel(name: &str) -> Option<&str> {
    let kind = name.rfind('$').and_then(|at| name.get(at..))?;
    let known = CHANNELS_OF_OWNERS.iter().find(|channel| **channel == kind)?;
    name.strip_suffix(known)?.strip_suffix("::").filter(|owner| !owner.is_empty())
}

/// Channel params, by name.
pub type Params = BTreeMap<String, String>;

/// The name of a channel within its app, without a qualifier.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelName(Arc<str>);

impl ChannelName {
    pub fn parse(text: impl Into<Arc<str>>) -> Result<Self, ErrorInfo> {
        let text = text.into();
        let valid = !text.is_empty()
            && !text.starts_with(['[', ':'])
            && !text.bytes().any(|byte| matches!(byte, b'\n' | b'\r'))
            && text.len() <= MAX_NAME_BYTES;
        if valid { Ok(Self(text)) } else { Err(invalid(&text)) }
    }

    /// The same name, as a text that says it; another text is given back.
    pub fn said_by(&self, text: Arc<str>) -> Result<Self, Arc<str>> {
        if self.0 == text { Ok(Self(text)) } else { Err(text) }
    }

    /// Where the names that begin with `text` begin, in the order of names. A bound for ranges: it
    /// need not be a valid name.
    pub fn bound(text: &str) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the channel of a chat room.
    pub fn of_chat_room(room: &str) -> String {
        format!("{room}::{CHAT}")
    }

    pub fn is_chat_room(&self) -> bool {
        self.0.strip_suffix(CHAT).is_some_and(|rest| rest.ends_with("::"))
    }

    /// Which metachannel it is, if it is one.
    pub fn metachannel(&self) -> Option<Metachannel> {
        if self.0.starts_with('[') { Metachannel::parse(&self.0) } else { None }
    }

    /// The text before the first colon, or all of it: what namespaces match.
    pub fn namespace(&self) -> &str {
        self.0.split_once(':').map_or(&self.0, |(namespace, _)| namespace)
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A channel as a client refers to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelRef {
    /// The text that the client used; frames for it carry this text.
    pub requested: Arc<str>,
    pub name: ChannelName,
    /// The params of the qualifier.
    pub params: Params,
    /// The expression of a derived channel: only messages that it selects are delivered (RTS5).
    pub filter: Option<String>,
}

impl ChannelRef {
    pub fn parse(text: impl Into<Arc<str>>) -> Result<Self, ErrorInfo> {
        let requested = text.into();
        let Some(rest) = requested.strip_prefix('[') else {
            let name = ChannelName::parse(Arc::clone(&requested))?;
            return Ok(Self { requested, name, params: Params::new(), filter: None });
        };
        let (qualifier, name) = rest.split_once(']').ok_or_else(|| invalid(&requested))?;
        let (kind, query) = qualifier.split_once('?').unwrap_or((qualifier, ""));
        let params = parse_params(query);
        if kind == "meta" {
            let name = ChannelName(format!("{}{name}", Metachannel::PREFIX).into());
            name.metachannel().ok_or_else(|| invalid(&requested))?;
            return Ok(Self { requested, name, params, filter: None });
        }
        let filter = match kind.strip_prefix("filter=") {
            Some(encoded) => Some(decode_filter(encoded).ok_or_else(|| invalid(&requested))?),
            None if kind.is_empty() && !query.is_empty() => None,
            None => return Err(invalid(&requested)),
        };
        let name = ChannelName::parse(name)?;
        Ok(Self { requested, name, params, filter })
    }

    /// What a capability must permit for this reference: derived channels have names of their own.
    pub fn resource(&self) -> Cow<'_, str> {
        match self.filter {
            None => Cow::Borrowed(self.name.as_str()),
            Some(_) => Cow::Owned(format!("[filter]{}", self.name)),
        }
    }
}

fn decode_filter(encoded: &str) -> Option<String> {
    String::from_utf8(FILTER_BASE64.decode(encoded).ok()?).ok()
}

fn parse_params(query: &str) -> Params {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn invalid(text: &str) -> ErrorInfo {
    let shown: String = text.chars().take(64).collect();
    error::INVALID_CHANNEL_NAME.with(format!("invalid channel name '{shown}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_the_protocol_refuses_are_refused_with_40010() {
        for text in [
            "",
            ":hell",
            "::",
            "[x",
            "[meta]x",
            "a\nb",
            "[?rewind=1]",
            "[?rewind=1]:x",
            "[]x",
            "[filter=%]x",
            "[other?rewind=1]x",
            "[meta]",
            "[meta?rewind=1]x",
            "[meta][meta]log",
            "[?rewind=1][meta]log",
        ] {
            assert_eq!(ChannelRef::parse(text).unwrap_err().code, 40010, "{text}");
        }
    }

    #[test]
    fn a_qualifier_gives_params_and_is_not_part_of_the_name() {
        let channel = ChannelRef::parse("[?rewind=1&echo=false]a:b").unwrap();
        assert_eq!(channel.name.as_str(), "a:b");
        assert_eq!(channel.name.namespace(), "a");
        assert_eq!(channel.requested.as_ref(), "[?rewind=1&echo=false]a:b");
        assert_eq!(channel.params.get("echo").map(String::as_str), Some("false"));
        assert_eq!(channel.resource(), "a:b");
    }

    #[test]
    fn channels_of_rooms_and_spaces_belong_to_the_name_before_their_suffix() {
        for (name, owner) in [
            ("a::$chat", Some("a")),
            ("dms:a::$chat", Some("dms:a")),
            ("a::$space", Some("a")),
            ("a::$cursors", Some("a")),
            ("[filter]a::$chat", Some("[filter]a")),
            ("::$chat", None),
            ("a", None),
            ("a:$chat", None),
            ("a::$chat:b", None),
            ("a::$other", None),
        ] {
            assert_eq!(owner_of_channel(name), owner, "{name}");
        }
        assert_eq!(ChannelName::of_chat_room("dms:a"), "dms:a::$chat");
    }

    #[test]
    fn a_metachannel_keeps_its_prefix_and_may_have_params() {
        for (text, name, metachannel) in [
            ("[meta]log", "[meta]log", Metachannel::Log),
            ("[meta?rewind=1]log:push", "[meta]log:push", Metachannel::PushLog),
            ("[meta?rewind=1]stats:minute", "[meta]stats:minute", Metachannel::MinuteStats),
        ] {
            let channel = ChannelRef::parse(text).unwrap();
            assert_eq!((channel.name.as_str(), channel.requested.as_ref()), (name, text));
            assert_eq!(channel.name.metachannel(), Some(metachannel));
            assert_eq!(channel.resource(), name);
            assert_eq!(channel.params.len(), usize::from(text.contains('?')));
        }
    }

    #[test]
    fn a_derived_channel_has_a_filter_and_a_resource_of_its_own() {
        let channel = ChannelRef::parse("[filter=bmFtZSA9PSBgImEiYA==]a:b").unwrap();
        assert_eq!(channel.name.as_str(), "a:b");
        assert_eq!(channel.filter.as_deref(), Some("name == `\"a\"`"));
        assert_eq!(channel.resource(), "[filter]a:b");
    }
}
