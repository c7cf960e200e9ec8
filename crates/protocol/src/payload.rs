//! Payloads on the wire: `data` with its `encoding`, and `extras` (RSL4, RSL6, TM2).
//!
//! Only the outermost step of an encoding matters to a transport: `base64` is undone on arrival
//! and redone for JSON, `json` is added to data that came as an object. Other steps are carried.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use types::error::{INVALID_DATA, INVALID_EXTRAS};
use types::{Data, Extras};

use crate::read::{Kind, Problem, Read, Reader};
use crate::write::{Fields, Writer};

/// Standard base64, with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// `data` and `encoding` as they arrive, in either order.
#[derive(Default)]
pub(crate) struct Payload<'a> {
    data: Arrived<'a>,
    encoding: Cow<'a, str>,
}

#[derive(Default)]
enum Arrived<'a> {
    #[default]
    None,
    Text(Cow<'a, str>),
    Binary(&'a [u8]),
    /// A list or map, as JSON text.
    Json(Cow<'a, str>),
}

impl<'a> Payload<'a> {
    /// Reads `data`; a number or boolean is no payload (40013).
    pub(crate) fn read_data<R: Reader<'a>>(&mut self, r: &mut R) -> Read<()> {
        self.data = match r.kind()? {
            Kind::Text => Arrived::Text(r.text()?),
            Kind::Binary => Arrived::Binary(r.binary()?),
            Kind::List | Kind::Map => {
                Arrived::Json(r.nested().map_err(|problem| problem.not_json_is(INVALID_DATA))?)
            }
            Kind::Null | Kind::Boolean | Kind::Number | Kind::Foreign => {
                return Err(Problem::Refused(INVALID_DATA.info()));
            }
        };
        Ok(())
    }

    pub(crate) fn read_encoding<R: Reader<'a>>(&mut self, r: &mut R) -> Read<()> {
        self.encoding = r.text()?;
        Ok(())
    }

    /// The payload without base64. What claims to be base64 and is not stays as it came (RSL6b).
    pub(crate) fn finish(self) -> (Data, Option<Arc<str>>) {
        match self.data {
            Arrived::None => (Data::None, encoding(&self.encoding)),
            Arrived::Binary(binary) => {
                (Data::Binary(Bytes::copy_from_slice(binary)), encoding(&self.encoding))
            }
            Arrived::Text(text) => match without_last(&self.encoding, "base64") {
                Some(steps) => match BASE64.decode(text.as_bytes()) {
                    Ok(binary) => (Data::Binary(binary.into()), encoding(steps)),
                    Err(_) => (Data::Text(text.into()), encoding(&self.encoding)),
                },
                None => (Data::Text(text.into()), encoding(&self.encoding)),
            },
            Arrived::Json(json) if without_last(&self.encoding, "json").is_some() => {
                (Data::Text(json.into()), encoding(&self.encoding))
            }
            Arrived::Json(json) => {
                (Data::Text(json.into()), encoding(&append(&self.encoding, "json")))
            }
        }
    }
}

pub(crate) fn write<W: Writer>(f: &mut Fields<'_, W>, data: &Data, encoding: Option<&str>) {
    match data {
        Data::None => f.text("encoding", encoding),
        Data::Text(text) => {
            f.text("data", Some(text));
            f.text("encoding", encoding);
        }
        Data::Binary(binary) => {
            f.field("data").binary(binary);
            if W::BINARY_IS_BASE64 {
                f.text("encoding", Some(&append(encoding.unwrap_or_default(), "base64")));
            } else {
                f.text("encoding", encoding);
            }
        }
    }
}

/// Reads `extras`, which must be an object (40032).
pub(crate) fn read_extras<'a, R: Reader<'a>>(r: &mut R) -> Read<Option<Extras>> {
    if r.kind()? != Kind::Map {
        return Err(Problem::Refused(INVALID_EXTRAS.with("extras must be an object")));
    }
    match r.object() {
        Ok(object) => Ok(Some(Arc::new(object))),
        Err(problem) => Err(problem.not_json_is(INVALID_EXTRAS)),
    }
}

pub(crate) fn decode_base64(text: &str) -> Option<Bytes> {
    BASE64.decode(text.as_bytes()).ok().map(Bytes::from)
}

/// The steps before the last one, if that is `step`.
fn without_last<'e>(encoding: &'e str, step: &str) -> Option<&'e str> {
    let before = encoding.strip_suffix(step)?;
    if before.is_empty() { Some(before) } else { before.strip_suffix('/') }
}

fn append<'e>(encoding: &str, step: &'e str) -> Cow<'e, str> {
    if encoding.is_empty() { step.into() } else { format!("{encoding}/{step}").into() }
}

fn encoding(steps: &str) -> Option<Arc<str>> {
    (!steps.is_empty()).then(|| steps.into())
}
