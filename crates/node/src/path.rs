//! Paths to objects: keys with dots between them; `*` stands for every key of one map, and `\` takes
//! the character behind it as it is.

use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    Key(String),
    Any,
}

impl Path {
    /// An empty text is the path that leads nowhere else.
    pub(crate) fn parse(text: &str) -> Self {
        let mut segments = Vec::new();
        let (mut key, mut escaped) = (String::new(), false);
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match character {
                '\\' => {
                    escaped = true;
                    key.extend(characters.next());
                }
                '.' => {
                    segments.push(Segment::new(std::mem::take(&mut key), escaped));
                    escaped = false;
                }
                other => key.push(other),
            }
        }
        if !text.is_empty() {
            segments.push(Segment::new(key, escaped));
        }
        Self { text: text.to_owned(), segments }
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Segment {
    #[expect(clippy::fn_params_excessive_bools, reason = "whether it happened")]
    fn new(key: String, escaped: bool) -> Self {
        if key == "*" && !escaped { Self::Any } else { Self::Key(key) }
    }

    pub(crate) fn selects(&self, key: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Key(own) => own == key,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_separate_unless_escaped() {
        let key = |key: &str| Segment::Key(key.into());
        for (text, segments) in [
            ("", vec![]),
            ("a", vec![key("a")]),
            ("a.b", vec![key("a"), key("b")]),
            ("a..b", vec![key("a"), key(""), key("b")]),
            (r"a\.b.c\\", vec![key("a.b"), key(r"c\")]),
            ("a.*", vec![key("a"), Segment::Any]),
            (r"\*.**", vec![key("*"), key("**")]),
        ] {
            assert_eq!(Path::parse(text).segments(), segments, "{text}");
        }
    }
}
