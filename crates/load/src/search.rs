//! The highest rate at which the 99th percentile of the latencies stays within a budget, nothing is lost,
//! repeated, reordered or refused, and the generator is not what is measured.
//!
//! Each step is a run of its own, with new connections and channels. The rate doubles until a step fails;
//! then the span between the last good and the first bad rate is halved, four times: the answer is
//! within 7 % of where the server gives way, or as near as its variation from run to run allows.

use std::io::Write;
use std::time::Duration;

use crate::options::{Options, Pace};
use crate::{LoadError, Report};

const HALVINGS: u32 = 4;
/// Doublings before it is believed that there is no limit.
const DOUBLINGS: u32 = 24;
/// A generator that sends less than this share of the rate, or uses more than this share of a core, is
/// the limit itself.
const KEPT_UP: f64 = 0.95;

/// The report of the highest good rate; the notes tell of every step.
pub fn search(
    options: &Options,
    budget: Duration,
    progress: &mut dyn Write,
) -> Result<Report, LoadError> {
    let Some(Pace::Rate(mut rate)) = options.scenario.pace() else {
        let what = "a search begins at --rate, in a scenario that has one";
        return Err(LoadError::Usage(what.to_owned()));
    };
    let budget_us = budget.as_secs_f64() * 1e6;
    let mut best: Option<Report> = None;
    let mut steps = Vec::new();
    let mut bad = None;
    for step in 0..DOUBLINGS + HALVINGS {
        writeln!(progress, "step {}: {rate:.1}/s", step + 1)?;
        let mut at = options.clone();
        at.scenario.set_pace(Pace::Rate(rate));
        at.channel = format!("{}-{step}", options.channel);
        let (verdict, report) = match crate::run(&at, progress) {
            Ok(report) => (judge(&report, rate, budget_us), Some(report)),
            // Under overload a server may end connections: that is an answer too.
            Err(error @ LoadError::Ended { .. }) => (Err(error.to_string()), None),
            Err(error) => return Err(error),
        };
        let told = match &verdict {
            Ok(()) => "good".to_owned(),
            Err(reason) => reason.clone(),
        };
        steps.push(format!("{rate:.1}/s: {told}"));
        match verdict {
            Ok(()) => best = report,
            Err(_) => bad = Some(rate),
        }
        let good = best.as_ref().map(|report| report.parameters.get("rate"));
        let good = good.flatten().and_then(serde_json::Value::as_f64);
        rate = match (good, bad) {
            (_, Some(bad)) if bad / good.unwrap_or(1.0) < 1.07 => break,
            (Some(good), Some(bad)) => f64::midpoint(good, bad),
            (None, Some(bad)) if bad > 2.0 => bad / 2.0,
            (None, _) => break,
            (Some(good), None) => good * 2.0,
        };
    }
    let Some(mut best) = best else {
        return Err(LoadError::NoGoodRate { steps: steps.join("; ") });
    };
    best.notes.extend(steps);
    Ok(best)
}

/// Why a step is not good.
fn judge(report: &Report, rate: f64, budget_us: f64) -> Result<(), String> {
    let tally = &report.tally;
    if !report.passes() || tally.refused > 0 {
        let (lost, refused) = (tally.lost, tally.refused);
        return Err(format!("not exact: {lost} lost, {refused} refused"));
    }
    let (sent, share) = (report.sent_per_second, report.generator.cpu_share);
    if sent < rate * KEPT_UP || share > KEPT_UP {
        return Err(format!(
            "the generator does not keep up: {sent:.1}/s, {:.0} % of a core",
            share * 100.0
        ));
    }
    let p99 = report.latency.p99;
    if p99 > budget_us {
        return Err(format!("p99 {p99:.0} µs"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Tally;
    use crate::latency::Quantiles;
    use crate::report::GeneratorUse;

    fn report() -> Report {
        Report {
            scenario: "fan-out",
            wire: crate::WireKind::Json,
            parameters: serde_json::Map::new(),
            seconds: 1.0,
            sent: 100,
            tally: Tally { expected: 100, delivered: 100, ..Tally::default() },
            sent_per_second: 100.0,
            delivered_per_second: 100.0,
            latency: Quantiles { p99: 900.0, ..Quantiles::default() },
            completion: None,
            server: None,
            generator: GeneratorUse { cpu_seconds: 0.1, cpu_share: 0.1 },
            timeline: Vec::new(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn a_step_is_good_within_the_budget_if_all_arrives_and_the_generator_keeps_up() {
        assert!(judge(&report(), 100.0, 1000.0).is_ok());
        assert!(judge(&report(), 100.0, 800.0).is_err(), "over the budget");
        assert!(judge(&report(), 200.0, 1000.0).is_err(), "half of the rate");
        let busy = GeneratorUse { cpu_seconds: 1.0, cpu_share: 1.0 };
        assert!(judge(&Report { generator: busy, ..report() }, 100.0, 1000.0).is_err());
        let lost = Tally { lost: 1, ..Tally::default() };
        assert!(judge(&Report { tally: lost, ..report() }, 100.0, 1000.0).is_err());
        let refused = Tally { refused: 1, ..Tally::default() };
        assert!(judge(&Report { tally: refused, ..report() }, 100.0, 1000.0).is_err());
    }
}
