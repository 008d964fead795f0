//! Which drives an epoch may use: the rules on sets, as the model has them.
//!
//! At most `m` drives of the set and of the set before it may be missing, and members lie in both. Hence a set of
//! fewer than `2m+1` drives can't do without `m` of them: `m+1` must be there.
//!
//! Such a set would stand still for good when `m` of its drives are lost for good. So a drive that was put in the place
//! of a lost one may be a member though it is in the new set only, if the set's drives that may still come back are too
//! few to open an epoch of their own (ADR 33).

use crate::drive::{Domain, DriveId};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A set of drives, and the set of the epoch before, by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sets {
    pub(super) set: Vec<DriveId>,
    pub(super) previous: Vec<DriveId>,
}

impl Sets {
    /// The same set twice: settled, so that the next epoch may change it.
    pub(super) fn settled(set: Vec<DriveId>) -> Sets {
        Sets { previous: set.clone(), set }
    }

    fn may_be_member(&self, drive: &MemberCandidate) -> bool {
        drive.present && drive.usable && self.set.contains(&drive.id) && self.previous.contains(&drive.id)
    }

    pub(super) fn is_settled(&self) -> bool {
        self.set == self.previous
    }
}

/// Whether there are `m+1` members without a drive that is better avoided.
pub(super) fn can_do_without_avoided(sets: &Sets, m: usize, drives: &[MemberCandidate]) -> bool {
    drives.iter().filter(|drive| sets.may_be_member(drive) && !drive.avoided).count() > m
}

/// Too few drives to be sure of what was acknowledged, or to make anything durable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooFew {
    #[error(
        "{missing} of the {drives} drives of the journal are missing and at most {m} may be: bring drives back, \
         or copy out what can be read with `stratum rescue`"
    )]
    Missing { missing: usize, drives: usize, m: usize },
    #[error(
        "{healthy} of the {drives} drives of the journal can be written to and {needed} are needed: bring drives \
         back, or put new disks in the place of lost ones (`stratum drive replace`, or at a start `replace-stopped`)"
    )]
    Members { healthy: usize, drives: usize, needed: usize },
}

/// Where a drive is, for choosing members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MemberCandidate {
    pub(super) id: DriveId,
    pub(super) domain: Domain,
    /// Healthy: it counts as present.
    pub(super) present: bool,
    /// It could hold a segment; one without space for it can't.
    pub(super) usable: bool,
    /// On its way out, far slower than its peers, or without space a moment ago: a member only while there are too few
    /// others in the sets.
    pub(super) avoided: bool,
    /// The set of drives names it: if it isn't present it may come back. One that was replaced or removed never does.
    pub(super) named: bool,
}

/// Whether enough of both sets is there to know what was acknowledged.
pub(super) fn check_present(sets: &Sets, m: usize, drives: &[MemberCandidate]) -> Result<(), TooFew> {
    let is_present = |id: &DriveId| drives.iter().any(|drive| drive.id == *id && drive.present);
    for set in [&sets.set, &sets.previous] {
        let missing = set.iter().filter(|id| !is_present(id)).count();
        if missing > m {
            return Err(TooFew::Missing { missing, drives: set.len(), m });
        }
    }
    Ok(())
}

/// The `m+1` members of the epoch of that number: on different devices as far as there are, other ones for other
/// numbers. Places in `drives`.
pub(super) fn choose(
    sets: &Sets,
    m: usize,
    drives: &[MemberCandidate],
    number: u64,
) -> Result<Vec<usize>, TooFew> {
    check_present(sets, m, drives)?;
    let eligible = |&place: &usize| sets.may_be_member(&drives[place]);
    let mut pool: Vec<usize> = (0..drives.len()).filter(eligible).collect();
    if can_do_without_avoided(sets, m, drives) {
        pool.retain(|&place| !drives[place].avoided);
    }
    let mut chosen: Vec<usize> = Vec::with_capacity(m + 1);
    if pool.len() <= m {
        let successors = successors(sets, m, drives, &pool);
        chosen = std::mem::replace(&mut pool, successors);
    }
    let healthy = chosen.len() + pool.len();
    if healthy <= m {
        return Err(TooFew::Members { healthy, drives: sets.set.len(), needed: m + 1 });
    }
    // A shuffle that differs from number to number: a mere rotation would favour the first drive of each device.
    // Where some that are avoided must be taken, the others come first.
    let turn = |place: usize| xxh3_64_with_seed(&drives[place].id.0.to_le_bytes(), number);
    pool.sort_by_key(|&place| (drives[place].avoided, turn(place)));
    for distinct in [true, false] {
        for &place in &pool {
            let shares = chosen.iter().any(|&other| drives[other].domain == drives[place].domain);
            if chosen.len() <= m && !chosen.contains(&place) && !(distinct && shares) {
                chosen.push(place);
            }
        }
    }
    Ok(chosen)
}

/// The drives that may be members beside all those of both sets, where these are too few: those that the new set alone
/// has. None, if the drives of the set before that are no members could come back in a number that opens an epoch.
fn successors(sets: &Sets, m: usize, drives: &[MemberCandidate], members: &[usize]) -> Vec<usize> {
    let may_come_back = |id: &DriveId| drives.iter().any(|drive| drive.id == *id && drive.named);
    let is_member = |id: &DriveId| members.iter().any(|&place| drives[place].id == *id);
    let others = sets.previous.iter().filter(|id| may_come_back(id) && !is_member(id)).count();
    if others + m >= sets.previous.len() {
        return Vec::new();
    }
    let joined = |place: &usize| {
        let drive = &drives[*place];
        let is_new = sets.set.contains(&drive.id) && !sets.previous.contains(&drive.id);
        drive.present && drive.usable && is_new
    };
    (0..drives.len()).filter(joined).collect()
}
