//! The WebSocket cases of the Autobahn test suite against the gateway's `echo` example.
//!
//! Strict: a case passes as OK or INFORMATIONAL; NON-STRICT is a failure. Left out are the cases on
//! performance (9) and on compression (12, 13), an extension that the gateway declines. The suite
//! is Python 2; where no such interpreter is installed this command says so and succeeds.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::process::{Server, cargo, run as run_tool, target_dir, tool};

const VIRTUALENV: &str = "virtualenv==20.15.1";
const SUITE: &str = "autobahntestsuite==25.10.1";
const AGENT: &str = "dunlin";
/// What the suite runs when only 9, 12 and 13 are left out. Fewer results mean that it broke off.
const CASES: usize = 247;

pub(super) fn run() -> Result<()> {
    let Some(python) = python2() else {
        println!("skipped: no python2.7 with pip");
        return Ok(());
    };
    let folder = target_dir().join("autobahn");
    std::fs::create_dir_all(&folder).context("create the folder for the suite")?;
    let wstest = install(&python, &folder)?;

    let example = ["run", "--quiet", "-p", "gateway", "--example", "echo", "--", "127.0.0.1:0"];
    let server = Server::start(&mut cargo(&example), "listening on ")?;
    let address = server.ready.trim().rsplit(' ').next().context("read the address")?;

    let reports = folder.join("reports");
    let specification = folder.join("specification.json");
    std::fs::write(&specification, specify(address, &reports)).context("write specification")?;
    run_tool(tool(wstest).args(["-m", "fuzzingclient", "-s"]).arg(&specification))?;

    let index = reports.join("index.json");
    let index = std::fs::read_to_string(&index).context("read the suite's index of reports")?;
    judge(&index, CASES)
}

/// The first `python2.7` that has pip, on the path or among pyenv's versions.
fn python2() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Some(home) = std::env::var_os("HOME") {
        let versions = std::fs::read_dir(Path::new(&home).join(".pyenv/versions"));
        folders.extend(versions.into_iter().flatten().flatten().map(|v| v.path().join("bin")));
    }
    folders.into_iter().map(|folder| folder.join("python2.7")).find(|python| {
        let pip = tool(python).args(["-m", "pip", "--version"]).output();
        pip.is_ok_and(|output| output.status.success())
    })
}

/// Installs the suite into `folder` alone, and returns its program.
fn install(python: &Path, folder: &Path) -> Result<PathBuf> {
    let wstest = folder.join("venv/bin/wstest");
    if !wstest.exists() {
        let seed = folder.join("virtualenv");
        let pip = ["-m", "pip", "install", "--quiet"];
        run_tool(tool(python).args(pip).arg("--target").arg(&seed).arg(VIRTUALENV))?;
        let create = ["-m", "virtualenv", "--quiet"];
        let venv = folder.join("venv");
        run_tool(tool(python).args(create).arg(&venv).env("PYTHONPATH", &seed))?;
        run_tool(tool(venv.join("bin/python")).args(pip).arg(SUITE))?;
    }
    Ok(wstest)
}

fn specify(address: &str, reports: &Path) -> String {
    format!(
        r#"{{"outdir": "{}", "servers": [{{"agent": "{AGENT}", "url": "ws://{address}"}}],
"cases": ["*"], "exclude-cases": ["9.*", "12.*", "13.*"], "exclude-agent-cases": {{}}}}"#,
        reports.display()
    )
}

/// Reads the index, one `"key": value` per line, and prints each case that is not strictly right.
fn judge(index: &str, cases_min: usize) -> Result<()> {
    let mut case = "";
    let (mut cases, mut failed) = (0, Vec::new());
    for line in index.lines() {
        let mut quoted = line.split('"').skip(1).step_by(2);
        match (quoted.next(), quoted.next()) {
            (Some(key @ ("behavior" | "behaviorClose")), Some(value)) => {
                cases += usize::from(key == "behavior");
                if !matches!(value, "OK" | "INFORMATIONAL") {
                    println!("case {case}: {key} {value}");
                    failed.push(case);
                }
            }
            (Some(name), None) if line.trim_end().ends_with('{') => case = name,
            _ => {}
        }
    }
    failed.dedup();
    println!("{} passed, {} failed", cases - failed.len(), failed.len());
    ensure!(cases >= cases_min, "only {cases} of {cases_min} cases have a result");
    ensure!(failed.is_empty(), "cases {}", failed.join(", "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAN: &str = r#"{
   "dunlin": {
      "1.1.1": {
         "behavior": "OK",
         "behaviorClose": "OK",
         "duration": 2
      },
      "7.1.6": {
         "behavior": "INFORMATIONAL",
         "behaviorClose": "INFORMATIONAL"
      }
   }
}"#;

    #[test]
    fn ok_and_informational_pass() {
        judge(CLEAN, 2).unwrap();
    }

    #[test]
    fn non_strict_fails_and_names_its_case() {
        let error = judge(&CLEAN.replacen("OK", "NON-STRICT", 1), 2).unwrap_err();
        assert_eq!(error.to_string(), "cases 1.1.1");
    }

    #[test]
    fn an_unclean_close_fails() {
        assert!(
            judge(&CLEAN.replace("behaviorClose\": \"OK", "behaviorClose\": \"UNCLEAN"), 2)
                .is_err()
        );
    }

    #[test]
    fn a_run_that_broke_off_fails() {
        assert!(judge(CLEAN, 3).is_err());
    }
}
