//! Some stores begin at the level before the newest, as a server of before the upgrade left them, and are raised in the
//! middle of a life. What was written before is read, moved, overwritten and deleted beside what came after, and the level
//! never falls, but for a backup that is older than the raise.

use crate::life::{Ended, Life};
use crate::run::Run;
use stratum_metadata::record::Level;

/// A step of a life raises the store that often of a hundred times.
const RAISED_OF_100_STEPS: u64 = 2;

/// Where the store of that seed begins: one in four before the newest. For the others nothing is rolled here.
pub fn first_of(seed: u64) -> Level {
    if seed % 4 == 3 { Level::FIRST } else { Level::NEWEST }
}

/// Sometimes raises a store that isn't yet.
pub async fn perhaps_raise(life: &mut Life<'_>) {
    if can_rise(life) && life.dice.percent(RAISED_OF_100_STEPS) {
        raise(life).await;
    }
}

/// Raises a store that isn't yet. Where nobody knows whether it is, the next start tells.
pub async fn raise(life: &mut Life<'_>) {
    if !can_rise(life) {
        return;
    }
    let ended = life.persist("raising the level", async |run: &Run| run.raise().await).await;
    let told = match ended {
        Ended::Done => {
            life.model.level.is(Level::NEWEST);
            assert_eq!(life.run.metadata.level(), Level::NEWEST, "it was raised");
            "raised"
        }
        Ended::Refused(refusal) => panic!("the raise is refused: {refusal:?}"),
        Ended::Down { maybe: true } => {
            life.model.level.or(Level::NEWEST);
            "perhaps raised"
        }
        Ended::Down { maybe: false } => "not raised",
    };
    life.trace.note(life.hardware.power.steps(), || format!("Raise {told}"));
}

/// After a start: the level is one that the store may have, and is known from now on.
pub fn check(life: &mut Life<'_>) {
    let found = life.run.metadata.level();
    let open = &life.model.level;
    assert!(open.allows(&found), "the store is of level {found}, and should be {open:?}");
    life.model.level.is(found);
}

fn can_rise(life: &Life<'_>) -> bool {
    life.model.level.allows(&Level::FIRST) && !life.is_down()
}
