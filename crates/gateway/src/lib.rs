//! The client side of a node: sockets and HTTP in, session events out.
//!
//! A map, nothing else: [`ws`] is the server side of the WebSocket protocol on plain TCP streams.
//! This crate decides nothing about channels, sessions or messages.

pub mod ws;
