//! The realtime protocol in JSON over WebSocket.

use memchr::memmem;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

use super::realtime::{self, Format};
use super::websocket::{Opcode, push_frame};
use super::{
    Channel, Churn, Event, Phase, Place, Realtime, Wire, WireError, leading_number, push_number,
};
use crate::LoadError;

pub(super) struct Json {
    hello: Vec<u8>,
    place: Place,
}

impl Json {
    pub(super) fn at(place: &Place) -> Result<Self, LoadError> {
        Ok(Self { hello: realtime::hello::<Self>(place, "")?, place: place.clone() })
    }
}

impl Format for Json {
    const NAME: &str = "json";
    const OPCODE: Opcode = Opcode::Text;

    fn action(frame: &[u8]) -> Option<u64> {
        // Nearly always it comes first.
        match frame.strip_prefix(b"{\"action\":") {
            Some(rest) => leading_number(rest),
            None => number(frame, b"\"action\":"),
        }
    }

    fn serial(frame: &[u8]) -> Option<u64> {
        number(frame, b"\"msgSerial\":")
    }

    fn count(frame: &[u8]) -> Option<u64> {
        number(frame, b"\"count\":")
    }
}

/// A publish of one message.
pub(super) fn push_message(serial: u64, channel: &Channel, payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"action\":15,\"msgSerial\":");
    push_number(serial, out);
    out.extend_from_slice(b",\"channel\":\"");
    out.extend_from_slice(channel.name.as_bytes());
    out.extend_from_slice(b"\",\"messages\":[{\"data\":\"");
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\"}]}");
}

impl Wire for Json {
    fn hello(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.hello);
    }

    fn subscribe(&self, channel: &Channel, out: &mut Vec<u8>) {
        push_frame(Self::OPCODE, out, |out| {
            out.extend_from_slice(b"{\"action\":10,\"channel\":\"");
            out.extend_from_slice(channel.name.as_bytes());
            out.extend_from_slice(b"\"}");
        });
    }

    fn publish(&self, serial: u64, channel: &Channel, payload: &[u8], out: &mut Vec<u8>) {
        push_frame(Self::OPCODE, out, |out| push_message(serial, channel, payload, out));
    }

    fn realtime(&self) -> Option<&dyn Realtime> {
        Some(self)
    }

    fn read(
        &self,
        phase: &mut Phase,
        input: &[u8],
        hear: &mut dyn FnMut(Event<'_>),
    ) -> Result<usize, WireError> {
        realtime::read::<Self>(phase, input, hear)
    }
}

impl Realtime for Json {
    fn resume(&self, ready: &[u8], out: &mut Vec<u8>) {
        let key = text(ready, b"\"connectionKey\":\"");
        let resume = format!("&resume={}", percent_encode(key, NON_ALPHANUMERIC));
        // It has worked without the parameter.
        out.extend(realtime::hello::<Self>(&self.place, &resume).unwrap_or_default());
    }

    fn attach_from(&self, channel: &Channel, frame: &[u8], out: &mut Vec<u8>) {
        push_frame(Self::OPCODE, out, |out| {
            let parts = [
                b"{\"action\":10,\"flags\":32,\"channel\":\"",
                channel.name.as_bytes(),
                b"\",\"channelSerial\":\"",
                text(frame, b"\"channelSerial\":\""),
                b"\"}",
            ];
            out.extend(parts.concat());
        });
    }

    fn attach_member(&self, channel: &Channel, out: &mut Vec<u8>) {
        push_frame(Self::OPCODE, out, |out| {
            out.extend_from_slice(b"{\"action\":10,\"flags\":65536,\"channel\":\"");
            out.extend_from_slice(channel.name.as_bytes());
            out.extend_from_slice(b"\"}");
        });
    }

    fn churn(&self, serial: u64, channel: &Channel, member: Churn<'_>, out: &mut Vec<u8>) {
        let Churn { member, sequence, payload } = member;
        let action = if sequence.is_multiple_of(2) { 2 } else { 3 };
        push_frame(Self::OPCODE, out, |out| {
            let start = format!(
                "{{\"action\":14,\"msgSerial\":{serial},\"channel\":\"{}\",\"presence\":[{{\"action\":{action},\
                 \"clientId\":\"m{member}\",\"data\":\"",
                channel.name
            );
            out.extend_from_slice(start.as_bytes());
            out.extend_from_slice(payload);
            out.extend_from_slice(b"\"}]}");
        });
    }
}

/// The text behind a key, wherever it stands first. Keys and serials have no escapes.
fn text<'a>(frame: &'a [u8], key: &[u8]) -> &'a [u8] {
    let rest = memmem::find(frame, key).and_then(|at| frame.get(at + key.len()..));
    let rest = rest.unwrap_or_default();
    rest.split(|byte| *byte == b'"').next().unwrap_or_default()
}

/// The number behind a key, wherever it stands first.
fn number(frame: &[u8], key: &[u8]) -> Option<u64> {
    let at = memmem::find(frame, key)?;
    leading_number(frame.get(at + key.len()..)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::websocket::tests::{served, unmasked};

    fn json() -> Json {
        let key = Some("app.key:s/cret".to_owned());
        Json::at(&Place { authority: "h:80".to_owned(), path: String::new(), key }).unwrap()
    }

    fn channel() -> Channel {
        Channel { number: 7, name: "room".to_owned() }
    }

    /// The payload of the frame that a client sends.
    fn sent(write: impl FnOnce(&Json, &mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&json(), &mut out);
        String::from_utf8(unmasked(out).split_off(2)).unwrap()
    }

    /// What an open connection hears of a frame.
    fn heard(frame: &str) -> String {
        let mut heard = Vec::new();
        let mut hear = |event: Event<'_>| heard.push(format!("{event:?}"));
        let input = served(frame.as_bytes());
        let used = json().read(&mut Phase::Open, &input, &mut hear).unwrap();
        assert_eq!(used, input.len());
        heard.join(" ")
    }

    #[test]
    fn frames_have_their_golden_text() {
        assert_eq!(
            sent(|json, out| json.publish(3, &channel(), b"abc", out)),
            r#"{"action":15,"msgSerial":3,"channel":"room","messages":[{"data":"abc"}]}"#
        );
        assert_eq!(
            sent(|json, out| json.subscribe(&channel(), out)),
            r#"{"action":10,"channel":"room"}"#
        );
        let heard = br#"{"action":15,"channel":"room","channelSerial":"s:1","messages":[]}"#;
        assert_eq!(
            sent(|json, out| json.attach_from(&channel(), heard, out)),
            r#"{"action":10,"flags":32,"channel":"room","channelSerial":"s:1"}"#
        );
        let churn = |sequence| Churn { member: 1, sequence, payload: b"x" };
        for (sequence, action) in [(0, 2), (1, 3)] {
            let text = sent(|json, out| json.churn(5, &channel(), churn(sequence), out));
            assert!(text.contains(&format!("\"presence\":[{{\"action\":{action},")), "{text}");
        }
    }

    #[test]
    fn a_resume_names_the_connection_that_it_continues() {
        let mut out = Vec::new();
        json().resume(br#"{"action":4,"connectionKey":"a!b","connectionDetails":{}}"#, &mut out);
        let request = String::from_utf8(out).unwrap();
        assert!(request.contains("key=app%2Ekey%3As%2Fcret&resume=a%21b HTTP/1.1"), "{request}");
    }

    #[test]
    fn what_a_server_says_is_told_apart() {
        assert!(heard(r#"{"action":4,"connectionKey":"k"}"#).starts_with("Ready"));
        assert!(heard(r#"{"action":11,"channel":"room"}"#).starts_with("Subscribed"));
        assert!(heard(r#"{"action":15,"messages":[]}"#).starts_with("Message"));
        assert!(
            heard(r#"{"channel":"x","action":15}"#).starts_with("Message"),
            "any order of keys"
        );
        assert_eq!(
            heard(r#"{"action":1,"count":2,"msgSerial":30,"res":[]}"#),
            "Acknowledged { serial: 30, count: 2 }"
        );
        assert!(
            heard(r#"{"action":2,"msgSerial":4}"#).starts_with("Refused { serial: 4, count: 1")
        );
        assert!(heard(r#"{"action":9,"error":{}}"#).starts_with("Ended"));
        assert!(heard(r#"{"action":0}"#).starts_with("Other"));
    }

    #[test]
    fn a_connection_opens_with_the_answer_to_its_upgrade() {
        let mut input = b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec();
        input.extend(served(br#"{"action":4}"#));
        let (mut phase, mut count) = (Phase::Opening, 0);
        for part in 0..input.len() {
            let used =
                json().read(&mut Phase::Opening, &input[..part], &mut |_| count += 1).unwrap();
            assert!(used == 0 || used == 36, "half of a frame is left");
        }
        let used = json().read(&mut phase, &input, &mut |_| count += 1).unwrap();
        assert_eq!((used, phase, count), (input.len(), Phase::Open, 1));
    }
}
