//! Keys that change while the node runs: whoever uses one that is revoked or gone is cut off, also with a
//! token of it. What else changes is for new connections and requests.

use std::sync::Arc;

use types::error;
use types::{App, AppId, Key, Timestamp};

use crate::node::{Node, SessionKey};

impl Node {
    /// Gives an app its keys; an app that the node does not have stays unknown.
    pub(crate) fn set_keys(&mut self, now: Timestamp, app: &AppId, keys: Vec<Key>) {
        let Some(state) = self.apps.get_mut(app) else { return };
        state.app = Arc::new(App { keys, ..App::clone(&state.app) });
        let is_usable = |id: &str| state.app.key(id).is_some_and(|key| !key.restrictions.revoked);
        let ended: Vec<SessionKey> = self
            .sessions
            .iter()
            .map(|(key, slot)| (key, slot.session.principal()))
            .filter(|(_, principal)| principal.app_id == *app && !is_usable(&principal.key_id))
            .map(|(key, _)| key)
            .collect();
        for key in ended {
            self.on_session(now, key, |session, ctx| session.fail(ctx, error::KEY_REVOKED.info()));
            self.work_off(now);
        }
    }
}
