//! Pages of history over HTTP/1.1, one connection for many requests. A page is told like a frame with
//! messages, and then like an acknowledgement; any other answer as a refusal.

use memchr::memmem;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Channel, Event, Phase, Place, Wire, WireError};
use crate::LoadError;

pub(crate) struct Rest {
    host: String,
    key: String,
    /// Messages of a page.
    limit: u32,
}

impl Rest {
    pub(crate) fn at(place: &Place, limit: u32) -> Result<Self, LoadError> {
        let key = place.key.as_deref().ok_or(LoadError::NoKey)?;
        let key = utf8_percent_encode(key, NON_ALPHANUMERIC).to_string();
        Ok(Self { host: place.authority.clone(), key, limit })
    }
}

impl Wire for Rest {
    fn hello(&self, _out: &mut Vec<u8>) {}

    fn greets(&self) -> bool {
        false
    }

    fn subscribe(&self, _channel: &Channel, _out: &mut Vec<u8>) {}

    /// A request for the newest page of the channel; there is no payload.
    fn publish(&self, _serial: u64, channel: &Channel, _payload: &[u8], out: &mut Vec<u8>) {
        let Self { host, key, limit } = self;
        let name = utf8_percent_encode(&channel.name, NON_ALPHANUMERIC);
        let request = format!(
            "GET /channels/{name}/messages?limit={limit}&key={key} HTTP/1.1\r\nHost: {host}\r\n\r\n"
        );
        out.extend(request.into_bytes());
    }

    /// The serial of an answer is always 0: a connection has one request at a time.
    fn read(
        &self,
        _phase: &mut Phase,
        input: &[u8],
        hear: &mut dyn FnMut(Event<'_>),
    ) -> Result<usize, WireError> {
        let mut at = 0;
        while let Some((answer, len)) = first_answer(input.get(at..).unwrap_or_default())? {
            at += len;
            if answer.is_page {
                hear(Event::Message(answer.body));
                hear(Event::Acknowledged { serial: 0, count: 1 });
            } else {
                let reason = String::from_utf8_lossy(answer.body).into_owned();
                hear(Event::Refused { serial: 0, count: 1, reason });
            }
        }
        Ok(at)
    }
}

struct Answer<'a> {
    is_page: bool,
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
    let answer = |body| (Answer { is_page: head.starts_with("http/1.1 200 "), body }, end);
    Ok(input.get(start..end).map(answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(input: &[u8]) -> (usize, Vec<String>) {
        let place = Place {
            authority: "h:1".to_owned(),
            path: String::new(),
            key: Some("a.b:c".to_owned()),
        };
        let mut heard = Vec::new();
        let mut hear = |event: Event<'_>| heard.push(format!("{event:?}"));
        let rest = Rest::at(&place, 10).unwrap();
        let used = rest.read(&mut Phase::Open, input, &mut hear).unwrap();
        (used, heard)
    }

    #[test]
    fn pages_follow_each_other_and_may_come_in_parts() {
        let page = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]";
        let two = [page.as_slice(), page].concat();
        let (used, events) = heard(&two);
        assert_eq!((used, events.len()), (two.len(), 4));
        assert_eq!(heard(&two[..two.len() - 1]).0, page.len());
        assert_eq!(heard(&page[..20]).0, 0);
    }

    #[test]
    fn what_is_no_page_is_refused() {
        let (_, events) = heard(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\n{}");
        assert!(events[0].starts_with("Refused"), "{events:?}");
    }
}
