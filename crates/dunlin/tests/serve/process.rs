//! A `dunlin` process in a folder of its own, and the little HTTP that is needed to ask it things.
//! Whatever a test does, the process and its folder end with it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Longer than anything takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A folder that ends with the test.
pub(crate) struct Folder(PathBuf);

/// A process that has printed where it serves.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) key: String,
}

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("dunlin-serve-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
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
        let command = command.arg("--data-dir").arg(data).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, printed) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // What nobody looks at is read all the same: the pipe stays open.
                sender.send(line).ok();
            }
        });
        let behind = |prefix: &str| {
            let found = printed.iter().find_map(|l| l.strip_prefix(prefix).map(str::to_owned));
            found.unwrap_or_else(|| panic!("nothing printed with {prefix}"))
        };
        let version = env!("CARGO_PKG_VERSION");
        let address = behind(&format!("Dunlin {version} serves at http://"));
        let key = behind("Key: ");
        Self { child, address: address.parse().unwrap(), key }
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the process does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn end(mut self, signal: &str) -> ExitStatus {
        self.signal(signal);
        self.wait()
    }

    /// Status and body.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.request(&format!("GET {path} HTTP/1.1"), "")
    }

    pub(crate) fn publish(&self, channel: &str, body: &str) -> u16 {
        self.request(&format!("POST /channels/{channel}/messages HTTP/1.1"), body).0
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

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// A client that has been told CONNECTED.
    pub(crate) fn websocket(&self) -> TcpStream {
        let mut stream = self.connect();
        write!(
            stream,
            "GET /?key={}&v=3&format=json HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            self.key
        )
        .unwrap();
        read_until(&mut stream, "\"action\":4,");
        stream
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub(crate) fn read_until(stream: &mut TcpStream, text: &str) {
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&seen).contains(text) {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "{text} is not in {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..count]);
    }
}
