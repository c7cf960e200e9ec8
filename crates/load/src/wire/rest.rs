//! REST over HTTP/1.1: one connection for many requests, which are answered in their order. Messages are
//! published one at a time, or the newest page of history is read.

use memchr::memmem;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Channel, Event, Phase, Place, Wire, WireError, push_number};
use crate::LoadError;

pub(crate) struct Rest {
    host: String,
    key: String,
    request: Request,
}

enum Request {
    Publish,
    /// A page of so many messages. It is told like a frame with messages.
    Page(u32),
}

impl Rest {
    pub(super) fn publisher(place: &Place) -> Result<Self, LoadError> {
        Self::at(place, Request::Publish)
    }

    /// What is published are requests for the newest page of the channel, without a payload.
    pub(crate) fn reader(place: &Place, page: u32) -> Result<Self, LoadError> {
        Self::at(place, Request::Page(page))
    }

    fn at(place: &Place, request: Request) -> Result<Self, LoadError> {
        let key = place.key.as_deref().ok_or(LoadError::NoKey)?;
        let key = utf8_percent_encode(key, NON_ALPHANUMERIC).to_string();
        Ok(Self { host: place.authority.clone(), key, request })
    }
}

impl Wire for Rest {
    fn hello(&self, _out: &mut Vec<u8>) {}

    fn greets(&self) -> bool {
        false
    }

    fn subscribe(&self, _channel: &Channel, _out: &mut Vec<u8>) {}

    fn delivers(&self) -> bool {
        false
    }

    fn publish(&self, _serial: u64, channel: &Channel, payload: &[u8], out: &mut Vec<u8>) {
        let Self { host, key, request } = self;
        let name = utf8_percent_encode(&channel.name, NON_ALPHANUMERIC);
        match request {
            Request::Publish => {
                let head = format!(
                    "POST /channels/{name}/messages?key={key} HTTP/1.1\r\nHost: {host}\r\n\
                     Content-Type: application/json\r\nContent-Length: "
                );
                out.extend(head.into_bytes());
                let (before, behind) = (b"{\"data\":\"", b"\"}");
                push_number((before.len() + payload.len() + behind.len()) as u64, out);
                for part in [b"\r\n\r\n", before.as_slice(), payload, behind] {
                    out.extend_from_slice(part);
                }
            }
            Request::Page(limit) => {
                let request = format!(
                    "GET /channels/{name}/messages?limit={limit}&key={key} HTTP/1.1\r\n\
                     Host: {host}\r\n\r\n"
                );
                out.extend(request.into_bytes());
            }
        }
    }

    fn read(
        &self,
        _phase: &mut Phase,
        input: &[u8],
        hear: &mut dyn FnMut(Event<'_>),
    ) -> Result<usize, WireError> {
        let mut at = 0;
        while let Some((answer, len)) = first_answer(input.get(at..).unwrap_or_default())? {
            at += len;
            if !answer.is_success {
                let reason = String::from_utf8_lossy(answer.body).into_owned();
                hear(Event::Answered(Err(reason)));
                continue;
            }
            if matches!(self.request, Request::Page(_)) {
                hear(Event::Message(answer.body));
            }
            hear(Event::Answered(Ok(())));
        }
        Ok(at)
    }
}

struct Answer<'a> {
    is_success: bool,
    body: &'a [u8],
}

/// The first answer of the input with its length, once it is there.
fn first_answer(input: &[u8]) -> Result<Option<(Answer<'_>, usize)>, WireError> {
    let Some(end) = memmem::find(input, b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(input.get(..end).unwrap_or_default()).to_ascii_lowercase();
    let len = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let len: Option<usize> = len.and_then(|len| len.trim().parse().ok());
    let len = len.ok_or_else(|| WireError(format!("an answer of unknown length: {head}")))?;
    let (start, end) = (end + 4, end + 4 + len);
    let answer = |body| (Answer { is_success: head.starts_with("http/1.1 2"), body }, end);
    Ok(input.get(start..end).map(answer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::heard;

    const PAGE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]";

    fn place() -> Place {
        Place { authority: "h:1".to_owned(), path: String::new(), key: Some("a.b:c".to_owned()) }
    }

    #[test]
    fn pages_follow_each_other_and_may_come_in_parts() {
        let reader = Rest::reader(&place(), 10).unwrap();
        let two = [PAGE, PAGE].concat();
        let told = ["message []", "accepted", "message []", "accepted"];
        assert_eq!(heard(&reader, &mut Phase::Open, &two), told);
        let used = |input| reader.read(&mut Phase::Open, input, &mut |_| {}).unwrap();
        assert_eq!((used(&two[..two.len() - 1]), used(&PAGE[..20])), (PAGE.len(), 0));
    }

    #[test]
    fn a_publish_has_its_payload_as_data_and_is_answered() {
        let publisher = Rest::publisher(&place()).unwrap();
        let channel = Channel { number: 0, name: "a:b".to_owned() };
        let mut out = Vec::new();
        publisher.publish(7, &channel, b"~payload~", &mut out);
        let expected = "POST /channels/a%3Ab/messages?key=a%2Eb%3Ac HTTP/1.1\r\nHost: h:1\r\n\
            Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{\"data\":\"~payload~\"}";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let created = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(heard(&publisher, &mut Phase::Open, created), ["accepted"]);
    }

    #[test]
    fn what_is_no_success_is_refused() {
        let reader = Rest::reader(&place(), 10).unwrap();
        let input = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(heard(&reader, &mut Phase::Open, input), ["not accepted {}"]);
    }
}
