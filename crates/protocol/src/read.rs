//! What a format's decoder offers to the descriptions of fields: a strict pull reader.
//!
//! Nothing is allocated on the word of a claimed length, nesting is bounded, and everything that
//! bytes can bring about is a [`Problem`]. Absent and null are the same.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Number, Value};
use types::{ErrorCode, ErrorInfo};

/// Lists and maps within each other, the outermost counted; deeper is malformed.
pub(crate) const MAX_DEPTH: u32 = 64;

/// Messages, presence events, serials or params in one list: an empty message is one byte on the
/// wire and 200 in memory. More is malformed.
pub(crate) const MAX_ITEMS: usize = 10_000;

/// Why bytes are not a value.
#[derive(Debug)]
pub(crate) enum Problem {
    /// Not the format, or not the shape that the field has. The caller of the codec knows the code.
    Malformed(&'static str),
    /// A value without a JSON equivalent where JSON is due. The field knows the code.
    NotJson(&'static str),
    Refused(ErrorInfo),
}

impl Problem {
    /// Gives a value that is not JSON the code of its field.
    pub(crate) fn not_json_is(self, code: ErrorCode) -> Self {
        match self {
            Self::NotJson(what) => Self::Refused(code.with(what)),
            Self::Malformed(_) | Self::Refused(_) => self,
        }
    }
}

pub(crate) type Read<T> = Result<T, Problem>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Boolean,
    Number,
    Text,
    Binary,
    List,
    Map,
    /// Something that the format has and the protocol has no use for.
    Foreign,
}

/// A type that travels in both formats.
pub(crate) trait Decode: Sized {
    fn read<'a, R: Reader<'a>>(r: &mut R) -> Read<Self>;

    /// Reads one more item. What is large is better read where it is kept than moved there.
    #[inline]
    fn read_onto<'a, R: Reader<'a>>(items: &mut Vec<Self>, r: &mut R) -> Read<()> {
        items.push(Self::read(r)?);
        Ok(())
    }
}

pub(crate) trait Reader<'a>: Sized {
    /// Bytes read, for error messages.
    fn position(&self) -> usize;

    /// What comes next, without reading it.
    fn kind(&mut self) -> Read<Kind>;

    fn boolean(&mut self) -> Read<bool>;

    /// A finite number.
    fn number(&mut self) -> Read<Number>;

    /// A natural number, if that is told at once; of anything else, nothing is read.
    fn natural(&mut self) -> Option<u64>;

    fn text(&mut self) -> Read<Cow<'a, str>>;

    fn binary(&mut self) -> Read<&'a [u8]>;

    /// Calls `item` before each item, which it must read.
    fn list(&mut self, item: impl FnMut(&mut Self) -> Read<()>) -> Read<()>;

    /// Calls `entry` after each key; it must read the value.
    fn map(&mut self, entry: impl FnMut(&mut Self, &str) -> Read<()>) -> Read<()>;

    /// Like [`Reader::entries`], for keys that the protocol knows: as bytes, which is cheaper.
    fn fields(&mut self, field: impl FnMut(&mut Self, &[u8]) -> Read<()>) -> Read<()>;

    fn skip_null(&mut self) -> Read<()>;

    /// Skips what is a number by its [`Kind`]: also one that is not finite, if the format has such.
    fn skip_number(&mut self) -> Read<()> {
        self.number().map(drop)
    }

    fn skip_foreign(&mut self) -> Read<()>;

    /// A list or map as JSON text.
    fn nested(&mut self) -> Read<Cow<'a, str>>;

    /// Succeeds at the end of the input only.
    fn end(&mut self) -> Read<()>;

    /// Like [`Reader::map`], without the keys whose value is null.
    fn entries(&mut self, mut entry: impl FnMut(&mut Self, &str) -> Read<()>) -> Read<()> {
        self.map(|r, key| if r.kind()? == Kind::Null { r.skip_null() } else { entry(r, key) })
    }

    fn items<T: Decode>(&mut self) -> Read<Vec<T>> {
        let mut items = Vec::new();
        self.items_into(&mut items, T::read_onto)?;
        Ok(items)
    }

    /// Like [`Reader::items`], in the place of those that are there; `read_onto` reads one more.
    fn items_into<T>(
        &mut self,
        items: &mut Vec<T>,
        mut read_onto: impl FnMut(&mut Vec<T>, &mut Self) -> Read<()>,
    ) -> Read<()> {
        items.clear();
        self.list(|r| {
            if items.len() == MAX_ITEMS {
                return Err(Problem::Malformed("too many items"));
            }
            if items.is_empty() {
                // Most lists have one item, which may be kept for long.
                *items = Vec::with_capacity(1);
            }
            read_onto(items, r)
        })
    }

    fn shared(&mut self) -> Read<Arc<str>> {
        Ok(self.text()?.into())
    }

    /// Like [`Reader::shared`], with the text that is known if it is the same.
    fn shared_if_known(&mut self, known: Option<&Arc<str>>) -> Read<Arc<str>> {
        let text = self.text()?;
        match known {
            Some(known) if **known == *text => Ok(Arc::clone(known)),
            Some(_) | None => Ok(text.into()),
        }
    }

    /// An integer within the range of `T`, also one that travels as a float.
    #[inline]
    fn integer<T: TryFrom<i128>>(&mut self) -> Read<T> {
        let integer = match self.natural() {
            Some(natural) => Some(natural.into()),
            None => self.any_integer()?,
        };
        integer
            .and_then(|integer| T::try_from(integer).ok())
            .ok_or(Problem::Malformed("integer expected"))
    }

    #[inline(never)]
    fn any_integer(&mut self) -> Read<Option<i128>> {
        Ok(integral(&self.number()?))
    }

    /// A text, or a number or boolean as text.
    fn scalar_text(&mut self) -> Read<Cow<'a, str>> {
        match self.kind()? {
            Kind::Number => Ok(self.number()?.to_string().into()),
            Kind::Boolean => Ok(if self.boolean()? { "true".into() } else { "false".into() }),
            Kind::Null | Kind::Text | Kind::Binary | Kind::List | Kind::Map | Kind::Foreign => {
                self.text()
            }
        }
    }

    /// Any value that JSON has.
    fn value(&mut self) -> Read<Value> {
        match self.kind()? {
            Kind::Null => self.skip_null().map(|()| Value::Null),
            Kind::Boolean => self.boolean().map(Value::Bool),
            Kind::Number => self.number().map(Value::Number),
            Kind::Text => self.text().map(|text| Value::String(text.into_owned())),
            Kind::List => {
                let mut list = Vec::new();
                self.list(|r| {
                    list.push(r.value()?);
                    Ok(())
                })?;
                Ok(Value::Array(list))
            }
            Kind::Map => self.object().map(Value::Object),
            Kind::Binary | Kind::Foreign => Err(Problem::NotJson("binary within JSON")),
        }
    }

    fn object(&mut self) -> Read<Map<String, Value>> {
        let mut object = Map::new();
        self.map(|r, key| {
            let value = r.value()?;
            object.insert(key.to_owned(), value);
            Ok(())
        })?;
        Ok(object)
    }

    /// Reads any value without keeping it; it must be well-formed.
    fn skip(&mut self) -> Read<()> {
        match self.kind()? {
            Kind::Null => self.skip_null(),
            Kind::Boolean => self.boolean().map(drop),
            Kind::Number => self.skip_number(),
            Kind::Text => self.text().map(drop),
            Kind::Binary => self.binary().map(drop),
            Kind::List => self.list(Self::skip),
            Kind::Map => self.map(|r, _| r.skip()),
            Kind::Foreign => self.skip_foreign(),
        }
    }
}

/// Counts one level of nesting in.
pub(crate) fn descend(depth: &mut u32) -> Read<()> {
    if *depth == MAX_DEPTH {
        return Err(Problem::Malformed("nested too deeply"));
    }
    *depth += 1;
    Ok(())
}

fn integral(number: &Number) -> Option<i128> {
    /// Beyond this, floats do not tell integers apart.
    const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
    if let Some(integer) = number.as_i128() {
        return Some(integer);
    }
    let float = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= MAX_EXACT)?;
    #[expect(clippy::cast_possible_truncation, reason = "integral and within 54 bits")]
    Some(float as i128)
}
