//! What every store owes its callers, through its public functions only.

mod crash;
mod history;
mod meta;
mod retention;
mod support;
mod writer;
