//! A scrub that was asked for: everything on the drives is read, what is damaged is repaired, and after that as many
//! drives may be lost as if nothing had ever happened.

use crate::life::Life;
use crate::mending::{Lack, lacking};
use crate::remote;
use crate::run::Run;
use std::time::Duration;
use stratum_storage::blob::Tier;
use stratum_storage::journal::History;

/// How many times it is checked whether the pass has ended and everything is sound, five seconds apart.
const WAIT: usize = 60;

pub async fn scrub(life: &mut Life<'_>) -> String {
    if life.dice.percent(60) {
        life.hardware.calm();
    }
    let run = life.run;
    if life.dice.percent(10) {
        return format!("paused: {}", run.scrubber.pause());
    }
    run.pace().hurry(life.dice.percent(50));
    let before = run.scrubber.status().cursor.passes;
    let (misled, lost, gone) = (life.misled(), remote::lost_volumes(life), remote::gone_volumes(life));
    run.scrubber.start();
    look_at_copies(run);
    let mut unsound = None;
    for _ in 0..WAIT {
        tokio::time::sleep(Duration::from_secs(5)).await;
        if life.is_down() {
            return "then the store went down".into();
        }
        if run.scrubber.status().cursor.passes == before {
            continue;
        }
        let found = run.scrubber.status().cursor.found;
        let is_remotes = !lost.is_empty() || life.misled() != misled;
        let is_right = found.unreadable == 0 || is_remotes;
        assert!(is_right && found.ambiguous == 0, "a scrub finds losses: {found:?}");
        let is_told = found.remote_lost > 0 || found.remote_unseen > 0 || life.misled() != misled;
        assert!(gone.is_empty() || is_told || remote::gone_volumes(life) != gone, "nobody tells of {gone:?}");
        unsound = unsound_part(life).await;
        if unsound.is_none() {
            life.hardware.is_sound_again();
            return format!("and all is sound: {found:?}");
        }
        // Files that were being written at the first look are checked now.
        look_at_copies(run);
    }
    let is_faulty = life.hardware.is_armed() || run.healthy() < life.hardware.count();
    match unsound {
        None => assert!(is_faulty, "a scrub doesn't end: {:?}", run.scrubber.status()),
        Some(lack) => {
            assert!(lack.is_open || is_faulty, "a scrub left something wrong: {lack}");
            return lack.to_string();
        }
    }
    "did not end".into()
}

/// Reads everything that isn't in volumes, as the server does.
fn look_at_copies(run: &Run) {
    run.set.repair();
    run.metadata.check_checkpoints();
    let mut sequence = 0;
    while let Some(checked) = run.journal.check_after(sequence) {
        sequence = checked.sequence;
    }
}

/// Something that is wrong on the drives, in any copy.
async fn unsound_part(life: &Life<'_>) -> Option<Lack> {
    if let Some(lack) = lacking(life).await {
        return Some(lack);
    }
    let drives = life.run.set.drives(Tier::Hot);
    let healthy: Vec<_> = drives.iter().filter(|drive| drive.is_healthy()).cloned().collect();
    let history = match History::read(&healthy) {
        Ok(history) => history,
        Err(error) => return Some(Lack::of(error.to_string())),
    };
    let thin = history.audit(&healthy).into_iter().next()?;
    let is_open = thin.last == life.run.journal.last().0;
    Some(Lack { is_open, ..Lack::of(format!("{thin:?}")) })
}
