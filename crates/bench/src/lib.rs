//! Raw references: what the machine allows, to hold the server against.
//!
//! Each binary that is called `raw-…` does one thing that the server does, with as little around it
//! as possible: no protocol, no sessions, no limits, no TLS. They share what is in here: sockets
//! behind one epoll, and the two wires that `dunlin bench` speaks to them (`--wire raw`,
//! `--wire raw-ingest`, with a variant in JSON). `docs/performance.md` says how they are used.
//!
//! Nothing in here is part of the product, and no other crate may import it.

pub mod sockets;

pub mod fanout;

pub mod ring;

pub mod ingest;
pub mod publish;

pub mod commit;

mod announce;

pub use announce::announce;
