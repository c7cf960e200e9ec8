//! `cargo xtask tidy`: the rules that a compiler does not know.
//!
//! Each rule is a pure function from the repository's files to findings, in a file of its own, with
//! a bad example in its tests. A rule may be silenced nowhere but in the named list of its file.

mod core_lints;
mod dependency;
mod leftover;
mod lints;
pub(crate) mod manifest;
mod markdown;
mod module_doc;
mod naming;
mod ring;
mod size;
mod tree;

use anyhow::{Result, ensure};

use crate::process::root;
use tree::Tree;

/// One thing to mend.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    /// A path from the root of the repository, with `:line` where that helps.
    place: String,
    /// What is wrong and what to do about it.
    message: String,
}

impl Finding {
    fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into() }
    }

    fn at(path: &str, line_index: usize, message: impl Into<String>) -> Self {
        Self::new(format!("{path}:{}", line_index + 1), message)
    }
}

type Rule = fn(&Tree) -> Vec<Finding>;

const RULES: &[(&str, Rule)] = &[
    ("ring", ring::check),
    ("core lints", core_lints::check),
    ("lints", lints::check),
    ("module doc", module_doc::check),
    ("size", size::check),
    ("naming", naming::check),
    ("leftover", leftover::check),
    ("dependency", dependency::check),
    ("markdown", markdown::check),
];

pub(crate) fn run(_args: &[String]) -> Result<()> {
    let tree = Tree::read(&root())?;
    let mut findings = 0;
    for (name, rule) in RULES {
        for finding in rule(&tree) {
            println!("{}: {} [{name}]", finding.place, finding.message);
            findings += 1;
        }
    }
    ensure!(findings == 0, "{findings} to mend");
    Ok(())
}
