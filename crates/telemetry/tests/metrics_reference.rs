//! `docs/metrics.md` lists exactly the metrics that a node has.

use std::path::Path;

use telemetry::{GatewayTotals, Metrics, StoreTotals};

const DOCUMENT: &str = "../../docs/metrics.md";

/// Rows of the reference, from the text that Prometheus gets.
fn reference(page: &str) -> String {
    let mut rows = String::new();
    for line in page.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|l| l.split_once(' ')) {
            let kind = page
                .lines()
                .find_map(|line| line.strip_prefix(&format!("# TYPE {name} ")))
                .expect("a type for every metric");
            let suffix = match kind {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            rows += &format!("| `{name}{suffix}` | {kind} | {} |\n", help.trim_end_matches('.'));
        }
    }
    rows
}

#[test]
fn the_reference_lists_every_metric() {
    let page = Metrics::new("1.2.3").encode(GatewayTotals::default(), StoreTotals::default());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
    let document = std::fs::read_to_string(&path).expect("docs/metrics.md");
    let listed: String = document
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|l| l.to_owned() + "\n")
        .collect();
    let expected = reference(&page);
    assert_eq!(listed, expected, "docs/metrics.md should list:\n{expected}");
}

#[test]
fn what_gateway_and_store_have_counted_is_shown_as_given() {
    let metrics = Metrics::new("1.2.3");
    let gateway = GatewayTotals { transports: 3, bytes_sent: 99, ..GatewayTotals::default() };
    let store = StoreTotals { batches: 2, commit_seconds: 0.5, ..StoreTotals::default() };
    metrics.encode(gateway, store);
    let page = metrics.encode(gateway, store);
    for line in [
        "dunlin_transports 3",
        "dunlin_sent_bytes_total 99",
        "dunlin_store_batches_total 2",
        "dunlin_store_commit_seconds_total 0.5",
        "dunlin_build_info{version=\"1.2.3\"} 1",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
}

#[test]
fn every_node_counts_for_itself() {
    let (one, other) = (Metrics::new("1"), Metrics::new("1"));
    one.events.inc_by(3);
    assert!(
        one.encode(GatewayTotals::default(), StoreTotals::default())
            .contains("dunlin_events_total 3\n")
    );
    assert!(
        other
            .encode(GatewayTotals::default(), StoreTotals::default())
            .contains("dunlin_events_total 0\n")
    );
}

#[test]
fn the_memory_of_the_process_is_measured() {
    let page = Metrics::new("1").encode(GatewayTotals::default(), StoreTotals::default());
    let line =
        page.lines().find(|line| line.starts_with("process_resident_memory_bytes ")).unwrap();
    let bytes: u64 = line.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(!cfg!(target_os = "linux") || bytes > 1 << 20, "{line}");
}
