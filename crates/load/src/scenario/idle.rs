//! Connections that are there and do nothing: what each costs in memory, and all together in CPU time.

use super::Run;
use super::gather::{self, Opening, Role};
use crate::account::Tally;
use crate::engine::{Engine, Player, nanoseconds};
use crate::watch::Counts;
use crate::wire::Event;
use crate::{LoadError, Report};

#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) connections: u32,
    /// Channels that the connections are attached to in turn; 0 for none.
    pub(super) channels: u32,
}

pub(super) fn run(run: &mut Run<'_>, shape: Shape) -> Result<Report, LoadError> {
    let Shape { connections, channels } = shape;
    let mut watch = run.watch()?;
    let mut engine = run.engine(connections as usize)?;
    run.tell(&format!("{connections} connections"))?;
    let role = |number: u32| match number.checked_rem(channels) {
        Some(channel) => Role::Subscriber(channel),
        None => Role::Idle,
    };
    let roles: Vec<Role> = (0..connections).map(role).collect();
    let channels = run.channels(channels);
    let gathered = gather::gather(&mut engine, &roles, &channels, Opening::AFew)?;
    let latency = gathered.latency.quantiles();
    gathered.all()?;
    run.tell("all are ready; they settle")?;

    let mut idle = Idle::default();
    idle.wait(&mut engine, run.options.warmup)?;
    let counts = Counts { sent: connections.into(), delivered: connections.into() };
    let before = watch.read(&engine, counts)?;
    idle.wait(&mut engine, run.options.duration)?;
    let after = watch.read(&engine, counts)?;
    let measured = watch.between(&before, &after);
    let parameters = run
        .parameters(vec![("connections", connections.into()), ("channels", channels.len().into())]);
    let connections = u64::from(connections);
    let tally = Tally {
        expected: connections,
        delivered: connections - idle.ended,
        lost: idle.ended,
        ..Tally::default()
    };
    let mut report = run.plain_report("idle", parameters, tally, measured);
    report.sent = connections;
    if let Some(server) = &mut report.server {
        let grown = server.rss_after.saturating_sub(server.rss_before);
        server.bytes_per_connection = Some(grown as f64 / connections as f64);
    }
    report.latency = latency;
    report.notes.push(
        "counted are connections; the latency is that of making them, at most 128 at a time; \
         the memory is that of the whole process, without the kernel's buffers"
            .to_owned(),
    );
    Ok(report)
}

#[derive(Default)]
struct Idle {
    ended: u64,
}

impl Idle {
    fn wait(&mut self, engine: &mut Engine, time: std::time::Duration) -> Result<(), LoadError> {
        let until = engine.now().saturating_add(nanoseconds(time));
        while engine.now() < until {
            engine.turn(self, until)?;
        }
        Ok(())
    }
}

impl Player for Idle {
    fn hear(&mut self, _connection: usize, event: Event<'_>, _now: u64) {
        self.ended += u64::from(matches!(event, Event::Ended(_)));
    }

    fn act(&mut self, _engine: &mut Engine) -> Result<(), LoadError> {
        Ok(())
    }

    fn due(&self) -> Option<u64> {
        None
    }
}
