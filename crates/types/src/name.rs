//! Channel names: what a client may ask for, and what a channel is called.
//!
//! A reference may carry a qualifier, `[?param=value&…]name`; the channel is named by the rest.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::error::{self, ErrorInfo};

/// Longest channel name, in bytes.
const MAX_NAME_BYTES: usize = 2048;

/// Channel params, by name.
pub type Params = BTreeMap<String, String>;

/// The name of a channel within its app, without a qualifier.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelName(Arc<str>);

impl ChannelName {
    pub fn parse(text: &str) -> Result<Self, ErrorInfo> {
        let valid = !text.is_empty()
            && !text.starts_with(['[', ':'])
            && !text.contains(['\n', '\r'])
            && text.len() <= MAX_NAME_BYTES;
        if valid { Ok(Self(text.into())) } else { Err(invalid(text)) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
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
}

impl ChannelRef {
    pub fn parse(text: &str) -> Result<Self, ErrorInfo> {
        let (params, name) = match text.strip_prefix('[') {
            None => (Params::new(), text),
            Some(rest) => {
                let (qualifier, name) = rest.split_once(']').ok_or_else(|| invalid(text))?;
                let query = qualifier.strip_prefix('?').ok_or_else(|| invalid(text))?;
                (parse_params(query), name)
            }
        };
        Ok(Self { requested: text.into(), name: ChannelName::parse(name)?, params })
    }
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
        for text in ["", ":hell", "::", "[x", "[meta]x", "a\nb", "[?rewind=1]", "[?rewind=1]:x"] {
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
    }
}
