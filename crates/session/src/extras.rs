//! The extras of messages: which fields there are, and what they may hold. What servers put there is
//! dropped when a client sends it back.

use std::sync::Arc;

use auth::{Operation, Principal};
use push::Payload;
use serde_json::Value;
use types::error::{self, ErrorInfo};
use types::{ChannelName, Extras, Message, USER_CLAIM};

/// What clients may say.
const KNOWN: &[&str] = &["push", "headers", "ref", "ephemeral", "privileged", "ai", "echo"];
/// What only servers say.
const SERVERS: &[&str] = &["delta", "timeserial", USER_CLAIM];

/// Checks the extras of the messages of one publish (40032).
pub(crate) fn check(messages: &mut [Message]) -> Result<(), ErrorInfo> {
    if messages.iter().all(|message| message.extras.is_none()) {
        return Ok(());
    }
    for message in messages.iter_mut() {
        message.extras = message.extras.take().map(checked).transpose()?;
    }
    let ephemeral = messages.iter().filter(|message| message.is_ephemeral()).count();
    if ephemeral != 0 && ephemeral != messages.len() {
        return Err(invalid("messages of one publish are ephemeral together or not at all"));
    }
    Ok(())
}

pub(crate) fn checked(mut extras: Extras) -> Result<Extras, ErrorInfo> {
    if SERVERS.iter().any(|field| extras.contains_key(*field)) {
        let said = Arc::make_mut(&mut extras);
        SERVERS.iter().for_each(|field| drop(said.remove(*field)));
    }
    if let Some(field) = extras.keys().find(|field| !KNOWN.contains(&field.as_str())) {
        let shown: String = field.chars().take(64).collect();
        return Err(error::INVALID_EXTRAS.with(format!("extras have no field '{shown}'")));
    }
    let is_nested = |value: &Value| value.is_object() || value.is_array();
    if let Some(push) = extras.get("push") {
        Payload::parse(push).map_err(invalid)?;
    }
    if let Some(headers) = extras.get("headers") {
        let headers = headers.as_object().ok_or_else(|| invalid("headers must be an object"))?;
        if headers.values().any(is_nested) {
            return Err(invalid("headers hold texts, numbers, booleans and null"));
        }
    }
    if let Some(privileged) = extras.get("privileged") {
        let said = privileged.as_object().ok_or_else(|| invalid("privileged must be an object"))?;
        if said.get("skipRule").is_some_and(|skipped| !is_skip_rule(skipped)) {
            return Err(invalid("skipRule is `*`, the id of a rule, or a list of ids"));
        }
    }
    if extras.get("ephemeral").is_some_and(|value| !value.is_boolean()) {
        return Err(invalid("ephemeral is true or false"));
    }
    Ok(extras)
}

/// Whether `principal` may say what is privileged in the extras that are published on `channel`
/// (40160).
pub fn check_privileged<'a>(
    principal: &Principal,
    channel: &ChannelName,
    extras: impl IntoIterator<Item = &'a Option<Extras>>,
) -> Result<(), ErrorInfo> {
    let privileged = extras.into_iter().flatten().any(|extras| extras.contains_key("privileged"));
    if privileged && !principal.capability.permits(channel.as_str(), Operation::PrivilegedHeaders) {
        return Err(error::CAPABILITY_MISSING.with("privileged extras need privileged-headers"));
    }
    Ok(())
}

/// The rules that are not to act upon a message: all, one, or several.
fn is_skip_rule(value: &Value) -> bool {
    match value {
        Value::String(_) => true,
        Value::Array(ids) => ids.iter().all(Value::is_string),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

fn invalid(reason: &'static str) -> ErrorInfo {
    error::INVALID_EXTRAS.with(reason)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn extras(value: &Value) -> Extras {
        Arc::new(value.as_object().unwrap().clone())
    }

    #[test]
    fn known_fields_pass_and_what_servers_say_is_dropped() {
        let said = json!({"headers": {"a": 1, "b": null}, "ref": {"type": "x"}, "delta": {}});
        let kept = json!({"headers": {"a": 1, "b": null}, "ref": {"type": "x"}});
        assert_eq!(checked(extras(&said)).unwrap(), extras(&kept));
    }

    #[test]
    fn unknown_fields_and_nested_headers_are_refused_with_40032() {
        for refused in [
            json!({"custom": 1}),
            json!({"headers": []}),
            json!({"headers": {"a": {}}}),
            json!({"ephemeral": "yes"}),
            json!({"privileged": "yes"}),
            json!({"privileged": {"skipRule": [1]}}),
            json!({"push": {"title": "x"}}),
        ] {
            assert_eq!(checked(extras(&refused)).unwrap_err().code, 40032, "{refused}");
        }
    }

    #[test]
    fn ephemeral_and_kept_messages_do_not_mix() {
        let ephemeral =
            Message { extras: Some(extras(&json!({"ephemeral": true}))), ..Message::default() };
        assert!(check(&mut [ephemeral.clone(), ephemeral.clone()]).is_ok());
        assert_eq!(check(&mut [ephemeral, Message::default()]).unwrap_err().code, 40032);
    }
}
