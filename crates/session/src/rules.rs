//! What a namespace asks of whoever uses one of its channels, over a connection or by request.

use auth::{Principal, Security};
use types::error::{self, ErrorInfo};
use types::{App, ChannelName};

/// Whether `principal` is identified where it has to be (40161), and uses TLS where it has to
/// (40311).
pub fn check_rules(
    app: &App,
    channel: &ChannelName,
    principal: &Principal,
    security: Security,
) -> Result<(), ErrorInfo> {
    let Some(rules) = app.namespace(channel) else { return Ok(()) };
    if rules.tls_only && security == Security::Plain {
        return Err(error::TLS_REQUIRED.info());
    }
    if rules.authenticated && principal.client_id_for_connection().is_none() {
        return Err(error::IDENTIFIED_CLIENT_REQUIRED.info());
    }
    Ok(())
}
