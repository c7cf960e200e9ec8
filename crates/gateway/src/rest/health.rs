//! `GET /health/live`, `/health/ready`, `/health` and `/metrics`: for those who run the server.
//!
//! *Live* is a process worth keeping: somebody takes the events. *Ready* is one to send clients to:
//! live, not about to stop, and with a store that works.

use std::sync::atomic::Ordering::Relaxed;

use http::StatusCode;
use serde::Serialize;
use types::ErrorInfo;

use super::{
    answer::{self, Answer},
    call::Call,
};
use crate::server::Server;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    Dead,
    Stopping,
    Failing,
    Ready,
}

#[derive(Serialize)]
struct Report {
    status: Health,
    connections: u64,
}

pub(super) fn live(server: &Server) -> Answer {
    answer::empty(match health(server) {
        Health::Dead => StatusCode::SERVICE_UNAVAILABLE,
        Health::Stopping | Health::Failing | Health::Ready => StatusCode::OK,
    })
}

pub(super) fn ready(server: &Server) -> Answer {
    answer::empty(readiness(health(server)))
}

pub(super) fn report(server: &Server, call: &Call<'_>) -> Result<Answer, ErrorInfo> {
    let status = health(server);
    let connections = server.hub.counters().connections.load(Relaxed);
    let body = protocol::encode_value(&Report { status, connections }, call.format)?;
    Ok(answer::formatted(readiness(status), body, call.format))
}

pub(super) fn metrics(server: &Server) -> Answer {
    answer::text(OPEN_METRICS, (server.settings.metrics)())
}

fn health(server: &Server) -> Health {
    if !server.hub.is_alive() {
        Health::Dead
    } else if server.is_stopping() {
        Health::Stopping
    } else if !(server.settings.ready)() {
        Health::Failing
    } else {
        Health::Ready
    }
}

fn readiness(health: Health) -> StatusCode {
    match health {
        Health::Ready => StatusCode::OK,
        Health::Dead | Health::Stopping | Health::Failing => StatusCode::SERVICE_UNAVAILABLE,
    }
}
