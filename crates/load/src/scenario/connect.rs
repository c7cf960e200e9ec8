//! Connections as they are made: so many per second, or all at once.
//!
//! A storm is measured after the connections were there once: all are dropped without a word, and begin
//! again at the same moment.

use super::Run;
use super::gather::{self, Opening, Role};
use crate::account::Tally;
use crate::watch::Counts;
use crate::{LoadError, Report};

#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) connections: u32,
    pub(super) kind: Arrival,
}

/// How connections come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrival {
    /// As many per second.
    Ramp(f64),
    /// All at once, after they were there before.
    Storm,
}

pub(super) fn run(run: &mut Run<'_>, shape: Shape) -> Result<Report, LoadError> {
    let Shape { connections, kind } = shape;
    let mut watch = run.watch()?;
    let mut engine = run.engine(connections as usize)?;
    run.tell(&format!("{connections} connections"))?;
    let roles = vec![Role::Idle; connections as usize];
    let (opening, kind, clients) = match kind {
        Arrival::Ramp(rate) if !(rate.is_finite() && rate > 0.0) => {
            return Err(LoadError::Usage("a rate is more than nothing".to_owned()));
        }
        Arrival::Ramp(rate) => {
            let clients = roles.iter().map(|_| engine.add()).collect();
            (Opening::Rate(rate), ("rate", rate.into()), clients)
        }
        Arrival::Storm => {
            let clients = gather::gather(&mut engine, &roles, &[], Opening::AFew)?.all()?;
            run.tell("all are ready, and are dropped")?;
            for connection in &clients {
                engine.drop_transport(*connection);
            }
            (Opening::AtOnce, ("storm", true.into()), clients)
        }
    };
    let before = watch.read(&engine, Counts::default())?;
    let gathered = gather::reconnect(&mut engine, clients, &roles, &[], opening)?;
    let (sent, joined) = (u64::from(connections), gathered.joined as u64);
    let after = watch.read(&engine, Counts { sent, delivered: joined })?;
    let measured = watch.between(&before, &after);
    let parameters = run.parameters(vec![("connections", connections.into()), kind]);
    let tally =
        Tally { expected: sent, delivered: joined, lost: sent - joined, ..Tally::default() };
    let mut report = run.plain_report("connect", parameters, tally, measured);
    report.sent = sent;
    report.latency = gathered.latency.quantiles();
    let told =
        "counted are connections; the latency is from when one was to begin until it is ready";
    report.notes.push(told.to_owned());
    if let Some((connection, reason)) = gathered.ended {
        report.notes.push(format!("connection {connection} was ended: {reason}"));
    }
    Ok(report)
}
