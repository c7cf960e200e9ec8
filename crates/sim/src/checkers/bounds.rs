//! Invariant 8: what a node keeps ends with its use. After everybody has left and time has passed, no
//! session, no channel and no deadline remains.

use node::Node;

use super::{Verdict, violation};

pub(crate) const NAME: &str = "bounds";

pub(crate) fn idle(node: &Node) -> Verdict {
    let (sessions, channels) = (node.session_count(), node.channel_count());
    let deadline = node.next_deadline();
    if sessions == 0 && channels == 0 && deadline.is_none() {
        return Ok(());
    }
    let message =
        format!("idle for long: {sessions} sessions, {channels} channels, next {deadline:?}");
    violation(NAME, message)
}
