//! What is compared: the scenarios of `dunlin bench` with their parameters, the figure that counts in
//! each, and the reference programs that the figure is held against.

use anyhow::{Context, Result};

use super::peers::Peer;
use super::raw::{self, Raw};

/// One comparison.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    /// What `dunlin bench` is told.
    pub(super) arguments: &'static [&'static str],
    pub(super) figure: &'static Figure,
    pub(super) raw: &'static [&'static Raw],
    pub(super) peers: Peers,
}

/// Which peers can run a scenario.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Peers {
    All,
    /// Those that tell a publisher that its message was taken.
    Acknowledging,
    None,
}

impl Peers {
    pub(super) fn include(self, peer: &Peer) -> bool {
        match self {
            Self::All => true,
            Self::Acknowledging => peer.acknowledges,
            Self::None => false,
        }
    }
}

/// A number of a result that servers are compared by.
pub(super) struct Figure {
    pub(super) title: &'static str,
    /// Where it is in the result, as a JSON pointer.
    pub(super) pointer: &'static str,
    pub(super) better: Better,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Better {
    More,
    Less,
}

impl Figure {
    /// How many times better `own` is than `other`; below 1 it is worse.
    pub(super) fn advantage(&self, own: f64, other: f64) -> f64 {
        match self.better {
            Better::More => own / other,
            Better::Less => other / own,
        }
    }
}

const DELIVERIES: Figure = Figure {
    title: "deliveries per CPU-second",
    pointer: "/server/deliveries_per_cpu_second",
    better: Better::More,
};
/// Where a delivery is an acknowledgement: a message that was refused is none.
const ACKNOWLEDGED: Figure = Figure {
    title: "messages per CPU-second",
    pointer: "/server/deliveries_per_cpu_second",
    better: Better::More,
};
const MEMORY: Figure = Figure {
    title: "bytes per connection",
    pointer: "/server/bytes_per_connection",
    better: Better::Less,
};
const COMPLETION: Figure = Figure {
    title: "p50 until all have it, µs",
    pointer: "/completion_us/p50",
    better: Better::Less,
};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "fan-out",
        title: "one publisher, 1,000 subscribers, one message in flight",
        arguments: &["fan-out", "--subscribers", "1000", "--in-flight", "1"],
        figure: &DELIVERIES,
        raw: &[&raw::FANOUT, &raw::FANOUT_URING],
        peers: Peers::All,
    },
    Scenario {
        name: "fan-out-pipelined",
        title: "one publisher, 1,000 subscribers, 16 messages in flight",
        arguments: &["fan-out", "--subscribers", "1000", "--in-flight", "16"],
        figure: &DELIVERIES,
        raw: &[&raw::FANOUT, &raw::FANOUT_URING],
        peers: Peers::All,
    },
    Scenario {
        name: "channels",
        title: "1,000 channels with 10 subscribers each, 64 messages in flight",
        arguments: &["channels", "--channels", "1000", "--subscribers", "10", "--in-flight", "64"],
        figure: &DELIVERIES,
        raw: &[&raw::FANOUT, &raw::FANOUT_URING],
        peers: Peers::All,
    },
    Scenario {
        name: "latency",
        title: "one publisher, 1,000 subscribers, 40 messages per second",
        arguments: &["fan-out", "--subscribers", "1000", "--rate", "40"],
        figure: &COMPLETION,
        raw: &[&raw::FANOUT, &raw::FANOUT_URING],
        peers: Peers::All,
    },
    Scenario {
        name: "publish",
        title: "10 publishers, acknowledged, one message in flight each",
        arguments: &["publish", "--publishers", "10", "--pipeline", "1"],
        figure: &ACKNOWLEDGED,
        raw: &[&raw::INGEST_JSON, &raw::INGEST],
        peers: Peers::Acknowledging,
    },
    Scenario {
        name: "publish-pipelined",
        title: "10 publishers, acknowledged, 64 messages in flight each",
        arguments: &["publish", "--publishers", "10", "--pipeline", "64"],
        figure: &ACKNOWLEDGED,
        raw: &[&raw::INGEST_JSON, &raw::INGEST],
        peers: Peers::Acknowledging,
    },
    Scenario {
        name: "publish-persisted",
        title: "10 publishers, acknowledged when on disk, 64 messages in flight each",
        arguments: &[
            "publish",
            "--publishers",
            "10",
            "--pipeline",
            "64",
            "--channel",
            "persisted:bench",
            // Until the log and the engine have all the memory that they take.
            "--warmup",
            "8s",
        ],
        figure: &ACKNOWLEDGED,
        raw: &[&raw::APPEND, &raw::STORE],
        peers: Peers::None,
    },
    Scenario {
        name: "idle-5000",
        title: "5,000 idle connections",
        arguments: &["idle", "--connections", "5000"],
        figure: &MEMORY,
        raw: &[],
        peers: Peers::All,
    },
    Scenario {
        name: "idle",
        title: "10,000 idle connections",
        arguments: &["idle", "--connections", "10000"],
        figure: &MEMORY,
        raw: &[],
        peers: Peers::All,
    },
    Scenario {
        name: "attached",
        title: "10,000 idle connections, each subscribed to one of 100 channels",
        arguments: &["idle", "--connections", "10000", "--attached", "--channels", "100"],
        figure: &MEMORY,
        raw: &[&raw::FANOUT],
        peers: Peers::All,
    },
];

/// The scenario of this name.
///
/// # Errors
/// There is none; the error names those that there are.
pub(super) fn named(name: &str) -> Result<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name == name).with_context(|| {
        let names: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        format!("no scenario {name}; there are {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advantage_above_one_is_better_whatever_is_counted() {
        assert!((DELIVERIES.advantage(300.0, 100.0) - 3.0).abs() < 1e-9);
        assert!((MEMORY.advantage(4000.0, 100_000.0) - 25.0).abs() < 1e-9);
    }

    #[test]
    fn scenarios_are_found_by_name() {
        assert_eq!(named("channels").unwrap().arguments[0], "channels");
        assert!(named("chanels").err().unwrap().to_string().contains("fan-out, "));
    }
}
