//! An operator gives up what was in a block of the index that no drive gives, and then what only that named. What wasn't in the block
//! is there as before, bit for bit; what was is gone, and nothing else shows in its place. Afterwards the accounts are right.
//!
//! The power may fail in the middle: then it was given up or wasn't, and is done again.

use crate::life::Life;
use crate::model::Open;
use crate::run::Run;
use crate::versions;
use std::collections::BTreeSet;
use std::time::Duration;
use stratum_metadata::record::{Body, ObjectRecord, UploadId, VersionId};
use stratum_metadata::salvage::audit;
use stratum_metadata::{Loss, LossError};
use stratum_storage::blob::Tier;

/// What can't be read since a block is lost.
#[derive(Debug, Default)]
pub struct Unknown {
    objects: BTreeSet<Vec<u8>>,
    parts: BTreeSet<(UploadId, u16)>,
    versions: BTreeSet<(Vec<u8>, VersionId)>,
}

/// What came of it.
pub enum GivenUp {
    /// It is done, and all that only the block named was given back.
    Done(String),
    /// It can't be done, and a sound copy is what remains.
    Refused(String),
    /// The power failed.
    Interrupted,
}

impl Unknown {
    /// Looks at everything that the model knows.
    pub fn of(life: &Life<'_>) -> Unknown {
        let mut unknown = Unknown::default();
        for key in life.model.objects.keys() {
            match life.run.record(key) {
                Ok(Some(record)) => unknown.look_at_parts(life.run, parts_of(&record)),
                Ok(None) => {}
                Err(_) => drop(unknown.objects.insert(key.clone())),
            }
        }
        for (id, upload) in &life.model.uploads {
            unknown.look_at_parts(life.run, upload.parts.keys().map(|number| (*id, *number)).collect());
        }
        unknown.versions = versions::unknown(life);
        unknown
    }

    fn look_at_parts(&mut self, run: &Run, parts: Vec<(UploadId, u16)>) {
        let is_unknown = |(id, number): &(UploadId, u16)| run.metadata.local().part(*id, *number).is_err();
        self.parts.extend(parts.into_iter().filter(is_unknown));
    }

    /// It was given up: what the store must hold from now on. Objects that lack a part are deleted.
    async fn is_gone(&self, life: &mut Life<'_>) {
        let mut damaged = Vec::new();
        for key in life.model.objects.keys().cloned().collect::<Vec<_>>() {
            let record = match life.run.record(&key) {
                Ok(record) => record,
                Err(_) if life.is_down() => return,
                Err(error) => panic!("something is still lost: {error}"),
            };
            let name = String::from_utf8_lossy(&key);
            if self.objects.contains(&key) {
                assert!(record.is_none(), "{name} was given up, and is {record:?}");
                life.model.set(&key, None);
            }
            let Some(record) = record else { continue };
            let is_missing = |(id, number): &(UploadId, u16)| {
                life.run.metadata.local().part(*id, *number).is_ok_and(|part| part.is_none())
            };
            let missing: Vec<_> = parts_of(&record).into_iter().filter(is_missing).collect();
            assert!(
                missing.iter().all(|part| self.parts.contains(part)),
                "{name} lacks {missing:?}, which were known"
            );
            damaged.extend((!missing.is_empty()).then_some(key));
        }
        for (id, upload) in &mut life.model.uploads {
            let lost = |number: &u16| self.parts.contains(&(*id, *number));
            for (_, part) in upload.parts.iter_mut().filter(|(number, _)| lost(number)) {
                *part = Open::known(None);
            }
        }
        versions::are_gone(life, &self.versions).await;
        for key in damaged {
            life.delete_key(&key).await;
        }
    }
}

fn parts_of(record: &ObjectRecord) -> Vec<(UploadId, u16)> {
    match &record.body {
        Body::Blob(_) => Vec::new(),
        Body::Parts { upload, parts } => parts.iter().map(|part| (*upload, part.number)).collect(),
    }
}

/// Gives up what is lost, if it still is, and gives back what only that named.
pub async fn give_up(life: &mut Life<'_>, unknown: &Unknown) -> GivenUp {
    let metadata = life.run.metadata.clone();
    let loss = match metadata.loss() {
        Ok(loss) => loss,
        Err(_) if life.is_down() => return GivenUp::Interrupted,
        Err(error) => return GivenUp::Refused(error.to_string()),
    };
    let Loss { blocks, at_most, token, .. } = &loss;
    if !blocks.is_empty() {
        let another = metadata.give_up("another");
        assert!(matches!(another, Err(LossError::Changed)) || life.is_down(), "another loss: {another:?}");
        match metadata.give_up(token) {
            Ok(given_up) => assert_eq!(given_up, loss),
            Err(_) if life.is_down() => return GivenUp::Interrupted,
            Err(error) => {
                assert!(!matches!(error, LossError::Nothing | LossError::Changed), "{error}");
                return GivenUp::Refused(error.to_string());
            }
        }
        assert_eq!(
            metadata.loss().map(|loss| loss.blocks).ok().unwrap_or_default(),
            [],
            "something is still lost"
        );
        // Whoever checks the drives now finds nothing of it.
        let bad = audit(&life.run.set.drives(Tier::Hot)).into_iter().find(|copy| copy.problem.is_some());
        assert!(bad.is_none() || life.is_down(), "after it was given up: {bad:?}");
    }
    unknown.is_gone(life).await;
    life.settle().await;
    // What was dropped is swept.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let reclaimed = match metadata.reclaim() {
        Ok(reclaimed) => reclaimed,
        Err(_) if life.is_down() => return GivenUp::Interrupted,
        Err(error) => panic!("nothing is given back: {error}"),
    };
    match life.is_down() {
        true => GivenUp::Interrupted,
        false => GivenUp::Done(format!("{at_most} records at most; {reclaimed:?}")),
    }
}
