//! Instruction counts of the hot path, against those that were written down with an earlier commit.
//!
//! Each workload of the program `hot` runs twice under callgrind, the second time doing twice as much:
//! the difference is what the operation costs, without what it takes to prepare it. Instructions are
//! the same on every run, unlike time, so that a small loss is seen on a busy machine too. They say
//! nothing of caches and of the kernel.
//!
//! The C library's allocator counts as well, so counts are judged only where they were made: on
//! another platform the differences are shown and nothing fails.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::path::Path;
use std::process::{Child, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::process::{self, cargo, root, target_dir, tool};
use crate::tidy::manifest;

const FILE: &str = "crates/bench/instructions.toml";
/// How far a count may be from what is written down, in either direction, in percent: what a change
/// elsewhere in the program does to inlining.
const TOLERANCE_PERCENT: u64 = 3;

/// Instructions for one operation, by workload.
type Counts = BTreeMap<String, u64>;

/// What the file says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Record {
    /// Compiler target and C library.
    platform: String,
    counts: Counts,
}

/// A workload as it was written down, and as it is.
#[derive(Debug)]
struct Change<'a> {
    name: &'a str,
    before: Option<u64>,
    now: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Same,
    Better,
    Worse,
    /// Not written down, or written down and no longer there.
    Unknown,
}

/// Compares what is counted now with what is written down.
///
/// # Errors
/// An operation costs more, or is not written down, or nothing could be counted.
pub(super) fn check() -> Result<()> {
    let text =
        std::fs::read_to_string(root().join(FILE)).with_context(|| format!("read {FILE}"))?;
    let before = Record::parse(&text)?;
    let now = Record { counts: count_all()?, platform: platform()? };
    let changes = changes(&before.counts, &now.counts);
    for change in &changes {
        println!("{change}");
    }
    if before.platform == now.platform {
        return judge(&changes);
    }
    println!("written down on {}, counted on {}: not judged", before.platform, now.platform);
    Ok(())
}

/// Writes down what is counted now.
///
/// # Errors
/// Nothing could be counted or written.
pub(super) fn update() -> Result<()> {
    let record = Record { counts: count_all()?, platform: platform()? };
    std::fs::write(root().join(FILE), record.render()).with_context(|| format!("write {FILE}"))
}

fn changes<'a>(before: &'a Counts, now: &'a Counts) -> Vec<Change<'a>> {
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let count = |counts: &Counts, name| counts.get(name).copied();
    let change = |name| Change { name, before: count(before, name), now: count(now, name) };
    names.into_iter().map(|name| change(name.as_str())).collect()
}

fn judge(changes: &[Change<'_>]) -> Result<()> {
    let named = |verdict| {
        let changes = changes.iter().filter(move |change| change.verdict() == verdict);
        changes.map(|change| change.name).collect::<Vec<_>>().join(", ")
    };
    let (better, worse, unknown) =
        (named(Verdict::Better), named(Verdict::Worse), named(Verdict::Unknown));
    if !better.is_empty() {
        println!("better, to be kept with `cargo xtask bench --update`: {better}");
    }
    ensure!(
        worse.is_empty(),
        "worse: {worse} (mend it, or `cargo xtask bench --update` in the commit that says why)"
    );
    ensure!(unknown.is_empty(), "not as in {FILE}: {unknown} (`cargo xtask bench --update`)");
    Ok(())
}

impl Change<'_> {
    fn percent(&self) -> Option<f64> {
        Some((self.now? as f64 / self.before? as f64 - 1.0) * 100.0)
    }

    fn verdict(&self) -> Verdict {
        let (Some(before), Some(now)) = (self.before, self.now) else { return Verdict::Unknown };
        match 100 * now {
            now if now > before * (100 + TOLERANCE_PERCENT) => Verdict::Worse,
            now if now < before * (100 - TOLERANCE_PERCENT) => Verdict::Better,
            _ => Verdict::Same,
        }
    }
}

impl fmt::Display for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown =
            |count: Option<u64>| count.map_or_else(|| "-".into(), |count| count.to_string());
        write!(f, "{:<28}{:>10} -> {:>10}", self.name, shown(self.before), shown(self.now))?;
        self.percent().map_or(Ok(()), |percent| write!(f, "  {percent:+.1} %"))
    }
}

fn count_all() -> Result<Counts> {
    let valgrind = tool("valgrind").arg("--version").output();
    ensure!(
        valgrind.is_ok_and(|output| output.status.success()),
        "valgrind is missing (Debian, Ubuntu: apt-get install valgrind)"
    );
    process::run(&mut cargo(&["build", "--release", "-p", "bench", "--example", "hot"]))?;
    let hot = target_dir().join("release/examples/hot");
    let list = tool(&hot).arg("--list").output().context("list the workloads")?;
    let list = String::from_utf8_lossy(&list.stdout);
    let mut counts = Counts::new();
    for line in list.lines() {
        let (name, times) = line.split_once(' ').context("hot --list prints `NAME COUNT`")?;
        counts.insert(name.to_owned(), cost(&hot, name, times.parse()?)?);
    }
    ensure!(!counts.is_empty(), "hot has no workloads");
    Ok(counts)
}

/// Instructions of one operation: what doing it twice as often adds.
fn cost(hot: &Path, name: &str, times: u64) -> Result<u64> {
    let once = start(hot, name, times)?;
    let twice = start(hot, name, 2 * times)?;
    let once = instructions(once).with_context(|| format!("{name} {times}"))?;
    let twice = instructions(twice).with_context(|| format!("{name} {}", 2 * times))?;
    let cost = twice.checked_sub(once).and_then(|added| added.checked_div(times));
    cost.with_context(|| format!("{name} costs nothing"))
}

/// Callgrind, without the caller's environment: the program's stack begins behind it.
fn start(hot: &Path, name: &str, times: u64) -> Result<Child> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    tool("valgrind")
        .env_clear()
        .env("PATH", path)
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(hot)
        .args([name, &times.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("start valgrind")
}

fn instructions(counting: Child) -> Result<u64> {
    let output = counting.wait_with_output().context("wait for valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {said}", output.status);
    collected(&said).with_context(|| format!("valgrind says no count: {said}"))
}

/// The number in `==7== Collected : 123`.
fn collected(said: &str) -> Option<u64> {
    said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}

/// What a count depends on besides the program.
fn platform() -> Result<String> {
    let libc = tool("getconf").arg("GNU_LIBC_VERSION").output().context("run getconf")?;
    let libc = String::from_utf8_lossy(&libc.stdout);
    Ok(format!("{}, {}", process::host()?, libc.trim()))
}

impl Record {
    fn parse(text: &str) -> Result<Self> {
        let mut record = Self::default();
        for entry in manifest::entries(text) {
            match entry.table {
                "" if entry.key == "platform" => {
                    entry.value.trim_matches('"').clone_into(&mut record.platform);
                }
                "instructions" => {
                    let count = entry.value.replace('_', "");
                    let count = count.parse().with_context(|| format!("{}: {count}", entry.key))?;
                    record.counts.insert(entry.key.to_owned(), count);
                }
                _ => bail!("{FILE}: {} in [{}]", entry.key, entry.table),
            }
        }
        Ok(record)
    }

    fn render(&self) -> String {
        let mut text = format!(
            "# Instructions for one operation of each workload of `hot`, in the commit that this file\n\
            # is part of. Written by `cargo xtask bench --update`, judged by `cargo xtask bench --check`.\n\
            platform = \"{}\"\n\n[instructions]\n",
            self.platform
        );
        for (name, count) in &self.counts {
            // Writing to a text cannot fail.
            writeln!(text, "{name} = {count}").ok();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(of: &[(&str, u64)]) -> Counts {
        of.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    fn verdict(before: &[(&str, u64)], now: &[(&str, u64)]) -> Result<()> {
        judge(&changes(&counts(before), &counts(now)))
    }

    fn message(before: &[(&str, u64)], now: &[(&str, u64)]) -> String {
        verdict(before, now).unwrap_err().to_string()
    }

    #[test]
    fn a_count_within_the_tolerance_passes_and_so_does_a_better_one() {
        assert!(verdict(&[("a", 1_000)], &[("a", 1_030)]).is_ok());
        assert!(verdict(&[("a", 1_000)], &[("a", 500)]).is_ok());
    }

    #[test]
    fn a_count_beyond_the_tolerance_fails_by_name() {
        let before = [("a", 1_000), ("b", 1_000)];
        assert!(message(&before, &[("a", 1_000), ("b", 1_031)]).starts_with("worse: b "));
    }

    #[test]
    fn a_workload_that_is_new_or_gone_fails() {
        assert!(message(&[], &[("a", 1)]).contains("instructions.toml: a "));
        assert!(message(&[("a", 1)], &[]).contains("instructions.toml: a "));
    }

    #[test]
    fn changes_are_shown_in_both_directions() {
        let (before, now) = (counts(&[("a", 200), ("b", 200)]), counts(&[("a", 210), ("b", 190)]));
        let shown: Vec<String> = changes(&before, &now).iter().map(Change::to_string).collect();
        assert!(shown[0].ends_with("200 ->        210  +5.0 %"), "{}", shown[0]);
        assert!(shown[1].ends_with("200 ->        190  -5.0 %"), "{}", shown[1]);
    }

    #[test]
    fn what_is_written_down_is_read_back() {
        let counts = counts(&[("publish-to-1", 12_345), ("read", 67)]);
        let record = Record { platform: "x86_64, glibc 2.36".into(), counts };
        assert_eq!(Record::parse(&record.render()).unwrap(), record);
    }

    #[test]
    fn a_file_with_something_else_in_it_is_refused() {
        assert!(Record::parse("[instructions]\na = many\n").is_err());
        assert!(Record::parse("[other]\na = 1\n").is_err());
    }

    #[test]
    fn the_count_is_found_in_what_callgrind_says() {
        let said = "==7== Callgrind\n==7== \n==7== Collected : 4711\n";
        assert_eq!(collected(said), Some(4711));
        assert_eq!(collected("==7== no\n"), None);
    }
}
