//! Changes of the set while it serves: a drive replaced, added, drained, removed.
//!
//! A change is a new revision of the roll, written to every healthy drive; it counts when it is durable on so many hot
//! ones that every start that may serve finds it. Those are `m+1`, or, where fewer are healthy, all but `m`: the others
//! can't start by themselves, for a start takes `m+1` ([`Set::needed_holders`], ADR 33).
//!
//! A drive that joins gets its identity first, *forming*: nobody believes a forming drive. Whatever else lay on it is
//! deleted then. Then the roll that names it goes to the others, and only then is it *formed*. So a crash leaves either
//! a forming drive that no roll names, which is as good as blank, or a roll that is written to all at the next start,
//! which also finishes the drive. Commands are given again after either, and find what is left to do.

use super::files::probe;
use super::formation::{CLOSING, known_drive};
use super::identity::{Formation, Identity, fits};
use super::look::{PlaceContent, inspect_open, wipe};
use super::roll::{Roll, RollEntry, Shape, Standing};
use super::{Root, Set, SetError, SetId, TierRoster};
use crate::ambient::Entropy;
use crate::blob::Tier;
use crate::drive::lane::Work;
use crate::drive::real::RealDrive;
use crate::drive::{Drive, DriveId, DriveIo, questions};
use crossbeam_channel::{after, bounded, select};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;
use tracing_mutex::parkinglot::MutexGuard;

/// How long a change waits for what may hang.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For another change to end.
    pub(super) turn: Duration,
    /// For the drives to write their identities, before it goes on without those that have not.
    pub(super) answer: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { turn: Duration::from_secs(60), answer: Duration::from_secs(15) }
    }
}

/// What a change came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is done: from now on the drive is filled, or emptied.
    Done,
    /// There was nothing left to do.
    Already,
    /// The drive that had failed or was missing is used again, with what it holds.
    Revived,
}

/// Why a change was refused, or not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error("{place} is no folder of a drive of this store")]
    Unknown { place: String },
    #[error("the drive at {place} is healthy: drain it before it is replaced")]
    Healthy { place: String },
    #[error("{place} is the place of a drive that is lost: `stratum drive replace {place}`")]
    Slot { place: String },
    #[error("{place} is not there: mount the new disk, or make the folder that is to hold it")]
    Absent { place: String },
    #[error(
        "{place} holds a drive of this store that was replaced or removed before; with --wipe all that lies on it is \
         deleted and it is taken as a new one"
    )]
    Stale { place: String },
    #[error(
        "{place} holds the very drive that is out, with its data, and it can't be used as it is ({reason}): see to its \
         disk and give the command again, or give --wipe to delete all that lies on it and take it as a new one"
    )]
    Own { place: String, reason: String },
    #[error(
        "{place} is still open: a read or a write of the drive that is out hangs in the system, and all of it is closed \
         when that returns. Give the command again then, or mount another disk there"
    )]
    StillOpen { place: String },
    #[error(
        "{place} holds the drive of another position of this store, as when two disks were exchanged: restart the \
         server, which uses each drive wherever it is, or put the disks back"
    )]
    OtherPosition { place: String },
    #[error("{place} belongs to another store, {found}: empty it, or take another disk")]
    Foreign { place: String, found: SetId },
    #[error(
        "{place} lies on the disk of {disk}, on which the set's drives are mounted, and none of them lies on it: mount \
         the disk of {place}, or give --unmounted to use the folder as it is"
    )]
    Unmounted { place: String, disk: String },
    #[error("{place} {problem}: empty it, or take another disk")]
    Occupied { place: String, problem: String },
    #[error("the drive of {place} is not drained: {problem}")]
    NotDrained { place: String, problem: String },
    #[error("{0}")]
    TooFew(String),
    #[error("a set can't have so many drives")]
    TooMany,
    #[error("the drives can't be changed before the store serves")]
    NotServing,
    #[error(
        "another change of the drives is under way: give the command again when that has ended. One that deletes what lies on \
         a disk takes long; one that a disk holds up which hangs ends when that answers"
    )]
    Busy,
    #[error("{place}: {action} failed: {source}")]
    Io { place: String, action: &'static str, source: io::Error },
    #[error(
        "the change is on {written} of the set's hot drives and must be on {needed}: {problem}. Bring drives back, and \
         give the command again"
    )]
    NotDurable { written: usize, needed: usize, problem: String },
    #[error(transparent)]
    Set(#[from] SetError),
}

/// A position that a drive stands at or is to stand at.
#[derive(Clone, Copy)]
struct Post {
    tier: Tier,
    position: usize,
}

/// The right to change the set: one has it at a time. What is looked at while it is held, to see whether a change may
/// be made, is as it was when the change is made.
pub struct Turn<'a> {
    set: &'a Set,
    /// The last revision that was given out.
    next: MutexGuard<'a, u64>,
}

impl Set {
    /// The journal has opened an epoch of that number: from now on the set may be changed, and its drives say that it
    /// has begun. When drives are missing, the roll is written anew to the others, with a higher revision, so that it
    /// beats what an unfinished change left on the missing ones.
    pub fn serve(&self, epoch: u64) -> Result<(), ChangeError> {
        let mut next = self.turn()?.next;
        *next = (*next).max(Roll::revision_of(epoch));
        let had_begun = self.has_begun();
        *self.formation.lock() = Formation::Begun;
        let roll = self.roll.lock().clone();
        match self.all_drives().iter().all(|drive| drive.is_healthy()) {
            true if had_begun => Ok(()),
            true => self.write(&roll),
            false => self.commit(&mut next, roll),
        }
    }

    /// Allows changes of the set of a stopped server. `epoch` is the last of the journal that its drives know; the caller
    /// has seen to it that enough of the journal's drives are there to know what was acknowledged.
    pub fn allow_changes(&self, epoch: u64) -> Result<(), ChangeError> {
        let mut next = self.turn()?.next;
        *next = (*next).max(Roll::revision_of(epoch.saturating_add(1)));
        Ok(())
    }

    /// Waits for the [`Turn`], but not for ever: a disk that is taken in may hang, and operators are to be told that
    /// rather than to wait with it.
    pub fn turn(&self) -> Result<Turn<'_>, ChangeError> {
        let next = self.next_revision.try_lock_for(self.patience.turn).ok_or(ChangeError::Busy)?;
        Ok(Turn { set: self, next })
    }

    /// [`Turn::replace`], without anything to be looked at before.
    pub fn replace(
        &self,
        tier: Tier,
        slot: usize,
        wipe: bool,
        entropy: &dyn Entropy,
    ) -> Result<Changed, ChangeError> {
        self.turn()?.replace(tier, slot, wipe, entropy)
    }

    /// [`Turn::add`], without anything to be looked at before.
    pub fn add(
        &self,
        tier: Tier,
        root: Root,
        wipe: bool,
        entropy: &dyn Entropy,
    ) -> Result<Changed, ChangeError> {
        self.turn()?.add(tier, root, wipe, entropy)
    }

    /// [`Turn::drain`], without anything to be looked at before.
    pub fn drain(&self, drives: &[Arc<Drive>], draining: bool) -> Result<Changed, ChangeError> {
        self.turn()?.drain(drives, draining)
    }

    /// [`Turn::remove`], without anything to be looked at before.
    pub fn remove(&self, drives: &[Arc<Drive>]) -> Result<Changed, ChangeError> {
        self.turn()?.remove(drives)
    }
}

impl Turn<'_> {
    /// Takes the blank folder of a position into the set, in the place of the drive that was there and is lost.
    /// With `wipe` a folder that holds a stale drive of the set, or the lost one itself, is emptied first.
    pub fn replace(
        &mut self,
        tier: Tier,
        slot: usize,
        wipe: bool,
        entropy: &dyn Entropy,
    ) -> Result<Changed, ChangeError> {
        let set = self.set;
        let root = set.root(tier, slot)?;
        let drives = set.drives(tier);
        if set.is_there(&root) {
            return Ok(Changed::Already);
        }
        let own = drives.iter().find(|drive| usize::from(drive.position()) == slot);
        let own = own.ok_or_else(|| ChangeError::Unknown { place: root.place() })?;
        let lost = Some(own).filter(|own| !own.is_healthy());
        let lost = lost.ok_or_else(|| ChangeError::Healthy { place: own.io().describe() })?;
        let post = Post { tier, position: lost.position().into() };
        let prepared = set.prepare(&root, Some(lost), wipe)?;
        prepared.keep_private(&root)?;
        match prepared {
            Prepared::Blank(io) => {
                set.enlist(&mut self.next, post, &root, io, entropy).map(|()| Changed::Done)
            }
            Prepared::Own(io) => set.take_back(lost, post, &root, io).map(|()| Changed::Revived),
        }
    }

    /// Takes a folder into a tier, at a new position. The configuration must name it from the next start on.
    pub fn add(
        &mut self,
        tier: Tier,
        root: Root,
        wipe: bool,
        entropy: &dyn Entropy,
    ) -> Result<Changed, ChangeError> {
        let set = self.set;
        if set.drives(tier).iter().any(|drive| drive.io().describe() == root.place()) {
            return Ok(Changed::Already);
        }
        let position = {
            let roll = set.roll.lock();
            if set.is_of_a_lost_drive(&roll, &root) {
                return Err(ChangeError::Slot { place: root.place() });
            }
            let shape = roll.tier(tier).ok_or_else(|| ChangeError::Unknown { place: root.place() })?;
            // The position of the drive that was removed from this very place, if one was.
            let roots = set.roots.lock();
            let own = roots.iter().find(|(known, _, other)| *known == tier && other.place() == root.place());
            own.map_or(shape.members.len(), |(_, position, _)| *position)
        };
        let prepared = set.prepare(&root, None, wipe)?;
        prepared.keep_private(&root)?;
        match prepared {
            Prepared::Blank(io) => {
                set.enlist(&mut self.next, Post { tier, position }, &root, io, entropy)?;
            }
            // `prepare` gives this only where a lost drive was named.
            Prepared::Own(_) => return Err(ChangeError::Slot { place: root.place() }),
        }
        let mut roots = set.roots.lock();
        roots.retain(|(known, slot, _)| (*known, *slot) != (tier, position));
        roots.push((tier, position, root));
        Ok(Changed::Done)
    }

    /// Marks drives as on their way out, or takes that back: durable when this returns. The caller has counted
    /// whether enough drives stay, in the same turn.
    pub fn drain(&mut self, drives: &[Arc<Drive>], draining: bool) -> Result<Changed, ChangeError> {
        if drives.iter().all(|drive| drive.is_draining() == draining) {
            return Ok(Changed::Already);
        }
        let standing = if draining { Standing::Draining } else { Standing::Serving };
        self.set.restand(&mut self.next, drives, standing)?;
        drives.iter().for_each(|drive| drive.set_draining(draining));
        Ok(Changed::Done)
    }

    /// Takes drives out of the set for good. The caller has seen to it that nothing is left on them, in the same turn.
    pub fn remove(&mut self, drives: &[Arc<Drive>]) -> Result<Changed, ChangeError> {
        let set = self.set;
        set.restand(&mut self.next, drives, Standing::Removed)?;
        for drive in drives {
            // Nothing new may go there even where an old list is still held.
            drive.set_draining(true);
            drive.strike();
            set.change_roster(drive.tier(), |others| others.retain(|other| other.id() != drive.id()));
            drive.leave();
        }
        Ok(Changed::Done)
    }
}

impl Set {
    /// Whether a drive of the set is at that place and well. One that hangs isn't.
    fn is_there(&self, root: &Root) -> bool {
        let drives = self.all_drives();
        let checked = questions::ask_in_place(&drives, |drive| drive.check());
        let mut known = drives.iter().zip(checked);
        known.any(|(drive, checked)| checked == Some(true) && drive.io().describe() == root.place())
    }

    fn restand(&self, next: &mut u64, drives: &[Arc<Drive>], standing: Standing) -> Result<(), ChangeError> {
        let mut roll = self.roll.lock().clone();
        for drive in drives {
            match roll.member_mut(drive.tier(), drive.position().into()) {
                Some(member) if member.drive == drive.id() => member.standing = standing,
                _ => return Err(ChangeError::Unknown { place: drive.io().describe() }),
            }
        }
        self.commit(next, roll)
    }

    /// The folder as a disk that may be written to, or as the lost drive itself.
    fn prepare(
        &self,
        root: &Root,
        lost: Option<&Arc<Drive>>,
        may_wipe: bool,
    ) -> Result<Prepared, ChangeError> {
        let place = root.place();
        let io = self.folder(root)?;
        let found = inspect_open(io.clone()).map_err(|error| match (error, lost) {
            (SetError::InUse { place }, Some(lost)) if lost.still_open() > 0 => {
                ChangeError::StillOpen { place }
            }
            (error, _) => error.into(),
        });
        let identity = match found? {
            PlaceContent::Blank(io) => return Ok(Prepared::Blank(io)),
            PlaceContent::Known(_, identity) => identity,
            PlaceContent::Absent
            | PlaceContent::HalfJoined
            | PlaceContent::Stale
            | PlaceContent::Foreign(_) => return Err(ChangeError::Absent { place }),
            PlaceContent::Unusable(problem) => return Err(ChangeError::Occupied { place, problem }),
        };
        if identity.set != self.id {
            return Err(ChangeError::Foreign { place, found: identity.set });
        }
        let is_lost = lost.is_some_and(|lost| lost.id() == identity.drive);
        if is_lost && !may_wipe {
            return Ok(Prepared::Own(io));
        }
        let is_named = self.roll.lock().names(identity.drive);
        match (is_named && !is_lost, identity.formation) {
            (true, _) => Err(ChangeError::OtherPosition { place }),
            // A change that was cut short left it: it holds nothing of worth.
            (false, Formation::Forming) => Ok(Prepared::Blank(io)),
            (false, Formation::Formed | Formation::Begun) if may_wipe => Ok(Prepared::Blank(io)),
            (false, Formation::Formed | Formation::Begun) => Err(ChangeError::Stale { place }),
        }
    }

    /// Opens the folder; makes it if only its name is missing.
    fn folder(&self, root: &Root) -> Result<Arc<dyn DriveIo>, ChangeError> {
        let place = root.place();
        match (root.open(), root) {
            (Ok(io), _) => Ok(io),
            (Err(error), Root::Path(path)) if error.kind() == ErrorKind::NotFound => {
                if !path.parent().is_some_and(|parent| parent.as_os_str().is_empty() || parent.is_dir()) {
                    return Err(ChangeError::Absent { place });
                }
                let made = RealDrive::create(path);
                let failed = |source| ChangeError::Io { place, action: "making the folder", source };
                Ok(Arc::new(made.map_err(failed)?))
            }
            (Err(source), _) => Err(ChangeError::Io { place, action: "opening the folder", source }),
        }
    }

    /// Makes a disk the drive of a position, and deletes what it holds, in the order that the module's header tells.
    fn enlist(
        &self,
        next: &mut u64,
        Post { tier, position }: Post,
        root: &Root,
        io: Arc<dyn DriveIo>,
        entropy: &dyn Entropy,
    ) -> Result<(), ChangeError> {
        // Before anything is deleted for a change that can't be made.
        self.check_holders(self.healthy_hot(), "too few hot drives are healthy")?;
        let id = DriveId(entropy.next_u128());
        let mut roll = self.roll.lock().clone();
        let shape = roll.tiers.iter_mut().find(|shape| shape.tier == tier);
        let shape = shape.ok_or_else(|| ChangeError::Unknown { place: root.place() })?;
        take_position(shape, position, id);
        if !fits(roll.tiers.len(), roll.tiers.iter().map(|shape| shape.members.len()).sum()) {
            return Err(ChangeError::TooMany);
        }
        roll.revision = self.revision(next)?;
        let forming = Identity { drive: id, set: self.id, formation: Formation::Forming, roll: roll.clone() };
        let failed = |action| move |source| ChangeError::Io { place: root.place(), action, source };
        forming.write(io.as_ref()).map_err(failed("writing the drive's identity"))?;
        wipe(io.as_ref()).map_err(failed("deleting what lies on it"))?;
        self.commit(next, roll)?;
        // From here on it is a drive of the set, whatever happens to it: its identity says so through the watch.
        let drive = self.seat(id, Post { tier, position }, io, false);
        tracing::info!(drive = drive.label(), %id, place = root.place(), "a drive joined the set");
        Ok(())
    }

    /// Uses the drive again that had failed or was missing, as it was opened anew: whatever it missed was recorded as
    /// missed.
    fn take_back(
        &self,
        lost: &Drive,
        post: Post,
        root: &Root,
        io: Arc<dyn DriveIo>,
    ) -> Result<(), ChangeError> {
        if let Err(error) = probe(io.as_ref()) {
            let reason = format!("it can't be written to: {error}");
            return Err(ChangeError::Own { place: root.place(), reason });
        }
        let drive = self.seat(lost.id(), post, io, lost.is_draining());
        tracing::info!(drive = drive.label(), place = root.place(), "the drive is back in service");
        Ok(())
    }

    /// Makes a disk the drive of a position, in the place of whichever was there; its identity says so from now on.
    fn seat(&self, id: DriveId, post: Post, io: Arc<dyn DriveIo>, draining: bool) -> Arc<Drive> {
        let number = u16::try_from(post.position).unwrap_or(u16::MAX);
        let drive = Arc::new(known_drive(id, post.tier, number, io, self.threads, self.clock.clone()));
        drive.set_draining(draining);
        let formed = self.identity_of(&drive, self.roll.lock().clone());
        if let Err(error) = formed.write(drive.io().as_ref()) {
            drive.fail(&format!("its identity can't be written: {error}"));
        }
        let mut former = Vec::new();
        self.change_roster(post.tier, |drives| {
            former.extend(drives.extract_if(.., |other| usize::from(other.position()) == post.position));
            drives.push(drive.clone());
            drives.sort_by_key(|drive| drive.position());
        });
        for former in former {
            if former.id() != id {
                former.strike();
            }
            former.leave();
        }
        drive
    }

    /// Gives a roll a revision, and makes it the set's once it is on enough drives.
    fn commit(&self, next: &mut u64, mut roll: Roll) -> Result<(), ChangeError> {
        roll.revision = self.revision(next)?;
        self.write(&roll)?;
        *self.roll.lock() = roll;
        Ok(())
    }

    /// Writes a roll to all healthy drives that it names; an error unless it is on enough of them.
    fn write(&self, roll: &Roll) -> Result<(), ChangeError> {
        let drives: Vec<Arc<Drive>> =
            self.all_drives().into_iter().filter(|drive| drive.is_healthy()).collect();
        let (sender, answers) = bounded(drives.len());
        for (place, drive) in drives.iter().enumerate() {
            let identity = self.identity_of(drive, roll.clone());
            let (io, sender) = (drive.io().clone(), sender.clone());
            drive.volume_lane().submit(Work::Run(Box::new(move || {
                // Nobody listens any more to one that took too long.
                let _ = sender.try_send((place, identity.write(io.as_ref())));
            })));
        }
        drop(sender);
        let (mut written, mut problem) = (0, String::from("too few hot drives are healthy"));
        let late = after(self.patience.answer);
        for _ in 0..drives.len() {
            let answer = select! {
                recv(answers) -> answer => answer.ok(),
                recv(late) -> _ => {
                    problem = "a drive doesn't answer".into();
                    None
                }
            };
            let Some((place, outcome)) = answer else { break };
            match (outcome, drives.get(place)) {
                (Ok(()), Some(drive)) => written += usize::from(drive.tier() == Tier::JOURNAL),
                (Err(error), Some(drive)) => problem = format!("{}: {error}", drive.label()),
                (_, None) => {}
            }
        }
        self.check_holders(written, &problem)
    }

    /// Whether a change that so many of the hot drives hold counts.
    fn check_holders(&self, written: usize, problem: &str) -> Result<(), ChangeError> {
        let needed = self.needed_holders();
        match written >= needed {
            true => Ok(()),
            false => Err(ChangeError::NotDurable { written, needed, problem: problem.to_owned() }),
        }
    }

    fn healthy_hot(&self) -> usize {
        self.drives(Tier::JOURNAL).iter().filter(|drive| drive.is_healthy()).count()
    }

    /// On how many hot drives that the set names a change must be: so many that those without it can't start by
    /// themselves. A start takes `m+1`, and in a larger set all but `m` of the journal's. Every healthy one must take it,
    /// up to `m+1`.
    fn needed_holders(&self) -> usize {
        let (hot, m) = (self.drives(Tier::JOURNAL).len(), self.journal_parity());
        self.healthy_hot().max(hot.saturating_sub(m)).min(m + 1)
    }

    /// What a drive of the set says of itself.
    pub(super) fn identity_of(&self, drive: &Drive, roll: Roll) -> Identity {
        Identity { drive: drive.id(), set: self.id, formation: *self.formation.lock(), roll }
    }

    /// A revision that was never given out.
    fn revision(&self, next: &mut u64) -> Result<u64, ChangeError> {
        if *next == 0 {
            return Err(ChangeError::NotServing);
        }
        *next = (*next).max(self.roll.lock().revision) + 1;
        Ok(*next)
    }

    fn root(&self, tier: Tier, slot: usize) -> Result<Root, ChangeError> {
        let roots = self.roots.lock();
        let found = roots.iter().find(|(known, number, _)| (*known, *number) == (tier, slot));
        let unknown = || ChangeError::Unknown { place: format!("{}/{slot}", tier.name()) };
        found.map(|(_, _, root)| root.clone()).ok_or_else(unknown)
    }

    /// Whether a folder that holds no drive of the set is nevertheless the place of one.
    fn is_of_a_lost_drive(&self, roll: &Roll, root: &Root) -> bool {
        let place = root.place();
        self.roots.lock().iter().any(|(tier, slot, known)| {
            let member = roll.tier(*tier).and_then(|shape| shape.members.get(*slot));
            known.place() == place && member.is_some_and(|member| member.standing != Standing::Removed)
        })
    }

    fn change_roster(&self, tier: Tier, change: impl FnOnce(&mut Vec<Arc<Drive>>)) {
        let Some(TierRoster { drives: roster, .. }) = self.tier(tier) else { return };
        let mut drives = roster.now().to_vec();
        change(&mut drives);
        roster.change(drives);
    }
}

enum Prepared {
    Blank(Arc<dyn DriveIo>),
    /// The lost drive itself.
    Own(Arc<dyn DriveIo>),
}

impl Prepared {
    /// Closes the folder to other users, as every drive's is.
    fn keep_private(&self, root: &Root) -> Result<(), ChangeError> {
        let (Prepared::Blank(io) | Prepared::Own(io)) = self;
        io.keep_private().map_err(|source| ChangeError::Io { place: root.place(), action: CLOSING, source })
    }
}

fn take_position(shape: &mut Shape, position: usize, id: DriveId) {
    match shape.members.get_mut(position) {
        Some(member) => *member = RollEntry::serving(id),
        None => shape.members.push(RollEntry::serving(id)),
    }
}
