//! The fields of protocol messages (TR4) and of what they carry besides messages.

use std::sync::Arc;

use types::{Accepted, ClientId, ConnectionId, ItemPosition, SiteCode, Timestamp};

use crate::frame::{Action, ConnectionDetails, ProtocolMessage};
use crate::message::{Flat, MessageShape, read_message_onto};
use crate::read::{Decode, Kind, MAX_ITEMS, Problem, Read, Reader};
use crate::results::write_results;
use crate::write::{Encode, Fields, Writer};

impl Decode for ProtocolMessage {
    fn read<'a, R: Reader<'a>>(r: &mut R) -> Read<Self> {
        let mut frame = Self::new(Action::Heartbeat);
        read_frame(&mut frame, None, r)?;
        Ok(frame)
    }

    #[inline]
    fn read_onto<'a, R: Reader<'a>>(frames: &mut Vec<Self>, r: &mut R) -> Read<()> {
        // Made where it stays: what is pushed is moved.
        frames.resize_with(frames.len() + 1, || Self::new(Action::Heartbeat));
        frames.split_last_mut().map_or(Ok(()), |(frame, rest)| read_frame(frame, rest.last(), r))
    }
}

/// Fills an empty frame. What it has in common with the one before it, as most that come together
/// have, is shared.
#[inline]
fn read_frame<'a, R: Reader<'a>>(
    frame: &mut ProtocolMessage,
    before: Option<&ProtocolMessage>,
    r: &mut R,
) -> Read<()> {
    let mut action = None;
    r.fields(|r, key| {
        match key {
            b"action" => {
                let code: u64 = r.integer()?;
                action = Some(Action::from_code(u8::try_from(code).unwrap_or(u8::MAX)));
            }
            b"id" => frame.id = Some(r.shared()?),
            b"auth" => frame.access_token = read_auth(r)?,
            b"channel" => {
                let known = before.and_then(|before| before.channel.as_ref());
                frame.channel = Some(r.shared_if_known(known)?);
            }
            b"channelSerial" => frame.channel_serial = Some(r.shared()?),
            b"connectionId" => frame.connection_id = Some(ConnectionId::new(r.text()?)),
            b"connectionKey" => frame.connection_key = Some(r.shared()?),
            b"connectionDetails" => {
                frame.connection_details = Some(Box::new(ConnectionDetails::read(r)?));
            }
            b"count" => frame.count = Some(r.integer()?),
            b"error" => frame.error = Some(Decode::read(r)?),
            b"flags" => frame.flags = Some(r.integer()?),
            b"msgSerial" => frame.msg_serial = Some(r.integer()?),
            b"messages" => {
                let known = before.and_then(|before| before.messages.first());
                r.items_into(&mut frame.messages, |messages, r| {
                    read_message_onto(messages, known, r)
                })?;
            }
            b"presence" => frame.presence = r.items()?,
            b"annotations" => frame.annotations = r.items()?,
            b"state" => frame.state = r.items()?,
            b"res" => frame.res = r.items()?,
            b"timestamp" => frame.timestamp = Some(Timestamp(r.integer()?)),
            b"params" => read_params(r, frame)?,
            _ => r.skip()?,
        }
        Ok(())
    })?;
    frame.action = action.ok_or(Problem::Malformed("action missing"))?;
    Ok(())
}

fn read_auth<'a, R: Reader<'a>>(r: &mut R) -> Read<Option<Arc<str>>> {
    let mut token = None;
    r.fields(|r, key| {
        match key {
            b"accessToken" => token = Some(r.shared()?),
            _ => r.skip()?,
        }
        Ok(())
    })?;
    Ok(token)
}

/// Values are texts; what people write as numbers or booleans counts as its text.
fn read_params<'a, R: Reader<'a>>(r: &mut R, frame: &mut ProtocolMessage) -> Read<()> {
    frame.params.clear();
    r.entries(|r, key| {
        if frame.params.len() == MAX_ITEMS {
            return Err(Problem::Malformed("too many params"));
        }
        frame.params.insert(key.to_owned(), r.scalar_text()?.into_owned());
        Ok(())
    })
}

impl Encode for ProtocolMessage {
    fn write<W: Writer>(&self, w: &mut W) {
        w.map(|f| {
            f.unsigned("action", Some(self.action.code()));
            f.text("id", self.id.as_deref());
            if let Some(token) = &self.access_token {
                f.field("auth").map(|f| f.text("accessToken", Some(token)));
            }
            f.text("channel", self.channel.as_deref());
            f.text("channelSerial", self.channel_serial.as_deref());
            f.text("connectionId", self.connection_id.as_ref().map(ConnectionId::as_str));
            f.text("connectionKey", self.connection_key.as_deref());
            f.value("connectionDetails", self.connection_details.as_deref());
            f.unsigned("count", self.count);
            f.value("error", self.error.as_ref());
            f.unsigned("flags", self.flags);
            if let Some(serial) = self.msg_serial {
                f.field("msgSerial").integer(serial);
            }
            match self.message_shape {
                MessageShape::Versioned => f.items("messages", &self.messages),
                MessageShape::Flat => f.items("messages", &Flat::all(&self.messages)),
            }
            f.items("presence", &self.presence);
            f.items("annotations", &self.annotations);
            f.items("state", &self.state);
            if !self.res.is_empty() {
                write_results(f.field("res"), &self.res);
            }
            f.unsigned("timestamp", self.timestamp.map(|timestamp| timestamp.0));
            if !self.params.is_empty() {
                f.field("params").map(|f| {
                    for (name, value) in &self.params {
                        f.foreign_field(name).text(value);
                    }
                });
            }
        });
    }
}

/// As clients see it: an item without a serial was dropped, the others are one entry.
impl Decode for Accepted {
    fn read<'a, R: Reader<'a>>(r: &mut R) -> Read<Self> {
        let mut accepted = Self::default();
        r.fields(|r, key| {
            if key != b"serials" {
                return r.skip();
            }
            let serials: Vec<Option<ItemPosition>> = r.items()?;
            accepted.items = serials.len();
            for (bit, serial) in (0..u64::BITS).zip(&serials) {
                match serial {
                    Some(item) => accepted.serial = Some(item.serial),
                    None => accepted.dropped |= 1 << bit,
                }
            }
            Ok(())
        })?;
        Ok(accepted)
    }
}

impl Encode for Accepted {
    fn write<W: Writer>(&self, w: &mut W) {
        w.map(|f| write_serials(f, self));
    }
}

pub(crate) fn write_serials<W: Writer>(f: &mut Fields<'_, W>, accepted: &Accepted) {
    f.field("serials").list(accepted.serials(), |w, serial| match serial {
        Some(item) => w.plain(item.text().as_bytes()),
        None => w.null(),
    });
}

impl Decode for Option<ItemPosition> {
    fn read<'a, R: Reader<'a>>(r: &mut R) -> Read<Self> {
        if r.kind()? == Kind::Null {
            return r.skip_null().map(|()| None);
        }
        r.text()?.parse().map(Some).map_err(Problem::Malformed)
    }
}

impl Decode for ConnectionDetails {
    fn read<'a, R: Reader<'a>>(r: &mut R) -> Read<Self> {
        let (mut client_id, mut connection_key, mut server_id, mut site_code) =
            (None, None, None, None);
        let (mut max_message_size, mut max_frame_size, mut max_inbound_rate) = (0, 0, 0);
        let (mut connection_state_ttl, mut max_idle_interval, mut objects_gc_grace_period) =
            (0, 0, 0);
        r.fields(|r, key| {
            match key {
                b"clientId" => client_id = Some(ClientId::new(r.text()?)),
                b"connectionKey" => connection_key = Some(r.shared()?),
                b"maxMessageSize" => max_message_size = r.integer()?,
                b"maxFrameSize" => max_frame_size = r.integer()?,
                b"maxInboundRate" => max_inbound_rate = r.integer()?,
                b"connectionStateTtl" => connection_state_ttl = r.integer()?,
                b"maxIdleInterval" => max_idle_interval = r.integer()?,
                b"serverId" => server_id = Some(r.shared()?),
                b"siteCode" => site_code = r.text()?.parse::<SiteCode>().ok(),
                b"objectsGCGracePeriod" => objects_gc_grace_period = r.integer()?,
                _ => r.skip()?,
            }
            Ok(())
        })?;
        Ok(Self {
            client_id,
            connection_key: connection_key.unwrap_or_default(),
            max_message_size,
            max_frame_size,
            max_inbound_rate,
            connection_state_ttl,
            max_idle_interval,
            server_id: server_id.unwrap_or_default(),
            site_code: site_code.ok_or(Problem::Malformed("siteCode missing or invalid"))?,
            objects_gc_grace_period,
        })
    }
}

impl Encode for ConnectionDetails {
    fn write<W: Writer>(&self, w: &mut W) {
        w.map(|f| {
            f.text("clientId", self.client_id.as_ref().map(ClientId::as_str));
            f.text("connectionKey", Some(&self.connection_key));
            f.unsigned("maxMessageSize", Some(self.max_message_size));
            f.unsigned("maxFrameSize", Some(self.max_frame_size));
            f.unsigned("maxInboundRate", Some(self.max_inbound_rate));
            f.unsigned("connectionStateTtl", Some(self.connection_state_ttl));
            f.unsigned("maxIdleInterval", Some(self.max_idle_interval));
            f.text("serverId", Some(&self.server_id));
            f.text("siteCode", Some(self.site_code.as_str()));
            f.unsigned("objectsGCGracePeriod", Some(self.objects_gc_grace_period));
        });
    }
}
