//! The frame that delivers an entry of messages, written from the entry: what a [`ProtocolMessage`]
//! would need copies of, only to be written once.
//!
//! [`ProtocolMessage`]: crate::ProtocolMessage

use bytes::Bytes;
use types::{ConnectionId, CursorText, Entry, EntryId, ItemPosition, Message};

use crate::Format;
use crate::codec::encode_delivered;
use crate::frame::Action;
use crate::message::{MessageShape, Stamped};
use crate::write::{Encode, Writer};

/// Messages that change no other, all that their entry has.
pub struct Delivered<'a> {
    pub channel: &'a str,
    pub channel_serial: &'a CursorText,
    pub entry: &'a Entry,
    pub messages: &'a [Message],
    pub shape: MessageShape,
}

impl Delivered<'_> {
    pub fn encode(&self, format: Format) -> Bytes {
        encode_delivered(self, format)
    }
}

impl Encode for Delivered<'_> {
    fn write<W: Writer>(&self, w: &mut W) {
        let entry = self.entry;
        w.map(|f| {
            f.unsigned("action", Some(Action::Message.code()));
            match &entry.id {
                EntryId::Connection { connection_id, msg_serial } => {
                    let mut number = itoa::Buffer::new();
                    let number = number.format(*msg_serial);
                    f.field("id").joined(&[connection_id.as_str(), ":", number]);
                }
                EntryId::Named(id) => f.text("id", Some(id)),
            }
            f.text("channel", Some(self.channel));
            f.field("channelSerial").plain(self.channel_serial.as_bytes());
            f.text("connectionId", entry.connection_id.as_ref().map(ConnectionId::as_str));
            f.field("messages").list(self.messages.iter().enumerate(), |w, (index, message)| {
                let item = Some(ItemPosition { serial: entry.serial, index });
                let stamped = Stamped { message, item };
                match self.shape {
                    MessageShape::Versioned => stamped.write(w),
                    MessageShape::Flat => stamped.write_flat(w),
                }
            });
            f.unsigned("timestamp", Some(entry.timestamp.0));
        });
    }
}
