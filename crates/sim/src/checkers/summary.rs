//! What annotations add up to, by the five methods (TM7), one after the other as they were committed:
//! the plain model of what the host folds in any order.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use types::{Annotation, AnnotationAction};

#[derive(Debug, Default)]
pub(crate) struct Summary {
    types: BTreeMap<String, Tally>,
}

#[derive(Debug, Default)]
struct Tally {
    total: i64,
    /// By name, the clients and what each counts for.
    names: BTreeMap<String, BTreeMap<String, u64>>,
    unidentified: BTreeMap<String, u64>,
}

impl Summary {
    pub(crate) fn apply(&mut self, annotation: &Annotation) {
        let Some((_, method)) = annotation.kind.split_once(':') else { return };
        let tally = self.types.entry(annotation.kind.to_string()).or_default();
        let creates = annotation.action == AnnotationAction::Create;
        tally.total += if creates { 1 } else { -1 };
        let client = annotation.client_id.as_ref().map(ToString::to_string);
        let name = match method {
            "flag.v1" => String::new(),
            _ => annotation.name.as_deref().unwrap_or_default().to_owned(),
        };
        let count = u64::from(annotation.count.unwrap_or(1));
        let Some(client) = client else {
            *tally.unidentified.entry(name).or_default() += if creates { count } else { 0 };
            return;
        };
        if method == "unique.v1" && creates {
            for clients in tally.names.values_mut() {
                clients.remove(&client);
            }
        }
        let clients = tally.names.entry(name).or_default();
        if creates {
            *clients.entry(client).or_default() += count;
        } else {
            clients.remove(&client);
        }
    }

    /// As clients receive it; none without annotations that are summed up.
    pub(crate) fn show(&self) -> Option<Map<String, Value>> {
        let shown = |(kind, tally): (&String, &Tally)| (kind.clone(), tally.show(kind));
        (!self.types.is_empty()).then(|| self.types.iter().map(shown).collect())
    }
}

impl Tally {
    fn show(&self, kind: &str) -> Value {
        if kind.ends_with(":total.v1") {
            return json!({"total": self.total.max(0)});
        }
        let list = |clients: &BTreeMap<String, u64>| {
            let names: Vec<&String> = clients.keys().collect();
            json!({"total": names.len(), "clientIds": names, "clipped": false})
        };
        if kind.ends_with(":flag.v1") {
            return list(self.names.get("").unwrap_or(&BTreeMap::new()));
        }
        if !kind.ends_with(":multiple.v1") {
            let named = self.names.iter().filter(|(_, clients)| !clients.is_empty());
            return named.map(|(name, clients)| (name.clone(), list(clients))).collect();
        }
        let names: BTreeSet<&String> = self.names.keys().chain(self.unidentified.keys()).collect();
        let shown = |name: &String| {
            let none = BTreeMap::new();
            let clients = self.names.get(name).unwrap_or(&none);
            let unidentified = self.unidentified.get(name).copied().unwrap_or_default();
            let total = unidentified + clients.values().sum::<u64>();
            let value = json!({
                "total": total, "clientIds": clients, "clipped": false,
                "totalUnidentified": unidentified, "totalClientIds": clients.len(),
            });
            (total > 0).then(|| (name.clone(), value))
        };
        Value::Object(names.into_iter().filter_map(shown).collect())
    }
}
