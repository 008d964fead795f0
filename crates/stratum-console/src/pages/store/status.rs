//! The status of the store as the operator's API tells it, as far as the page shows it.
//!
//! The API is in the same binary. So no field has a default: one that is missing is a mistake in the code, and
//! reading fails.

use crate::shown::counted;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The whole status.
#[derive(Deserialize)]
pub struct Status {
    pub version: String,
    pub uptime_seconds: u64,
    pub state: String,
    pub notes: Vec<String>,
    pub drives: Vec<Drive>,
    pub redundancy: Redundancy,
    pub heal: Value,
    pub scrub: Value,
    pub compaction: Value,
    pub balance: Value,
    pub quarantine: Value,
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
    pub bytes: u64,
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
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        let slow = [
            (self.slow, "answers slowly"),
            (self.writes_slowly, "writes slowly"),
            (self.rotting, "to be replaced: it gives bad pieces"),
        ];
        remarks.extend(slow.into_iter().filter(|(is_so, _)| *is_so).map(|(_, words)| words.to_owned()));
        remarks.extend(self.fill.clone());
        if self.bad_pieces > 0 {
            remarks.push(counted(self.bad_pieces, "bad piece"));
        }
        remarks.extend(self.reason.clone());
        remarks
    }
}
