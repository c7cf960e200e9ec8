//! Metachannels: channels on which the server tells an app's operators what goes on in it. Clients
//! only read them. What is told, and when, is the node's business.

/// One of the metachannels that every app has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metachannel {
    ChannelLifecycle,
    ConnectionLifecycle,
    MinuteStats,
    ConnectionEvents,
    RequestEvents,
    /// Errors that no client is told of.
    Log,
    /// Those of push notifications.
    PushLog,
}

impl Metachannel {
    /// What the names of metachannels begin with.
    pub const PREFIX: &str = "[meta]";

    const ALL: [Self; 7] = [
        Self::ChannelLifecycle,
        Self::ConnectionLifecycle,
        Self::MinuteStats,
        Self::ConnectionEvents,
        Self::RequestEvents,
        Self::Log,
        Self::PushLog,
    ];

    /// With the prefix, as capabilities name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ChannelLifecycle => "[meta]channel.lifecycle",
            Self::ConnectionLifecycle => "[meta]connection.lifecycle",
            Self::MinuteStats => "[meta]stats:minute",
            Self::ConnectionEvents => "[meta]clientEvents:connections",
            Self::RequestEvents => "[meta]clientEvents:apiRequests",
            Self::Log => "[meta]log",
            Self::PushLog => "[meta]log:push",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metachannel| metachannel.name() == name)
    }
}
