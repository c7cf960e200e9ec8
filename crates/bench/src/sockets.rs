//! TCP connections of one thread: a listener, one level-triggered epoll, direct writes.
//!
//! One turn of a program is [`Sockets::wait`], then [`Sockets::read`] for each connection that has
//! something to say. Writes go to the kernel at once; only what the kernel does not take is owed, and
//! goes out when the connection is writable again. A connection that is idle owns no buffer.
//!
//! Errors of one connection close it and are not reported: whoever names it afterwards learns that it
//! is gone. Errors of the listener or of epoll end the program.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::mem;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

/// Longest message, and so the size of the one buffer that a program reads into. A connection whose
/// message is longer is closed.
pub const READ_BUFFER: usize = 256 * 1024;

/// Bytes that may be owed to a connection. One that reads more slowly than that is closed.
const OWED_MAX: usize = 64 * 1024 * 1024;

/// Events taken from the kernel at a time; the others come with the next turn.
const EVENTS_MAX: usize = 1024;

/// Names one connection for as long as the program runs, also when its file descriptor is reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id {
    fd: u32,
    /// The how manieth connection it is; 0 for what is no connection.
    serial: u32,
}

/// All connections, each with a `T` of the program's own.
pub struct Sockets<T> {
    epoll: OwnedFd,
    listener: TcpListener,
    events: Vec<epoll::Event>,
    /// By file descriptor, which the kernel keeps small.
    connections: Vec<Option<Connection<T>>>,
    last_serial: u32,
    /// Connections for which something is gathered.
    touched: Vec<Id>,
}

#[derive(Debug)]
struct Connection<T> {
    stream: TcpStream,
    serial: u32,
    /// The beginning of a message that is incomplete.
    rest: Vec<u8>,
    /// What goes out with the next [`Sockets::send_gathered`].
    gathered: Vec<u8>,
    /// What the kernel did not take.
    owed: VecDeque<Bytes>,
    owed_bytes: usize,
    state: T,
}

impl Id {
    fn new(source: impl AsFd, serial: u32) -> Self {
        Self { fd: source.as_fd().as_raw_fd().unsigned_abs(), serial }
    }

    fn event_data(self) -> EventData {
        EventData::new_u64(u64::from(self.fd) << 32 | u64::from(self.serial))
    }

    fn from_event_data(data: EventData) -> Self {
        let [a, b, c, d, e, f, g, h] = data.u64().to_be_bytes();
        Self { fd: u32::from_be_bytes([a, b, c, d]), serial: u32::from_be_bytes([e, f, g, h]) }
    }
}

impl<T: Default> Sockets<T> {
    /// Listens on `address`.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn listen(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let sockets = Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            listener,
            events: Vec::with_capacity(EVENTS_MAX),
            connections: Vec::new(),
            last_serial: 0,
            touched: Vec::new(),
        };
        sockets.watch(&sockets.listener)?;
        Ok(sockets)
    }

    /// # Errors
    /// As the system's `getsockname`.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// From now on [`Self::wait`] tells when `source`, which is no connection, is readable.
    ///
    /// # Errors
    /// As the system's `epoll_ctl`.
    pub fn watch(&self, source: impl AsFd) -> io::Result<Id> {
        let id = Id::new(&source, 0);
        epoll::add(&self.epoll, source, id.event_data(), EventFlags::IN)?;
        Ok(id)
    }

    /// Takes in a connection that was made elsewhere.
    ///
    /// # Errors
    /// The connection's options cannot be set, or as the system's `epoll_ctl`.
    pub fn adopt(&mut self, stream: TcpStream) -> io::Result<Id> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        self.last_serial += 1;
        let id = Id::new(&stream, self.last_serial);
        epoll::add(&self.epoll, &stream, id.event_data(), EventFlags::IN)?;
        let slot = id.fd as usize;
        if self.connections.len() <= slot {
            self.connections.resize_with(slot + 1, || None);
        }
        let connection = Connection {
            stream,
            serial: id.serial,
            rest: Vec::new(),
            gathered: Vec::new(),
            owed: VecDeque::new(),
            owed_bytes: 0,
            state: T::default(),
        };
        if let Some(slot) = self.connections.get_mut(slot) {
            *slot = Some(connection);
        }
        Ok(id)
    }

    /// Waits until something happens, accepts who comes, writes what is owed and can be written, and
    /// adds to `ready` what can be read.
    ///
    /// # Errors
    /// As the system's `epoll_wait` and `accept`.
    pub fn wait(&mut self, ready: &mut Vec<Id>) -> io::Result<()> {
        let listener = Id::new(&self.listener, 0);
        let mut events = mem::take(&mut self.events);
        match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events.drain(..) {
            let (id, flags) = (Id::from_event_data(event.data), event.flags);
            if id == listener {
                self.accept()?;
                continue;
            }
            if flags.contains(EventFlags::OUT) {
                self.flush(id);
            }
            if flags != EventFlags::OUT {
                ready.push(id);
            }
        }
        self.events = events;
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => drop(self.adopt(stream)?),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl<T> Sockets<T> {
    /// One read. What is at hand then, including what was kept: at the front of `buffer`.
    pub fn read<'b>(&mut self, id: Id, buffer: &'b mut [u8]) -> Option<&'b mut [u8]> {
        let connection = self.connection(id)?;
        let kept = connection.rest.len();
        buffer.get_mut(..kept)?.copy_from_slice(&connection.rest);
        match connection.stream.read(buffer.get_mut(kept..)?) {
            Ok(read @ 1..) => {
                connection.rest.clear();
                buffer.get_mut(..kept + read)
            }
            Err(error) if is_momentary(&error) => None,
            Ok(0) | Err(_) => {
                self.close(id);
                None
            }
        }
    }

    /// Keeps an incomplete message until more of it has come.
    pub fn keep(&mut self, id: Id, rest: &[u8]) {
        if let Some(connection) = self.connection(id) {
            connection.rest.extend_from_slice(rest);
        }
    }

    /// What the program knows of a connection.
    pub fn state(&mut self, id: Id) -> Option<&mut T> {
        self.connection(id).map(|connection| &mut connection.state)
    }

    /// Writes `bytes`, behind what is owed. False if the connection is gone.
    pub fn send(&mut self, id: Id, bytes: &Bytes) -> bool {
        let Some(connection) = self.connection(id) else { return false };
        let outcome = connection.write(bytes);
        self.settle(id, bytes, outcome)
    }

    /// A connection that is owed nothing, for a write by other means than [`Self::send`].
    pub fn writable(&self, id: Id) -> Option<BorrowedFd<'_>> {
        let connection = self.connections.get(id.fd as usize)?.as_ref()?;
        let is_it = connection.serial == id.serial && connection.owed.is_empty();
        is_it.then(|| connection.stream.as_fd())
    }

    /// After a write of `bytes` with that outcome: the rest of them is owed. False if the connection
    /// is gone.
    pub fn settle(&mut self, id: Id, bytes: &Bytes, outcome: io::Result<usize>) -> bool {
        match outcome {
            Ok(written) if written == bytes.len() => true,
            Ok(written) => self.owe(id, bytes.slice(written..)),
            Err(error) if is_momentary(&error) => self.owe(id, bytes.clone()),
            Err(_) => {
                self.close(id);
                false
            }
        }
    }

    /// Adds `bytes` to what goes out with the next [`Self::send_gathered`].
    pub fn gather(&mut self, id: Id, bytes: &[u8]) {
        let Some(connection) = self.connection(id) else { return };
        let is_first = connection.gathered.is_empty();
        connection.gathered.extend_from_slice(bytes);
        if is_first && !bytes.is_empty() {
            self.touched.push(id);
        }
    }

    /// One write for each connection for which something was gathered.
    pub fn send_gathered(&mut self) {
        let mut touched = mem::take(&mut self.touched);
        for id in touched.drain(..) {
            let Some(connection) = self.connection(id) else { continue };
            let mut gathered = mem::take(&mut connection.gathered);
            let outcome = connection.write(&gathered);
            if outcome.as_ref().is_ok_and(|written| *written == gathered.len()) {
                gathered.clear();
                connection.gathered = gathered;
            } else {
                self.settle(id, &gathered.into(), outcome);
            }
        }
        self.touched = touched;
    }

    pub fn is_open(&self, id: Id) -> bool {
        let connection = self.connections.get(id.fd as usize).and_then(Option::as_ref);
        connection.is_some_and(|connection| connection.serial == id.serial)
    }

    pub fn close(&mut self, id: Id) {
        if self.is_open(id) {
            // Closing the descriptor takes it out of epoll as well.
            self.connections.get_mut(id.fd as usize).and_then(Option::take);
        }
    }

    fn connection(&mut self, id: Id) -> Option<&mut Connection<T>> {
        let connection = self.connections.get_mut(id.fd as usize)?.as_mut()?;
        (connection.serial == id.serial).then_some(connection)
    }

    fn owe(&mut self, id: Id, bytes: Bytes) -> bool {
        let Some(connection) = self.connection(id) else { return false };
        connection.owed_bytes += bytes.len();
        let is_first = connection.owed.is_empty();
        connection.owed.push_back(bytes);
        let is_well = connection.owed_bytes <= OWED_MAX
            && (!is_first || self.want(id, EventFlags::IN | EventFlags::OUT));
        if !is_well {
            self.close(id);
        }
        is_well
    }

    fn flush(&mut self, id: Id) {
        while let Some(connection) = self.connection(id) {
            let Some(first) = connection.owed.front_mut() else {
                if !self.want(id, EventFlags::IN) {
                    self.close(id);
                }
                return;
            };
            match connection.stream.write(first) {
                Ok(written) => {
                    connection.owed_bytes -= written;
                    drop(first.split_to(written));
                    if first.is_empty() {
                        connection.owed.pop_front();
                    }
                }
                Err(error) if is_momentary(&error) => return,
                Err(_) => self.close(id),
            }
        }
    }

    /// Tells epoll what to look for; false if it cannot be told.
    fn want(&self, id: Id, flags: EventFlags) -> bool {
        let Some(connection) = self.connections.get(id.fd as usize).and_then(Option::as_ref) else {
            return false;
        };
        epoll::modify(&self.epoll, &connection.stream, id.event_data(), flags).is_ok()
    }
}

impl<T> Connection<T> {
    /// How much the kernel takes at once; nothing while anything is owed.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.owed.is_empty() { self.stream.write(bytes) } else { Ok(0) }
    }
}

fn is_momentary(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
