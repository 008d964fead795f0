//! The metrics in Prometheus's format, with those of the process itself: its memory, its start and its version.

mod families;

use families::{FAMILIES, Kind};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use stratum_storage::ambient::{Clock, System};

/// Upper bounds of the latency histograms, in seconds: from a page-cache hit to a stalled drive.
const LATENCY_SECONDS: [f64; 15] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];

/// Upper bounds of the histograms of how many entries go together.
const ENTRIES: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// Collects the metrics of this process. A clone is a cheap handle.
#[derive(Clone)]
pub struct Telemetry {
    page: PrometheusHandle,
}

impl Telemetry {
    /// Installs the recorder to which all metrics of this process go from now on.
    pub fn install() -> Result<Telemetry, Box<dyn std::error::Error>> {
        // Every histogram gets buckets. The exporter would render one without buckets as a summary, and summaries of
        // several servers can't be added up.
        let builder = PrometheusBuilder::new()
            .set_buckets(&LATENCY_SECONDS)?
            .set_buckets_for_metric(Matcher::Suffix("entries".into()), &ENTRIES)?;
        let page = builder.install_recorder()?;
        describe();
        let version = env!("CARGO_PKG_VERSION");
        metrics::gauge!("stratum_build_info", "version" => version).set(1.0);
        metrics::gauge!("process_start_time_seconds").set(System.now() as f64 / 1000.0);
        Ok(Telemetry { page })
    }

    /// The text of all metrics as they are now.
    pub fn render(&self) -> String {
        if let Some(bytes) = resident_bytes() {
            metrics::gauge!("process_resident_memory_bytes").set(bytes as f64);
        }
        self.page.render()
    }

    /// Folds the samples of histograms into their buckets. This must be called every few seconds, so that memory stays
    /// bounded when nobody scrapes.
    pub fn fold(&self) {
        self.page.run_upkeep();
    }
}

/// Registers the unit and the help text of every metric.
fn describe() {
    for family in FAMILIES {
        match family.kind {
            Kind::Counter => metrics::describe_counter!(family.name, family.unit, family.help),
            Kind::Gauge => metrics::describe_gauge!(family.name, family.unit, family.help),
            Kind::Histogram => metrics::describe_histogram!(family.name, family.unit, family.help),
        }
    }
}

/// Resident memory, from `/proc/self/statm`: its second field counts pages.
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
