//! The nonces of token requests that were used: each works once at its time. Whoever signs another
//! time has the key, and repeats nobody's request.
//!
//! One node's memory: a request replayed at another node, or after a restart, within its two
//! minutes is not noticed here.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use types::error::{NONCE_REPLAYED, RATE_LIMIT};
use types::{ErrorInfo, Timestamp};

/// How long a nonce is remembered: a request is accepted from two minutes before its timestamp
/// until two minutes after it.
const REMEMBERED: Duration = Duration::from_mins(4);
/// Most nonces remembered; beyond it token requests are refused (42910), for forgetting one would
/// let it work again.
const MAX_NONCES: usize = 200_000;

/// Used nonces, by app, key, timestamp and text.
#[derive(Debug, Default)]
pub struct Nonces {
    used: BTreeSet<Arc<str>>,
    /// In the order of use.
    until: VecDeque<(Timestamp, Arc<str>)>,
}

impl Nonces {
    /// Uses a nonce up; 40105 if it was used before.
    pub(crate) fn spend(
        &mut self,
        key_name: &str,
        nonce: &str,
        signed: u64,
        now: Timestamp,
    ) -> Result<(), ErrorInfo> {
        while let Some((_, nonce)) = self.until.pop_front_if(|(until, _)| *until <= now) {
            self.used.remove(&nonce);
        }
        let nonce: Arc<str> = format!("{key_name}\n{signed}\n{nonce}").into();
        if self.used.contains(&nonce) {
            return Err(NONCE_REPLAYED.info());
        }
        if self.used.len() >= MAX_NONCES {
            return Err(RATE_LIMIT.with("too many token requests"));
        }
        self.used.insert(nonce.clone());
        self.until.push_back((now.plus(REMEMBERED), nonce));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::NOW;

    #[test]
    fn a_nonce_works_once_per_key_until_it_is_forgotten() {
        let mut nonces = Nonces::default();
        let signed = NOW.0;
        assert_eq!(nonces.spend("a.b", "n", signed, NOW), Ok(()));
        assert_eq!(nonces.spend("a.c", "n", signed, NOW), Ok(()));
        let last = Timestamp(NOW.plus(REMEMBERED).0 - 1);
        assert_eq!(nonces.spend("a.b", "n", signed, last).unwrap_err().code, 40105);
        assert_eq!(nonces.spend("a.b", "n", signed, NOW.plus(REMEMBERED)), Ok(()));
        assert_eq!((nonces.used.len(), nonces.until.len()), (1, 1));
        assert_eq!(nonces.spend("a.b", "n", signed + 1, NOW), Ok(()), "signed anew");
    }

    #[test]
    fn at_the_bound_new_nonces_are_refused_and_none_is_forgotten() {
        let mut nonces = Nonces::default();
        for n in 0..MAX_NONCES {
            nonces.spend("a.b", &n.to_string(), 0, NOW).unwrap();
        }
        assert_eq!(nonces.spend("a.b", "one more", 0, NOW).unwrap_err().code, 42910);
        assert_eq!(nonces.spend("a.b", "0", 0, NOW).unwrap_err().code, 40105);
        assert_eq!(nonces.spend("a.b", "one more", 0, NOW.plus(REMEMBERED)), Ok(()));
    }
}
