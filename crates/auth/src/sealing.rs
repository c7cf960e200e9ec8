//! Sealed texts: what only the cluster can write and read, for clients to keep and bring back.
//!
//! AES-256-GCM-SIV: nodes share the key and draw nonces at random, and a nonce drawn twice reveals
//! no more than that two texts are equal. The context (purpose and clear-text prefix) is
//! authenticated with the content, so a text of one purpose does not open as another.
//!
//! Layout before base64url: key version (1 byte), nonce (12), ciphertext, tag (16).

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng;

/// The version of the key that seals, and the only one that opens.
const VERSION: u8 = 1;

/// The cluster's secret for sealed texts.
pub struct SealingKey(LessSafeKey);

impl SealingKey {
    #[expect(clippy::expect_used, reason = "32 bytes are the key length of AES-256")]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM_SIV, &bytes).expect("a key of 32 bytes");
        Self(LessSafeKey::new(key))
    }

    #[expect(clippy::expect_used, reason = "fails only from 64 GiB on")]
    pub(crate) fn seal(&self, context: &[&str], content: &[u8], rng: &mut impl Rng) -> String {
        let mut nonce = [0; NONCE_LEN];
        rng.fill_bytes(&mut nonce);
        let mut sealed = content.to_vec();
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(authenticated(context)),
                &mut sealed,
            )
            .expect("content of acceptable length");
        URL_SAFE_NO_PAD.encode([&[VERSION], nonce.as_slice(), &sealed].concat())
    }

    /// None if `text` was not sealed with this key for this context.
    pub(crate) fn open(&self, context: &[&str], text: &str) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (version, rest) = bytes.split_first()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        if *version != VERSION {
            return None;
        }
        let mut sealed = sealed.to_vec();
        let aad = Aad::from(authenticated(context));
        let opened = self
            .0
            .open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut sealed)
            .ok()?
            .len();
        sealed.truncate(opened);
        Some(sealed)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey")
    }
}

/// The version and the context, its parts apart from each other.
fn authenticated(context: &[&str]) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    for part in context {
        bytes.extend_from_slice(part.as_bytes());
        bytes.push(0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rng, secret};

    #[test]
    fn a_text_opens_only_with_its_key_and_context() {
        let text = secret().seal(&["a", "b"], b"content", &mut rng());
        assert_eq!(secret().open(&["a", "b"], &text).as_deref(), Some(b"content".as_slice()));
        assert_eq!(secret().open(&["a", "c"], &text), None);
        assert_eq!(secret().open(&["ab", ""], &text), None);
        assert_eq!(SealingKey::from_bytes([8; 32]).open(&["a", "b"], &text), None);
    }

    #[test]
    fn texts_that_were_never_sealed_are_refused() {
        for text in ["", "A", "AQ", "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "=", "ü"] {
            assert_eq!(secret().open(&["a"], text), None, "{text}");
        }
    }

    #[test]
    fn the_same_content_is_sealed_differently_each_time() {
        let mut rng = rng();
        assert_ne!(secret().seal(&[], b"x", &mut rng), secret().seal(&[], b"x", &mut rng));
    }
}
