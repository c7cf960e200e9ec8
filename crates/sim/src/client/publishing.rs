//! Publishes: numbered per connection, sent again in order after a reconnect, settled by
//! contiguous acknowledgements (RTN7, RTN19).

use std::sync::Arc;

use protocol::{Action, ObjectItem, ProtocolMessage};
use types::{Accepted, Annotation, Data, EntryId, ErrorInfo, Message, PresenceMessage, error};

use super::{Client, Observed};
use crate::truth::Label;

/// One publish of the workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Publish {
    pub channel: Arc<str>,
    pub content: Content,
    /// The client's own id, under which it may be repeated.
    pub named: Option<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// New messages.
    Labels(Vec<Label>),
    Change(Box<Message>),
    Annotations(Vec<Annotation>),
    Objects(Vec<ObjectItem>),
}

impl Publish {
    pub(crate) fn labels(&self) -> &[Label] {
        match &self.content {
            Content::Labels(labels) => labels,
            Content::Change(_) | Content::Annotations(_) | Content::Objects(_) => &[],
        }
    }

    fn frame(&self) -> ProtocolMessage {
        let mut frame = ProtocolMessage::new(match &self.content {
            Content::Labels(_) | Content::Change(_) => Action::Message,
            Content::Annotations(_) => Action::Annotation,
            Content::Objects(_) => Action::Object,
        });
        frame.channel = Some(Arc::clone(&self.channel));
        match &self.content {
            Content::Labels(_) => frame.messages = self.messages(),
            Content::Change(change) => frame.messages = vec![change.as_ref().clone()],
            Content::Annotations(annotations) => frame.annotations.clone_from(annotations),
            Content::Objects(items) => frame.state.clone_from(items),
        }
        frame
    }

    pub(crate) fn messages(&self) -> Vec<Message> {
        let message = |(index, label): (usize, &Label)| Message {
            id: self.named.as_ref().map(|base| format!("{base}:{index}").into()),
            name: Some("m".into()),
            data: Data::Text(label.text().into()),
            ..Message::default()
        };
        self.labels().iter().enumerate().map(message).collect()
    }
}

#[derive(Debug)]
pub(super) struct Pending {
    msg_serial: Option<i64>,
    frame: ProtocolMessage,
    publish: Option<Publish>,
}

/// Whether pending publishes keep their serials on a new transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Serials {
    Kept,
    New,
}

impl Client {
    pub(crate) fn publish(&mut self, publish: Publish) {
        let frame = publish.frame();
        self.submit(Pending { msg_serial: None, frame, publish: Some(publish) });
    }

    pub(super) fn send_presence(&mut self, channel: &Arc<str>, presence: Vec<PresenceMessage>) {
        let mut frame = ProtocolMessage::new(Action::Presence);
        frame.channel = Some(Arc::clone(channel));
        frame.presence = presence;
        self.submit(Pending { msg_serial: None, frame, publish: None });
    }

    fn submit(&mut self, pending: Pending) {
        if self.is_connected() {
            self.transmit(pending);
        } else {
            self.queued.push_back(pending);
        }
    }

    fn transmit(&mut self, mut pending: Pending) {
        let msg_serial = *pending.msg_serial.get_or_insert_with(|| {
            let next = self.msg_serial;
            self.msg_serial += 1;
            next
        });
        pending.frame.msg_serial = Some(msg_serial);
        self.send(pending.frame.clone());
        self.pending.push_back(pending);
    }

    /// On a new transport: what is pending under its old serials if the connection is the same, else
    /// under new ones (RTN19a2); then what was queued meanwhile. Presence waits for its channel (RTL3d).
    pub(super) fn resend(&mut self, serials: Serials) {
        let waiting = std::mem::take(&mut self.pending).into_iter();
        let all: Vec<_> = waiting.chain(std::mem::take(&mut self.queued)).collect();
        let waits = |pending: &Pending| pending.frame.action == Action::Presence;
        let (presence, now): (Vec<_>, Vec<_>) = all.into_iter().partition(waits);
        for pending in presence.into_iter().rev() {
            self.requeue_presence(pending.frame);
        }
        for mut pending in now {
            if serials == Serials::New {
                pending.msg_serial = None;
            }
            self.transmit(pending);
        }
    }

    /// Their outcome stays unknown.
    pub(super) fn fail_pending(&mut self) {
        let waiting = std::mem::take(&mut self.pending).into_iter();
        let all: Vec<_> = waiting.chain(std::mem::take(&mut self.queued)).collect();
        for pending in all {
            self.settle(pending, &Err(error::CONNECTION_CLOSED.info()), None);
        }
    }

    pub(super) fn answered(&mut self, frame: &ProtocolMessage) {
        let (msg_serial, count) =
            (frame.msg_serial.unwrap_or_default(), frame.count.unwrap_or_default());
        let accepted = frame.action == Action::Ack;
        self.observe(Observed::Answered {
            accepted,
            msg_serial,
            count,
            serials: frame.res.len(),
            oldest: self.pending.front().and_then(|pending| pending.msg_serial),
            pending: self.pending.len(),
            version: self.profile.version,
        });
        let result = if accepted {
            Ok(())
        } else {
            Err(frame.error.clone().unwrap_or_else(|| error::INTERNAL.info()))
        };
        for index in 0..count as usize {
            if let Some(pending) = self.pending.pop_front() {
                self.settle(pending, &result, frame.res.get(index));
            }
        }
    }

    fn settle(
        &mut self,
        pending: Pending,
        result: &Result<(), ErrorInfo>,
        accepted: Option<&Accepted>,
    ) {
        let Some(publish) = pending.publish else {
            self.presence_settled(&pending.frame, result);
            return;
        };
        if let (Content::Objects(items), Some(accepted)) = (&publish.content, accepted) {
            self.operated(&publish.channel, items, accepted);
        }
        let id = match (&publish.named, &self.connection_id) {
            (Some(name), _) => EntryId::Named(Arc::clone(name)),
            (None, Some(connection_id)) => EntryId::Connection {
                connection_id: connection_id.clone(),
                msg_serial: pending.msg_serial.unwrap_or(-1),
            },
            (None, None) => EntryId::Named("never sent".into()),
        };
        self.observe(Observed::Settled { publish, id, result: result.clone() });
    }
}
