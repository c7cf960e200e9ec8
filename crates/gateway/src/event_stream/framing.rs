//! How events are written: as server-sent events, or as a JSON object per line.

use types::ErrorInfo;

use super::position::Position;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    ServerSentEvents,
    Lines,
}

/// How often the stream shows that it lives is the node's business; how it does is the client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heartbeats {
    /// As an event of their own.
    Events,
    /// As something that parsers skip.
    Hidden,
}

/// What an event says.
#[derive(Debug)]
pub(crate) enum Payload {
    Json(String),
    /// The bare data of a message.
    Text(String),
}

impl Framing {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::ServerSentEvents => "text/event-stream",
            Self::Lines => "application/json",
        }
    }

    /// What the client presents if it comes back before the first event. Only server-sent events
    /// can say it: an id without data sets it and dispatches nothing.
    pub(crate) fn start(self, position: &Position) -> String {
        match self {
            Self::ServerSentEvents => format!("id: {position}\n\n"),
            Self::Lines => String::new(),
        }
    }

    pub(crate) fn event(self, kind: &str, position: &Position, payload: &Payload) -> String {
        match self {
            Self::ServerSentEvents => {
                let mut event = format!("id: {position}\nevent: {kind}\n");
                push_data(&mut event, payload);
                event
            }
            Self::Lines => {
                let data = payload.to_json();
                format!("{{\"id\":\"{position}\",\"event\":\"{kind}\",\"data\":{data}}}\n")
            }
        }
    }

    pub(crate) fn error(self, error: &ErrorInfo) -> String {
        let json = serde_json::json!({
            "code": error.code,
            "statusCode": error.status,
            "message": error.message,
        });
        match self {
            Self::ServerSentEvents => format!("event: error\ndata: {json}\n\n"),
            Self::Lines => format!("{{\"event\":\"error\",\"data\":{json}}}\n"),
        }
    }

    pub(crate) fn heartbeat(self, heartbeats: Heartbeats) -> &'static str {
        match (self, heartbeats) {
            (Self::ServerSentEvents, Heartbeats::Events) => "event: heartbeat\ndata:\n\n",
            (Self::ServerSentEvents, Heartbeats::Hidden) => ":keepalive\n\n",
            (Self::Lines, Heartbeats::Events) => "{\"event\":\"heartbeat\"}\n",
            (Self::Lines, Heartbeats::Hidden) => "\n",
        }
    }
}

impl Payload {
    fn to_json(&self) -> String {
        match self {
            Self::Json(json) => json.clone(),
            Self::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
        }
    }
}

/// Every line of text is a line of its own; how it ended is lost.
fn push_data(event: &mut String, payload: &Payload) {
    let (Payload::Json(text) | Payload::Text(text)) = payload;
    for line in text.replace("\r\n", "\n").split(['\n', '\r']) {
        event.push_str("data: ");
        event.push_str(line);
        event.push('\n');
    }
    event.push('\n');
}

#[cfg(test)]
mod tests {
    use types::error::TOKEN_EXPIRED;

    use super::*;

    fn position() -> Position {
        Position::parse("abc~1").unwrap()
    }

    #[test]
    fn server_sent_events_have_an_id_a_kind_and_a_data_line_for_each_line_of_text() {
        let framing = Framing::ServerSentEvents;
        let payload = Payload::Text("one\r\ntwo\rthree\n".into());
        assert_eq!(
            framing.event("message", &position(), &payload),
            "id: abc~1\nevent: message\ndata: one\ndata: two\ndata: three\ndata: \n\n"
        );
        assert_eq!(framing.start(&position()), "id: abc~1\n\n");
    }

    #[test]
    fn lines_are_json_objects() {
        let framing = Framing::Lines;
        let event = framing.event("message", &position(), &Payload::Text("a\n\"b\"".into()));
        let event: serde_json::Value = serde_json::from_str(event.trim_end()).unwrap();
        let expected = serde_json::json!({ "id": "abc~1", "event": "message", "data": "a\n\"b\"" });
        assert_eq!(event, expected);
        assert_eq!(framing.start(&position()), "");
    }

    #[test]
    fn errors_have_no_id() {
        let expected = "{\"code\":40142,\"message\":\"token expired\",\"statusCode\":401}";
        assert_eq!(
            Framing::ServerSentEvents.error(&TOKEN_EXPIRED.info()),
            format!("event: error\ndata: {expected}\n\n")
        );
        assert_eq!(
            Framing::Lines.error(&TOKEN_EXPIRED.info()),
            format!("{{\"event\":\"error\",\"data\":{expected}}}\n")
        );
    }
}
