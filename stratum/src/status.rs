//! The status of a server, which `stratum status` shows as text or as JSON.
//!
//! Programs rely on the JSON: fields may be added to it, and are never renamed or removed.

pub mod drives;
mod space;

pub use space::{HeldStatus, Space};

use crate::certificate::CertificateStatus;
use crate::descriptors::DescriptorsStatus;
use crate::load::{self, AdmissionStatus};
use crate::shown::{bytes, duration, moment};
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use stratum_api::server::ConnectionsStatus;
use stratum_engine::supervisor::TaskHealth;
use stratum_metadata::{Ballast, IndexState, LostKeys, RebuildStep};

/// The status of the store and its server at a moment.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    pub version: String,
    /// How long ago the server started.
    pub uptime_seconds: u64,
    pub state: State,
    /// Whether the store was restored and that is not accepted yet, so that nothing is freed.
    pub is_provisional: bool,
    /// Sentences about what an operator should know or do; empty when all is well.
    pub notes: Vec<String>,
    pub drives: Vec<DriveStatus>,
    pub redundancy: Redundancy,
    pub heal: serde_json::Value,
    pub scrub: serde_json::Value,
    pub compaction: serde_json::Value,
    pub balance: serde_json::Value,
    pub quarantine: serde_json::Value,
    /// What the lifecycle rules of buckets did, and what their last pass left undone.
    pub lifecycle: serde_json::Value,
    /// The remote store of the cold tier; null if there is none.
    pub remote: serde_json::Value,
    pub space: Space,
    pub journal: JournalStatus,
    pub index: IndexStatus,
    /// Memory for requests.
    pub admission: AdmissionStatus,
    pub connections: ConnectionsStatus,
    /// The file descriptors of the process.
    pub descriptors: DescriptorsStatus,
    /// By how many seconds the wall clock has jumped since the start, while it isn't believed.
    pub clock_jump_seconds: Option<i64>,
    /// The server's TLS certificate; nothing if the server doesn't speak TLS.
    pub certificate: Option<CertificateStatus>,
    pub background: Background,
    /// The background tasks, which the server keeps running.
    pub tasks: Vec<TaskHealth>,
}

/// The state of the store in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing is missing.
    #[default]
    Well,
    /// Nothing is missing, but an operator should look at something before it becomes a fault.
    Attention,
    /// Everything can be read, but has less redundancy than it should have.
    Degraded,
    /// New data is refused because space has run out. Everything can be read.
    Full,
    /// Something can't be read or, for another reason than space, written.
    Damaged,
}

/// A drive of a tier, which may be missing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DriveStatus {
    pub path: String,
    /// The data folder in which the drive lies, in production the mount point of a disk.
    pub disk: String,
    pub tier: String,
    pub position: u64,
    pub id: String,
    /// What the machine calls the device by that the drive lies on. Drives with the same number share what is free. Nothing
    /// if the drive isn't there.
    pub device: Option<u64>,
    /// `healthy`, `failed`, `missing`, `blank`, `stale`, `draining`, `drained`, ...
    pub state: String,
    /// Why the drive isn't healthy, and what to do.
    pub reason: Option<String>,
    /// Whether the drive's reads take far longer than those of its peers.
    pub slow: bool,
    /// Whether the drive's writes take far longer than those of its peers.
    pub writes_slowly: bool,
    /// The 99th percentile of the time of recent reads; nothing if there were too few.
    pub read_p99_seconds: Option<f64>,
    /// How many bad pieces were read from the drive since the server started. All of them were computed from other
    /// drives.
    pub bad_pieces: u64,
    /// How many shards of volumes the drive should hold and doesn't, although it is healthy: it was away when they were
    /// written, or what lies on it is an older copy of the drive.
    pub lacking_shards: u64,
    /// Whether the drive gave so many bad pieces that it should be replaced.
    pub rotting: bool,
    /// `full` or `almost full`, judged by what is free beside the reserve; nothing if the drive has room.
    pub fill: Option<String>,
    /// How many bytes the store's files take on the drive.
    pub bytes_used: u64,
    /// How many bytes are free on the device that the drive lies on.
    pub bytes_free: u64,
}

impl DriveStatus {
    /// Whether the drive's data can be counted on, also while it is being emptied because an operator asked for that.
    pub fn serves(&self) -> bool {
        matches!(self.state.as_str(), "healthy" | "draining" | "drained")
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Redundancy {
    /// Fragments of live stripes that no healthy drive holds; 0 when the store is whole.
    pub missing_fragments: u64,
    /// How many objects and uploads under way are known to have a part that can't be read now. They are counted anew
    /// now and then, and when more was lost. `stratum fsck` names them.
    pub unreadable_objects: u64,
    /// How many volumes have 0, 1, 2 and so on of their shards missing.
    pub volumes_by_missing_shards: Vec<u64>,
    /// About how many live stripes lie in volumes that have 0, 1, 2 and so on of their shards missing.
    pub stripes_by_missing_shards: Vec<u64>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JournalStatus {
    /// The drives that the journal writes to now, as `hot/0`. Every write waits for all of them.
    pub members: Vec<String>,
    /// The journal's length on each member, in bytes.
    pub bytes: u64,
    /// The length at which the journal refuses writes, in bytes.
    pub cap: u64,
    pub checkpoint_bytes: u64,
    /// The last entry that was applied to the state.
    pub applied: u64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct IndexStatus {
    pub available: bool,
    /// How many bytes the index's files (sled) take on disk.
    pub bytes: u64,
    /// The folder of these files.
    pub place: String,
    #[serde(flatten, deserialize_with = "known")]
    pub state: IndexState,
    /// How often the index failed and was rebuilt since the server started.
    pub rebuilds: u64,
    /// How long nothing could be served during the last rebuild.
    pub last_pause_seconds: Option<f64>,
    /// The keys that can't be looked up, because the block of the index that they are in is bad on every drive.
    pub lost: Vec<LostKeys>,
    /// Whether an entry of the journal needs such a block, so that nothing can be written.
    pub is_halted: bool,
    /// Whether room is kept for the index on its disk.
    pub ballast: Ballast,
}

/// Reads the state of the index. A server of an older version sends none.
fn known<'de, D: serde::Deserializer<'de>>(fields: D) -> Result<IndexState, D::Error> {
    Ok(Option::deserialize(fields)?.unwrap_or_default())
}

/// The note about an index that isn't available.
pub fn note_of(index: &IndexState) -> Option<String> {
    match index {
        IndexState::Available => None,
        IndexState::Rebuilding { why, for_seconds, step } => {
            let step = match step {
                RebuildStep::Begins => "it begins".to_owned(),
                RebuildStep::Replays { entry, of } => format!("entry {entry} of {of} of the journal"),
            };
            let since = duration(*for_seconds);
            Some(format!(
                "the index failed {since} ago and is being rebuilt ({step}); nothing is served until then: {why}"
            ))
        }
        IndexState::Failed { why, for_seconds, problem, next_try_in_seconds } => Some(format!(
            "the index failed {} ago ({why}) and could not be rebuilt: {problem}; nothing is served, and it is tried \
             again in {next_try_in_seconds} s",
            duration(*for_seconds)
        )),
    }
}

/// The note about an index whose disk was full.
pub fn note_of_ballast(ballast: Ballast) -> Option<String> {
    (ballast == Ballast::GivenUp).then(|| {
        "the disk of the index was full, and the index uses the room that was kept for it there: free some space on that disk \
         (deletes and reads go on, checkpoints wait)"
            .to_owned()
    })
}

/// The note about a wall clock that jumped by so many seconds.
pub fn note_of_jump(seconds: i64) -> String {
    let (by, whither) = (duration(seconds.unsigned_abs()), if seconds < 0 { "back" } else { "ahead" });
    format!(
        "the wall clock jumped {whither} by {by} while the server ran: nothing expires, and if the clock is wrong now, clients \
         whose clocks are right are refused (RequestTimeTooSkewed). Set it right (`chronyc makestep`, `timedatectl`); if it \
         was wrong before and is right now, restart the server"
    )
}

/// How many lost blocks of the index have a note of their own.
const TOLD_LOST_BLOCKS: usize = 8;

/// The notes about keys that can't be looked up.
pub fn notes_of_lost(index: &IndexStatus) -> Vec<String> {
    let told = |lost: &LostKeys| {
        let LostKeys { file, offset, drives, about, keys } = lost;
        format!(
            "about {about} keys of the index can't be read or changed, from {keys}: byte {offset} of {file} is bad on each of \
             {}. All others are served. Bring back any drive that may have a sound copy; `stratum lost show` says what it means to \
             give them up",
            drives.join(", ")
        )
    };
    let mut notes: Vec<String> = index.lost.iter().take(TOLD_LOST_BLOCKS).map(told).collect();
    let others = index.lost.len().saturating_sub(TOLD_LOST_BLOCKS);
    notes.extend(
        (others > 0).then(|| format!("{others} more blocks of the index can't be read; the JSON has them")),
    );
    notes.extend(index.is_halted.then(|| {
        "nothing is written: an entry of the journal needs a block of the index that can't be read. Don't restart the server: \
         what it serves now it can't serve after a start"
            .to_owned()
    }));
    notes
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Background {
    pub hurried: bool,
    pub bytes_per_second: u64,
    pub operations_per_second: u64,
    pub tasks: Vec<TaskStatus>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskStatus {
    pub task: String,
    pub paused: bool,
    /// How many bytes the task has read and written since the start.
    pub bytes: u64,
    pub turns: u64,
}

impl Status {
    /// The status as text.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let state = match self.state {
            State::Well if self.is_provisional => "the restored state waits to be accepted",
            State::Well => "all is well",
            State::Attention => "everything is there; see what wants attention",
            State::Degraded => "redundancy is reduced; everything can be read",
            State::Full => "new data is refused for want of space; everything can be read",
            State::Damaged => "something can't be read or written",
        };
        let _ = writeln!(text, "stratum {}, up {}: {state}", self.version, duration(self.uptime_seconds));
        for note in &self.notes {
            let _ = writeln!(text, "  ! {note}");
        }
        let _ = writeln!(text, "\ndrives");
        text.push_str(&drives::to_text(&self.drives));
        let redundancy = &self.redundancy;
        let _ = writeln!(
            text,
            "\nredundancy  {} fragments missing, {} objects unreadable; stripes by missing fragments: {}",
            redundancy.missing_fragments,
            redundancy.unreadable_objects,
            by_missing(&redundancy.stripes_by_missing_shards),
        );
        for (name, value) in [
            ("heal", &self.heal),
            ("scrub", &self.scrub),
            ("compaction", &self.compaction),
            ("balance", &self.balance),
            ("quarantine", &self.quarantine),
            ("lifecycle", &self.lifecycle),
        ] {
            let _ = writeln!(text, "{name:<11} {}", one_line(value));
        }
        let _ = writeln!(text, "space       {}", self.space.to_text());
        let JournalStatus { members, bytes: length, cap, checkpoint_bytes, applied } = &self.journal;
        let _ = writeln!(
            text,
            "journal     {} of {} on each of {}; entry {applied}; checkpoint {}",
            bytes(*length),
            bytes(*cap),
            members.join(", "),
            bytes(*checkpoint_bytes)
        );
        let _ = writeln!(text, "index       {}", self.index.to_text());
        let _ = writeln!(text, "memory      {}", load::of_admission(&self.admission));
        let _ = writeln!(text, "connections {}", load::of_connections(&self.connections));
        if let Some(certificate) = &self.certificate {
            let _ = writeln!(text, "certificate {}", certificate.to_text());
        }
        let _ = writeln!(text, "background  {}", self.background.to_text());
        text
    }
}

impl IndexStatus {
    fn to_text(&self) -> String {
        let state = match &self.state {
            IndexState::Available => "available",
            IndexState::Rebuilding { .. } => "being rebuilt",
            IndexState::Failed { .. } => "failed",
        };
        let pause = self.last_pause_seconds.map(|pause| {
            format!("; rebuilt {} times after a failure, the last pause took {pause:.1} s", self.rebuilds)
        });
        format!("{state}, {} in {}{}", bytes(self.bytes), self.place, pause.unwrap_or_default())
    }
}

impl Background {
    pub fn to_text(&self) -> String {
        let pace = match self.hurried {
            true => "as fast as it can".to_owned(),
            false => {
                format!(
                    "at most {}/s and {} operations/s",
                    bytes(self.bytes_per_second),
                    self.operations_per_second
                )
            }
        };
        let task = |task: &TaskStatus| {
            let paused = if task.paused { " (paused)" } else { "" };
            format!("{}{paused} {}", task.task, bytes(task.bytes))
        };
        let tasks: Vec<String> = self.tasks.iter().map(task).collect();
        format!("{pace}; done: {}", tasks.join(", "))
    }
}

fn by_missing(counts: &[u64]) -> String {
    let parts: Vec<String> =
        counts.iter().enumerate().map(|(missing, count)| format!("{missing}: {count}")).collect();
    if counts.iter().all(|count| *count == 0) { "none".into() } else { parts.join(", ") }
}

/// A JSON object as `name value, name value`, also with the fields of objects within it. Fields that are zero, false,
/// empty or null are left out.
fn one_line(value: &serde_json::Value) -> String {
    let told = told(value);
    if told.is_empty() { "nothing to do".into() } else { told.join(", ") }
}

fn told(value: &serde_json::Value) -> Vec<String> {
    let mut all = Vec::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        let text = match value {
            serde_json::Value::Object(_) => {
                all.extend(told(value));
                continue;
            }
            serde_json::Value::Number(number) => match number.as_u64() {
                Some(number @ 1..) => figure(name, number),
                _ => continue,
            },
            serde_json::Value::String(text) if !text.is_empty() => text.clone(),
            serde_json::Value::Bool(true) => "yes".into(),
            _ => continue,
        };
        all.push(format!("{} {text}", name.replace('_', " ")));
    }
    all
}

/// A number in the unit that the name of its field tells.
fn figure(name: &str, number: u64) -> String {
    match name {
        _ if name.starts_with("bytes") => bytes(number),
        _ if name.starts_with("seconds") => duration(number),
        _ if name.ends_with("_at") => moment(number),
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_of_the_clock_is_told_with_its_direction_and_length() {
        let note = note_of_jump(-3 * 86_400);
        assert!(note.contains("jumped back by 3 d") && note.contains("RequestTimeTooSkewed"), "{note}");
        assert!(note_of_jump(7_200).contains("jumped ahead by 2 h"), "{}", note_of_jump(7_200));
    }

    #[test]
    fn numbers_have_the_unit_that_the_name_of_their_field_tells() {
        let scrub = serde_json::json!({"phase": "idle", "finished_at": 1_795_577_833_591_u64, "passes": 0,
            "seconds_left": 7200, "found": {"bytes": 2048, "bad_files": 1}});
        let text = one_line(&scrub);
        for part in [
            "phase idle",
            "finished at 2026-11-25 03:37 UTC",
            "seconds left 2 h 0 min",
            "bytes 2.0 KiB",
            "bad files 1",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("passes"), "{text}");
    }

    #[test]
    fn an_index_that_is_being_rebuilt_says_how_far_that_is() {
        let step = RebuildStep::Replays { entry: 5, of: 9 };
        let state = IndexState::Rebuilding { why: "it broke".into(), for_seconds: 3, step };
        let status = IndexStatus { state, bytes: 7, ..IndexStatus::default() };
        let json = serde_json::to_value(&status).unwrap();
        let expected = serde_json::json!({
            "available": false, "bytes": 7, "place": "", "rebuilds": 0, "last_pause_seconds": null,
            "state": "rebuilding", "why": "it broke", "for_seconds": 3, "step": "replays", "entry": 5, "of": 9,
            "is_halted": false, "lost": [], "ballast": "none",
        });
        assert_eq!(json, expected);
        let again: IndexStatus = serde_json::from_value(json).unwrap();
        assert_eq!(again.state, status.state);
        assert!(note_of(&again.state).unwrap().contains("entry 5 of 9"));
        // The status of an older server, which has no state of the index.
        let older: IndexStatus =
            serde_json::from_value(serde_json::json!({"available": true, "bytes": 1})).unwrap();
        assert_eq!(older.state, IndexState::Available);
    }

    #[test]
    fn the_line_of_a_drive_tells_what_is_wrong_with_it() {
        let drive = DriveStatus {
            path: "/mnt/d1/hot".into(),
            writes_slowly: true,
            rotting: true,
            fill: Some("almost full".into()),
            ..DriveStatus::default()
        };
        let line = drives::to_text(&[drive]);
        assert!(line.contains("slow at writing: rotting: almost full"), "{line}");
        let page = |state| Status { state, ..Status::default() }.to_text();
        assert!(page(State::Full).contains("refused for want of space"));
        assert!(!page(State::Attention).contains("all is well"));
    }

    #[test]
    fn the_text_of_the_status_tells_what_is_wrong() {
        let drive = DriveStatus {
            path: "/mnt/d1/hot".into(),
            tier: "hot".into(),
            state: "failed".into(),
            reason: Some("a sync failed".into()),
            ..DriveStatus::default()
        };
        let status = Status {
            state: State::Degraded,
            drives: vec![drive],
            heal: serde_json::json!({"bytes_left": 5000, "waiting_for": null, "unreadable": 0}),
            ..Status::default()
        };
        let text = status.to_text();
        assert!(text.contains("redundancy is reduced") && text.contains("/mnt/d1/hot  failed"), "{text}");
        assert!(
            text.contains("a sync failed") && text.contains("heal        bytes left 4.9 KiB\n"),
            "{text}"
        );
    }
}
