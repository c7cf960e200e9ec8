//! What is said on a connection: one file for each wire, all behind one trait.
//!
//! A wire knows bytes only. It neither counts nor measures, and it reads no more of a message than it
//! takes to find it.

mod centrifugo;
mod json;
mod mqtt;
mod msgpack;
mod nats;
mod raw;
mod raw_ingest;
mod realtime;
mod rest;
mod socketio;
#[cfg(test)]
mod testing;
mod websocket;

use std::fmt;
use std::str::FromStr;

pub(crate) use rest::Rest;

use crate::LoadError;

/// A protocol that can be driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireKind {
    Json,
    MessagePack,
    Rest,
    Raw,
    RawIngest,
    RawIngestJson,
    Nats,
    Centrifugo,
    SocketIo,
    Mqtt,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The server has yet to agree to the transport, or to what the client is here for.
    Opening,
    Open,
}

/// What a server says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// The client may subscribe and publish. With the frame that says so, if one does.
    Ready(&'a [u8]),
    /// A subscription is in force.
    Subscribed(&'a [u8]),
    /// A frame with messages.
    Message(&'a [u8]),
    Acknowledged {
        serial: u64,
        count: u64,
    },
    Refused {
        serial: u64,
        count: u64,
        reason: String,
    },
    /// What became of the publish that waits longest, on a wire that answers in order.
    Answered(Result<(), String>),
    /// What has to be sent back: the next step of a greeting, or the answer to a ping.
    Reply(Vec<u8>),
    /// The server, or the transport, ends the connection.
    Ended(String),
    /// Nothing that counts.
    Other(&'a [u8]),
}

/// Bytes were read that this wire does not have.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct WireError(pub(crate) String);

pub(crate) trait Wire {
    /// What a client sends when its transport is there.
    fn hello(&self, out: &mut Vec<u8>);

    /// Whether the server says when a client is `Ready`. If not, it is at once.
    fn greets(&self) -> bool {
        true
    }

    fn subscribe(&self, channel: &Channel, out: &mut Vec<u8>);

    /// Whether who subscribes is told messages.
    fn delivers(&self) -> bool {
        true
    }

    /// What a connection sends before it publishes for the first time.
    fn introduce_publisher(&self, _out: &mut Vec<u8>) {}

    /// One message; `serial` counts what the connection has published.
    fn publish(&self, serial: u64, channel: &Channel, payload: &[u8], out: &mut Vec<u8>);

    /// Whether each publish is acknowledged or refused.
    fn acknowledges(&self) -> bool {
        true
    }

    /// What goes beyond messages, if this wire has it.
    fn realtime(&self) -> Option<&dyn Realtime> {
        None
    }

    /// Tells `hear` what has come, and says how many bytes that took: the rest is no whole frame yet.
    fn read(
        &self,
        phase: &mut Phase,
        input: &[u8],
        hear: &mut dyn FnMut(Event<'_>),
    ) -> Result<usize, WireError>;
}

/// Presence, and connections that outlive their transports.
pub(crate) trait Realtime {
    /// The hello of a client that goes on with the connection of which `ready` was said.
    fn resume(&self, ready: &[u8], out: &mut Vec<u8>);

    /// Subscribes behind the place where `frame`, the last one heard, stands in its channel.
    fn attach_from(&self, channel: &Channel, frame: &[u8], out: &mut Vec<u8>);

    /// Attaches to a channel for being present only.
    fn attach_member(&self, channel: &Channel, out: &mut Vec<u8>);

    /// One member that comes and goes: with each even sequence it enters, with the next it leaves.
    fn churn(&self, serial: u64, channel: &Channel, member: Churn<'_>, out: &mut Vec<u8>);
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Churn<'a> {
    pub(crate) member: u32,
    pub(crate) sequence: u64,
    pub(crate) payload: &'a [u8],
}

/// Names of channels, and numbers for wires that have no names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Channel {
    pub(crate) number: u32,
    pub(crate) name: String,
}

/// Where a server is, and as whom a client comes.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Host and port, as they were given.
    pub(crate) authority: String,
    /// The path of the URL; empty if it has none.
    pub(crate) path: String,
    pub(crate) key: Option<String>,
}

impl Place {
    fn path_or<'a>(&'a self, usual: &'a str) -> &'a str {
        if self.path.is_empty() { usual } else { &self.path }
    }
}

/// The number that a text begins with.
fn leading_number(text: &[u8]) -> Option<u64> {
    let mut digits = text.iter().take_while(|byte| byte.is_ascii_digit()).peekable();
    digits.peek()?;
    digits.try_fold(0u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

fn push_number(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

impl WireKind {
    const ALL: &[(Self, &str)] = &[
        (Self::Json, "json"),
        (Self::MessagePack, "msgpack"),
        (Self::Rest, "rest"),
        (Self::Raw, "raw"),
        (Self::RawIngest, "raw-ingest"),
        (Self::RawIngestJson, "raw-ingest-json"),
        (Self::Nats, "nats"),
        (Self::Centrifugo, "centrifugo"),
        (Self::SocketIo, "socketio"),
        (Self::Mqtt, "mqtt"),
    ];

    pub(crate) fn at(self, place: &Place) -> Result<Box<dyn Wire>, LoadError> {
        Ok(match self {
            Self::Json => Box::new(json::Json::at(place)?),
            Self::MessagePack => Box::new(msgpack::MessagePack::at(place)?),
            Self::Rest => Box::new(Rest::publisher(place)?),
            Self::Raw => Box::new(raw::Raw),
            Self::RawIngest => Box::new(raw_ingest::RawIngest::Bytes),
            Self::RawIngestJson => Box::new(raw_ingest::RawIngest::Json),
            Self::Nats => Box::new(nats::Nats::at(place)),
            Self::Centrifugo => Box::new(centrifugo::Centrifugo::at(place)),
            Self::SocketIo => Box::new(socketio::SocketIo::at(place)),
            Self::Mqtt => Box::new(mqtt::Mqtt),
        })
    }
}

impl fmt::Display for WireKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(kind, _)| kind == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

impl FromStr for WireKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|(_, name)| *name == text);
        known.map(|(kind, _)| *kind).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|(_, name)| *name).collect();
            format!("the wires are {}", names.join(", "))
        })
    }
}
