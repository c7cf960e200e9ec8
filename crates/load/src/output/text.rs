//! A report for people, in a terminal.

use std::fmt::{self, Write as _};

use crate::Report;
use crate::latency::Quantiles;

pub fn text(report: &Report) -> String {
    let mut out = String::new();
    // Writing into a string does not fail.
    write(report, &mut out).unwrap_or_default();
    out
}

fn write(report: &Report, out: &mut String) -> fmt::Result {
    let parameters = report.parameters.iter().map(|(name, value)| format!("{name} {value}"));
    let parameters: Vec<_> = parameters.collect();
    writeln!(out, "{} over {}: {}", report.scenario, report.wire, parameters.join(", "))?;
    let tally = &report.tally;
    writeln!(
        out,
        "  run         sent {}, delivered {} of {}, lost {}, duplicated {}, reordered {}, refused {}",
        grouped(report.sent as f64),
        grouped(tally.delivered as f64),
        grouped(tally.expected as f64),
        tally.lost,
        tally.duplicated,
        tally.reordered,
        tally.refused
    )?;
    writeln!(
        out,
        "  rate        sent {}/s, delivered {}/s over {:.1} s",
        grouped(report.sent_per_second),
        grouped(report.delivered_per_second),
        report.seconds
    )?;
    writeln!(out, "  latency     {}", quantiles(&report.latency))?;
    if let Some(completion) = &report.completion {
        writeln!(out, "  to the last {}", quantiles(completion))?;
    }
    match &report.server {
        Some(server) => {
            writeln!(
                out,
                "  server      {:.2} CPU s, {} deliveries and {} messages per CPU second",
                server.cpu_seconds,
                grouped(server.deliveries_per_cpu_second),
                grouped(server.messages_per_cpu_second)
            )?;
            writeln!(
                out,
                "  memory      {} before, {} after, {} at most",
                megabytes(server.rss_before),
                megabytes(server.rss_after),
                megabytes(server.rss_peak)
            )?;
            if let Some(bytes) = server.bytes_per_connection {
                writeln!(out, "  each        {} bytes per connection", grouped(bytes))?;
            }
        }
        None => writeln!(out, "  server      not watched: --pid PID tells what it uses")?,
    }
    let generator = &report.generator;
    writeln!(
        out,
        "  generator   {:.2} CPU s, {:.0} % of a core",
        generator.cpu_seconds,
        generator.cpu_share * 100.0
    )?;
    for note in &report.notes {
        writeln!(out, "  note        {note}")?;
    }
    writeln!(out, "  verdict     {}", if report.passes() { "pass" } else { "fail" })
}

fn quantiles(latency: &Quantiles) -> String {
    let Quantiles { p50, p90, p99, p999, max } = latency;
    format!("p50 {p50:.0} µs, p90 {p90:.0}, p99 {p99:.0}, p99.9 {p999:.0}, max {max:.0}")
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// A whole number with a comma between thousands.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(grouped(0.4), "0");
        assert_eq!(grouped(999.0), "999");
        assert_eq!(grouped(1000.0), "1,000");
        assert_eq!(grouped(1_234_567.0), "1,234,567");
    }
}
