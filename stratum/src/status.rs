//! What `stratum status` shows: one value, made by the server, told as JSON or in words.
//!
//! The JSON is a contract: fields are added, and never renamed or taken away.

pub mod drives;
mod space;

pub use space::{HeldStatus, Space};

use crate::certificate::CertificateStatus;
use crate::load::{self, AdmissionStatus};
use crate::shown::{bytes, duration, moment};
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use stratum_api::server::ConnectionsStatus;
use stratum_engine::supervisor::TaskHealth;
use stratum_metadata::{IndexState, LostKeys, RebuildStep};

/// The whole store at a moment.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    pub version: String,
    /// Since the server started.
    pub uptime_seconds: u64,
    pub state: State,
    /// The state was restored and not accepted yet: nothing is freed.
    pub is_provisional: bool,
    /// What somebody should know or do, in words; empty when all is well.
    pub notes: Vec<String>,
    pub drives: Vec<DriveStatus>,
    pub redundancy: Redundancy,
    pub heal: serde_json::Value,
    pub scrub: serde_json::Value,
    pub compaction: serde_json::Value,
    pub balance: serde_json::Value,
    pub quarantine: serde_json::Value,
    /// What buckets' lifecycle did, and what its last pass left undone.
    pub lifecycle: serde_json::Value,
    /// The remote store of the cold tier; nothing where there is none.
    pub remote: serde_json::Value,
    pub space: Space,
    pub journal: JournalStatus,
    pub index: IndexStatus,
    /// Memory for requests.
    pub admission: AdmissionStatus,
    pub connections: ConnectionsStatus,
    /// What clients are shown; nothing without TLS.
    pub certificate: Option<CertificateStatus>,
    pub background: Background,
    /// What works in the background, each kept running.
    pub tasks: Vec<TaskHealth>,
}

/// The whole in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing is missing.
    #[default]
    Well,
    /// Everything is there, and something wants attention before it goes wrong.
    Attention,
    /// Everything is there, with less redundancy than it should have.
    Degraded,
    /// New data is refused for want of space; everything can be read.
    Full,
    /// Something can't be read or written.
    Damaged,
}

/// A place where a tier has a drive.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DriveStatus {
    pub path: String,
    /// The data folder that it lies in: what is mounted, and what goes when the disk does.
    pub disk: String,
    pub tier: String,
    pub position: u64,
    pub id: String,
    /// `healthy`, `failed`, `missing`, `blank`, `stale`, `draining`, ...
    pub state: String,
    /// Why it isn't healthy, and what to do.
    pub reason: Option<String>,
    /// It answers far later than its peers.
    pub slow: bool,
    /// It writes far later than its peers.
    pub writes_slowly: bool,
    /// 99 of 100 reads of it took no longer lately; nothing where there were few.
    pub read_p99_seconds: Option<f64>,
    /// Bad pieces that were read from it since the server started: all were computed from others.
    pub bad_pieces: u64,
    /// It gave so many of them that it is to be replaced.
    pub rotting: bool,
    /// `full` or `almost full`, beside the reserve.
    pub fill: Option<String>,
    /// What our files on it take, in bytes.
    pub bytes_used: u64,
    /// What is free on the device that it lies on.
    pub bytes_free: u64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Redundancy {
    /// Fragments of live stripes that no healthy drive holds; 0 when the store is whole.
    pub missing_fragments: u64,
    /// Objects, and uploads under way, of which a part can't be read now, as far as is known; counted anew now and then, and
    /// when more came to be lost. Which they are, `stratum fsck` says.
    pub unreadable_objects: u64,
    /// Volumes, and about how many live stripes are in them, by how many of their shards are missing: the first has none
    /// missing.
    pub volumes_by_missing_shards: Vec<u64>,
    pub stripes_by_missing_shards: Vec<u64>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JournalStatus {
    /// The drives that hold what is written now, as `hot/0`: every write waits for all of them.
    pub members: Vec<String>,
    /// A member.
    pub bytes: u64,
    pub cap: u64,
    pub checkpoint_bytes: u64,
    pub applied: u64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct IndexStatus {
    pub available: bool,
    /// What sled takes of the disk.
    pub bytes: u64,
    /// The folder that it lies in.
    pub place: String,
    #[serde(flatten, deserialize_with = "known")]
    pub state: IndexState,
    /// How often it failed and was rebuilt since the server started.
    pub rebuilds: u64,
    /// How long nothing was served the last time.
    pub last_pause_seconds: Option<f64>,
    /// Keys that can't be looked up: no drive gives the block that they are in.
    pub lost: Vec<LostKeys>,
    /// Whether an entry of the journal needs one of these blocks, so that nothing is written.
    pub is_halted: bool,
}

/// A server of another version may say nothing of it, or something new.
fn known<'de, D: serde::Deserializer<'de>>(fields: D) -> Result<IndexState, D::Error> {
    Ok(Option::deserialize(fields)?.unwrap_or_default())
}

/// What somebody should know of the index.
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

/// As many blocks as are told one by one.
const TOLD_LOST: usize = 8;

/// What somebody should know of keys that can't be looked up.
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
    let mut notes: Vec<String> = index.lost.iter().take(TOLD_LOST).map(told).collect();
    let others = index.lost.len().saturating_sub(TOLD_LOST);
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
    /// Read and written since the start.
    pub bytes: u64,
    pub turns: u64,
}

impl Status {
    /// The page for people.
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

/// An object as `name value, name value`, what is in others in it too, without what is nothing.
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

/// A number in the unit that its name says.
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
    fn figures_are_in_the_unit_that_their_name_says() {
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
    fn an_index_that_is_away_says_how_far_it_is() {
        let step = RebuildStep::Replays { entry: 5, of: 9 };
        let state = IndexState::Rebuilding { why: "it broke".into(), for_seconds: 3, step };
        let status = IndexStatus { state, bytes: 7, ..IndexStatus::default() };
        let json = serde_json::to_value(&status).unwrap();
        let expected = serde_json::json!({
            "available": false, "bytes": 7, "place": "", "rebuilds": 0, "last_pause_seconds": null,
            "state": "rebuilding", "why": "it broke", "for_seconds": 3, "step": "replays", "entry": 5, "of": 9,
            "is_halted": false, "lost": [],
        });
        assert_eq!(json, expected);
        let again: IndexStatus = serde_json::from_value(json).unwrap();
        assert_eq!(again.state, status.state);
        assert!(note_of(&again.state).unwrap().contains("entry 5 of 9"));
        // What an older server says.
        let older: IndexStatus =
            serde_json::from_value(serde_json::json!({"available": true, "bytes": 1})).unwrap();
        assert_eq!(older.state, IndexState::Available);
    }

    #[test]
    fn a_drive_s_line_says_what_is_the_matter_with_it() {
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
    fn the_page_names_what_is_wrong() {
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
