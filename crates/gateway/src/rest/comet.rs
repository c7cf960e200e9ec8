//! `GET /comet/connect` and `/comet/{connectionKey}/…`: the requests of a comet connection.

use bytes::Bytes;
use node::Way;
use protocol::{Action, Format, ProtocolMessage};
use types::{ErrorInfo, error::INVALID_PARAM};

use super::{
    answer::{self, Answer},
    call::Call,
};
use crate::{
    body::Body,
    comet::{self, Comet, Delivery, Receiver},
    server::Server,
};

/// What a path below `/comet` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request<'a> {
    Connect,
    Send { key: &'a str },
    Receive { key: &'a str },
    Close { key: &'a str },
    Disconnect { key: &'a str },
}

pub(super) async fn answer(
    server: &Server,
    call: &Call<'_>,
    request: Request<'_>,
    body: impl Future<Output = Result<Bytes, ErrorInfo>>,
) -> Result<Answer, ErrorInfo> {
    let find = |key| server.hub.comets().find(key);
    match request {
        Request::Connect => connect(server, call),
        Request::Send { key } => send(server, call, &*find(key)?, &body.await?).await,
        Request::Receive { key } => receive(call, &*find(key)?).await,
        Request::Close { key } => {
            let comet = find(key)?;
            comet.closing();
            say(server, &comet, Action::Close).await
        }
        Request::Disconnect { key } => say(server, &*find(key)?, Action::Disconnect).await,
    }
}

/// Opens a connection; the answer goes on as its first receiver.
fn connect(server: &Server, call: &Call<'_>) -> Result<Answer, ErrorInfo> {
    let format = match call.param("format") {
        None => Format::default(),
        Some(name) => {
            Format::from_param(name).ok_or_else(|| INVALID_PARAM.with("unknown format"))?
        }
    };
    let delivery = delivery(call)?.unwrap_or(Delivery::Poll);
    let (sender, body) = Body::live();
    let receiver = Receiver { delivery, body: sender };
    let origin = call.origin(Way::Transport("comet"));
    comet::open(&server.hub, format, call.connect_query()?, origin, receiver);
    Ok(answer::live(format.content_type(), body))
}

async fn receive(call: &Call<'_>, comet: &Comet) -> Result<Answer, ErrorInfo> {
    let delivery = delivery(call)?.unwrap_or(comet.delivery);
    let (sender, body) = Body::live();
    comet.receive(Receiver { delivery, body: sender }).await?;
    Ok(answer::live(comet.format.content_type(), body))
}

async fn send(
    server: &Server,
    call: &Call<'_>,
    comet: &Comet,
    body: &[u8],
) -> Result<Answer, ErrorInfo> {
    comet.send(&server.hub, protocol::decode_all(call.body_format()?, body)).await?;
    Ok(nothing(comet))
}

/// Says what needs no more than its name.
async fn say(server: &Server, comet: &Comet, action: Action) -> Result<Answer, ErrorInfo> {
    comet.send(&server.hub, Ok(vec![ProtocolMessage::new(action)])).await?;
    Ok(nothing(comet))
}

/// What the node has to say to it goes to the receiver.
fn nothing(comet: &Comet) -> Answer {
    let list = protocol::join(&[], comet.format).into();
    answer::formatted(http::StatusCode::OK, list, comet.format)
}

fn delivery(call: &Call<'_>) -> Result<Option<Delivery>, ErrorInfo> {
    let stream = call.parsed::<bool>("stream")?;
    Ok(stream.map(|stream| if stream { Delivery::Stream } else { Delivery::Poll }))
}
