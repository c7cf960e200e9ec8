//! Notes to oneself do not stay: do it, or open an issue.

use super::Finding;
use super::tree::Tree;

/// Spelled in two parts, so that this file passes its own rule.
const NOTES: &[&str] = &[concat!("FIX", "ME"), concat!("XX", "X")];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts("").filter(|(path, _)| !path.ends_with(".lock")) {
        for (index, line) in text.lines().enumerate() {
            let mut words = line.split(|c: char| !c.is_alphanumeric());
            if let Some(word) = words.find(|word| NOTES.contains(word)) {
                findings.push(Finding::at(path, index, format!("leftover {word}")));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_fail_and_templates_pass() {
        let text = format!("// {}: later\nmktemp XXXXXX\n# {}\n", NOTES[0], NOTES[1]);
        let places: Vec<_> =
            check(&Tree::of(&[("a.sh", &text)])).into_iter().map(|f| f.place).collect();
        assert_eq!(places, ["a.sh:1", "a.sh:3"]);
    }
}
