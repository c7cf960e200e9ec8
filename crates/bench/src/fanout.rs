//! Fan-out over plain TCP: every message is encoded once, and its bytes are shared by all writes.
//!
//! The wire. A client first sends 5 bytes: `S` (subscriber) or `P` (publisher), and a channel number
//! (u32, big-endian; 0 for a publisher). A subscriber gets one byte `+` as soon as it is subscribed. A
//! publisher sends messages: the length of the rest (u32), the channel (u32), the payload. Each
//! subscriber of the channel gets the length of the payload (u32) and the payload. Nobody is
//! acknowledged.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;

use bytes::Bytes;

use crate::sockets::{Id, READ_BUFFER, Sockets};

const SUBSCRIBED: &[u8] = b"+";

/// How many messages go into one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Coalesce {
    /// One.
    Never,
    /// All of one turn of the loop to a subscriber.
    Tick,
}

/// What a client has said that it is.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Role {
    #[default]
    Unknown,
    Publisher,
    Subscriber,
}

/// How the same bytes get to many connections. Forgets connections that are gone.
pub trait Delivery {
    fn deliver(&mut self, sockets: &mut Sockets<Role>, subscribers: &mut Vec<Id>, bytes: &Bytes);
}

/// One write for each, straight from the loop.
#[derive(Debug)]
pub struct Direct;

impl Delivery for Direct {
    fn deliver(&mut self, sockets: &mut Sockets<Role>, subscribers: &mut Vec<Id>, bytes: &Bytes) {
        subscribers.retain(|id| sockets.send(*id, bytes));
    }
}

/// Serves for ever.
///
/// # Errors
/// Those of [`Sockets::wait`].
pub fn serve(
    mut sockets: Sockets<Role>,
    coalesce: Coalesce,
    delivery: impl Delivery,
) -> io::Result<Infallible> {
    let mut fanout = Fanout { delivery, coalesce, channels: HashMap::new(), touched: Vec::new() };
    let mut buffer = vec![0; READ_BUFFER];
    let mut ready = Vec::new();
    loop {
        sockets.wait(&mut ready)?;
        for id in ready.drain(..) {
            if let Some(input) = sockets.read(id, &mut buffer) {
                fanout.take(&mut sockets, id, input);
            }
        }
        fanout.deliver(&mut sockets);
    }
}

#[derive(Debug)]
struct Fanout<D> {
    delivery: D,
    coalesce: Coalesce,
    /// Channels that somebody has subscribed to.
    channels: HashMap<u32, Channel>,
    /// Channels with something gathered.
    touched: Vec<u32>,
}

#[derive(Debug, Default)]
struct Channel {
    subscribers: Vec<Id>,
    /// Encoded messages that go out together.
    gathered: Vec<u8>,
}

impl<D: Delivery> Fanout<D> {
    fn take(&mut self, sockets: &mut Sockets<Role>, id: Id, mut input: &[u8]) {
        if sockets.state(id).is_some_and(|role| *role == Role::Unknown)
            && let Some((hello, rest)) = input.split_first_chunk()
        {
            input = rest;
            self.greet(sockets, id, *hello);
        }
        match sockets.state(id) {
            Some(Role::Publisher) => {
                while let Some((channel, payload)) = next_message(&mut input) {
                    self.publish(sockets, channel, payload);
                }
                sockets.keep(id, input);
            }
            Some(Role::Unknown) => sockets.keep(id, input),
            Some(Role::Subscriber) | None => {}
        }
    }

    fn greet(&mut self, sockets: &mut Sockets<Role>, id: Id, [kind, channel @ ..]: [u8; 5]) {
        let Some(role) = sockets.state(id) else { return };
        match kind {
            b'S' => {
                *role = Role::Subscriber;
                let channel = self.channels.entry(u32::from_be_bytes(channel)).or_default();
                channel.subscribers.push(id);
                sockets.send(id, &Bytes::from_static(SUBSCRIBED));
            }
            b'P' => *role = Role::Publisher,
            _ => sockets.close(id),
        }
    }

    fn publish(&mut self, sockets: &mut Sockets<Role>, number: u32, payload: &[u8]) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        if channel.gathered.is_empty() {
            self.touched.push(number);
        }
        // The length was a u32 on its way in, and is smaller now.
        channel.gathered.extend_from_slice(&(payload.len() as u32).to_be_bytes());
        channel.gathered.extend_from_slice(payload);
        if self.coalesce == Coalesce::Never {
            self.deliver(sockets);
        }
    }

    fn deliver(&mut self, sockets: &mut Sockets<Role>) {
        for number in self.touched.drain(..) {
            let Some(channel) = self.channels.get_mut(&number) else { continue };
            let bytes = std::mem::take(&mut channel.gathered).into();
            self.delivery.deliver(sockets, &mut channel.subscribers, &bytes);
        }
    }
}

/// Takes a whole message off the front: its channel and its payload.
fn next_message<'i>(input: &mut &'i [u8]) -> Option<(u32, &'i [u8])> {
    let (length, rest) = input.split_first_chunk()?;
    let (message, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    let (channel, payload) = message.split_first_chunk()?;
    *input = rest;
    Some((u32::from_be_bytes(*channel), payload))
}
