//! What is known of where a connection or request comes from, for those who watch an app. Secrets
//! are not in it: of headers only those are kept that say what a client is, and parameters that
//! may hold credentials are left out.

use auth::Source;
use serde_json::{Map, Value};

/// Headers that are kept.
const HEADERS: [&str; 10] = [
    "host",
    "user-agent",
    "origin",
    "accept",
    "accept-language",
    "content-type",
    "content-length",
    "ably-agent",
    "x-ably-version",
    "x-ably-lib",
];
/// What the name of a parameter that may hold a credential contains, in lower case.
const SECRET: [&str; 6] = ["key", "token", "secret", "auth", "resume", "recover"];
/// Parameters that are kept, and bytes of a value; sessions keep them. What is beyond is left out.
const MAX_PARAMETERS: usize = 32;
const MAX_VALUE: usize = 256;

#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// How a connection is carried, or what is done to a path: the transport, or the method and
    /// the path as it was sent.
    pub way: Way,
    /// What restricted keys look at; it is not told.
    pub source: Source,
    headers: Vec<(&'static str, String)>,
    query: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    Transport(&'static str),
    Request { method: String, path: String },
}

impl Default for Way {
    fn default() -> Self {
        Self::Transport("websocket")
    }
}

impl Origin {
    /// `header` looks a header up.
    pub fn new<'a>(
        way: Way,
        source: Source,
        header: impl Fn(&'static str) -> Option<&'a str>,
        query: &[(String, String)],
    ) -> Self {
        let fits = |value: &str| value.len() <= MAX_VALUE;
        let value = |name| header(name).filter(|value| fits(value));
        let headers = HEADERS.into_iter().filter_map(|name| Some((name, value(name)?.to_owned())));
        let query =
            query.iter().filter(|(name, value)| !is_secret(name) && fits(name) && fits(value));
        Self {
            way,
            source,
            headers: headers.collect(),
            query: query.take(MAX_PARAMETERS).cloned().collect(),
        }
    }

    /// The channels that the path or the query names.
    pub(crate) fn channels(&self) -> Vec<String> {
        if let Way::Request { path, .. } = &self.way {
            let name = path.strip_prefix("/channels/").and_then(|rest| rest.split('/').next());
            return name.and_then(|name| protocol::decode_segment(name).ok()).into_iter().collect();
        }
        let mut named =
            self.query.iter().filter(|(name, _)| matches!(name.as_str(), "channel" | "channels"));
        let names = named.next().map(|(_, names)| names.split(',').map(str::to_owned).collect());
        names.unwrap_or_default()
    }

    /// What is said of metachannels would itself be said on one.
    pub(crate) fn is_about_metachannel(&self) -> bool {
        self.channels().iter().any(|channel| channel.starts_with("[meta"))
    }

    /// The fields of an event.
    pub(crate) fn describe(&self) -> Map<String, Value> {
        let headers: Map<String, Value> = self
            .headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_str().into()))
            .collect();
        let query: Map<String, Value> =
            self.query.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        let mut fields = Map::new();
        match &self.way {
            Way::Transport(name) => {
                fields.insert("transport".into(), (*name).into());
            }
            Way::Request { method, path } => {
                fields.insert("method".into(), method.as_str().into());
                fields.insert("path".into(), path.as_str().into());
            }
        }
        fields.extend(headers.get("host").map(|host| ("host".to_owned(), host.clone())));
        fields.insert("headers".into(), headers.into());
        fields.insert("query".into(), query.into());
        let channels = self.channels();
        if !channels.is_empty() {
            fields.insert("channels".into(), channels.into());
        }
        fields
    }
}

fn is_secret(parameter: &str) -> bool {
    let name = parameter.to_ascii_lowercase();
    SECRET.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_may_be_secret_is_left_out() {
        let headers = |name: &'static str| match name {
            "host" => Some("example.com"),
            "authorization" | "cookie" => Some("secret"),
            _ => None,
        };
        let query = ["key", "access_token", "resume", "connectionKey", "deviceSecret", "v", "lib"]
            .map(|name| (name.to_owned(), "value".to_owned()));
        let origin = Origin::new(Way::Transport("comet"), Source::default(), headers, &query);
        assert_eq!(
            Value::Object(origin.describe()),
            json!({
                "transport": "comet",
                "host": "example.com",
                "headers": { "host": "example.com" },
                "query": { "v": "value", "lib": "value" },
            })
        );
    }

    #[test]
    fn the_path_of_a_request_names_its_channel() {
        let way = |path: &str| Way::Request { method: "GET".into(), path: path.into() };
        let channels = |path| Origin::new(way(path), Source::default(), |_| None, &[]).channels();
        assert_eq!(channels("/channels/a%3Ab/messages"), ["a:b"]);
        assert_eq!(channels("/time"), [""; 0]);
    }
}
