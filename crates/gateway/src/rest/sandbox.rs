//! `POST /apps`, as the test suites of client libraries use it: an app of one's own, told where its
//! server is.

use http::{StatusCode, header, uri::Authority};
use node::Operation;
use serde_json::{Value, json};
use types::{App, ErrorInfo, Key, Timestamp};

use super::{
    answer::{self, Answer},
    call::Call,
};
use crate::server::Server;

/// The port of a `Host` header that names none.
const HTTP_PORT: u16 = 80;

pub(super) fn create(call: &Call<'_>, body: &[u8]) -> Result<Operation, ErrorInfo> {
    Ok(Operation::CreateApp(protocol::decode_value(call.body_format()?, body)?))
}

/// Done, and nothing to say about it.
pub(super) fn created(call: &Call<'_>) -> Result<Answer, ErrorInfo> {
    let nothing: [(); 0] = [];
    let body = protocol::encode_value(&nothing, call.format)?;
    Ok(answer::formatted(StatusCode::CREATED, body, call.format))
}

/// The app, and where its clients are to connect: to the address that the request went to, or, if
/// it does not say, to where the server listens.
pub(super) fn answer(app: &App, call: &Call<'_>, server: &Server) -> Result<Answer, ErrorInfo> {
    let (now, listening) = ((server.settings.now)(), server.address);
    let (endpoint, port) = host(call)
        .map(|host| (host.host().to_owned(), host.port_u16().unwrap_or(HTTP_PORT)))
        .unwrap_or_else(|| (listening.ip().to_string(), listening.port()));
    let keys: Vec<Value> = app.keys.iter().map(|key| describe(app, key, now)).collect();
    let body = json!({
        "id": format!("{}:{}", app.account_id, app.id),
        "appId": app.id,
        "accountId": app.account_id,
        "status": 1,
        "created": now,
        "modified": now,
        "tlsOnly": false,
        "labels": "autodelete",
        "keys": keys,
        "namespaces": app.namespaces,
        "connections": [],
        "channels": [],
        "endpoint": endpoint,
        "port": port,
        "tls": false,
    });
    let body = protocol::encode_value(&body, call.format)?;
    Ok(answer::formatted(StatusCode::CREATED, body, call.format))
}

fn host(call: &Call<'_>) -> Option<Authority> {
    call.head.headers.get(header::HOST)?.to_str().ok()?.parse().ok()
}

/// A key under all the names that test suites know its parts by.
fn describe(app: &App, key: &Key, now: Timestamp) -> Value {
    let name = format!("{}.{}", app.id, key.id);
    let text = format!("{name}:{}", key.secret);
    json!({
        "id": key.id,
        "value": key.secret,
        "keyName": name,
        "keySecret": key.secret,
        "keyStr": text,
        "key_str": text,
        "capability": key.capability,
        "revocableTokens": key.revocable_tokens,
        "scopeId": app.id,
        "status": 1,
        "type": 0,
        "created": now,
        "modified": now,
        "expires": 0,
        "privileged": false,
    })
}
