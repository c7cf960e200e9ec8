//! Revoking tokens: later requests and connections with them are refused, and live connections are
//! cut off, or asked for another token first. All that is revoked of one target is one record.

use std::sync::Arc;

use auth::{KeyName, Method, Principal, Revocation, RevocationRequest, Target};
use bytes::Bytes;
use protocol::{BatchResult, BatchSuccess, Subject};
use serde::{Deserialize, Serialize};
use types::error::{self, ErrorInfo};
use types::{AppId, Record, RecordChange, RecordId, RecordKind, Timestamp};

use crate::event::{Caller, RequestId, Response};
use crate::node::{Node, SessionKey};
use crate::records::Damaged;

/// The version of the record's format, which is JSON.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    revocations: Vec<Revocation>,
}

impl Node {
    /// Only the key that issued or signed the tokens may revoke them, if they are revocable.
    pub(crate) fn revoke_tokens(
        &mut self,
        now: Timestamp,
        id: RequestId,
        caller: &Caller,
        key_name: &str,
        request: RevocationRequest,
    ) -> Result<Option<Response>, ErrorInfo> {
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
        let mut changes = self.expire_revocations(now, &principal.app_id);
        let results = request.targets.into_iter().map(|target| {
            let outcome = self.revoke(principal, &target, terms).map(|change| {
                changes.push(change);
                let Revocation { issued_before, applies_at } = terms;
                BatchSuccess::Revoked { issued_before, applies_at }
            });
            BatchResult { subject: Subject::Target(target), outcome }
        });
        let results = results.collect();
        self.revoke_sessions(now, principal);
        Ok(self.keep_and_answer(id, changes, Response::Batch(results)))
    }

    /// Takes back what an earlier run of the node was told to revoke.
    pub(crate) fn restore_revocation(
        &mut self,
        now: Timestamp,
        id: &RecordId,
        value: &[u8],
    ) -> Result<(), Damaged> {
        let Some(state) = self.apps.get_mut(&id.app) else { return Ok(()) };
        let (key_id, target) = id.key.split_once(':').ok_or(Damaged)?;
        let target = Target::parse(target).or(Err(Damaged))?;
        let document: Document = serde_json::from_slice(value).or(Err(Damaged))?;
        if document.version != VERSION {
            return Err(Damaged);
        }
        for revocation in document.revocations {
            let revoked = state.revocations.revoke(&key_id.into(), target.clone(), revocation);
            revoked.or(Err(Damaged))?;
        }
        let changes = self.expire_revocations(now, &id.app);
        if !changes.is_empty() {
            self.keep(changes);
        }
        Ok(())
    }

    fn revoke(
        &mut self,
        principal: &Principal,
        target: &str,
        terms: Revocation,
    ) -> Result<RecordChange, ErrorInfo> {
        let target = Target::parse(target)?;
        let Some(state) = self.apps.get_mut(&principal.app_id) else {
            return Err(error::NOT_FOUND.info());
        };
        let id = record_id(&principal.app_id, &principal.key_id, &target);
        let revocations = state.revocations.revoke(&principal.key_id, target, terms)?.to_vec();
        let value = serde_json::to_vec(&Document { version: VERSION, revocations });
        let value = value.map_err(|_unwritable| error::INTERNAL.info())?;
        Ok(RecordChange::Keep(Record { id, value: Bytes::from(value) }))
    }

    /// Forgets revocations that are over, and says how their records change.
    fn expire_revocations(&mut self, now: Timestamp, app: &AppId) -> Vec<RecordChange> {
        let Some(state) = self.apps.get_mut(app) else { return Vec::new() };
        let over = state.revocations.expire(now).into_iter();
        over.map(|(key_id, target)| RecordChange::Delete(record_id(app, &key_id, &target)))
            .collect()
    }

    /// Tells the sessions of the key's tokens what has become of them.
    fn revoke_sessions(&mut self, now: Timestamp, revoker: &Principal) {
        let Some(state) = self.apps.get(&revoker.app_id) else { return };
        let revoked: Vec<(SessionKey, Timestamp)> = self
            .sessions
            .iter()
            .map(|(key, slot)| (key, slot.session.principal()))
            .filter(|(_, principal)| principal.app_id == revoker.app_id)
            .filter_map(|(key, principal)| Some((key, state.revocations.applies_at(principal)?)))
            .collect();
        for (key, at) in revoked {
            self.on_session(now, key, |session, ctx| session.revoke(ctx, at));
        }
    }
}

fn record_id(app: &AppId, key_id: &Arc<str>, target: &Target) -> RecordId {
    let key = format!("{key_id}:{target}").into();
    RecordId { app: app.clone(), kind: RecordKind::Revocation, key }
}
