//! The small files that every drive of the set holds, looked at and made whole from one another: identities and
//! replicated files. Volumes, the journal and checkpoints are looked at by those who write them.

use super::identity;
use super::replicated::Copies;
use super::{Set, SetError};
use crate::blob::Tier;
use crate::drive::Drive;
use serde::Serialize;
use std::collections::BTreeSet;

/// Something on a drive that was not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The drive's label, `hot/0`.
    pub drive: String,
    /// Its path in the drive.
    pub file: String,
    pub problem: String,
    /// Whether it is as it should be now.
    pub repaired: bool,
}

impl Set {
    /// Looks at the identity and the replicated files of every healthy drive, and writes anew what is damaged, old or
    /// not there. Blocks; a few small reads a drive.
    pub fn repair(&self) -> Vec<Finding> {
        // A change of the roll writes the same files.
        let _changing = self.next_revision.lock();
        let mut findings = Vec::new();
        for drive in self.all_drives().iter().filter(|drive| drive.is_healthy()) {
            findings.extend(self.repair_identity(drive));
        }
        for name in self.replicated_names() {
            match self.repair_replicated(&name) {
                Ok(repaired) => findings.extend(repaired),
                Err(error) => tracing::error!(%error, "a replicated file can't be made whole"),
            }
        }
        for Finding { drive, file, problem, repaired } in &findings {
            tracing::warn!(drive, file, problem, repaired, "a file was not as it should be");
        }
        findings
    }

    fn repair_identity(&self, drive: &Drive) -> Vec<Finding> {
        let wanted = self.identity_of(drive, self.roll.lock().clone());
        let io = drive.io().as_ref();
        let found = wanted.lacking(io).into_iter().map(|(file, problem)| Finding {
            drive: drive.label(),
            file: file.to_owned(),
            problem,
            repaired: wanted.write_file(io, file).is_ok(),
        });
        found.collect()
    }

    /// The names of files that any hot drive holds as a replicated one.
    fn replicated_names(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for drive in self.drives(Tier::JOURNAL).iter().filter(|drive| drive.is_healthy()) {
            let entries = drive.io().list("").unwrap_or_default().into_iter();
            let files =
                entries.filter(|entry| !entry.is_dir && !identity::FILES.contains(&entry.name.as_str()));
            let wanted = files.filter(|entry| !entry.name.ends_with(".new") && !names.contains(&entry.name));
            let found: Vec<String> = wanted.map(|entry| entry.name).collect();
            names.extend(found.into_iter().filter(|name| Copies::is_one(drive, name)));
        }
        names
    }

    /// Writes the newest content to the hot drives that don't hold it.
    fn repair_replicated(&self, name: &str) -> Result<Vec<Finding>, SetError> {
        let drives = self.drives(Tier::JOURNAL);
        let copies = Copies::read(&drives, name)?;
        let lacking = copies.lacking(&drives);
        let found = lacking.into_iter().map(|(drive, problem)| Finding {
            drive: drive.label(),
            file: name.to_owned(),
            problem,
            repaired: copies.write_to(drive, name).is_ok(),
        });
        Ok(found.collect())
    }
}
