//! Any suite that needs only a URL: runs `SCRIPT URL ARGS…` against a release build in sandbox
//! mode, on a free port, with a data directory that is gone afterwards.

use std::path::Path;

use anyhow::{Context, Result};

use crate::process::{self, Server, cargo};

const SCHEME: &str = "http://";

pub(super) fn run(args: &[String]) -> Result<()> {
    let (script, rest) = args.split_first().context("suite needs a SCRIPT")?;
    let script = std::fs::canonicalize(script).with_context(|| format!("find {script}"))?;
    process::run(&mut cargo(&["build", "--release", "-p", "dunlin"]))?;
    let data = std::env::temp_dir().join(format!("dunlin-suite-{}", std::process::id()));
    let outcome = serve_and_run(&data, &script, rest);
    if data.exists() {
        std::fs::remove_dir_all(&data).with_context(|| format!("remove {}", data.display()))?;
    }
    outcome
}

fn serve_and_run(data: &Path, script: &Path, args: &[String]) -> Result<()> {
    let mut serve = cargo(&["run", "--quiet", "--release", "-p", "dunlin", "--", "serve"]);
    serve.args(["--sandbox", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data);
    let server = Server::start(&mut serve, "http://127.0.0.1:")?;
    let url = url(&server.ready).with_context(|| format!("no URL in {:?}", server.ready))?;
    process::run(process::tool(script).arg(url).args(args))
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
