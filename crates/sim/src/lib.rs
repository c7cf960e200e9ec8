//! The simulator: a node, model clients, transports that break at any frame, virtual time, and one
//! checker for each invariant. One seed and one commit are one run.
//!
//! - `run` runs seeds; `setup` draws what a run is made of; `workload` says what its clients do
//! - `world` is the run: clock, `queue`, node, `store`, `transport`s
//! - `script` has the steps of scripted runs, for tests
//! - `client` follows the rules of the client libraries
//! - `truth` knows what was really committed, `checkers` judge by it
//! - `planted` are bugs on purpose, one for each thing that a checker must find
//!
//! It depends on the cores and they do not know of it. It proves nothing about sockets, disks and
//! threads.

mod checkers;
mod client;
mod planted;
mod queue;
mod report;
mod run;
mod script;
mod setup;
mod store;
mod transport;
mod truth;
mod workload;
mod world;

pub use checkers::{Verdict, Violation};
pub use client::{
    Channel, ChannelState, Client, Content, Known, Link, Messages, Objects, Presence, Profile,
    Publish,
};
pub use planted::Bug;
pub use report::{Failure, Stats, Trace, say};
pub use run::{run_seed, run_seeds, trace_seed};
pub use setup::{MUTABLE, PERSISTED, Setup, StoreSetup, Theme};
pub use transport::{Cut, Framing};
pub use world::World;
