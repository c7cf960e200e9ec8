//! The channel at its boundary: events in, effects compared.

mod attach;
mod conflation;
mod history;
mod host;
mod messages;
mod objects;
mod persistence;
mod presence;
mod publish;
mod replay;
