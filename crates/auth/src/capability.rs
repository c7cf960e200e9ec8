//! Capabilities: which operations are allowed on which resources.
//!
//! The text form is JSON, `{"resource":["operation",…]}`. The canonical form has resources and
//! operations in alphabetical order and no spaces; `["*"]` stays `["*"]`. What is allowed on a
//! channel is what all rules that match it allow together.
//!
//! Which operation a frame or request needs is not decided here.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;
use types::error::{BAD_REQUEST, CAPABILITY_MISSING};
use types::{ErrorInfo, Metachannel};

use crate::resource::Resource;

/// Longest capability text that is read, in bytes; beyond it 40000.
const MAX_TEXT: usize = 64 << 10;
/// Most resources that a capability has; beyond it 40000. Intersecting is quadratic in it.
const MAX_RESOURCES: usize = 512;

/// All that anybody can be allowed to do on a metachannel.
const ON_METACHANNELS: [Operation; 3] =
    [Operation::ChannelMetadata, Operation::History, Operation::Subscribe];

/// Something that a client may be allowed to do. In the order of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    AnnotationPublish,
    AnnotationSubscribe,
    ChannelMetadata,
    History,
    MessageDeleteAny,
    MessageDeleteOwn,
    MessageUpdateAny,
    MessageUpdateOwn,
    ObjectPublish,
    ObjectSubscribe,
    Presence,
    PrivilegedHeaders,
    Publish,
    PushAdmin,
    PushSubscribe,
    Stats,
    Subscribe,
}

impl Operation {
    pub const ALL: [Self; 17] = [
        Self::AnnotationPublish,
        Self::AnnotationSubscribe,
        Self::ChannelMetadata,
        Self::History,
        Self::MessageDeleteAny,
        Self::MessageDeleteOwn,
        Self::MessageUpdateAny,
        Self::MessageUpdateOwn,
        Self::ObjectPublish,
        Self::ObjectSubscribe,
        Self::Presence,
        Self::PrivilegedHeaders,
        Self::Publish,
        Self::PushAdmin,
        Self::PushSubscribe,
        Self::Stats,
        Self::Subscribe,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::AnnotationPublish => "annotation-publish",
            Self::AnnotationSubscribe => "annotation-subscribe",
            Self::ChannelMetadata => "channel-metadata",
            Self::History => "history",
            Self::MessageDeleteAny => "message-delete-any",
            Self::MessageDeleteOwn => "message-delete-own",
            Self::MessageUpdateAny => "message-update-any",
            Self::MessageUpdateOwn => "message-update-own",
            Self::ObjectPublish => "object-publish",
            Self::ObjectSubscribe => "object-subscribe",
            Self::Presence => "presence",
            Self::PrivilegedHeaders => "privileged-headers",
            Self::Publish => "publish",
            Self::PushAdmin => "push-admin",
            Self::PushSubscribe => "push-subscribe",
            Self::Stats => "stats",
            Self::Subscribe => "subscribe",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }
}

/// A set of operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operations(u32);

impl Operations {
    /// Every operation, also those that later versions add: `["*"]`.
    const EVERY: Self = Self(u32::MAX);

    pub fn contains(self, operation: Operation) -> bool {
        self.0 & (1 << operation as u32) != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn of(operations: &[Operation]) -> Self {
        Self(operations.iter().fold(0, |set, operation| set | 1 << *operation as u32))
    }

    fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn meet(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// None unless `names` is `["*"]`, or one or more names of operations.
    fn from_names(names: &[String]) -> Option<Self> {
        match names {
            [] => None,
            [only] if only == "*" => Some(Self::EVERY),
            names => names.iter().try_fold(Self::default(), |set, name| {
                Some(Self(set.0 | 1 << Operation::from_name(name)? as u32))
            }),
        }
    }

    fn names(self) -> Vec<&'static str> {
        if self == Self::EVERY {
            return vec!["*"];
        }
        let contained = Operation::ALL.into_iter().filter(|operation| self.contains(*operation));
        contained.map(Operation::name).collect()
    }
}

/// Compiled for `permits`, which is asked for every publish: rules for all channels are one set,
/// rules for one resource are looked up, and only the others are tried in turn.
#[derive(Clone, Debug, Default)]
pub struct Capability {
    /// By the text of the resource; the canonical form.
    rules: BTreeMap<Box<str>, Operations>,
    /// What `*` and `[*]*` allow on plain channels.
    everywhere: Operations,
    patterns: Vec<(Resource, Operations)>,
}

impl PartialEq for Capability {
    fn eq(&self, other: &Self) -> bool {
        self.rules == other.rules
    }
}

impl Eq for Capability {}

impl Capability {
    /// Reads the JSON text; 40000 if it is malformed or names an unknown operation.
    pub fn parse(json: &str) -> Result<Self, ErrorInfo> {
        if json.len() > MAX_TEXT {
            return Err(BAD_REQUEST.with("capability too long"));
        }
        let rules: BTreeMap<String, Vec<String>> = serde_json::from_str(json).map_err(|error| {
            // The error may quote the text, the category does not.
            BAD_REQUEST.with(format!("invalid capability: {:?} error", error.classify()))
        })?;
        check_size(rules.len())?;
        let mut parsed = BTreeMap::new();
        for (text, names) in rules {
            let operations =
                Operations::from_names(&names).ok_or_else(|| invalid("operations", &text))?;
            let resource = Resource::parse(&text).ok_or_else(|| invalid("resource", &text))?;
            parsed.insert(text.into_boxed_str(), (resource, operations));
        }
        Ok(Self::compile(parsed))
    }

    /// What both allow; 40160 if that is nothing.
    pub fn intersect(&self, other: &Self) -> Result<Self, ErrorInfo> {
        let mut common: BTreeMap<Box<str>, (Resource, Operations)> = BTreeMap::new();
        let others = other.resources();
        for (own, own_operations) in self.resources() {
            for (their, their_operations) in &others {
                let operations = own_operations.meet(*their_operations);
                let Some(resource) = own.meet(their).filter(|_| !operations.is_empty()) else {
                    continue;
                };
                let text = resource.to_string().into_boxed_str();
                let rule = common.entry(text).or_insert((resource, Operations::default()));
                rule.1 = rule.1.union(operations);
            }
            check_size(common.len())?;
        }
        if common.is_empty() {
            return Err(CAPABILITY_MISSING.with("the key has nothing of the requested capability"));
        }
        Ok(Self::compile(common))
    }

    /// Whether `operation` is allowed on `resource`: a channel's name, or `[kind]name`.
    pub fn permits(&self, resource: &str, operation: Operation) -> bool {
        self.matching(resource).any(|operations| operations.contains(operation))
    }

    /// Whether anything is allowed on `resource`.
    pub fn permits_any(&self, resource: &str) -> bool {
        self.matching(resource).any(|operations| !operations.is_empty())
    }

    /// Whether `operation` is allowed on all channels, as operations on the app need (stats,
    /// enumeration of channels).
    pub fn permits_everywhere(&self, operation: Operation) -> bool {
        self.everywhere.contains(operation)
    }

    /// Whether `operation` is allowed on anything at all.
    pub fn permits_somewhere(&self, operation: Operation) -> bool {
        self.rules.values().any(|operations| operations.contains(operation))
    }

    /// The resources, as they are written.
    pub fn resource_names(&self) -> impl Iterator<Item = &str> {
        self.rules.keys().map(AsRef::as_ref)
    }

    /// All that is allowed on `resource`.
    pub fn operations(&self, resource: &str) -> Operations {
        self.matching(resource).fold(Operations::default(), Operations::union)
    }

    /// Rules for a room or space are about the channels that belong to it, too.
    fn matching<'a>(&'a self, resource: &'a str) -> impl Iterator<Item = Operations> + 'a {
        let owner = std::iter::once_with(|| types::owner_of_channel(resource)).flatten();
        self.matching_exactly(resource).chain(owner.flat_map(|owner| self.matching_exactly(owner)))
    }

    fn matching_exactly<'a>(&'a self, resource: &'a str) -> impl Iterator<Item = Operations> + 'a {
        let possible = if resource.starts_with(Metachannel::PREFIX) {
            Operations::of(&ON_METACHANNELS)
        } else {
            Operations::EVERY
        };
        let everywhere = (!resource.starts_with('[')).then_some(self.everywhere);
        let exact = std::iter::once_with(|| self.rules.get(resource).copied()).flatten();
        let patterns = self.patterns.iter().filter(|(pattern, _)| pattern.matches(resource));
        let patterns = patterns.map(|(_, operations)| *operations);
        everywhere.into_iter().chain(exact).chain(patterns).map(move |set| set.meet(possible))
    }

    fn resources(&self) -> Vec<(Resource, Operations)> {
        self.rules
            .iter()
            .filter_map(|(text, operations)| Some((Resource::parse(text)?, *operations)))
            .collect()
    }

    fn compile(rules: BTreeMap<Box<str>, (Resource, Operations)>) -> Self {
        let mut compiled = Self::default();
        for (text, (resource, operations)) in rules {
            compiled.rules.insert(text, operations);
            if resource.is_every_channel() {
                compiled.everywhere = compiled.everywhere.union(operations);
            }
            if !resource.is_exact() {
                compiled.patterns.push((resource, operations));
            }
        }
        compiled
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules: serde_json::Map<String, Value> = self
            .rules
            .iter()
            .map(|(resource, operations)| (resource.to_string(), operations.names().into()))
            .collect();
        write!(f, "{}", Value::Object(rules))
    }
}

fn invalid(what: &str, resource: &str) -> ErrorInfo {
    let shown: String = resource.chars().take(64).collect();
    BAD_REQUEST.with(format!("invalid capability: {what} of '{shown}'"))
}

fn check_size(resources: usize) -> Result<(), ErrorInfo> {
    if resources > MAX_RESOURCES {
        return Err(BAD_REQUEST.with("too many resources in a capability"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As the reference fixtures have it.
    const KEY_1: &str = r#"{ "cansubscribe:*":["subscribe"], "canpublish:*":["publish"],
        "canpublish:andpresence":["presence","publish"],
        "pushenabled:*":["publish","subscribe","push-subscribe"],
        "pushenabled:admin:*":["publish","subscribe","push-admin"] }"#;
    const KEY_2: &str = r#"{ "channel0":["publish"], "channel2":["publish", "subscribe"],
        "channel4":["presence", "publish", "subscribe"], "channel6":["*"] }"#;
    const KEY_3: &str = r#"{"*":["subscribe"]}"#;

    fn capability(json: &str) -> Capability {
        Capability::parse(json).unwrap()
    }

    #[test]
    fn the_canonical_form_is_sorted_and_stable() {
        let cases = [
            (
                r#"{"b":["subscribe","publish"], "a":["*"]}"#,
                r#"{"a":["*"],"b":["publish","subscribe"]}"#,
            ),
            (r#"{"a":["publish","publish"]}"#, r#"{"a":["publish"]}"#),
            (r#"{"quo\"te":["stats"]}"#, r#"{"quo\"te":["stats"]}"#),
            ("{}", "{}"),
        ];
        for (given, canonical) in cases {
            assert_eq!(capability(given).to_string(), canonical);
            assert_eq!(capability(canonical).to_string(), canonical);
        }
    }

    #[test]
    fn on_a_metachannel_nobody_may_do_more_than_read() {
        for json in [r#"{"[*]*":["*"]}"#, r#"{"[meta]*":["*"]}"#, r#"{"[meta]log":["*"]}"#] {
            let capability = capability(json);
            for operation in Operation::ALL {
                let reads = ON_METACHANNELS.contains(&operation);
                assert_eq!(capability.permits("[meta]log", operation), reads, "{operation:?}");
            }
        }
        let publisher = capability(r#"{"[meta]log":["publish"]}"#);
        assert!(!publisher.permits_any("[meta]log"));
        assert!(!capability(r#"{"*":["*"]}"#).permits_any("[meta]log"));
    }

    #[test]
    fn operations_are_in_the_order_of_their_names() {
        assert!(Operation::ALL.is_sorted_by_key(|operation| operation.name()));
        assert!(Operation::ALL.is_sorted_by_key(|operation| *operation as u32));
        for operation in Operation::ALL {
            assert_eq!(Operation::from_name(operation.name()), Some(operation));
        }
    }

    #[test]
    fn malformed_capabilities_are_refused_with_40000() {
        let many: String = (0..=MAX_RESOURCES).map(|n| format!(r#""{n}":["*"],"#)).collect();
        let cases = [
            "",
            "[]",
            "null",
            "{",
            r#""*""#,
            r#"{"a":"*"}"#,
            r#"{"a":[1]}"#,
            r#"{"a":["publish_"]}"#,
            r#"{"a":["*","publish"]}"#,
            r#"{"a":["publish","*"]}"#,
            r#"{"a":[]}"#,
            r#"{"":["*"]}"#,
            r#"{"[meta":["*"]}"#,
            r#"{"[]a":["*"]}"#,
            &format!(r#"{{{many}"a":["*"]}}"#),
            &" ".repeat(MAX_TEXT + 1),
        ];
        for json in cases {
            let error = Capability::parse(json).unwrap_err();
            assert_eq!((error.code, error.status), (40000, 400), "{json:.80}");
        }
    }

    #[test]
    fn an_intersection_is_what_both_allow() {
        let cases = [
            (KEY_1, KEY_1, KEY_1),
            (r#"{"*":["*"]}"#, KEY_1, KEY_1),
            (r#"{"channel2":["presence","subscribe"]}"#, KEY_2, r#"{"channel2":["subscribe"]}"#),
            (
                r#"{"channel2":["presence","subscribe"],"channelx":["presence","subscribe"]}"#,
                KEY_2,
                r#"{"channel2":["subscribe"]}"#,
            ),
            (r#"{"channel2":["*"]}"#, KEY_2, r#"{"channel2":["publish","subscribe"]}"#),
            (
                r#"{"channel6":["publish","subscribe"]}"#,
                KEY_2,
                r#"{"channel6":["publish","subscribe"]}"#,
            ),
            (r#"{"channel6":["*"]}"#, KEY_2, r#"{"channel6":["*"]}"#),
            (r#"{"cansubscribe":["subscribe"]}"#, KEY_3, r#"{"cansubscribe":["subscribe"]}"#),
            (r#"{"canpublish:check":["publish"]}"#, KEY_1, r#"{"canpublish:check":["publish"]}"#),
            (r#"{"cansubscribe:*":["subscribe"]}"#, KEY_3, r#"{"cansubscribe:*":["subscribe"]}"#),
            (
                r#"{"canpublish:andpresence":["*"]}"#,
                KEY_1,
                r#"{"canpublish:andpresence":["presence","publish"]}"#,
            ),
            (r#"{"[*]*":["*"]}"#, r#"{"[meta]*":["subscribe"]}"#, r#"{"[meta]*":["subscribe"]}"#),
        ];
        for (a, b, expected) in cases {
            assert_eq!(capability(a).intersect(&capability(b)).unwrap(), capability(expected));
            assert_eq!(capability(b).intersect(&capability(a)).unwrap(), capability(expected));
        }
    }

    #[test]
    fn an_empty_intersection_is_refused_with_40160() {
        let cases = [
            (r#"{"canpublish:test":["subscribe"]}"#, KEY_1),
            (r#"{"channelx":["publish"]}"#, KEY_2),
            (r#"{"[meta]log":["subscribe"]}"#, KEY_3),
            ("{}", KEY_1),
        ];
        for (a, b) in cases {
            let error = capability(a).intersect(&capability(b)).unwrap_err();
            assert_eq!((error.code, error.status), (40160, 401), "{a}");
        }
    }

    #[test]
    fn an_intersection_of_many_wildcards_is_bounded() {
        let rules = |wildcard_first: bool| {
            let rule = |n| match wildcard_first {
                true => format!(r#""*:{n}:*":["*"]"#),
                false => format!(r#""{n}:*:*":["*"]"#),
            };
            capability(&format!("{{{}}}", (0..400).map(rule).collect::<Vec<_>>().join(",")))
        };
        assert_eq!(rules(true).intersect(&rules(false)).unwrap_err().code, 40000);
    }

    #[test]
    fn matching_rules_allow_together_what_each_allows() {
        let capability = capability(
            r#"{"*":["subscribe"],"a":["publish"],"a:*":["presence"],"[*]a:b":["history"],
                "[meta]log":["*"]}"#,
        );
        let allowed = |resource: &str| capability.operations(resource).names().join(",");
        assert_eq!(allowed("a"), "publish,subscribe");
        assert_eq!(allowed("a:b"), "history,presence,subscribe");
        assert_eq!(allowed("b"), "subscribe");
        assert_eq!(allowed("[filter]a:b"), "history");
        assert_eq!(allowed("[meta]log"), "channel-metadata,history,subscribe");
        assert_eq!(allowed("[meta]x"), "");
        assert!(!capability.permits_any("[meta]x"));
        assert!(capability.permits_any("anything"));
        assert!(capability.permits("a", Operation::Publish));
        assert!(!capability.permits("b", Operation::Publish));
    }

    #[test]
    fn rules_for_a_room_or_space_are_about_its_channels() {
        let capability = capability(r#"{"a":["publish"],"b:*":["history"],"c::$chat":["stats"]}"#);
        let allowed = |resource: &str| capability.operations(resource).names().join(",");
        for channel in ["a::$chat", "a::$space", "a::$cursors"] {
            assert_eq!(allowed(channel), "publish");
        }
        assert_eq!(allowed("b:x::$chat"), "history");
        assert_eq!(allowed("c::$chat"), "stats");
        for other in ["c", "c::$space", "a:b::$chat", "a::$other", "a::$chat:x"] {
            assert_eq!(allowed(other), "", "{other}");
        }
    }

    #[test]
    fn operations_on_the_app_need_a_rule_for_all_channels() {
        let stats = |json| capability(json).permits_everywhere(Operation::Stats);
        assert!(stats(r#"{"*":["stats"]}"#));
        assert!(stats(r#"{"[*]*":["*"]}"#));
        assert!(!stats(r#"{"a:*":["*"],"[meta]*":["*"],"*":["publish"]}"#));
    }

    fn arbitrary_capability() -> impl Strategy<Value = Capability> {
        let segment = prop::sample::select(vec!["a", "b", "*"]);
        let name = prop::collection::vec(segment, 1..4).prop_map(|parts| parts.join(":"));
        let kind = prop::sample::select(vec!["", "[*]", "[meta]"]);
        let operations =
            prop::sample::select(vec![r#"["*"]"#, r#"["publish"]"#, r#"["publish","history"]"#]);
        let rule = (kind, name, operations);
        prop::collection::vec(rule, 1..5).prop_map(|rules| {
            let rules: BTreeMap<String, &str> = rules
                .into_iter()
                .map(|(kind, name, operations)| (kind.to_owned() + &name, operations))
                .collect();
            let rules: Vec<String> =
                rules.iter().map(|(name, ops)| format!("\"{name}\":{ops}")).collect();
            capability(&format!("{{{}}}", rules.join(",")))
        })
    }

    proptest! {
        #[test]
        fn an_intersection_permits_exactly_what_both_permit(
            a in arbitrary_capability(),
            b in arbitrary_capability(),
            kind in prop::sample::select(vec!["", "[meta]", "[filter]"]),
            name in "[abc](:[abc]){0,4}",
        ) {
            let resource = format!("{kind}{name}");
            let both = a.operations(&resource).meet(b.operations(&resource));
            let met = a.intersect(&b).unwrap_or_default();
            prop_assert_eq!(met.operations(&resource), both);
            prop_assert_eq!(Capability::parse(&met.to_string()).unwrap(), met);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,80}") {
            let _outcome = Capability::parse(&text);
        }
    }
}
