//! Templates: text with places for what is known of a message, such as the key by which messages are
//! conflated.
//!
//! `#{…}` holds a variable, or several as `(a, b)`, and then optionally `| hash(base)` or
//! `| moduloHash(buckets, base)`. What a message does not have is empty text. A template is bounded in
//! length and parsed once; rendering costs no more than the template and what it names.

use std::fmt;

use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use crate::{ChannelName, ClientId, Message};

/// Longest template, in bytes.
const MAX_TEXT: usize = 1_024;
/// Variables in one place.
const MAX_VARIABLES: usize = 16;
/// Between the variables of a tuple, so that ("ab", "c") is not ("a", "bc").
const SEPARATOR: &str = "\u{0}";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(Box<str>),
    Value { variables: Vec<Variable>, filter: Option<Filter> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Variable {
    ChannelName,
    Name,
    Id,
    ClientId,
    ConnectionId,
    Timestamp,
    Header(Box<str>),
}

/// A fingerprint of 32 bits, of which there may be fewer values, as text in a base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Filter {
    buckets: Option<u32>,
    base: u32,
}

/// Why a template cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadTemplate {
    reason: &'static str,
    /// Bytes before the place.
    at: usize,
}

/// What a template is about: a message with what its channel knows of it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub channel: &'a ChannelName,
    pub id: &'a str,
    pub connection_id: &'a str,
    /// Milliseconds.
    pub timestamp: u64,
    pub message: &'a Message,
}

impl Template {
    pub fn parse(text: &str) -> Result<Self, BadTemplate> {
        if text.len() > MAX_TEXT {
            return Err(BadTemplate { reason: "it is too long", at: MAX_TEXT });
        }
        let mut parser = Parser { text, rest: text };
        let mut parts = Vec::new();
        while let Some((literal, rest)) = parser.rest.split_once("#{") {
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.into()));
            }
            parser.rest = rest;
            parts.push(parser.value()?);
        }
        if !parser.rest.is_empty() {
            parts.push(Part::Literal(parser.rest.into()));
        }
        Ok(Self(parts))
    }

    pub fn render(&self, subject: Subject<'_>) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Value { variables, filter } => {
                    let values: Vec<String> =
                        variables.iter().map(|variable| variable.of(subject)).collect();
                    let value = values.join(SEPARATOR);
                    match filter {
                        None => text.push_str(&value),
                        Some(filter) => filter.push(&value, &mut text),
                    }
                }
            }
        }
        text
    }
}

impl Variable {
    fn of(&self, subject: Subject<'_>) -> String {
        let message = subject.message;
        match self {
            Self::ChannelName => subject.channel.as_str().to_owned(),
            Self::Name => message.name.as_deref().unwrap_or_default().to_owned(),
            Self::Id => subject.id.to_owned(),
            Self::ClientId => message.client_id.as_ref().map_or("", ClientId::as_str).to_owned(),
            Self::ConnectionId => subject.connection_id.to_owned(),
            Self::Timestamp => subject.timestamp.to_string(),
            Self::Header(name) => {
                let headers = message.extras.as_ref().and_then(|extras| extras.get("headers"));
                match headers.and_then(|headers| headers.get(name.as_ref())) {
                    None | Some(Value::Null) => String::new(),
                    Some(Value::String(text)) => text.clone(),
                    Some(other) => other.to_string(),
                }
            }
        }
    }
}

impl Filter {
    fn push(self, value: &str, to: &mut String) {
        let [a, b, c, d, ..] = xxh3_64(value.as_bytes()).to_le_bytes();
        let hash = u32::from_le_bytes([a, b, c, d]);
        let mut left = self.buckets.map_or(hash, |buckets| hash % buckets);
        let mut digits = Vec::new();
        loop {
            digits.extend(char::from_digit(left % self.base, self.base));
            left /= self.base;
            if left == 0 {
                break;
            }
        }
        to.extend(digits.into_iter().rev());
    }
}

/// What is left to be read behind a `#{`.
struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Parser<'a> {
    /// A value with the brace that ends it.
    fn value(&mut self) -> Result<Part, BadTemplate> {
        let mut variables = Vec::new();
        let tuple = self.take("(");
        variables.push(self.variable()?);
        while tuple && self.take(",") {
            if variables.len() == MAX_VARIABLES {
                return Err(self.objection("too many variables in one place"));
            }
            variables.push(self.variable()?);
        }
        if tuple && !self.take(")") {
            return Err(self.objection("a `)` is missing"));
        }
        let filter = if self.take("|") { Some(self.filter()?) } else { None };
        if variables.len() > 1 && filter.is_none() {
            return Err(self.objection("several variables need a filter"));
        }
        if !self.take("}") {
            return Err(self.objection("a `}` is missing"));
        }
        Ok(Part::Value { variables, filter })
    }

    fn variable(&mut self) -> Result<Variable, BadTemplate> {
        let before = self.rest.trim_start();
        let variable = match self.word() {
            "channelName" => Variable::ChannelName,
            "message.name" => Variable::Name,
            "message.id" => Variable::Id,
            "message.clientId" => Variable::ClientId,
            "message.connectionId" => Variable::ConnectionId,
            "message.timestamp" => Variable::Timestamp,
            "message.extras.headers" => return self.header(),
            _ => {
                self.rest = before;
                return Err(self.objection("there is no such variable"));
            }
        };
        Ok(variable)
    }

    fn header(&mut self) -> Result<Variable, BadTemplate> {
        let quoted = ["'", "\""].into_iter().find(|quote| self.take(&format!("[{quote}")));
        let Some(quote) = quoted else {
            return Err(self.objection("a header is named by ['…']"));
        };
        let end = format!("{quote}]");
        let Some((name, rest)) = self.rest.split_once(end.as_str()) else {
            return Err(self.objection("the name of the header does not end"));
        };
        self.rest = rest;
        Ok(Variable::Header(name.into()))
    }

    fn filter(&mut self) -> Result<Filter, BadTemplate> {
        let before = self.rest.trim_start();
        let name = self.word();
        let arguments = self.arguments()?;
        let (buckets, base) = match (name, arguments.as_slice()) {
            ("hash", []) => (None, 16),
            ("hash", [base]) => (None, *base),
            ("moduloHash", [buckets]) => (Some(*buckets), 16),
            ("moduloHash", [buckets, base]) => (Some(*buckets), *base),
            _ => {
                self.rest = before;
                return Err(self.objection("there is no such filter with these arguments"));
            }
        };
        if !(2..=36).contains(&base) || buckets == Some(0) {
            return Err(self.objection("a base is 2 to 36, and there is at least one bucket"));
        }
        Ok(Filter { buckets, base })
    }

    fn arguments(&mut self) -> Result<Vec<u32>, BadTemplate> {
        let mut arguments = Vec::new();
        if !self.take("(") || self.take(")") {
            return Ok(arguments);
        }
        loop {
            let number = self.word().parse();
            arguments.push(number.map_err(|_not_one| self.objection("a number is missing"))?);
            if self.take(")") {
                return Ok(arguments);
            }
            if arguments.len() == 2 || !self.take(",") {
                return Err(self.objection("a `)` is missing"));
            }
        }
    }

    /// Letters, digits and dots, behind spaces.
    fn word(&mut self) -> &'a str {
        let rest = self.rest.trim_start();
        let in_word = |c: char| c.is_ascii_alphanumeric() || c == '.';
        let end = rest.find(|c| !in_word(c)).unwrap_or(rest.len());
        let (word, rest) = rest.split_at_checked(end).unwrap_or((rest, ""));
        self.rest = rest;
        word
    }

    /// Takes `token`, behind spaces, if it comes next.
    fn take(&mut self, token: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn objection(&self, reason: &'static str) -> BadTemplate {
        BadTemplate { reason, at: self.text.len() - self.rest.len() }
    }
}

impl fmt::Display for BadTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, behind {} bytes", self.reason, self.at)
    }
}

impl std::error::Error for BadTemplate {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn render(template: &str) -> String {
        let headers = json!({"headers": {"foo": "bar", "n": 5, "it's": "x"}});
        let message = Message {
            name: Some("price".into()),
            client_id: Some("ann".into()),
            extras: Some(Arc::new(headers.as_object().unwrap().clone())),
            ..Message::default()
        };
        let channel = ChannelName::parse("market:a").unwrap();
        let subject = Subject {
            channel: &channel,
            id: "m:0",
            connection_id: "c",
            timestamp: 7,
            message: &message,
        };
        Template::parse(template).unwrap().render(subject)
    }

    #[test]
    fn variables_are_replaced_by_what_the_message_has() {
        for (template, text) in [
            ("", ""),
            ("plain #text{}", "plain #text{}"),
            ("#{channelName}", "market:a"),
            ("the-foo-header-is-#{ message.extras.headers['foo'] }", "the-foo-header-is-bar"),
            ("#{message.extras.headers[\"it's\"]}", "x"),
            ("#{message.extras.headers['n']}#{message.extras.headers['none']}", "5"),
            ("name: #{message.name}, clientId: #{message.clientId}", "name: price, clientId: ann"),
            ("#{message.id} #{message.timestamp} #{message.connectionId}", "m:0 7 c"),
        ] {
            assert_eq!(render(template), text, "{template}");
        }
    }

    #[test]
    fn filters_make_fingerprints_in_a_base_and_in_buckets() {
        let hex = render("#{channelName | hash}");
        assert_eq!(
            u32::from_str_radix(&hex, 16).unwrap().to_string(),
            render("#{channelName|hash(10)}")
        );
        let bucket: u32 = render("#{message.id | moduloHash(4, 10)}").parse().unwrap();
        assert!(bucket < 4);
        assert!(
            u32::from_str_radix(&render("#{channelName | moduloHash(256, 8)}"), 8).unwrap() < 256
        );
        assert_eq!(render("#{channelName | moduloHash( 1 )}"), "0");
        let tuple = render("#{(message.name, message.clientId, channelName) | hash}");
        assert_ne!(tuple, render("#{(message.clientId, message.name, channelName) | hash}"));
    }

    #[test]
    fn what_is_no_template_is_refused() {
        let many = format!("#{{({}message.id) | hash}}", "message.id,".repeat(MAX_VARIABLES));
        for text in [
            "#{",
            "#{}",
            "#{nonsense}",
            "#{message.data}",
            "#{channelName",
            "#{channelName | }",
            "#{channelName | upper}",
            "#{channelName | moduloHash}",
            "#{channelName | moduloHash(0)}",
            "#{channelName | hash(1)}",
            "#{channelName | hash(99999999999)}",
            "#{channelName | hash(16}",
            "#{(channelName, message.id)}",
            "#{(channelName | hash}",
            "#{message.extras.headers}",
            "#{message.extras.headers['x}",
            &many,
            &"x".repeat(MAX_TEXT + 1),
        ] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_template_or_is_refused(text in "[#{}()|a-z.'\\[\\], 0-9é]{0,60}") {
            let _outcome = Template::parse(&text);
        }
    }
}
