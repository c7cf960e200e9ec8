//! Imports point inward: the ring table of the architecture document against the manifests.
//!
//! The table is the one below the heading `Code map`: ring, crates, what they are (with the word
//! **planned** as long as the crate does not exist), and which crates of the same ring they may use.
//! Ring T is outermost: it may use everything, and is used by tests only.

use std::collections::{BTreeMap, BTreeSet};

use super::manifest::{self, Use};
use super::tree::Tree;
use super::{Finding, markdown};

pub(super) const DOCUMENT: &str = "docs/architecture.md";

/// Crates that bring IO, clocks, threads or a runtime with them: not for rings 0 to 2.
const IO_CRATES: &[&str] =
    &["axum", "fjall", "hyper", "hyper-util", "prometheus-client", "tokio", "tracing-subscriber"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ring {
    /// Cores are rings 0 to 2, shells ring 3, programs ring 4.
    Inner(u8),
    /// Tests and tools.
    T,
}

impl Ring {
    const LAST_CORE: Self = Self::Inner(2);

    fn parse(cell: &str) -> Option<Self> {
        if cell == "T" { Some(Self::T) } else { cell.parse().ok().map(Self::Inner) }
    }
}

#[derive(Debug)]
struct Row<'a> {
    ring: Ring,
    planned: bool,
    also: BTreeSet<&'a str>,
    line_index: usize,
}

/// The crates of rings 0 to 2 that exist.
pub(super) fn cores(tree: &Tree) -> Vec<&str> {
    let rows = rows(tree);
    let is_core = |name: &str| rows.get(name).is_some_and(|row| row.ring <= Ring::LAST_CORE);
    tree.crates().map(|(name, _)| name).filter(|name| is_core(name)).collect()
}

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let rows = rows(tree);
    if rows.is_empty() {
        return vec![Finding::new(DOCUMENT, "no ring table below the heading `Code map`")];
    }
    let mut findings = Vec::new();
    let existing: BTreeMap<&str, &str> = tree.crates().collect();
    for (name, row) in &rows {
        let message = match (existing.contains_key(name), row.planned) {
            (true, true) => "exists: its row must not say planned",
            (false, false) => "does not exist: drop its row or mark it **planned**",
            _ => continue,
        };
        findings.push(Finding::at(DOCUMENT, row.line_index, format!("`{name}` {message}")));
    }
    for (name, manifest) in existing {
        let place = if name == "fuzz" {
            "fuzz/Cargo.toml".into()
        } else {
            format!("crates/{name}/Cargo.toml")
        };
        let Some(row) = rows.get(name) else {
            findings.push(Finding::new(place, format!("`{name}` has no row in {DOCUMENT}")));
            continue;
        };
        for (used, how, entry) in manifest::dependencies(manifest) {
            if let Some(message) = objection(&rows, name, row, used, how) {
                findings.push(Finding::at(&place, entry.line_index, message));
            }
        }
    }
    findings
}

fn objection(
    rows: &BTreeMap<&str, Row<'_>>,
    name: &str,
    row: &Row<'_>,
    used: &str,
    how: Use,
) -> Option<String> {
    let Some(other) = rows.get(used) else {
        let forbidden =
            how == Use::Shipped && row.ring <= Ring::LAST_CORE && IO_CRATES.contains(&used);
        return forbidden.then(|| format!("core `{name}` uses `{used}`: IO belongs to ring 3"));
    };
    let inward = other.ring < row.ring;
    let named = other.ring == row.ring && row.also.contains(used);
    let tested_with = how == Use::Tests && (other.ring == Ring::T || used == name);
    (!inward && !named && !tested_with).then(|| {
        format!(
            "`{name}` uses `{used}`, which is not in an inner ring; see the table in {DOCUMENT}"
        )
    })
}

fn rows(tree: &Tree) -> BTreeMap<&str, Row<'_>> {
    let mut rows = BTreeMap::new();
    let lines = tree.text(DOCUMENT).unwrap_or_default().lines().enumerate();
    let mut in_section = false;
    for (line_index, line) in lines {
        if line.starts_with('#') {
            in_section = line.contains("Code map");
        }
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [ring, crates, what, rest @ ..] = cells.as_slice() else { continue };
        let Some(ring) = Ring::parse(ring).filter(|_| in_section) else { continue };
        let also: BTreeSet<&str> =
            rest.iter().flat_map(|cell| markdown::code_spans(cell)).collect();
        for name in markdown::code_spans(crates) {
            let planned = what.contains("**planned**");
            rows.insert(name, Row { ring, planned, also: also.clone(), line_index });
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "## 9. Code map\n| ring | crate | what it is | may also use |\n| --- | --- | --- | --- |\n\
        | 0 | `types` | ids | |\n| 1 | `protocol` | frames | |\n| 1 | `session` | one connection | `protocol` |\n\
        | 1 | `replication` | **planned**: copies | |\n| 3 | `store` | disk | |\n| T | `sim`, `fuzz` | tests | |\n## 10.\n| 1 | `no` | row |\n";

    fn messages(manifests: &[(&str, &str)]) -> Vec<String> {
        let mut files = vec![(DOCUMENT, TABLE)];
        let all = ["types", "protocol", "session", "store", "sim"]
            .map(|name| format!("crates/{name}/Cargo.toml"));
        files.extend(all.iter().map(|path| (path.as_str(), "")));
        files.push(("fuzz/Cargo.toml", ""));
        files.extend(manifests);
        check(&Tree::of(&files)).into_iter().map(|finding| finding.message).collect()
    }

    fn objections(name: &str, manifest: &str) -> usize {
        messages(&[(&format!("crates/{name}/Cargo.toml"), manifest)]).len()
    }

    #[test]
    fn inward_and_named_imports_pass() {
        assert_eq!(
            objections(
                "session",
                "[dependencies]\ntypes.workspace = true\nprotocol.workspace = true\n"
            ),
            0
        );
    }

    #[test]
    fn outward_imports_fail() {
        assert_eq!(objections("types", "[dependencies]\nsession.workspace = true\n"), 1);
        assert_eq!(objections("types", "[dev-dependencies]\nsession.workspace = true\n"), 1);
    }

    #[test]
    fn unnamed_imports_in_the_same_ring_fail() {
        assert_eq!(objections("protocol", "[dependencies]\nsession.workspace = true\n"), 1);
    }

    #[test]
    fn crates_of_ring_t_are_for_tests() {
        assert_eq!(objections("store", "[dev-dependencies]\nsim.workspace = true\n"), 0);
        assert_eq!(objections("store", "[dependencies]\nsim.workspace = true\n"), 1);
    }

    #[test]
    fn io_stays_out_of_cores() {
        assert_eq!(objections("session", "[dependencies]\ntokio.workspace = true\n"), 1);
        assert_eq!(objections("store", "[dependencies]\ntokio.workspace = true\n"), 0);
    }

    #[test]
    fn a_crate_without_a_row_fails() {
        assert_eq!(objections("stray", ""), 1);
    }

    #[test]
    fn planned_means_not_there() {
        assert!(
            messages(&[("crates/replication/Cargo.toml", "")])[0].contains("must not say planned")
        );
        let tree = Tree::of(&[(DOCUMENT, "## Code map\n| 0 | `types` | ids |\n")]);
        assert!(check(&tree)[0].message.contains("does not exist"));
    }

    #[test]
    fn a_missing_table_fails() {
        assert_eq!(check(&Tree::of(&[(DOCUMENT, "# no table\n")])).len(), 1);
    }
}
