//! A report for machines: one object, whose names are documented in `docs/performance.md`.

use serde_json::{Value, json};

use crate::Report;
use crate::latency::Quantiles;
use crate::report::ServerUse;

pub fn json(report: &Report) -> Value {
    let tally = &report.tally;
    json!({
        "scenario": report.scenario,
        "wire": report.wire.to_string(),
        "parameters": report.parameters,
        "seconds": report.seconds,
        "sent": report.sent,
        "delivered": tally.delivered,
        "expected": tally.expected,
        "lost": tally.lost,
        "duplicated": tally.duplicated,
        "reordered": tally.reordered,
        "refused": tally.refused,
        "sent_per_second": report.sent_per_second,
        "delivered_per_second": report.delivered_per_second,
        "latency_us": quantiles(&report.latency),
        "completion_us": report.completion.as_ref().map(quantiles),
        "server": report.server.as_ref().map(server),
        "generator": {
            "cpu_seconds": report.generator.cpu_seconds,
            "cpu_share": report.generator.cpu_share,
        },
        "verdict": if report.passes() { "pass" } else { "fail" },
        "notes": report.notes,
    })
}

fn quantiles(latency: &Quantiles) -> Value {
    let Quantiles { p50, p90, p99, p999, max } = latency;
    json!({ "p50": p50, "p90": p90, "p99": p99, "p999": p999, "max": max })
}

fn server(server: &ServerUse) -> Value {
    json!({
        "cpu_seconds": server.cpu_seconds,
        "deliveries_per_cpu_second": server.deliveries_per_cpu_second,
        "messages_per_cpu_second": server.messages_per_cpu_second,
        "rss_before": server.rss_before,
        "rss_after": server.rss_after,
        "rss_peak": server.rss_peak,
        "bytes_per_connection": server.bytes_per_connection,
    })
}
