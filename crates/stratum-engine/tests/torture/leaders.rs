//! The drives that know the journal's end, if those are no more than may be lost: a crash in the middle of a group
//! leaves the group on some of the members only. Whether it counts is decided once and for all by the next start.
//! Without these drives it never was; with them it must stay, even if they are lost right after.

use crate::hardware::Hardware;
use crate::outside::as_drive;
use crate::run::Virtual;
use std::sync::Arc;
use stratum_storage::ambient::Clock;
use stratum_storage::journal::{History, Run};

/// Takes these drives away, if the store must be able to go on without them.
pub fn take_leaders(hardware: &mut Hardware) -> Option<String> {
    let leaders = leaders(hardware);
    if leaders.is_empty() || !hardware.may_lose(&leaders) {
        return None;
    }
    leaders.iter().for_each(|at| hardware.disks[*at].away = true);
    Some(format!("drives {leaders:?}, which know the journal's end, are away"))
}

/// The disks that hold the journal's last entry.
fn leaders(hardware: &Hardware) -> Vec<usize> {
    let there = hardware.disks.iter().enumerate().filter(|(_, disk)| disk.is_in() && !disk.away);
    let runs: Vec<(usize, Vec<Run>)> = there.map(|(at, _)| (at, runs(hardware, at))).collect();
    let Some(last) = runs.iter().flat_map(|(_, runs)| runs).map(|run| run.last).max() else {
        return Vec::new();
    };
    let holds = |runs: &[Run]| runs.iter().any(|run| (run.first..=run.last).contains(&last));
    runs.iter().filter(|(_, runs)| holds(runs)).map(|(at, _)| *at).collect()
}

/// The runs of the journal that a disk holds.
fn runs(hardware: &Hardware, at: usize) -> Vec<Run> {
    let disk = &hardware.disks[at].drive;
    let clock: Arc<dyn Clock> = Arc::new(Virtual::new(hardware.now));
    let history = History::read(&[as_drive(disk, clock)]);
    disk.kill();
    history.map(|history| history.runs()).unwrap_or_default()
}
