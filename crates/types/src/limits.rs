//! Limits as configuration. Defaults are the documented ones of the protocol's reference service;
//! 0 means unlimited for every rate and count.

use serde::{Deserialize, Serialize};

/// Limits of one app, its channels and its connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AppLimits {
    /// Bytes of one publish: names, clientIds, data and extras of all its messages (40009).
    pub max_message_size: u32,
    /// Messages per second that one connection may publish (42911, not fatal).
    pub connection_inbound_rate: u32,
    /// Messages per second delivered to one connection; beyond it the client is told of the loss
    /// of continuity (80020).
    pub connection_outbound_rate: u32,
    /// Channels that one connection may be attached to (90010).
    pub channels_per_connection: u32,
    /// Messages per second published on one channel (42913).
    pub channel_message_rate: u32,
    /// KiB per second published on one channel (42914).
    pub channel_kib_rate: u32,
    /// Members of one channel's presence set (91003).
    pub presence_members: u32,
    /// The same for a channel with server-side batching.
    pub presence_members_batched: u32,
    /// Bytes of data of all members of one channel's presence set (91006).
    pub presence_data_bytes: u32,
    /// Bytes of one channel's objects, as far as they can be reached from the root (92001).
    pub objects_bytes: u32,
    /// Connections at a time (40150).
    pub connections: u32,
    /// New connections per second (80021).
    pub connection_rate: u32,
    /// Active channels at a time (40114).
    pub channels: u32,
    /// Channels activated per second (90021).
    pub channel_rate: u32,
    /// Messages published and delivered per second, on average over 24 seconds (42917).
    pub message_rate: u32,
    /// Messages published and delivered per clock hour (40112).
    pub messages_per_hour: u32,
    /// Messages published and delivered per calendar month (40112).
    pub messages_per_month: u32,
    /// KiB of messages published and delivered per second, on average over 24 seconds (42910).
    pub bandwidth_kib_rate: u32,
    /// MiB of messages published and delivered per clock hour (40112).
    pub bandwidth_mib_per_hour: u32,
    /// GiB of messages published and delivered per calendar month (40112).
    pub bandwidth_gib_per_month: u32,
    /// REST requests per second (42918).
    pub request_rate: u32,
    /// REST requests per clock hour (40115).
    pub requests_per_hour: u32,
    /// Token requests per second (42910).
    pub token_request_rate: u32,
    /// Token requests per clock hour (40115).
    pub token_requests_per_hour: u32,
    /// Push notifications per second, one for each device (42926).
    pub push_rate: u32,
}

impl Default for AppLimits {
    fn default() -> Self {
        Self {
            max_message_size: 65_536,
            connection_inbound_rate: 50,
            connection_outbound_rate: 50,
            channels_per_connection: 200,
            channel_message_rate: 50,
            channel_kib_rate: 1_024,
            presence_members: 200,
            presence_members_batched: 5_000,
            presence_data_bytes: 1_048_576,
            objects_bytes: 6_815_744,
            connections: 10_000,
            connection_rate: 250,
            channels: 10_000,
            channel_rate: 250,
            message_rate: 2_500,
            messages_per_hour: 5_208_000,
            messages_per_month: 0,
            bandwidth_kib_rate: 11_921,
            bandwidth_mib_per_hour: 25_395,
            bandwidth_gib_per_month: 1_192,
            request_rate: 362,
            requests_per_hour: 521_000,
            token_request_rate: 250,
            token_requests_per_hour: 360_000,
            push_rate: 100,
        }
    }
}

impl AppLimits {
    /// No rate or count limit; sizes keep their defaults.
    pub fn unlimited() -> Self {
        Self {
            connection_inbound_rate: 0,
            connection_outbound_rate: 0,
            channels_per_connection: 0,
            channel_message_rate: 0,
            channel_kib_rate: 0,
            presence_members: 0,
            presence_members_batched: 0,
            presence_data_bytes: 0,
            connections: 0,
            connection_rate: 0,
            channels: 0,
            channel_rate: 0,
            message_rate: 0,
            messages_per_hour: 0,
            messages_per_month: 0,
            bandwidth_kib_rate: 0,
            bandwidth_mib_per_hour: 0,
            bandwidth_gib_per_month: 0,
            request_rate: 0,
            requests_per_hour: 0,
            token_request_rate: 0,
            token_requests_per_hour: 0,
            push_rate: 0,
            ..Self::default()
        }
    }
}

/// Limits and timings of a node, for all its apps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeLimits {
    /// Apps (40128).
    pub apps: u32,
    /// Keys of one app (40127).
    pub keys_per_app: u32,
    /// Namespaces of one app (40126).
    pub namespaces_per_app: u32,
    /// Largest frame or request body, in bytes.
    pub max_frame_size: u32,
    /// Milliseconds that a dropped connection's state is kept (`connectionStateTtl`).
    pub connection_state_ttl_ms: u64,
    /// Milliseconds without a frame after which the server sends a heartbeat.
    pub max_idle_interval_ms: u64,
    /// Milliseconds that members of a dropped connection stay present.
    pub remain_present_for_ms: u64,
    /// Milliseconds that entries stay in a channel's log.
    pub log_retention_ms: u64,
    /// Bytes of entries that a channel's log keeps in memory; older ones go first.
    pub log_bytes_per_channel: u32,
    /// Milliseconds within which a publish is stored, or refused with 50003.
    pub publish_deadline_ms: u64,
    /// Ids that a channel remembers for deduplication; a publish beyond it is refused (42913).
    pub ids_per_channel: u32,
    /// Milliseconds that what was removed from an object is remembered, and that an object to which
    /// nothing refers is kept (`objectsGCGracePeriod`).
    pub objects_grace_ms: u64,
    /// Frames per second from one connection beyond which it is closed (42924).
    pub connection_frame_rate: u32,
    /// Publishes of one connection that wait for their acknowledgement; more close it (42920).
    pub connection_unacknowledged: u32,
    /// Bytes queued for one connection, besides what it has asked for, beyond which it is disconnected.
    pub send_queue_bytes: u32,
}

impl Default for NodeLimits {
    fn default() -> Self {
        Self {
            apps: 100,
            keys_per_app: 100,
            namespaces_per_app: 100,
            max_frame_size: 524_288,
            connection_state_ttl_ms: 120_000,
            max_idle_interval_ms: 15_000,
            remain_present_for_ms: 15_000,
            log_retention_ms: 120_000,
            log_bytes_per_channel: 64 << 20,
            publish_deadline_ms: 10_000,
            ids_per_channel: 1_000_000,
            objects_grace_ms: 86_400_000,
            connection_frame_rate: 2_000,
            connection_unacknowledged: 10_000,
            send_queue_bytes: 4 << 20,
        }
    }
}
