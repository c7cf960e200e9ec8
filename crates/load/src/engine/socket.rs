//! Sockets that do not wait, and as many of them as a run needs.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::LoadError;

/// Connections from one address to one port: fewer than there are ephemeral ports by default.
const CONNECTIONS_PER_SOURCE: usize = 25_000;
/// Files beside the connections.
const OTHER_FILES: u64 = 64;

/// Raises the limit of open files as far as it is needed and allowed.
pub(super) fn allow_files(connections: usize) -> Result<(), LoadError> {
    let needed = connections as u64 + OTHER_FILES;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if maximum.is_some_and(|maximum| maximum < needed) {
        return Err(LoadError::TooFewFiles { needed, allowed: maximum.unwrap_or_default() });
    }
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).map_err(io::Error::from)?;
    Ok(())
}

/// How many addresses of the loopback network are needed; 0 if the kernel shall choose.
pub(super) fn sources(server: SocketAddr, connections: usize) -> u8 {
    if connections <= CONNECTIONS_PER_SOURCE || !server.ip().is_loopback() || server.is_ipv6() {
        return 0;
    }
    u8::try_from(connections.div_ceil(CONNECTIONS_PER_SOURCE)).unwrap_or(u8::MAX)
}

/// Begins to connect.
pub(super) fn connect(server: SocketAddr, connection: usize, sources: u8) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if sources > 0 {
        let host = (connection % usize::from(sources)) as u8 + 1;
        socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 0)).into())?;
    }
    match socket.connect(&server.into()) {
        Err(error)
            if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) =>
        {
            Err(error)
        }
        Ok(()) | Err(_) => Ok(socket.into()),
    }
}

/// What the client has read is acknowledged when it has been read, as it is once nothing was said for a while.
/// A client that has just answered the server is expected to do so again, so its kernel waits with the
/// acknowledgement until more comes: then the server's core pays for it, and only with wires on which
/// clients answer.
pub(super) fn acknowledge_at_once(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_tcp_quickack(true)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn who_has_answered_the_server_acknowledges_as_those_who_have_not() -> io::Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let mut client = TcpStream::connect(listener.local_addr()?)?;
        let (mut server, _) = listener.accept()?;
        let mut byte = [0];
        for _ in 0..8 {
            server.write_all(b"?")?;
            client.read_exact(&mut byte)?;
            client.write_all(b"!")?;
            server.read_exact(&mut byte)?;
        }
        assert!(!SockRef::from(&client).tcp_quickack()?, "it is expected to answer");
        acknowledge_at_once(&client)?;
        assert!(SockRef::from(&client).tcp_quickack()?);
        Ok(())
    }

    #[test]
    fn further_addresses_are_taken_when_the_ports_of_one_do_not_suffice() {
        let at = |address: &str, connections| sources(address.parse().unwrap(), connections);
        assert_eq!(at("127.0.0.1:80", CONNECTIONS_PER_SOURCE), 0);
        assert_eq!(at("127.0.0.1:80", CONNECTIONS_PER_SOURCE + 1), 2);
        assert_eq!(at("127.0.0.1:80", 100_000), 4);
        assert_eq!(at("192.0.2.1:80", 100_000), 0);
        assert_eq!(at("[::1]:80", 100_000), 0);
    }

    #[test]
    fn connections_come_from_the_addresses_in_turn() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        for (connection, host) in [(0, 1), (1, 2), (2, 1)] {
            let client = connect(address, connection, 2).unwrap();
            let (_, from) = listener.accept().unwrap();
            assert_eq!(from.ip(), Ipv4Addr::new(127, 0, 0, host));
            assert_eq!(client.local_addr().unwrap(), from);
        }
    }
}
