//! The sockets of a run: one thread, one epoll, one read buffer for all connections.
//!
//! What is received is split into frames where it was read; only the beginning of a frame whose rest is
//! still to come is kept. The engine knows no scenario: it tells a `Player` what it hears, and carries
//! out what the player asks for between two of these.

mod socket;

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use socket2::SockRef;

use crate::LoadError;
use crate::options::Waiting;
use crate::wire::{Channel, Event, Phase, Wire, WireError};

/// No frame is larger.
const BUFFER_BYTES: usize = 256 * 1024;
/// What the kernel receives for a client that does not read: a few of the largest segments, because what does
/// not fit is dropped, and comes again much later.
const DEAF_BUFFER_BYTES: usize = 128 * 1024;
const EVENTS_MAX: usize = 1024;
/// What waits for a server that does not read; beyond it the run fails.
const OUTBOX_MAX: usize = 256 * 1024 * 1024;

/// Who hears what comes, and says what happens then.
pub(crate) trait Player {
    /// `now` is when the bytes were read.
    fn hear(&mut self, connection: usize, event: Event<'_>, now: u64);

    /// Called after whatever was heard, and when `due` has come.
    fn act(&mut self, engine: &mut Engine) -> Result<(), LoadError>;

    /// When to act although nothing is heard.
    fn due(&self) -> Option<u64>;
}

pub(crate) struct Engine {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    buffer: Box<[u8]>,
    wire: Box<dyn Wire>,
    server: SocketAddr,
    /// Addresses of this machine that connections come from, in turn.
    sources: u8,
    slots: Vec<Slot>,
    began: Instant,
    waiting: Waiting,
    /// Nanoseconds that were spent on looking for what had not come.
    in_vain: u64,
}

/// The place of one client; its transports follow each other.
#[derive(Default)]
struct Slot {
    /// Counts the transports, so that what is said about an old one is not taken for the new one.
    turn: u32,
    transport: Option<Transport>,
}

struct Transport {
    stream: TcpStream,
    connected: bool,
    phase: Phase,
    /// The beginning of a frame.
    partial: Vec<u8>,
    outbox: Vec<u8>,
    deaf: bool,
}

impl Engine {
    pub(crate) fn new(
        server: SocketAddr,
        wire: Box<dyn Wire>,
        connections: usize,
        waiting: Waiting,
    ) -> Result<Self, LoadError> {
        socket::allow_files(connections)?;
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).map_err(io::Error::from)?,
            events: Vec::with_capacity(EVENTS_MAX),
            buffer: vec![0; BUFFER_BYTES].into(),
            wire,
            server,
            sources: socket::sources(server, connections),
            slots: Vec::new(),
            began: Instant::now(),
            waiting,
            in_vain: 0,
        })
    }

    /// Nanoseconds since the engine began.
    pub(crate) fn now(&self) -> u64 {
        nanoseconds(self.began.elapsed())
    }

    /// Nanoseconds that were spent on looking for what had not come.
    pub(crate) fn in_vain(&self) -> u64 {
        self.in_vain
    }

    pub(crate) fn wire(&self) -> &dyn Wire {
        self.wire.as_ref()
    }

    /// Makes room for one more client, and says its number.
    pub(crate) fn add(&mut self) -> usize {
        self.slots.push(Slot::default());
        self.slots.len() - 1
    }

    /// Begins a transport for a client, in place of the one that it may have. What is written before it is
    /// there takes the place of the wire's hello.
    pub(crate) fn connect(&mut self, connection: usize) -> Result<(), LoadError> {
        let stream = socket::connect(self.server, connection, self.sources)?;
        let Some(slot) = self.slots.get_mut(connection) else { return Ok(()) };
        slot.turn = slot.turn.wrapping_add(1);
        let data = event_data(slot.turn, connection);
        epoll::add(&self.epoll, &stream, data, interest()).map_err(io::Error::from)?;
        slot.transport = Some(Transport {
            stream,
            connected: false,
            phase: Phase::Opening,
            partial: Vec::new(),
            outbox: Vec::new(),
            deaf: false,
        });
        Ok(())
    }

    /// From now on nothing is read for this client, and the kernel keeps little for it.
    pub(crate) fn stop_reading(&mut self, connection: usize) -> Result<(), LoadError> {
        if let Some(transport) = self.transport(connection) {
            transport.deaf = true;
            SockRef::from(&transport.stream).set_recv_buffer_size(DEAF_BUFFER_BYTES)?;
        }
        Ok(())
    }

    /// Puts all sockets into the state of clients that have been listening for a while.
    pub(crate) fn listen(&self) -> Result<(), LoadError> {
        for transport in self.slots.iter().filter_map(|slot| slot.transport.as_ref()) {
            socket::acknowledge_at_once(&transport.stream)?;
        }
        Ok(())
    }

    /// Ends a client's transport without a word.
    pub(crate) fn drop_transport(&mut self, connection: usize) {
        if let Some(slot) = self.slots.get_mut(connection) {
            slot.transport = None;
        }
    }

    /// Puts a message into the outbox; `flush` sends it.
    pub(crate) fn publish(
        &mut self,
        connection: usize,
        serial: u64,
        channel: &Channel,
        payload: &[u8],
    ) {
        self.write(connection, |wire, out| wire.publish(serial, channel, payload, out));
    }

    /// Reads again what a client that had stopped has been sent since.
    pub(crate) fn resume_reading(&mut self, connection: usize) -> Result<(), LoadError> {
        let Some(slot) = self.slots.get_mut(connection) else { return Ok(()) };
        if let Some(transport) = &mut slot.transport {
            transport.deaf = false;
            SockRef::from(&transport.stream).set_recv_buffer_size(BUFFER_BYTES)?;
            // Tells anew of what is there already.
            let data = event_data(slot.turn, connection);
            epoll::modify(&self.epoll, &transport.stream, data, interest())
                .map_err(io::Error::from)?;
        }
        Ok(())
    }

    /// Puts into the outbox what `write` makes.
    pub(crate) fn write(&mut self, connection: usize, write: impl FnOnce(&dyn Wire, &mut Vec<u8>)) {
        let slot = self.slots.get_mut(connection);
        if let Some(transport) = slot.and_then(|slot| slot.transport.as_mut()) {
            write(self.wire.as_ref(), &mut transport.outbox);
        }
    }

    /// Sends as much of the outbox as the socket takes; the rest follows when it takes more.
    pub(crate) fn flush(&mut self, connection: usize) -> Result<(), LoadError> {
        match self.transport(connection) {
            Some(transport) => transport.flush(),
            None => Ok(()),
        }
    }

    /// Waits until something comes, the player is due, or it is `until`; then lets the player hear and act.
    pub(crate) fn turn(&mut self, player: &mut dyn Player, until: u64) -> Result<(), LoadError> {
        self.wait(player.due().map_or(until, |due| due.min(until)))?;
        let events = std::mem::take(&mut self.events);
        for event in &events {
            self.serve(event, player)?;
            player.act(self)?;
        }
        if events.is_empty() {
            player.act(self)?;
        }
        self.events = events;
        Ok(())
    }

    fn wait(&mut self, until: u64) -> Result<(), LoadError> {
        self.events.clear();
        let mut now = self.now();
        loop {
            let timeout = match self.waiting {
                Waiting::Asleep => until.saturating_sub(now),
                Waiting::Awake => 0,
            };
            let timeout = Timespec {
                tv_sec: (timeout / 1_000_000_000) as i64,
                tv_nsec: (timeout % 1_000_000_000) as _,
            };
            match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
            if self.waiting == Waiting::Asleep || !self.events.is_empty() {
                return Ok(());
            }
            let looked = std::mem::replace(&mut now, self.now());
            self.in_vain += now - looked;
            if now >= until {
                return Ok(());
            }
        }
    }

    fn serve(&mut self, event: &epoll::Event, player: &mut dyn Player) -> Result<(), LoadError> {
        let (data, flags) = (event.data, event.flags);
        let (turn, connection) = ((data.u64() >> 32) as u32, data.u64() as u32 as usize);
        let Some(slot) = self.slots.get_mut(connection).filter(|slot| slot.turn == turn) else {
            return Ok(());
        };
        let Some(transport) = &mut slot.transport else { return Ok(()) };
        if flags.contains(epoll::EventFlags::OUT) {
            if transport.connected {
                transport.flush()?;
            } else if let Some(error) = transport.stream.take_error()? {
                slot.transport = None;
                let now = nanoseconds(self.began.elapsed());
                player.hear(connection, Event::Ended(error.to_string()), now);
                return Ok(());
            } else {
                transport.connected = true;
                if transport.outbox.is_empty() {
                    self.wire.hello(&mut transport.outbox);
                }
                transport.flush()?;
                if !self.wire.greets() {
                    player.hear(connection, Event::Ready(&[]), nanoseconds(self.began.elapsed()));
                }
            }
        }
        let incoming = epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR;
        if flags.intersects(incoming) && !transport.deaf {
            let mut reading =
                Reading { wire: self.wire.as_ref(), buffer: &mut self.buffer, began: self.began };
            let end = reading.drain(connection, transport, player)?;
            transport.flush()?;
            if let Some(end) = end {
                slot.transport = None;
                player.hear(connection, Event::Ended(end), nanoseconds(self.began.elapsed()));
            }
        }
        Ok(())
    }

    fn transport(&mut self, connection: usize) -> Option<&mut Transport> {
        self.slots.get_mut(connection)?.transport.as_mut()
    }
}

impl Transport {
    fn flush(&mut self) -> Result<(), LoadError> {
        if !self.connected || self.outbox.is_empty() {
            return Ok(());
        }
        let mut written = 0;
        loop {
            match self.stream.write(self.outbox.get(written..).unwrap_or_default()) {
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // The end is heard when the rest has been read.
                Err(_) => written = self.outbox.len(),
            }
            if written == self.outbox.len() {
                break;
            }
        }
        self.outbox.drain(..written);
        if self.outbox.len() > OUTBOX_MAX {
            return Err(LoadError::ServerDoesNotRead);
        }
        Ok(())
    }
}

/// What reading needs beside the connection.
struct Reading<'a> {
    wire: &'a dyn Wire,
    buffer: &'a mut [u8],
    began: Instant,
}

impl Reading<'_> {
    /// Reads until the socket has no more; why it ended, if it did.
    fn drain(
        &mut self,
        connection: usize,
        transport: &mut Transport,
        player: &mut dyn Player,
    ) -> Result<Option<String>, WireError> {
        loop {
            let kept = transport.partial.len();
            if let Some(start) = self.buffer.get_mut(..kept) {
                start.copy_from_slice(&transport.partial);
            }
            let room = self.buffer.get_mut(kept..).unwrap_or_default();
            let space = room.len();
            let count = match transport.stream.read(room) {
                Ok(0) if space == 0 => return Err(WireError("a frame is too long".to_owned())),
                Ok(0) => return Ok(Some("the server ended the connection".to_owned())),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Ok(Some(error.to_string())),
            };
            let input = self.buffer.get(..kept + count).unwrap_or_default();
            let now = nanoseconds(self.began.elapsed());
            let outbox = &mut transport.outbox;
            let used = self.wire.read(&mut transport.phase, input, &mut |event| match event {
                Event::Reply(bytes) => outbox.extend(bytes),
                event => player.hear(connection, event, now),
            })?;
            transport.partial.clear();
            transport.partial.extend_from_slice(input.get(used..).unwrap_or_default());
            // A stream that gives less than there is room for has no more; what comes then is told anew.
            if count < space {
                return Ok(None);
            }
        }
    }
}

fn interest() -> epoll::EventFlags {
    epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET
}

fn event_data(turn: u32, connection: usize) -> epoll::EventData {
    epoll::EventData::new_u64((u64::from(turn) << 32) | connection as u64)
}

pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
