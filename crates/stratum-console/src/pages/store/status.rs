//! The status of the store as the operator's API tells it, as far as the page shows it.
//!
//! The API is in the same binary. So no field has a default: one that is missing is a mistake in the code, and
//! reading fails.

use crate::trouble::Trouble;
use crate::visit::Visit;
use http::Method;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;

pub async fn read(visit: &Visit) -> Result<Status, Trouble> {
    visit.ask().operator(Method::GET, "/status").json().await
}

pub async fn tiers(visit: &Visit) -> Result<Tiers, Trouble> {
    visit.ask().operator(Method::GET, "/tier").json().await
}

/// The whole status.
#[derive(Deserialize)]
pub struct Status {
    pub version: String,
    pub uptime_seconds: u64,
    pub state: String,
    pub notes: Vec<String>,
    pub drives: Vec<Drive>,
    pub redundancy: Redundancy,
    pub heal: Heal,
    pub scrub: Scrub,
    pub compaction: Compaction,
    pub balance: Balance,
    pub quarantine: Quarantine,
    pub space: Space,
    pub journal: Journal,
    pub admission: Admission,
    pub connections: Connections,
    pub background: Background,
    pub tasks: Vec<TaskHealth>,
}

#[derive(Deserialize)]
pub struct Drive {
    pub path: String,
    pub disk: String,
    pub tier: String,
    /// What the machine calls the device by. Drives with the same number share what is free. None if it doesn't answer.
    pub device: Option<u64>,
    pub state: String,
    pub reason: Option<String>,
    pub slow: bool,
    pub writes_slowly: bool,
    pub read_p99_seconds: Option<f64>,
    pub bad_pieces: u64,
    pub rotting: bool,
    pub fill: Option<String>,
    pub bytes_used: u64,
    pub bytes_free: u64,
}

#[derive(Deserialize)]
pub struct Redundancy {
    pub missing_fragments: u64,
    pub unreadable_objects: u64,
    pub stripes_by_missing_shards: Vec<u64>,
}

#[derive(Deserialize)]
pub struct Heal {
    pub bytes_to_do: u64,
    pub bytes_done: u64,
    pub bytes_per_second: u64,
    pub seconds_left: Option<u64>,
    pub waiting_because: Option<String>,
}

#[derive(Deserialize)]
pub struct Scrub {
    pub phase: ScrubPhase,
    /// Milliseconds of Unix time, 0 if no pass has ended.
    pub finished_at: u64,
    pub bytes_to_do: u64,
    pub seconds_left: Option<u64>,
    pub found: Found,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum ScrubPhase {
    Idle,
    /// A pass that is spread over its time.
    Spread,
    /// A pass that was asked for.
    Asked,
    Paused,
}

/// What the pass that is under way, or else the last one, has found.
#[derive(Deserialize)]
pub struct Found {
    pub bytes: u64,
    pub bad_fragments: u64,
    pub bad_files: u64,
    pub parity_disagrees: u64,
    pub unreadable: u64,
    pub mended: u64,
}

#[derive(Deserialize)]
pub struct Compaction {
    /// What is compacted now, in words.
    pub moving: Option<String>,
    pub reclaimed: u64,
    pub waits_for: Option<String>,
    pub last_error: Option<String>,
}

#[derive(Deserialize)]
pub struct Balance {
    pub bytes_to_do: u64,
    pub bytes_done: u64,
    pub seconds_left: Option<u64>,
    pub waits_for: Option<String>,
}

#[derive(Deserialize)]
pub struct Quarantine {
    pub files: Vec<IgnoredAny>,
    pub removed: u64,
    pub held_back: bool,
}

/// What the operator's API tells of tiers.
#[derive(Deserialize)]
pub struct Tiers {
    pub moving: Moving,
    pub deciding: Deciding,
}

/// What was moved from tier to tier since the start.
#[derive(Deserialize)]
pub struct Moving {
    pub objects: u64,
    pub bytes: u64,
    /// The tiers that take nothing now, and why.
    pub waiting: BTreeMap<String, String>,
}

#[derive(Deserialize)]
pub struct Deciding {
    pub last_walk: Option<Walk>,
}

/// The last walk over all objects.
#[derive(Deserialize)]
pub struct Walk {
    pub objects: u64,
    pub decided: u64,
    pub put_off: u64,
    pub waiting_for_room: u64,
}

#[derive(Deserialize)]
pub struct Space {
    /// None while the objects are counted for the first time since the start.
    #[serde(flatten)]
    pub held: Option<Held>,
    pub live: u64,
    pub used: u64,
    pub free: u64,
}

/// What a walk over all objects found.
#[derive(Deserialize)]
pub struct Held {
    pub counted_seconds_ago: u64,
    pub logical: u64,
    pub objects: u64,
    pub versions: u64,
    pub buckets: u64,
    pub garbage: u64,
}

#[derive(Deserialize)]
pub struct Journal {
    pub members: Vec<String>,
    pub bytes: u64,
    pub cap: u64,
}

#[derive(Deserialize)]
pub struct Admission {
    pub limit: u64,
    pub used: u64,
    pub refused: u64,
}

#[derive(Deserialize)]
pub struct Connections {
    pub limit: u64,
    pub open: u64,
    pub refused: u64,
}

#[derive(Deserialize)]
pub struct Background {
    pub hurried: bool,
    pub bytes_per_second: u64,
    pub tasks: Vec<Work>,
}

#[derive(Deserialize)]
pub struct Work {
    pub task: String,
    pub paused: bool,
}

#[derive(Deserialize)]
pub struct TaskHealth {
    pub name: String,
    pub failures: u64,
    pub last_failure: Option<String>,
}

/// A disk and the drives on it.
pub struct Disk<'a> {
    pub name: &'a str,
    pub drives: Vec<&'a Drive>,
}

impl Disk<'_> {
    pub fn used(&self) -> u64 {
        self.drives.iter().map(|drive| drive.bytes_used).sum()
    }

    /// The time within which 99 of 100 recent reads of its slowest drive ended.
    pub fn read_p99(&self) -> Option<f64> {
        self.drives.iter().filter_map(|drive| drive.read_p99_seconds).reduce(f64::max)
    }

    /// How many pieces were read from it since the start that were wrong.
    pub fn bad_pieces(&self) -> u64 {
        self.drives.iter().map(|drive| drive.bad_pieces).sum()
    }

    /// How many drives of each tier.
    pub fn tiers(&self) -> Vec<(&str, usize)> {
        let of = |name: &str| self.drives.iter().filter(|drive| drive.tier == name).count();
        ["hot", "warm", "cold"]
            .into_iter()
            .map(|name| (name, of(name)))
            .filter(|(_, drives)| *drives > 0)
            .collect()
    }

    /// The free bytes of the disk. Its drives share them, so they aren't added up.
    pub fn free(&self) -> u64 {
        self.drives.iter().map(|drive| drive.bytes_free).max().unwrap_or_default()
    }

    /// Whether a drive of the disk can't be read.
    pub fn is_lost(&self) -> bool {
        self.drives.iter().any(|drive| !matches!(drive.state.as_str(), "healthy" | "draining" | "drained"))
    }

    pub fn is_drained(&self) -> bool {
        self.drives.iter().all(|drive| drive.state == "drained")
    }

    pub fn is_draining(&self) -> bool {
        self.drives.iter().any(|drive| matches!(drive.state.as_str(), "draining" | "drained"))
    }

    /// What should be known of the disk. What several of its drives have to say is said once.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks: Vec<String> = Vec::new();
        // What is said of a drive names its folder, which differs from drive to drive of the disk.
        let all = self.drives.iter().flat_map(|drive| {
            drive.remarks().into_iter().map(|remark| remark.replace(&drive.path, self.name))
        });
        for remark in all {
            if !remarks.contains(&remark) {
                remarks.push(remark);
            }
        }
        remarks
    }
}

/// The bytes that are free on these disks. Those of one device are counted once.
pub fn free_of<'a, 'd: 'a>(disks: impl Iterator<Item = &'a Disk<'d>>) -> u64 {
    let drives = disks.flat_map(|disk| &disk.drives);
    let by_device: BTreeMap<u64, u64> =
        drives.filter_map(|drive| drive.device.map(|device| (device, drive.bytes_free))).collect();
    by_device.into_values().fold(0, u64::saturating_add)
}

pub fn disks(drives: &[Drive]) -> Vec<Disk<'_>> {
    let mut disks: BTreeMap<&str, Vec<&Drive>> = BTreeMap::new();
    for drive in drives {
        let disk = if drive.disk.is_empty() { &drive.path } else { &drive.disk };
        disks.entry(disk).or_default().push(drive);
    }
    disks.into_iter().map(|(name, drives)| Disk { name, drives }).collect()
}

impl Drive {
    fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        let slow = [
            (self.slow, "answers slowly"),
            (self.writes_slowly, "writes slowly"),
            (self.rotting, "to be replaced: it gives bad pieces"),
        ];
        remarks.extend(slow.into_iter().filter(|(is_so, _)| *is_so).map(|(_, words)| words.to_owned()));
        remarks.extend(self.fill.clone());
        // What a drained drive says of itself is how it is taken out by hand. The page has a button for it.
        remarks.extend(self.reason.clone().filter(|_| self.state != "drained"));
        remarks
    }
}
