//! What a client asks for when it connects: the query parameters of the connect URL (RTN2).
//! Unknown parameters are ignored.

use std::time::Duration;

use auth::Security;
use types::error::{self, ErrorInfo};

/// Protocol versions that this server speaks.
const VERSIONS: std::ops::RangeInclusive<u32> = 2..=6;
const HEARTBEAT_INTERVAL_MS: std::ops::RangeInclusive<u64> = 5_000..=1_800_000;
const REMAIN_PRESENT_FOR_MS: std::ops::RangeInclusive<u64> = 0..=120_000;
const APPEND_ROLLUP_MS: std::ops::RangeInclusive<u64> = 0..=500;
/// How long appends to one message are gathered unless their publisher says otherwise.
pub const DEFAULT_APPEND_ROLLUP: Duration = Duration::from_millis(40);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heartbeats {
    /// HEARTBEAT protocol messages (RTN23a).
    Messages,
    /// Pings of the transport (RTN23b).
    TransportPings,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Echo {
    /// A connection receives its own messages.
    On,
    Off,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    pub version: u32,
    pub echo: Echo,
    pub heartbeats: Heartbeats,
    /// The connection key of `resume` or, failing that, of `recover`.
    pub resume: Option<String>,
    pub client_id: Option<String>,
    /// What the client says that it is (`clientType`).
    pub client_type: Option<String>,
    /// Overrides the server's idle interval.
    pub heartbeat_interval: Option<Duration>,
    /// Overrides how long members stay present after a drop.
    pub remain_present_for: Option<Duration>,
    /// How long appends to one message are gathered (`appendRollupWindow`); zero means not at all.
    pub append_rollup: Duration,
    /// Not in the query: whoever took the connection knows it.
    pub security: Security,
}

impl Params {
    /// Reads the pairs of a query string, decoded.
    pub fn parse(query: &[(String, String)]) -> Result<Self, ErrorInfo> {
        let get =
            |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        Ok(Self {
            version: parse_version(get("v"))?,
            echo: if get("echo") == Some("false") { Echo::Off } else { Echo::On },
            heartbeats: match get("heartbeats") {
                Some("true") => Heartbeats::Messages,
                Some(_) | None => Heartbeats::TransportPings,
            },
            resume: get("resume").or_else(|| get("recover")).map(str::to_owned),
            client_id: get("clientId").map(str::to_owned),
            client_type: get("clientType").map(str::to_owned),
            heartbeat_interval: millis(
                "heartbeatInterval",
                get("heartbeatInterval"),
                &HEARTBEAT_INTERVAL_MS,
            )?,
            remain_present_for: millis(
                "remainPresentFor",
                get("remainPresentFor"),
                &REMAIN_PRESENT_FOR_MS,
            )?,
            append_rollup: millis(
                "appendRollupWindow",
                get("appendRollupWindow"),
                &APPEND_ROLLUP_MS,
            )?
            .unwrap_or(DEFAULT_APPEND_ROLLUP),
            security: Security::Plain,
        })
    }
}

/// The protocol version of a request (`v` or `X-Ably-Version`), if this server speaks it.
pub fn parse_version(text: Option<&str>) -> Result<u32, ErrorInfo> {
    let text = text.ok_or_else(|| error::UNSUPPORTED_VERSION.with("protocol version missing"))?;
    let unsupported =
        || error::UNSUPPORTED_VERSION.with(format!("protocol version '{text}' not supported"));
    match text.parse::<u32>() {
        Ok(version) if VERSIONS.contains(&version) => Ok(version),
        Ok(version) if version < *VERSIONS.start() => Err(error::VERSION_RETIRED.info()),
        Ok(_) => Err(unsupported()),
        // Versions were decimal before 2.
        Err(_) if text.starts_with(['0', '1']) && text.contains('.') => {
            Err(error::VERSION_RETIRED.info())
        }
        Err(_) => Err(unsupported()),
    }
}

fn millis(
    name: &str,
    value: Option<&str>,
    range: &std::ops::RangeInclusive<u64>,
) -> Result<Option<Duration>, ErrorInfo> {
    let Some(text) = value else { return Ok(None) };
    match text.parse::<u64>() {
        Ok(ms) if range.contains(&ms) => Ok(Some(Duration::from_millis(ms))),
        Ok(_) | Err(_) => Err(error::INVALID_PARAM.with(format!(
            "{name} must be {} to {} milliseconds",
            range.start(),
            range.end()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Params, ErrorInfo> {
        let query: Vec<_> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Params::parse(&query)
    }

    #[test]
    fn versions_2_to_6_are_spoken_and_others_refused_by_code() {
        for version in ["2", "6"] {
            assert!(parse(&[("v", version)]).is_ok());
        }
        for (version, code) in
            [("1.2", 80024), ("0.8", 80024), ("1", 80024), ("7", 40017), ("x", 40017)]
        {
            assert_eq!(parse(&[("v", version)]).unwrap_err().code, code, "{version}");
        }
        assert_eq!(parse(&[]).unwrap_err().code, 40017);
    }

    #[test]
    fn timings_out_of_range_are_refused() {
        assert_eq!(parse(&[("v", "3"), ("heartbeatInterval", "10")]).unwrap_err().code, 40003);
        assert_eq!(parse(&[("v", "3"), ("appendRollupWindow", "501")]).unwrap_err().code, 40003);
        let params = parse(&[("v", "3"), ("remainPresentFor", "1000")]).unwrap();
        assert_eq!(params.remain_present_for, Some(Duration::from_secs(1)));
    }
}
