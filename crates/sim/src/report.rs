//! What a run leaves behind: figures, and if it failed, who found what and what happened last.

use std::collections::VecDeque;
use std::fmt;

use protocol::ProtocolMessage;
use types::Timestamp;

use crate::checkers::Violation;

/// Lines that a failure shows.
const TAIL: usize = 80;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub happenings: u64,
    pub frames: u64,
    /// Virtual milliseconds.
    pub ms: u64,
}

impl Stats {
    pub fn add(&mut self, other: Self) {
        self.happenings += other.happenings;
        self.frames += other.frames;
        self.ms += other.ms;
    }
}

/// What happened, if anybody wants to know.
#[derive(Debug, Default)]
pub enum Trace {
    #[default]
    Off,
    /// The last lines.
    Tail(VecDeque<String>),
    /// Every line, as it happens.
    Print,
}

impl Trace {
    pub(crate) fn note(&mut self, now: Timestamp, line: impl FnOnce() -> String) {
        match self {
            Self::Off => {}
            Self::Tail(lines) => {
                if lines.len() == TAIL {
                    lines.pop_front();
                }
                lines.push_back(format!("{} {}", now.0, line()));
            }
            Self::Print => say(&format!("{} {}", now.0, line())),
        }
    }

    pub fn tail(self) -> Vec<String> {
        match self {
            Self::Tail(lines) => lines.into(),
            Self::Off | Self::Print => Vec::new(),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Failure {
    pub seed: u64,
    pub violation: Violation,
    /// The last lines of the trace.
    pub tail: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.tail {
            writeln!(f, "  {line}")?;
        }
        writeln!(f, "seed {} failed: {}", self.seed, self.violation)?;
        write!(f, "replay: cargo xtask sim --seed {} --trace", self.seed)
    }
}

/// A line for the person who runs the simulator.
#[expect(clippy::print_stdout, reason = "the simulator is a program for people")]
pub fn say(line: &str) {
    println!("{line}");
}

/// A frame in one line.
pub(crate) fn show(frame: &ProtocolMessage) -> String {
    let mut line = format!("{:?}", frame.action);
    let mut add = |name: &str, value: String| line.push_str(&format!(" {name}={value}"));
    if let Some(channel) = &frame.channel {
        add("on", channel.to_string());
    }
    if let Some(id) = &frame.id {
        add("id", id.to_string());
    }
    if let Some(serial) = frame.msg_serial {
        add("msgSerial", serial.to_string());
    }
    if let Some(count) = frame.count {
        add("count", count.to_string());
    }
    if let Some(serial) = &frame.channel_serial {
        add("cursor", serial.to_string());
    }
    if let Some(flags) = frame.flags {
        add("flags", format!("{flags:#x}"));
    }
    if let Some(id) = &frame.connection_id {
        add("connection", id.to_string());
    }
    if !frame.messages.is_empty() {
        let data = frame.messages.iter().map(|message| format!("{:?}", message.data));
        add("messages", data.collect::<Vec<_>>().join(","));
    }
    for item in &frame.presence {
        add(
            "presence",
            format!(
                "{:?}/{:?}/{:?}/{:?}",
                item.action, item.client_id, item.connection_id, item.id
            ),
        );
    }
    if let Some(error) = &frame.error {
        add("error", error.to_string());
    }
    line
}
