//! A suite that lies elsewhere, against a release build in sandbox mode, on a free port, with a data
//! directory that is gone afterwards: a folder is the checkout of a client library, whose tests
//! `tests/conformance/run.mjs` runs; anything else is a program that takes a URL.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{self, Server, cargo, root, tool};

const SCHEME: &str = "http://";

pub(super) fn run(path: &str, args: &[String]) -> Result<()> {
    let path = std::fs::canonicalize(path).with_context(|| format!("find {path}"))?;
    process::run(&mut cargo(&["build", "--release", "-p", "dunlin"]))?;
    let runner = root().join("tests/conformance");
    if path.is_dir() && !runner.join("node_modules").exists() {
        let install = ["ci", "--no-audit", "--no-fund"];
        process::run(Command::new("npm").args(install).current_dir(&runner))?;
    }
    let data = std::env::temp_dir().join(format!("dunlin-suite-{}", std::process::id()));
    let outcome = serve(&data).and_then(|server| {
        let url = url(&server.ready).with_context(|| format!("no URL in {:?}", server.ready))?;
        let mut suite = if path.is_dir() {
            let mut node = tool("node");
            node.arg(runner.join("run.mjs")).arg(url).arg(&path);
            node
        } else {
            let mut program = tool(&path);
            program.arg(url);
            program
        };
        process::run(suite.args(args))
    });
    if data.exists() {
        std::fs::remove_dir_all(&data).with_context(|| format!("remove {}", data.display()))?;
    }
    outcome
}

fn serve(data: &Path) -> Result<Server> {
    let mut serve = cargo(&["run", "--quiet", "--release", "-p", "dunlin", "--", "serve"]);
    serve.args(["--sandbox", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data);
    Server::start(&mut serve, "http://127.0.0.1:")
}

/// The first `http://HOST:PORT` of a line, without what follows it.
fn url(line: &str) -> Option<&str> {
    let url = line.get(line.find(SCHEME)?..)?;
    let port = SCHEME.len() + url.get(SCHEME.len()..)?.find(':')? + 1;
    let digits = url.get(port..)?.chars().take_while(char::is_ascii_digit).count();
    url.get(..port + digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_ends_with_the_port() {
        assert_eq!(
            url("at http://127.0.0.1:4711/ (not http://127.0.0.1:1)\n"),
            Some("http://127.0.0.1:4711")
        );
        assert_eq!(url("ready"), None);
    }
}
