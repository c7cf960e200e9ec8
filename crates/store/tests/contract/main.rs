//! What every store owes its callers, through its public functions only.

mod about;
mod chunks;
mod crash;
mod history;
mod last;
mod meta;
mod objects;
mod records;
mod retention;
mod support;
mod writer;
