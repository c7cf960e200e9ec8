//! Every crate has the lints of the workspace: it inherits them, or repeats them one by one because
//! it needs unsafe code, which the workspace forbids and such a crate denies outside of one file.

use super::manifest::{self, Entry};
use super::tree::Tree;
use super::{Finding, ring};

const WORKSPACE: &str = "Cargo.toml";
/// The one lint that may differ, and how.
const EXCEPTION: (&str, &str) = ("unsafe_code", "\"deny\"");

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let shared = lints(tree.text(WORKSPACE).unwrap_or_default(), "workspace.lints.");
    let cores = ring::cores(tree);
    let mut findings = Vec::new();
    for (name, text) in tree.crates().filter(|(name, _)| *name != "fuzz") {
        let inherits = manifest::entries(text)
            .iter()
            .any(|entry| (entry.table, entry.key, entry.value) == ("lints", "workspace", "true"));
        if inherits {
            continue;
        }
        let place = format!("crates/{name}/Cargo.toml");
        if cores.contains(&name) {
            findings.push(Finding::new(&place, "a core inherits the lints of the workspace"));
        }
        let own = lints(text, "lints.");
        for (table, entry) in &shared {
            let has = |value| {
                own.iter().any(|(t, e)| t == table && e.key == entry.key && e.value == value)
            };
            let excepted = entry.key == EXCEPTION.0 && has(EXCEPTION.1);
            if !has(entry.value) && !excepted {
                let message = format!("lacks the workspace's {table} lint `{}`", entry.key);
                findings.push(Finding::new(&place, message));
            }
        }
    }
    findings
}

/// The entries of the lint tables whose names begin so, each with the tool that it is for.
fn lints<'a>(text: &'a str, prefix: &str) -> Vec<(&'a str, Entry<'a>)> {
    let entries = manifest::entries(text).into_iter();
    entries.filter_map(|entry| Some((entry.table.strip_prefix(prefix)?, entry))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "## Code map\n| 0 | `types` | ids |\n| T | `bench` | programs |\n";
    const ROOT: &str = "[workspace.lints.rust]\nunsafe_code = \"forbid\"\n\
        [workspace.lints.clippy]\ntodo = \"deny\"\n";

    fn messages(name: &str, manifest: &str) -> Vec<String> {
        let path = format!("crates/{name}/Cargo.toml");
        let tree = Tree::of(&[(ring::DOCUMENT, TABLE), (WORKSPACE, ROOT), (&path, manifest)]);
        check(&tree).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn inherited_lints_pass() {
        assert_eq!(messages("types", "[lints]\nworkspace = true\n"), [""; 0]);
    }

    #[test]
    fn repeated_lints_pass_also_with_unsafe_code_denied() {
        let own = "[lints.rust]\nunsafe_code = \"deny\"\n[lints.clippy]\ntodo = \"deny\"\n";
        assert_eq!(messages("bench", own), [""; 0]);
    }

    #[test]
    fn a_lint_that_is_missing_or_weaker_fails() {
        let own = "[lints.rust]\nunsafe_code = \"allow\"\n[lints.rustdoc]\ntodo = \"deny\"\n";
        let expected = [
            "lacks the workspace's rust lint `unsafe_code`",
            "lacks the workspace's clippy lint `todo`",
        ];
        assert_eq!(messages("bench", own), expected);
    }

    #[test]
    fn a_core_has_no_lints_of_its_own() {
        let own = "[lints.rust]\nunsafe_code = \"deny\"\n[lints.clippy]\ntodo = \"deny\"\n";
        assert_eq!(messages("types", own), ["a core inherits the lints of the workspace"]);
    }
}
