//! Processes on a core of their own: a server on one, the generator on the other, so that what one
//! needs is not what the other lacks. By the tools of util-linux (`taskset`, `setpriv`).

use std::path::Path;
use std::process::Command;

use crate::process::tool;

pub(super) const SERVER_CORE: &str = "0";
pub(super) const GENERATOR_CORE: &str = "1";

/// As many open files as the system allows; gone with the one who started it, however that ends.
const SCRIPT: &str =
    r#"ulimit -n "$(ulimit -Hn)" && exec setpriv --pdeathsig KILL taskset -c "$0" "$@""#;

/// A program that runs on this core only. Its process id is that of the process that is started.
pub(super) fn pinned(core: &str, program: impl AsRef<Path>) -> Command {
    let mut command = tool("sh");
    command.args(["-c", SCRIPT, core]).arg(program.as_ref());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_process_runs_on_its_core_under_its_own_id() {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        let core = allowed.unwrap().trim().split(['-', ',']).next().unwrap();
        let child = pinned(core, "sh")
            .args(["-c", "echo $$; taskset -cp $$"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let pid = child.id();
        let printed = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        assert_eq!(printed, format!("{pid}\npid {pid}'s current affinity list: {core}\n"));
    }
}
