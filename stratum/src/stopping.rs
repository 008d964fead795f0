//! Ends the process after a time when a stop hangs.
//!
//! A system call that hangs in a drive can't be cancelled, and background work that made such a call would delay the
//! stop for as long as the drive hangs. Everything that was acknowledged is durable, and a start copes with whatever a
//! crash leaves, so the process can end without waiting for that work. Only what lies in memory alone is lost: the use
//! of objects since it was last saved, a few seconds ago.

use std::process;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use stratum_engine::Engine;
use stratum_engine::supervisor::Tasks;
use stratum_storage::drive::Drive;

/// How long a stop may take, once the requests have ended, before the log says what it waits for.
const SILENT_PERIOD: Duration = Duration::from_secs(3);
/// How long a stop may take in all, once the requests have ended.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the thread of the log gets to write the last lines.
const LAST_LINES_TIMEOUT: Duration = Duration::from_millis(200);
/// How often a drive is looked at: one that is in use each time is taken to hang.
const LOOKS_AT_A_DRIVE: usize = 10;
/// The pause between two such looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Starts a thread that ends the process after [`STOP_TIMEOUT`], if the process hasn't ended by itself.
pub fn by_force_after_a_while(engine: &Engine, tasks: Tasks) {
    let engine = engine.clone();
    let watch = move || {
        thread::sleep(SILENT_PERIOD);
        tracing::warn!(
            tasks = tasks.left().join(", "),
            drives = hanging(&engine),
            "the stop waits for these tasks and drives"
        );
        thread::sleep(STOP_TIMEOUT - SILENT_PERIOD);
        tracing::warn!(
            tasks = tasks.left().join(", "),
            drives = hanging(&engine),
            "a stop waits for what hangs: the process ends without it, and nothing acknowledged is lost"
        );
        thread::sleep(LAST_LINES_TIMEOUT);
        process::exit(0);
    };
    if let Err(error) = thread::Builder::new().name("stop".into()).spawn(watch) {
        tracing::warn!(%error, "a stop may take as long as a drive that hangs");
    }
}

/// The names of the drives in which a call hangs.
fn hanging(engine: &Engine) -> String {
    let mut drives = engine.set.all_drives();
    for _ in 0..LOOKS_AT_A_DRIVE {
        drives.retain(|drive: &Arc<Drive>| drive.is_in_use());
        thread::sleep(LOOK_INTERVAL);
    }
    drives.iter().map(|drive| drive.label()).collect::<Vec<_>>().join(", ")
}
