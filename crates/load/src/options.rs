//! What to run: where, how long, which scenario. Checked before anything is connected.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use crate::marker;
use crate::scenario::{Arrival, Mixture};
use crate::wire::Place;
use crate::{LoadError, WireKind};

/// Bytes of the largest payload: it fits into the read buffer with whatever is around it.
const PAYLOAD_MAX: usize = 128 * 1024;

#[derive(Clone, Debug)]
pub struct Options {
    /// `http://host:port`, with a path if the wire's usual one is not meant.
    pub url: String,
    /// `NAME:SECRET`.
    pub key: Option<String>,
    pub wire: WireKind,
    /// The server's process, on this machine: what it uses is read from `/proc`.
    pub pid: Option<u32>,
    pub warmup: Duration,
    pub duration: Duration,
    /// At the end: without any delivery for so long, what has not come is lost.
    pub patience: Duration,
    pub waiting: Waiting,
    /// Bytes of the data of each message.
    pub payload: usize,
    /// What the names of channels begin with.
    pub channel: String,
    pub scenario: Scenario,
}

/// What the generator does until something comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    Asleep,
    /// It looks again and again, on a core of its own: to wake it would cost a server on the same machine CPU time.
    Awake,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Scenario {
    /// `publishers` to every one of `subscribers`; as many `stalled` ones never read.
    FanOut {
        subscribers: u32,
        publishers: u32,
        stalled: u32,
        pace: Pace,
    },
    /// A stream on each of `channels`, which have `subscribers` each.
    Channels {
        channels: u32,
        subscribers: u32,
        publishers: u32,
        pace: Pace,
    },
    /// Each of `publishers` on a channel of its own. In flight are messages without an
    /// answer, of each publisher; a rate is that of all together.
    Publish {
        publishers: u32,
        pace: Pace,
    },
    /// Attached to `channels` in turn, unless it is 0.
    Idle {
        connections: u32,
        channels: u32,
    },
    /// All of `watchers` hear how each of `members` enters and leaves.
    Presence {
        members: u32,
        watchers: u32,
        pace: Pace,
    },
    /// All `subscribers` are dropped at once and come back, while so many messages are sent per second.
    Resume {
        subscribers: u32,
        rate: f64,
    },
    /// Each of `readers` asks for the newest `page` messages of a channel, again and again.
    History {
        readers: u32,
        page: u32,
    },
    Mixed(Mixture),
    Connect {
        connections: u32,
        arrival: Arrival,
    },
}

/// When the next message is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// So that as many are always under way: closed loop.
    InFlight(u32),
    /// As many per second, whatever has arrived: open loop.
    Rate(f64),
}

impl Options {
    pub(crate) fn check(&self) -> Result<(), LoadError> {
        let range = marker::LEN..=PAYLOAD_MAX;
        if !range.contains(&self.payload) {
            let (least, most) = range.into_inner();
            return Err(LoadError::Usage(format!("a payload has {least} to {most} bytes")));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
        if self.channel.is_empty() || !self.channel.bytes().all(plain) {
            return Err(LoadError::Usage(format!(
                "the channel name {:?} is not plain",
                self.channel
            )));
        }
        if self.duration.is_zero() {
            return Err(LoadError::Usage("a run takes some time".to_owned()));
        }
        Ok(())
    }

    /// Where the server is, and what to tell it.
    pub(crate) fn place(&self) -> Result<(SocketAddr, Place), LoadError> {
        let rest = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let unknown = |reason: &str| LoadError::Usage(format!("{}: {reason}", self.url));
        let mut addresses =
            authority.to_socket_addrs().map_err(|error| unknown(&error.to_string()))?;
        let address = addresses.next().ok_or_else(|| unknown("no address"))?;
        let path = if path == "/" { "" } else { path };
        let (authority, path) = (authority.to_owned(), path.to_owned());
        Ok((address, Place { authority, path, key: self.key.clone() }))
    }
}

impl Scenario {
    /// When its messages are sent, where there is a choice.
    pub(crate) fn pace(&self) -> Option<Pace> {
        match *self {
            Self::FanOut { pace, .. }
            | Self::Channels { pace, .. }
            | Self::Publish { pace, .. }
            | Self::Presence { pace, .. } => Some(pace),
            Self::Idle { .. }
            | Self::Resume { .. }
            | Self::History { .. }
            | Self::Mixed(_)
            | Self::Connect { .. } => None,
        }
    }

    pub(crate) fn set_pace(&mut self, new: Pace) {
        match self {
            Self::FanOut { pace, .. }
            | Self::Channels { pace, .. }
            | Self::Publish { pace, .. }
            | Self::Presence { pace, .. } => *pace = new,
            Self::Idle { .. }
            | Self::Resume { .. }
            | Self::History { .. }
            | Self::Mixed(_)
            | Self::Connect { .. } => {}
        }
    }
}

impl Pace {
    pub(crate) fn check(self) -> Result<Self, LoadError> {
        match self {
            Self::InFlight(0) => Err(LoadError::Usage("at least one message in flight".to_owned())),
            Self::Rate(rate) if !(rate.is_finite() && rate > 0.0) => {
                Err(LoadError::Usage("a rate is more than nothing".to_owned()))
            }
            Self::InFlight(_) | Self::Rate(_) => Ok(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(url: &str) -> Options {
        Options {
            url: url.to_owned(),
            key: None,
            wire: WireKind::Raw,
            pid: None,
            warmup: Duration::ZERO,
            duration: Duration::from_secs(1),
            patience: Duration::from_secs(1),
            waiting: Waiting::Asleep,
            payload: 300,
            channel: "bench-1".to_owned(),
            scenario: Scenario::FanOut {
                subscribers: 1,
                publishers: 1,
                stalled: 0,
                pace: Pace::InFlight(1),
            },
        }
    }

    #[test]
    fn a_url_may_have_a_scheme_and_a_path() {
        for (url, path) in [
            ("127.0.0.1:80", ""),
            ("http://127.0.0.1:80", ""),
            ("ws://127.0.0.1:80/", ""),
            ("http://127.0.0.1:80/connection/websocket", "/connection/websocket"),
        ] {
            let (address, place) = options(url).place().unwrap();
            assert_eq!(address, "127.0.0.1:80".parse().unwrap());
            assert_eq!((place.authority.as_str(), place.path.as_str()), ("127.0.0.1:80", path));
        }
        assert!(options("http://127.0.0.1").place().is_err());
    }

    #[test]
    fn what_cannot_be_run_is_refused() {
        let good = options("127.0.0.1:80");
        good.check().unwrap();
        assert!(Options { payload: marker::LEN - 1, ..good.clone() }.check().is_err());
        assert!(Options { channel: "a\"b".to_owned(), ..good.clone() }.check().is_err());
        assert!(Options { duration: Duration::ZERO, ..good }.check().is_err());
        assert!(Pace::InFlight(0).check().is_err());
        assert!(Pace::Rate(f64::NAN).check().is_err());
    }
}
