//! A process under test: what it prints, signals to it, and its end.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// Longer than anything takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the end of the process is looked for.
const POLL: Duration = Duration::from_millis(5);

/// Killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    printed: Receiver<String>,
}

impl Process {
    /// Starts `command`; its standard output is read from then on, so that it never blocks.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, printed) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // What nobody looks at is read all the same: the pipe stays open.
                sender.send(line).ok();
            }
        });
        Self { child, printed }
    }

    /// The rest of the next line that starts with `prefix`.
    pub fn printed_after(&self, prefix: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let patience = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.printed.recv_timeout(patience) else {
                panic!("nothing printed that starts with '{prefix}'");
            };
            if let Some(rest) = line.strip_prefix(prefix) {
                return rest.to_owned();
            }
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the process does not end");
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_heard_signalled_and_waited_for() {
        let mut process = Process::start(Command::new("sh").args(["-c", "echo pid: $$; sleep 60"]));
        assert!(process.printed_after("pid: ").parse::<u32>().is_ok());
        process.signal("TERM");
        assert!(!process.wait().success());
    }
}
