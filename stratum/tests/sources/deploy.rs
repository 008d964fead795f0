//! Compares the files in `deploy/` with the documents of the server: every metric that an alert or a dashboard asks for
//! is in docs/METRICS.md (which another test compares with a running server), and every alert names a section of
//! docs/OPERATIONS.md that exists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// How an alert in the published rules names its section. It is no URL, since the rules can't know where an operator's
/// documentation is served.
const RUNBOOKS: &str = "runbook: docs/OPERATIONS.md#";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn document(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// The rules, dashboards and manifests in `deploy/`, with their texts.
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

/// The type of each metric in the table of docs/METRICS.md.
fn metrics(table: &str) -> BTreeMap<&str, &str> {
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    rows.map(|(name, rest)| (name, rest.split(' ').next().unwrap_or_default())).collect()
}

/// The server's metrics that a text names. A name with colons is that of a series that a rule records, and no metric of
/// the server.
fn named(text: &str) -> BTreeSet<&str> {
    let is_part = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || "_:".contains(char);
    text.split(|char| !is_part(char))
        .filter(|word| word.starts_with("stratum_") && !word.contains(':'))
        .collect()
}

/// Whether a metric makes a series of this name. A histogram makes three series with suffixes.
fn exists(name: &str, metrics: &BTreeMap<&str, &str>) -> bool {
    let is_histogram = |family: &str| metrics.get(family) == Some(&"histogram");
    match ["_bucket", "_count", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix)) {
        Some(family) if is_histogram(family) => true,
        _ => metrics.contains_key(name) && !is_histogram(name),
    }
}

/// The anchor of a heading, as GitHub and mdBook make it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|char| char.is_alphanumeric() || " -_".contains(*char));
    kept.map(|char| if char == ' ' { '-' } else { char.to_ascii_lowercase() }).collect()
}

#[test]
fn alerts_and_dashboards_ask_only_for_metrics_that_exist() {
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
fn every_alert_names_a_section_that_exists() {
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
fn the_sections_of_alerts_become_links_only_when_they_are_deployed() {
    let chart = document("deploy/helm/stratum/templates/monitor.yaml");
    assert!(chart.contains(&format!("replace {RUNBOOKS:?}")), "the chart doesn't make links of the sections");
    let rules = document("deploy/prometheus/stratum.rules.yaml");
    let advice = format!("sed 's|{RUNBOOKS}|runbook_url: ");
    assert!(rules.contains(&advice), "the rules don't say how to make links of the sections");
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
