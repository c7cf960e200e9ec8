//! A publish in JSON, as clients send it: parsed by serde_json into a structure that borrows its texts.

use std::borrow::Cow;

use serde::Deserialize;

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Publish<'a> {
    pub action: u8,
    pub msg_serial: u64,
    #[serde(borrow)]
    pub channel: Text<'a>,
    #[serde(borrow)]
    pub messages: Vec<Message<'a>>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message<'a> {
    #[serde(borrow)]
    pub id: Option<Text<'a>>,
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    #[serde(borrow)]
    pub client_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub data: Option<Text<'a>>,
    #[serde(borrow)]
    pub encoding: Option<Text<'a>>,
}

/// A type of its own, because serde copies an optional `Cow`.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

pub fn parse(payload: &[u8]) -> serde_json::Result<Publish<'_>> {
    serde_json::from_slice(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_borrowed_unless_they_have_escapes() {
        let json = br#"{"action":15,"msgSerial":7,"channel":"room","messages":[{"data":"a\"b","name":"n"}]}"#;
        let Publish { action, msg_serial, channel, messages } = parse(json).unwrap();
        assert_eq!((action, msg_serial), (15, 7));
        assert!(matches!(channel, Text(Cow::Borrowed("room"))));
        let [
            Message {
                data: Some(Text(Cow::Owned(data))),
                name: Some(Text(Cow::Borrowed("n"))),
                ..
            },
        ] = messages.as_slice()
        else {
            panic!("{messages:?}")
        };
        assert_eq!(data, "a\"b");
    }

    #[test]
    fn what_is_no_publish_is_refused() {
        for json in [r#"{"action":15}"#, "[]", r#"{"action":15,"msgSerial":1"#] {
            assert!(parse(json.as_bytes()).is_err(), "{json}");
        }
    }
}
