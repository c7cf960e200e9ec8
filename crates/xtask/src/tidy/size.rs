//! How long a Rust file may be without its tests, and how large any file.

use super::Finding;
use super::tree::Tree;

/// 400 is comfortable; from here on a file has to be split by concept.
const LINES_MAX: usize = 600;
const BYTES_MAX: usize = 1 << 20;

/// Files that may be longer, each with its reason. The list only shrinks.
const LONGER: &[(&str, &str)] = &[];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    check_except(tree, LONGER)
}

fn check_except(tree: &Tree, longer: &[(&str, &str)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, file) in tree.files() {
        if file.bytes > BYTES_MAX {
            findings.push(Finding::new(path, format!("{} bytes; {BYTES_MAX} at most", file.bytes)));
        }
    }
    for (path, text) in tree.texts(".rs").filter(|(path, _)| !is_test(path)) {
        let lines = lines_without_tests(text);
        let exempt = longer.iter().any(|(name, _)| *name == path);
        if lines > LINES_MAX && !exempt {
            let message =
                format!("{lines} lines without tests; {LINES_MAX} at most: split by concept");
            findings.push(Finding::new(path, message));
        }
        if lines <= LINES_MAX && exempt {
            findings
                .push(Finding::new(path, "no longer needs its exemption in xtask's tidy/size.rs"));
        }
    }
    for (path, _) in longer.iter().filter(|(path, _)| !tree.has(path)) {
        findings.push(Finding::new(*path, "exempt in xtask's tidy/size.rs, but not there"));
    }
    findings
}

fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.starts_with("tests/") || path.contains("/tests/")
}

fn lines_without_tests(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines.windows(2).position(|pair| {
        pair.first() == Some(&"#[cfg(test)]")
            && pair.last().is_some_and(|line| line.starts_with("mod tests"))
    });
    tests.unwrap_or(lines.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(lines: usize) -> String {
        "//! x\n".repeat(lines)
    }

    fn with_tests(lines: usize) -> String {
        format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", code(lines), code(LINES_MAX))
    }

    #[test]
    fn code_beyond_the_budget_fails_and_tests_do_not_count() {
        let (long, tested) = (code(LINES_MAX + 1), with_tests(LINES_MAX));
        let tree = Tree::of(&[
            ("long.rs", &long),
            ("ok.rs", &tested),
            ("a/tests/b.rs", &long),
            ("a/tests.rs", &long),
        ]);
        let places: Vec<_> = check(&tree).into_iter().map(|finding| finding.place).collect();
        assert_eq!(places, ["long.rs"]);
    }

    #[test]
    fn an_exemption_holds_until_it_is_not_needed() {
        let (long, short) = (code(LINES_MAX + 1), code(1));
        let longer = &[("a.rs", "reason")];
        assert_eq!(check_except(&Tree::of(&[("a.rs", &long)]), longer).len(), 0);
        assert_eq!(check_except(&Tree::of(&[("a.rs", &short)]), longer).len(), 1);
        assert_eq!(check_except(&Tree::of(&[]), longer).len(), 1);
    }

    #[test]
    fn a_large_file_fails() {
        let large = "x".repeat(BYTES_MAX + 1);
        assert_eq!(check(&Tree::of(&[("a.json", &large)])).len(), 1);
    }
}
