//! Rebuilds a failed index while the server runs.
//!
//! From the failure on nothing is served: reads and commits are told to try again. The failed trees are given up, and
//! what the journal has since the newest checkpoint is applied to a new tree over that checkpoint, in the home of the
//! index or, if that can't hold it, on a healthy drive. A command that was on its way when the index failed is either
//! in the journal, and then in the new tree, or nowhere.
//!
//! A thread that panicked may not have told the table of volumes what it had applied, so the table is told of
//! everything again.
//!
//! On a disk without room for another tree the ballast is given up first, so that reads go on, and the deletes
//! that make room.
//!
//! The first try comes at once. Each further one within [`CALM_PERIOD`] waits longer and begins in another place, so that a
//! disk that ruins what is written to it doesn't keep the server busy.

use super::start::{self, RebuildStep, Sources};
use super::{Inner, Metadata, OpenError};
use crate::ballast::Ballast;
use crate::checkpoint::CheckpointError;
use crate::machine::Failure;
use crate::stack;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use stratum_storage::blob::Index;
use stratum_storage::panics;
use tracing_mutex::parkinglot::Mutex;

/// After serving for this long, the next failure counts as the first again.
const CALM_PERIOD: Duration = Duration::from_secs(600);
/// The longest pause between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// The pause between two tries to move the index back to its home, and to make its ballast.
const HOMECOMING_INTERVAL: Duration = Duration::from_secs(60);
/// How long others may still use a failed index before the next one is begun.
const LETTING_GO_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether the index is available and, if not, what is being done about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum IndexState {
    #[default]
    Available,
    /// It failed, and is being rebuilt from a checkpoint and the journal: nothing is served.
    Rebuilding {
        why: String,
        for_seconds: u64,
        #[serde(flatten)]
        step: RebuildStep,
    },
    /// It failed, and could not be rebuilt so far: nothing is served, and it will be tried again.
    Failed { why: String, for_seconds: u64, problem: String, next_try_in_seconds: u64 },
}

/// The state of the index, for the operator.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct IndexStatus {
    #[serde(flatten)]
    pub state: IndexState,
    /// The folder that it lies in.
    pub place: String,
    /// How often it failed and was rebuilt in this run.
    pub rebuilds: u64,
    /// For how long nothing was served the last time.
    pub last_pause_seconds: Option<f64>,
    /// Whether room is kept for it on its disk.
    pub ballast: Ballast,
}

/// The tries to rebuild the index in this run.
#[derive(Debug, Default)]
pub(super) struct Outage {
    tries: Mutex<Tries>,
    /// The progress of the try that is under way.
    step: Mutex<Option<RebuildStep>>,
    looked: Mutex<Option<Duration>>,
}

#[derive(Clone, Debug, Default)]
struct Tries {
    /// How many tries there were since the index last served for [`CALM_PERIOD`].
    in_a_row: u32,
    /// When the last try ended, by the monotonic clock.
    ended: Duration,
    /// Why the last try failed.
    problem: Option<String>,
    rebuilds: u64,
    pause: Option<Duration>,
}

impl Tries {
    /// When the next try may begin.
    fn next(&self) -> Duration {
        match self.in_a_row {
            0 => self.ended,
            tries => self.ended + LONGEST_WAIT.min(Duration::from_secs(1) * 2u32.saturating_pow(tries - 1)),
        }
    }

    /// Begins a try if it is time, and returns how many came before it.
    fn begin(&mut self, failure: &Failure, now: Duration) -> Option<u32> {
        if failure.at > self.ended + CALM_PERIOD {
            self.in_a_row = 0;
        }
        let before = self.in_a_row;
        (now >= self.next()).then(|| {
            self.in_a_row += 1;
            before
        })
    }
}

impl Metadata {
    /// Maintains the index: rebuilds it when it has failed, and keeps room for that. Takes a checkpoint, which begins
    /// another tree, when the index's files were taken away, and when it lies on a drive instead of its home. For a
    /// thread of its own, every second or so; blocks, for as long as that takes.
    pub fn tend_index(&self) {
        let (inner, now) = (&self.inner, self.inner.clock.monotonic());
        self.end_what_is_lost();
        if let Some(failure) = inner.machine.failure() {
            let begun = inner.outage.tries.lock().begin(&failure, now);
            return begun.map_or((), |before| self.end_outage(&failure, before as usize));
        }
        if !inner.machine.is_in_place() {
            return self.replace_lost_files();
        }
        let mut looked = inner.outage.looked.lock();
        if looked.is_none_or(|at| now.saturating_sub(at) >= HOMECOMING_INTERVAL) {
            *looked = Some(now);
            if inner.index.home_is_there() {
                inner.room.keep();
                if !inner.index.is_home() {
                    self.go_home();
                }
            }
        }
    }

    /// Whether the index is available, and what happened to it in this run.
    pub fn index_status(&self) -> IndexStatus {
        let inner = &self.inner;
        let (tries, step) = (inner.outage.tries.lock().clone(), *inner.outage.step.lock());
        let now = inner.clock.monotonic();
        let state = match (inner.machine.failure(), step, tries.problem.clone()) {
            (None, ..) => IndexState::Available,
            (Some(Failure { why, at }), None, Some(problem)) => IndexState::Failed {
                why,
                for_seconds: now.saturating_sub(at).as_secs(),
                problem,
                next_try_in_seconds: tries.next().saturating_sub(now).as_secs(),
            },
            (Some(Failure { why, at }), step, _) => IndexState::Rebuilding {
                why,
                for_seconds: now.saturating_sub(at).as_secs(),
                step: step.unwrap_or_default(),
            },
        };
        IndexStatus {
            state,
            place: inner.index.current().last().map(|place| place.display().to_string()).unwrap_or_default(),
            rebuilds: tries.rebuilds,
            last_pause_seconds: tries.pause.map(|pause| pause.as_secs_f64()),
            ballast: inner.room.ballast(),
        }
    }

    fn end_outage(&self, failure: &Failure, tries_before: usize) {
        let (outage, clock) = (&self.inner.outage, &self.inner.clock);
        *outage.step.lock() = Some(RebuildStep::Begins);
        // What made the failed index panic may make the next one panic, too.
        let rebuilt = panics::caught(|| self.rebuild_failed(tries_before));
        let rebuilt = rebuilt.unwrap_or_else(|words| Err(OpenError::Panicked(words)));
        let mut tries = outage.tries.lock();
        tries.ended = clock.monotonic();
        match rebuilt {
            Ok(entry) => {
                let pause = tries.ended.saturating_sub(failure.at);
                tracing::info!(
                    entry,
                    pause_seconds = pause.as_secs_f64(),
                    why = failure.why,
                    "the index was rebuilt; serving again"
                );
                metrics::counter!("stratum_index_rebuilds_total").increment(1);
                metrics::gauge!("stratum_index_last_pause_seconds").set(pause.as_secs_f64());
                (tries.problem, tries.pause) = (None, Some(pause));
                tries.rebuilds += 1;
            }
            Err(error) => {
                tracing::error!(%error, "the index could not be rebuilt; trying again later");
                tries.problem = Some(error.to_string());
            }
        }
        *outage.step.lock() = None;
    }

    fn rebuild_failed(&self, tries_before: usize) -> Result<Index, OpenError> {
        let inner = &self.inner;
        // A thread that is applying a group finishes it; after that nothing is applied.
        let served = inner.committer.at_rest(|_| inner.machine.applied_index());
        stack::let_go(inner.machine.discard(), LETTING_GO_TIMEOUT);
        if inner.index.home_is_there() {
            inner.room.make_way();
        }
        let note = |step| *inner.outage.step.lock() = Some(step);
        let mut sources = Sources {
            log: inner.log.as_ref(),
            checkpoints: inner.upkeep.files(),
            clock: inner.clock.clone(),
            until: served,
            note: &note,
        };
        let fresh = start::anew(&inner.index, tries_before, &sources)?;
        let reached = fresh.applied_index();
        if reached < served {
            return Err(OpenError::Behind { reached, served });
        }
        inner.committer.at_rest(|committed| {
            // These groups were committed, but not applied any more when the index failed. Nobody has been told of
            // them yet.
            sources.until = committed;
            start::replay(&fresh, &sources, |applied| inner.space.tell(&applied))?;
            let index = inner.machine.take_over(fresh).index;
            if let Err(error) = inner.space.tell_all(&inner.machine) {
                tracing::warn!(%error, "the volumes were not told how full they are");
            }
            Ok(index)
        })
    }

    /// Fails the index, so that it is rebuilt, if the rebuilt state would have what it has lost, or if a lost block
    /// that an entry needed is readable again.
    pub(super) fn end_what_is_lost(&self) {
        let Inner { machine, upkeep, log, .. } = self.inner.as_ref();
        if upkeep.has_what_is_lost_in_the_one_before(machine, log.as_ref()) {
            machine
                .fail("a block of its checkpoint is lost, which the checkpoint before and the journal have");
        } else if let Some(block) = machine.halted().filter(|_| !machine.has_lost()) {
            machine.fail(format!("entries wait that needed what is there again: {block}"));
        }
    }

    /// The files were taken away. Until the server stops, sled goes on with what it has open, so nothing is lost yet.
    fn replace_lost_files(&self) {
        tracing::error!("the index's files are gone or were replaced under the server: going on in others");
        if let Err(error) = self.begin_another_tree() {
            self.inner.machine.fail(format!("its files are gone, and no checkpoint could be taken: {error}"));
        }
    }

    fn go_home(&self) {
        match self.begin_another_tree() {
            Ok(()) if self.inner.index.is_home() => tracing::info!("the index is in its home again"),
            Ok(()) => {}
            Err(error) => tracing::debug!(%error, "the index stays on a drive: its home can't take it yet"),
        }
    }

    /// Takes a checkpoint, so that another tree is begun; two if a tree is closed already, whose checkpoint comes
    /// first.
    fn begin_another_tree(&self) -> Result<(), CheckpointError> {
        if self.inner.machine.closed().is_some() {
            self.try_checkpoint()?;
        }
        self.try_checkpoint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_become_rare_until_the_index_has_served_for_long() {
        let seconds = Duration::from_secs;
        let failed_at = |at| Failure { why: String::new(), at: seconds(at) };
        let mut tries = Tries::default();
        assert_eq!(tries.begin(&failed_at(5), seconds(5)), Some(0), "the first comes at once");
        for (before, wait) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 32), (7, 60), (8, 60)] {
            tries.ended = seconds(100);
            assert_eq!(tries.begin(&failed_at(5), seconds(99 + wait)), None);
            assert_eq!(tries.begin(&failed_at(5), seconds(100 + wait)), Some(before));
        }
        tries.ended = seconds(200);
        assert_eq!(tries.begin(&failed_at(700), seconds(205)), None, "too soon after it came back");
        assert_eq!(tries.begin(&failed_at(801), seconds(801)), Some(0));
    }
}
