//! The values of objects (OD2), numbers among them, and the trees that REST answers with.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Number, Value};
use types::{Finite, ObjectData, ObjectId};

use crate::payload;
use crate::read::{Decode, Kind, Read, Reader};
use crate::write::{Encode, Writer};

/// Beyond this, floats do not tell integers apart.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// What a REST answer shows of objects: JSON, and bytes.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    Map(Vec<(Arc<str>, Self)>),
    Number(Finite),
    Boolean(bool),
    Text(Arc<str>),
    Bytes(Bytes),
}

/// A map with a number in `number`, `count`, or the `amount` of earlier versions.
pub(crate) struct NumberField(pub(crate) Option<Finite>);

/// A value; none if there is none in it that is valid.
pub(crate) fn read_data<'a, R: Reader<'a>>(r: &mut R) -> Read<Option<ObjectData>> {
    let (mut data, mut is_json) = (None, false);
    r.fields(|r, key| {
        match key {
            b"objectId" => data = ObjectId::parse(&r.text()?).map(ObjectData::Object),
            b"boolean" => data = Some(ObjectData::Boolean(r.boolean()?)),
            b"bytes" => data = read_bytes(r)?.map(ObjectData::Bytes),
            b"number" => data = read_finite(r)?.map(ObjectData::Number),
            b"string" => data = Some(ObjectData::Text(r.shared()?)),
            b"json" if r.kind()? == Kind::Text => data = json(r.shared()?),
            b"json" => data = json(r.nested()?.into()),
            b"encoding" => is_json = r.text()? == "json",
            _ => r.skip()?,
        }
        Ok(())
    })?;
    Ok(match data {
        Some(ObjectData::Text(text)) if is_json => json(text),
        other => other,
    })
}

fn json(text: Arc<str>) -> Option<ObjectData> {
    match serde_json::from_str(&text) {
        Ok(Value::Object(_) | Value::Array(_)) => Some(ObjectData::Json(text)),
        Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | Err(_) => None,
    }
}

fn read_bytes<'a, R: Reader<'a>>(r: &mut R) -> Read<Option<Bytes>> {
    if r.kind()? == Kind::Binary {
        return Ok(Some(Bytes::copy_from_slice(r.binary()?)));
    }
    Ok(payload::decode_base64(&r.text()?))
}

pub(crate) fn read_finite<'a, R: Reader<'a>>(r: &mut R) -> Read<Option<Finite>> {
    Ok(r.number()?.as_f64().and_then(Finite::new))
}

impl Decode for NumberField {
    fn read<'a, R: Reader<'a>>(r: &mut R) -> Read<Self> {
        let mut number = None;
        r.fields(|r, key| {
            match key {
                b"number" | b"count" | b"amount" => number = read_finite(r)?,
                _ => r.skip()?,
            }
            Ok(())
        })?;
        Ok(Self(number))
    }
}

impl Encode for Finite {
    /// A float in MessagePack (OD4c3); in JSON an integer looks like one.
    fn write<W: Writer>(&self, w: &mut W) {
        let float = self.get();
        if W::BINARY_IS_BASE64 && float.fract() == 0.0 && float.abs() <= MAX_EXACT {
            #[expect(clippy::cast_possible_truncation, reason = "integral and within 54 bits")]
            w.integer(float as i64);
        } else if let Some(number) = Number::from_f64(float) {
            w.number(&number);
        } else {
            w.null();
        }
    }
}

impl Encode for ObjectData {
    fn write<W: Writer>(&self, w: &mut W) {
        w.map(|f| match self {
            Self::Object(id) => f.text("objectId", Some(id.as_str())),
            Self::Boolean(value) => f.field("boolean").boolean(*value),
            Self::Bytes(bytes) => f.field("bytes").binary(bytes),
            Self::Number(number) => f.value("number", Some(number)),
            Self::Text(text) => f.text("string", Some(text)),
            Self::Json(json) => f.text("json", Some(json)),
        });
    }
}

impl Encode for Tree {
    fn write<W: Writer>(&self, w: &mut W) {
        match self {
            Self::Map(entries) => w.map(|f| {
                for (key, value) in entries {
                    value.write(f.foreign_field(key));
                }
            }),
            Self::Number(number) => number.write(w),
            Self::Boolean(value) => w.boolean(*value),
            Self::Text(text) => w.text(text),
            Self::Bytes(bytes) => w.binary(bytes),
        }
    }
}
