//! The real binary as a process: starts, requests, ends.

mod bench;
mod comet;
mod command_line;
mod ends;
mod event_streams;
mod files;
mod keys;
mod process;
mod starts;
