//! A thing belongs to a noun: words that name a heap of things are banned for files, folders,
//! crates and modules.

use super::Finding;
use super::tree::Tree;

const BANNED: &[&str] =
    &["util", "utils", "helper", "helpers", "common", "misc", "manager", "managers"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts(".rs") {
        if let Some(word) = banned_in(path) {
            findings
                .push(Finding::new(path, format!("`{word}` in a name: which noun is this about?")));
        }
        for (index, line) in text.lines().enumerate() {
            if let Some(word) = module_name(line).and_then(banned_in) {
                findings.push(Finding::at(
                    path,
                    index,
                    format!("module named `{word}`: which noun is this about?"),
                ));
            }
        }
    }
    findings
}

fn banned_in(name: &str) -> Option<&str> {
    name.split(['/', '.', '_', '-']).find(|part| BANNED.contains(part))
}

/// The name in `mod name;` or `pub(…) mod name {`.
fn module_name(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = match line.strip_prefix("pub") {
        Some(rest) => rest.trim_start_matches(|c: char| c != ' ').trim_start(),
        None => line,
    };
    Some(line.strip_prefix("mod ")?.trim_end_matches([' ', ';', '{']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heaps_fail_and_nouns_pass() {
        let tree = Tree::of(&[
            ("crates/a/src/string_utils.rs", ""),
            ("crates/misc/src/lib.rs", ""),
            ("crates/a/src/utility.rs", "// mod helper\nlet common = 1;\nmod commonwealth;\n"),
            ("crates/b/src/lib.rs", "mod ring;\npub(crate) mod helper {\nmod test_helpers;\n"),
        ]);
        let places: Vec<_> = check(&tree).into_iter().map(|finding| finding.place).collect();
        let expected = [
            "crates/a/src/string_utils.rs",
            "crates/b/src/lib.rs:2",
            "crates/b/src/lib.rs:3",
            "crates/misc/src/lib.rs",
        ];
        assert_eq!(places, expected);
    }
}
