//! The line with which a reference program says that it is ready.

use std::net::SocketAddr;

/// Prints `WHAT ADDR pid N`.
#[expect(clippy::print_stdout, reason = "whoever started the program waits for this line")]
pub fn announce(what: &str, address: SocketAddr, pid: u32) {
    println!("{what} {address} pid {pid}");
}
