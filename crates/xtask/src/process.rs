//! Child processes: cargo and other tools, run from the root of the repository.
//!
//! Whatever is started here is waited for, or killed by its own process id when its owner drops.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::totals::Totals;

/// How long a server may take until it accepts connections.
const START_MAX: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);
/// For servers that are told where to listen.
const PORTS: Range<u16> = 20_000..32_000;

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_path_buf()
}

/// The folder into which cargo builds the workspace.
pub(crate) fn target_dir() -> PathBuf {
    root().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// Makes a folder that is empty, whatever was there.
///
/// # Errors
/// It cannot be emptied or made.
pub(crate) fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("empty {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))
}

/// A tool that runs in the root of the repository.
pub(crate) fn tool(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    command.current_dir(root());
    command
}

/// Cargo with these arguments.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = tool(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args);
    command
}

/// Runs a tool to its end.
///
/// # Errors
/// The tool cannot be started, or says that it failed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    println!("+ {shown}");
    let status = command.status().with_context(|| format!("start {shown}"))?;
    ensure!(status.success(), "{shown}: {status}");
    Ok(())
}

/// Runs a tool to its end, passing on what it prints and adding up the test results in it.
///
/// # Errors
/// As [`run`]; the totals are complete in either case.
pub(crate) fn run_counted(command: &mut Command, totals: &mut Totals) -> Result<()> {
    let shown = shown(command);
    println!("+ {shown}");
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("start {shown}"))?;
    let stdout = child.stdout.take().context("take the output of a child")?;
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.with_context(|| format!("read the output of {shown}"))?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        totals.add_line(&line);
    }
    let status = child.wait().with_context(|| format!("wait for {shown}"))?;
    ensure!(status.success(), "{shown}: {status}");
    Ok(())
}

/// The platform that this compiler runs on, as it names it.
pub(crate) fn host() -> Result<String> {
    let output = tool("rustc").arg("-vV").output().context("ask rustc for its host")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say its host")
}

/// A server that runs until this value drops.
pub(crate) struct Server {
    child: Child,
    /// The line with which the server said that it is ready.
    pub(crate) ready: String,
}

impl Server {
    /// Starts a server and waits until it prints a line that contains `marker`.
    ///
    /// # Errors
    /// The server cannot be started, or ends before it prints such a line.
    pub(crate) fn start(command: &mut Command, marker: &str) -> Result<Self> {
        let shown = shown(command);
        println!("+ {shown} &");
        let child =
            command.stdout(Stdio::piped()).spawn().with_context(|| format!("start {shown}"))?;
        let mut server = Self { child, ready: String::new() };
        let stdout = server.child.stdout.take().context("take the output of a server")?;
        let mut stdout = BufReader::new(stdout);
        while !server.ready.contains(marker) {
            server.ready.clear();
            if stdout.read_line(&mut server.ready)? == 0 {
                bail!("{shown} ended without printing {marker:?}");
            }
        }
        // A pipe that nobody reads would block the server once it is full.
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        Ok(server)
    }

    /// Starts a server and waits until it accepts connections at `address`. What it prints goes into
    /// the file `log`.
    ///
    /// # Errors
    /// The server cannot be started, ends, or takes longer than [`START_MAX`].
    pub(crate) fn start_at(command: &mut Command, address: SocketAddr, log: &Path) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("create {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().context("share the log")?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("start {}", shown(command)))?;
        let mut server = Self { child, ready: String::new() };
        let deadline = Instant::now() + START_MAX;
        while TcpStream::connect(address).is_err() {
            if let Some(status) = server.child.try_wait().context("look after a server")? {
                bail!("ended early ({status}); see {}", log.display());
            }
            ensure!(Instant::now() < deadline, "does not listen; see {}", log.display());
            std::thread::sleep(POLL);
        }
        Ok(server)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has the server end by itself, and waits for it.
    ///
    /// # Errors
    /// It fails.
    pub(crate) fn end(mut self) -> Result<()> {
        run(tool("kill").arg(self.pid().to_string()))?;
        let status = self.child.wait().context("wait for a server")?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let stopped = self.child.kill().and_then(|()| self.child.wait());
        if let Err(error) = stopped {
            eprintln!("process {} may still run: {error}", self.child.id());
        }
    }
}

/// An address of this machine at which nobody listens, another one each time. Its port is below those
/// that the system gives to outgoing connections, so that none of them takes it meanwhile.
///
/// # Errors
/// There is no port left.
pub(crate) fn free_address() -> Result<SocketAddr> {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let count = PORTS.end - PORTS.start;
    // Commands that run at the same time begin at different ports.
    let first = (std::process::id() % u32::from(count)) as u16;
    for _ in PORTS {
        let taken = TAKEN.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + first.wrapping_add(taken) % count;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no free port");
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program());
    std::iter::once(name)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = tool("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_failing_tool_is_an_error_and_its_totals_are_kept() {
        let mut totals = Totals::default();
        let script = "echo 'test result: FAILED. 3 passed; 1 failed; 0 ignored'; exit 1";
        assert!(run_counted(&mut shell(script), &mut totals).is_err());
        assert_eq!(totals, Totals { passed: 3, failed: 1 });
    }

    #[test]
    fn a_server_is_ready_with_its_marker_and_gone_after_drop() {
        let server =
            Server::start(&mut shell("echo up; echo port 7; exec sleep 60"), "port").unwrap();
        assert_eq!(server.ready.trim(), "port 7");
        let proc = PathBuf::from(format!("/proc/{}", server.child.id()));
        drop(server);
        assert!(!proc.exists());
    }

    #[test]
    fn a_server_ends_by_itself_when_it_is_told_to() {
        let ends = |script| Server::start(&mut shell(script), "up").unwrap().end();
        ends("trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done").unwrap();
        assert!(ends("trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done").is_err());
    }

    #[test]
    fn a_server_that_ends_early_is_an_error() {
        assert!(Server::start(&mut shell("echo up"), "port").is_err());
        let address = "127.0.0.1:1".parse().unwrap();
        let log = std::env::temp_dir().join(format!("ended-{}", std::process::id()));
        let started = Server::start_at(&mut shell("echo why; exit 3"), address, &log);
        assert!(started.err().unwrap().to_string().contains("ended early"));
        assert_eq!(fs::read_to_string(&log).unwrap(), "why\n");
        fs::remove_file(log).unwrap();
    }

    #[test]
    fn a_free_address_is_another_one_each_time_and_no_outgoing_port() {
        let (first, second) = (free_address().unwrap(), free_address().unwrap());
        assert_ne!(first, second);
        assert!(PORTS.contains(&first.port()) && PORTS.contains(&second.port()));
    }

    #[test]
    fn a_server_that_listens_has_started() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server =
            Server::start_at(&mut shell("exec sleep 60"), address, Path::new("/dev/null")).unwrap();
        assert!(PathBuf::from(format!("/proc/{}", server.pid())).exists());
    }
}
