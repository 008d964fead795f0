//! The check of a store that serves: a job in the server, which runs one such check at a time.
//!
//! The state is checked as of one moment, volumes are read as they are when their turn comes, and all reading is paced
//! as scrub's. What clients, packing, heal and compaction change in the meantime never becomes a finding; each layer
//! that is checked ensures that in its own way. Bad copies of the journal, of checkpoints and of identities are written
//! anew, as the daily check of copies does. Volumes are changed only with `--repair`, which hands the findings to heal.

use super::finding::Finding;
use super::report::{self, Report};
use crate::drives::Drives;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;
use stratum_engine::Engine;
use stratum_engine::copies::check_copies;
use stratum_storage::blob::VolumeId;
use stratum_storage::blocking;
use stratum_storage::heal::HealError;
use stratum_storage::inspect::{self, InspectError};
use stratum_storage::pace::{Class, Turn};
use stratum_storage::volume::{Stray, VolumeState};
use tokio::sync::watch;
use tokio::task::JoinError;
use tracing_mutex::parkinglot::Mutex;

/// How long a repair waits for heal at most. What heal hasn't done by then is found by the check that follows.
const HEAL_TIMEOUT: Duration = Duration::from_secs(600);
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// How many flawed stripes of one volume are remembered and handed to heal. If a volume has more, a scrub finds the
/// others.
const MAX_STRIPES_A_VOLUME: usize = 4096;

/// What kind of check is asked for.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Wanted {
    /// Read no bytes of volumes, and don't check the copies of journal, checkpoints and identities.
    quick: bool,
    repair: bool,
}

/// How far the check that is under way has come, or the result of the last one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CheckStatus {
    /// The number of the check, counted from the server's start; 0 if there was none yet.
    pub number: u64,
    pub is_under_way: bool,
    /// What is being checked.
    pub step: String,
    /// How many things of this step are done.
    pub done: u64,
    /// How many things this step has; 0 while that isn't known.
    pub of: u64,
    /// Whether scrub is paused, which pauses the check, too.
    pub is_paused: bool,
    /// The report, once the check is over, unless it failed.
    pub report: Option<Report>,
    /// Why the check could not be run to its end.
    pub failed: Option<String>,
}

impl CheckStatus {
    /// How far the check has come, in a line.
    pub fn to_text(&self) -> String {
        let of = if self.of > 0 { format!(" {} of {}", self.done, self.of) } else { String::new() };
        let paused = if self.is_paused { " (held: `stratum pace resume scrub`)" } else { "" };
        format!("checking {}{of}{paused}", self.step)
    }
}

/// The checks of a store.
pub struct Checks {
    engine: Engine,
    drives: Drives,
    status: Mutex<CheckStatus>,
    stop: watch::Sender<bool>,
}

/// What a check has found so far.
#[derive(Default)]
struct Found {
    report: Report,
    /// The volumes with flaws, and the offsets of the stripes that have them.
    flawed: BTreeMap<VolumeId, BTreeSet<u64>>,
    /// How many files there are that a repair removes although they are nothing wrong.
    leftovers: usize,
}

impl Checks {
    pub fn new(engine: Engine, drives: Drives) -> Arc<Checks> {
        let (stop, status) = (watch::Sender::new(false), Mutex::default());
        Arc::new(Checks { engine, drives, status, stop })
    }

    pub fn status(&self) -> CheckStatus {
        CheckStatus { is_paused: self.engine.pace().is_paused(Class::Scrub), ..self.status.lock().clone() }
    }

    /// Begins a check, unless one is under way. Must be called within a Tokio runtime.
    pub fn start(self: &Arc<Self>, wanted: Wanted) -> CheckStatus {
        let mut status = self.status.lock();
        if !status.is_under_way {
            *status = CheckStatus { number: status.number + 1, is_under_way: true, ..CheckStatus::default() };
            tokio::spawn(self.clone().run(wanted));
        }
        status.clone()
    }

    /// Cancels the check that is under way. The server calls this when it stops.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    async fn run(self: Arc<Self>, wanted: Wanted) {
        let checks = self.clone();
        let outcome = outcome_of(async move { checks.check_and_repair(wanted).await }).await;
        let mut status = self.status.lock();
        status.is_under_way = false;
        match outcome {
            Ok(report) => status.report = Some(report),
            Err(problem) => status.failed = Some(problem),
        }
    }

    async fn check_and_repair(self: &Arc<Self>, wanted: Wanted) -> Result<Report, String> {
        let found = self.check(wanted.quick).await?;
        if !wanted.repair || (found.report.is_well() && found.leftovers == 0) {
            return Ok(found.report);
        }
        let mended = self.repair(&found).await;
        let again = self.check(wanted.quick).await?;
        Ok(Report { mended, ..again.report })
    }

    fn step(&self, step: &str, done: u64, of: u64) {
        let mut status = self.status.lock();
        (status.step, status.done, status.of) = (step.to_owned(), done, of);
    }

    async fn check(self: &Arc<Self>, quick: bool) -> Result<Found, String> {
        let mut found = Found::default();
        let files_before = self.strays().await?;
        self.drives(&mut found).await?;
        self.state(&mut found).await?;
        if !quick {
            self.step("copies", 0, 0);
            let copies = check_copies(&self.engine, &self.stop.subscribe()).await;
            copies.into_iter().for_each(|copy| found.report.tell(&Finding::Copy(copy)));
        }
        self.volumes(quick, &mut found).await?;
        let (drives, is_provisional) =
            (self.engine.set.all_drives(), self.engine.volumes.table.is_held_back());
        for stray in self.strays().await?.intersection(&files_before).cloned() {
            let finding = Finding::of_stray(stray, &drives, is_provisional);
            found.leftovers += usize::from(finding.is_leftover());
            found.report.tell(&finding);
        }
        found.report.sort();
        Ok(found)
    }

    async fn strays(&self) -> Result<HashSet<Stray>, String> {
        let volumes = self.engine.volumes.clone();
        off_thread(move || volumes.strays.find()).await
    }

    async fn drives(&self, found: &mut Found) -> Result<(), String> {
        self.step("drives", 0, 0);
        let drives = self.drives.clone();
        for drive in off_thread(move || drives.list()).await? {
            if !matches!(drive.state.as_str(), "healthy" | "draining" | "drained") {
                let place = format!("{}/{}", drive.tier, drive.position);
                let reason = drive.reason.unwrap_or_else(|| "no reason is known".into());
                found.report.tell(&Finding::Drive { place, state: drive.state, reason });
            }
        }
        Ok(())
    }

    /// Checks that the state's records agree with each other, and that the bodies in the journal can be read.
    async fn state(self: &Arc<Self>, found: &mut Found) -> Result<(), String> {
        self.step("records", 0, 0);
        let (checks, runtime) = (self.clone(), tokio::runtime::Handle::current());
        let mut report = std::mem::take(&mut found.report);
        let checked = off_thread(move || {
            let metadata = checks.engine.metadata.clone();
            let turns = move |bytes| runtime.block_on(checks.turn(bytes));
            let checked = metadata.check(&turns, &mut |finding| report.tell(&finding.into()));
            (report, checked)
        });
        let (report, checked) = checked.await?;
        found.report = report;
        found.report.count(&checked.map_err(|error| error.to_string())?);
        Ok(())
    }

    /// Waits for the pace's permission to read `bytes`; gives nothing if the check is cancelled.
    async fn turn(&self, bytes: u64) -> Option<Turn> {
        let mut stop = self.stop.subscribe();
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => None,
            turn = self.engine.pace().turn(Class::Scrub, bytes) => Some(turn),
        }
    }

    /// Checks every volume's files, and unless `quick` all fragments of its live stripes.
    async fn volumes(&self, quick: bool, found: &mut Found) -> Result<(), String> {
        let metadata = self.engine.metadata.clone();
        let records =
            off_thread(move || metadata.local().volumes()).await?.map_err(|error| error.to_string())?;
        let mut unreadable = HashSet::new();
        for (done, record) in records.iter().enumerate() {
            self.step("volumes", done as u64, records.len() as u64);
            if record.state != VolumeState::Dropped {
                self.volume(record.id, quick, found, &mut unreadable).await?;
            }
        }
        if !unreadable.is_empty() {
            let metadata = self.engine.metadata.clone();
            let owners = off_thread(move || metadata.owners_in(&unreadable)).await?;
            let owners = owners.map_err(|error| error.to_string())?;
            owners.into_iter().for_each(|owner| found.report.tell(&Finding::Lost { owner }));
        }
        Ok(())
    }

    async fn volume(
        &self,
        volume: VolumeId,
        quick: bool,
        found: &mut Found,
        unreadable: &mut HashSet<(VolumeId, u64)>,
    ) -> Result<(), String> {
        let mut stop = self.stop.subscribe();
        let table = &self.engine.volumes.table;
        let look = async {
            match quick {
                true => inspect::look_at_files(table, volume).await,
                false => inspect::verify_in_use(table, volume, self.engine.pace()).await,
            }
        };
        let verified = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return Err("the check was called off".into()),
            verified = look => verified,
        };
        let verified = match verified {
            Ok(verified) => verified,
            Err(InspectError::Gone) => return Ok(()),
            Err(error) => {
                found.report.tell(&Finding::Volume { volume, problem: error.to_string() });
                return Ok(());
            }
        };
        found.report.stripes += verified.stripes;
        found.report.bytes += verified.bytes;
        if !verified.is_whole() {
            let stripes = verified.stripes_found.iter().map(|found| found.offset).take(MAX_STRIPES_A_VOLUME);
            found.flawed.insert(volume, stripes.collect());
        }
        let lost = verified.stripes_found.iter().filter(|found| !found.is_readable());
        unreadable.extend(lost.map(|found| (volume, found.offset)));
        for finding in Finding::of_volume(volume, verified) {
            found.report.tell(&finding);
        }
        Ok(())
    }

    /// Hands the flawed volumes to heal, and waits until it has done what it can. Gives sentences about what was done.
    async fn repair(&self, found: &Found) -> Vec<String> {
        let mut mended = Vec::new();
        for (done, (volume, offsets)) in found.flawed.iter().enumerate() {
            self.step("and mending volumes", done as u64, found.flawed.len() as u64);
            mended.push(match self.engine.healer.look_again(*volume, offsets).await {
                Ok(Some((written, lost))) => {
                    format!("{volume}: {written} fragments were written anew, {lost} shards given to heal to rebuild")
                }
                Ok(None) => format!("{volume}: heal or compaction works on it already"),
                Err(HealError::Gone) => continue,
                Err(error) => format!("{volume}: not mended: {error}"),
            });
        }
        let volumes = self.engine.volumes.clone();
        let removed = off_thread(move || volumes.strays.remove_unfinished().removed.len()).await;
        match removed {
            Ok(removed) => mended.extend(report::removed(removed)),
            Err(problem) => mended.push(format!("not all unfinished files were removed: {problem}")),
        }
        self.step("and waiting for heal", 0, 0);
        let healed = async {
            while self.engine.healer.is_at_work() {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        let mut stop = self.stop.subscribe();
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => {}
            done = tokio::time::timeout(HEAL_TIMEOUT, healed) => if done.is_err() {
                mended.push("heal has not finished yet: see `stratum status`".into());
            },
        }
        mended
    }
}

/// The outcome of a check, which has one even if the check panics: else it would count as under way for ever.
async fn outcome_of(
    check: impl Future<Output = Result<Report, String>> + Send + 'static,
) -> Result<Report, String> {
    tokio::spawn(check).await.unwrap_or_else(|error| Err(ended_early(&error)))
}

fn ended_early(error: &JoinError) -> String {
    format!("the check ended early: {error}")
}

async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    blocking::spawn(work).await.map_err(|error| ended_early(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_check_that_panics_ends_with_a_failure() {
        let outcome = outcome_of(async { panic!("by plan") }).await;
        assert!(outcome.unwrap_err().starts_with("the check ended early: "));
        assert!(outcome_of(async { Ok(Report::default()) }).await.is_ok());
    }
}
