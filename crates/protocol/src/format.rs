//! The two formats, and how a client asks for one.

/// How protocol messages and REST bodies are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    #[default]
    Json,
    MessagePack,
}

impl Format {
    pub const ALL: [Self; 2] = [Self::Json, Self::MessagePack];

    /// The value of the query parameter `format`.
    pub fn from_param(param: &str) -> Option<Self> {
        match param {
            "json" => Some(Self::Json),
            "msgpack" => Some(Self::MessagePack),
            _ => None,
        }
    }

    /// The exact `Content-Type` of an answer: client libraries compare it as text.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::MessagePack => "application/x-msgpack",
        }
    }

    /// The format of a request body; parameters such as `charset` do not matter.
    pub fn from_content_type(header: &str) -> Option<Self> {
        let media_type = header.split(';').next().unwrap_or_default().trim();
        Self::ALL.into_iter().find(|format| media_type.eq_ignore_ascii_case(format.content_type()))
    }

    /// The format of an answer: the known one that `Accept` weighs most (the first of equals),
    /// else what the parameter `format` says, else JSON.
    pub fn accepted(accept_header: Option<&str>, format_param: Option<&str>) -> Self {
        let mut best: Option<(f32, Self)> = None;
        for range in accept_header.unwrap_or_default().split(',') {
            let (Some(format), weight) = (Self::from_content_type(range), weight(range)) else {
                continue;
            };
            if weight > best.map_or(0.0, |(weight, _)| weight) {
                best = Some((weight, format));
            }
        }
        best.map(|(_, format)| format)
            .or_else(|| format_param.and_then(Self::from_param))
            .unwrap_or_default()
    }
}

/// The `q` of a media range; 1 if it has none that can be read.
fn weight(range: &str) -> f32 {
    range
        .split(';')
        .skip(1)
        .find_map(|param| param.trim().strip_prefix("q="))
        .and_then(|weight| weight.parse().ok())
        .unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_are_exact_out_and_tolerant_in() {
        assert_eq!(Format::Json.content_type(), "application/json");
        assert_eq!(Format::MessagePack.content_type(), "application/x-msgpack");
        for (header, format) in [
            ("application/json", Some(Format::Json)),
            ("Application/JSON; charset=utf-8", Some(Format::Json)),
            (" application/x-msgpack ;v=1", Some(Format::MessagePack)),
            ("text/html", None),
            ("", None),
        ] {
            assert_eq!(Format::from_content_type(header), format, "{header}");
        }
    }

    #[test]
    fn accept_wins_over_the_parameter_and_json_is_the_default() {
        for (accept, param, format) in [
            (None, None, Format::Json),
            (None, Some("msgpack"), Format::MessagePack),
            (None, Some("html"), Format::Json),
            (Some("application/json"), Some("msgpack"), Format::Json),
            (Some("application/x-msgpack,application/json"), None, Format::MessagePack),
            (Some("application/json;q=0.5, application/x-msgpack"), None, Format::MessagePack),
            (Some("application/x-msgpack;q=0, */*"), None, Format::Json),
            (Some("*/*"), Some("msgpack"), Format::MessagePack),
            (Some("text/html"), None, Format::Json),
        ] {
            assert_eq!(Format::accepted(accept, param), format, "{accept:?} {param:?}");
        }
    }
}
