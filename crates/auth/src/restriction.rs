//! What limits the use of a key: whether it may be used at all, and from where.

use std::net::IpAddr;

use types::error::{KEY_EXPIRED, KEY_REVOKED, RESTRICTED};
use types::{ErrorInfo, Key, Timestamp};

/// Whether what comes from a client travels in the clear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    #[default]
    Plain,
    Tls,
}

/// Where a client is, as far as that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    pub address: Option<IpAddr>,
    /// The web page that its script is on: scheme, host, and port.
    pub origin: Option<String>,
    pub security: Security,
}

/// 40131 or 40132 if nobody may use `key` now.
pub(crate) fn check_key(key: &Key, now: Timestamp) -> Result<(), ErrorInfo> {
    let restrictions = &key.restrictions;
    if restrictions.revoked {
        return Err(KEY_REVOKED.info());
    }
    if restrictions.expires.is_some_and(|expires| expires <= now) {
        return Err(KEY_EXPIRED.info());
    }
    Ok(())
}

/// 80030 if `key`, or a token of it, may not be used by a client that is at `source`.
pub fn check_source(key: &Key, source: &Source) -> Result<(), ErrorInfo> {
    let (ips, origins) = (&key.restrictions.allowed_ips, &key.restrictions.allowed_origins);
    let at = |address| ips.iter().any(|network| network.contains(address));
    if !ips.is_empty() && !source.address.is_some_and(at) {
        return Err(RESTRICTED.with("the key may not be used from this address"));
    }
    let on = |origin: &String| origins.iter().any(|known| known.as_ref() == origin);
    if !origins.is_empty() && !source.origin.as_ref().is_some_and(on) {
        return Err(RESTRICTED.with("the key may not be used on this web page"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOW, app};

    fn key() -> Key {
        app().keys.remove(0)
    }

    #[test]
    fn a_key_ends_when_it_is_revoked_or_expires() {
        let mut key = key();
        assert_eq!(check_key(&key, NOW), Ok(()));
        key.restrictions.expires = Some(Timestamp(NOW.0 + 1));
        assert_eq!(check_key(&key, NOW), Ok(()));
        key.restrictions.expires = Some(NOW);
        assert_eq!(check_key(&key, NOW).unwrap_err().code, 40132);
        key.restrictions.revoked = true;
        assert_eq!(check_key(&key, NOW).unwrap_err().code, 40131);
    }

    #[test]
    fn a_restricted_key_is_for_the_places_that_it_names() {
        let mut key = key();
        let source = |address: &str, origin: &str| Source {
            address: address.parse().ok(),
            origin: Some(origin.into()).filter(|origin: &String| !origin.is_empty()),
            ..Source::default()
        };
        assert_eq!(check_source(&key, &Source::default()), Ok(()));
        key.restrictions.allowed_ips = vec!["10.0.0.0/8".parse().unwrap()];
        assert_eq!(check_source(&key, &source("10.1.1.1", "")), Ok(()));
        key.restrictions.allowed_origins = vec!["https://a.example".into()];
        assert_eq!(check_source(&key, &source("10.1.1.1", "https://a.example")), Ok(()));
        for source in [
            source("11.1.1.1", "https://a.example"),
            source("", "https://a.example"),
            source("10.1.1.1", "https://b.example"),
            source("10.1.1.1", ""),
        ] {
            let error = check_source(&key, &source).unwrap_err();
            assert_eq!((error.code, error.status), (80030, 403), "{source:?}");
        }
    }
}
