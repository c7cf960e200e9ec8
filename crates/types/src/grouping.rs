//! How a namespace groups what is published within an interval: not at all, delivered together
//! (batching), or reduced to the newest message of each key (conflation).

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::error::{self, ErrorInfo};
use crate::{Namespace, Template};

/// Milliseconds that an interval may have.
const INTERVAL_MS: RangeInclusive<u64> = 20..=1_000;
const DEFAULT_INTERVAL_MS: u64 = 20;

#[derive(Clone, Debug)]
pub enum Grouping {
    None,
    Batching { interval: Duration },
    Conflation { interval: Duration, key: Template },
}

impl Namespace {
    /// What the rules about batching and conflation amount to; 40000 if they contradict each other
    /// or cannot be read.
    pub fn grouping(&self) -> Result<Grouping, ErrorInfo> {
        match (self.batching_enabled, self.conflation_enabled) {
            (false, false) => Ok(Grouping::None),
            (true, true) => Err(self.objection("has either batching or conflation")),
            (true, false) => {
                Ok(Grouping::Batching { interval: self.interval(self.batching_interval)? })
            }
            (false, true) => {
                let key = self.conflation_key.as_deref().unwrap_or_default();
                if key.is_empty() {
                    return Err(self.objection("needs a conflation key"));
                }
                let key = Template::parse(key).map_err(|reason| {
                    self.objection(&format!("has a bad conflation key: {reason}"))
                })?;
                Ok(Grouping::Conflation { interval: self.interval(self.conflation_interval)?, key })
            }
        }
    }

    fn interval(&self, ms: Option<u64>) -> Result<Duration, ErrorInfo> {
        let ms = ms.unwrap_or(DEFAULT_INTERVAL_MS);
        if INTERVAL_MS.contains(&ms) {
            return Ok(Duration::from_millis(ms));
        }
        let (low, high) = (INTERVAL_MS.start(), INTERVAL_MS.end());
        Err(self.objection(&format!("needs an interval of {low} to {high} milliseconds")))
    }

    fn objection(&self, reason: &str) -> ErrorInfo {
        error::BAD_REQUEST.with(format!("namespace '{}' {reason}", self.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_contradict_each_other_or_make_no_sense_are_refused() {
        let batched = Namespace { batching_enabled: true, ..Namespace::default() };
        let conflated = Namespace {
            conflation_enabled: true,
            conflation_key: Some("#{message.name}".into()),
            ..Namespace::default()
        };
        assert!(matches!(batched.grouping(), Ok(Grouping::Batching { .. })));
        assert!(matches!(conflated.grouping(), Ok(Grouping::Conflation { .. })));
        for refused in [
            Namespace { batching_enabled: true, ..conflated.clone() },
            Namespace { batching_interval: Some(19), ..batched.clone() },
            Namespace { batching_interval: Some(1_001), ..batched },
            Namespace { conflation_interval: Some(0), ..conflated.clone() },
            Namespace { conflation_key: None, ..conflated.clone() },
            Namespace { conflation_key: Some("#{nonsense}".into()), ..conflated },
        ] {
            assert_eq!(refused.grouping().unwrap_err().code, 40000, "{refused:?}");
        }
    }
}
