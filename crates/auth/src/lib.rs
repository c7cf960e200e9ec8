//! Who a client is and what it may do: keys, token requests, tokens, JWTs, capabilities and sealed
//! connection keys. Pure functions over text; the clock, the randomness and the apps are arguments.
//!
//! Not here: where apps are kept, HTTP and frames, rates. Nothing is logged, and no
//! `Debug` shows a secret.
//!
//! Invariants: secrets and MACs are compared in constant time; nothing in a credential chooses the
//! algorithm that checks it; a token never gets more than its key has at the time of use.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::wildcard_enum_match_arm
    )
)]

mod authenticate;
mod capability;
mod claims;
mod credentials;
mod device_token;
mod jwt;
mod nonces;
mod principal;
mod resource;
mod restriction;
mod resume_key;
mod revocation;
mod sealing;
#[cfg(test)]
mod testing;
mod token;
mod token_request;

pub use authenticate::{Place, authenticate};
pub use capability::{Capability, Operation, Operations};
pub use claims::Claims;
pub use credentials::{Credentials, KeyName};
pub use device_token::{DeviceToken, same_secret};
pub use nonces::Nonces;
pub use principal::{ClientPolicy, ClientType, Identity, Method, Principal};
pub use restriction::{Security, Source, check_source};
pub use resume_key::ResumeKey;
pub use revocation::{Revocation, RevocationRequest, Revocations, Target};
pub use sealing::SealingKey;
pub use token::{Grant, TokenDetails, issue};
pub use token_request::TokenRequest;
