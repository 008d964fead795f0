//! `/_stratum/metrics` of the real binary against docs/METRICS.md: every metric is described, and none is described
//! that doesn't exist.

use crate::client::client;
use crate::server::Server;
use aws_sdk_s3::primitives::ByteStream;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

// The units are used only by the binary, where the metrics are registered.
#[allow(dead_code)]
#[path = "../../src/telemetry/families.rs"]
mod families;

const DOCUMENT: &str = include_str!("../../../docs/METRICS.md");

pub fn scrape(server: &Server) -> String {
    let address = server.endpoint();
    let mut stream = TcpStream::connect(address.trim_start_matches("http://")).unwrap();
    stream.write_all(b"GET /_stratum/metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

/// The type and the meaning of each metric in the table of docs/METRICS.md.
fn documented() -> BTreeMap<String, (String, String)> {
    let rows = DOCUMENT.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split(" | ").flat_map(|cell| cell.split(" |  | ")).collect();
        let meaning = cells.last().unwrap().trim_end_matches(" |");
        (cells[0].trim_end_matches('`').to_owned(), (cells[1].to_owned(), meaning.to_owned()))
    })
    .collect()
}

/// The comments of a kind (`# HELP ` or `# TYPE `) on the page of metrics, by the name of the metric.
fn told(page: &str, what: &str) -> BTreeMap<String, String> {
    let lines = page.lines().filter_map(|line| line.strip_prefix(what)?.split_once(' '));
    lines.map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_described_as_the_document_says() {
    let server = Server::start();
    let s3 = client(&server);
    s3.create_bucket().bucket("metered").send().await.unwrap();
    for (key, size) in [("small", 100), ("large", 1 << 20)] {
        let body = ByteStream::from(vec![7; size]);
        s3.put_object().bucket("metered").key(key).body(body).send().await.unwrap();
        s3.get_object().bucket("metered").key(key).send().await.unwrap().body.collect().await.unwrap();
    }
    // Some metrics are published only every five or ten seconds.
    let mut page = scrape(&server);
    for _ in 0..120 {
        if page.contains("\nstratum_objects ") && page.contains("\nstratum_journal_cap_bytes ") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
        page = scrape(&server);
    }

    let (help, types, documented) = (told(&page, "# HELP "), told(&page, "# TYPE "), documented());
    assert!(types.len() > 30, "{page}");
    for (name, kind) in &types {
        assert_ne!(kind, "summary", "{name}");
        let meaning = help.get(name).unwrap_or_else(|| panic!("{name} has no HELP"));
        assert_eq!(documented.get(name), Some(&(kind.clone(), meaning.clone())), "{name}");
    }
    // No metric is documented that doesn't exist.
    let known: BTreeSet<String> =
        families::FAMILIES.iter().map(|family| family.name.to_owned()).chain(types.keys().cloned()).collect();
    assert_eq!(documented.keys().cloned().collect::<BTreeSet<_>>(), known);
    for family in families::FAMILIES {
        let (kind, meaning) = documented.get(family.name).unwrap();
        let expected = format!("{:?}", family.kind).to_lowercase();
        assert_eq!((kind.as_str(), meaning.as_str()), (expected.as_str(), family.help), "{}", family.name);
    }

    for family in [
        "stratum_state",
        "stratum_drive_used_bytes",
        "stratum_drive_free_bytes",
        "stratum_buckets",
        "stratum_logical_bytes",
        "stratum_missing_fragments",
        "stratum_unreadable_objects",
        "stratum_scrub_age_seconds",
        "stratum_connections",
        "stratum_request_memory_used_bytes",
        "stratum_build_info",
        "process_start_time_seconds",
        "stratum_task_running",
    ] {
        assert!(types.contains_key(family), "{family}: {page}");
    }
    // One data folder counts as one disk, although it holds many drives.
    let disk = format!("stratum_drive_healthy{{disk=\"{}\"}} 1", server.data().display());
    let lines: Vec<&str> = page.lines().filter(|line| line.starts_with("stratum_drive_healthy{")).collect();
    assert_eq!(lines, [disk.as_str()]);
    let writes: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("stratum_drive_seconds_count{") && line.contains("\"write\""))
        .collect();
    assert_eq!(writes.len(), 1, "{writes:?}");
}

/// Neither making buckets nor asking for buckets that don't exist makes metrics.
#[tokio::test(flavor = "multi_thread")]
async fn only_buckets_that_the_configuration_names_have_metrics_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("stratum.toml"), "[metrics]\nbuckets = [\"named\"]\n").unwrap();
    let server = Server::start_on(folder, &["data"]);
    let s3 = client(&server);
    for bucket in ["named", "other"] {
        s3.create_bucket().bucket(bucket).send().await.unwrap();
        s3.put_object().bucket(bucket).key("k").body(ByteStream::from(vec![7; 100])).send().await.unwrap();
        s3.get_object().bucket(bucket).key("k").send().await.unwrap().body.collect().await.unwrap();
        s3.get_object().bucket(bucket).key("none").send().await.unwrap_err();
    }
    s3.get_object().bucket("nowhere").key("k").send().await.unwrap_err();
    let page = scrape(&server);
    let mut counted: Vec<&str> =
        page.lines().filter(|line| line.starts_with("stratum_bucket_requests_total{")).collect();
    counted.sort_unstable();
    let line = |operation: &str, status: u16| {
        format!(
            "stratum_bucket_requests_total{{bucket=\"named\",operation=\"{operation}\",status=\"{status}\"}} 1"
        )
    };
    let expected = [("CreateBucket", 200), ("GetObject", 200), ("GetObject", 404), ("PutObject", 200)]
        .map(|(of, status)| line(of, status));
    assert_eq!(counted, expected);
    assert!(page.contains("\nstratum_bucket_request_seconds_count{bucket=\"named\"} 4\n"), "{page}");
}
