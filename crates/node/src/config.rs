//! What a node is given when it starts.

use auth::SealingKey;
use session::Identity;
use types::{App, NodeLimits, Timestamp};

pub struct Config {
    pub identity: Identity,
    pub limits: NodeLimits,
    pub apps: Vec<App>,
    /// Seals connection keys and tokens; the same for all nodes and all incarnations.
    pub sealing_key: SealingKey,
    /// Grows with every start on the same data directory.
    pub incarnation: u64,
    pub previous: Option<PreviousIncarnation>,
}

/// The last life of this node: its sessions may be resumed for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreviousIncarnation {
    pub number: u64,
    /// When it was last known to live.
    pub last_alive: Timestamp,
}
