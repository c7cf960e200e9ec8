//! Many channels with a few subscribers each. Each channel is one stream; which one is next is drawn.

use super::Run;
use super::broadcast;
use super::topology::{Kind, Topology};
use crate::{LoadError, Pace, Report};

#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) channels: u32,
    pub(super) subscribers: u32,
    pub(super) publishers: u32,
    pub(super) pace: Pace,
}

pub(super) fn run(run: &mut Run<'_>, shape: Shape) -> Result<Report, LoadError> {
    let Shape { channels, subscribers, publishers, pace } = shape;
    let topology = Topology {
        kind: Kind::Messages,
        subscribers: (0..channels)
            .flat_map(|channel| (0..subscribers).map(move |_| channel))
            .collect(),
        streams: (0..channels).collect(),
        publishers,
        stalled: 0,
        pace: pace.check()?,
    };
    let parameters = run.parameters(vec![
        ("channels", channels.into()),
        ("subscribers", subscribers.into()),
        ("publishers", publishers.into()),
        pace.parameter(),
    ]);
    broadcast::run(run, "channels", parameters, &topology, channels)
}
