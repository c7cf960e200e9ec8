//! Messages that are to be pushed to devices.

use types::error::{self, ErrorInfo};
use types::{App, ChannelName, Message};

/// Whether messages may carry what they carry: notifications take a namespace with push (40032).
#[inline]
pub fn check_push(app: &App, channel: &ChannelName, messages: &[Message]) -> Result<(), ErrorInfo> {
    let is_pushed = |message: &Message| {
        message.extras.as_ref().is_some_and(|extras| extras.contains_key("push"))
    };
    let enabled = || app.namespace(channel).is_some_and(|rules| rules.push_enabled);
    if messages.iter().any(is_pushed) && !enabled() {
        return Err(error::INVALID_EXTRAS.with("push is not enabled for this channel"));
    }
    Ok(())
}
