//! A stop ends, whatever still waits for a drive.
//!
//! A call that hangs in the system can't be called off, and background work that made one would hold the stop up for as long
//! as the drive likes. What was acknowledged is durable and a start makes do with what any crash leaves, so the process
//! ends without it. What lies in memory alone (use, since it was last saved a few seconds ago) goes.

use std::process;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use stratum_engine::Engine;
use stratum_engine::supervisor::Tasks;
use stratum_storage::drive::Drive;

/// How long a stop may take once the requests have ended, before it is said what it waits for, and in all.
const SILENCE: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(15);
/// In which the log's own thread writes what it was told.
const LAST_LINES: Duration = Duration::from_millis(200);
/// A drive that is in use at each of so many looks hangs.
const LOOKS: usize = 10;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Ends the process after a time, if it hasn't ended by itself.
pub fn by_force_after_a_while(engine: &Engine, tasks: Tasks) {
    let engine = engine.clone();
    let watch = move || {
        thread::sleep(SILENCE);
        tracing::warn!(tasks = tasks.left().join(", "), drives = hanging(&engine), "the stop waits");
        thread::sleep(PATIENCE - SILENCE);
        tracing::warn!(
            tasks = tasks.left().join(", "),
            drives = hanging(&engine),
            "a stop waits for what hangs: the process ends without it, and nothing acknowledged is lost"
        );
        thread::sleep(LAST_LINES);
        process::exit(0);
    };
    if let Err(error) = thread::Builder::new().name("stop".into()).spawn(watch) {
        tracing::warn!(%error, "a stop may take as long as a drive that hangs");
    }
}

/// The drives in which something hangs.
fn hanging(engine: &Engine) -> String {
    let mut drives = engine.set.all_drives();
    for _ in 0..LOOKS {
        drives.retain(|drive: &Arc<Drive>| drive.is_in_use());
        thread::sleep(BETWEEN_LOOKS);
    }
    drives.iter().map(|drive| drive.label()).collect::<Vec<_>>().join(", ")
}
