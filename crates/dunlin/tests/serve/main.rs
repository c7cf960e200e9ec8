//! The real binary as a process: starts, requests, ends.

mod command_line;
mod ends;
mod process;
mod starts;
