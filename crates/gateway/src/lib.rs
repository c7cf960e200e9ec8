//! The client side of a node: sockets and HTTP in, session events out.
//!
//! In reading order: [`serve`] accepts TCP connections and speaks HTTP on them; `rest` turns
//! requests into operations of the node and its responses into answers; `connection` turns a
//! WebSocket into events; the [`Hub`] is where all of them meet the node, whose driver hands
//! over what it sends in [`Turn`]s;
//! [`ws`] is the server side of the WebSocket protocol on plain TCP streams.
//!
//! This crate decides nothing about channels, sessions, credentials or messages, and speaks no TLS.

mod server;

mod rest;

mod connection;

mod comet;

mod event_stream;

mod events;

mod hub;

mod mailbox;

mod turn;

mod writers;

mod body;

mod source;

pub mod ws;

#[cfg(test)]
mod testing;

pub use events::Events;
pub use hub::{Counters, Hub};
pub use server::{Metrics, Now, Ready, Sandbox, Settings, serve};
pub use turn::Turn;
