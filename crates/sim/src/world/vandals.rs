//! Clients that send nonsense: bytes that are no frames, frames that make no sense, connects with
//! credentials and keys of nobody. Others must not notice them.

use bytes::Bytes;
use node::Event;
use protocol::{Action, Format, ProtocolMessage};
use rand::RngExt;
use session::TransportId;
use types::{Data, Message, PresenceAction, PresenceMessage};

use super::{KEY, World};
use crate::checkers::Verdict;
use crate::checkers::bad_input::{self, Input};
use crate::queue::Uplink;
use crate::report::show;
use crate::transport::{self, FIRST_VANDAL, Framing, Transport};

#[derive(Debug, Default)]
pub(super) struct Vandal {
    transport: Option<TransportId>,
    transports: u64,
}

impl World {
    pub(super) fn vandal_closed(&mut self, transport: TransportId) {
        for vandal in &mut self.vandals {
            if vandal.transport == Some(transport) {
                vandal.transport = None;
            }
        }
    }

    /// One of them does something.
    pub(crate) fn vandalise(&mut self) {
        if self.vandals.is_empty() {
            return;
        }
        let index = self.rng.random_range(0..self.vandals.len());
        let Some(vandal) = self.vandals.get_mut(index) else { return };
        let format = if index.is_multiple_of(2) { Format::Json } else { Format::MessagePack };
        let Some(transport) = vandal.transport else {
            vandal.transports += 1;
            let transport = transport::id(FIRST_VANDAL + index, vandal.transports);
            vandal.transport = Some(transport);
            let query = self.nonsense_query();
            if self.node_is_up() {
                self.transports.insert(transport, Transport::new(format, Framing::Socket));
                self.uplink(transport, Uplink::Opened(query));
            }
            return;
        };
        let bytes = if self.rng.random_bool(0.1) {
            (0..self.rng.random_range(0..40)).map(|_| self.rng.random::<u8>()).collect()
        } else {
            let frame = self.nonsense_frame();
            protocol::encode(&frame, format)
        };
        self.uplink(transport, Uplink::Bytes(bytes));
        if !self.transports.contains_key(&transport) {
            self.vandal_closed(transport);
        }
    }

    pub(super) fn leave_vandals(&mut self) {
        let transports: Vec<_> =
            self.vandals.iter_mut().filter_map(|vandal| vandal.transport.take()).collect();
        for transport in transports {
            self.uplink(transport, Uplink::Closed);
        }
        self.vandals.clear();
    }

    pub(super) fn hear_vandal(
        &mut self,
        transport: TransportId,
        format: Format,
        bytes: &Bytes,
    ) -> Verdict {
        // What is due by now is not the vandal's doing.
        self.feed(Event::Tick)?;
        let (event, input) = match protocol::decode(format, bytes) {
            Ok(frame) => {
                self.trace.note(self.now, || format!("{transport:?} raves {}", show(&frame)));
                (Event::Frame { transport, frame: Box::new(frame) }, Input::Frame)
            }
            Err(error) => (Event::BadFrame { transport, error }, Input::Noise),
        };
        self.watch = Some((transport, input));
        let verdict = self.feed(event);
        self.watch = None;
        verdict
    }

    pub(super) fn judge_vandal(&self, effects: &[node::Effect]) -> Verdict {
        match self.watch {
            Some((transport, input)) => bad_input::handled(transport, input, effects),
            None => Ok(()),
        }
    }

    fn nonsense_query(&mut self) -> Vec<(String, String)> {
        let mut query = vec![("v".to_owned(), "6".to_owned()), ("key".to_owned(), KEY.to_owned())];
        let wrong = [
            ("v", "99"),
            ("key", "nobody.knows:this"),
            ("accessToken", "a.b"),
            ("resume", "node-1!AAAA"),
            ("clientId", "*"),
            ("heartbeatInterval", "1"),
        ];
        if self.rng.random_bool(0.4) {
            let (name, value) = wrong[self.rng.random_range(0..wrong.len())];
            query.insert(0, (name.to_owned(), value.to_owned()));
        }
        query
    }

    fn nonsense_frame(&mut self) -> ProtocolMessage {
        let names = ["x", "x:1", "", ":", "[?rewind=1]x", "[?rewind=99999999]x", "[x", "kept:x"];
        let mut frame = ProtocolMessage::new(Action::from_code(self.rng.random_range(0..23)));
        if self.rng.random_bool(0.8) {
            frame.channel = Some(names[self.rng.random_range(0..names.len())].into());
        }
        if self.rng.random_bool(0.7) {
            let serials = [0, 1, 2, 3, -1, i64::MAX, i64::MIN];
            frame.msg_serial = Some(serials[self.rng.random_range(0..serials.len())]);
        }
        if self.rng.random_bool(0.3) {
            frame.channel_serial =
                Some(["", "x", "AQAA", "AQABAAAAAAAAAAAAAAA"][self.rng.random_range(0..4)].into());
        }
        if self.rng.random_bool(0.3) {
            frame.flags = Some(self.rng.random());
        }
        if self.rng.random_bool(0.2) {
            frame.access_token = Some("not.atoken".into());
        }
        if self.rng.random_bool(0.5) {
            let id = ["", "a", "a:0", "a:1"][self.rng.random_range(0..4)];
            let message = Message {
                id: self.rng.random_bool(0.3).then(|| id.into()),
                data: Data::Text("rubbish".into()),
                ..Message::default()
            };
            frame.messages = vec![message; self.rng.random_range(0..3)];
        }
        if self.rng.random_bool(0.4) {
            let actions = [PresenceAction::Enter, PresenceAction::Absent, PresenceAction::Leave];
            let mut item = PresenceMessage::new(actions[self.rng.random_range(0..3)]);
            item.client_id = self.rng.random_bool(0.7).then(|| "v".into());
            frame.presence = vec![item; self.rng.random_range(0..3)];
        }
        frame
    }
}
