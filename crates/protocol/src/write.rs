//! What a format's encoder offers to the descriptions of fields: an append-only writer that cannot
//! fail. Absent fields are left out.

use serde_json::{Map, Number, Value};

/// A type that travels in both formats.
pub(crate) trait Encode {
    fn write<W: Writer>(&self, w: &mut W);
}

pub(crate) trait Writer: Sized {
    /// Whether [`Writer::binary`] writes base64 text, for want of binary values.
    const BINARY_IS_BASE64: bool;

    fn with_capacity(bytes: usize) -> Self;
    fn finish(self) -> Vec<u8>;

    /// Opens a map whose size is told at its end; returns what [`Writer::end_map`] needs.
    fn begin_map(&mut self) -> usize;
    /// A key of the protocol, which needs no escapes; `index` counts the keys of the map.
    fn key(&mut self, index: usize, key: &'static str);
    /// A key that somebody else chose.
    fn foreign_key(&mut self, index: usize, key: &str);
    fn end_map(&mut self, start: usize, len: usize);
    fn begin_list(&mut self, len: usize);
    /// Before each item; `index` counts them.
    fn item(&mut self, index: usize);
    fn end_list(&mut self);

    fn null(&mut self);
    #[expect(clippy::fn_params_excessive_bools, reason = "the value to write, not a switch")]
    fn boolean(&mut self, value: bool);
    fn integer(&mut self, value: i64);
    fn unsigned(&mut self, value: u64);
    fn number(&mut self, value: &Number);
    fn text(&mut self, value: &str);
    /// A text in pieces.
    fn joined(&mut self, pieces: &[&str]);
    /// A text of ASCII without anything that would be escaped.
    fn plain(&mut self, value: &[u8]);
    fn binary(&mut self, value: &[u8]);
    /// A value that is in this format already.
    fn encoded(&mut self, value: &[u8]);

    fn map(&mut self, fields: impl FnOnce(&mut Fields<'_, Self>)) {
        let start = self.begin_map();
        let mut open = Fields { writer: self, len: 0 };
        fields(&mut open);
        let len = open.len;
        self.end_map(start, len);
    }

    fn list<T>(
        &mut self,
        items: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        let items = items.into_iter();
        self.begin_list(items.len());
        for (index, item) in items.enumerate() {
            self.item(index);
            write(self, item);
        }
        self.end_list();
    }

    fn items<T: Encode>(&mut self, items: &[T]) {
        self.list(items, |w, item| item.write(w));
    }

    fn object(&mut self, object: &Map<String, Value>) {
        self.map(|f| {
            for (key, value) in object {
                f.foreign_field(key).value(value);
            }
        });
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.null(),
            Value::Bool(value) => self.boolean(*value),
            Value::Number(value) => self.number(value),
            Value::String(value) => self.text(value),
            Value::Array(values) => self.list(values, Self::value),
            Value::Object(object) => self.object(object),
        }
    }
}

/// A map being written.
pub(crate) struct Fields<'w, W> {
    writer: &'w mut W,
    len: usize,
}

impl<W: Writer> Fields<'_, W> {
    /// Writes the key; the caller writes the value.
    #[inline]
    pub(crate) fn field(&mut self, key: &'static str) -> &mut W {
        self.writer.key(self.len, key);
        self.len += 1;
        self.writer
    }

    /// Like [`Fields::field`], for a key that somebody else chose.
    pub(crate) fn foreign_field(&mut self, key: &str) -> &mut W {
        self.writer.foreign_key(self.len, key);
        self.len += 1;
        self.writer
    }

    #[inline]
    pub(crate) fn text(&mut self, key: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.field(key).text(value);
        }
    }

    #[inline]
    pub(crate) fn unsigned(&mut self, key: &'static str, value: Option<impl Into<u64>>) {
        if let Some(value) = value {
            self.field(key).unsigned(value.into());
        }
    }

    pub(crate) fn object(&mut self, key: &'static str, value: Option<&Map<String, Value>>) {
        if let Some(value) = value {
            self.field(key).object(value);
        }
    }

    pub(crate) fn value<T: Encode>(&mut self, key: &'static str, value: Option<&T>) {
        if let Some(value) = value {
            value.write(self.field(key));
        }
    }

    /// A list, unless it is empty.
    pub(crate) fn items<T: Encode>(&mut self, key: &'static str, items: &[T]) {
        if !items.is_empty() {
            self.field(key).items(items);
        }
    }
}
