//! What an operator asks a running server and has done by it: the routes under `/_stratum/v1/`.
//!
//! Every route answers at once; what takes long goes on in the background and is seen in the status. A refusal says
//! why in words, as `{"error": "..."}`.

use crate::status::{
    Background, DriveStatus, IndexStatus, JournalStatus, Redundancy, Space, State, Status, TaskStatus,
};
use crate::upkeep::Parts;
use axum::extract::{Query, State as Shared};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use parking_lot::Mutex;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use stratum_api::server::admin::refusal;
use stratum_metadata::census::Census;
use stratum_storage::ambient::{Clock, System};
use stratum_storage::drive::{Drive, Health};
use stratum_storage::pace::{Pace, Task};

/// How old a count of all objects may be.
const CENSUS_AGE: Duration = Duration::from_secs(60);

/// What the routes share.
pub struct Operator {
    parts: Parts,
    pace: Arc<Pace>,
    /// Where sled lies.
    index: PathBuf,
    began: Duration,
    census: Mutex<Option<(Duration, Census)>>,
}

/// A refusal: its status, and in words why.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        refusal(self.0, &self.1)
    }
}

impl Operator {
    pub fn new(parts: Parts, pace: Arc<Pace>, index: PathBuf) -> Arc<Operator> {
        Arc::new(Operator { parts, pace, index, began: System.monotonic(), census: Mutex::default() })
    }

    /// The routes, as they follow `/_stratum/v1`.
    pub fn routes(self: Arc<Self>) -> Router {
        Router::new().route("/status", get(status)).route("/pace", post(set_pace)).with_state(self)
    }
}

async fn status(Shared(operator): Shared<Arc<Operator>>) -> Result<Json<Status>, Refused> {
    let made = tokio::task::spawn_blocking(move || operator.status()).await;
    made.map(Json).map_err(|error| Refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

/// `?action=hurry|steady`, or `?action=pause|resume` of one `task` or of all.
#[derive(Deserialize)]
struct PaceRequest {
    action: String,
    task: Option<String>,
}

async fn set_pace(
    Shared(operator): Shared<Arc<Operator>>,
    Query(request): Query<PaceRequest>,
) -> Result<Json<Background>, Refused> {
    let wanted = request.task.as_deref();
    let tasks = Task::ALL.into_iter().filter(|task| wanted.is_none_or(|name| name == task.name()));
    let tasks: Vec<Task> = tasks.collect();
    if tasks.is_empty() {
        let names = Task::ALL.map(Task::name).join(", ");
        return Err(Refused(StatusCode::BAD_REQUEST, format!("there is no such task; tasks are {names}")));
    }
    match request.action.as_str() {
        "hurry" => operator.pace.hurry(true),
        "steady" => operator.pace.hurry(false),
        "pause" => tasks.iter().for_each(|task| operator.pace.pause(*task, true)),
        "resume" => tasks.iter().for_each(|task| operator.pace.pause(*task, false)),
        other => {
            let problem = format!("{other:?} is not one of hurry, steady, pause, resume");
            return Err(Refused(StatusCode::BAD_REQUEST, problem));
        }
    }
    Ok(Json(operator.background()))
}

impl Operator {
    /// The whole page. Blocks: it asks every drive for its free space.
    fn status(&self) -> Status {
        let drives: Vec<DriveStatus> =
            self.parts.set.all_drives().iter().map(|drive| drive_status(drive)).collect();
        let redundancy = self.redundancy();
        let index =
            IndexStatus { available: self.parts.metadata.is_available(), bytes: bytes_under(&self.index) };
        let state = if !index.available || redundancy.unreadable_objects > 0 {
            State::Damaged
        } else if redundancy.missing_fragments > 0 || drives.iter().any(|drive| drive.state != "healthy") {
            State::Degraded
        } else {
            State::Well
        };
        let usage = self.parts.journal.usage();
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            uptime_seconds: System.monotonic().saturating_sub(self.began).as_secs(),
            state,
            notes: notes(&drives, index.available),
            space: self.space(&drives),
            drives,
            redundancy,
            heal: serde_json::Value::Null,
            scrub: serde_json::Value::Null,
            compaction: serde_json::Value::Null,
            journal: JournalStatus {
                bytes: usage.bytes,
                cap: usage.cap,
                checkpoint_bytes: self.parts.metadata.checkpoint_bytes(),
                applied: self.parts.metadata.applied_index(),
            },
            index,
            background: self.background(),
        }
    }

    fn redundancy(&self) -> Redundancy {
        let stats = self.parts.volumes.stats();
        Redundancy { missing_fragments: stats.lost_shards, ..Redundancy::default() }
    }

    fn space(&self, drives: &[DriveStatus]) -> Space {
        let census = self.census();
        let stats = self.parts.volumes.stats();
        Space {
            logical: census.bytes,
            objects: census.objects,
            live: stats.live,
            garbage: 0,
            used: drives.iter().map(|drive| drive.bytes_used).sum(),
            free: self.free(),
        }
    }

    /// What is free on all devices, each counted once.
    fn free(&self) -> u64 {
        let drives = self.parts.set.all_drives().into_iter().filter(|drive| drive.is_healthy());
        let devices: std::collections::HashMap<u64, u64> =
            drives.filter_map(|drive| Some((drive.io().device(), drive.io().space().ok()?.free))).collect();
        devices.values().sum()
    }

    /// How much there is, counted anew when the last count is old. One at a time.
    fn census(&self) -> Census {
        let mut last = self.census.lock();
        let now = System.monotonic();
        match *last {
            Some((at, census)) if now.saturating_sub(at) < CENSUS_AGE => census,
            _ => {
                let counted = self.parts.metadata.census().unwrap_or_default();
                *last = Some((now, counted));
                counted
            }
        }
    }

    fn background(&self) -> Background {
        let budget = self.pace.budget();
        let task = |task: Task| {
            let done = self.pace.done(task);
            let (bytes, turns) = (done.bytes, done.turns);
            TaskStatus { task: task.name().into(), paused: self.pace.is_paused(task), bytes, turns }
        };
        Background {
            hurried: self.pace.is_hurried(),
            bytes_per_second: budget.bytes_per_second,
            operations_per_second: budget.operations_per_second,
            tasks: Task::ALL.into_iter().map(task).collect(),
        }
    }
}

fn drive_status(drive: &Drive) -> DriveStatus {
    let (state, reason) = match drive.health() {
        Health::Healthy => ("healthy", None),
        Health::Failed { reason } => ("failed", Some(reason)),
        Health::Missing { reason } => ("missing", Some(reason)),
    };
    let io = drive.io();
    DriveStatus {
        path: io.describe(),
        tier: drive.tier().name().into(),
        position: drive.position().into(),
        id: drive.id().to_string(),
        state: state.into(),
        reason,
        bytes_used: bytes_under(Path::new(&io.describe())),
        bytes_free: io.space().map_or(0, |space| space.free),
    }
}

/// What an operator should do.
fn notes(drives: &[DriveStatus], is_available: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if !is_available {
        notes.push("the index failed: restart the server to rebuild it".to_owned());
    }
    for drive in drives.iter().filter(|drive| drive.state != "healthy") {
        let reason = drive.reason.as_deref().unwrap_or("no reason is known");
        notes.push(format!("{}/{} is {}: {reason}", drive.tier, drive.position, drive.state));
    }
    notes
}

/// The disk space that a folder's files take.
fn bytes_under(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => bytes_under(&entry.path()),
        Ok(meta) => meta.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}
