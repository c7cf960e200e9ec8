//! `cargo xtask bench compare`: the same load on several servers in turn, round after round, so that
//! what else the machine does meets all of them. Prints tables, and writes all results as JSON.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::contestant::{Contestant, Ring};
use super::peers::{self, PEERS};
use super::scenario::{SCENARIOS, Scenario, named};
use super::table::{Comparison, Entry};
use crate::process::{self, cargo, target_dir};

const ROUNDS: usize = 5;
const SECONDS: u32 = 5;

struct Options {
    scenarios: Vec<&'static Scenario>,
    /// `raw`, `peers`, `all`, or the name of a server.
    against: Vec<String>,
    rounds: usize,
    seconds: u32,
    /// Another build of the server than the ordinary one.
    server: Option<PathBuf>,
    peers: PathBuf,
    json: PathBuf,
}

impl Options {
    fn parse(args: &[&str]) -> Result<Self> {
        let mut options = Self {
            scenarios: Vec::new(),
            against: Vec::new(),
            rounds: ROUNDS,
            seconds: SECONDS,
            server: None,
            peers: peers::default_folder(),
            json: target_dir().join("bench/compare.json"),
        };
        let mut args = args.iter();
        while let Some(&option) = args.next() {
            let value = *args.next().with_context(|| format!("{option} needs a value"))?;
            match option {
                "--scenario" => options.scenarios.push(named(value)?),
                "--against" => options.against.push(value.to_owned()),
                "--rounds" => options.rounds = value.parse().context("--rounds needs a number")?,
                "--seconds" => {
                    options.seconds = value.parse().context("--seconds needs a number")?;
                }
                "--server" => options.server = Some(absolute(value)?),
                "--peers-dir" => options.peers = absolute(value)?,
                "--json" => options.json = absolute(value)?,
                _ => anyhow::bail!("no option {option}"),
            }
        }
        ensure!(options.rounds > 0 && options.seconds > 0, "nothing would be measured");
        if options.scenarios.is_empty() {
            options.scenarios = SCENARIOS.iter().collect();
        }
        if options.against.is_empty() {
            options.against.push("all".to_owned());
        }
        options.check_names()?;
        Ok(options)
    }

    fn check_names(&self) -> Result<()> {
        let groups = ["all", "raw", "peers"];
        let raw = SCENARIOS.iter().flat_map(|scenario| scenario.raw).map(|raw| raw.program);
        let known: Vec<_> =
            groups.into_iter().chain(raw).chain(PEERS.iter().map(|peer| peer.name)).collect();
        for name in &self.against {
            ensure!(known.contains(&name.as_str()), "--against {name}: not known");
        }
        Ok(())
    }

    fn includes(&self, group: &str, name: &str) -> bool {
        self.against.iter().any(|word| word == "all" || word == group || word == name)
    }

    /// Who runs a scenario. Peers that are not installed are left out.
    fn contestants(&self, scenario: &Scenario) -> Vec<Contestant> {
        let raw = scenario.raw.iter().filter(|raw| self.includes("raw", raw.program));
        let peers = PEERS.iter().filter(|peer| {
            scenario.peers.include(peer)
                && self.includes("peers", peer.name)
                && peer.is_installed(&self.peers)
        });
        std::iter::once(Contestant::Own)
            .chain(raw.map(|raw| Contestant::Raw(raw)))
            .chain(peers.map(|peer| Contestant::Peer(peer)))
            .collect()
    }
}

fn absolute(path: &str) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("find {path}"))
}

pub(super) fn run(args: &[&str]) -> Result<()> {
    let options = Options::parse(args)?;
    build(&options)?;
    for peer in PEERS {
        if options.includes("peers", peer.name) && !peer.is_installed(&options.peers) {
            println!("{}: not installed, left out (cargo xtask bench install-peers)", peer.name);
        }
    }
    let programs = target_dir().join("release");
    let ring = Ring {
        server: options.server.clone().unwrap_or_else(|| programs.join("dunlin")),
        programs,
        peers: options.peers.clone(),
        scratch: target_dir().join("bench/run"),
        seconds: options.seconds,
    };
    let mut compared = Vec::new();
    for scenario in &options.scenarios {
        let comparison = compare(&options, &ring, scenario);
        println!("\n{}", comparison.markdown());
        compared.push(comparison);
        write(&options, &compared)?;
    }
    let failed = compared.iter().filter(|comparison| {
        comparison.entries.first().is_some_and(|own| !own.failures().is_empty())
    });
    let failed: Vec<_> = failed.map(|comparison| comparison.scenario.name).collect();
    ensure!(failed.is_empty(), "the server failed in {}", failed.join(", "));
    Ok(())
}

/// The server, and reference programs if some are measured.
fn build(options: &Options) -> Result<()> {
    let mut build = cargo(&["build", "--release", "--bins", "-p", "dunlin"]);
    let contestants = options.scenarios.iter().flat_map(|scenario| options.contestants(scenario));
    if contestants.into_iter().any(|contestant| matches!(contestant, Contestant::Raw(_))) {
        build.args(["-p", "bench"]);
    }
    process::run(&mut build)
}

fn compare(options: &Options, ring: &Ring, scenario: &'static Scenario) -> Comparison {
    let contestants = options.contestants(scenario);
    let mut entries: Vec<_> = contestants
        .iter()
        .map(|one| Entry { name: one.name(), title: one.title(), rounds: Vec::new() })
        .collect();
    for round in 1..=options.rounds {
        for (contestant, entry) in contestants.iter().zip(&mut entries) {
            let measured = contestant.measure(ring, scenario).map_err(|error| format!("{error:#}"));
            let said = match &measured {
                Ok(outcome) => match outcome.number(scenario.figure.pointer) {
                    Some(number) => format!("{number:.0} {}", scenario.figure.title),
                    None => format!("no {}", scenario.figure.title),
                },
                Err(error) => error.clone(),
            };
            println!("{} {round}/{}: {}: {said}", scenario.name, options.rounds, entry.name);
            entry.rounds.push(measured);
        }
    }
    Comparison { scenario, entries }
}

/// All results so far, so that a run that is broken off leaves what it has.
fn write(options: &Options, compared: &[Comparison]) -> Result<()> {
    let value = json!({
        "rounds": options.rounds,
        "seconds": options.seconds,
        "scenarios": compared.iter().map(Comparison::json).collect::<Vec<_>>(),
    });
    let folder = options.json.parent().context("--json needs a file")?;
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    fs::write(&options.json, format!("{value:#}\n"))
        .with_context(|| format!("write {}", options.json.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(args: &[&str], scenario: &str) -> Vec<&'static str> {
        let mut options = Options::parse(args).unwrap();
        // Nobody is installed there, but for what the system brings.
        options.peers = PathBuf::from("/nonexistent");
        let contestants = options.contestants(named(scenario).unwrap());
        contestants.into_iter().map(Contestant::name).filter(|name| *name != "mosquitto").collect()
    }

    #[test]
    fn references_are_those_of_the_scenario_and_missing_peers_are_left_out() {
        assert_eq!(names(&[], "publish"), ["dunlin", "raw-ingest-json", "raw-ingest"]);
        assert_eq!(names(&["--against", "peers"], "publish"), ["dunlin"]);
        assert_eq!(names(&["--against", "raw-fanout"], "fan-out"), ["dunlin", "raw-fanout"]);
    }

    #[test]
    fn options_that_measure_nothing_are_refused() {
        let refused: &[&[&str]] = &[
            &["--rounds", "0"],
            &["--scenario", "nothing"],
            &["--against", "nobody"],
            &["--seconds"],
            &["--fast", "1"],
        ];
        for args in refused {
            assert!(Options::parse(args).is_err(), "{args:?}");
        }
        let options = Options::parse(&["--scenario", "idle", "--scenario", "channels"]).unwrap();
        let chosen: Vec<_> = options.scenarios.iter().map(|scenario| scenario.name).collect();
        assert_eq!(chosen, ["idle", "channels"]);
    }
}
