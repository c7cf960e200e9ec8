//! `GET /channels/{channel}/messages/{serial}`: one message as it is now (RSL11).

use http::StatusCode;
use node::{Operation, What};
use types::Message;

use super::{
    answer::{self, Answer},
    call::Call,
};

pub(super) fn operation(channel: &str, serial: &str) -> Operation {
    Operation::ReadMessage { channel: channel.into(), serial: serial.into(), what: What::Latest }
}

pub(super) fn answer(message: &Message, call: &Call<'_>) -> Answer {
    let body = protocol::encode_message(call.message_shape(), message, call.format);
    answer::formatted(StatusCode::OK, body, call.format)
}
