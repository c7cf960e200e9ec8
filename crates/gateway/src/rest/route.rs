//! The paths that there are, and their methods.

use http::Method;

use super::{chat, comet, push};
use crate::{event_stream::Framing, server::Sandbox};

/// What a path names. Names from the path are decoded, and not judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    Local(Local),
    Node(Endpoint<'a>),
    Chat(chat::Request<'a>),
    Comet(comet::Request<'a>),
    EventStream(Framing),
}

/// What is answered without the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Local {
    About,
    Live,
    Ready,
    Health,
    Metrics,
    Time,
}

/// What the node is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint<'a> {
    Publish { channel: &'a str },
    BatchPublish,
    Channels,
    ChannelDetails { channel: &'a str },
    History { channel: &'a str },
    Message { channel: &'a str, serial: &'a str },
    Change { channel: &'a str, serial: &'a str },
    Delete { channel: &'a str, serial: &'a str },
    Versions { channel: &'a str, serial: &'a str },
    Annotations { channel: &'a str, serial: &'a str },
    Annotate { channel: &'a str, serial: &'a str },
    ClientSummary { channel: &'a str, serial: &'a str },
    Presence { channel: &'a str },
    BatchPresence,
    PresenceHistory { channel: &'a str },
    PublishObjects { channel: &'a str },
    ReadObject { channel: &'a str, object_id: Option<&'a str> },
    RequestToken { key_name: &'a str },
    RevokeTokens { key_name: &'a str },
    Push(push::Endpoint<'a>),
    CreateApp,
    DeleteApp { id: &'a str },
    Stats,
    PostStats,
}

/// Why there is no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRoute {
    NotFound,
    /// The path has other methods: the value of `Allow`.
    Method(&'static str),
}

impl<'a> Route<'a> {
    #[expect(clippy::too_many_lines, reason = "one arm for each path")]
    pub(super) fn parse(
        method: &Method,
        segments: &[&'a str],
        sandbox: Sandbox,
    ) -> Result<Self, NoRoute> {
        let is_get = method == Method::GET;
        let stream = |route| if is_get { Ok(route) } else { Err(NoRoute::Method("GET")) };
        let is_get = is_get || method == Method::HEAD;
        let get = |route| if is_get { Ok(route) } else { Err(NoRoute::Method("GET")) };
        let local = |local| get(Self::Local(local));
        let read = |endpoint| get(Self::Node(endpoint));
        let write = |on: Method, allow, endpoint| {
            if *method == on { Ok(Self::Node(endpoint)) } else { Err(NoRoute::Method(allow)) }
        };
        let comet = |request| stream(Self::Comet(request));
        match *segments {
            [""] => local(Local::About),
            ["time"] => local(Local::Time),
            ["health"] => local(Local::Health),
            ["health", "live"] => local(Local::Live),
            ["health", "ready"] => local(Local::Ready),
            ["metrics"] => local(Local::Metrics),
            ["chat", "v4", "rooms", room, ref path @ ..] => {
                chat::Request::parse(method, room, path).map(Self::Chat)
            }
            ["channels"] => read(Endpoint::Channels),
            ["channels", channel] => read(Endpoint::ChannelDetails { channel }),
            ["sse"] => stream(Self::EventStream(Framing::ServerSentEvents)),
            ["event-stream"] => stream(Self::EventStream(Framing::Lines)),
            ["comet", "connect"] => comet(comet::Request::Connect),
            ["comet", key, "recv"] => comet(comet::Request::Receive { key }),
            ["comet", key, "close"] => comet(comet::Request::Close { key }),
            ["comet", key, "disconnect"] => comet(comet::Request::Disconnect { key }),
            ["comet", key, "send"] if *method == Method::POST => {
                Ok(Self::Comet(comet::Request::Send { key }))
            }
            ["comet", _, "send"] => Err(NoRoute::Method("POST")),
            ["channels", channel, "messages"] if is_get => read(Endpoint::History { channel }),
            ["channels", channel, "messages"] => {
                write(Method::POST, "GET, POST", Endpoint::Publish { channel })
            }
            ["channels", channel, "messages", serial] if is_get => {
                read(Endpoint::Message { channel, serial })
            }
            ["channels", channel, "messages", serial] => {
                write(Method::PATCH, "GET, PATCH", Endpoint::Change { channel, serial })
            }
            ["channels", channel, "messages", serial, "delete"] => {
                write(Method::POST, "POST", Endpoint::Delete { channel, serial })
            }
            ["channels", channel, "messages", serial, "versions"] => {
                read(Endpoint::Versions { channel, serial })
            }
            ["channels", channel, "messages", serial, "annotations"] if is_get => {
                read(Endpoint::Annotations { channel, serial })
            }
            ["channels", channel, "messages", serial, "annotations"] => {
                write(Method::POST, "GET, POST", Endpoint::Annotate { channel, serial })
            }
            ["channels", channel, "messages", serial, "client-summary"] => {
                read(Endpoint::ClientSummary { channel, serial })
            }
            ["channels", channel, "presence"] => read(Endpoint::Presence { channel }),
            ["channels", channel, "presence", "history"] => {
                read(Endpoint::PresenceHistory { channel })
            }
            ["channels", channel, "object" | "objects"] if is_get => {
                read(Endpoint::ReadObject { channel, object_id: None })
            }
            ["channels", channel, "object" | "objects"] => {
                write(Method::POST, "GET, POST", Endpoint::PublishObjects { channel })
            }
            ["channels", channel, "object" | "objects", id] => {
                read(Endpoint::ReadObject { channel, object_id: Some(id) })
            }
            ["messages"] => write(Method::POST, "POST", Endpoint::BatchPublish),
            ["presence"] => read(Endpoint::BatchPresence),
            // Keys cannot be read: a GET below them is a path that does not exist.
            ["keys", key_name, "requestToken"] if !is_get => {
                write(Method::POST, "POST", Endpoint::RequestToken { key_name })
            }
            ["keys", key_name, "revokeTokens"] if !is_get => {
                write(Method::POST, "POST", Endpoint::RevokeTokens { key_name })
            }
            ["push", ref rest @ ..] => {
                push::route(method, rest).map(|endpoint| Self::Node(Endpoint::Push(endpoint)))
            }
            ["apps"] if sandbox == Sandbox::On => write(Method::POST, "POST", Endpoint::CreateApp),
            ["apps", id] if sandbox == Sandbox::On => {
                write(Method::DELETE, "DELETE", Endpoint::DeleteApp { id })
            }
            ["stats"] if is_get || sandbox == Sandbox::Off => read(Endpoint::Stats),
            ["stats"] => write(Method::POST, "GET, POST", Endpoint::PostStats),
            _ => Err(NoRoute::NotFound),
        }
    }
}
