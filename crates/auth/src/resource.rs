//! The resources of a capability: which channels, queues or metachannels a rule is about.
//!
//! `[kind]name`, or `name` alone for plain channels; the kind `[*]` is any kind, plain ones
//! included. Names are matched by segments between colons: `*` stands for one whole segment, at the
//! end for one or more; anywhere else (`foo*`) it is an ordinary character. The name of a chat room
//! or a space stands for its channels as well.

use std::fmt;

/// What kind of thing a resource is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    Named(Box<str>),
    Any,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(Box<str>),
    One,
}

/// A pattern of resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    kind: Kind,
    segments: Vec<Segment>,
    /// One or more segments follow.
    open: bool,
}

impl Resource {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (kind, name) = split_kind(text)?;
        let kind = match kind {
            None => Kind::Plain,
            Some("*") => Kind::Any,
            Some(kind) => Kind::Named(kind.into()),
        };
        let mut segments: Vec<Segment> = name.split(':').map(Segment::parse).collect();
        let open = segments.pop_if(|last| *last == Segment::One).is_some();
        (!name.is_empty()).then_some(Self { kind, segments, open })
    }

    /// Of two patterns that match the same resource, the more specific has the lesser one: where they
    /// first differ, a name comes before `*` for one segment, and that before `*` for the rest.
    pub(crate) fn generality(&self) -> Vec<u8> {
        let segment = |segment: &Segment| match segment {
            Segment::Literal(_) => 0,
            Segment::One => 1,
        };
        self.segments.iter().map(segment).chain(self.open.then_some(2)).collect()
    }

    /// Whether exactly one resource matches.
    pub(crate) fn is_exact(&self) -> bool {
        self.kind != Kind::Any && !self.open && !self.segments.contains(&Segment::One)
    }

    /// Whether every plain channel matches.
    pub(crate) fn is_every_channel(&self) -> bool {
        self.open && self.segments.is_empty() && matches!(self.kind, Kind::Plain | Kind::Any)
    }

    /// Whether the resource that `text` names (without wildcards) matches, whomever it belongs to.
    pub(crate) fn matches(&self, text: &str) -> bool {
        split_kind(text).is_some_and(|(kind, name)| {
            let same_kind = match &self.kind {
                Kind::Any => true,
                Kind::Plain => kind.is_none(),
                Kind::Named(own) => kind == Some(own),
            };
            same_kind && self.matches_name(name)
        })
    }

    fn matches_name(&self, name: &str) -> bool {
        let mut parts = name.split(':');
        let prefix = self.segments.iter().all(|segment| {
            parts.next().is_some_and(|part| match segment {
                Segment::Literal(literal) => part == literal.as_ref(),
                Segment::One => true,
            })
        });
        prefix && parts.next().is_some() == self.open
    }

    /// The pattern of what both match; none if that is nothing.
    pub(crate) fn meet(&self, other: &Self) -> Option<Self> {
        self.meet_by_name(other)
            .or_else(|| self.meet_owner(other))
            .or_else(|| other.meet_owner(self))
    }

    /// The channel of a room or space, and what may be the name of that room or space.
    fn meet_owner(&self, other: &Self) -> Option<Self> {
        let [owner @ .., Segment::Literal(empty), Segment::Literal(last)] = &*self.segments else {
            return None;
        };
        if self.open || !empty.is_empty() || !types::CHANNELS_OF_OWNERS.contains(&&**last) {
            return None;
        }
        let owner = Self { segments: owner.to_vec(), ..self.clone() };
        let mut met = owner.meet_by_name(other)?;
        met.segments.extend([Segment::Literal(empty.clone()), Segment::Literal(last.clone())]);
        Some(met)
    }

    fn meet_by_name(&self, other: &Self) -> Option<Self> {
        let (short, long) =
            if self.segments.len() <= other.segments.len() { (self, other) } else { (other, self) };
        let lengths_fit = if short.segments.len() == long.segments.len() {
            short.open == long.open
        } else {
            short.open
        };
        if !lengths_fit {
            return None;
        }
        let (shared, rest) = long.segments.split_at_checked(short.segments.len())?;
        let mut segments = short
            .segments
            .iter()
            .zip(shared)
            .map(|(a, b)| a.meet(b))
            .collect::<Option<Vec<_>>>()?;
        segments.extend_from_slice(rest);
        Some(Self { kind: self.kind.meet(&other.kind)?, segments, open: long.open })
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Plain => {}
            Kind::Any => f.write_str("[*]")?,
            Kind::Named(kind) => write!(f, "[{kind}]")?,
        }
        let tail = self.open.then_some("*");
        for (index, text) in self.segments.iter().map(Segment::text).chain(tail).enumerate() {
            if index > 0 {
                f.write_str(":")?;
            }
            f.write_str(text)?;
        }
        Ok(())
    }
}

impl Kind {
    fn meet(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Any, kind) | (kind, Self::Any) => Some(kind.clone()),
            (a, b) => (a == b).then(|| a.clone()),
        }
    }
}

impl Segment {
    fn parse(text: &str) -> Self {
        if text == "*" { Self::One } else { Self::Literal(text.into()) }
    }

    fn text(&self) -> &str {
        match self {
            Self::Literal(text) => text,
            Self::One => "*",
        }
    }

    fn meet(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::One, segment) | (segment, Self::One) => Some(segment.clone()),
            (a, b) => (a == b).then(|| a.clone()),
        }
    }
}

/// The kind, if there is one, and the name.
fn split_kind(text: &str) -> Option<(Option<&str>, &str)> {
    match text.strip_prefix('[') {
        None => Some((None, text)),
        Some(rest) => {
            let (kind, name) = rest.split_once(']')?;
            (!kind.is_empty()).then_some((Some(kind), name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(text: &str) -> Resource {
        Resource::parse(text).unwrap()
    }

    #[test]
    fn a_pattern_matches_what_its_wildcards_say() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("foo", &["foo"], &["foo:bar", "fo", "foobar", "[meta]foo"]),
            ("foo:*", &["foo:bar", "foo:bar:baz", "foo:"], &["foo", "foobar", "fo:o"]),
            ("foo:*:baz", &["foo:bar:baz"], &["foo:bar:bam:baz", "foo:baz", "foo:bar:bazz"]),
            ("*:baz", &["a:baz"], &["a:b:baz", "baz"]),
            ("*:*", &["a:b", "a:b:c"], &["a"]),
            ("foo*", &["foo*"], &["foo", "foobar"]),
            ("a:foo*", &["a:foo*"], &["a:foob"]),
            ("*", &["a", "a:b:c", "*"], &["[meta]log", "[filter]a"]),
            ("[meta]*", &["[meta]log", "[meta]a:b"], &["log", "[filter]log"]),
            ("[meta]log", &["[meta]log"], &["[meta]x", "log"]),
            ("[filter]a:*", &["[filter]a:b"], &["[filter]a", "a:b"]),
            ("[*]*", &["a", "a:b", "[meta]log", "[filter]a"], &["[x"]),
            ("[*]a", &["a", "[filter]a"], &["b", "[filter]b"]),
        ];
        for (pattern, yes, no) in cases {
            for name in *yes {
                assert!(resource(pattern).matches(name), "{pattern} should match {name}");
            }
            for name in *no {
                assert!(!resource(pattern).matches(name), "{pattern} should not match {name}");
            }
        }
    }

    #[test]
    fn two_patterns_meet_in_what_both_match() {
        let cases = [
            ("*", "foo", Some("foo")),
            ("*", "foo:*", Some("foo:*")),
            ("foo:*", "foo:bar:*", Some("foo:bar:*")),
            ("foo:*", "foo", None),
            ("foo:*", "bar:*", None),
            ("foo:*", "*:bar", Some("foo:bar")),
            ("a:*:c", "*:b:c", Some("a:b:c")),
            ("a:*:c", "a:*", Some("a:*:c")),
            ("a:*:c", "a:b", None),
            ("*:*", "a:*", Some("a:*")),
            ("*", "[meta]x", None),
            ("[*]*", "[meta]x", Some("[meta]x")),
            ("[*]*", "*", Some("*")),
            ("[*]a", "[filter]*", Some("[filter]a")),
            ("[meta]*", "[filter]*", None),
            ("foo*", "foo*", Some("foo*")),
            ("foo*", "foobar", None),
            ("room", "room::$chat", Some("room::$chat")),
            ("a:*:c", "a:b:c::$space", Some("a:b:c::$space")),
            ("a:*", "a:b::$cursors", Some("a:b::$cursors")),
            ("a", "a:b::$chat", None),
            ("room", "room:$chat", None),
            ("room", "room::$other", None),
            ("room", "room:*", None),
        ];
        for (a, b, both) in cases {
            for (a, b) in [(a, b), (b, a)] {
                let met = resource(a).meet(&resource(b)).map(|resource| resource.to_string());
                assert_eq!(met.as_deref(), both, "{a} and {b}");
            }
        }
    }

    #[test]
    fn a_pattern_is_written_as_it_was_read() {
        for text in ["a", "*", "a:*", "*:a", "a:*:c:*", "[meta]*", "[*]*", "[*]a:b", "a::b", "x*"] {
            assert_eq!(resource(text).to_string(), text);
        }
    }

    #[test]
    fn malformed_patterns_are_refused() {
        for text in ["", "[meta]", "[meta", "[]a", "["] {
            assert_eq!(Resource::parse(text), None, "{text}");
        }
    }
}
