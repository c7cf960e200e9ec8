//! Every Rust file says first what it is.

use super::Finding;
use super::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let silent = tree.texts(".rs").filter(|(_, text)| !text.starts_with("//! "));
    silent
        .map(|(path, _)| Finding::at(path, 0, "opens without `//!`: say what this file is"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_does_not_open_with_its_document_fails() {
        let tree = Tree::of(&[("a.rs", "//! A.\n"), ("b.rs", "use a;\n//! B.\n"), ("c.rs", "")]);
        let places: Vec<_> = check(&tree).into_iter().map(|finding| finding.place).collect();
        assert_eq!(places, ["b.rs:1", "c.rs:1"]);
    }
}
