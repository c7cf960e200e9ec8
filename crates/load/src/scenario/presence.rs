//! Members who enter and leave one channel all the time, and watchers who are told of each of it.

use super::Run;
use super::broadcast;
use super::topology::{Kind, Topology};
use crate::{LoadError, Pace, Report};

#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) members: u32,
    pub(super) watchers: u32,
    pub(super) pace: Pace,
}

pub(super) fn run(run: &mut Run<'_>, shape: Shape) -> Result<Report, LoadError> {
    let Shape { members, watchers, pace } = shape;
    let topology = Topology {
        kind: Kind::Presence,
        ..Topology::one_channel(watchers, members, pace.check()?)
    };
    let parameters = run.parameters(vec![
        ("members", members.into()),
        ("watchers", watchers.into()),
        pace.parameter(),
    ]);
    let mut report = broadcast::run(run, "presence", parameters, &topology, 1)?;
    report.notes.push("a message is one member entering or leaving".to_owned());
    Ok(report)
}
