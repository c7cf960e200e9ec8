//! One WebSocket on one TCP stream: the loop between the socket, the handler and the outbox.
//!
//! Everything that goes out, pongs and close frames included, goes through the [`Outbox`], in order.
//! An idle connection owns no buffer and no timer: it reads into a buffer of its thread, and a timer
//! exists only while the peer lets frames wait or the connection is closing.
//!
//! It does not know what a message means, whether a peer is silent for too long, or who may connect.

use std::{
    cell::RefCell,
    io,
    net::Shutdown,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use rustix::net::RecvFlags;
use socket2::SockRef;
use tokio::{
    io::Interest,
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

use super::{
    frame::{CloseCode, Frame},
    outbox::{Batch, Outbox, Phase, Then},
    reader::{Message, Reader, Violation},
};

/// Bytes taken from a socket by one read. One such buffer per thread.
const SCRATCH: usize = 64 * 1024;

thread_local! {
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into());
}

/// What one peer may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes in a message, over all its fragments.
    pub max_message: usize,
    /// How long a peer may accept nothing while there is something to send.
    pub write_stall: Duration,
    /// How long closing may take, from the decision to the end of the stream.
    pub linger: Duration,
}

/// Whether a handler can take another message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake {
    More,
    /// Nothing is read from the socket until [`Handler::ready`] completes.
    Full,
}

/// Takes what the peer sends. Called on the connection's task.
pub trait Handler: Send {
    /// A text or binary message, or a control frame, which is already answered. After
    /// [`Message::Close`] nothing more comes. Must not block, and must not drive another connection.
    fn on_message(&mut self, message: Message<'_>) -> Intake;

    /// All that has come so far was handed over.
    fn on_pause(&mut self) -> Intake {
        Intake::More
    }

    /// Completes when the handler, that was [`Intake::Full`], can take more. Must be cancel safe.
    fn ready(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// Why a connection is over.
#[derive(Debug)]
pub enum Ended {
    /// The peer sent a close frame, with or without a code.
    ByPeer(Option<CloseCode>),
    /// The outbox was closed and everything in it was sent.
    ByServer,
    /// The peer broke the protocol, and was told.
    Violation(Violation),
    /// The peer did not take in time what was to be sent.
    Stalled,
    /// The stream ended without a close frame; with an error, unless the peer just closed it.
    Lost(Option<io::Error>),
}

/// Serves a connection after the handshake, until it is over and the stream is dropped.
///
/// `leftover` is what was read beyond the handshake; the outbox has the stream, and accepts
/// nothing once this returns or is dropped.
pub fn run<H: Handler>(
    outbox: Arc<Outbox>,
    leftover: Vec<u8>,
    limits: Limits,
    handler: &mut H,
) -> impl Future<Output = Ended> + Send {
    let mut connection = Connection {
        reader: Reader::new(limits.max_message),
        unread: leftover,
        outbox,
        batch: Batch::default(),
        limits,
        deadline: None,
        input: Input::Open,
    };
    async move {
        let ended = connection.serve(handler).await;
        if let Ended::ByPeer(_) | Ended::ByServer | Ended::Violation(_) = ended {
            Box::pin(connection.linger()).await;
        }
        ended
    }
}

struct Connection {
    reader: Reader,
    /// Input that is not parsed yet: from the handshake, or because the handler was full.
    unread: Vec<u8>,
    outbox: Arc<Outbox>,
    batch: Batch,
    limits: Limits,
    deadline: Option<Deadline>,
    input: Input,
}

/// Whether input still counts, and if not, what ended it.
#[derive(Clone, Copy)]
enum Input {
    Open,
    Closed(Option<CloseCode>),
    Broken(Violation),
}

enum Deadline {
    /// For the next byte to be accepted.
    Stall(Pin<Box<Sleep>>),
    /// For all the rest.
    Close(Pin<Box<Sleep>>),
}

/// Why [`Connection::poll_serve`] has stopped.
enum Stop {
    Full,
    Ended(Ended),
}

impl Connection {
    /// Reads and writes until the connection is over or all is said.
    async fn serve<H: Handler>(&mut self, handler: &mut H) -> Ended {
        loop {
            match std::future::poll_fn(|cx| self.poll_serve(handler, cx)).await {
                Stop::Ended(ended) => return ended,
                Stop::Full => tokio::select! {
                    biased;
                    ended = std::future::poll_fn(|cx| self.poll_write(cx, Then::Park)) => return ended,
                    () = handler.ready() => {}
                },
            }
        }
    }

    fn poll_serve<H: Handler>(&mut self, handler: &mut H, cx: &mut Context<'_>) -> Poll<Stop> {
        loop {
            let read = self.poll_read(handler, cx);
            let then = if read.is_pending() { Then::Park } else { Then::Return };
            if let Poll::Ready(ended) = self.poll_write(cx, then) {
                return Poll::Ready(Stop::Ended(ended));
            }
            match ready!(read) {
                Ok(Intake::More) => {}
                Ok(Intake::Full) => return Poll::Ready(Stop::Full),
                Err(ended) => return Poll::Ready(Stop::Ended(ended)),
            }
        }
    }

    /// Hands over what one read brings; what the handler has no room for stays in `unread`.
    fn poll_read<H: Handler>(
        &mut self,
        handler: &mut H,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Intake, Ended>> {
        if !matches!(self.input, Input::Open) {
            return Poll::Pending;
        }
        if !self.unread.is_empty() {
            let mut unread = std::mem::take(&mut self.unread);
            let mut rest = unread.as_mut_slice();
            let intake = self.take(&mut rest, handler);
            self.unread = rest.to_vec();
            return Poll::Ready(Ok(intake));
        }
        READ.with_borrow_mut(|scratch| match ready!(poll_read(self.outbox.stream(), cx, scratch)) {
            Ok(0) => Poll::Ready(Err(Ended::Lost(None))),
            Ok(read) => {
                let mut rest = scratch.get_mut(..read).unwrap_or_default();
                let intake = self.take(&mut rest, handler);
                self.unread = rest.to_vec();
                Poll::Ready(Ok(intake))
            }
            Err(error) => Poll::Ready(Err(Ended::Lost(Some(error)))),
        })
    }

    /// Hands over the messages in `input`, and answers those that the protocol answers itself.
    fn take<H: Handler>(&mut self, input: &mut &mut [u8], handler: &mut H) -> Intake {
        let mut pinged = None;
        let intake = self.take_messages(input, handler, &mut pinged);
        self.answer_ping(&mut pinged);
        intake
    }

    /// Of many pings the last is answered (RFC 6455, 5.5.3); what it says is left in `pinged`.
    fn take_messages<H: Handler>(
        &mut self,
        input: &mut &mut [u8],
        handler: &mut H,
        pinged: &mut Option<Vec<u8>>,
    ) -> Intake {
        loop {
            match self.reader.next(input) {
                Ok(Some(message)) => {
                    match &message {
                        Message::Ping(payload) => *pinged = Some(payload.clone()),
                        Message::Close(code) => {
                            self.answer_ping(pinged);
                            self.answer_close(*code);
                        }
                        Message::Text(_) | Message::Binary(_) | Message::Pong(_) => {}
                    }
                    if handler.on_message(message) == Intake::Full {
                        return Intake::Full;
                    }
                }
                Ok(None) => return handler.on_pause(),
                Err(violation) => {
                    self.answer_ping(pinged);
                    self.input = Input::Broken(violation);
                    self.outbox.close_after_flush(None, violation.frame());
                }
            }
            if !matches!(self.input, Input::Open) {
                *input = &mut [];
                return handler.on_pause();
            }
        }
    }

    fn answer_ping(&self, pinged: &mut Option<Vec<u8>>) {
        if let Some(payload) = pinged.take() {
            self.outbox.push(&Frame::pong(&payload));
        }
    }

    fn answer_close(&mut self, code: Option<CloseCode>) {
        let echo = code.map_or_else(Frame::close_without_code, |code| Frame::close(code, ""));
        self.input = Input::Closed(code);
        self.outbox.close_after_flush(None, echo);
    }

    /// Writes what is queued; ready when all is sent that ever will be, or when that fails.
    fn poll_write(&mut self, cx: &mut Context<'_>, then: Then) -> Poll<Ended> {
        loop {
            let phase = self.outbox.refill(&mut self.batch, cx.waker(), then);
            if phase != Phase::Open && !matches!(self.deadline, Some(Deadline::Close(_))) {
                self.deadline = Some(Deadline::Close(Box::pin(sleep(self.limits.linger))));
            }
            if self.batch.is_empty() {
                match phase {
                    Phase::Open => {
                        self.deadline = None;
                        return Poll::Pending;
                    }
                    Phase::Overflowed => return self.poll_deadline(cx).map(|()| Ended::Stalled),
                    Phase::Closing => return Poll::Ready(self.all_is_said()),
                }
            }
            match self.batch.poll_write(self.outbox.stream(), cx) {
                Poll::Ready(Ok(())) => self.on_progress(),
                Poll::Ready(Err(error)) => return Poll::Ready(Ended::Lost(Some(error))),
                Poll::Pending => return self.poll_deadline(cx).map(|()| Ended::Stalled),
            }
        }
    }

    fn all_is_said(&self) -> Ended {
        match self.input {
            Input::Open => Ended::ByServer,
            Input::Closed(code) => Ended::ByPeer(code),
            Input::Broken(violation) => Ended::Violation(violation),
        }
    }

    fn on_progress(&mut self) {
        if let Some(Deadline::Stall(timer)) = &mut self.deadline {
            timer.as_mut().reset(Instant::now() + self.limits.write_stall);
        }
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let stall = || Deadline::Stall(Box::pin(sleep(self.limits.write_stall)));
        let (Deadline::Stall(timer) | Deadline::Close(timer)) =
            self.deadline.get_or_insert_with(stall);
        timer.as_mut().poll(cx)
    }

    /// Lets the peer close first, so that it gets what was sent before it: closing a socket that
    /// still has input resets it. What comes is discarded.
    async fn linger(&mut self) {
        std::future::poll_fn(|cx| self.poll_linger(cx)).await;
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Poll::Ready(()) = self.poll_deadline(cx) {
            return Poll::Ready(());
        }
        if SockRef::from(self.outbox.stream()).shutdown(Shutdown::Write).is_err() {
            return Poll::Ready(());
        }
        READ.with_borrow_mut(|scratch| {
            loop {
                if !matches!(ready!(poll_read(self.outbox.stream(), cx, scratch)), Ok(1..)) {
                    return Poll::Ready(());
                }
            }
        })
    }
}

/// Reads what there is. After a read that does not fill the buffer the socket is taken to be empty: it
/// is not asked again until the kernel says that more has come.
fn poll_read(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_read_ready(cx))?;
        let mut read = None;
        let result = stream.try_io(Interest::READABLE, || {
            let (count, _) = rustix::net::recv(stream, &mut *buffer, RecvFlags::empty())?;
            read = Some(count);
            if 0 < count && count < buffer.len() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(())
        });
        match (read, result) {
            (Some(read), _) => return Poll::Ready(Ok(read)),
            (None, Err(error)) if is_passing(&error) => {}
            (None, Err(error)) => return Poll::Ready(Err(error)),
            (None, Ok(())) => {}
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.outbox.abandon();
        // Others may hold the outbox for a moment. A peer that is gone needs no end.
        SockRef::from(self.outbox.stream()).shutdown(Shutdown::Both).ok();
    }
}

#[cfg(test)]
mod tests;
