//! A dependency is a decision: its version stands in the workspace table, its reason in the
//! document, and nowhere else.

use std::collections::BTreeSet;

use super::tree::Tree;
use super::{Finding, manifest, markdown};

const DOCUMENT: &str = "docs/dependencies.md";
const WORKSPACE: &str = "Cargo.toml";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let entries = manifest::entries(tree.text(WORKSPACE).unwrap_or_default());
    let table = entries.iter().filter(|entry| entry.table == "workspace.dependencies");
    let external: BTreeSet<&str> =
        table.filter(|entry| !entry.value.contains("path =")).map(|entry| entry.key).collect();

    let rows = tree.text(DOCUMENT).unwrap_or_default().lines().enumerate();
    let mut explained = BTreeSet::new();
    for (index, line) in rows.filter(|(_, line)| line.starts_with("| `")) {
        for name in markdown::code_spans(line).into_iter().take(1) {
            explained.insert(name);
            if !external.contains(name) {
                findings.push(Finding::at(
                    DOCUMENT,
                    index,
                    format!("`{name}` is not in {WORKSPACE}"),
                ));
            }
        }
    }
    for name in external.difference(&explained) {
        let message = format!("`{name}` has no line here: what for, why this one, how to leave");
        findings.push(Finding::new(DOCUMENT, message));
    }

    for (name, text) in tree.crates().filter(|(name, _)| *name != "fuzz") {
        for (used, _, entry) in manifest::dependencies(text) {
            let inherits =
                entry.key.ends_with(".workspace") || entry.value.contains("workspace = true");
            if !inherits {
                let place = format!("crates/{name}/Cargo.toml");
                let message = format!("`{used}`: write `{used}.workspace = true`");
                findings.push(Finding::at(&place, entry.line_index, message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str =
        "[workspace.dependencies]\ntypes = { path = \"crates/types\" }\nbytes = \"1\"\n";

    fn messages(document: &str, manifest: &str) -> Vec<String> {
        let tree =
            Tree::of(&[(WORKSPACE, ROOT), (DOCUMENT, document), ("crates/a/Cargo.toml", manifest)]);
        check(&tree).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn an_explained_and_inherited_dependency_passes() {
        let manifest = "[dependencies]\nbytes.workspace = true\ntypes = { workspace = true }\n";
        assert_eq!(messages("| `bytes` | shared frames |\n", manifest), [""; 0]);
    }

    #[test]
    fn an_unexplained_dependency_fails() {
        assert!(messages("", "")[0].contains("`bytes` has no line"));
    }

    #[test]
    fn a_line_about_nothing_fails() {
        assert!(messages("| `bytes` | x |\n| `gone` | x |\n", "")[0].contains("`gone` is not in"));
    }

    #[test]
    fn a_version_outside_the_workspace_table_fails() {
        assert_eq!(messages("| `bytes` | x |\n", "[dependencies]\nbytes = \"1\"\n").len(), 1);
    }
}
