//! The operator's API of a running server: the routes under `/_stratum/v1/`.
//!
//! Every route answers soon. Long work goes on in the background, and the status shows how far it is. A refusal is a
//! document `{"error": "..."}` with a sentence that says why.

mod counts;
pub mod events;
pub mod explain;
mod kept;
mod keys;
mod lost;
pub mod quotas;
pub mod report;
mod routes;
pub mod tiers;

use crate::backup::configuration::Configuration;
use crate::backup::produce::Backup;
use crate::certificate::{CertificateStatus, CertificateTask};
use crate::descriptors::{self, Descriptors};
use crate::drives::{Allowed, Drives, bytes_under};
use crate::fsck::{CheckStatus, Checks, Wanted};
use crate::fullness::{self, Want};
use crate::layout::Home;
use crate::load::{self, Load};
use crate::master_keys::StoreKeys;
use crate::status::{
    self, Background, DriveStatus, HeldStatus, IndexStatus, JournalStatus, Redundancy, Space, State, Status,
    TaskStatus,
};
use crate::usage::UsageTask;
use axum::body::Body;
use axum::extract::{Query, State as Shared};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use counts::Counts;
use http::header::CONTENT_TYPE;
use http::{HeaderName, StatusCode};
use routes::Routes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use stratum_api::failures::{self, Failure};
use stratum_api::history::{self, Recent};
use stratum_api::server::admin::refusal;
use stratum_engine::copies::CopiesStatus;
use stratum_engine::provisional::{self, Restored};
use stratum_engine::supervisor::{TaskHealth, Tasks};
use stratum_engine::tiering::Held;
use stratum_engine::{Engine, Pressure, given_up};
use stratum_metadata::Time;
use stratum_metadata::census::Census;
use stratum_metadata::record::Level;
use stratum_storage::ambient::{Clock, System};
use stratum_storage::blob::Tier;
use stratum_storage::drive::Devices;
use stratum_storage::heal::HealStatus;
use stratum_storage::pace::Class;
use stratum_storage::scrub::ScrubStatus;
use stratum_storage::volume::VolumeLog;

/// The state that all routes share.
pub struct Operator {
    engine: Engine,
    drives: Drives,
    checks: Arc<Checks>,
    around: Around,
    began: Duration,
    counts: Counts,
    /// The wall clock, watched since the start.
    time: Time,
    descriptors: Descriptors,
}

/// The parts of the server besides the engine that the routes need.
pub struct Around {
    pub configuration: Configuration,
    pub tasks: Tasks,
    pub load: Load,
    pub usage: Arc<UsageTask>,
    /// The task that watches the TLS certificate; nothing if the server doesn't speak TLS.
    pub certificate: Option<Arc<CertificateTask>>,
    pub keys: Arc<StoreKeys>,
    /// The canonical ids of the accounts, which may own buckets.
    pub accounts: BTreeSet<String>,
}

/// A refusal: its status, and a sentence that says why.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        refusal(self.0, &self.1)
    }
}

impl Operator {
    /// `homes` says where a new drive of each tier may come.
    pub fn new(engine: Engine, homes: Vec<(Tier, Home)>, around: Around) -> Arc<Operator> {
        let drives = Drives::new(engine.clone(), homes);
        let checks = Checks::new(engine.clone(), drives.clone());
        // If the mark of a restored state can't be read, the state may be a restored one, which may name bodies that
        // aren't there.
        let was_restored = Restored::read(&engine.set).map_or(true, |mark| mark.is_some());
        let may_lack = was_restored || given_up::is_marked(&engine.set);
        let (began, counts) = (System.monotonic(), Counts::new(may_lack));
        let (time, descriptors) = (Time::new(Arc::new(System)), Descriptors::default());
        Arc::new(Operator { engine, drives, checks, around, began, counts, time, descriptors })
    }

    /// Cancels the check that an operator has started, if one is under way.
    pub fn stop(&self) {
        self.checks.stop();
    }

    /// What a bucket held when the tiering engine last walked over its objects; nothing if there is no such bucket or
    /// no walk has come to it yet.
    pub fn held(&self, bucket: &str) -> Option<Held> {
        let bucket = self.engine.metadata.local().bucket(bucket).ok()??;
        self.engine.tiering.report(&bucket, System.now()).map(|(held, ..)| held)
    }

    /// The routes; their paths follow `/_stratum/v1`.
    pub fn routes(self: Arc<Self>) -> Router {
        Routes::new()
            .route("/status", get(status), &[])
            .route("/latencies", get(latencies), &[])
            .route("/failures", get(newest_failures), &[])
            .route("/pace", post(set_pace), &["action", "task"])
            .route("/scrub", get(scrub_status), &[])
            .route("/scrub/{action}", post(scrub), &[])
            .route("/fsck", get(check_status), &[])
            .route("/fsck", post(check), &["quick", "repair"])
            .route("/restore/accept", post(accept_restored), &[])
            .route("/lost", get(lost::show), &[])
            .route("/lost/give-up", post(lost::give_up), &["token"])
            .route("/lost/reclaim", post(lost::reclaim), &[])
            .route("/level", get(level), &[])
            .route("/level/raise", post(raise_level), &[])
            .route("/keys", get(keys::status), &[])
            .route("/keys/rotate", post(keys::rotate), &[])
            .route("/events", get(events::list), &[])
            .route("/events/drop", post(events::drop_all), &["webhook"])
            .route("/quotas", get(quotas::list), &[])
            .route("/quotas/{action}", post(quotas::change), &["bucket", "user", "bytes", "objects"])
            .route("/tier", get(tiers::status), &[])
            .route("/tier/upload", post(tiers::upload), &[])
            .route("/tier/claim", post(tiers::claim), &[])
            .route(
                "/tier/{action}",
                post(tiers::decide),
                &["bucket", "key", "versionId", "prefix", "after", "tier"],
            )
            .route("/tier/report", get(report::report), &["bucket", "prefix", "after", "quick"])
            .route("/objects/{bucket}/{*key}", get(explain::explain), &["versionId"])
            .route("/backup", get(backup), &["credentials"])
            .route("/drives", get(list_drives), &[])
            .route("/drives/{action}", post(change_drives), &["path", "tier", "wipe", "unmounted"])
            .with_state(self)
    }
}

async fn latencies() -> Json<Recent> {
    Json(history::recent(System.monotonic()))
}

async fn newest_failures() -> Json<Vec<Failure>> {
    Json(failures::newest(System.monotonic()))
}

async fn status(Shared(operator): Shared<Arc<Operator>>) -> Result<Json<Status>, Refused> {
    let made = tokio::task::spawn_blocking(move || operator.status()).await;
    made.map(Json).map_err(|error| Refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

async fn check_status(Shared(operator): Shared<Arc<Operator>>) -> Json<CheckStatus> {
    Json(operator.checks.status())
}

/// `POST /fsck?quick=...&repair=...`: begins a check, unless one is under way.
async fn check(Shared(operator): Shared<Arc<Operator>>, Query(wanted): Query<Wanted>) -> Json<CheckStatus> {
    Json(operator.checks.start(wanted))
}

/// `POST /restore/accept`: accepts the restored state; answers with a sentence about the outcome.
async fn accept_restored(Shared(operator): Shared<Arc<Operator>>) -> Result<Json<String>, Refused> {
    let internal =
        |error: &dyn std::fmt::Display| Refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    let accepted = tokio::task::spawn_blocking(move || operator.accept_restored()).await;
    accepted
        .map_err(|error| internal(&error))?
        .map(|said| Json(said.to_owned()))
        .map_err(|error| internal(&error))
}

/// The level at which the state is written, and the highest that the server knows.
#[derive(Debug, Serialize, Deserialize)]
pub struct LevelStatus {
    pub level: u8,
    pub newest: u8,
}

impl LevelStatus {
    fn of(level: Level) -> LevelStatus {
        LevelStatus { level: level.number(), newest: Level::highest_known().number() }
    }
}

/// `GET /level`
async fn level(Shared(operator): Shared<Arc<Operator>>) -> Json<LevelStatus> {
    Json(LevelStatus::of(operator.engine.metadata.level()))
}

/// `POST /level/raise`: raises the store's level to the highest that this server knows.
async fn raise_level(Shared(operator): Shared<Arc<Operator>>) -> Result<Json<LevelStatus>, Refused> {
    let raised = operator.engine.metadata.raise_level(Level::highest_known()).await;
    let level = raised.map_err(|error| Refused(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    tracing::info!(%level, "the state is of this level; older binaries that don't know it can't open the store");
    Ok(Json(LevelStatus::of(level)))
}

/// The parameters of a backup.
#[derive(Deserialize)]
struct BackupRequest {
    /// Whether the backup holds root's credentials and the other secrets, too.
    #[serde(default)]
    credentials: bool,
}

/// `GET /backup`: answers with a backup file, which is made while it is sent.
async fn backup(
    Shared(operator): Shared<Arc<Operator>>,
    Query(BackupRequest { credentials }): Query<BackupRequest>,
) -> Result<([(HeaderName, &'static str); 1], Body), Refused> {
    let begin = move || {
        let Engine { set, journal, metadata, .. } = &operator.engine;
        Backup::begin(set, journal, metadata, &operator.around.configuration, credentials)
    };
    let begun = tokio::task::spawn_blocking(begin).await;
    let begun = begun.map_err(|error| Refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let begun = begun.map_err(|problem| Refused(StatusCode::CONFLICT, problem))?;
    // At most two pieces of up to a MiB wait for the receiver.
    let (sender, receiver) = tokio::sync::mpsc::channel(2);
    tokio::task::spawn_blocking(move || {
        let gone = |_| std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        if let Err(error) = begun.write(|piece| sender.blocking_send(Ok(piece)).map_err(gone)) {
            tracing::warn!(%error, "a backup was not finished");
            // The error cuts the answer off, so that the client can't take it for a whole backup.
            let _ = sender.blocking_send(Err(error));
        }
    });
    let pieces = |mut receiver: tokio::sync::mpsc::Receiver<_>| async move {
        Some((receiver.recv().await?, receiver))
    };
    let body = Body::from_stream(futures_util::stream::unfold(receiver, pieces));
    Ok(([(CONTENT_TYPE, "application/octet-stream")], body))
}

async fn list_drives(Shared(operator): Shared<Arc<Operator>>) -> Result<Json<Vec<DriveStatus>>, Refused> {
    let listed = tokio::task::spawn_blocking(move || operator.drives.list()).await;
    listed.map(Json).map_err(|error| Refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

/// The parameters of a change of drives.
#[derive(Deserialize)]
struct DriveRequest {
    /// The drive's data folder, by its path on the server's machine.
    path: PathBuf,
    /// Of which tiers a new folder becomes drives, separated by commas, where that doesn't follow from the path.
    #[serde(default)]
    tier: String,
    #[serde(default)]
    wipe: bool,
    #[serde(default)]
    unmounted: bool,
}

/// `POST /drives/add|replace|drain|keep|remove?path=...`: answers with a sentence about each drive.
async fn change_drives(
    Shared(operator): Shared<Arc<Operator>>,
    axum::extract::Path(action): axum::extract::Path<String>,
    Query(DriveRequest { path, tier, wipe, unmounted }): Query<DriveRequest>,
) -> Result<Json<Vec<String>>, Refused> {
    check_allowed(&action, wipe || unmounted)?;
    let tiers = tiers_named(&action, &tier)?;
    let change = move || {
        let drives = &operator.drives;
        let done = match action.as_str() {
            "add" => drives.add(&path, &tiers, Allowed { wipe, unmounted }),
            "replace" => drives.replace(&path, Allowed { wipe, unmounted }),
            "drain" => drives.drain(&path),
            "keep" => drives.keep(&path),
            "remove" => drives.remove(&path),
            other => {
                let problem =
                    format!("\"{}\" is not one of add, replace, drain, keep, remove", other.escape_debug());
                return Err(Refused(StatusCode::NOT_FOUND, problem));
            }
        };
        done.map_err(|error| Refused(StatusCode::CONFLICT, error.to_string()))
    };
    let changed = tokio::task::spawn_blocking(change).await;
    changed.map_err(|error| Refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?.map(Json)
}

/// The tiers of which a drive is to be added: none where they are to follow from its path.
fn tiers_named(action: &str, names: &str) -> Result<Vec<Tier>, Refused> {
    let refused = |problem: String| Refused(StatusCode::BAD_REQUEST, problem);
    if !names.is_empty() && action != "add" {
        return Err(refused(format!("{action} is about the drives at a path: only add is told a tier")));
    }
    let known = |name: &str| {
        let found = Tier::ALL.into_iter().find(|tier| tier.name() == name);
        found.ok_or_else(|| refused(format!("\"{}\" is not one of hot, warm, cold", name.escape_debug())))
    };
    names.split(',').filter(|name| !name.is_empty()).map(known).collect()
}

/// Refuses what may be allowed of a new folder where a drive of the set is meant.
fn check_allowed(action: &str, is_anything_allowed: bool) -> Result<(), Refused> {
    match action {
        "drain" | "keep" | "remove" if is_anything_allowed => {
            let problem =
                format!("{action} is about a drive of the set: wipe and unmounted are of new folders");
            Err(Refused(StatusCode::BAD_REQUEST, problem))
        }
        _ => Ok(()),
    }
}

async fn scrub_status(Shared(operator): Shared<Arc<Operator>>) -> Json<ScrubStatus> {
    Json(operator.engine.scrubber.status())
}

/// `POST /scrub/start|pause`: starts or pauses scrub; answers with its status.
async fn scrub(
    Shared(operator): Shared<Arc<Operator>>,
    axum::extract::Path(action): axum::extract::Path<String>,
) -> Result<Json<ScrubStatus>, Refused> {
    let scrubber = &operator.engine.scrubber;
    match action.as_str() {
        "start" => {
            scrubber.start();
            operator.engine.copies.ask();
            operator.engine.state_copies.ask_to_read();
        }
        "pause" if scrubber.pause() => {}
        "pause" => return Err(Refused(StatusCode::CONFLICT, "no scrub is under way".into())),
        other => {
            let problem = format!("\"{}\" is neither start nor pause", other.escape_debug());
            return Err(Refused(StatusCode::NOT_FOUND, problem));
        }
    }
    Ok(Json(scrubber.status()))
}

/// The parameters of a change of pace: `?action=hurry|steady`, which is about all background work, or
/// `?action=pause|resume` with one `task` or for all tasks.
#[derive(Deserialize)]
struct PaceRequest {
    action: String,
    task: Option<String>,
}

/// A change of pace.
#[derive(Debug, PartialEq, Eq)]
enum PaceChange {
    Hurry(bool),
    Pause(Vec<Class>, bool),
}

impl PaceRequest {
    /// What is asked for.
    fn change(&self) -> Result<PaceChange, Refused> {
        let bad = |problem: String| Err(Refused(StatusCode::BAD_REQUEST, problem));
        let wanted = self.task.as_deref();
        let tasks = Class::ALL.into_iter().filter(|task| wanted.is_none_or(|name| name == task.name()));
        let tasks: Vec<Class> = tasks.collect();
        match self.action.as_str() {
            action @ ("hurry" | "steady") if wanted.is_some() => {
                bad(format!("{action} is about all background work and takes no task"))
            }
            action @ ("hurry" | "steady") => Ok(PaceChange::Hurry(action == "hurry")),
            "pause" | "resume" if tasks.is_empty() => {
                let names = Class::ALL.map(Class::name).join(", ");
                bad(format!("there is no such task; tasks are {names}"))
            }
            action @ ("pause" | "resume") => Ok(PaceChange::Pause(tasks, action == "pause")),
            other => bad(format!("\"{}\" is not one of hurry, steady, pause, resume", other.escape_debug())),
        }
    }
}

async fn set_pace(
    Shared(operator): Shared<Arc<Operator>>,
    Query(request): Query<PaceRequest>,
) -> Result<Json<Background>, Refused> {
    let pace = operator.engine.pace();
    match request.change()? {
        PaceChange::Hurry(hurries) => pace.hurry(hurries),
        PaceChange::Pause(tasks, pauses) => tasks.into_iter().for_each(|task| pace.pause(task, pauses)),
    }
    Ok(Json(operator.background()))
}

impl Operator {
    /// The whole status. Blocks, since it asks every drive for its free space.
    pub fn status(&self) -> Status {
        let drives = self.drives.list();
        let heal = self.engine.healer.status();
        let redundancy = self.redundancy(&heal);
        let index = self.index();
        let (usage, is_provisional) = (self.engine.journal.usage(), self.engine.metadata.is_provisional());
        let (fullness, pressure) = (self.engine.volumes.writer.fullness(), Pressure::of(usage));
        let tasks = self.around.tasks.health(&System);
        let lacked_space = self.around.load.lacked_space(System.monotonic());
        let refused = lacked_space.map_or(Want::Nothing, |_| Want::Space);
        let want = fullness::want(&fullness, pressure).max(refused);
        let (admission, connections) = (self.around.load.admission(), self.around.load.connections());
        let (descriptors, clock_jump) = (self.descriptors.status(&System), self.time.jumped_by());
        let certificate = self.around.certificate.as_ref().map(|certificate| certificate.status());
        let stopped = self.engine.journal.why_stopped();
        let label = |id| {
            self.engine.set.all_drives().iter().find(|drive| drive.id() == id).map(|drive| drive.label())
        };
        let members = self.engine.journal.members().into_iter().filter_map(label).collect::<Vec<_>>();
        let is_out_of_reach = redundancy.unreadable_objects > 0 || tiers::is_remote_unreadable(&self.engine);
        let missing_keys = self.around.keys.note();
        let is_damaged = !index.available
            || !index.lost.is_empty()
            || stopped.is_some()
            || is_out_of_reach
            || missing_keys.is_some()
            || want == Want::Drives;
        let mut notes = notes(&drives, &members, &index, redundancy.unreadable_objects > 0);
        notes.extend(missing_keys);
        notes.extend(status::notes_of_lost(&index));
        notes.extend(stopped.map(|why| format!("writes are refused (503): {why}")));
        notes.extend((redundancy.unreadable_objects > 0).then(|| {
            let count = redundancy.unreadable_objects;
            format!("objects that can't be read, or a part of them: {count}; `stratum fsck` names them, of a running server with `--endpoint`")
        }));
        notes.extend(self.engine.metadata.packing_hindrance());
        notes.extend(tasks.iter().filter_map(TaskHealth::note));
        notes.extend(self.around.usage.note());
        notes.extend(clock_jump.map(status::note_of_jump));
        notes.extend(load::notes(&admission, &connections));
        notes.extend(descriptors::note(&descriptors));
        notes.extend(certificate.iter().flat_map(CertificateStatus::notes));
        notes.extend(tiers::notes(&self.engine));
        notes.extend(self.engine.lifecycle.notes());
        notes.extend(lacked_space.map(load::note_of_space));
        notes.extend(fullness::notes(&fullness, pressure, |id| label(id).unwrap_or_default()));
        let state = if is_damaged {
            State::Damaged
        } else if want == Want::Space {
            State::Full
        } else if redundancy.missing_fragments > 0 || !drives.iter().all(DriveStatus::serves) {
            State::Degraded
        } else if !notes.is_empty() {
            // The status must not say that all is well above a note about something to do.
            State::Attention
        } else {
            State::Well
        };
        // This note doesn't change `state`: `is_provisional` says it to programs, and the first line of the text to
        // people.
        notes.splice(0..0, is_provisional.then(|| provisional::NOTE.to_owned()));
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            uptime_seconds: System.monotonic().saturating_sub(self.began).as_secs(),
            state,
            is_provisional,
            notes,
            space: self.space(&drives),
            drives,
            redundancy,
            tasks,
            heal: serde_json::to_value(&heal).unwrap_or_default(),
            scrub: self.scrub(),
            quarantine: serde_json::to_value(self.engine.quarantine.status()).unwrap_or_default(),
            remote: serde_json::to_value(self.engine.uploader.status()).unwrap_or_default(),
            compaction: serde_json::to_value(self.engine.compactor.status()).unwrap_or_default(),
            balance: serde_json::to_value(self.engine.balancer.status()).unwrap_or_default(),
            lifecycle: serde_json::to_value(self.engine.lifecycle.status()).unwrap_or_default(),
            journal: JournalStatus {
                members,
                bytes: usage.bytes,
                cap: usage.cap,
                checkpoint_bytes: self.engine.metadata.checkpoint_bytes(),
                applied: self.engine.metadata.applied_index(),
            },
            index,
            admission,
            connections,
            descriptors,
            clock_jump_seconds: clock_jump,
            certificate,
            background: self.background(),
        }
    }

    /// Accepts the restored state. The mark on the drives is written before anything is freed: if the server stopped in
    /// between, the next start would otherwise take the state for one that isn't accepted, though its garbage is gone.
    fn accept_restored(&self) -> Result<&'static str, Box<dyn std::error::Error + Send + Sync>> {
        let Engine { set, metadata, .. } = &self.engine;
        if !metadata.is_provisional() {
            return Ok("No restored state waits to be accepted.");
        }
        let restored =
            Restored::read(set)?.unwrap_or(Restored { entry: 0, at: System.now(), accepted: false });
        Restored { accepted: true, ..restored }.write(set)?;
        metadata.accept()?;
        tracing::info!(entry = restored.entry, "the restored state was accepted");
        Ok("The restored state is accepted: what it doesn't name is freed from now on.")
    }

    fn index(&self) -> IndexStatus {
        let now = self.engine.metadata.index_status();
        IndexStatus {
            available: now.state == stratum_metadata::IndexState::Available,
            bytes: bytes_under(Path::new(&now.place)),
            place: now.place,
            rebuilds: now.rebuilds,
            last_pause_seconds: now.last_pause_seconds,
            lost: self.engine.metadata.lost_keys(),
            is_halted: self.engine.metadata.is_halted(),
            ballast: now.ballast,
            state: now.state,
        }
    }

    /// The status of the scrub of volumes, together with that of the check of copies of everything else.
    fn scrub(&self) -> serde_json::Value {
        #[derive(Serialize)]
        struct Whole {
            #[serde(flatten)]
            volumes: ScrubStatus,
            #[serde(flatten)]
            copies: CopiesStatus,
        }
        let whole = Whole { volumes: self.engine.scrubber.status(), copies: self.engine.copies.status() };
        serde_json::to_value(whole).unwrap_or_default()
    }

    fn space(&self, drives: &[DriveStatus]) -> Space {
        let held = |(census, age): (Census, Duration)| HeldStatus {
            counted_seconds_ago: age.as_secs(),
            logical: census.bytes,
            objects: census.objects,
            versions: census.versions,
            delete_markers: census.delete_markers,
            buckets: census.buckets,
            garbage: census.garbage,
        };
        Space {
            held: self.counts.census(&self.engine.metadata).map(held),
            live: self.engine.volumes.stats().live,
            used: drives.iter().map(|drive| drive.bytes_used).sum(),
            free: Devices::of(self.engine.set.all_drives().iter().filter(|drive| drive.is_healthy())).free(0),
        }
    }

    fn redundancy(&self, heal: &HealStatus) -> Redundancy {
        Redundancy {
            missing_fragments: heal.missing_fragments,
            unreadable_objects: self.counts.unreadable(&self.engine.metadata, self.engine.healer.lost()),
            volumes_by_missing_shards: heal.volumes_by_missing_shards.clone(),
            stripes_by_missing_shards: heal.stripes_by_missing_shards.clone(),
        }
    }

    fn background(&self) -> Background {
        let budget = self.engine.pace().budget();
        let task = |task: Class| {
            let done = self.engine.pace().done(task);
            let (bytes, turns) = (done.bytes, done.turns);
            TaskStatus { task: task.name().into(), paused: self.engine.pace().is_paused(task), bytes, turns }
        };
        Background {
            hurried: self.engine.pace().is_hurried(),
            bytes_per_second: budget.bytes_per_second,
            operations_per_second: budget.operations_per_second,
            tasks: Class::ALL.into_iter().map(task).collect(),
        }
    }
}

/// What the status tells the operator to do about drives and index. `has_unreadable` says whether objects can't be read.
fn notes(
    drives: &[DriveStatus],
    members: &[String],
    index: &IndexStatus,
    has_unreadable: bool,
) -> Vec<String> {
    let mut notes = Vec::new();
    notes.extend(status::note_of(&index.state));
    notes.extend(status::note_of_ballast(index.ballast));
    for drive in drives.iter().filter(|drive| drive.state != "healthy") {
        let reason = drive.reason.as_deref().unwrap_or("no reason is known");
        notes.push(format!("{}/{} is {}: {reason}", drive.tier, drive.position, drive.state));
    }
    for drive in drives.iter().filter(|drive| drive.slow) {
        let place = format!("{}/{}", drive.tier, drive.position);
        notes.push(format!(
            "{place} answers far later than its peers: look at its disk, and replace it if it stays so"
        ));
    }
    let slow = drives.iter().filter(|drive| drive.state == "healthy" && drive.writes_slowly);
    notes.extend(slow.map(|drive| slow_writing(drive, members)));
    for drive in drives.iter().filter(|drive| drive.lacking_shards > 0) {
        let (place, shards) = (format!("{}/{}", drive.tier, drive.position), drive.lacking_shards);
        notes.push(format!(
            "{place} lacks {shards} shards of volumes that it should hold: it was away when they were written, or an older copy \
             of it was put back (a snapshot, a clone); heal writes them anew from the other drives"
        ));
    }
    for drive in drives.iter().filter(|drive| drive.bad_pieces > 0) {
        let (place, pieces) = (format!("{}/{}", drive.tier, drive.position), drive.bad_pieces);
        let advice = of_bad_pieces(drive, has_unreadable);
        notes.push(format!("{place} gave {pieces} bad pieces since the server started: {advice}"));
    }
    notes
}

/// What to do about a drive that gave bad pieces. One that should be replaced may still hold what objects lack, above all
/// where it doesn't rot but is an older copy of itself.
fn of_bad_pieces(drive: &DriveStatus, has_unreadable: bool) -> &'static str {
    match (drive.rotting, drive.lacking_shards > 0, has_unreadable) {
        (false, ..) => "they were computed from the others; look at its disk if there are more",
        (true, false, false) => "it is rotting: replace it",
        (true, true, false) => {
            "it is rotting, or an older copy of it was put back: replace it if there are more when heal is through"
        }
        (true, _, true) => {
            "it is rotting, or an older copy of it was put back: keep it as long as objects can't be read, for it may hold \
             what they lack, and bring back the newer disk if there is one"
        }
    }
}

/// The note about a drive that is slow at writing: which requests wait for it, and what to do.
fn slow_writing(drive: &DriveStatus, members: &[String]) -> String {
    let place = format!("{}/{}", drive.tier, drive.position);
    let who_waits = if members.contains(&place) {
        "every write waits for it until the journal can go on without it, which takes enough others that are quick"
    } else if drive.tier == Tier::JOURNAL.name() {
        "the journal goes on without it, and only large writes that must go to it wait"
    } else {
        "large writes that must go to it wait"
    };
    format!(
        "{place} writes far later than its peers: {who_waits}. Look at its disk, and replace it if it stays so"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_pace_takes_a_task_only_where_one_is_heeded() {
        let asked = |action: &str, task: Option<&str>| {
            let request = PaceRequest { action: action.into(), task: task.map(str::to_owned) };
            request.change().map_err(|Refused(status, problem)| format!("{status} {problem}"))
        };
        assert_eq!(asked("hurry", None), Ok(PaceChange::Hurry(true)));
        assert_eq!(asked("resume", Some("heal")), Ok(PaceChange::Pause(vec![Class::Heal], false)));
        assert_eq!(asked("pause", None), Ok(PaceChange::Pause(Class::ALL.to_vec(), true)));
        for (action, task, told) in [
            ("hurry", Some("heal"), "hurry is about all background work and takes no task"),
            ("steady", Some("none"), "steady is about all"),
            ("pause", Some("none"), "there is no such task"),
            ("rest", None, "\"rest\" is not one of hurry"),
        ] {
            let refused = asked(action, task).unwrap_err();
            assert!(refused.starts_with("400") && refused.contains(told), "{refused}");
        }
    }

    #[test]
    fn a_drive_that_may_be_an_older_copy_is_told_so_and_is_not_given_away_while_objects_are_unreadable() {
        let told = |lacking_shards, bad_pieces, rotting, has_unreadable| {
            let (tier, state) = ("hot".to_owned(), "healthy".to_owned());
            let drive =
                DriveStatus { tier, state, lacking_shards, bad_pieces, rotting, ..DriveStatus::default() };
            notes(&[drive], &[], &IndexStatus::default(), has_unreadable)
        };
        assert_eq!(told(0, 0, false, false), Vec::<String>::new());
        let lacking = told(7, 0, false, false);
        assert!(lacking.len() == 1 && lacking[0].contains("hot/0 lacks 7 shards"), "{lacking:?}");
        assert!(told(0, 20, true, false)[0].ends_with("it is rotting: replace it"));
        let unreadable = told(7, 20, true, true);
        assert!(unreadable[1].contains("older copy") && unreadable[1].contains("keep it"), "{unreadable:?}");
        assert!(!unreadable[1].contains("replace"), "{unreadable:?}");
    }

    #[test]
    fn what_is_allowed_of_a_new_folder_is_refused_for_a_drive_of_the_set() {
        let is_taken = |action, allowed| check_allowed(action, allowed).is_ok();
        assert!(["add", "replace"].iter().all(|action| is_taken(action, true)));
        assert!(
            ["drain", "keep", "remove"]
                .iter()
                .all(|action| is_taken(action, false) && !is_taken(action, true))
        );
    }
}
