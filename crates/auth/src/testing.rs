//! What the tests of this crate share: an app, a secret, an instant, a generator.

use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use types::{App, AppLimits, Key, Restrictions, Timestamp};

use crate::SealingKey;

pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000_000);

pub(crate) fn secret() -> SealingKey {
    SealingKey::from_bytes([7; 32])
}

pub(crate) fn rng() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(1)
}

/// `app`, with a key `all` that may do everything, and a key `some`.
pub(crate) fn app() -> App {
    let key = |id: &str, capability: &str| Key {
        id: id.into(),
        secret: format!("secret of {id}").into(),
        capability: capability.into(),
        revocable_tokens: false,
        restrictions: Restrictions::default(),
    };
    App {
        id: "app".into(),
        account_id: "account".into(),
        keys: vec![
            key("all", r#"{"*":["*"]}"#),
            key("some", r#"{"b:*":["subscribe"],"a":["publish"]}"#),
        ],
        namespaces: Vec::new(),
        limits: AppLimits::default(),
    }
}

pub(crate) fn apps(app_id: &str) -> Option<Arc<App>> {
    (app_id == "app").then(|| Arc::new(app()))
}

/// A JWT of these header and payload texts, signed as HS256 with the secret of key `all`.
pub(crate) fn jwt(header: &str, payload: &str) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"secret of all");
    let signature = hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}
