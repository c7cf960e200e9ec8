//! The socket that clients connect to.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

/// Clients that may wait to be accepted, if the kernel allows so many (`net.core.somaxconn`). Whoever finds the
/// queue full tries again a second later, so those who come back all at once should fit.
const BACKLOG: u32 = u16::MAX as u32;

/// Within a runtime.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Not refused because of connections that a server before it had.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream};
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn clients_that_come_all_at_once_need_not_try_again() {
        let listener = listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let allowed = std::fs::read_to_string("/proc/sys/net/core/somaxconn");
        let allowed = allowed.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(128);
        // Nobody accepts them.
        let connected: Vec<_> = (0..allowed.min(1_500))
            .map(|_| TcpStream::connect_timeout(&address, Duration::from_millis(900)).unwrap())
            .collect();
        assert!(!connected.is_empty());
    }
}
