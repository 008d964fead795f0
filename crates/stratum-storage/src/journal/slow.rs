//! Going on without a member that writes far later than its peers: every group waits for every member.
//!
//! The next epoch goes without that member, as after a failure, but no drive is lost by it. The first such move is
//! made at once. That a drive is slow is only a judgement, and on a busy machine it may be wrong: so the more moves
//! there were of late the longer the journal stays where it is, and whatever drives do, it doesn't wander. A wrong
//! move keeps it from a needed one no longer than it takes to judge a drive.

use super::NotWritten;
use super::append::JournalWriter;
use super::core::Core;
use super::quorum::can_do_without_avoided;
use std::time::Duration;

/// How long the journal stays on its members after a first move away from a slow drive, and at most after many.
const SHORTEST_STAY: Duration = Duration::from_secs(15);
const LONGEST_STAY: Duration = Duration::from_secs(300);
/// After this long without a move, the next one counts as the first again.
const MOVES_FORGOTTEN_AFTER: Duration = Duration::from_secs(1200);

/// When the journal moved off a slow member last, by the clock, and how long it stays.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moves {
    last: Option<(Duration, Duration)>,
}

impl Moves {
    fn may_move(self, now: Duration) -> bool {
        self.last.is_none_or(|(moved, stay)| now.saturating_sub(moved) >= stay)
    }

    fn moved(&mut self, now: Duration) {
        let stay = match self.last {
            Some((moved, stay)) if now.saturating_sub(moved) < MOVES_FORGOTTEN_AFTER => {
                (stay * 2).min(LONGEST_STAY)
            }
            _ => SHORTEST_STAY,
        };
        self.last = Some((now, stay));
    }
}

/// Goes on without a slow member, if there are `m+1` others and the journal has stayed where it is for long enough.
pub(super) fn leave_slow(core: &Core, writer: &mut JournalWriter) -> Result<(), NotWritten> {
    let slow = writer.active.asked.iter().find(|asked| asked.drive.writes_slowly());
    let Some(slow) = slow.map(|asked| asked.drive.label()) else { return Ok(()) };
    let now = core.clock.monotonic();
    let can_move = can_do_without_avoided(&writer.sets, core.m, &core.candidates(&[]));
    if !can_move || !writer.moves.may_move(now) || writer.check_running().is_err() {
        return Ok(());
    }
    writer.moves.moved(now);
    tracing::warn!(
        drive = slow,
        "a member of the journal writes far later than the others; it goes on without it"
    );
    writer.reopen(core, writer.sets.clone()).map_err(NotWritten::not_opened)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_it_moved_the_longer_it_stays() {
        let (mut moves, mut now) = (Moves::default(), Duration::from_secs(7));
        let mut stays = Vec::new();
        for _ in 0..7 {
            assert!(moves.may_move(now));
            moves.moved(now);
            let began = now;
            while !moves.may_move(now) {
                now += Duration::from_secs(1);
            }
            stays.push((now - began).as_secs());
        }
        assert_eq!(stays, [15, 30, 60, 120, 240, 300, 300]);
        now += MOVES_FORGOTTEN_AFTER;
        moves.moved(now);
        assert!(!moves.may_move(now) && moves.may_move(now + SHORTEST_STAY), "it has stayed for long");
    }
}
