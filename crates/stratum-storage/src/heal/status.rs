//! How far heal has come, for whoever looks after the store.

use super::{HealError, HealState, Healer};
use crate::blob::VolumeId;
use crate::pace::Class;
use serde::Serialize;
use std::time::Duration;

/// The least time over which a rate is measured.
const RATE_PERIOD: Duration = Duration::from_secs(5);

/// How far from full redundancy the volumes are, and what is done about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HealStatus {
    /// About how many fragments of live stripes are missing or bad; 0 exactly when the volumes are whole.
    pub missing_fragments: u64,
    /// Volumes, and about how many live stripes are in them, by how many of their shards are missing: the first has
    /// none missing.
    pub volumes_by_missing_shards: Vec<u64>,
    pub stripes_by_missing_shards: Vec<u64>,
    /// Fragments that were found bad and are still to be looked at again.
    pub bad_fragments: u64,
    /// Stripes of which too few fragments are left.
    pub unreadable_stripes: u64,
    /// Bytes to read and write until the missing shards are rebuilt, and those since the start.
    pub bytes_to_do: u64,
    pub bytes_done: u64,
    pub bytes_per_second: u64,
    pub seconds_left: Option<u64>,
    pub shards_rebuilt: u64,
    pub fragments_mended: u64,
    /// Volumes that can't be healed for want of a healthy drive, of space, or of drives that hold what is missing.
    pub waiting_for_drive: u64,
    pub waiting_for_space: u64,
    pub waiting_for_lost: u64,
    /// Why the first of them waits, in words.
    pub waiting_because: Option<String>,
}

impl Healer {
    /// How things stand. Looks through the table of volumes: some microseconds for each hundred of them.
    pub fn status(&self) -> HealStatus {
        let endangered = self.rebuilder.endangered();
        let bad_fragments = self.table.repairs.len() as u64;
        let (volumes, stripes) = self.rebuilder.volumes_and_stripes();
        let whole = volumes.saturating_sub(endangered.len() as u64);
        let in_whole = stripes.saturating_sub(endangered.iter().map(|each| each.stripes).sum());
        let mut status = HealStatus {
            bad_fragments,
            missing_fragments: bad_fragments,
            volumes_by_missing_shards: vec![whole],
            stripes_by_missing_shards: vec![in_whole],
            ..HealStatus::default()
        };
        for each in &endangered {
            let missing = each.missing.len();
            status.missing_fragments += each.stripes * missing as u64;
            status.bytes_to_do += each.bytes * missing as u64;
            count(&mut status.volumes_by_missing_shards, missing, 1);
            count(&mut status.stripes_by_missing_shards, missing, each.stripes);
        }
        let mut state = self.state.lock();
        let is_there = |volume: &VolumeId| self.table.find(*volume).is_some();
        state.unreadable.retain(|(volume, _)| is_there(volume));
        status.unreadable_stripes = state.unreadable.len() as u64;
        status.missing_fragments += status.unreadable_stripes;
        (status.shards_rebuilt, status.fragments_mended) = (state.rebuilt, state.mended);
        state.measure(self.clock.monotonic(), self.pace.done(Class::Heal).bytes, &mut status);
        state.tell_waiting(&mut status);
        status
    }
}

fn count(by_missing: &mut Vec<u64>, missing: usize, more: u64) {
    by_missing.resize(by_missing.len().max(missing + 1), 0);
    by_missing.iter_mut().skip(missing).take(1).for_each(|counted| *counted += more);
}

impl HealState {
    fn measure(&mut self, now: Duration, done: u64, status: &mut HealStatus) {
        let [older, newer] = self.samples;
        if now.saturating_sub(newer.0) >= RATE_PERIOD {
            self.samples = [newer, (now, done)];
        }
        let rate = done.saturating_sub(older.1) as f64 / now.saturating_sub(older.0).as_secs_f64().max(0.001);
        status.bytes_done = done;
        status.bytes_per_second = rate as u64;
        status.seconds_left =
            (status.bytes_per_second > 0).then(|| status.bytes_to_do / status.bytes_per_second);
    }

    fn tell_waiting(&self, status: &mut HealStatus) {
        for waiting in self.waiting.values() {
            match waiting.error {
                HealError::NoDrive => status.waiting_for_drive += 1,
                HealError::NoSpace => status.waiting_for_space += 1,
                HealError::Unreadable(_) => status.waiting_for_lost += 1,
                _ => {}
            }
        }
        let first = self.waiting.iter().min_by_key(|(volume, _)| **volume);
        status.waiting_because = first.map(|(_, waiting)| waiting.error.to_string());
    }
}
