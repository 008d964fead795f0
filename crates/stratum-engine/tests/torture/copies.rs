//! The copy of the state in the remote store: who has nothing but that store reads in the newest one a whole state, and every volume
//! that it names is there, but for what the store itself lost.

use crate::colder;
use crate::life::Life;
use crate::outside::Outside;
use crate::remote::{self, RemoteStore};
use std::collections::BTreeSet;
use std::time::Duration;
use stratum_metadata::ReadManifest;
use stratum_metadata::salvage::Doubt;
use stratum_storage::blob::{Index, Tier};
use stratum_storage::journal;
use stratum_storage::remote::state::{STATE, StateFile};
use stratum_storage::volume::VolumeState;

/// How often it is looked whether one has come, five seconds apart.
const WAIT: usize = 24;
/// How often it is looked whether a file that is bad was sent again: that may take ten minutes.
const WAIT_TO_BE_SENT_AGAIN: usize = 160;

/// Has one made, and looks at it.
pub async fn make(life: &mut Life<'_>) -> String {
    let (before, misled) = (count(life), life.misled());
    if life.run.uploader.status().is_none_or(|status| status.volumes == 0) {
        return "nothing lies there".into();
    }
    life.run.state_copies.ask();
    for _ in 0..WAIT {
        tokio::time::sleep(Duration::from_secs(5)).await;
        if life.is_down() {
            return "then the store went down".into();
        }
        if count(life) > before {
            return life.hardware.remote.as_ref().map(check).unwrap_or_default();
        }
    }
    let status = life.run.state_copies.status();
    let is_hindered = life.run.uploader.is_hurried() || life.run.volumes.table.is_held_back();
    let is_excused = is_hindered || life.misled() != misled || life.is_faulty() || life.keeps_to_itself();
    assert!(is_excused || life.run.healthy() < life.hardware.count(), "no copy of the state: {status:?}");
    format!("none came: {status:?}")
}

/// How many were made in this run.
pub fn count(life: &Life<'_>) -> u64 {
    life.run.state_copies.status().map_or(0, |status| status.copies)
}

/// The files of the newest copy of this history of the store, and the entry of the journal that it is as of.
fn newest(remote: &RemoteStore) -> Option<(Index, Vec<StateFile>)> {
    let listed = remote.store.listing().into_iter();
    let files = listed.filter_map(|listed| StateFile::parse(&listed.name, listed.length));
    let is_ours =
        |file: &StateFile| ReadManifest::is_named(&file.name) && !remote.is_of_before(&file.object());
    let read = |file: StateFile| {
        let manifest = ReadManifest::parse(file.stamp, &remote.store.bytes_of(&file.object())?)?;
        Some((manifest.index, [manifest.names, vec![file]].concat()))
    };
    files.filter(is_ours).filter_map(read).max_by_key(|(index, _)| *index)
}

/// The newest copy, brought into a folder that reads like a drive.
fn bring(remote: &RemoteStore) -> Option<(Index, tempfile::TempDir)> {
    let (index, files) = newest(remote)?;
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(folder.path().join("checkpoint")).expect("a folder");
    for file in files {
        let found = remote.store.bytes_of(&file.object());
        let bytes = found.unwrap_or_else(|| panic!("the copy of the state at {index} lacks {file:?}"));
        std::fs::write(folder.path().join("checkpoint").join(&file.name), bytes).expect("a file");
    }
    Some((index, folder))
}

/// Looks at the newest copy, if there is one of this history of the store; says what it is.
pub fn check(remote: &RemoteStore) -> String {
    let Some((index, copy)) = bring(remote) else { return String::new() };
    told_of(remote, index, &whole(remote, index, copy))
}

/// The state of a copy, of which nothing may be in doubt.
fn whole(remote: &RemoteStore, index: Index, copy: tempfile::TempDir) -> Outside {
    let outside = Outside::afar(remote, copy).expect("a copy of the state can be read");
    let is_of_course = |doubt: &&Doubt| !matches!(doubt, Doubt::Journal(journal::Doubt::NoJournal));
    assert_eq!(outside.state.doubts().iter().find(is_of_course), None, "a copy of the state isn't whole");
    assert_eq!(outside.state.reached(), index);
    outside
}

fn told_of(remote: &RemoteStore, index: Index, outside: &Outside) -> String {
    let names: BTreeSet<String> = remote.store.names().into_iter().collect();
    let mut volumes = 0;
    for record in &outside.records {
        let Some(object) = record.remote.filter(|_| record.state != VolumeState::Dropped && record.live > 0)
        else {
            continue;
        };
        let name = object.name(record.id);
        let is_there = names.contains(&name) || remote.is_harmed(record.id, object);
        assert!(is_there, "the copy of the state at {index} names {name}, which is gone");
        volumes += 1;
    }
    format!("the copy at {index} names {volumes} volumes")
}

/// All that there was besides is gone: what lies in the remote store is read out of it, bit for bit.
pub async fn rescue(remote: &RemoteStore) -> String {
    let Some((index, copy)) = bring(remote) else { return "no copy of the state".into() };
    let outside = whole(remote, index, copy);
    let (mut read, mut elsewhere) = (0, 0);
    for (key, record) in outside.objects().expect("a copy of the state has objects") {
        let name = String::from_utf8_lossy(&key);
        let blobs =
            outside.blobs(&record).unwrap_or_else(|| panic!("{name} lacks a part in the copy of the state"));
        if !blobs.iter().all(|(blob, _)| outside.is_afar(blob)) {
            elsewhere += 1;
            continue;
        }
        let pieces = outside.pieces(&record).expect("it has all of its parts");
        let bytes = outside.bytes(&record).await;
        let bytes =
            bytes.unwrap_or_else(|| panic!("{name} doesn't come out of the remote store: {record:?}"));
        let expected: Vec<u8> = pieces.iter().flat_map(|piece| piece.bytes()).collect();
        assert!(bytes == expected, "{name} comes out of the remote store with wrong bytes");
        read += 1;
    }
    format!("{}; {read} objects come out of it, {elsewhere} lie elsewhere", told_of(remote, index, &outside))
}

/// The power fails while a copy of the state is on its way.
pub async fn fail_within(life: &mut Life<'_>) -> String {
    if let Some(remote) = &life.hardware.remote {
        remote.well();
    }
    let told = [colder::send_to(life, Tier::Cold).await, remote::bring_all(life).await];
    if life.is_down() {
        return "then the store went down".into();
    }
    // The state that goes is another than the one that is there.
    life.put().await;
    let (before, n) = (count(life), life.dice.magnitude(1..24));
    if let Some(remote) = &life.hardware.remote {
        remote.store.cut_nth(STATE, n);
    }
    life.run.state_copies.ask();
    for _ in 0..WAIT {
        tokio::time::sleep(Duration::from_secs(5)).await;
        if life.is_down() || count(life) > before {
            break;
        }
    }
    if let Some(remote) = &life.hardware.remote {
        remote.store.calm();
    }
    format!(
        "at the {n}th change of a copy of the state, {}: {}",
        told.join(", "),
        life.hardware.power.is_off()
    )
}

/// A file of the newest copy is lost or changed; that is found, and all of a copy is there again.
pub async fn mend(life: &mut Life<'_>) -> String {
    let told = make(life).await;
    let Some(remote) = life.hardware.remote.as_ref() else { return told };
    let is_made = life.run.state_copies.status().is_some_and(|status| status.copies > 0);
    let Some((index, files)) = newest(remote).filter(|_| is_made && !life.is_down()) else { return told };
    let Some(file) = life.dice.pick(&files) else { return told };
    let (store, name) = (&remote.store, file.object());
    let all: Vec<_> = files.iter().map(|file| (file.object(), store.bytes_of(&file.object()))).collect();
    let before = store.bytes_of(&name).unwrap_or_default();
    match before.is_empty() || life.dice.percent(50) {
        true => store.lose(&name),
        false => store.rot(&name, life.dice.within(0..before.len() as u64) as usize),
    }
    // Without its manifest a copy is nothing, and a newer one need not name the file.
    let is_mended = || {
        newest(remote).is_some_and(|(newest, files)| {
            newest >= index && (!files.contains(file) || store.bytes_of(&name).as_ref() == Some(&before))
        })
    };
    life.run.state_copies.ask_to_read();
    for _ in 0..WAIT_TO_BE_SENT_AGAIN {
        tokio::time::sleep(Duration::from_secs(5)).await;
        if is_mended() || life.is_down() {
            break;
        }
    }
    if is_mended() {
        return format!("{name} was bad, and was sent again; {told}");
    }
    let status = life.run.state_copies.status();
    // Where no volume lies there any more, nobody needs a copy.
    let is_wanted = status.as_ref().is_some_and(|status| status.age_seconds.is_some());
    let is_excused = !is_wanted || life.is_down() || life.is_faulty() || life.keeps_to_itself();
    assert!(is_excused, "{name} is bad, and stays so: {status:?}");
    // Of a copy without a manifest all is sent again, and what comes otherwise is taken back.
    for (name, bytes) in all {
        bytes.into_iter().for_each(|bytes| store.put(&name, bytes));
    }
    format!("{name} was bad; {told}")
}
