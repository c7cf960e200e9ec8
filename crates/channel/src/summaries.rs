//! The annotations of one message as a fold: for each type the summary of its method, whatever
//! order they are applied in (TM7). Types of no known method are not summarised.
//!
//! Invariant: every entry is applied once. Only `total.v1` depends on it: it counts and keeps
//! nothing of what it has counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use types::{Annotation, AnnotationAction, Body, ClientId, Entry, Extras, Serial};

/// Bytes of a summary as JSON, about: it has room in a message of the smallest usual limit. Lists of
/// clients are clipped to it.
const MAX_SUMMARY: usize = 32 << 10;
/// Clients that each list of a summary names at most, tried in turn until the summary fits.
const CLIPPINGS: [usize; 4] = [1_000, 100, 10, 0];
/// Bytes that one kept contribution takes, about: keys, tree nodes, the text of names.
const CONTRIBUTION_BYTES: usize = 160;

/// How annotations of a type add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Total,
    Flag,
    Distinct,
    Unique,
    Multiple,
}

impl Method {
    /// The method that a type names behind its namespace, if there is one.
    pub fn of(kind: &str) -> Option<Self> {
        match kind.rsplit_once(':')?.1 {
            "total.v1" => Some(Self::Total),
            "flag.v1" => Some(Self::Flag),
            "distinct.v1" => Some(Self::Distinct),
            "unique.v1" => Some(Self::Unique),
            "multiple.v1" => Some(Self::Multiple),
            _ => None,
        }
    }
}

/// Orders the contributions of one client: the serial of the entry, and the index there.
type At = (Serial, usize);

#[derive(Clone, Debug, Default)]
pub(crate) struct Summaries {
    types: BTreeMap<Arc<str>, Tally>,
    contributions: usize,
}

#[derive(Clone, Debug)]
enum Tally {
    Total { created: u64, deleted: u64 },
    Flag(Clients),
    Distinct(BTreeMap<Arc<str>, Clients>),
    Unique(BTreeMap<ClientId, Choice>),
    Multiple(BTreeMap<Arc<str>, Counts>),
}

/// Who has contributed, by the newest of their annotations.
type Clients = BTreeMap<ClientId, (At, AnnotationAction)>;

/// The one name of a client: its newest, unless that was deleted since.
#[derive(Clone, Debug, Default)]
struct Choice {
    newest: Option<(At, Arc<str>)>,
    /// By name; no name stands for all.
    deleted: BTreeMap<Option<Arc<str>>, At>,
}

#[derive(Clone, Debug, Default)]
struct Counts {
    clients: BTreeMap<ClientId, Contributions>,
    unidentified: BTreeMap<At, u32>,
}

/// What a client has counted since it last took back everything.
#[derive(Clone, Debug, Default)]
struct Contributions {
    counts: BTreeMap<At, u32>,
    deleted: Option<At>,
}

/// What of a summary is shown.
#[derive(Clone, Copy, Debug)]
enum View<'a> {
    /// At most so many clients in a list.
    Clipped(usize),
    /// Only what this client contributed to, and of clients only this one.
    Of(&'a ClientId),
}

impl Summaries {
    pub(crate) fn apply(&mut self, entry: &Entry) {
        let Body::Annotations(annotations) = &entry.body else { return };
        for (index, annotation) in annotations.iter().enumerate() {
            let Some(method) = Method::of(&annotation.kind) else { continue };
            let kind = Arc::clone(&annotation.kind);
            self.contributions += 1;
            self.types
                .entry(kind)
                .or_insert_with(|| Tally::new(method))
                .apply((entry.serial, index), annotation);
        }
    }

    pub(crate) fn memory(&self) -> usize {
        self.contributions * CONTRIBUTION_BYTES
    }

    /// `annotations.summary`; none if there is nothing to say.
    pub(crate) fn summary(&self) -> Option<Extras> {
        self.clipped(MAX_SUMMARY)
    }

    fn clipped(&self, max: usize) -> Option<Extras> {
        let mut views = CLIPPINGS.into_iter().map(|most| self.view(View::Clipped(most)));
        let fits = |summary: &Map<String, Value>| {
            serde_json::to_vec(summary).is_ok_and(|json| json.len() <= max)
        };
        let clipped = || views.find(fits).unwrap_or_else(|| self.view(View::Clipped(0)));
        (!self.types.is_empty()).then(clipped).map(Arc::new)
    }

    /// What `client` contributed to, unclipped.
    pub(crate) fn of_client(&self, client: &ClientId) -> Map<String, Value> {
        self.view(View::Of(client))
    }

    fn view(&self, view: View<'_>) -> Map<String, Value> {
        let shown =
            |(kind, tally): (&Arc<str>, &Tally)| Some((kind.to_string(), tally.show(view)?));
        self.types.iter().filter_map(shown).collect()
    }
}

impl Tally {
    fn new(method: Method) -> Self {
        match method {
            Method::Total => Self::Total { created: 0, deleted: 0 },
            Method::Flag => Self::Flag(BTreeMap::new()),
            Method::Distinct => Self::Distinct(BTreeMap::new()),
            Method::Unique => Self::Unique(BTreeMap::new()),
            Method::Multiple => Self::Multiple(BTreeMap::new()),
        }
    }

    fn apply(&mut self, at: At, annotation: &Annotation) {
        let client = annotation.client_id.as_ref();
        let name = annotation.name.as_ref();
        match (self, client) {
            (Self::Total { created, deleted }, _) => match annotation.action {
                AnnotationAction::Create => *created += 1,
                AnnotationAction::Delete => *deleted += 1,
            },
            (Self::Flag(clients), Some(client)) => mark(clients, client, at, annotation.action),
            (Self::Distinct(names), Some(client)) => {
                let clients = names.entry(name.cloned().unwrap_or_default()).or_default();
                mark(clients, client, at, annotation.action);
            }
            (Self::Unique(clients), Some(client)) => {
                clients.entry(client.clone()).or_default().apply(at, annotation);
            }
            (Self::Multiple(names), client) => {
                let counts = names.entry(name.cloned().unwrap_or_default()).or_default();
                counts.apply(client, at, annotation);
            }
            // They need to know whose it is.
            (Self::Flag(_) | Self::Distinct(_) | Self::Unique(_), None) => {}
        }
    }

    fn show(&self, view: View<'_>) -> Option<Value> {
        match self {
            Self::Total { created, deleted } => match view {
                View::Clipped(_) => Some(json!({"total": created.saturating_sub(*deleted)})),
                View::Of(_) => None,
            },
            Self::Flag(clients) => show_list(&present(clients), view),
            Self::Distinct(names) => {
                let lists = names.iter().map(|(name, clients)| (name, present(clients)));
                show_lists(lists, view)
            }
            Self::Unique(clients) => {
                let mut names: BTreeMap<&Arc<str>, Vec<&ClientId>> = BTreeMap::new();
                for (client, choice) in clients {
                    if let Some(name) = choice.name() {
                        names.entry(name).or_default().push(client);
                    }
                }
                show_lists(names.into_iter(), view)
            }
            Self::Multiple(names) => {
                let shown = names
                    .iter()
                    .filter_map(|(name, counts)| Some((name.to_string(), counts.show(view)?)));
                as_object(shown.collect(), view)
            }
        }
    }
}

impl Choice {
    fn apply(&mut self, at: At, annotation: &Annotation) {
        match (annotation.action, &annotation.name) {
            (AnnotationAction::Create, name) => {
                if self.newest.as_ref().is_none_or(|(newest, _)| at > *newest) {
                    self.newest = Some((at, name.clone().unwrap_or_default()));
                }
            }
            (AnnotationAction::Delete, name) => {
                let deleted = self.deleted.entry(name.clone()).or_insert(at);
                *deleted = at.max(*deleted);
            }
        }
    }

    fn name(&self) -> Option<&Arc<str>> {
        let (at, name) = self.newest.as_ref()?;
        let by_name = self.deleted.get(&Some(Arc::clone(name)));
        let gone = [by_name, self.deleted.get(&None)].into_iter().flatten().any(|d| d > at);
        (!gone).then_some(name)
    }
}

impl Counts {
    fn apply(&mut self, client: Option<&ClientId>, at: At, annotation: &Annotation) {
        let count = annotation.count.unwrap_or(1);
        match (annotation.action, client) {
            (AnnotationAction::Create, Some(client)) => {
                let known = self.clients.entry(client.clone()).or_default();
                if known.deleted.is_none_or(|deleted| at > deleted) {
                    known.counts.insert(at, count);
                }
            }
            (AnnotationAction::Create, None) => {
                self.unidentified.insert(at, count);
            }
            (AnnotationAction::Delete, Some(client)) => {
                let known = self.clients.entry(client.clone()).or_default();
                known.deleted = known.deleted.max(Some(at));
                known.counts.retain(|counted, _| Some(*counted) > known.deleted);
            }
            // Nobody can say which of them were the publisher's.
            (AnnotationAction::Delete, None) => {}
        }
    }

    fn show(&self, view: View<'_>) -> Option<Value> {
        let sum = |counts: &BTreeMap<At, u32>| counts.values().copied().map(u64::from).sum::<u64>();
        let clients: Vec<(&ClientId, u64)> = self
            .clients
            .iter()
            .map(|(client, contributions)| (client, sum(&contributions.counts)))
            .filter(|(_, count)| *count > 0)
            .collect();
        let unidentified = sum(&self.unidentified);
        let total = unidentified + clients.iter().map(|(_, count)| count).sum::<u64>();
        let listed: Map<String, Value> = clients
            .iter()
            .filter(|(client, _)| view.names(client))
            .take(view.most())
            .map(|(client, count)| (client.to_string(), (*count).into()))
            .collect();
        (total > 0 && view.shows(listed.len())).then(|| {
            json!({
                "total": total,
                "clipped": listed.len() < clients.len(),
                "clientIds": listed,
                "totalUnidentified": unidentified,
                "totalClientIds": clients.len(),
            })
        })
    }
}

impl View<'_> {
    fn names(self, client: &ClientId) -> bool {
        match self {
            Self::Clipped(_) => true,
            Self::Of(only) => only == client,
        }
    }

    fn most(self) -> usize {
        match self {
            Self::Clipped(most) => most,
            Self::Of(_) => 1,
        }
    }

    /// Whether something that lists so many of the clients asked for is shown.
    fn shows(self, listed: usize) -> bool {
        match self {
            Self::Clipped(_) => true,
            Self::Of(_) => listed > 0,
        }
    }
}

fn mark(clients: &mut Clients, client: &ClientId, at: At, action: AnnotationAction) {
    let newest = clients.entry(client.clone()).or_insert((at, action));
    if at > newest.0 {
        *newest = (at, action);
    }
}

fn present(clients: &Clients) -> Vec<&ClientId> {
    let created =
        |(_, (_, action)): &(_, &(At, AnnotationAction))| *action == AnnotationAction::Create;
    clients.iter().filter(created).map(|(client, _)| client).collect()
}

fn show_lists<'a>(
    lists: impl Iterator<Item = (&'a Arc<str>, Vec<&'a ClientId>)>,
    view: View<'_>,
) -> Option<Value> {
    let shown = lists
        .filter(|(_, clients)| !clients.is_empty())
        .filter_map(|(name, clients)| Some((name.to_string(), show_list(&clients, view)?)));
    as_object(shown.collect(), view)
}

fn show_list(clients: &[&ClientId], view: View<'_>) -> Option<Value> {
    let listed: Vec<&str> = clients
        .iter()
        .filter(|client| view.names(client))
        .take(view.most())
        .map(|client| client.as_str())
        .collect();
    view.shows(listed.len()).then(|| {
        json!({
            "total": clients.len(),
            "clipped": listed.len() < clients.len(),
            "clientIds": listed,
        })
    })
}

fn as_object(shown: Map<String, Value>, view: View<'_>) -> Option<Value> {
    view.shows(shown.len()).then_some(Value::Object(shown))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use types::{EntryId, SeriesId, Timestamp};

    use super::*;

    fn entry(ms: u64, kind: &str, text: &str) -> Entry {
        let mut parts = text.trim_start_matches('-').split(' ');
        let action = match text.strip_prefix('-') {
            Some(_) => AnnotationAction::Delete,
            None => AnnotationAction::Create,
        };
        let mut part = || parts.next().filter(|part| !part.is_empty());
        let annotation = Annotation {
            client_id: part().map(ClientId::from),
            name: part().map(Arc::from),
            count: part().map(|count| count.parse().unwrap()),
            ..Annotation::new(action, kind)
        };
        Entry {
            id: EntryId::Named(ms.to_string().into()),
            serial: Serial {
                ms,
                counter: 0,
                series: SeriesId::from_bytes(b"dun000000001").unwrap(),
            },
            position: ms,
            timestamp: Timestamp(ms),
            connection_id: None,
            body: Body::Annotations(vec![annotation]),
        }
    }

    fn fold<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Summaries {
        let mut summaries = Summaries::default();
        entries.into_iter().for_each(|entry| summaries.apply(entry));
        summaries
    }

    /// The summary of annotations written as `client name count`, with `-` in front to delete.
    fn summary(kind: &str, annotations: &[&str]) -> Value {
        let entries: Vec<Entry> =
            (1..).zip(annotations).map(|(ms, text)| entry(ms, kind, text)).collect();
        let summary = fold(&entries).summary().unwrap();
        summary.get(kind).cloned().unwrap()
    }

    #[test]
    fn total_counts_annotations_and_deletes() {
        assert_eq!(summary("m:total.v1", &["a", "a", "", "-a"]), json!({"total": 2}));
        assert_eq!(summary("m:total.v1", &["-a"]), json!({"total": 0}));
    }

    #[test]
    fn flag_counts_each_client_once() {
        assert_eq!(
            summary("m:flag.v1", &["a", "a", "b", "c", "-c"]),
            json!({"total": 2, "clientIds": ["a", "b"], "clipped": false})
        );
    }

    #[test]
    fn distinct_counts_each_client_once_for_each_name() {
        assert_eq!(
            summary("m:distinct.v1", &["a x", "a x", "a y", "b x", "-a y"]),
            json!({"x": {"total": 2, "clientIds": ["a", "b"], "clipped": false}})
        );
    }

    #[test]
    fn unique_keeps_the_newest_name_of_each_client() {
        let only = |client: &str| json!({"total": 1, "clientIds": [client], "clipped": false});
        assert_eq!(
            summary("m:unique.v1", &["a x", "a y", "b x", "-a x", "c z", "-c"]),
            json!({"x": only("b"), "y": only("a")})
        );
    }

    #[test]
    fn multiple_adds_counts_until_the_client_takes_them_back() {
        assert_eq!(
            summary("m:multiple.v1", &["a x 3", "a x", " x 2", "b x 5", "-b x", "b x"]),
            json!({"x": {
                "total": 7, "clientIds": {"a": 4, "b": 1}, "clipped": false,
                "totalUnidentified": 2, "totalClientIds": 2,
            }})
        );
    }

    #[test]
    fn a_summary_that_is_too_long_names_fewer_clients_and_says_so() {
        let entries: Vec<Entry> =
            (0..150).map(|n| entry(n + 1, "m:flag.v1", &format!("client{n:03}"))).collect();
        let summaries = fold(&entries);
        let clipped = summaries.clipped(1_500).unwrap();
        let flag = clipped.get("m:flag.v1").unwrap();
        assert_eq!(flag["total"], 150);
        assert_eq!(flag["clipped"], true);
        assert_eq!(flag["clientIds"].as_array().unwrap().len(), 100);
        let own = summaries.of_client(&"client149".into());
        assert_eq!(own["m:flag.v1"]["clientIds"], json!(["client149"]));
        assert!(summaries.of_client(&"stranger".into()).is_empty());
    }

    #[test]
    fn types_of_other_methods_have_no_summary() {
        assert!(fold(&[entry(1, "com.example.comment", "a x")]).summary().is_none());
        assert_eq!(Method::of("a:b:flag.v1"), Some(Method::Flag));
        assert_eq!(Method::of("flag.v1"), None);
    }

    proptest! {
        #[test]
        fn any_order_of_the_same_annotations_gives_the_same_summary(
            (straight, shuffled) in prop::collection::vec(
                (
                    prop::sample::select(vec![
                        "m:total.v1", "m:flag.v1", "m:distinct.v1", "m:unique.v1", "m:multiple.v1",
                    ]),
                    prop::sample::select(vec!["", "-"]),
                    prop::sample::select(vec!["a", "b", ""]),
                    prop::sample::select(vec![" x", " y", ""]),
                ),
                0..30,
            ).prop_flat_map(|texts| {
                let entries: Vec<Entry> = (1..)
                    .zip(&texts)
                    .map(|(ms, (kind, sign, client, name))| {
                        entry(ms, kind, &format!("{sign}{client}{name}"))
                    })
                    .collect();
                (Just(entries.clone()), Just(entries).prop_shuffle())
            })
        ) {
            let (one, other) = (fold(&straight), fold(&shuffled));
            prop_assert_eq!(one.summary(), other.summary());
        }
    }
}
