//! The copy of the state in the remote store: who has nothing but that store reads in the newest one a whole state, and every volume
//! that it names is there, but for what the store itself lost.

use crate::life::Life;
use crate::remote::RemoteStore;
use crate::run::Virtual;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use stratum_metadata::ReadManifest;
use stratum_metadata::salvage::{Doubt, Salvaged, Sources};
use stratum_storage::ambient::Clock;
use stratum_storage::blob::Tier;
use stratum_storage::drive::real::RealDrive;
use stratum_storage::drive::{Drive, DriveId, Threads};
use stratum_storage::journal::{self, History};
use stratum_storage::remote::state::StateFile;
use stratum_storage::volume::VolumeState;

/// How often it is looked whether one has come, five seconds apart.
const WAIT: usize = 24;

/// Has one made, and looks at it.
pub async fn make(life: &mut Life<'_>) -> String {
    let (before, misled) = (copies(life), life.misled());
    if life.run.uploader.status().is_none_or(|status| status.volumes == 0) {
        return "nothing lies there".into();
    }
    life.run.state_copies.ask();
    for _ in 0..WAIT {
        tokio::time::sleep(Duration::from_secs(5)).await;
        if life.is_down() {
            return "then the store went down".into();
        }
        if copies(life) > before {
            return life.hardware.remote.as_ref().map(check).unwrap_or_default();
        }
    }
    let status = life.run.state_copies.status();
    let is_hindered = life.run.uploader.is_hurried() || life.run.volumes.table.is_held_back();
    let is_excused = is_hindered || life.misled() != misled || life.is_faulty() || life.keeps_to_itself();
    assert!(is_excused || life.run.healthy() < life.hardware.count(), "no copy of the state: {status:?}");
    format!("none came: {status:?}")
}

fn copies(life: &Life<'_>) -> u64 {
    life.run.state_copies.status().map_or(0, |status| status.copies)
}

/// Looks at the newest copy, if there is one of this history of the store; says what it is.
pub fn check(remote: &RemoteStore) -> String {
    let listed = remote.store.listing();
    let files: BTreeSet<StateFile> =
        listed.iter().filter_map(|listed| StateFile::parse(&listed.name, listed.length)).collect();
    let bytes = |file: &StateFile| remote.store.bytes_of(&file.object()).unwrap_or_default();
    let read = |file: &StateFile| Some((ReadManifest::parse(file.stamp, &bytes(file))?, file.clone()));
    let is_ours =
        |file: &&StateFile| ReadManifest::is_named(&file.name) && !remote.is_of_before(&file.object());
    let newest = files.iter().filter(is_ours).filter_map(read).max_by_key(|(manifest, _)| manifest.index);
    let Some((manifest, file)) = newest else { return String::new() };
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(folder.path().join("checkpoint")).expect("a folder");
    for file in manifest.names.iter().chain([&file]) {
        assert!(files.contains(file), "the copy of the state at {} lacks {file:?}", manifest.index);
        std::fs::write(folder.path().join("checkpoint").join(&file.name), bytes(file)).expect("a file");
    }
    let clock: Arc<dyn Clock> = Arc::new(Virtual::new(0));
    let io = Arc::new(RealDrive::open(folder.path()).expect("a folder"));
    let drive = Drive::new(DriveId(1), Tier::Hot, 0, io, Threads::Caller, clock.clone());
    let drives = vec![Arc::new(drive)];
    let history = History::read(&drives).expect("no journal is no error");
    let sources = Sources { index: folder.path().join("index"), drives, former: None };
    let state = Salvaged::build(&sources, &history, clock).expect("a copy of the state can be read");
    let is_of_course = |doubt: &&Doubt| !matches!(doubt, Doubt::Journal(journal::Doubt::NoJournal));
    assert_eq!(state.doubts().iter().find(is_of_course), None, "a copy of the state isn't whole");
    assert_eq!(state.reached(), manifest.index);
    let names: BTreeSet<String> = remote.store.names().into_iter().collect();
    let mut volumes = 0;
    for record in state.volumes().expect("volumes are read") {
        let Some(object) = record.remote.filter(|_| record.state != VolumeState::Dropped && record.live > 0)
        else {
            continue;
        };
        let is_there = names.contains(&object.name(record.id)) || remote.is_harmed(record.id, object);
        assert!(
            is_there,
            "the copy of the state at {} names {}, which is gone",
            manifest.index,
            object.name(record.id)
        );
        volumes += 1;
    }
    format!("the copy at {} names {volumes} volumes", manifest.index)
}
