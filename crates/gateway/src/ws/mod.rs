//! The server side of RFC 6455, on plain TCP streams.
//!
//! In reading order: [`accept`] answers the HTTP upgrade; a [`Reader`] turns bytes into messages;
//! [`Frame`]s are what goes out, gathered in an [`Outbox`]; [`run`] joins the two on a socket.
//! No extensions, no subprotocols, no TLS, no client role. Nothing here knows what a message means.

mod handshake;

mod reader;

mod frame;

mod outbox;

mod connection;

#[cfg(test)]
pub(crate) mod testing;

pub use connection::{Ended, Handler, Intake, Limits, run};
pub use frame::{CloseCode, Frame, Opcode};
pub use handshake::{Refusal, accept};
pub use outbox::{Outbox, Pushed};
pub use reader::{Message, Reader, Violation};
