//! Some stores begin at the level before the newest, as a server from before an upgrade left them, and are raised in
//! the middle of a life. What was written before the raise is read, moved, overwritten and deleted beside what came
//! after. The level never falls, except when a backup from before the raise is restored.

use crate::life::{Ended, Life};
use crate::run::Run;
use stratum_metadata::record::Level;

/// Steps of a hundred that raise the store.
const RAISED_OF_100_STEPS: u64 = 2;

/// The level at which the store of that seed begins: for one in four, the one before the newest. For the other seeds
/// nothing is rolled here.
pub fn first_of(seed: u64) -> Level {
    if seed % 4 == 3 { Level::FIRST } else { Level::NEWEST }
}

/// Sometimes raises a store that isn't raised yet.
pub async fn perhaps_raise(life: &mut Life<'_>) {
    if can_rise(life) && life.dice.percent(RAISED_OF_100_STEPS) {
        raise(life).await;
    }
}

/// Raises a store that isn't raised yet. If nobody knows whether it was raised, the next start tells.
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

/// After a start: checks that the level is one that the store may have; from now on it is known.
pub fn check(life: &mut Life<'_>) {
    let found = life.run.metadata.level();
    let open = &life.model.level;
    assert!(open.allows(&found), "the store is of level {found}, and should be {open:?}");
    life.model.level.is(found);
}

fn can_rise(life: &Life<'_>) -> bool {
    life.model.level.allows(&Level::FIRST) && !life.is_down()
}
