//! The check of a stopped server's store: drives, journal, checkpoints, state and volumes are compared with what they
//! should agree with.

use super::finding::Finding;
use crate::credentials;
use crate::master_keys;
use crate::offline::Offline;
use std::collections::{BTreeMap, HashSet};
use stratum_engine::{given_up, provisional, remote_claims};
use stratum_metadata::check::Checked;
use stratum_metadata::salvage;
use stratum_storage::blob::{Index, Tier, VolumeId};
use stratum_storage::inspect;
use stratum_storage::set::{ReplicatedCopy, replicated_copy};
use stratum_storage::volume::VolumeState;

/// The small files that every hot drive holds a copy of.
const REPLICATED: [&str; 6] = [
    credentials::FILE,
    master_keys::FILE,
    master_keys::USED_FILE,
    provisional::FILE,
    given_up::FILE,
    remote_claims::FILE,
];

/// The result of a check.
#[derive(Debug, Default)]
pub struct Examined {
    pub findings: Vec<Finding>,
    pub checked: Checked,
    /// How many live stripes were checked; all their fragments were read.
    pub stripes: u64,
    /// How many bytes of volumes were read.
    pub bytes: u64,
}

impl Examined {
    /// How many files there are that a repair removes although they are nothing wrong.
    pub fn leftovers(&self) -> usize {
        self.findings.iter().filter(|finding| finding.is_leftover()).count()
    }
}

/// Checks everything; with `quick`, nothing is checked that takes reading all bytes of volumes, journal or checkpoints.
pub async fn examine(store: &Offline, quick: bool) -> Result<Examined, String> {
    let mut examined = Examined::default();
    let findings = &mut examined.findings;
    findings.extend(store.remains.remarks.iter().cloned().map(Finding::from));
    findings.extend(store.state.doubts().iter().cloned().map(Finding::from));
    REPLICATED.iter().for_each(|file| replicated(store, file, findings));
    if !quick {
        let hot = store.remains.drives(Tier::JOURNAL);
        findings.extend(store.history.audit(&hot).into_iter().map(Finding::Journal));
        checkpoints(store, findings);
    }
    let checked = store.state.check(&store.history, &mut |finding| findings.push(finding.into()));
    examined.checked = checked.map_err(|error| error.to_string())?;
    unknown_files(store, findings);
    volumes(store, quick, &mut examined).await?;
    Ok(examined)
}

/// Compares the copies of a small file that every hot drive holds.
fn replicated(store: &Offline, file: &str, findings: &mut Vec<Finding>) {
    let drives = store.remains.drives(Tier::JOURNAL);
    let copies: Vec<ReplicatedCopy> = drives.iter().map(|drive| replicated_copy(drive, file)).collect();
    let sequence = |copy: &ReplicatedCopy| match copy {
        ReplicatedCopy::Sound { sequence } => Some(*sequence),
        ReplicatedCopy::Absent | ReplicatedCopy::Damaged => None,
    };
    let newest = copies.iter().filter_map(sequence).max();
    if newest.is_none() && copies.contains(&ReplicatedCopy::Damaged) {
        findings.push(Finding::ReplicatedLost { file: file.to_owned() });
    }
    let Some(newest) = newest else { return };
    for (drive, copy) in drives.iter().zip(copies) {
        let problem = match copy {
            ReplicatedCopy::Sound { sequence } if sequence == newest => continue,
            ReplicatedCopy::Sound { .. } => "older than on other drives",
            ReplicatedCopy::Absent => "not there",
            ReplicatedCopy::Damaged => "damaged",
        };
        findings.push(Finding::Replicated { file: file.to_owned(), drive: drive.label(), problem });
    }
}

fn checkpoints(store: &Offline, findings: &mut Vec<Finding>) {
    let mut sound: BTreeMap<Index, usize> = BTreeMap::new();
    for copy in salvage::audit(&store.remains.drives(Tier::JOURNAL)) {
        let count = sound.entry(copy.index).or_default();
        match copy.problem {
            None => *count += 1,
            Some(problem) => {
                findings.push(Finding::Checkpoint { index: copy.index, drive: copy.drive, problem });
            }
        }
    }
    let wanted = store.hot_copies();
    let few = sound.into_iter().filter(|(_, sound)| *sound < wanted);
    findings.extend(few.map(|(index, sound)| Finding::Checkpoints { index, sound, wanted }));
}

fn unknown_files(store: &Offline, findings: &mut Vec<Finding>) {
    let (drives, is_provisional) = (store.remains.all_drives(), store.is_provisional());
    let strays = store.files.strays(&store.records).into_iter();
    findings.extend(strays.map(|stray| Finding::of_stray(stray, &drives, is_provisional)));
}

/// Checks every volume's files, and unless `quick` all fragments of its live stripes.
async fn volumes(store: &Offline, quick: bool, examined: &mut Examined) -> Result<(), String> {
    let volumes = store.volumes();
    let mut unreadable: HashSet<(VolumeId, u64)> = HashSet::new();
    let live = store.records.iter().filter(|record| record.state != VolumeState::Dropped);
    for record in live {
        let volume = record.id;
        let looked = match quick {
            true => inspect::look_at_files(&volumes.table, volume).await,
            false => inspect::verify(&volumes.table, volume).await,
        };
        let verified = match looked {
            Ok(verified) => verified,
            Err(error) => {
                examined.findings.push(Finding::Volume { volume, problem: error.to_string() });
                continue;
            }
        };
        examined.stripes += verified.stripes;
        examined.bytes += verified.bytes;
        let lost = verified.stripes_found.iter().filter(|found| !found.is_readable());
        unreadable.extend(lost.map(|found| (volume, found.offset)));
        examined.findings.extend(Finding::of_volume(volume, verified));
    }
    if !unreadable.is_empty() {
        let owners = store.state.owners_in(&unreadable).map_err(|error| error.to_string())?;
        examined.findings.extend(owners.into_iter().map(|owner| Finding::Lost { owner }));
    }
    Ok(())
}
