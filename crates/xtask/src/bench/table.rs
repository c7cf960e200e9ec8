//! The results of one scenario as a table for people and as a value for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::outcome::{Outcome, median};
use super::scenario::Scenario;

/// All rounds of one scenario.
pub(super) struct Comparison {
    pub(super) scenario: &'static Scenario,
    /// The server that the others are held against comes first.
    pub(super) entries: Vec<Entry>,
}

/// All rounds of one server; what went wrong instead of a result.
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) rounds: Vec<Result<Outcome, String>>,
}

/// From this share of its core on, the generator holds back what it measures.
const BUSY: f64 = 0.9;

impl Entry {
    fn numbers(&self, pointer: &str) -> Vec<f64> {
        self.rounds.iter().flatten().filter_map(|outcome| outcome.number(pointer)).collect()
    }

    /// What is wrong with its rounds, each thing once.
    pub(super) fn failures(&self) -> Vec<String> {
        let mut failures: Vec<_> = self
            .rounds
            .iter()
            .filter_map(|round| match round {
                Ok(outcome) => outcome.failure(),
                Err(error) => Some(error.clone()),
            })
            .collect();
        failures.sort();
        failures.dedup();
        failures
    }

    fn remarks(&self) -> String {
        let share = median(self.numbers("/generator/cpu_share")).filter(|share| *share > BUSY);
        let busy = share.map(|share| format!("generator at {:.0} %", share * 100.0));
        self.failures().into_iter().chain(busy).collect::<Vec<_>>().join("; ")
    }
}

impl Comparison {
    /// The median of what the rounds say: each compares two runs that came one after the other, so
    /// that what else the machine does at the time weighs on both.
    fn advantage(&self, other: &Entry) -> Option<f64> {
        let figure = self.scenario.figure;
        let own = self.entries.first()?;
        let rounds = own.rounds.iter().zip(&other.rounds);
        let number = |round: &Result<Outcome, String>| round.as_ref().ok()?.number(figure.pointer);
        median(
            rounds
                .filter_map(|(own, other)| Some(figure.advantage(number(own)?, number(other)?)))
                .collect(),
        )
    }

    pub(super) fn markdown(&self) -> String {
        let Scenario { name, title, figure, .. } = self.scenario;
        let mut text = format!(
            "### {name}: {title}\n\n\
             | server | {} | range | Dunlin's advantage | p50, ms | p99, ms | RSS, MB | remarks |\n\
             | --- | ---: | --- | ---: | ---: | ---: | ---: | --- |\n",
            figure.title
        );
        for entry in &self.entries {
            // Writing to a string does not fail.
            writeln!(text, "{}", self.row(entry)).ok();
        }
        text
    }

    fn row(&self, entry: &Entry) -> String {
        let numbers = entry.numbers(self.scenario.figure.pointer);
        let low = numbers.iter().copied().reduce(f64::min);
        let high = numbers.iter().copied().reduce(f64::max);
        let range = low.zip(high).map(|(low, high)| format!("{}–{}", rounded(low), rounded(high)));
        let scaled = |pointer, scale, digits: usize| {
            let number = median(entry.numbers(pointer));
            shown(number.map(|number| format!("{:.digits$}", number / scale)))
        };
        format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            entry.title,
            shown(median(numbers).map(rounded)),
            shown(range),
            shown(self.advantage(entry).map(|times| format!("{times:.2} ×"))),
            scaled("/latency_us/p50", 1e3, 2),
            scaled("/latency_us/p99", 1e3, 2),
            scaled("/server/rss_peak", 1e6, 0),
            entry.remarks()
        )
    }

    pub(super) fn json(&self) -> Value {
        let entries = self.entries.iter().map(|entry| {
            let results: Vec<_> = entry.rounds.iter().flatten().map(|round| &round.0).collect();
            json!({
                "name": entry.name,
                "title": entry.title,
                "median": median(entry.numbers(self.scenario.figure.pointer)),
                "advantage": self.advantage(entry),
                "failures": entry.failures(),
                "results": results,
            })
        });
        json!({
            "scenario": self.scenario.name,
            "arguments": self.scenario.arguments,
            "figure": self.scenario.figure.title,
            "servers": entries.collect::<Vec<_>>(),
        })
    }
}

fn shown(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".to_owned())
}

/// Three digits that count, and commas.
fn rounded(number: f64) -> String {
    let unit = 10f64.powf((number.abs().max(1.0).log10().floor() - 2.0).max(0.0));
    let digits = format!("{:.0}", (number / unit).round() * unit);
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::scenario::named;
    use super::*;

    fn entry(title: &'static str, figures: &[f64]) -> Entry {
        let round = |figure| {
            let server = json!({"deliveries_per_cpu_second": figure, "rss_peak": 44_400_000});
            let latency = json!({"p50": 1500});
            let generator = json!({"cpu_share": figure / 316e3});
            Ok(Outcome(json!({
                "verdict": "pass", "server": server, "latency_us": latency, "generator": generator
            })))
        };
        Entry { name: title, title, rounds: figures.iter().map(round).collect() }
    }

    fn comparison(others: Vec<Entry>) -> Comparison {
        let own = entry("Dunlin", &[300e3, 150e3, 310e3]);
        let entries = std::iter::once(own).chain(others).collect();
        Comparison { scenario: named("fan-out").unwrap(), entries }
    }

    #[test]
    fn a_round_on_a_busy_machine_does_not_change_the_ratio() {
        let slowed_with_us = entry("slow", &[100e3, 50e3, 100e3]);
        let comparison = comparison(vec![slowed_with_us]);
        assert!((comparison.advantage(&comparison.entries[1]).unwrap() - 3.0).abs() < 1e-9);
    }

    #[test]
    fn the_table_has_a_row_for_each_server() {
        let mut failing = entry("Other", &[100e3, 50e3]);
        failing.rounds.push(Err("does not listen".to_owned()));
        let text = comparison(vec![failing]).markdown();
        let rows: Vec<_> = text.lines().skip(4).collect();
        assert_eq!(
            rows,
            [
                "| Dunlin | 300,000 | 150,000–310,000 | 1.00 × | 1.50 | – | 44 | generator at 95 % |",
                "| Other | 75,000 | 50,000–100,000 | 3.00 × | 1.50 | – | 44 | does not listen |",
            ]
        );
    }

    #[test]
    fn a_server_without_any_result_has_no_ratio() {
        let absent =
            Entry { name: "x", title: "X", rounds: vec![Err("ended early".to_owned()); 3] };
        let comparison = comparison(vec![absent]);
        assert!(comparison.markdown().contains("| X | – | – | – | – | – | – | ended early |"));
        let value = comparison.json();
        assert_eq!(value["servers"][1]["advantage"], Value::Null);
        assert_eq!(value["servers"][0]["median"], 300e3);
    }

    #[test]
    fn numbers_have_three_digits_that_count() {
        let shown = [0.0, 7.4, 999.6, 1234.0, 2_987_654.0].map(rounded);
        assert_eq!(shown, ["0", "7", "1,000", "1,230", "2,990,000"]);
    }
}
