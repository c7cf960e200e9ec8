//! SIGTERM and SIGINT: the first one asks for an orderly end, the second one for an immediate end.
//! SIGHUP asks to read the keys of the configuration again.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

/// What the process is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Stop,
    ReadKeys,
}

impl Signals {
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) -> Told {
        let (signal, told) = tokio::select! {
            _ = self.terminate.recv() => ("SIGTERM", Told::Stop),
            _ = self.interrupt.recv() => ("SIGINT", Told::Stop),
            _ = self.hang_up.recv() => ("SIGHUP", Told::ReadKeys),
        };
        tracing::info!(signal, ?told, "signal");
        told
    }

    /// Waits until the process is told to stop.
    pub(crate) async fn stop(&mut self) {
        while self.next().await != Told::Stop {}
    }
}
