//! One channel: a few publishers, many subscribers, and some who have stopped reading.

use super::Run;
use super::broadcast;
use super::topology::Topology;
use crate::{LoadError, Pace, Report};

#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) subscribers: u32,
    pub(super) publishers: u32,
    pub(super) stalled: u32,
    pub(super) pace: Pace,
}

pub(super) fn run(run: &mut Run<'_>, shape: Shape) -> Result<Report, LoadError> {
    let Shape { subscribers, publishers, stalled, pace } = shape;
    let topology =
        Topology { stalled, ..Topology::one_channel(subscribers, publishers, pace.check()?) };
    let parameters = run.parameters(vec![
        ("subscribers", subscribers.into()),
        ("publishers", publishers.into()),
        ("stalled", stalled.into()),
        pace.parameter(),
    ]);
    broadcast::run(run, "fan-out", parameters, &topology, 1)
}
