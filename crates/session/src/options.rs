//! The options of an attachment: which params are understood, which modes are asked for and granted,
//! and where a rewind starts.

use auth::{Capability, Operation};
use channel::{MAX_REWIND, Occupancy, Rewind};
use protocol::flags;
use types::Params;
use types::error::{self, ErrorInfo};

use crate::Inband;

/// Modes with the names that `modes` params use, and the operations that allow them.
const MODES: &[(&str, u32, &[Operation])] = &[
    ("presence", flags::PRESENCE, &[Operation::Presence]),
    ("publish", flags::PUBLISH, &[Operation::Publish]),
    ("subscribe", flags::SUBSCRIBE, &[Operation::Subscribe]),
    ("presence_subscribe", flags::PRESENCE_SUBSCRIBE, &[Operation::Subscribe, Operation::Presence]),
    ("annotation_publish", flags::ANNOTATION_PUBLISH, &[Operation::AnnotationPublish]),
    ("annotation_subscribe", flags::ANNOTATION_SUBSCRIBE, &[Operation::AnnotationSubscribe]),
    (
        "object_subscribe",
        flags::OBJECT_SUBSCRIBE,
        &[Operation::ObjectSubscribe, Operation::Subscribe],
    ),
    ("object_publish", flags::OBJECT_PUBLISH, &[Operation::ObjectPublish]),
];
const DEFAULT_MODES: u32 = flags::PRESENCE
    | flags::PUBLISH
    | flags::SUBSCRIBE
    | flags::PRESENCE_SUBSCRIBE
    | flags::ANNOTATION_PUBLISH;
const MODE_BITS: u32 =
    DEFAULT_MODES | flags::ANNOTATION_SUBSCRIBE | flags::OBJECT_SUBSCRIBE | flags::OBJECT_PUBLISH;
/// Longest list of modes that is read, in bytes: all of them, with room for spaces.
const MAX_MODES_TEXT: usize = 256;

/// What an attachment wants to know about the occupancy of its channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OccupancyOf {
    AllCategories,
    Category(&'static str),
}

impl OccupancyOf {
    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("metrics.") {
            None => (text == "metrics").then_some(Self::AllCategories),
            Some(name) => {
                let mut categories = Occupancy::default().categories().into_iter();
                categories.find(|(known, _)| *known == name).map(|(known, _)| Self::Category(known))
            }
        }
    }

    pub(crate) fn includes(self, category: &str) -> bool {
        match self {
            Self::AllCategories => true,
            Self::Category(name) => name == category,
        }
    }
}

/// What `params` ask for, if the client may know it and receives messages at all.
pub(crate) fn occupancy(
    params: &Params,
    capability: &Capability,
    channel: &str,
    modes: u32,
) -> Option<OccupancyOf> {
    let permitted = capability.permits(channel, Operation::ChannelMetadata);
    let wanted = params.get("occupancy").filter(|_| permitted && modes & flags::SUBSCRIBE != 0)?;
    OccupancyOf::parse(wanted)
}

/// How `params` ask for objects, under the same conditions.
pub(crate) fn inband(
    params: &Params,
    capability: &Capability,
    channel: &str,
    modes: u32,
) -> Option<Inband> {
    let permitted = capability.permits(channel, Operation::ChannelMetadata);
    let wanted = params.get("objects").filter(|_| permitted && modes & flags::SUBSCRIBE != 0)?;
    Inband::parse(wanted)
}

/// The params that this server understands; the rest is dropped, not refused.
pub(crate) fn understood(params: Params) -> Params {
    params
        .into_iter()
        .filter(|(name, value)| match name.as_str() {
            "modes" => {
                value.len() <= MAX_MODES_TEXT
                    && value.split(',').any(|mode| mode_bit(mode).is_some())
            }
            "echo" => matches!(value.as_str(), "true" | "false"),
            "appendMode" => value == "full",
            "delta" => value == "vcdiff",
            "rewind" => parse_rewind(value, MAX_REWIND).is_some(),
            "occupancy" => OccupancyOf::parse(value).is_some(),
            "objects" => Inband::parse(value).is_some(),
            "rewindLimit" => value.parse::<u32>().is_ok(),
            _ => false,
        })
        .collect()
}

fn mode_bit(name: &str) -> Option<u32> {
    let name = name.trim().to_ascii_lowercase();
    MODES.iter().find(|(mode, _, _)| *mode == name).map(|(_, bit, _)| *bit)
}

pub(crate) fn requested_modes(params: &Params, frame_flags: u32) -> u32 {
    let from_params = params
        .get("modes")
        .map(|modes| modes.split(',').filter_map(mode_bit).fold(0, |all, bit| all | bit));
    match from_params.unwrap_or(frame_flags & MODE_BITS) {
        0 => DEFAULT_MODES,
        modes => modes,
    }
}

pub(crate) fn granted_modes(capability: &Capability, resource: &str, requested: u32) -> u32 {
    MODES
        .iter()
        .filter(|(_, bit, _)| requested & bit != 0)
        .filter(|(_, _, operations)| {
            operations.iter().any(|operation| capability.permits(resource, *operation))
        })
        .fold(0, |granted, (_, bit, _)| granted | bit)
}

pub(crate) fn rewind(params: &Params) -> Option<Rewind> {
    let limit = params
        .get("rewindLimit")
        .and_then(|limit| limit.parse().ok())
        .map_or(MAX_REWIND, |limit: u32| limit.min(MAX_REWIND));
    parse_rewind(params.get("rewind")?, limit)
}

/// Fails if `params` ask for a rewind that cannot be understood: it would be missed.
pub(crate) fn check_rewind(params: &Params) -> Result<(), ErrorInfo> {
    match params.get("rewind") {
        Some(text) if parse_rewind(text, MAX_REWIND).is_none() => Err(error::INVALID_PARAM
            .with("rewind is a number of messages, seconds (15s) or minutes (2m)")),
        Some(_) | None => Ok(()),
    }
}

fn parse_rewind(text: &str, limit: u32) -> Option<Rewind> {
    let seconds = |text: &str, unit: u64| {
        let count = text.parse::<u64>().ok()?;
        let duration_ms = count.checked_mul(unit)?.checked_mul(1_000)?;
        Some(Rewind::Millis { duration_ms, limit })
    };
    match text.strip_suffix('s') {
        Some(count) => seconds(count, 1),
        None => match text.strip_suffix('m') {
            Some(count) => seconds(count, 60),
            None => Some(Rewind::Messages(text.parse::<u32>().ok()?.min(limit))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn no_modes_asked_for_means_the_default_modes() {
        assert_eq!(requested_modes(&Params::new(), flags::HAS_PRESENCE), DEFAULT_MODES);
    }

    #[test]
    fn modes_of_params_win_over_flags() {
        let asked = params(&[("modes", "subscribe, PUBLISH,nonsense")]);
        assert_eq!(requested_modes(&asked, flags::PRESENCE), flags::SUBSCRIBE | flags::PUBLISH);
    }

    #[test]
    fn params_that_are_not_understood_are_dropped() {
        let asked = params(&[("modes", "x"), ("echo", "maybe"), ("rewind", "5"), ("foo", "bar")]);
        assert_eq!(understood(asked), params(&[("rewind", "5")]));
    }

    #[test]
    fn occupancy_is_wanted_as_a_whole_or_by_category() {
        let all = OccupancyOf::parse("metrics");
        assert_eq!(all, Some(OccupancyOf::AllCategories));
        let one = OccupancyOf::parse("metrics.subscribers").unwrap();
        assert!(one.includes("subscribers") && !one.includes("publishers"));
        for text in ["", "true", "metrics.", "metrics.x", "subscribers"] {
            assert_eq!(OccupancyOf::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_rewind_is_a_count_or_a_duration_and_bounded() {
        assert_eq!(parse_rewind("1000", MAX_REWIND), Some(Rewind::Messages(100)));
        assert_eq!(parse_rewind("2m", 7), Some(Rewind::Millis { duration_ms: 120_000, limit: 7 }));
        assert_eq!(parse_rewind("15s", 7), Some(Rewind::Millis { duration_ms: 15_000, limit: 7 }));
        for text in ["", "x", "5h", "-1", "99999999999999999999m"] {
            assert_eq!(parse_rewind(text, 7), None, "{text}");
        }
    }
}
