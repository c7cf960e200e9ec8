//! TCP and HTTP/1.1: accepts connections, bounds what each may cost, answers requests, and hands a
//! stream over once it becomes a WebSocket.
//!
//! No TLS and no HTTP/2: a proxy in front has them. What a path means is `rest`'s business.
//!
//! Invariants: the accept loop outlives every error but shutdown; a connection holds its slot for
//! as long as it lives, as HTTP or as WebSocket.

use std::{
    convert::Infallible,
    fmt, io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn, upgrade::Upgraded};
use hyper_util::rt::{TokioIo, TokioTimer};
use node::{Origin, Way};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::sleep,
};
use types::{Network, NodeLimits, Timestamp};

use crate::{
    body::Body,
    connection,
    hub::Hub,
    rest::{self, Answer},
    source, ws,
};

/// Longest request line and headers; a longer head is answered with 431. Tokens travel in it.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// How long a connection may take to send its next request's head, the first one included; what
/// has not come by then is not waited for.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Pause after an accept that failed for lack of a resource, such as file descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// An idle connection is probed after this long, and then this often.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// A peer that acknowledges nothing for this long is gone; holds for data and for probes.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(30);

/// What a connection beyond the limit is told.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\
    X-Ably-ErrorCode: 50004\r\nX-Ably-ErrorMessage: too many connections\r\n\r\n";

/// Writes the metrics of the process, as OpenMetrics text.
pub type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Whether new clients should be sent here, as far as the process can tell.
pub type Ready = Arc<dyn Fn() -> bool + Send + Sync>;

/// The node's clock.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Whether apps can be made and deleted by request, as the test suites of client libraries do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sandbox {
    Off,
    On,
}

/// What a listener is given.
#[derive(Clone)]
pub struct Settings {
    pub limits: NodeLimits,
    /// Connections at a time, HTTP and WebSocket together; one more is refused with 503.
    pub max_connections: u32,
    /// Told to clients in `X-Ably-ServerId`.
    pub server_id: HeaderValue,
    pub sandbox: Sandbox,
    /// Those whose word on where a request comes from is believed.
    pub trusted_proxies: Vec<Network>,
    pub metrics: Metrics,
    pub ready: Ready,
    pub now: Now,
}

/// One listener and what belongs to it.
pub(crate) struct Server {
    pub(crate) hub: Arc<Hub>,
    pub(crate) settings: Settings,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: watch::Receiver<bool>,
}

/// One TCP connection, as long as anything of it lives.
struct Connection {
    server: Arc<Server>,
    /// The other end.
    address: IpAddr,
    /// Held, not read: its end frees the slot.
    _slot: OwnedSemaphorePermit,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("limits", &self.limits)
            .field("max_connections", &self.max_connections)
            .field("server_id", &self.server_id)
            .field("sandbox", &self.sandbox)
            .finish_non_exhaustive()
    }
}

impl Server {
    pub(crate) fn max_body(&self) -> usize {
        usize::try_from(self.settings.limits.max_frame_size).unwrap_or(usize::MAX)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.shutdown.borrow()
    }
}

/// Serves a listener until `shutdown` becomes true or its sender is gone; then accepts nothing
/// more, lets requests in flight finish, and returns when the last connection is over. WebSockets
/// end when the node closes them: tell it ([`node::Event::Shutdown`]), and bound the wait.
pub async fn serve(
    listener: TcpListener,
    hub: Arc<Hub>,
    settings: Settings,
    shutdown: watch::Receiver<bool>,
) -> io::Result<()> {
    let slots = Arc::new(Semaphore::new(to_usize(settings.max_connections)));
    let max_connections = settings.max_connections;
    let address = listener.local_addr()?;
    let mut stop = shutdown.clone();
    let server = Arc::new(Server { hub, settings, address, shutdown });
    loop {
        let accepted = tokio::select! {
            biased;
            () = told_to_stop(&mut stop) => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match Arc::clone(&slots).try_acquire_owned() {
                Ok(slot) => {
                    let (server, address) = (Arc::clone(&server), peer.ip());
                    let connection = Connection { server, address, _slot: slot };
                    tokio::spawn(serve_http(stream, Arc::new(connection)));
                }
                Err(_full) => refuse(&stream),
            },
            Err(error) => after_accept_error(&error).await,
        }
    }
    drop(listener);
    // Fails only if the semaphore were closed, and nobody closes it.
    slots.acquire_many(max_connections).await.map_err(io::Error::other).map(drop)
}

/// A sender that is gone is as good as the word.
async fn told_to_stop(shutdown: &mut watch::Receiver<bool>) {
    shutdown.wait_for(|stop| *stop).await.ok();
}

/// One attempt to say why: whoever floods the server gets no more of its time.
fn refuse(stream: &TcpStream) {
    if let Err(error) = SockRef::from(stream).send(FULL) {
        tracing::debug!(%error, "could not refuse a connection");
    }
}

async fn after_accept_error(error: &io::Error) {
    match error.kind() {
        // The peer's doing; the next one is not affected.
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset => {}
        _ => {
            tracing::warn!(%error, "cannot accept connections");
            sleep(ACCEPT_BACKOFF).await;
        }
    }
}

/// Speaks HTTP until the connection ends or turns into a WebSocket.
async fn serve_http(stream: TcpStream, connection: Arc<Connection>) {
    if let Err(error) = notice_lost_peers(&stream) {
        tracing::debug!(%error, "connection ended at once");
        return;
    }
    let mut stop = connection.server.shutdown.clone();
    let service = service_fn(|request| {
        let connection = Arc::clone(&connection);
        async move { Ok::<_, Infallible>(answer(&connection, request).await) }
    });
    let mut http = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD_BYTES)
            .max_header_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
    );
    let served = tokio::select! {
        served = http.as_mut() => served,
        () = told_to_stop(&mut stop) => {
            http.as_mut().graceful_shutdown();
            http.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "HTTP connection ended");
    }
}

/// Without these a peer that vanishes while nothing is sent to it would stay for ever.
fn notice_lost_peers(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(())
}

async fn answer(connection: &Arc<Connection>, request: Request<Incoming>) -> Answer {
    if request.uri().path() == "/" && request.headers().contains_key(header::UPGRADE) {
        upgrade(connection, request)
    } else {
        rest::answer(&connection.server, connection.address, request).await
    }
}

/// The answer to a request to become a WebSocket, and the task that serves it afterwards. Only
/// what HTTP itself forbids is refused here; all else is said in the client protocol.
fn upgrade(connection: &Arc<Connection>, request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    let head = match ws::accept(&parts) {
        Ok(head) => head,
        Err(refusal) => {
            return refusal.response().map(|()| Bytes::from(refusal.to_string()).into());
        }
    };
    let query = match protocol::parse_query(parts.uri.query().unwrap_or_default()) {
        Ok(query) => query,
        Err(error) => return rest::refusal(&connection.server, &parts, &error),
    };
    let proxies = &connection.server.settings.trusted_proxies;
    let source = source::of(connection.address, &parts.headers, proxies);
    let header = |name| rest::text(&parts.headers, name);
    let origin = Origin::new(Way::Transport("websocket"), source, header, &query);
    let upgraded = hyper::upgrade::on(Request::from_parts(parts, body));
    let connection = Arc::clone(connection);
    tokio::spawn(async move {
        match upgraded.await {
            Ok(upgraded) => serve_websocket(upgraded, query, origin, connection).await,
            Err(error) => tracing::debug!(%error, "no WebSocket after the handshake"),
        }
    });
    head.map(|()| Body::default())
}

async fn serve_websocket(
    upgraded: Upgraded,
    query: Vec<(String, String)>,
    origin: Origin,
    connection: Arc<Connection>,
) {
    let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else { return };
    let hub = Arc::clone(&connection.server.hub);
    let opened = connection::open(parts.io.into_inner(), &hub, query, origin).await;
    let Some(opened) = opened else { return };
    let max_message = connection.server.max_body();
    // The buffer of the handshake is not kept.
    let leftover = parts.read_buf.to_vec();
    // A task of its own is as small as an idle connection can be.
    tokio::spawn(async move {
        connection::serve(opened, hub, leftover, max_message).await;
        drop(connection);
    });
}

fn to_usize(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
