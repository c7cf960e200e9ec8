//! No document names what does not exist: relative links, repository paths in backticks, and
//! `cargo xtask` commands. A line with the word *planned* may.

use super::Finding;
use super::tree::Tree;
use crate::COMMANDS;

/// A code span that starts so is a path from the root of the repository.
const ROOTS: &[&str] = &["crates/", "docs/", "tests/", "fuzz/", "examples/", ".ci/", ".cargo/"];
const COMMAND: &str = "cargo xtask ";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts(".md") {
        let mut in_fence = false;
        for (index, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                in_fence = !in_fence;
            }
            if line.contains("planned") {
                continue;
            }
            let mut missing = missing_commands(line);
            if !in_fence {
                missing.extend(missing_links(tree, path, line));
                missing.extend(missing_paths(tree, line));
            }
            let report = |message| Finding::at(path, index, message);
            findings.extend(missing.into_iter().map(report));
        }
    }
    findings
}

/// The texts between backticks.
pub(super) fn code_spans(line: &str) -> Vec<&str> {
    let parts = line.split('`').collect::<Vec<_>>();
    let closed = parts.len().saturating_sub(1);
    parts.into_iter().take(closed).skip(1).step_by(2).collect()
}

fn missing_commands(line: &str) -> Vec<String> {
    let calls = line.split(COMMAND).skip(1);
    let names = calls
        .filter_map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').next());
    names
        .filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
        .filter(|name| !COMMANDS.iter().any(|command| command.name == *name))
        .map(|name| format!("there is no command `{COMMAND}{name}`"))
        .collect()
}

fn missing_links(tree: &Tree, document: &str, line: &str) -> Vec<String> {
    let folder = document.rsplit_once('/').map_or("", |(folder, _)| folder);
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split([')', '#', ' ']).next());
    targets
        .filter(|target| !target.is_empty() && !target.contains(':'))
        .filter(|target| resolve(folder, target).is_none_or(|path| !tree.has(&path)))
        .map(|target| format!("link to `{target}`, which does not exist"))
        .collect()
}

fn missing_paths(tree: &Tree, line: &str) -> Vec<String> {
    code_spans(line)
        .into_iter()
        .filter_map(|span| span.split([' ', ':']).next())
        .filter(|span| ROOTS.iter().any(|root| span.starts_with(root)))
        .filter(|span| !span.contains(['*', '<', '{', '…']))
        .filter(|span| !tree.has(span.trim_end_matches('/')))
        .map(|span| format!("path `{span}` does not exist"))
        .collect()
}

/// The path that a link means, from the root; none if it leads out of the repository.
fn resolve(folder: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> Vec<String> {
        let tree =
            Tree::of(&[("docs/a.md", text), ("docs/decisions/0001-x.md", ""), ("README.md", "")]);
        check(&tree).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn what_exists_passes() {
        let text = "[one](decisions/0001-x.md#why) [two](../README.md) [web](https://x.org/y) [here](#top)\n\
            `docs/decisions/` `docs/a.md:7` `docs/*.md` `application/json` `cargo xtask tidy`\n```\ndocs/b.md\n```\n";
        assert_eq!(messages(text), [""; 0]);
    }

    #[test]
    fn dead_links_fail() {
        assert_eq!(messages("[a](b.md) and [c](../../../etc)\n").len(), 2);
    }

    #[test]
    fn dead_paths_fail_outside_of_fences() {
        assert_eq!(
            messages("see `crates/gone/src/lib.rs`\n"),
            ["path `crates/gone/src/lib.rs` does not exist"]
        );
    }

    #[test]
    fn unknown_commands_fail_also_in_fences() {
        assert_eq!(
            messages("```sh\ncargo xtask fly\n```\n"),
            ["there is no command `cargo xtask fly`"]
        );
    }

    #[test]
    fn planned_things_may_be_named() {
        assert_eq!(messages("planned: `crates/gone` and `cargo xtask fly`\n"), [""; 0]);
    }
}
