//! `cargo xtask COMMAND`: the one entry point for chores in this repository.
//!
//! One command per file, all of the same shape: `run(args)`. A command starts the tools that do
//! the work (cargo, npm, a test suite) and judges their outcome; it holds no product code, and no
//! other crate may import it.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is what a command-line tool does"
)]

mod bench;
mod check;
mod ci;
mod conformance;
mod e2e;
mod fuzz;
mod own;
mod process;
mod release;
mod sim;
mod test;
mod tidy;
mod totals;

use std::process::ExitCode;

/// One thing that `cargo xtask` can do.
struct Command {
    name: &'static str,
    /// What `--help` prints: the arguments, then one line about the effect.
    arguments: &'static str,
    effect: &'static str,
    run: fn(&[String]) -> anyhow::Result<()>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "check",
        arguments: "",
        effect: "formatting, clippy with warnings denied, doc links, tidy",
        run: check::run,
    },
    Command {
        name: "tidy",
        arguments: "",
        effect: "the rules a compiler does not know: rings, sizes, names, documents",
        run: tidy::run,
    },
    Command {
        name: "test",
        arguments: "[CARGO TEST ARGS…]",
        effect: "all tests of the workspace",
        run: test::run,
    },
    Command {
        name: "sim",
        arguments: "[--seed N | --seeds N] …",
        effect: "the simulator, optimised but with assertions",
        run: sim::run,
    },
    Command {
        name: "fuzz",
        arguments: "[TARGET] [--seconds N]",
        effect: "fuzz one target or each in turn (60 s each unless told)",
        run: fuzz::run,
    },
    Command {
        name: "e2e",
        arguments: "[PATTERN]",
        effect: "the real binary, driven by published client libraries",
        run: e2e::run,
    },
    Command {
        name: "conformance",
        arguments: "[autobahn | CHECKOUT | PROGRAM] …",
        effect: "suites written against the protocol: those in here, or another's",
        run: conformance::run,
    },
    Command {
        name: "bench",
        arguments: "--check | --update | compare … | install-peers …",
        effect: "instruction counts; the server against references and other servers",
        run: bench::run,
    },
    Command {
        name: "release",
        arguments: "",
        effect: "target/dist/dunlin: the binary as it is meant to be run",
        run: release::run,
    },
    Command {
        name: "ci",
        arguments: "",
        effect: "exactly what continuous integration runs",
        run: ci::run,
    },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = args.split_first() else {
        return usage();
    };
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        return usage();
    };
    match (command.run)(rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo xtask {name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: cargo xtask COMMAND\n");
    for command in COMMANDS {
        let call = format!("{} {}", command.name, command.arguments);
        eprintln!("  {call:<46}{}", command.effect);
    }
    ExitCode::from(2)
}
