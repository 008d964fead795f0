//! What failed against the remote store is tried again by itself: nobody asks a second time, and it comes.

use crate::colder;
use crate::copies;
use crate::life::Life;
use crate::remote::{self, cold_here};
use crate::run::Run;
use std::time::Duration;
use stratum_storage::blob::Tier;
use stratum_storage::remote::simulated::{Ailment, Fault, Request};
use stratum_storage::volume::VolumeLog;

/// Until a first try has failed, in looks that are five seconds apart.
const UNTIL_FAILED: usize = 24;
/// Longer than what failed is left alone for, in the same looks: ten minutes, and the time that it takes then.
const UNTIL_DONE: usize = 180;

/// An upload fails, and then a copy of the state.
pub async fn play(life: &mut Life<'_>) -> String {
    if life.hardware.remote.is_none() || life.is_down() || !life.run.metadata.takes_uploads() {
        return String::new();
    }
    let upload = upload(life).await;
    let copy = copy(life).await;
    format!("an upload {upload}, a copy of the state {copy}")
}

async fn upload(life: &mut Life<'_>) -> String {
    for _ in 0..2 {
        life.put().await;
    }
    colder::send_to(life, Tier::Cold).await;
    colder::all_lies_where_it_belongs(life).await;
    let (Some(remote), Ok(meant)) = (&life.hardware.remote, cold_here(life.run)) else {
        return String::new();
    };
    if meant.is_empty() {
        return "has nothing to bring".into();
    }
    let failed = |run: &Run| run.uploader.status().map_or(0, |status| status.failed);
    let before = failed(life.run);
    remote.store.fail_nth(Request::Finish, 1, Fault::Refused);
    life.run.uploader.hurry();
    if !until(life, UNTIL_FAILED, |life| failed(life.run) > before).await {
        return "doesn't fail".into();
    }
    let is_there = |life: &Life<'_>| cold_here(life.run).is_ok_and(|here| meant.is_disjoint(&here));
    let came = until(life, UNTIL_DONE, is_there).await;
    assert!(
        came || is_excused(life),
        "an upload that failed isn't tried again: {:?}",
        life.run.uploader.status()
    );
    if came { "failed and came".into() } else { "is waited for".into() }
}

async fn copy(life: &mut Life<'_>) -> String {
    let Some(remote) = &life.hardware.remote else { return String::new() };
    if life.run.uploader.status().is_none_or(|status| status.volumes == 0) {
        return "is of nothing".into();
    }
    let failed = |run: &Run| run.state_copies.status().map_or(0, |status| status.failed);
    let (before, copies) = (failed(life.run), copies::count(life));
    remote.store.ail(Ailment::Gone);
    life.run.state_copies.ask();
    let has_failed = until(life, UNTIL_FAILED, |life| failed(life.run) > before).await;
    remote.store.ail(Ailment::None);
    if !has_failed {
        return "doesn't fail".into();
    }
    let came = until(life, UNTIL_DONE, |life| copies::count(life) > copies).await;
    let status = life.run.state_copies.status();
    assert!(came || is_excused(life), "a copy of the state that failed isn't tried again: {status:?}");
    if came { "failed and came".into() } else { "is waited for".into() }
}

fn is_excused(life: &Life<'_>) -> bool {
    life.is_down() || life.run.healthy() < life.hardware.count() || !remote::lost_volumes(life).is_empty()
}

/// Waits until something is so, for so many looks; says whether it is.
async fn until(life: &Life<'_>, looks: usize, is_so: impl Fn(&Life<'_>) -> bool) -> bool {
    for _ in 0..looks {
        tokio::time::sleep(Duration::from_secs(5)).await;
        if is_so(life) {
            return true;
        }
        if life.is_down() {
            return false;
        }
    }
    false
}
