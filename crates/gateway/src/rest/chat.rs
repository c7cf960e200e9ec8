//! `/chat/v4/rooms/{room}/…`: chat rooms. A room is a channel, its messages are messages with a
//! certain payload, reactions are annotations: requests become operations on the channel, and what
//! comes back is shown as chat knows it. Nothing here knows more than the two vocabularies.

mod message;
mod reaction;

use bytes::Bytes;
use http::{Method, StatusCode};
use node::{ChannelDetails, Operation, Response};
use serde::Serialize;
use serde_json::json;
use types::{
    ChannelName, Direction, ErrorInfo, Kind,
    error::{INTERNAL, INVALID_PARAM},
};

use super::{
    answer::{self, Answer},
    call::Call,
    client_summary, history, page,
    route::NoRoute,
    versions,
};
use crate::server::Server;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request<'a> {
    room: &'a str,
    what: What<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What<'a> {
    Send,
    List,
    Message { serial: &'a str },
    Update { serial: &'a str },
    Delete { serial: &'a str },
    Versions { serial: &'a str },
    React { serial: &'a str },
    Unreact { serial: &'a str },
    ClientReactions { serial: &'a str },
    Occupancy,
}

impl<'a> Request<'a> {
    /// `path` is what follows the room.
    pub(super) fn parse(method: &Method, room: &'a str, path: &[&'a str]) -> Result<Self, NoRoute> {
        let (methods, allow): (&[(Method, What<'a>)], _) = match *path {
            ["messages"] => (&[(Method::GET, What::List), (Method::POST, What::Send)], "GET, POST"),
            ["messages", serial] => (
                &[(Method::GET, What::Message { serial }), (Method::PUT, What::Update { serial })],
                "GET, PUT",
            ),
            ["messages", serial, "delete"] => (&[(Method::POST, What::Delete { serial })], "POST"),
            ["messages", serial, "versions"] => {
                (&[(Method::GET, What::Versions { serial })], "GET")
            }
            ["messages", serial, "reactions"] => (
                &[
                    (Method::POST, What::React { serial }),
                    (Method::DELETE, What::Unreact { serial }),
                ],
                "POST, DELETE",
            ),
            ["messages", serial, "client-reactions"] => {
                (&[(Method::GET, What::ClientReactions { serial })], "GET")
            }
            ["occupancy"] => (&[(Method::GET, What::Occupancy)], "GET"),
            _ => return Err(NoRoute::NotFound),
        };
        let found = methods.iter().find(|(known, _)| known == method);
        found.map(|(_, what)| Self { room, what: *what }).ok_or(NoRoute::Method(allow))
    }
}

pub(super) async fn answer(
    server: &Server,
    call: &Call<'_>,
    request: Request<'_>,
    body: impl Future<Output = Result<Bytes, ErrorInfo>>,
) -> Result<Answer, ErrorInfo> {
    let operation = operation(call, request, body).await?;
    let response = server.hub.request(call.request(operation)?).await?;
    render(call, request.what, response)
}

async fn operation(
    call: &Call<'_>,
    Request { room, what }: Request<'_>,
    body: impl Future<Output = Result<Bytes, ErrorInfo>>,
) -> Result<Operation, ErrorInfo> {
    let channel = ChannelName::of_chat_room(room);
    let say = |message| Operation::Chat { room: room.into(), message };
    match what {
        What::Send => message::new(call, &body.await?).map(say),
        What::Update { serial } => message::update(serial, call, &body.await?).map(say),
        What::Delete { serial } => message::delete(serial, call, &body.await?).map(say),
        What::List => list(&channel, call),
        What::Message { serial } => Ok(super::message::operation(&channel, serial)),
        What::Versions { serial } => versions::operation(&channel, serial, call),
        What::React { serial } => reaction::add(channel, serial, call, &body.await?),
        What::Unreact { serial } => reaction::remove(channel, serial, call),
        What::ClientReactions { serial } => Ok(client_summary::operation(&channel, serial, call)),
        What::Occupancy => Ok(Operation::ChannelDetails { channel }),
    }
}

/// Messages in the order that `orderBy` or `direction` asks for.
fn list(channel: &str, call: &Call<'_>) -> Result<Operation, ErrorInfo> {
    let mut operation = history::operation(channel, Kind::Messages, call)?;
    if let Operation::History { query, .. } = &mut operation {
        match call.param("orderBy") {
            None => {}
            Some("newestFirst") => query.direction = Direction::Backwards,
            Some("oldestFirst") => query.direction = Direction::Forwards,
            Some(_) => return Err(INVALID_PARAM.with("orderBy is newestFirst or oldestFirst")),
        }
    }
    Ok(operation)
}

fn render(call: &Call<'_>, what: What<'_>, response: Response) -> Result<Answer, ErrorInfo> {
    let status = match what {
        What::Send | What::React { .. } => StatusCode::CREATED,
        _ => StatusCode::OK,
    };
    match response {
        Response::Error(error) => Err(error),
        Response::Message(message) => write(&message::show(&message), status, call),
        Response::History(found) => {
            let entries = found.items.iter();
            let messages = entries.filter_map(|(entry, index)| entry.message(*index));
            let shown: Vec<_> = messages.map(|message| message::show(&message)).collect();
            let mut answer = write(&shown, status, call)?;
            page::link(&mut answer, call, found.next.map(|next| next.to_string()).as_deref());
            Ok(answer)
        }
        Response::Versions(found) => {
            let shown: Vec<_> = found.versions.iter().map(message::show).collect();
            let mut answer = write(&shown, status, call)?;
            page::link(&mut answer, call, found.next.as_deref());
            Ok(answer)
        }
        Response::Summary(summary) => write(&reaction::show(Some(&summary)), status, call),
        Response::Published { accepted, .. } => {
            let first = accepted.serials().next().flatten();
            write(&json!({ "serial": first.map(|serial| serial.to_string()) }), status, call)
        }
        Response::ChannelDetails(details) => write(&occupancy(&details), status, call),
        _ => Err(INTERNAL.info()),
    }
}

fn occupancy(details: &ChannelDetails) -> impl Serialize {
    json!({
        "connections": details.occupancy.connections,
        "presenceMembers": details.occupancy.presence_members,
    })
}

fn write(body: &impl Serialize, status: StatusCode, call: &Call<'_>) -> Result<Answer, ErrorInfo> {
    Ok(answer::formatted(status, protocol::encode_value(body, call.format)?, call.format))
}

#[cfg(test)]
mod tests;
