//! Reads everything on the drives that is not a volume: identities, replicated files, checkpoints, and the journal's
//! closed segments. Damaged copies are rewritten from the others.

use crate::Engine;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use stratum_storage::blocking;
use stratum_storage::pace::{Class, Pace};
use stratum_storage::set::Finding;
use stratum_storage::task::{Executor, Next, Role, Row, Stop, Task, Work};
use tokio::sync::Notify;
use tracing_mutex::parkinglot::Mutex;

/// How often all copies are read without being asked for.
const READ_INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// When the copies are read, and the results.
#[derive(Debug, Default)]
pub struct Copies {
    asked: Notify,
    status: Mutex<CopiesStatus>,
}

/// The results since the start.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct CopiesStatus {
    /// How often all copies were read.
    pub copies_passes: u64,
    /// Bad copies found at the last time.
    pub copies_bad: u64,
    pub copies_mended: u64,
}

impl Copies {
    /// Has the copies read now, as part of a scrub that was asked for.
    pub fn ask(&self) {
        self.asked.notify_one();
    }

    pub fn status(&self) -> CopiesStatus {
        *self.status.lock()
    }
}

/// Reads the copies once a day, and when asked.
pub(super) struct CopiesScrub(pub Engine);

impl Task for CopiesScrub {
    fn row(&self) -> Row {
        Row {
            name: "scrub of copies",
            role: Role::Host,
            class: Some(Class::Scrub),
            executor: Executor::Runtime,
            delay: READ_INTERVAL,
        }
    }

    fn step<'a>(&'a self, stop: &'a Stop) -> Work<'a, Next> {
        Box::pin(async {
            check_copies(&self.0, stop).await;
            Next::After(READ_INTERVAL)
        })
    }

    fn woken(&self) -> Work<'_, ()> {
        Box::pin(self.0.copies.asked.notified())
    }
}

/// Reads all copies now, a segment or a kind of file in each turn; returns what was found.
pub async fn check_copies(engine: &Engine, stop: &Stop) -> Vec<Finding> {
    let (set, metadata) = (engine.set.clone(), engine.metadata.clone());
    let pace = &engine.mover.pace;
    let mut findings = in_a_turn(pace, 0, move || set.repair()).await.unwrap_or_default();
    let bytes = metadata.checkpoint_bytes();
    findings.extend(in_a_turn(pace, bytes, move || metadata.check_checkpoints()).await.unwrap_or_default());
    let mut sequence = 0;
    while !*stop.borrow() {
        let (journal, bytes) = (engine.journal.clone(), segment_bytes(engine));
        let checked = in_a_turn(pace, bytes, move || journal.check_after(sequence)).await;
        let Some(checked) = checked.flatten() else { break };
        sequence = checked.sequence;
        findings.extend(checked.findings);
    }
    metrics::counter!("stratum_copies_repaired_total").increment(repaired(&findings));
    tracing::info!(findings = findings.len(), "looked at all copies of what is not in volumes");
    let mut status = engine.copies.status.lock();
    let copies_passes = status.copies_passes + 1;
    let (copies_bad, copies_mended) = (findings.len() as u64, repaired(&findings));
    *status = CopiesStatus { copies_passes, copies_bad, copies_mended };
    findings
}

fn repaired(findings: &[Finding]) -> u64 {
    findings.iter().filter(|finding| finding.repaired).count() as u64
}

/// The most bytes that the copies of a segment have.
fn segment_bytes(engine: &Engine) -> u64 {
    engine.journal.spans().iter().map(|span| span.bytes).max().unwrap_or_default()
}

/// Does one blocking piece of work in a turn; `None` if it could not be done.
async fn in_a_turn<T: Send + 'static>(
    pace: &Arc<Pace>,
    bytes: u64,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let turn = pace.turn(Class::Scrub, bytes).await;
    let done = blocking::spawn(work).await;
    drop(turn);
    done.ok()
}
