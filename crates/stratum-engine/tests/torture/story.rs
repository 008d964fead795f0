//! The whole story of a seed: lives, what ends each of them, what happens between them, and the end, when everything
//! is deleted and all space must be freed.

use crate::audit::{audit, volume_files};
use crate::colder::{self, all_lies_where_it_belongs};
use crate::copies;
use crate::dark::{self, Dark};
use crate::dice::Dice;
use crate::disaster::{back_up, back_up_now, strike};
use crate::giving_up::{self, GivenUp, Unknown};
use crate::hardware::Hardware;
use crate::identities::Identities;
use crate::leaders::take_leaders;
use crate::levels;
use crate::life::Life;
use crate::mending::recover;
use crate::model::Model;
use crate::outside::Outside;
use crate::remote;
use crate::retrying;
use crate::run::{NoStart, Run, Wrote};
use crate::trace::Trace;
use crate::versions;
use std::collections::BTreeSet;
use std::time::Duration;
use stratum_metadata::command::Refusal;
use stratum_storage::volume::VolumeState;

/// Longer than the packer pauses after a failure, and than any upload lives.
const LONG: Duration = Duration::from_secs(150);
/// In so many lives something is surely given up: the power fails in half of them.
const LIVES_TO_GIVE_UP: usize = 40;

const PUTS_AFTER_A_BACKUP: u64 = 4;

struct Story {
    dice: Dice,
    hardware: Hardware,
    model: Model,
    trace: Trace,
}

/// Plays a seed. Panics when the store breaks a promise.
pub fn play(seed: u64, verbose: bool) -> Trace {
    let dice = Dice::new(seed);
    let first_level = levels::first_of(seed);
    let hardware = Hardware::new(&dice, first_level, colder::has_tiers(seed), remote::is_there(seed));
    let trace = Trace::new(verbose);
    let model = Model::new(first_level, Identities::none(seed));
    let mut story = Story { dice, hardware, model, trace };
    let (drives, geometry) = (story.hardware.disks.len(), story.hardware.geometry);
    story.trace.note(0, || format!("{drives} drives, {geometry}, level {first_level}"));
    for number in 0..story.dice.within(2..9) {
        story.life();
        match story.dice.within(0..100) {
            0..25 => story.relapse(),
            25..40 => story.falter(),
            _ => {}
        }
        if remote::is_there(seed) && story.dice.percent(40) {
            story.fall_while_copying();
        }
        if dark::comes_to(seed) {
            story.fall_dark(&Dice::new(!seed ^ number));
        }
        story.between();
    }
    story.end();
    story.trace
}

/// Runs `work` on one thread, in virtual time, so that the same seed does the same.
fn in_virtual_time<T>(work: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(work)
}

impl Story {
    fn life(&mut self) {
        if self.dice.percent(55) {
            let n = self.dice.magnitude(1..2_500);
            self.hardware.power.fail_at(n);
            self.trace.note(self.hardware.power.steps(), || format!("the power will fail after {n} steps"));
        }
        let cold = self.dice.percent(30);
        self.hardware.all().for_each(|disk| disk.drive.set_cold_cache(cold));
        let steps = self.dice.magnitude(1..120);
        let graceful = self.dice.percent(40);
        in_virtual_time(async {
            let Some(run) = self.start().await else { return };
            self.live(&run, steps).await;
            // It often dies before the background tasks have repaired anything.
            if graceful || self.dice.percent(30) {
                self.audit(&run).await;
            }
            if self.dice.percent(8) && !self.a_life(&run).is_down() {
                let told = back_up(&mut self.a_life(&run)).await;
                self.trace.note(self.hardware.power.steps(), || format!("BackUp {told}"));
            }
            self.hardware.now = run.clock.now() + 1_000;
            match graceful && !self.hardware.power.is_off() {
                true => run.stop().await,
                false => run.abandon(),
            }
        });
        self.pass_away(graceful);
        if self.dice.percent(40) {
            self.fsck();
        }
    }

    fn pass_away(&mut self, graceful: bool) {
        let steps = self.hardware.power.steps();
        if self.hardware.power.is_off() {
            self.trace.note(steps, || "the power failed".into());
            self.hardware.power_cycle(&self.dice);
        } else {
            self.trace.note(steps, || if graceful { "stopped".into() } else { "killed".into() });
            self.hardware.kill();
            self.hardware.power.restore();
        }
    }

    /// The power fails in the middle of a group. Then the store starts and dies at once, again and again. What one
    /// start decided about the group must hold for the next, whichever drives are missing then.
    fn relapse(&mut self) {
        if !self.hardware.formed {
            return;
        }
        self.brief_life(async |life: &mut Life<'_>| {
            life.settle().await;
            life.fail_within_a_group().await;
        });
        for _ in 0..2 {
            self.hardware.all_return();
            if self.dice.percent(50) {
                let told = take_leaders(&mut self.hardware);
                told.into_iter().for_each(|told| self.trace.note(self.hardware.power.steps(), || told));
            }
            self.brief_life(async |life: &mut Life<'_>| life.settle().await);
        }
    }

    /// A drive fails while something is written, and is back at the next start: what it missed must be restored by
    /// itself.
    fn falter(&mut self) {
        self.hardware.all_return();
        if !self.hardware.formed || self.hardware.spare() < usize::from(self.hardware.geometry.m) {
            return;
        }
        self.brief_life(async |life: &mut Life<'_>| {
            life.settle().await;
            life.miss_writes().await;
        });
        self.brief_life(async |life: &mut Life<'_>| {
            recover(life).await;
            life.settle().await;
        });
    }

    /// The power fails while a copy of the state is on its way; then all that there is lies in the remote store.
    fn fall_while_copying(&mut self) {
        self.hardware.all_return();
        if !self.must_be_whole() {
            return;
        }
        self.brief_life(async |life: &mut Life<'_>| {
            life.settle().await;
            let told = copies::fail_within(life).await;
            life.trace.note(life.hardware.power.steps(), || told);
        });
        self.rescue_from_afar();
    }

    fn rescue_from_afar(&mut self) {
        let Some(remote) = &self.hardware.remote else { return };
        remote.well();
        let told = in_virtual_time(copies::rescue(remote));
        self.trace.note(self.hardware.power.steps(), || format!("without any drive: {told}"));
    }

    /// A block of the index is damaged on every drive, for a life or two, and then readable again.
    fn fall_dark(&mut self, dice: &Dice) {
        self.hardware.all_return();
        if !self.must_be_whole() || self.hardware.is_lacking() || self.hardware.is_changing() {
            return;
        }
        let mut backup = None;
        self.brief_life(async |life: &mut Life<'_>| {
            life.settle().await;
            if dice.percent(60) {
                life.fill().await;
            }
            dark::take_checkpoint(life.run);
            backup = back_up_now(life.run);
            // What changes then is in the block and not in the backup, or isn't in the block.
            for _ in 0..dice.within(0..2) * PUTS_AFTER_A_BACKUP {
                life.put().await;
            }
            dark::take_checkpoint(life.run);
        });
        let Some(dark) = Dark::fall(&self.hardware, dice) else { return };
        self.trace.note(self.hardware.power.steps(), || dark.told());
        for _ in 0..dice.within(1..3) {
            let told = in_virtual_time(async {
                // The lost block may hold what every request needs.
                let run = match Run::start(&self.hardware).await {
                    Ok(run) => run,
                    Err(error) => return format!("no start: {error}"),
                };
                let told = dark::live(&mut self.a_life(&run)).await;
                self.hardware.now = run.clock.now() + 1_000;
                run.abandon();
                told
            });
            self.trace.note(self.hardware.power.steps(), || told);
            self.pass_away(false);
        }
        match (dice.within(0..10), backup) {
            (0..3, Some(backup)) => {
                let told = dark::put_back(&self.hardware, &backup);
                self.hardware.kill();
                let told = told.expect("what is lost can be looked for");
                self.trace.note(self.hardware.power.steps(), || format!("from a backup: {told:?}"));
            }
            (3..8, _) => self.give_up(dice),
            _ => {}
        }
        let lifted = dark.lift(&self.hardware);
        self.trace.note(self.hardware.power.steps(), || format!("{lifted} copies are as they were"));
        self.brief_life(async |life: &mut Life<'_>| life.settle().await);
    }

    /// What is in the lost block is given up, in as many lives as it takes.
    fn give_up(&mut self, dice: &Dice) {
        let mut unknown = None;
        for _ in 0..LIVES_TO_GIVE_UP {
            let fails = dice.percent(50).then(|| dice.magnitude(1..200));
            let outcome = in_virtual_time(async {
                let run = match Run::start(&self.hardware).await {
                    Ok(run) => run,
                    Err(error) => return GivenUp::Refused(format!("no start: {error}")),
                };
                let mut life = self.a_life(&run);
                let unknown = unknown.get_or_insert_with(|| Unknown::of(&life));
                if let Some(n) = fails {
                    life.hardware.power.fail_at(n);
                }
                let outcome = giving_up::give_up(&mut life, unknown).await;
                if matches!(outcome, GivenUp::Done(_)) && !self.hardware.power.is_off() {
                    self.audit(&run).await;
                }
                self.hardware.now = run.clock.now() + 1_000;
                run.abandon();
                outcome
            });
            self.pass_away(false);
            let steps = self.hardware.power.steps();
            match outcome {
                GivenUp::Interrupted => {}
                GivenUp::Refused(why) => {
                    return self.trace.note(steps, || format!("it isn't given up: {why}"));
                }
                GivenUp::Done(what) => {
                    self.trace.note(steps, || format!("it is given up: {what}"));
                    return self.fsck();
                }
            }
        }
        panic!("in {LIVES_TO_GIVE_UP} lives nothing was given up");
    }

    /// A life in which only this is done, and nothing is repaired.
    fn brief_life(&mut self, act: impl AsyncFnOnce(&mut Life<'_>)) {
        in_virtual_time(async {
            let Some(run) = self.start().await else { return };
            act(&mut self.a_life(&run)).await;
            self.hardware.now = run.clock.now() + 1_000;
            run.abandon();
        });
        self.pass_away(false);
    }

    /// Checks that what a start would find is consistent.
    fn fsck(&mut self) {
        if !self.must_be_whole() {
            return;
        }
        let outcome = in_virtual_time(async { Outside::look(&self.hardware, None)?.check().await });
        self.hardware.kill();
        let told = outcome.expect("the store adds up");
        self.trace.note(self.hardware.power.steps(), || told);
    }

    /// Whether there are enough drives to say what the store holds, and none of that is known to be lost.
    fn must_be_whole(&self) -> bool {
        let is_excused = self.hardware.is_small() && self.hardware.is_lacking();
        self.hardware.formed && !is_excused && self.model.restored.is_none()
    }

    /// Loses all but the volumes, and restores a backup.
    fn strike(&mut self) {
        let Some(backup) =
            self.hardware.backup.take().filter(|_| self.must_be_whole() && !self.hardware.is_changing())
        else {
            return;
        };
        let Story { dice, hardware, model, .. } = self;
        *model = in_virtual_time(strike(hardware, dice, model, &backup));
        let lost = model.restored.as_ref().map_or(0, BTreeSet::len);
        self.trace
            .note(self.hardware.power.steps(), || format!("a backup was restored, without {lost} objects"));
    }

    fn between(&mut self) {
        if self.hardware.backup.is_some() && self.dice.percent(25) {
            self.strike();
        }
        let now = self.hardware.now;
        if let Some(remote) = &mut self.hardware.remote {
            copies::check(remote);
            remote.check_left(now);
        }
        for told in self.hardware.mischief(&self.dice) {
            self.trace.note(self.hardware.power.steps(), || told);
        }
        if self.hardware.remote.is_some() && self.dice.percent(10) {
            self.hardware.now += remote::DAY;
            self.trace.note(self.hardware.power.steps(), || "a day passed".into());
        }
    }

    /// Starts the store, which must succeed if there are enough drives.
    async fn start(&mut self) -> Option<Run> {
        let mut outcome = Run::start(&self.hardware).await;
        if matches!(outcome, Err(NoStart::Changed(_)))
            && let Some(disk) = self.hardware.unplug()
        {
            outcome = Run::start(&self.hardware).await;
            // A drive that was away may still know the disk, until the others have decided without it.
            self.hardware.disks.extend(outcome.is_err().then_some(disk));
        }
        let error = match outcome {
            Ok(run) => {
                self.hardware.learn(&run.set);
                self.trace.note(self.hardware.power.steps(), || format!("started: {:?}", run.restored));
                return Some(run);
            }
            Err(error) => error,
        };
        self.trace.note(self.hardware.power.steps(), || format!("no start: {error}"));
        let small = self.hardware.is_small() && self.hardware.is_lacking();
        match error {
            _ if self.hardware.power.is_off() => None,
            // A failure that was still to come may take one drive too many in the middle of a start.
            _ if small => None,
            error => panic!("the store doesn't start: {error}"),
        }
    }

    async fn live(&mut self, run: &Run, steps: u64) {
        if !self.hardware.formed {
            match run.create_bucket().await {
                Wrote::Done | Wrote::Refused(Refusal::BucketExists { .. }) => self.hardware.formed = true,
                _ if self.hardware.power.is_off() => return,
                other => panic!("no bucket: {other:?}"),
            }
        }
        let recovers = self.dice.percent(40);
        let mut life = self.a_life(run);
        if recovers {
            recover(&mut life).await;
        }
        life.settle().await;
        life.check_drives();
        life.live(steps).await;
    }

    fn a_life<'a>(&'a mut self, run: &'a Run) -> Life<'a> {
        let Story { dice, hardware, model, trace } = self;
        Life { run, hardware, model, dice, trace }
    }

    /// Checks the accounts, once everything that is due has been swept.
    async fn audit(&mut self, run: &Run) {
        tokio::time::sleep(Duration::from_secs(4)).await;
        let outcome = audit(run, &self.model).await;
        if self.hardware.power.is_off() || !self.a_life(run).may_write() {
            return;
        }
        outcome.expect("the books are right");
    }

    /// The end: all drives are back and everything is there; then everything is deleted, and all space must be freed.
    fn end(&mut self) {
        self.hardware.all_well();
        self.rescue_from_afar();
        if let Some(remote) = &mut self.hardware.remote {
            remote.leave_something(&self.dice);
        }
        for last in [false, true] {
            // Objects of the remote store that no record names are kept there for a day.
            let now = self.hardware.now;
            self.hardware.remote.iter_mut().for_each(|remote| remote.check_left(now));
            self.hardware.now += if last { remote::DAY } else { 0 };
            in_virtual_time(async {
                let Some(run) = self.start().await else { return };
                match last {
                    false => self.delete_all(&run).await,
                    true => self.check_empty(&run).await,
                }
                self.hardware.now = run.clock.now() + 1_000;
                run.stop().await;
            });
            self.hardware.kill();
            self.fsck();
        }
    }

    async fn delete_all(&mut self, run: &Run) {
        if !self.hardware.formed && matches!(run.create_bucket().await, Wrote::Done) {
            self.hardware.formed = true;
        }
        let mut life = self.a_life(run);
        recover(&mut life).await;
        life.settle().await;
        if !life.hardware.colder.is_empty() {
            let told = all_lies_where_it_belongs(&mut life).await;
            life.settle().await;
            life.trace.note(life.hardware.power.steps(), || told);
        }
        // The rest is done at the newest level.
        levels::raise(&mut life).await;
        let told = retrying::play(&mut life).await;
        life.trace.note(life.hardware.power.steps(), || told);
        let was_named = remote::named(&life);
        for key in life.model.objects.keys().cloned().collect::<Vec<_>>() {
            life.delete_key(&key).await;
        }
        versions::delete_all(&mut life).await;
        for (id, upload) in life.model.uploads.clone() {
            life.abort_upload(id, &upload).await;
        }
        tokio::time::sleep(LONG).await;
        remote::until_let_go(&life).await;
        remote::check_let_go(&life, &was_named);
        self.a_life(run).check_drives();
        self.audit(run).await;
    }

    async fn check_empty(&mut self, run: &Run) {
        self.a_life(run).settle().await;
        tokio::time::sleep(LONG).await;
        remote::until_let_go(&self.a_life(run)).await;
        let volumes = run.metadata.local().volumes().expect("the index answers");
        let all_there = run.healthy() == self.hardware.count();
        for volume in volumes {
            let gone = volume.live == 0 && volume.state == VolumeState::Dropped;
            assert!(gone && !all_there, "{} is still there: {volume:?}", volume.id);
        }
        // Files that a crash left and no record knows are quarantined at the second look.
        for _ in 0..2 {
            run.volumes.strays.quarantine_unknown(run.clock.now());
        }
        for drive in run.set.all_drives() {
            let disk = self.hardware.disk(&drive);
            let left = volume_files(disk);
            let excused = disk.is_hurt() || !drive.is_healthy();
            assert!(left.is_empty() || excused, "{} still holds {left:?}", drive.label());
        }
        remote::check_empty(&self.a_life(run));
    }
}
