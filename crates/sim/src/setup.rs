//! What one run is made of, drawn from its seed: who takes part, what breaks, and how often.

use std::sync::Arc;

use protocol::{Format, flags};
use rand::RngExt;
use rand_chacha::ChaCha12Rng;
use session::{Echo, Heartbeats};
use types::AppLimits;

use crate::client::Profile;
use crate::transport::Framing;

#[derive(Clone, Debug)]
pub struct Setup {
    pub clients: Vec<Profile>,
    /// Publishers over REST, each one request at a time.
    pub rest: usize,
    /// Clients that send nonsense.
    pub vandals: usize,
    pub theme: Theme,
    /// Names; those in the namespaces `kept` and `edited` are persisted.
    pub channels: Vec<Arc<str>>,
    pub limits: AppLimits,
    /// Milliseconds of the safety phase.
    pub duration: u64,
    /// Bounds of the time that a frame takes, of that between two steps of the workload, and of that
    /// between two faults, all in milliseconds.
    pub latency: (u64, u64),
    pub pace: (u64, u64),
    pub faults: Option<(u64, u64)>,
    /// Of a new transport, that it will break after some frames.
    pub break_chance: f64,
    /// A client, the number of its transport, and the frames that arrive there before it breaks.
    pub breaks: Vec<(usize, u64, u64)>,
    pub crashes: bool,
    pub store: StoreSetup,
}

/// What clients do beside publishing and presence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    Messages,
    /// They work on the objects of the channels.
    Objects,
    /// They change and annotate messages.
    Changes,
}

#[derive(Clone, Debug)]
pub struct StoreSetup {
    pub delay: (u64, u64),
    pub fail_chance: f64,
    /// Of a failed write, that the entry is there all the same.
    pub doubt_chance: f64,
}

pub const PERSISTED: &str = "kept";
/// The namespace whose messages can be changed and annotated.
pub const MUTABLE: &str = "edited";

/// Every mode.
const ALL_MODES: u32 =
    DEFAULT_MODES | flags::ANNOTATION_SUBSCRIBE | flags::OBJECT_SUBSCRIBE | flags::OBJECT_PUBLISH;
const DEFAULT_MODES: u32 = flags::PRESENCE
    | flags::PUBLISH
    | flags::SUBSCRIBE
    | flags::PRESENCE_SUBSCRIBE
    | flags::ANNOTATION_PUBLISH;

impl Setup {
    /// Nothing breaks and nobody does anything unless a script says so.
    pub fn calm(clients: usize, channels: &[&str]) -> Self {
        let profile = |index: usize| Profile {
            client_id: format!("c{index}").as_str().into(),
            format: if index.is_multiple_of(2) { Format::Json } else { Format::MessagePack },
            version: 6,
            echo: Echo::On,
            heartbeats: Heartbeats::Messages,
            token_ttl: None,
            remain_present_for: None,
            attaches_first: true,
            modes: ALL_MODES,
            framing: Framing::Socket,
        };
        Self {
            clients: (0..clients).map(profile).collect(),
            rest: 0,
            vandals: 0,
            theme: Theme::Messages,
            channels: channels.iter().map(|name| Arc::from(*name)).collect(),
            limits: AppLimits::unlimited(),
            duration: 0,
            latency: (5, 5),
            pace: (1, 1),
            faults: None,
            break_chance: 0.0,
            breaks: Vec::new(),
            crashes: false,
            store: StoreSetup { delay: (3, 3), fail_chance: 0.0, doubt_chance: 0.0 },
        }
    }

    pub fn draw(rng: &mut ChaCha12Rng) -> Self {
        let clients = (0..rng.random_range(2..7)).map(|index| profile(index, rng)).collect();
        let rough = rng.random_bool(0.7);
        let crashes = rough && rng.random_bool(0.3);
        let theme = match rng.random_range(0..4) {
            0 => Theme::Objects,
            1 => Theme::Changes,
            _ => Theme::Messages,
        };
        let channels = (0..rng.random_range(1..4))
            .map(|n| match theme {
                Theme::Changes => format!("{MUTABLE}:{n}"),
                Theme::Messages | Theme::Objects if rng.random_bool(0.4) => {
                    format!("{PERSISTED}:{n}")
                }
                Theme::Messages | Theme::Objects => format!("c{n}"),
            })
            .map(Arc::from)
            .collect();
        let mut limits = if rng.random_bool(0.15) { tight(rng) } else { AppLimits::unlimited() };
        // Syncs of several frames.
        match theme {
            Theme::Objects if rng.random_bool(0.5) => {
                limits.max_message_size = rng.random_range(300..1_500);
            }
            Theme::Messages if rng.random_bool(0.5) => {
                limits.max_message_size = rng.random_range(150..500);
            }
            Theme::Messages | Theme::Objects | Theme::Changes => {}
        }
        let busy = rng.random_bool(0.3);
        let ms =
            |low: u64, high: u64, rng: &mut ChaCha12Rng| (low, rng.random_range(low + 1..high));
        if theme == Theme::Changes {
            // A connection that may receive again between a summary and its annotation is given the
            // annotation, though the cursor of its ATTACHED covers it already.
            limits.connection_outbound_rate = 0;
        }
        Self {
            clients,
            rest: rng.random_range(0..3),
            vandals: rng.random_range(0..2),
            channels,
            limits,
            theme,
            duration: rng.random_range(20_000..240_000),
            latency: ms(1, 120, rng),
            pace: if busy { ms(1, 300, rng) } else { ms(50, 4_000, rng) },
            faults: rough.then(|| ms(200, 20_000, rng)),
            break_chance: if rough { rng.random_range(0.0..0.5) } else { 0.0 },
            breaks: Vec::new(),
            crashes,
            store: StoreSetup {
                delay: ms(1, if rng.random_bool(0.2) { 3_000 } else { 40 }, rng),
                fail_chance: if rough && rng.random_bool(0.2) { 0.05 } else { 0.0 },
                // What a doubtful change leaves of a message differs from reader to reader.
                doubt_chance: if theme == Theme::Messages && rng.random_bool(0.3) {
                    0.5
                } else {
                    0.0
                },
            },
        }
    }
}

fn profile(index: usize, rng: &mut ChaCha12Rng) -> Profile {
    Profile {
        client_id: format!("c{index}").as_str().into(),
        format: if rng.random_bool(0.5) { Format::Json } else { Format::MessagePack },
        version: rng.random_range(2..=6),
        echo: if rng.random_bool(0.75) { Echo::On } else { Echo::Off },
        heartbeats: if rng.random_bool(0.5) {
            Heartbeats::Messages
        } else {
            Heartbeats::TransportPings
        },
        token_ttl: rng.random_bool(0.25).then(|| rng.random_range(40_000..200_000)),
        remain_present_for: rng.random_bool(0.2).then(|| rng.random_range(0..60_000)),
        attaches_first: rng.random_bool(0.5),
        modes: if rng.random_bool(0.8) { ALL_MODES } else { DEFAULT_MODES },
        framing: if rng.random_bool(0.2) { Framing::Comet } else { Framing::Socket },
    }
}

/// Limits low enough to be met.
fn tight(rng: &mut ChaCha12Rng) -> AppLimits {
    let mut some = |low: u32, high: u32| {
        if rng.random_bool(0.5) { rng.random_range(low..high) } else { 0 }
    };
    AppLimits {
        connection_inbound_rate: some(3, 20),
        connection_outbound_rate: some(5, 30),
        channel_message_rate: some(3, 20),
        message_rate: some(10, 40),
        presence_members: some(1, 5),
        ..AppLimits::unlimited()
    }
}
