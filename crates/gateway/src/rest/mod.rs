//! REST: from a request to an operation of the node, and from its response to an answer.
//!
//! An endpoint is a module that knows the shapes of its bodies and parameters. Here is what they
//! share: routes, formats, versions, credentials, the limit of bodies. Whether a request is
//! permitted, or makes sense, is the node's question.
//!
//! Invariants: every answer, errors included, is in the format that the request asks for and can
//! be read by scripts of any origin; a body is read only where one is expected, and never beyond
//! the limit.

mod route;

mod call;

mod answer;

mod cors;

mod form;

mod wrapping;

mod selection;

mod page;

mod publish;

mod batch;

mod channels;

mod history;

mod message;

mod change;

mod versions;

mod annotations;

mod client_summary;

mod presence;

mod objects;

mod token;

mod revoke;

mod push;

mod push_answer;

mod stats;

mod sandbox;

mod time;

mod health;

mod chat;

mod comet;

mod event_stream;

use std::net::IpAddr;

use http::{Method, Request, StatusCode, request::Parts};
use hyper::body::Incoming;
use node::{Operation, Response};
use protocol::Format;
use types::{ErrorInfo, Kind, error::NOT_FOUND};

use crate::{server::Server, source};

pub(crate) use self::{answer::Answer, call::text};
use self::{
    call::Call,
    route::{Endpoint, Local, NoRoute, Route},
    selection::Selection,
    wrapping::Wrapping,
};

/// What a person sees who opens the address in a browser.
const ABOUT: &str = "This is Dunlin, a realtime messaging server. \
    Clients connect to this address with a client library.\n";

/// Answers a request that does not become a WebSocket.
pub(crate) async fn answer(server: &Server, address: IpAddr, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let answered = match protocol::parse_query(head.uri.query().unwrap_or_default()) {
        Ok(query) => answer_wrapped(server, address, &head, query, body).await,
        Err(error) => answer::error(&error, call::answer_format(&head, &[])),
    };
    finish(server, &head, answered)
}

/// The answer in the form that the request asks for.
async fn answer_wrapped(
    server: &Server,
    address: IpAddr,
    head: &Parts,
    query: Vec<(String, String)>,
    body: Incoming,
) -> Answer {
    let wrapping = Wrapping::asked(head, &query);
    let format = match &wrapping {
        Ok(Some(_)) => Format::Json,
        Ok(None) | Err(_) => call::answer_format(head, &query),
    };
    let refused = |error: ErrorInfo| answer::error(&error, call::error_format(head, format));
    let (wrapping, selection) = match (wrapping, Selection::asked(&query)) {
        (Ok(wrapping), Ok(selection)) => (wrapping, selection),
        (Err(error), _) | (_, Err(error)) => return refused(error),
    };
    let source = source::of(address, &head.headers, &server.settings.trusted_proxies);
    let whole = if selection.is_some() { Format::Json } else { format };
    let call = Call { head, query, source, format: whole };
    let answered = match (respond(server, &call, body).await, selection) {
        (Ok(answer), Some(selection)) => selection.of(answer, format).await,
        (answered, _) => answered,
    };
    let answered = answered.unwrap_or_else(refused);
    match wrapping {
        Some(wrapping) => wrapping.wrap(answered).await,
        None => answered,
    }
}

/// The answer to a request that is not even looked at.
pub(crate) fn refusal(server: &Server, head: &Parts, error: &ErrorInfo) -> Answer {
    finish(server, head, answer::error(error, call::answer_format(head, &[])))
}

fn finish(server: &Server, head: &Parts, mut answer: Answer) -> Answer {
    answer.headers_mut().insert(answer::SERVER_ID, server.settings.server_id.clone());
    cors::expose(&head.headers, answer.headers_mut());
    answer
}

async fn respond(server: &Server, call: &Call<'_>, body: Incoming) -> Result<Answer, ErrorInfo> {
    if call.head.method == Method::OPTIONS {
        return Ok(cors::preflight(&call.head.headers));
    }
    let segments = call.segments()?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match Route::parse(&call.head.method, &segments, server.settings.sandbox) {
        Ok(Route::Local(local)) => answer_locally(server, call, local),
        Ok(Route::Node(endpoint)) => {
            call.check_version()?;
            let operation = operation(server, call, endpoint, body).await?;
            render(server, call, server.hub.request(call.request(operation)?).await?)
        }
        Ok(Route::Chat(request)) => {
            call.check_version()?;
            chat::answer(server, call, request, call::read(body, server.max_body())).await
        }
        Ok(Route::Comet(request)) => {
            comet::answer(server, call, request, call::read(body, server.max_body())).await
        }
        Ok(Route::EventStream(framing)) => event_stream::answer(server, call, framing).await,
        Err(NoRoute::NotFound) => Err(NOT_FOUND.with("no such path")),
        Err(NoRoute::Method(allow)) => Ok(answer::method_not_allowed(allow, call.format)),
    }
}

fn answer_locally(server: &Server, call: &Call<'_>, local: Local) -> Result<Answer, ErrorInfo> {
    match local {
        Local::About => Ok(answer::text("text/plain; charset=utf-8", ABOUT)),
        Local::Live => Ok(health::live(server)),
        Local::Ready => Ok(health::ready(server)),
        Local::Health => health::report(server, call),
        Local::Metrics => Ok(health::metrics(server)),
        Local::Time => call.check_version().and_then(|()| time::answer(server, call)),
    }
}

async fn operation(
    server: &Server,
    call: &Call<'_>,
    endpoint: Endpoint<'_>,
    body: Incoming,
) -> Result<Operation, ErrorInfo> {
    let max_body = match endpoint {
        Endpoint::BatchPublish => batch::MAX_BODY.max(server.max_body()),
        Endpoint::Push(push::Endpoint::BatchPublish) => push::MAX_BATCH_BODY.max(server.max_body()),
        _ => server.max_body(),
    };
    let body = async { Ok(form::readable(call, call::read(body, max_body).await?)) };
    match endpoint {
        Endpoint::Publish { channel } => publish::operation(channel, call, &body.await?),
        Endpoint::BatchPublish => batch::publish(call, &body.await?),
        Endpoint::ChannelDetails { channel } => Ok(channels::details(channel)),
        Endpoint::Channels => channels::list(call),
        Endpoint::Message { channel, serial } => Ok(message::operation(channel, serial)),
        Endpoint::Change { channel, serial } => {
            change::operation(channel, serial, call, &body.await?)
        }
        Endpoint::Delete { channel, serial } => change::delete(channel, serial, call, &body.await?),
        Endpoint::Versions { channel, serial } => versions::operation(channel, serial, call),
        Endpoint::Annotations { channel, serial } => annotations::list(channel, serial, call),
        Endpoint::Annotate { channel, serial } => {
            annotations::publish(channel, serial, call, &body.await?)
        }
        Endpoint::ClientSummary { channel, serial } => {
            Ok(client_summary::operation(channel, serial, call))
        }
        Endpoint::History { channel } => history::operation(channel, Kind::Messages, call),
        Endpoint::Presence { channel } => presence::operation(channel, call),
        Endpoint::BatchPresence => batch::presence(call),
        Endpoint::PresenceHistory { channel } => history::operation(channel, Kind::Presence, call),
        Endpoint::PublishObjects { channel } => objects::publish(channel, call, &body.await?),
        Endpoint::ReadObject { channel, object_id } => objects::read(channel, object_id, call),
        Endpoint::RequestToken { key_name } => token::operation(key_name, call, &body.await?),
        Endpoint::RevokeTokens { key_name } => revoke::operation(key_name, call, &body.await?),
        Endpoint::Push(endpoint) => push::operation(endpoint, call, &body.await?),
        Endpoint::CreateApp => sandbox::create(call, &body.await?),
        Endpoint::DeleteApp { id } => Ok(Operation::DeleteApp(id.into())),
        Endpoint::Stats => stats::operation(call),
        Endpoint::PostStats => stats::fixtures(call, &body.await?),
    }
}

fn render(server: &Server, call: &Call<'_>, response: Response) -> Result<Answer, ErrorInfo> {
    match response {
        Response::Error(error) => Err(error),
        Response::Published { channel, message_id, accepted } => {
            publish::answer(&channel, &message_id, &accepted, call)
        }
        Response::Batch(results) => Ok(batch::answer(&results, call)),
        Response::Batches(batches) => Ok(batch::answers(&batches, call)),
        Response::ChannelDetails(details) => channels::details_answer(&details, call),
        Response::Channels(page) => channels::list_answer(&page, call),
        Response::Changed { version_serial } => change::answer(version_serial.as_deref(), call),
        Response::Message(message) => Ok(message::answer(&message, call)),
        Response::Versions(page) => Ok(versions::answer(&page, call)),
        Response::Summary(summary) => client_summary::answer(&summary, call),
        Response::History(page) => Ok(history::answer(&page, call)),
        Response::Presence(page) => Ok(presence::answer(&page, call)),
        Response::ObjectsPublished { channel, message_id, object_ids } => {
            objects::published(&channel, &message_id, &object_ids, call)
        }
        Response::Object(tree) => Ok(objects::object(&tree, call)),
        Response::Stats { app, page } => stats::answer(&app, &page, call),
        Response::Token(details) => token::answer(&details, call),
        Response::Push(response) => push_answer::answer(response, call),
        Response::AppCreated(app) => sandbox::answer(&app, call, server),
        Response::Created => sandbox::created(call),
        Response::NoContent => Ok(answer::empty(StatusCode::NO_CONTENT)),
    }
}

#[cfg(test)]
mod tests;
