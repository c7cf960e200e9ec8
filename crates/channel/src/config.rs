//! What a channel is told at its creation. It does not change while the channel lives, and is the same for
//! many channels.

use std::time::Duration;

use types::{AppLimits, Grouping, NodeLimits, SiteCode};

/// How long ids are kept beyond retention and publish deadline: time for a client that has just
/// reconnected to resend, and for the resend to travel.
const ID_SLACK: Duration = Duration::from_secs(30);

#[derive(Clone, Debug)]
pub struct Config {
    pub site: SiteCode,
    /// Entries are committed, and so delivered and acknowledged, only when they are durable.
    pub persisted: bool,
    /// What was published last is kept beyond the log.
    pub persist_last: bool,
    pub grouping: Grouping,
    pub limits: Limits,
}

/// 0 means unlimited for rates, for presence and for objects; the other bounds always hold.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long entries stay in the log.
    pub retention: Duration,
    /// Bytes of entries in the log; older ones go first.
    pub log_bytes: usize,
    /// How long a publish waits to be committed before it is refused with 50003.
    pub publish_deadline: Duration,
    /// Ids kept for deduplication; a publish beyond is refused (42913), no id is forgotten.
    pub ids: usize,
    /// Messages and presence events per second (42913).
    pub message_rate: u32,
    /// KiB per second (42914).
    pub kib_rate: u32,
    /// Bytes of one message with everything that was appended to it (40009).
    pub message_bytes: usize,
    /// Members of the presence set (91003).
    pub presence_members: usize,
    /// Bytes of data of all members (91006).
    pub presence_data_bytes: usize,
    /// Bytes of objects that can be reached (92001).
    pub objects_bytes: usize,
    /// How long what was removed from objects is remembered, and objects without use are kept.
    pub objects_grace: Duration,
}

impl Limits {
    pub fn new(app: &AppLimits, node: &NodeLimits) -> Self {
        Self {
            retention: Duration::from_millis(node.log_retention_ms),
            log_bytes: node.log_bytes_per_channel as usize,
            publish_deadline: Duration::from_millis(node.publish_deadline_ms),
            ids: node.ids_per_channel as usize,
            message_rate: app.channel_message_rate,
            kib_rate: app.channel_kib_rate,
            message_bytes: app.max_message_size as usize,
            presence_members: app.presence_members as usize,
            presence_data_bytes: app.presence_data_bytes as usize,
            objects_bytes: app.objects_bytes as usize,
            objects_grace: Duration::from_millis(node.objects_grace_ms),
        }
    }

    /// How long an id is recognised after its entry was committed, whatever the log has trimmed:
    /// a resend can come as late as a resume, and its first try may have waited for its deadline.
    pub fn id_window(&self) -> Duration {
        self.retention + self.publish_deadline + ID_SLACK
    }
}
