//! Which drives are slow beside their peers, and at what.
//!
//! A drive's reads, its writes of the journal and its writes of volumes are judged apart, each beside the same of the
//! other drives: the members of the journal sync every group, and others sync now and then, so that one mean of all
//! three would tell members from others rather than slow drives from fast ones. Where there are peers on other
//! devices a drive is compared with those alone: a device that is slow is slow for all of its drives.

use super::{Domain, Drive, Pulse};
use std::sync::Arc;
use std::time::Duration;

/// What a drive may be slow at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    Reads,
    JournalWrites,
    VolumeWrites,
}

impl Doing {
    const ALL: [Doing; 3] = [Doing::Reads, Doing::JournalWrites, Doing::VolumeWrites];

    fn pulse(self, drive: &Drive) -> &Pulse {
        match self {
            Doing::Reads => drive.pulse(),
            Doing::JournalWrites => drive.journal_lane().pulse(),
            Doing::VolumeWrites => drive.volume_lane().pulse(),
        }
    }
}

/// How long a window is that drives are judged by. A drive counts as slow after three of them, and small writes wait
/// for it until then.
pub const SLOWNESS_WINDOW: Duration = Duration::from_secs(5);

/// Judges the drives of a tier beside each other by what they did since the last time; gives those whose judgement
/// changed. To be called every [`SLOWNESS_WINDOW`].
pub fn judge(drives: &[Arc<Drive>]) -> Vec<(Arc<Drive>, Doing)> {
    let judged = Doing::ALL.into_iter().flat_map(|doing| {
        let pulses: Vec<(Domain, &Pulse)> =
            drives.iter().map(|drive| (drive.domain(), doing.pulse(drive))).collect();
        let changed = Pulse::judge(&pulses).into_iter().filter_map(|place| drives.get(place));
        changed.map(move |drive| (drive.clone(), doing)).collect::<Vec<_>>()
    });
    judged.collect()
}
