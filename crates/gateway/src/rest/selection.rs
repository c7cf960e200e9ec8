//! Parts of an answer, for those who ask for no more: some of its fields (`fields`), what lies at a
//! path with wildcards (`select`), or everything with the path to it as its key (`flatten`).
//!
//! Errors, answers that go on, and what is neither JSON nor MessagePack are left as they are. A part is
//! made of the answer in JSON, so in MessagePack, too, binary data is base64 in it.

use http::{HeaderValue, header};
use http_body_util::BodyExt;
use protocol::Format;
use serde_json::{Map, Value};
use types::{ErrorInfo, error::INVALID_PARAM};

use super::{answer::Answer, call};
use crate::body::Body;

/// Fields that are asked for at most (40003): each is looked for in every item of a list.
const MAX_FIELDS: usize = 100;
/// Stands for every field of an object, and every item of a list.
const ANY: &str = "*";

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selection {
    /// Paths without wildcards; none means all fields.
    fields: Vec<String>,
    path: Option<String>,
    flattens: bool,
}

impl Selection {
    pub(super) fn asked(query: &[(String, String)]) -> Result<Option<Self>, ErrorInfo> {
        let fields = call::param(query, "fields").unwrap_or_default().split(',');
        let fields: Vec<_> = fields.filter(|path| !path.is_empty()).map(str::to_owned).collect();
        if fields.len() > MAX_FIELDS {
            return Err(INVALID_PARAM.with(format!("fields names at most {MAX_FIELDS}")));
        }
        let path = call::param(query, "select").filter(|path| !path.is_empty());
        let flattens = call::param(query, "flatten") == Some("true");
        let asked = !fields.is_empty() || path.is_some() || flattens;
        Ok(asked.then(|| Self { fields, path: path.map(str::to_owned), flattens }))
    }

    /// The part of an answer in JSON, or an error as a whole, in `format`.
    pub(super) async fn of(&self, answer: Answer, format: Format) -> Result<Answer, ErrorInfo> {
        let is_json = |kind: &HeaderValue| kind.as_bytes() == b"application/json";
        let applies = answer.headers().get(header::CONTENT_TYPE).is_some_and(is_json);
        let (mut head, body) = answer.into_parts();
        let whole = match body {
            Body::Whole(whole) if applies => whole,
            other => return Ok(Answer::from_parts(head, other)),
        };
        let Ok(collected) = whole.collect().await;
        let mut value: Value = protocol::decode_value(Format::Json, &collected.to_bytes())?;
        if head.status.is_success() {
            value = self.part(value);
        }
        let part = protocol::encode_value(&value, format)?;
        let kind = HeaderValue::from_static(format.content_type());
        head.headers.insert(header::CONTENT_TYPE, kind);
        Ok(Answer::from_parts(head, part.into()))
    }

    fn part(&self, mut value: Value) -> Value {
        if !self.fields.is_empty() {
            let fields: Vec<&str> = self.fields.iter().map(String::as_str).collect();
            value = with_fields(value, &fields);
        }
        let mut found = Map::new();
        match &self.path {
            Some(path) => find(value, Some(path), String::new(), &mut found),
            None if self.flattens => flatten(value, String::new(), &mut found),
            None => return value,
        }
        found.into()
    }
}

/// Of objects, also of those in lists, the fields at `paths`.
fn with_fields(value: Value, paths: &[&str]) -> Value {
    match value {
        Value::Array(items) => {
            items.into_iter().map(|item| with_fields(item, paths)).collect::<Vec<_>>().into()
        }
        Value::Object(object) => {
            let mut kept = Map::new();
            for (key, value) in object {
                let rests: Vec<_> = paths.iter().filter_map(|path| below(path, &key)).collect();
                if rests.iter().any(Option::is_none) {
                    kept.insert(key, value);
                } else if !rests.is_empty() && (value.is_object() || value.is_array()) {
                    let rests: Vec<&str> = rests.into_iter().flatten().collect();
                    kept.insert(key, with_fields(value, &rests));
                }
            }
            kept.into()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

/// What is left of a path behind `key`: nothing (`Some(None)`), or more. None if it leads elsewhere.
/// Keys may have dots in them.
fn below<'p>(path: &'p str, key: &str) -> Option<Option<&'p str>> {
    let rest = path.strip_prefix(key)?;
    if rest.is_empty() { Some(None) } else { rest.strip_prefix('.').map(Some) }
}

/// As [`below`], with wildcards.
fn beneath<'p>(path: &'p str, key: &str) -> Option<Option<&'p str>> {
    below(path, key).or_else(|| below(path, ANY))
}

/// What lies at `path`, or is itself meant if that is none, by the way to it.
fn find(value: Value, path: Option<&str>, way: String, found: &mut Map<String, Value>) {
    let Some(path) = path else {
        found.insert(way, value);
        return;
    };
    for (key, value) in children(value).into_iter().flatten() {
        if let Some(rest) = beneath(path, &key) {
            find(value, rest, join(&way, &key), found);
        }
    }
}

/// Everything that has no parts, by the way to it.
fn flatten(value: Value, way: String, found: &mut Map<String, Value>) {
    if value.is_object() || value.is_array() {
        for (key, value) in children(value).into_iter().flatten() {
            flatten(value, join(&way, &key), found);
        }
    } else {
        found.insert(way, value);
    }
}

/// The parts of an object or a list, by their keys or numbers.
fn children(value: Value) -> Option<Vec<(String, Value)>> {
    match value {
        Value::Object(object) => Some(object.into_iter().collect()),
        Value::Array(items) => {
            Some(items.into_iter().enumerate().map(|(n, item)| (n.to_string(), item)).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn join(way: &str, key: &str) -> String {
    if way.is_empty() { key.to_owned() } else { format!("{way}.{key}") }
}

#[cfg(test)]
mod tests {
    use node::{ChannelDetails, ChannelsPage, Occupancy, Response};
    use serde_json::json;
    use types::{ChannelName, error::CAPABILITY_MISSING};

    use super::*;
    use crate::testing::{Bench, settings};

    fn part(query: &[(&str, &str)], value: Value) -> Value {
        let query: Vec<_> =
            query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Selection::asked(&query).unwrap().unwrap().part(value)
    }

    fn statistics() -> Value {
        json!([
            { "intervalId": "2015-11-20:15", "channels": { "peak": 2, "min": 1 } },
            { "intervalId": "2015-11-20:16", "all": { "messages": { "count": 3 } } },
        ])
    }

    #[test]
    fn fields_are_those_at_their_paths() {
        assert_eq!(
            part(&[("fields", "channels.peak,intervalId")], statistics()),
            json!([
                { "channels": { "peak": 2 }, "intervalId": "2015-11-20:15" },
                { "intervalId": "2015-11-20:16" },
            ])
        );
        let flat = json!({ "entries": { "channels.peak": 2, "channels.min": 1 }, "unit": "hour" });
        let expected = json!({ "entries": { "channels.peak": 2 } });
        assert_eq!(part(&[("fields", "entries.channels.peak")], flat), expected);
        assert_eq!(part(&[("fields", "all")], json!({ "a": 1 })), json!({}));
    }

    #[test]
    fn a_flat_answer_has_the_ways_to_its_values_as_keys() {
        assert_eq!(
            part(&[("flatten", "true"), ("fields", "channels.peak,intervalId")], statistics()),
            json!({
                "0.channels.peak": 2, "0.intervalId": "2015-11-20:15",
                "1.intervalId": "2015-11-20:16",
            })
        );
    }

    #[test]
    fn a_path_with_wildcards_leads_to_several_values() {
        let expected = json!({ "0.channels.peak": 2, "0.channels.min": 1 });
        assert_eq!(part(&[("select", "*.channels.*")], statistics()), expected);
        let expected = json!({ "1.all": { "messages": { "count": 3 } } });
        assert_eq!(part(&[("select", "1.all")], statistics()), expected);
    }

    #[tokio::test]
    async fn a_part_comes_in_either_format_and_an_error_comes_whole() {
        let details = || ChannelDetails {
            name: ChannelName::parse("a").unwrap(),
            is_active: true,
            occupancy: Occupancy::default(),
        };
        let page = move || ChannelsPage { channels: vec![details()], next: Some("a".into()) };
        let (bench, _requests) = Bench::answering(move |_| Response::Channels(page())).await;
        let path = "/channels?by=value&fields=channelId,status.isActive&limit=1";
        let expected = json!([{ "channelId": "a", "status": { "isActive": true } }]);
        let answer = bench.get(path).await;
        assert_eq!(answer.json(), expected);
        assert!(answer.headers_named("link").iter().all(|link| link.contains("fields=")));
        let answer = bench.get(&format!("{path}&format=msgpack")).await;
        assert_eq!(answer.header("content-type"), Some("application/x-msgpack"));
        assert_eq!(answer.msgpack(), expected);
        let answer = bench.get(&format!("{path}&envelope=json")).await;
        assert_eq!(answer.json()["response"], expected);

        let refuse = |_: &_| Response::Error(CAPABILITY_MISSING.info());
        let (bench, _requests) = Bench::answering(refuse).await;
        assert_eq!(bench.get(path).await.error(), (401, 40160));
        let bench = Bench::new(settings()).await;
        let many = vec!["a"; MAX_FIELDS + 1].join(",");
        assert_eq!(bench.get(&format!("/time?fields={many}")).await.error(), (400, 40003));
    }
}
