//! Cores carry the same bans. A crate's `clippy.toml` replaces the root's, and a crate cannot add to
//! the workspace's lints, so each core repeats both; this rule keeps the repetitions equal.

use super::tree::Tree;
use super::{Finding, ring};

/// What stands at the head of each core's `lib.rs`; line breaks do not matter.
const ATTRIBUTES: &str = "#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, \
    clippy::panic, clippy::indexing_slicing, clippy::string_slice, clippy::cast_possible_truncation, \
    clippy::cast_sign_loss, clippy::wildcard_enum_match_arm))]";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut first: Option<(String, &str)> = None;
    let shared = tree.text("clippy.toml").unwrap_or_default();
    for core in ring::cores(tree) {
        let lib = format!("crates/{core}/src/lib.rs");
        if !without_space(tree.text(&lib).unwrap_or_default()).contains(&without_space(ATTRIBUTES))
        {
            findings
                .push(Finding::new(lib, format!("the lints of a core are missing: {ATTRIBUTES}")));
        }
        let path = format!("crates/{core}/clippy.toml");
        let text = tree.text(&path).unwrap_or_default();
        match &first {
            None => first = Some((path.clone(), text)),
            Some((other, expected)) if text != *expected => {
                findings.push(Finding::new(path.clone(), format!("differs from {other}")));
            }
            Some(_) => {}
        }
        for line in shared.lines().filter(|line| !text.lines().any(|own| own == *line)) {
            findings.push(Finding::new(path.clone(), format!("lacks the root's `{line}`")));
        }
    }
    findings
}

/// The text without white space and trailing commas: what formatting may change.
fn without_space(text: &str) -> String {
    let dense: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    dense.replace(",)", ")")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str =
        "## Code map\n| 0 | `types` | ids |\n| 1 | `auth` | keys |\n| 3 | `store` | disk |\n";

    fn findings(types: (&str, &str), auth: (&str, &str)) -> usize {
        let tree = Tree::of(&[
            (ring::DOCUMENT, TABLE),
            ("clippy.toml", "max = 1\n"),
            ("crates/types/Cargo.toml", ""),
            ("crates/auth/Cargo.toml", ""),
            ("crates/store/Cargo.toml", ""),
            ("crates/types/src/lib.rs", types.0),
            ("crates/types/clippy.toml", types.1),
            ("crates/auth/src/lib.rs", auth.0),
            ("crates/auth/clippy.toml", auth.1),
        ]);
        check(&tree).len()
    }

    #[test]
    fn equal_cores_pass_however_they_are_formatted() {
        let spread = ATTRIBUTES.replace(", ", ",\n    ").replace("arm))", "arm,\n),\n)");
        assert_eq!(findings((ATTRIBUTES, "max = 1\n"), (&spread, "max = 1\n")), 0);
    }

    #[test]
    fn a_core_without_the_lints_fails() {
        assert_eq!(findings((ATTRIBUTES, "max = 1\n"), ("//! Keys.", "max = 1\n")), 1);
    }

    #[test]
    fn bans_that_differ_fail() {
        assert_eq!(findings((ATTRIBUTES, "max = 1\n"), (ATTRIBUTES, "max = 1\nmin = 2\n")), 1);
    }

    #[test]
    fn a_threshold_of_the_root_that_is_not_repeated_fails() {
        assert_eq!(findings((ATTRIBUTES, "min = 2\n"), (ATTRIBUTES, "min = 2\n")), 2);
    }
}
