//! The reference programs at their sockets: everything arrives intact, in order, and once.

mod fanout;
mod requests;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use testkit::Process;

/// Longer than anything takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running program, and where it listens.
struct Program {
    process: Process,
    address: SocketAddr,
}

impl Program {
    /// With signals as they are at a terminal, also where a shell in the background ignores SIGINT.
    fn start(path: &str, args: &[&str]) -> Self {
        let mut command = Command::new("env");
        command.args(["--default-signal", path, "--listen", "127.0.0.1:0"]).args(args);
        Self::ready(Process::start(&mut command))
    }

    fn ready(process: Process) -> Self {
        let ready = process.printed_after("listening ");
        let (address, _) = ready.split_once(" pid ").unwrap();
        Self { address: address.parse().unwrap(), process }
    }

    fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client(stream)
    }
}

struct Client(TcpStream);

impl Client {
    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// In segments of their own.
    fn send_in_pieces(&mut self, bytes: &[u8], size: usize) {
        bytes.chunks(size).for_each(|piece| self.send(piece));
    }

    fn read<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    fn read_vec(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Whether the program closes the connection, with or without a reset.
    fn is_closed(&mut self) -> bool {
        self.0
            .read(&mut [0])
            .map_or_else(|error| error.kind() != std::io::ErrorKind::WouldBlock, |read| read == 0)
    }
}

#[test]
fn each_program_ends_when_it_is_told_to() {
    for path in [
        env!("CARGO_BIN_EXE_raw-fanout"),
        env!("CARGO_BIN_EXE_raw-ingest"),
        env!("CARGO_BIN_EXE_raw-copy"),
    ] {
        for signal in ["TERM", "INT"] {
            let mut program = Program::start(path, &[]);
            program.process.signal(signal);
            program.process.wait();
        }
    }
}
