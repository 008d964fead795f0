//! The task that publishes the status as metrics: state, disks, space and redundancy.
//!
//! The metrics are made from the same status that `stratum status` shows, so that an alert and what its reader then
//! sees agree. There is one set of metrics for each disk, even if the disk holds a drive of every tier.

use crate::logging::DroppedLines;
use crate::operator::Operator;
use crate::status::{self, DriveStatus, Status};
use crate::telemetry::Telemetry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use stratum_engine::tiering::Held;
use stratum_storage::ambient::{Clock, System};
use stratum_storage::task::{self, Executor, Next, Role, Row, Stop, Task, Work};
use stratum_tiering::tier::Tier;
use tracing_mutex::parkinglot::Mutex;

const STATES: [(status::State, &str); 5] = [
    (status::State::Well, "well"),
    (status::State::Attention, "attention"),
    (status::State::Degraded, "degraded"),
    (status::State::Full, "full"),
    (status::State::Damaged, "damaged"),
];

/// The least time between two collections of the status.
const COLLECTION_INTERVAL: Duration = Duration::from_secs(10);
/// After a collection that took long the next one waits this many times as long, so that collecting takes at most about
/// a twentieth of the time.
const PAUSE_FACTOR: u32 = 20;
/// How often the samples of histograms are folded into their buckets.
const FOLD_INTERVAL: Duration = Duration::from_secs(5);
/// How often the task checks whether a collection or a folding is due.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The task that publishes the metrics. It also folds histograms, whose samples would take ever more memory on a server
/// that nobody scrapes.
pub struct FiguresTask {
    operator: Arc<Operator>,
    telemetry: Telemetry,
    dropped: DroppedLines,
    /// The buckets that have metrics of their own.
    metered: BTreeSet<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    figures: Figures,
    /// When the next collection and the next folding are due, on the monotonic clock.
    look_at: Duration,
    fold_at: Duration,
    /// How many dropped lines the log has been told of.
    dropped: u64,
}

impl FiguresTask {
    pub fn new(
        operator: Arc<Operator>,
        telemetry: Telemetry,
        dropped: DroppedLines,
        metered: BTreeSet<String>,
    ) -> FiguresTask {
        FiguresTask { operator, telemetry, dropped, metered, state: Mutex::default() }
    }

    /// Collects and folds if that is due. Blocks, since collecting reads every drive.
    fn do_what_is_due(&self) {
        let (mut state, began) = (self.state.lock(), System.monotonic());
        if state.fold_at <= began {
            self.telemetry.fold();
            self.tell_dropped(&mut state);
            state.fold_at = began + FOLD_INTERVAL;
        }
        if state.look_at <= began {
            state.figures.publish(&self.operator.status(), System.now());
            for bucket in &self.metered {
                tell_held(bucket, self.operator.held(bucket).unwrap_or_default());
            }
            let ended = System.monotonic();
            state.look_at = ended + COLLECTION_INTERVAL.max(ended.saturating_sub(began) * PAUSE_FACTOR);
        }
    }

    fn tell_dropped(&self, state: &mut State) {
        let dropped = self.dropped.count();
        metrics::counter!("stratum_log_lines_dropped_total").absolute(dropped);
        let more = dropped.saturating_sub(state.dropped);
        if more > 0 {
            tracing::warn!(
                lines = more,
                "lines of the log were dropped: whoever reads standard error is too slow"
            );
        }
        state.dropped = dropped;
    }
}

impl Task for FiguresTask {
    fn row(&self) -> Row {
        Row {
            name: "figures",
            role: Role::Host,
            class: None,
            executor: Executor::Thread,
            delay: POLL_INTERVAL,
        }
    }

    fn step<'a>(&'a self, _: &'a Stop) -> Work<'a, Next> {
        task::blocking(|| {
            self.do_what_is_due();
            Next::After(POLL_INTERVAL)
        })
    }
}

/// The metrics of a disk: each one's name and value.
type OfDisk = [(&'static str, f64); 7];

/// Publishes the metrics, and remembers for which disks. A metric can't be unpublished, so those of a disk that left
/// the set become NaN, for which no alert fires.
#[derive(Default)]
struct Figures {
    disks: BTreeSet<String>,
}

impl Figures {
    /// Publishes all metrics of a status. `now` is in milliseconds since 1970.
    fn publish(&mut self, status: &Status, now: u64) {
        for (state, name) in STATES {
            metrics::gauge!("stratum_state", "state" => name).set(f64::from(u8::from(status.state == state)));
        }
        for task in &status.tasks {
            let silent = metrics::gauge!("stratum_task_silent_seconds", "task" => task.name.clone());
            silent.set(task.silent_seconds as f64);
        }
        let gauge = |name: &'static str, value: u64| metrics::gauge!(name).set(value as f64);
        if let Some(held) = &status.space.held {
            gauge("stratum_objects", held.objects);
            gauge("stratum_noncurrent_versions", held.versions);
            gauge("stratum_delete_markers", held.delete_markers);
            gauge("stratum_logical_bytes", held.logical);
            gauge("stratum_buckets", held.buckets);
        }
        gauge("process_open_fds", status.descriptors.open);
        gauge("process_max_fds", status.descriptors.limit);
        metrics::gauge!("stratum_clock_jump_seconds")
            .set(status.clock_jump_seconds.unwrap_or_default() as f64);
        gauge("stratum_missing_fragments", status.redundancy.missing_fragments);
        gauge("stratum_unreadable_objects", status.redundancy.unreadable_objects);
        let ended = status.scrub.get("finished_at").and_then(serde_json::Value::as_u64).filter(|at| *at > 0);
        let age = ended.map_or(status.uptime_seconds, |at| now.saturating_sub(at) / 1000);
        gauge("stratum_scrub_age_seconds", age);
        if let Some(certificate) = &status.certificate {
            let gauge = |name: &'static str, seconds: i64| metrics::gauge!(name).set(seconds as f64);
            gauge("stratum_certificate_seconds_left", certificate.seconds_left);
            gauge("stratum_certificate_lifetime_seconds", certificate.lifetime_seconds);
        }
        let disks = by_disk(&status.drives);
        for (disk, figures) in &disks {
            tell(disk, figures);
        }
        let now_there: BTreeSet<String> = disks.keys().map(|disk| (*disk).to_owned()).collect();
        for gone in self.disks.difference(&now_there) {
            tell(gone, &of_disk(&[]).map(|(name, _)| (name, f64::NAN)));
        }
        self.disks = now_there;
        gauge("stratum_figures_timestamp_seconds", now / 1000);
    }
}

/// Publishes what a bucket held when the tiering engine last walked over its objects.
fn tell_held(bucket: &str, held: Held) {
    for tier in Tier::ALL {
        let labels = [("bucket", bucket.to_owned()), ("tier", tier.name().to_owned())];
        metrics::gauge!("stratum_bucket_objects", &labels).set(held.objects[tier] as f64);
        metrics::gauge!("stratum_bucket_bytes", &labels).set(held.bytes[tier] as f64);
    }
}

fn tell(disk: &str, figures: &OfDisk) {
    for (name, value) in figures {
        metrics::gauge!(*name, "disk" => disk.to_owned()).set(*value);
    }
}

fn by_disk(drives: &[DriveStatus]) -> BTreeMap<&str, OfDisk> {
    let mut disks: BTreeMap<&str, Vec<&DriveStatus>> = BTreeMap::new();
    for drive in drives {
        disks.entry(&drive.disk).or_default().push(drive);
    }
    disks.into_iter().map(|(disk, drives)| (disk, of_disk(&drives))).collect()
}

/// The metrics of a disk from the status of its drives: each condition is that of the worst drive.
fn of_disk(drives: &[&DriveStatus]) -> OfDisk {
    let any = |is_so: fn(&DriveStatus) -> bool| f64::from(u8::from(drives.iter().any(|drive| is_so(drive))));
    let fill = |drive: &&DriveStatus| match drive.fill.as_deref() {
        None => 0u8,
        Some("full") => 2,
        Some(_) => 1,
    };
    let used: u64 = drives.iter().map(|drive| drive.bytes_used).sum();
    let free = drives.iter().map(|drive| drive.bytes_free).max().unwrap_or_default();
    [
        ("stratum_drive_healthy", 1.0 - any(|drive| !drive.serves())),
        ("stratum_drive_slow", any(|drive| drive.slow)),
        ("stratum_drive_writes_slowly", any(|drive| drive.writes_slowly)),
        ("stratum_drive_rotting", any(|drive| drive.rotting)),
        ("stratum_drive_fill", f64::from(drives.iter().map(fill).max().unwrap_or_default())),
        ("stratum_drive_used_bytes", used as f64),
        ("stratum_drive_free_bytes", free as f64),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_has_the_conditions_of_the_worst_of_its_drives() {
        let drive = |disk: &str, state: &str, fill: Option<&str>| DriveStatus {
            disk: disk.into(),
            state: state.into(),
            fill: fill.map(str::to_owned),
            bytes_used: 10,
            bytes_free: 70,
            ..DriveStatus::default()
        };
        let drives = [
            drive("/a", "healthy", None),
            drive("/a", "failed", Some("full")),
            drive("/a", "healthy", None),
            drive("/b", "draining", Some("almost full")),
        ];
        let disks = by_disk(&drives);
        assert_eq!(disks["/a"].map(|(_, value)| value), [0.0, 0.0, 0.0, 0.0, 2.0, 30.0, 70.0]);
        assert_eq!(disks["/b"].map(|(_, value)| value), [1.0, 0.0, 0.0, 0.0, 1.0, 10.0, 70.0]);
    }
}
