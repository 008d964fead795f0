//! What `deploy/` says of the server, held against the server's own documents: every metric that an alert or a dashboard
//! asks for is one that docs/METRICS.md has (which a test holds against a running server), and every alert leads whoever is
//! woken to a section of docs/OPERATIONS.md that exists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What an alert says of its section, as the rules are published: where people read the book nobody knows here.
const RUNBOOKS: &str = "runbook: docs/OPERATIONS.md#";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn document(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// Rules, dashboards and manifests.
fn deployed() -> Vec<(PathBuf, String)> {
    let mut folders = vec![root().join("deploy")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in super::entries(&folder) {
            match path.extension().and_then(|extension| extension.to_str()) {
                _ if path.is_dir() => folders.push(path),
                Some("yaml" | "yml" | "json") => {
                    files.push((path.clone(), fs::read_to_string(path).unwrap()))
                }
                _ => {}
            }
        }
    }
    files
}

/// Of each metric in the table of docs/METRICS.md its type.
fn metrics(table: &str) -> BTreeMap<&str, &str> {
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    rows.map(|(name, rest)| (name, rest.split(' ').next().unwrap_or_default())).collect()
}

/// The metrics of ours that a text names. What a rule records has colons in its name, and is not one of them.
fn named(text: &str) -> BTreeSet<&str> {
    let is_part = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || "_:".contains(char);
    text.split(|char| !is_part(char))
        .filter(|word| word.starts_with("stratum_") && !word.contains(':'))
        .collect()
}

/// Whether there is such a series: a histogram's are three.
fn exists(name: &str, metrics: &BTreeMap<&str, &str>) -> bool {
    let is_histogram = |family: &str| metrics.get(family) == Some(&"histogram");
    match ["_bucket", "_count", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix)) {
        Some(family) if is_histogram(family) => true,
        _ => metrics.contains_key(name) && !is_histogram(name),
    }
}

/// A heading's anchor, as GitHub and mdBook make it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|char| char.is_alphanumeric() || " -_".contains(*char));
    kept.map(|char| if char == ' ' { '-' } else { char.to_ascii_lowercase() }).collect()
}

#[test]
fn alerts_and_dashboards_ask_for_metrics_that_there_are() {
    let table = document("docs/METRICS.md");
    let metrics = metrics(&table);
    let mut asked = deployed();
    asked.push((PathBuf::from("docs/OPERATIONS.md"), document("docs/OPERATIONS.md")));
    let mut seen = BTreeSet::new();
    for (path, text) in &asked {
        for name in named(text) {
            assert!(exists(name, &metrics), "{}: there is no series {name}", path.display());
            seen.insert(name);
        }
    }
    assert!(
        metrics.len() > 90 && seen.len() > 30,
        "{} metrics, {} of them asked for",
        metrics.len(),
        seen.len()
    );
}

#[test]
fn every_alert_leads_to_a_section_that_exists() {
    let operations = document("docs/OPERATIONS.md");
    let sections: BTreeSet<String> =
        operations.lines().filter_map(|line| line.strip_prefix("## ")).map(anchor).collect();
    let rules = document("deploy/prometheus/stratum.rules.yaml");
    let count = |start: &str| rules.lines().filter(|line| line.trim_start().starts_with(start)).count();
    let runbooks: Vec<&str> =
        rules.lines().filter_map(|line| line.trim_start().strip_prefix(RUNBOOKS)).collect();
    assert_eq!((count("- alert: "), count("summary: "), count("labels: { severity: ")), {
        let alerts = runbooks.len();
        (alerts, alerts, alerts)
    });
    assert!(runbooks.len() > 20);
    for runbook in runbooks {
        assert!(sections.contains(runbook), "docs/OPERATIONS.md has no section #{runbook}");
    }
}

#[test]
fn whoever_deploys_makes_links_of_that_and_nothing_leads_to_nobodys_address() {
    let chart = document("deploy/helm/stratum/templates/monitor.yaml");
    assert!(chart.contains(&format!("replace {RUNBOOKS:?}")), "the chart makes links of what the rules say");
    let rules = document("deploy/prometheus/stratum.rules.yaml");
    assert!(rules.contains(&format!("sed 's|{RUNBOOKS}|runbook_url: ")), "and so does the line at their top");
    for (path, text) in deployed() {
        assert!(!text.contains("stratum.example.com/docs"), "{}", path.display());
    }
}

#[test]
fn names_and_anchors_are_found() {
    let metrics = metrics("| `stratum_a_total` | counter | x |\n| `stratum_b_seconds` | histogram | x |");
    for (name, there) in [
        ("stratum_a_total", true),
        ("stratum_a", false),
        ("stratum_a_total_bucket", false),
        ("stratum_b_seconds_bucket", true),
        ("stratum_b_seconds", false),
    ] {
        assert_eq!(exists(name, &metrics), there, "{name}");
    }
    let expression = "rate(stratum_a_total{x=\"stratum\"}[5m]) / x:stratum_made:rate5m";
    assert_eq!(named(expression), BTreeSet::from(["stratum_a_total"]));
    assert_eq!(anchor("After an upgrade: the store's level"), "after-an-upgrade-the-stores-level");
}
