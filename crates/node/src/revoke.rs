//! Revoking tokens: later requests and connections with them are refused, and live connections are
//! cut off, or asked for another token first.

use auth::{KeyName, Method, Principal, Revocation, RevocationRequest, Target};
use protocol::{BatchResult, BatchSuccess, Subject};
use types::Timestamp;
use types::error::{self, ErrorInfo};

use crate::event::{Caller, Response};
use crate::node::{Node, SessionKey};

impl Node {
    /// Only the key that issued or signed the tokens may revoke them, if they are revocable.
    pub(crate) fn revoke_tokens(
        &mut self,
        now: Timestamp,
        caller: &Caller,
        key_name: &str,
        request: RevocationRequest,
    ) -> Result<Response, ErrorInfo> {
        let principal = &self.authenticate_caller(now, caller)?;
        if principal.method != Method::Basic {
            return Err(error::BASIC_AUTH_REQUIRED.info());
        }
        let key = KeyName::parse(key_name)?;
        let key_id = &principal.key_id;
        if key.app_id != principal.app_id.as_str() || key.key_id != key_id.as_ref() {
            return Err(error::WRONG_REVOCATION_KEY.info());
        }
        let state = self.apps.get(&principal.app_id);
        if !state.and_then(|state| state.app.key(key_id)).is_some_and(|key| key.revocable_tokens) {
            return Err(error::REVOCATION_DISABLED.info());
        }
        let terms = request.terms(now)?;
        let results = request.targets.into_iter().map(|target| {
            let outcome = self.revoke(now, principal, &target, terms);
            BatchResult { subject: Subject::Target(target), outcome }
        });
        let results = results.collect();
        self.revoke_sessions(now, principal);
        Ok(Response::Batch(results))
    }

    fn revoke(
        &mut self,
        now: Timestamp,
        principal: &Principal,
        target: &str,
        terms: Revocation,
    ) -> Result<BatchSuccess, ErrorInfo> {
        let target = Target::parse(target)?;
        let Some(state) = self.apps.get_mut(&principal.app_id) else {
            return Err(error::NOT_FOUND.info());
        };
        state.revocations.expire(now);
        state.revocations.revoke(&principal.key_id, target, terms)?;
        let Revocation { issued_before, applies_at } = terms;
        Ok(BatchSuccess::Revoked { issued_before, applies_at })
    }

    /// Tells the sessions of the key's tokens what has become of them.
    fn revoke_sessions(&mut self, now: Timestamp, revoker: &Principal) {
        let Some(state) = self.apps.get(&revoker.app_id) else { return };
        let revoked: Vec<(SessionKey, Timestamp)> = self
            .sessions
            .iter()
            .map(|(key, slot)| (key, slot.session.principal()))
            .filter(|(_, principal)| principal.app_id == revoker.app_id)
            .filter_map(|(key, principal)| Some((*key, state.revocations.applies_at(principal)?)))
            .collect();
        for (key, at) in revoked {
            self.on_session(now, key, |session, ctx| session.revoke(ctx, at));
        }
    }
}
