//! As much of a `Cargo.toml` as the rules need: which tables it has, and the keys in them.
//!
//! Reads line by line; an inline table or array that spans lines is seen by its first line only.

/// One `key = value` line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) table: &'a str,
    pub(crate) key: &'a str,
    pub(crate) value: &'a str,
    pub(crate) line_index: usize,
}

pub(crate) fn entries(text: &str) -> Vec<Entry<'_>> {
    let mut table = "";
    let mut entries = Vec::new();
    for (line_index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            table = line.trim_matches(['[', ']']);
        } else if let Some((key, value)) = line.split_once('=')
            && !line.starts_with('#')
        {
            let key = key.trim().trim_matches('"');
            entries.push(Entry { table, key, value: value.trim(), line_index });
        }
    }
    entries
}

/// How a crate uses another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// In what it ships, or in its build script.
    Shipped,
    /// In its tests, examples and benchmarks.
    Tests,
}

/// The dependencies that a manifest names: `(name, use, line as an entry)`.
pub(super) fn dependencies(text: &str) -> Vec<(&str, Use, Entry<'_>)> {
    let mut found = Vec::new();
    for entry in entries(text) {
        // `[target.'cfg(…)'.dependencies]` counts like `[dependencies]`.
        let table = entry.table.rsplit_once("'.").map_or(entry.table, |(_, table)| table);
        let used = match table {
            "dependencies" | "build-dependencies" => Use::Shipped,
            "dev-dependencies" => Use::Tests,
            _ => continue,
        };
        // `name.workspace = true` and `name = {…}` alike.
        let name = entry.key.split('.').next().unwrap_or(entry.key);
        found.push((name, used, entry));
    }
    found
}

/// The names of the binaries that a manifest declares with `[[bin]]`.
pub(crate) fn binaries(text: &str) -> Vec<String> {
    let names =
        entries(text).into_iter().filter(|entry| (entry.table, entry.key) == ("bin", "name"));
    names.map(|entry| entry.value.trim_matches('"').to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_found_in_every_kind_of_table() {
        let text = "[package]\nname = \"a\"\n[dependencies]\ntypes.workspace = true\n# old = 1\n\
            [target.'cfg(unix)'.dependencies]\nlibc = \"1\"\n[dev-dependencies]\nsim = { path = \"..\" }\n";
        let found: Vec<_> =
            dependencies(text).into_iter().map(|(name, used, _)| (name, used)).collect();
        assert_eq!(found, [("types", Use::Shipped), ("libc", Use::Shipped), ("sim", Use::Tests)]);
    }

    #[test]
    fn binaries_are_found_by_name() {
        assert_eq!(
            binaries("[[bin]]\nname = \"json\"\npath = \"x\"\n[[bin]]\nname = \"query\"\n"),
            ["json", "query"]
        );
    }
}
