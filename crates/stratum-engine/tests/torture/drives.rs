//! Drives that are drained, kept after all, taken out and added while the store serves, as an operator would do it.
//!
//! The power may fail at any step. The next start then tells which drives the set has ([`Hardware::learn`]).
//!
//! [`Hardware::learn`]: crate::hardware::Hardware::learn

use crate::hardware::Seat;
use crate::life::Life;
use std::sync::Arc;
use std::time::Duration;
use stratum_storage::blob::Tier;
use stratum_storage::drive::Drive;
use stratum_storage::set::{Changed, Root};

/// The most positions that a set gets: each makes everything slower.
const MOST: usize = 9;
/// How many times it is checked whether a drive is empty, five seconds apart.
const WAIT: usize = 48;

/// Drains a drive. Usually waits until it is empty, and then takes it out.
pub async fn drain(life: &mut Life<'_>) -> String {
    let Some(drive) = pick(life, Seat::Serving) else { return String::new() };
    if !drive.takes_new() || !can_do_without(life, &drive) {
        return String::new();
    }
    let at = usize::from(drive.position());
    let drained = life.run.set.drain(std::slice::from_ref(&drive), true);
    life.hardware.disks[at].seat = Seat::Leaving;
    if let Err(error) = drained {
        assert!(life.is_down() || life.is_faulty(), "drive {at} can't be drained: {error}");
        return format!("drive {at}: {error}");
    }
    if life.dice.percent(70) { wait(life, &drive).await } else { format!("drive {at}") }
}

/// Waits until a drive that is being drained is empty, and takes it out.
pub async fn remove(life: &mut Life<'_>) -> String {
    match pick(life, Seat::Leaving) {
        Some(drive) => wait(life, &drive).await,
        None => String::new(),
    }
}

/// Ends the draining of a drive, which stays.
pub async fn keep(life: &mut Life<'_>) -> String {
    let Some(drive) = pick(life, Seat::Leaving) else { return String::new() };
    let at = usize::from(drive.position());
    if let Err(error) = life.run.set.drain(&[drive], false) {
        assert!(life.is_down() || life.is_faulty(), "drive {at} can't be kept: {error}");
        return format!("drive {at}: {error}");
    }
    // The journal may have removed it from its members already; see `add`.
    if take_into_use(life, at) {
        life.hardware.disks[at].seat = Seat::Serving;
    }
    format!("drive {at}")
}

/// A blank disk becomes one more drive.
pub async fn add(life: &mut Life<'_>) -> String {
    if life.hardware.disks.len() >= MOST {
        return String::new();
    }
    let at = life.hardware.plug_in();
    let root = Root::Open(life.hardware.disks[at].drive.attach());
    match life.run.set.add(Tier::Hot, root, false, life.hardware.entropy.as_ref()) {
        Ok(Changed::Done | Changed::Already) => {}
        Ok(Changed::Revived) => panic!("a blank drive that is added is one that was lost"),
        Err(error) => {
            assert!(life.is_down() || life.is_faulty(), "drive {at} can't be added: {error}");
            return format!("drive {at}: {error}");
        }
    }
    // Until the journal has taken it in, too, the set can't do without others because of it.
    if take_into_use(life, at) {
        life.hardware.disks[at].seat = Seat::Serving;
    }
    format!("drive {at}")
}

/// Has the journal take the drive in; whether it counts on the drive now. It takes only healthy drives: that one
/// fails meanwhile is no error.
fn take_into_use(life: &Life<'_>, at: usize) -> bool {
    life.run.set.repair();
    if let Err(error) = life.run.journal.join(&life.run.set.drives(Tier::Hot)) {
        assert!(life.is_down() || life.is_faulty(), "the journal doesn't take a drive: {error}");
        return false;
    }
    let drives = life.run.hot_drives();
    let there = drives.iter().find(|drive| usize::from(drive.position()) == at);
    there.is_some_and(|drive| life.run.journal.counts_on(drive.id()))
}

/// A random drive with that seat.
fn pick(life: &Life<'_>, seat: Seat) -> Option<Arc<Drive>> {
    let drives: Vec<Arc<Drive>> = life.run.hot_drives();
    let has = |drive: &&Arc<Drive>| life.hardware.disks[usize::from(drive.position())].seat == seat;
    let drives: Vec<&Arc<Drive>> = drives.iter().filter(has).collect();
    life.dice.pick(&drives).map(|drive| Arc::clone(drive))
}

/// Whether enough drives would be left to write to, by the server's own count.
fn can_do_without(life: &Life<'_>, leaving: &Drive) -> bool {
    let drives = life.run.hot_drives();
    let left = drives.iter().filter(|drive| drive.takes_new() && drive.id() != leaving.id()).count();
    left > usize::from(life.hardware.geometry.m)
}

/// Waits until nothing is left on a drive that is being drained; then usually takes it out.
async fn wait(life: &mut Life<'_>, drive: &Arc<Drive>) -> String {
    let at = usize::from(drive.position());
    for _ in 0..WAIT {
        if is_empty(life, drive) {
            return if life.dice.percent(80) {
                take_out(life, drive)
            } else {
                format!("drive {at} is empty")
            };
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        if life.is_down() {
            return format!("drive {at}, then the store went down");
        }
    }
    let (shards, journal) =
        (life.run.volumes.table.shards_on(drive.id()), life.run.journal.counts_on(drive.id()));
    let is_excused = life.is_faulty() || life.run.healthy() < life.hardware.count();
    assert!(is_excused, "drive {at} doesn't get empty: {shards} shards, the journal: {journal}");
    format!("drive {at} doesn't get empty")
}

fn is_empty(life: &Life<'_>, drive: &Drive) -> bool {
    let is_used = life.run.volumes.table.shards_on(drive.id()) > 0 || life.run.journal.counts_on(drive.id());
    !is_used && can_do_without(life, drive)
}

/// Takes an empty drive out. A change that failed may have been made all the same, so the disk stays in its place
/// until the next start.
fn take_out(life: &mut Life<'_>, drive: &Arc<Drive>) -> String {
    let at = usize::from(drive.position());
    match life.run.set.remove(std::slice::from_ref(drive)) {
        Ok(_) => {
            life.hardware.disks[at].take_out();
            format!("drive {at} is out")
        }
        Err(error) => {
            assert!(life.is_down() || life.is_faulty(), "drive {at} can't be taken out: {error}");
            format!("drive {at}: {error}")
        }
    }
}
