//! The fields of annotations (TAN2).

use types::{Annotation, AnnotationAction, ClientId, Timestamp};

use crate::payload::{self, Payload, read_extras};
use crate::read::{Decode, Problem, Read, Reader};
use crate::write::{Encode, Writer};

impl Decode for Annotation {
    fn read<'a, R: Reader<'a>>(r: &mut R) -> Read<Self> {
        let mut action = None;
        let mut annotation = Self::new(AnnotationAction::Create, "");
        let mut payload = Payload::default();
        r.fields(|r, key| {
            match key {
                b"id" => annotation.id = Some(r.shared()?),
                b"action" => action = AnnotationAction::from_code(r.integer()?),
                b"type" => annotation.kind = r.shared()?,
                b"name" => annotation.name = Some(r.shared()?),
                b"count" => annotation.count = Some(r.integer()?),
                b"clientId" => annotation.client_id = Some(ClientId::new(r.text()?)),
                b"data" => payload.read_data(r)?,
                b"encoding" => payload.read_encoding(r)?,
                b"extras" => annotation.extras = read_extras(r)?,
                b"messageSerial" => annotation.message_serial = Some(r.shared()?),
                b"serial" => annotation.serial = Some(r.shared()?),
                b"timestamp" => annotation.timestamp = Some(Timestamp(r.integer()?)),
                _ => r.skip()?,
            }
            Ok(())
        })?;
        annotation.action =
            action.ok_or(Problem::Malformed("annotation action missing or unknown"))?;
        (annotation.data, annotation.encoding) = payload.finish();
        Ok(annotation)
    }
}

impl Encode for Annotation {
    fn write<W: Writer>(&self, w: &mut W) {
        w.map(|f| {
            f.text("id", self.id.as_deref());
            f.unsigned("action", Some(self.action.code()));
            f.text("type", Some(&self.kind));
            f.text("name", self.name.as_deref());
            f.unsigned("count", self.count);
            f.text("clientId", self.client_id.as_ref().map(ClientId::as_str));
            payload::write(f, &self.data, self.encoding.as_deref());
            f.object("extras", self.extras.as_deref());
            f.text("messageSerial", self.message_serial.as_deref());
            f.text("serial", self.serial.as_deref());
            f.unsigned("timestamp", self.timestamp.map(|timestamp| timestamp.0));
        });
    }
}
