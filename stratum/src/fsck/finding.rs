//! Everything that a check of a store can find. Each text says what the finding means and what to do about it.

use std::collections::HashSet;
use std::sync::Arc;
use stratum_metadata::check::{self, Severity};
use stratum_metadata::salvage::Doubt;
use stratum_storage::blob::{Index, VolumeId};
use stratum_storage::drive::Drive;
use stratum_storage::inspect::{FileFlaw, StripeFinding, Verified};
use stratum_storage::journal::Thin;
use stratum_storage::readpath::Parity;
use stratum_storage::set::{self, Remark};
use stratum_storage::volume::{Stray, StrayKind};

/// How much of an object is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// Some bytes of the object can't be read.
    Damaged,
    /// Nothing of the object can be read.
    Lost,
}

/// Something that isn't as it should be.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Finding {
    #[error(transparent)]
    State(#[from] check::Finding),
    #[error(transparent)]
    Drives(#[from] Remark),
    #[error("{0}; `stratum rescue` copies out what can be read")]
    History(#[from] Doubt),
    #[error(
        "entries {} to {} of the journal are whole on {} drives and should be on {}{}: a start heals that",
        .0.first, .0.last, .0.sound, .0.wanted, damaged_on(&.0.damaged)
    )]
    Journal(Thin),
    #[error(
        "the checkpoint at entry {index} on {drive} is bad ({problem}): a running server or `--repair` writes it anew, or takes another in its place"
    )]
    Checkpoint { index: Index, drive: String, problem: String },
    #[error("the checkpoint at entry {index} is whole on {sound} drives and should be on {wanted}{}", made_whole(*.sound))]
    Checkpoints { index: Index, sound: usize, wanted: usize },
    #[error(
        "the server's index can't be used ({problem}): `--repair` removes it, and the next start builds it anew"
    )]
    Index { problem: String },
    #[error("{file} on {drive} is {problem}: `--repair` writes it again from another drive")]
    Replicated { file: String, drive: String, problem: &'static str },
    #[error("{file} is damaged on every hot drive that has it: bring back a drive with a sound copy")]
    ReplicatedLost { file: String },
    #[error("shard {shard} of {volume} {}: heal or `--repair` writes it anew", shard_flaw(.flaw))]
    Shard { volume: VolumeId, shard: u8, flaw: FileFlaw },
    #[error("{}", stripe_flaw(.volume, .found))]
    Stripe { volume: VolumeId, found: StripeFinding },
    #[error("{volume} could not be looked at: {problem}")]
    Volume { volume: VolumeId, problem: String },
    #[error("bytes of {owner} can't be read: bring back what is missing, or upload it again")]
    Lost { owner: String },
    #[error("{path} on {drive} belongs to no record: its space stays taken until the server removes it")]
    UnknownFile { drive: String, path: String },
    #[error(
        "{path} on {drive} is a shard as it was before it was written anew: the server puts it aside, and removes it after \
         a day"
    )]
    SupersededFile { drive: String, path: String },
    #[error(
        "{path} on {drive} is what an interrupted rebuild or move had written so far, and counts for nothing: `--repair` \
         or the next start removes it"
    )]
    UnfinishedFile { drive: String, path: String },
    #[error("{path} on {drive} belongs to no record, and stays until the restored state is accepted")]
    KeptFile { drive: String, path: String },
    #[error("the drive {place} is {state}: {reason}")]
    Drive { place: String, state: String, reason: String },
    #[error("{} on {}: {}; {}", .0.file, .0.drive, .0.problem, written_anew(.0.repaired))]
    Copy(set::Finding),
}

impl Finding {
    /// The findings of one volume. A shard whose file is missing or bad makes one finding, and none for each of the
    /// stripes that lack only its fragment.
    pub fn of_volume(volume: VolumeId, verified: Verified) -> Vec<Finding> {
        let away: HashSet<u8> = verified.files.iter().map(|(shard, _)| *shard).collect();
        let shards = verified.files.into_iter().map(|(shard, flaw)| Finding::Shard { volume, shard, flaw });
        let is_told = |found: &StripeFinding| {
            found.is_readable()
                && !found.flaws.is_empty()
                && found.flaws.iter().all(|(shard, _)| away.contains(shard))
        };
        let stripes = verified.stripes_found.into_iter().filter(|found| !is_told(found));
        let unseen = verified.unseen.map(|problem| Finding::Volume { volume, problem });
        unseen
            .into_iter()
            .chain(shards)
            .chain(stripes.map(|found| Finding::Stripe { volume, found }))
            .collect()
    }

    /// The finding of a file that no record names.
    pub fn of_stray(stray: Stray, drives: &[Arc<Drive>], is_provisional: bool) -> Finding {
        let Stray { drive: id, path, kind } = stray;
        let drive = drives.iter().find(|drive| drive.id() == id);
        let drive = drive.map_or_else(|| id.to_string(), |drive| drive.label());
        match kind {
            _ if is_provisional => Finding::KeptFile { drive, path },
            StrayKind::Superseded => Finding::SupersededFile { drive, path },
            StrayKind::Unfinished => Finding::UnfinishedFile { drive, path },
            StrayKind::Unknown => Finding::UnknownFile { drive, path },
        }
    }

    /// How much of an object is gone, if the finding is about an object's bytes.
    pub fn harm(&self) -> Option<Harm> {
        match self {
            Finding::Lost { .. } => Some(Harm::Damaged),
            Finding::State(check::Finding::BodyLost { .. } | check::Finding::NoVolume { .. }) => {
                Some(Harm::Lost)
            }
            _ => None,
        }
    }

    /// Whether a repair removes the file that was found, although it is nothing wrong.
    pub fn is_leftover(&self) -> bool {
        matches!(self, Finding::UnfinishedFile { .. })
    }

    pub fn severity(&self) -> Severity {
        match self {
            Finding::State(finding) => finding.severity(),
            Finding::Drives(Remark::Blank { .. } | Remark::Unusable { .. } | Remark::Foreign { .. }) => {
                Severity::Note
            }
            Finding::KeptFile { .. } | Finding::SupersededFile { .. } | Finding::UnfinishedFile { .. } => {
                Severity::Note
            }
            Finding::Drives(_) => Severity::Weak,
            Finding::History(_) | Finding::Lost { .. } | Finding::ReplicatedLost { .. } => Severity::Loss,
            Finding::Stripe { found, .. } if !found.is_readable() => Severity::Loss,
            Finding::Stripe { found, .. } if found.parity == Parity::Ambiguous => Severity::Wrong,
            Finding::Journal(thin) if thin.sound == 0 => Severity::Wrong,
            Finding::Journal(_)
            | Finding::Checkpoint { .. }
            | Finding::Checkpoints { .. }
            | Finding::Index { .. }
            | Finding::Replicated { .. }
            | Finding::Shard { .. }
            | Finding::Stripe { .. }
            | Finding::Volume { .. }
            | Finding::Drive { .. }
            | Finding::Copy(_) => Severity::Weak,
            Finding::UnknownFile { .. } => Severity::Wrong,
        }
    }
}

fn damaged_on(drives: &[String]) -> String {
    match drives {
        [] => String::new(),
        drives => format!(" (damaged on {})", drives.join(", ")),
    }
}

fn made_whole(sound: usize) -> &'static str {
    match sound {
        0 => "; the next one takes its place",
        _ => ": a start heals that",
    }
}

fn written_anew(repaired: bool) -> &'static str {
    if repaired { "it was written anew" } else { "it could not be written anew" }
}

fn shard_flaw(flaw: &FileFlaw) -> String {
    match flaw {
        FileFlaw::Lost => "is recorded in the state as lost".into(),
        FileFlaw::Away => "is on a drive that isn't there".into(),
        FileFlaw::NoFile => "has no file".into(),
        FileFlaw::Short { length } => format!("is cut off at {length} bytes"),
        FileFlaw::Header => "has a damaged header, or another file's".into(),
        FileFlaw::Unreadable(error) => format!("can't be read ({error})"),
    }
}

fn stripe_flaw(volume: &VolumeId, found: &StripeFinding) -> String {
    let StripeFinding { offset, present, needed, flaws, parity, .. } = found;
    let shards: Vec<String> = flaws.iter().map(|(shard, _)| shard.to_string()).collect();
    let at = format!("the stripe at {offset} of {volume}");
    match parity {
        // Of a volume in the remote store no fragment is looked at.
        _ if !found.is_readable() && flaws.is_empty() => {
            format!(
                "{at} is gone with the volume's object in the remote store: bring `volumes/{volume}...` back there"
            )
        }
        _ if !found.is_readable() => {
            format!("{at} has only {present} of the {needed} fragments that it takes: bring drives back")
        }
        Parity::Disagrees { shard } => {
            format!(
                "{at} has a wrong fragment on shard {shard} by its parity: heal or `--repair` writes it anew"
            )
        }
        Parity::Ambiguous => format!("{at} disagrees with its parity, and no single fragment explains it"),
        Parity::Agrees | Parity::Unknown => {
            let shards = shards.join(", ");
            format!("{at} lacks its fragments on shards {shards}: heal or `--repair` writes them anew")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_storage::drive::DriveId;

    #[test]
    fn a_lost_stripe_says_where_it_lay() {
        let flaws =
            vec![(0, stratum_storage::readpath::Flaw::Away), (1, stratum_storage::readpath::Flaw::Away)];
        for (flaws, told) in
            [(flaws, "bring drives back"), (Vec::new(), "bring `volumes/v0000000000000007...` back there")]
        {
            let (present, needed, parity) = (0, 2, Parity::Unknown);
            let found = StripeFinding { offset: 4096, payload: 1, flaws, parity, present, needed };
            let said = Finding::Stripe { volume: VolumeId(7), found }.to_string();
            assert!(said.ends_with(told), "{said}");
        }
    }

    #[test]
    fn a_stray_file_is_wrong_unless_its_origin_is_known() {
        let severity = |kind: StrayKind, is_provisional: bool| {
            let stray = Stray { drive: DriveId(1), path: "volumes/x".into(), kind };
            Finding::of_stray(stray, &[], is_provisional).severity()
        };
        assert_eq!(severity(StrayKind::Unknown, false), Severity::Wrong);
        assert_eq!(severity(StrayKind::Unknown, true), Severity::Note);
        for explained in [StrayKind::Superseded, StrayKind::Unfinished] {
            assert_eq!([severity(explained, false), severity(explained, true)], [Severity::Note; 2]);
        }
    }
}
