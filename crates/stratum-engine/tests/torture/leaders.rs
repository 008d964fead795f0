//! The drives that know the journal's end, when no more than may be lost do: a crash in the middle of a group leaves it
//! on some of the members. Whether it counts then, the next start decides, once and for all: without them it never was,
//! and with them it may not go even if they are lost right after.

use crate::hardware::Hardware;
use crate::outside::as_drive;
use crate::run::Virtual;
use std::sync::Arc;
use stratum_storage::ambient::Clock;
use stratum_storage::journal::{History, Run};

/// Takes all of them away, if the store must go on without them.
pub fn take_leaders(hardware: &mut Hardware) -> Option<String> {
    let leaders = leaders(hardware);
    if leaders.is_empty() || !hardware.may_lose(&leaders) {
        return None;
    }
    leaders.iter().for_each(|at| hardware.disks[*at].away = true);
    Some(format!("drives {leaders:?}, which know the journal's end, are away"))
}

/// The disks that hold the last entry of all that any of them holds.
fn leaders(hardware: &Hardware) -> Vec<usize> {
    let there = hardware.disks.iter().enumerate().filter(|(_, disk)| disk.is_in() && !disk.away);
    let runs: Vec<(usize, Vec<Run>)> = there.map(|(at, _)| (at, runs(hardware, at))).collect();
    let Some(last) = runs.iter().flat_map(|(_, runs)| runs).map(|run| run.last).max() else {
        return Vec::new();
    };
    let holds = |runs: &[Run]| runs.iter().any(|run| (run.first..=run.last).contains(&last));
    runs.iter().filter(|(_, runs)| holds(runs)).map(|(at, _)| *at).collect()
}

/// What a disk has of the journal.
fn runs(hardware: &Hardware, at: usize) -> Vec<Run> {
    let disk = &hardware.disks[at].drive;
    let clock: Arc<dyn Clock> = Arc::new(Virtual::new(hardware.now));
    let history = History::read(&[as_drive(disk, clock)]);
    disk.kill();
    history.map(|history| history.runs()).unwrap_or_default()
}
