//! Workloads on the hot path whose instructions are counted: `hot NAME COUNT` prepares, does one thing
//! `COUNT` times, and ends. Two runs with different counts differ by what the thing costs, exactly.
//! `cargo xtask bench --check` runs them and compares with what is written down.
//!
//! The same instructions every time: a seeded node, its clock advanced by hand, no threads, no IO.
//! Workloads use what the crates offer to everyone, so they outlive a change of what is inside.

mod codec;
mod node;
mod websocket;

use std::process::ExitCode;

/// One thing to do many times.
struct Workload {
    name: &'static str,
    /// How often it is done in the shorter of two runs: often enough that a single instruction more
    /// each time is seen, seldom enough that the run is short.
    count: u64,
    run: fn(u64),
}

const WORKLOADS: &[Workload] = &[
    Workload { name: "decode-json", count: 1_000, run: codec::decode_json },
    Workload { name: "decode-msgpack", count: 1_000, run: codec::decode_msgpack },
    Workload { name: "encode-json", count: 1_000, run: codec::encode_json },
    Workload { name: "encode-msgpack", count: 1_000, run: codec::encode_msgpack },
    Workload { name: "read-websocket", count: 1_000, run: websocket::read },
    Workload { name: "frame-16-for-websocket", count: 1_000, run: websocket::frame },
    Workload { name: "connect-and-close", count: 100, run: node::connect_and_close },
    Workload { name: "attach-and-detach", count: 200, run: node::attach_and_detach },
    Workload { name: "enter-and-leave", count: 100, run: node::enter_and_leave },
    Workload { name: "publish-16-unheard", count: 100, run: node::publish_unheard },
    Workload { name: "publish-16-persisted", count: 100, run: node::publish_persisted },
    Workload { name: "publish-to-1", count: 500, run: |count| node::publish(count, 1) },
    Workload { name: "publish-to-100", count: 100, run: |count| node::publish(count, 100) },
    Workload { name: "publish-to-1000", count: 100, run: |count| node::publish(count, 1_000) },
    Workload {
        name: "change-and-publish-to-1000",
        count: 200,
        run: |count| node::publish_among_changes(count, 1_000),
    },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--list"] => list(),
        [name, count] => run(name, count),
        _ => usage(),
    }
}

#[expect(clippy::print_stdout, reason = "whoever counts wants to know what there is")]
fn list() -> ExitCode {
    for workload in WORKLOADS {
        println!("{} {}", workload.name, workload.count);
    }
    ExitCode::SUCCESS
}

fn run(name: &str, count: &str) -> ExitCode {
    let workload = WORKLOADS.iter().find(|workload| workload.name == name);
    let (Some(workload), Ok(count)) = (workload, count.parse()) else { return usage() };
    (workload.run)(count);
    ExitCode::SUCCESS
}

#[expect(clippy::print_stderr, reason = "printing is what a command-line tool does")]
fn usage() -> ExitCode {
    eprintln!("usage: hot --list | hot NAME COUNT");
    ExitCode::from(2)
}
