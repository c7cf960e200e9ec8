//! The files that the rules look at: what git tracks or would track, never what it ignores.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::process::tool;

/// The repository as a value: paths from its root, with `/`.
#[derive(Debug, Default)]
pub(super) struct Tree {
    files: BTreeMap<String, File>,
    folders: BTreeSet<String>,
}

#[derive(Debug)]
pub(super) struct File {
    pub(super) bytes: usize,
    /// Absent if the content is not UTF-8.
    pub(super) text: Option<String>,
}

impl Tree {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let output = tool("git")
            .args(["-c", "safe.directory=*"])
            .args(list)
            .current_dir(root)
            .output()
            .context("ask git for the files")?;
        ensure!(output.status.success(), "git ls-files: {}", output.status);
        let mut tree = Self::default();
        for path in String::from_utf8_lossy(&output.stdout).split_terminator('\0') {
            let full = root.join(path);
            if full.is_file() {
                let content = std::fs::read(&full).with_context(|| format!("read {path}"))?;
                tree.insert(path, content);
            }
        }
        Ok(tree)
    }

    fn insert(&mut self, path: &str, content: Vec<u8>) {
        for (at, _) in path.match_indices('/') {
            self.folders.extend(path.get(..at).map(str::to_owned));
        }
        let file = File { bytes: content.len(), text: String::from_utf8(content).ok() };
        self.files.insert(path.to_owned(), file);
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &File)> {
        self.files.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// All texts whose path ends so.
    pub(super) fn texts(&self, ending: &str) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter_map(move |(path, file)| {
            path.ends_with(ending).then_some((path, file.text.as_deref()?))
        })
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.text.as_deref()
    }

    /// Whether there is such a file or folder.
    pub(super) fn has(&self, path: &str) -> bool {
        self.files.contains_key(path) || self.folders.contains(path)
    }

    /// The names of the workspace's crates, and `fuzz`, which is a workspace of its own.
    pub(super) fn crates(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts("Cargo.toml").filter_map(|(path, text)| {
            let folder = path.strip_suffix("/Cargo.toml")?;
            let name = if folder == "fuzz" { folder } else { folder.strip_prefix("crates/")? };
            (!name.contains('/')).then_some((name, text))
        })
    }

    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let mut tree = Self::default();
        for (path, text) in files {
            tree.insert(path, text.as_bytes().to_vec());
        }
        tree
    }
}
