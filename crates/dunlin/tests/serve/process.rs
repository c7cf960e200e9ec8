//! A `dunlin` process, and the little HTTP that is needed to ask it things.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use testkit::Process;

/// Longer than anything takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process that has printed where it serves.
pub(crate) struct Server {
    process: Process,
    pub(crate) address: SocketAddr,
    pub(crate) key: String,
}

/// The binary, untouched by the environment of the tests.
pub(crate) fn dunlin() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dunlin"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// Runs to the end what should not serve.
pub(crate) fn fails(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = command.output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

impl Server {
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_with(dunlin().args(["serve", "--listen", "127.0.0.1:0"]), data)
    }

    /// Starts `command` and reads what it prints.
    pub(crate) fn start_with(command: &mut Command, data: &Path) -> Self {
        let process = Process::start(command.arg("--data-dir").arg(data));
        let version = env!("CARGO_PKG_VERSION");
        let address = process.printed_after(&format!("Dunlin {version} serves at http://"));
        let key = process.printed_after("Key: ");
        Self { process, address: address.parse().unwrap(), key }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.process.wait()
    }

    pub(crate) fn end(mut self, signal: &str) -> ExitStatus {
        self.signal(signal);
        self.wait()
    }

    /// Status and body; to HTTP/1.0 also one of unknown length comes as it is.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.request(&format!("GET {path} HTTP/1.0"), "")
    }

    pub(crate) fn publish(&self, channel: &str, body: &str) -> u16 {
        self.request(&format!("POST /channels/{channel}/messages HTTP/1.1"), body).0
    }

    /// Status and body.
    pub(crate) fn post(&self, path: &str, body: &str) -> (u16, String) {
        self.request(&format!("POST {path} HTTP/1.1"), body)
    }

    /// Asks without credentials, for an answer that goes on. To HTTP/1.0 it comes as it is.
    pub(crate) fn open(&self, path: &str, headers: &str) -> TcpStream {
        let mut stream = self.connect();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n{headers}\r\n").unwrap();
        stream
    }

    pub(crate) fn history(&self, channel: &str) -> String {
        let (status, body) = self.get(&format!("/channels/{channel}/messages"));
        assert_eq!(status, 200, "{body}");
        body
    }

    fn request(&self, line: &str, body: &str) -> (u16, String) {
        let mut stream = self.connect();
        let credentials = STANDARD.encode(&self.key);
        let length = body.len();
        write!(
            stream,
            "{line}\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Basic {credentials}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap();
        (status.parse().unwrap(), body.to_owned())
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// A client that has been told CONNECTED.
    pub(crate) fn websocket(&self) -> TcpStream {
        self.websocket_with("")
    }

    pub(crate) fn websocket_with(&self, query: &str) -> TcpStream {
        let mut stream = self.connect();
        write!(
            stream,
            "GET /?key={}&v=3&format=json{query} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            self.key
        )
        .unwrap();
        read_until(&mut stream, "\"action\":4,");
        stream
    }
}

/// Reads until `text` has come; all that has.
pub(crate) fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&seen).contains(text) {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "{text} is not in {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&seen).into_owned()
}
