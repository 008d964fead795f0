//! A pass of scrub, stripe by stripe.

use super::{PASS_PERIOD_MILLIS, ScrubCursor, ScrubPhase, Scrubber};
use crate::blob::VolumeId;
use crate::format::layout::FILE_HEADER;
use crate::heal::{HealError, Mended};
use crate::inspect::{StripeFinding, live_stripes};
use crate::pace::Class;
use crate::readpath::{Flaw, Parity};
use crate::task::Next;
use crate::volume::{Claim, LiveStripe, Phase, Volume};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::futures::Notified;
use tokio::task::JoinHandle;

/// How often scrub looks whether a pass is due, or can go on.
const POLL_INTERVAL: Duration = Duration::from_secs(30);
/// How long a pass waits before it asks again whether heal, or who else has a volume, is done.
const CLAIM_POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The longest wait between two stripes of a pass that is spread.
const LONGEST_STRIPE_WAIT: Duration = Duration::from_secs(60);
/// Stripes with findings that are mended together.
const STRIPES_A_MEND: usize = 64;
/// Stripes that are read at a time when there is hurry, else one.
const STRIPES_AT_ONCE: usize = 4;
/// The least time between two saves of the cursor.
const SAVE_INTERVAL: Duration = Duration::from_secs(30);

/// A stripe that was looked at: where the next begins, what was read, and what is wrong.
type Looked = (u64, u64, Option<StripeFinding>);

impl Scrubber {
    /// Begins a pass that is due, or goes on with the one that is under way, by a volume.
    pub(super) async fn go_on(&self) -> Next {
        let cursor = self.begin_if_due();
        match cursor.phase {
            ScrubPhase::Paused => Next::WhenWoken,
            ScrubPhase::Idle => Next::After(POLL_INTERVAL),
            ScrubPhase::Spread | ScrubPhase::Asked => {
                let outcome = self.next_volume(&cursor).await;
                self.save_now_and_then();
                outcome.unwrap_or_else(|error| {
                    tracing::warn!(%error, "scrub can't go on now; trying again");
                    Next::After(POLL_INTERVAL)
                })
            }
        }
    }

    /// Begins a pass if one is due; returns how far scrub is. The cursor stays locked from the look to the beginning: an
    /// operator may start a pass at any time, and that one must not become one that is spread.
    fn begin_if_due(&self) -> ScrubCursor {
        let mut cursor = self.cursor.lock();
        if cursor.phase == ScrubPhase::Idle && self.is_due(&cursor) {
            self.begin(&mut cursor);
            cursor.phase = ScrubPhase::Spread;
        }
        cursor.clone()
    }

    fn save_now_and_then(&self) {
        let now = self.clock.monotonic();
        let mut saved = self.saved.lock();
        if now.saturating_sub(*saved) >= SAVE_INTERVAL {
            *saved = now;
            self.save();
        }
    }

    fn is_due(&self, cursor: &ScrubCursor) -> bool {
        self.clock.now() >= cursor.started_at.saturating_add(PASS_PERIOD_MILLIS) || cursor.started_at == 0
    }

    /// The next volume, or the end of the pass.
    async fn next_volume(&self, cursor: &ScrubCursor) -> Result<Next, HealError> {
        let volumes = self.table.volumes();
        let is_next = |volume: &&Arc<Volume>| {
            let is_wanted = match volume.phase() {
                Phase::Sealed { .. } => true,
                // It takes no more since the pass began, and is waited for.
                Phase::Open(filling) => filling.full,
                Phase::Dropped => false,
            };
            is_wanted && volume.id.0 >= cursor.volume
        };
        match volumes.iter().find(is_next) {
            Some(volume) if matches!(volume.phase(), Phase::Open(_)) => Ok(Next::After(CLAIM_POLL_INTERVAL)),
            Some(volume) => {
                let from = if volume.id.0 == cursor.volume { cursor.offset } else { 0 };
                self.scrub(volume, from, cursor).await.map(|()| Next::AtOnce)
            }
            None => Ok(self.settle(cursor)),
        }
    }

    /// Ends the pass when heal has done what it can now.
    fn settle(&self, cursor: &ScrubCursor) -> Next {
        if self.healer.is_at_work() {
            return Next::After(CLAIM_POLL_INTERVAL);
        }
        if !self.is_current(cursor) {
            return Next::AtOnce;
        }
        let ended = self.clock.now();
        let is_over = self.update(cursor, |cursor| {
            cursor.phase = ScrubPhase::Idle;
            cursor.finished_at = ended;
            cursor.passes += 1;
        });
        if is_over {
            tracing::info!(found = %cursor.found, "a scrub ended");
            self.save();
        }
        Next::AtOnce
    }

    async fn scrub(&self, volume: &Arc<Volume>, from: u64, pass: &ScrubCursor) -> Result<(), HealError> {
        if let Some(object) = volume.remote() {
            return self.scrub_object(volume, object, pass).await;
        }
        if from == 0 {
            self.look_at_files(volume, pass).await?;
        }
        if !self.is_current(pass) {
            return Ok(());
        }
        let live = live_stripes(&self.table, volume.id).await?;
        let todo: Vec<LiveStripe> =
            live.into_iter().filter(|live| live.offset >= from.max(FILE_HEADER)).collect();
        let mut bad = BTreeSet::new();
        for some in todo.chunks(STRIPES_A_MEND) {
            if let Some(object) = volume.remote() {
                return self.scrub_object(volume, object, pass).await;
            }
            let goes_on = self.look_at(volume, some, pass, &mut bad).await?;
            if !bad.is_empty() {
                self.mend(volume, &std::mem::take(&mut bad), pass).await?;
            }
            if !goes_on || !self.is_current(pass) {
                return Ok(());
            }
            let at = some.last().map_or(0, |live| live.range().end);
            self.update(pass, |cursor| (cursor.volume, cursor.offset) = (volume.id.0, at));
        }
        self.update(pass, |cursor| (cursor.volume, cursor.offset) = (volume.id.0.saturating_add(1), 0));
        Ok(())
    }

    /// Reads some stripes, and says whether the pass goes on.
    async fn look_at(
        &self,
        volume: &Arc<Volume>,
        stripes: &[LiveStripe],
        pass: &ScrubCursor,
        bad: &mut BTreeSet<u64>,
    ) -> Result<bool, HealError> {
        let mut under_way: VecDeque<JoinHandle<Looked>> = VecDeque::new();
        let interrupted = |error: tokio::task::JoinError| HealError::Interrupted(error.to_string());
        for live in stripes.iter().copied() {
            if !self.wait_for_its_time(&live, volume, pass).await {
                break;
            }
            let at_once = if self.pace.is_hurried() { STRIPES_AT_ONCE } else { 1 };
            while under_way.len() >= at_once
                && let Some(first) = under_way.pop_front()
            {
                self.note(volume, first.await.map_err(interrupted)?, pass, bad);
            }
            let bytes = live.stripe.disk() * volume.slots().len() as u64;
            let turn = self.pace.turn(Class::Scrub, bytes).await;
            let volume = volume.clone();
            under_way.push_back(crate::blocking::spawn(move || {
                let finding = StripeFinding::read(&volume, live);
                drop(turn);
                (live.offset, bytes, finding)
            }));
        }
        for looked in under_way {
            self.note(volume, looked.await.map_err(interrupted)?, pass, bad);
        }
        Ok(self.is_current(pass))
    }

    /// Waits as long as spreading the pass asks for; false when the pass is paused or another has begun.
    async fn wait_for_its_time(&self, live: &LiveStripe, volume: &Volume, pass: &ScrubCursor) -> bool {
        let changed = self.changed.notified();
        if !self.is_current(pass) {
            return false;
        }
        let cursor = self.cursor.lock().clone();
        if cursor.phase == ScrubPhase::Spread {
            let (_, left) = self.left(&cursor);
            let time = cursor.started_at.saturating_add(PASS_PERIOD_MILLIS).saturating_sub(self.clock.now());
            let bytes = live.stripe.disk() * volume.slots().len() as u64;
            let share = bytes as f64 / left.max(bytes).max(1) as f64;
            wait(Duration::from_millis((time as f64 * share) as u64).min(LONGEST_STRIPE_WAIT), changed).await;
        }
        self.is_current(pass)
    }

    fn note(
        &self,
        volume: &Volume,
        (offset, bytes, finding): Looked,
        pass: &ScrubCursor,
        bad: &mut BTreeSet<u64>,
    ) {
        let counts = |flaw: &Flaw| !matches!(flaw, Flaw::Lost | Flaw::Away);
        let rotten = finding.iter().flat_map(|finding| &finding.flaws);
        for (shard, flaw) in rotten {
            if let (Flaw::Damaged | Flaw::Short | Flaw::Unreadable(_), Some(file)) =
                (flaw, volume.shard(*shard))
                && let Some(drive) = file.drive.as_ref().filter(|drive| drive.is_healthy())
            {
                drive.found_rot();
            }
        }
        self.update(pass, |cursor| {
            cursor.found.stripes += 1;
            cursor.found.bytes += bytes;
            let Some(finding) = &finding else { return };
            let flaws = finding.flaws.iter().filter(|(_, flaw)| counts(flaw)).count();
            cursor.found.bad_fragments += flaws as u64;
            let disagrees = matches!(finding.parity, Parity::Ambiguous | Parity::Disagrees { .. });
            cursor.found.parity_disagrees += u64::from(disagrees);
            if flaws > 0 || disagrees || !finding.is_readable() {
                bad.insert(offset);
            }
        });
    }

    /// Waits until nobody else works on a volume; nothing when the pass doesn't go on.
    pub(super) async fn claim(&self, volume: VolumeId, pass: &ScrubCursor) -> Option<Claim> {
        while self.is_current(pass) {
            if let Some(claim) = self.table.try_claim(volume) {
                return Some(claim);
            }
            tokio::time::sleep(CLAIM_POLL_INTERVAL).await;
        }
        None
    }

    async fn look_at_files(&self, volume: &Arc<Volume>, pass: &ScrubCursor) -> Result<(), HealError> {
        let Some(_claim) = self.claim(volume.id, pass).await else { return Ok(()) };
        let mended = self.rebuilder.mend_files(volume).await?;
        self.tell(volume.id, &BTreeSet::new(), &mended, pass);
        self.update(pass, |cursor| cursor.found.bad_files += mended.written + mended.lost.len() as u64);
        Ok(())
    }

    async fn mend(
        &self,
        volume: &Arc<Volume>,
        offsets: &BTreeSet<u64>,
        pass: &ScrubCursor,
    ) -> Result<(), HealError> {
        let Some(_claim) = self.claim(volume.id, pass).await else { return Ok(()) };
        let mended = self.rebuilder.mend(volume, offsets, &self.pace, Class::Heal).await?;
        self.tell(volume.id, offsets, &mended, pass);
        Ok(())
    }

    pub(super) fn tell(
        &self,
        volume: VolumeId,
        looked_at: &BTreeSet<u64>,
        mended: &Mended,
        pass: &ScrubCursor,
    ) {
        self.healer.note(volume, looked_at, mended);
        for offset in &mended.ambiguous {
            tracing::error!(%volume, offset, "parity disagrees, and no single shard explains it: nothing is changed");
        }
        self.update(pass, |cursor| {
            cursor.found.mended += mended.written;
            cursor.found.unreadable += mended.unreadable.len() as u64;
            cursor.found.ambiguous += mended.ambiguous.len() as u64;
            cursor.found.shards_lost += mended.lost.len() as u64;
        });
    }

    /// Changes the cursor, unless another pass has begun meanwhile; says whether it did.
    pub(super) fn update(&self, pass: &ScrubCursor, change: impl FnOnce(&mut ScrubCursor)) -> bool {
        let mut cursor = self.cursor.lock();
        let is_same = cursor.started_at == pass.started_at;
        if is_same {
            change(&mut cursor);
        }
        is_same
    }

    fn is_current(&self, pass: &ScrubCursor) -> bool {
        let cursor = self.cursor.lock();
        cursor.started_at == pass.started_at && cursor.phase == pass.phase
    }

    /// How many volumes are left, and about what is to be read of them.
    pub(super) fn left(&self, cursor: &ScrubCursor) -> (u64, u64) {
        let volumes = self.table.read();
        let mut left = (0, 0);
        for volume in volumes.values().filter(|volume| volume.id.0 >= cursor.volume) {
            let Phase::Sealed { length } = volume.phase() else { continue };
            let done = if volume.id.0 == cursor.volume { cursor.offset } else { 0 };
            let (k, shards) = (u64::from(volume.geometry.k.max(1)), volume.slots().len() as u64);
            let rest = length.saturating_sub(done).min(volume.usage().0 / k + FILE_HEADER);
            left = (left.0 + 1, left.1 + rest * shards);
        }
        left
    }
}

/// Waits that long, or until somebody starts or pauses a pass.
async fn wait(time: Duration, changed: Notified<'_>) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = changed => {}
    }
}
