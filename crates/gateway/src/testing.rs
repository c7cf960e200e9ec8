//! A server on loopback with a scripted node behind it, and a client that writes its requests by
//! hand.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::HeaderValue;
use node::{Event, Request, Response};
use protocol::Format;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::JoinHandle,
};
use types::{NodeLimits, Timestamp};

use crate::{Events, Hub, Sandbox, Settings, serve};

/// What the node's clock shows.
pub(crate) const NOW: Timestamp = Timestamp(1_750_000_000_000);

pub(crate) const HOST: &str = "dunlin.test:8123";

pub(crate) struct Bench {
    pub(crate) hub: Arc<Hub>,
    pub(crate) address: SocketAddr,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) served: JoinHandle<std::io::Result<()>>,
    /// Nobody takes the events until a test does.
    pub(crate) events: Option<Events>,
}

pub(crate) fn settings() -> Settings {
    Settings {
        limits: NodeLimits::default(),
        max_connections: 100,
        server_id: HeaderValue::from_static("node-1"),
        sandbox: Sandbox::On,
        trusted_proxies: Vec::new(),
        metrics: Arc::new(|| "# EOF\n".into()),
        ready: Arc::new(|| true),
        now: Arc::new(|| NOW),
    }
}

impl Bench {
    pub(crate) async fn new(settings: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (hub, events) = Hub::new(&settings.limits);
        let (stop, stopped) = watch::channel(false);
        let served = tokio::spawn(serve(listener, Arc::clone(&hub), settings, stopped));
        Self { hub, address, stop, served, events: Some(events) }
    }

    /// A bench whose node answers every request with `script`, and reports the requests.
    pub(crate) async fn answering(
        mut script: impl FnMut(&Request) -> Response + Send + 'static,
    ) -> (Self, mpsc::UnboundedReceiver<Request>) {
        let mut bench = Self::new(settings()).await;
        let (hub, mut events) = (Arc::clone(&bench.hub), bench.events.take().unwrap());
        let (seen_by, seen) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                if let Event::Request { id, request } = event {
                    hub.reply(id, script(&request));
                    seen_by.send(*request).ok();
                }
            }
        });
        (bench, seen)
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// One request on a connection of its own, and its answer.
    pub(crate) async fn ask(&self, call: &str, headers: &[&str], body: &[u8]) -> Answered {
        ask_at(self.address, call, headers, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answered {
        self.ask(&format!("GET {path}"), &[], b"").await
    }

    pub(crate) async fn next_event(&mut self) -> Event {
        self.events.as_mut().unwrap().recv().await.unwrap()
    }
}

/// As [`Bench::ask`], for tests that script the node meanwhile.
pub(crate) async fn ask_at(
    address: SocketAddr,
    call: &str,
    headers: &[&str],
    body: &[u8],
) -> Answered {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut head = format!("{call} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n");
    for header in headers {
        head += &format!("{header}\r\n");
    }
    head += &format!("Content-Length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    Answered::read(stream).await
}

#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Answered {
    /// Reads up to the end of the stream.
    pub(crate) async fn read(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        Self::parse(&bytes)
    }

    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole head");
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let (status, headers) = head.split_once("\r\n").unwrap_or((head, ""));
        let headers = headers
            .lines()
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Self {
            status: status.split(' ').nth(1).unwrap().parse().unwrap(),
            headers,
            body: Bytes::copy_from_slice(&bytes[end + 4..]),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers_named(name).first().copied()
    }

    pub(crate) fn headers_named(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(key, _)| key == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn msgpack(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/x-msgpack"));
        protocol::decode_value(Format::MessagePack, &self.body).unwrap()
    }

    /// Status and code of an error, which body and header agree on.
    pub(crate) fn error(&self) -> (u16, u64) {
        let error = &self.json()["error"];
        let code = error["code"].as_u64().unwrap();
        assert_eq!(self.header("x-ably-errorcode"), Some(code.to_string().as_str()));
        assert!(self.header("x-ably-errormessage").is_some());
        assert_eq!(error["statusCode"], self.status);
        (self.status, code)
    }
}

/// An answer that goes on: its head, and then part by part.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) head: Answered,
    stream: TcpStream,
}

impl Live {
    pub(crate) async fn open(bench: &Bench, call: &str, headers: &[&str]) -> Self {
        Self::open_at(bench.address, call, headers).await
    }

    pub(crate) async fn open_at(address: SocketAddr, call: &str, headers: &[&str]) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut head = format!("{call} HTTP/1.1\r\nHost: {HOST}\r\n");
        for header in headers {
            head += &format!("{header}\r\n");
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = Answered::parse(&head);
        assert_eq!(head.header("transfer-encoding"), Some("chunked"), "{head:?}");
        Self { head, stream }
    }

    /// The next part as text; empty at the end.
    pub(crate) async fn part(&mut self) -> String {
        String::from_utf8(self.bytes().await).unwrap()
    }

    pub(crate) async fn bytes(&mut self) -> Vec<u8> {
        let mut length = String::new();
        while !length.ends_with("\r\n") {
            length.push(char::from(self.stream.read_u8().await.unwrap()));
        }
        let mut part = vec![0; usize::from_str_radix(length.trim_end(), 16).unwrap() + 2];
        self.stream.read_exact(&mut part).await.unwrap();
        part.truncate(part.len() - 2);
        part
    }
}
