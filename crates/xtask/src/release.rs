//! `cargo xtask release`: the binary as it is meant to be run. It is built twice: first so that it counts what
//! it does under loads of every kind, then by these counts, which tell the compiler what to inline and what
//! to put where nobody comes by (profile-guided optimisation).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use crate::own;
use crate::process::{self, Server, cargo, empty, free_address, host, target_dir, tool};

/// What it does while it counts, as `dunlin bench` is told. The generator counts as well: it is in the binary.
const LOADS: &[&[&str]] = &[
    &["publish", "--publishers", "10", "--pipeline", "64"],
    &["publish", "--publishers", "10", "--pipeline", "64", "--wire", "msgpack"],
    &["publish", "--publishers", "10", "--pipeline", "64", "--channel", "persisted:publish"],
    &["publish", "--publishers", "10"],
    &["publish", "--publishers", "10", "--wire", "rest"],
    &["fan-out", "--subscribers", "200", "--in-flight", "16"],
    &["fan-out", "--subscribers", "200", "--in-flight", "16", "--wire", "msgpack"],
    &["channels", "--channels", "100", "--subscribers", "10", "--in-flight", "16"],
    &["mixed"],
    &["presence"],
    &["resume"],
    &["history"],
];

pub(crate) fn run(args: &[String]) -> Result<()> {
    ensure!(args.is_empty(), "no option {}", args.join(" "));
    let profdata = profdata()?;
    let folder = target_dir().join("release-profile");
    let counts = folder.join("counts");
    empty(&counts)?;
    let program = build(&folder, &format!("-Cprofile-generate={}", counts.display()))?;
    put_under_load(&program, &folder.join("run"))?;
    let profile = folder.join("profile");
    process::run(
        tool(profdata).args(["merge", "--sparse", "--output"]).arg(&profile).arg(&counts),
    )?;
    let program = build(&folder, &format!("-Cprofile-use={}", profile.display()))?;
    let dist = target_dir().join("dist");
    fs::create_dir_all(&dist).context("create the folder dist")?;
    let released = dist.join("dunlin");
    fs::copy(&program, &released).with_context(|| format!("copy {}", program.display()))?;
    println!("{}", released.display());
    Ok(())
}

/// The tool that adds up counts, which comes with the compiler.
fn profdata() -> Result<PathBuf> {
    let output = tool("rustc").args(["--print", "sysroot"]).output().context("ask rustc")?;
    let sysroot = String::from_utf8_lossy(&output.stdout);
    let tools = format!("lib/rustlib/{}/bin/llvm-profdata", host()?);
    let program = Path::new(sysroot.trim()).join(tools);
    if !program.exists() {
        process::run(tool("rustup").args(["component", "add", "llvm-tools"]))?;
    }
    Ok(program)
}

/// Builds with one more flag. An explicit target keeps it from what only the build runs.
fn build(folder: &Path, flag: &str) -> Result<PathBuf> {
    let host = host()?;
    let mut build = cargo(&["build", "--release", "-p", "dunlin", "--target", &host]);
    build.arg("--target-dir").arg(folder).env("CARGO_ENCODED_RUSTFLAGS", flag);
    process::run(&mut build)?;
    Ok(folder.join(host).join("release/dunlin"))
}

fn put_under_load(program: &Path, scratch: &Path) -> Result<()> {
    empty(scratch)?;
    let address = free_address()?;
    let mut serve = tool(program);
    let server = Server::start_at(
        serve.args(own::arguments(scratch, address)?),
        address,
        &scratch.join("log"),
    )?;
    let url = format!("http://{address}");
    for load in LOADS {
        let mut bench = tool(program);
        bench.arg("bench").args(*load).args(["--key", own::KEY, "--url", &url]);
        bench.args(["--warmup", "500ms", "--duration", "3s", "--json"]);
        process::run(bench.stdout(Stdio::null()))?;
    }
    server.end()
}
