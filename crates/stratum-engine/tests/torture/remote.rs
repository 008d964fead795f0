//! A remote store for the cold tier, in some stores: behind the door that real ones stand behind, and as unreliable as any.
//! It is slow, or gone for a while; it answers with an error what it did, and with yes what it didn't do, or did by half
//! or with other bytes; its listings are of an hour ago; and what it has it may lose or change. What is sent to it hangs on the power
//! of the drives, so that the process ends anywhere between the first part of an upload and the last file that goes for it.
//!
//! No bytes are ever read that weren't written. While it can't be reached, what lies there can't be read, and everything
//! else can. What it lost or changed after it was verified is lost, which is an honest error, and told. All else is there in the end.

use crate::colder;
use crate::copies;
use crate::dice::Dice;
use crate::life::Life;
use crate::run::{NotRead, Run};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use stratum_metadata::record::ObjectRecord;
use stratum_storage::blob::{Place, Tier, VolumeId};
use stratum_storage::drive::simulated::Power;
use stratum_storage::remote::simulated::{Ailment, Fault, Lie, Misled, Request, SimulatedStore};
use stratum_storage::remote::{Reach, RemoteObject, VOLUMES};
use stratum_storage::volume::{VolumeLog, VolumeRecord, VolumeState};

/// Steps of a hundred that are about the remote store, where there is one.
const OF_100_STEPS: u64 = 20;
/// Where what was lost is kept, to be put back.
const ASIDE: &str = "aside";
/// How long one request may take at most until it is given up, and how long until a lost store is seen to be back, in
/// seconds.
const LONGEST_READ: u64 = 10;
const LONGEST_ABSENCE: u64 = 150;
/// How often it is looked whether all came there that was to, five seconds apart.
const WAIT: u64 = 36;
/// How many looks later an upload that failed is surely tried again, which it is after ten minutes; and how often that may
/// happen to what is brought at once, since one part, one end and one read of an upload can each be altered.
const LOOKS_UNTIL_TRIED_AGAIN: u64 = 125;
const MOST_FAILURES: u64 = 4;
/// Seconds within which is told what somebody missed.
const SECONDS_UNTIL_TOLD: u64 = 60;
const SECONDS_UNTIL_KNOWN: u64 = 10;
/// How often it is looked whether volumes are found again, ten seconds apart: what lies there is looked at once an hour.
const WAIT_TO_BE_FOUND: usize = 380;
pub const DAY: u64 = 24 * 3600 * 1000;

/// Whether the store of that seed has one: four in ten, all with three tiers.
pub fn is_there(seed: u64) -> bool {
    matches!(seed % 5, 1 | 2)
}

pub struct RemoteStore {
    pub store: SimulatedStore,
    /// Objects that were lost or changed after they had been verified.
    harmed: BTreeSet<String>,
    /// What lay there of copies of the state when another history of the store began.
    before: BTreeSet<String>,
    /// Objects that no record ever named, as an upload leaves them that was cut off, and when they came.
    left: BTreeMap<String, u64>,
}

impl RemoteStore {
    pub fn new(power: &Arc<Power>) -> RemoteStore {
        let (harmed, before, left) = Default::default();
        RemoteStore { store: SimulatedStore::on(power), harmed, before, left }
    }

    /// It can be reached, and tells the truth.
    pub fn well(&self) {
        self.store.ail(Ailment::None);
        self.store.calm();
    }

    pub fn is_harmed(&self, volume: VolumeId, object: RemoteObject) -> bool {
        self.harmed.contains(&object.name(volume))
    }

    /// Whether it doesn't have the object of a volume, or has another thing for it.
    pub fn lost(&self, record: &VolumeRecord) -> bool {
        record.remote.is_some_and(|object| self.is_harmed(record.id, object))
    }

    /// The state is one of before: what is missing now for that isn't the store's fault.
    pub fn is_of_another_time(&mut self, records: &[VolumeRecord]) {
        let names = self.store.names();
        let named = records.iter().filter_map(|record| Some(record.remote?.name(record.id)));
        self.harmed.extend(named.filter(|name| !names.contains(name)));
        self.before = names.into_iter().collect();
        // An older state may need one of these.
        self.left.clear();
    }

    /// An upload was cut off before anything was recorded: of a volume that was brought there since, or that nobody knows any more.
    pub fn leave_something(&mut self, dice: &Dice) -> Option<String> {
        let from = dice.pick(&self.objects()).cloned()?;
        let (volume, _) = RemoteObject::parse(&from)?;
        let object = RemoteObject { upload: dice.number() };
        let name =
            object.name(if dice.percent(50) { volume } else { VolumeId(u64::MAX - dice.number() % 1000) });
        self.store.copy(&from, &name);
        let came = self.store.listing().iter().find(|listed| listed.name == name)?.modified;
        self.left.insert(name.clone(), came);
        Some(format!("{name} is left there by an upload that was cut off"))
    }

    /// What nobody names stays for a day: the state that is there may be an older one.
    pub fn check_left(&mut self, now: u64) {
        let names = self.objects();
        for (name, came) in &self.left {
            let is_there = names.contains(name) || self.harmed.contains(name);
            assert!(is_there || came + DAY <= now, "{name} that nobody names is gone before a day is over");
        }
        self.left.retain(|name, _| names.contains(name));
    }

    /// Whether an object is of a history that was given up.
    pub fn is_of_before(&self, name: &str) -> bool {
        self.before.contains(name)
    }

    /// Whether nobody gets an answer from it in time.
    fn is_out_of_reach(&self) -> bool {
        match self.store.ailment() {
            Ailment::Gone => true,
            Ailment::Slow(time) => time >= Duration::from_secs(LONGEST_READ),
            Ailment::None | Ailment::Lying | Ailment::Stale => false,
        }
    }

    fn objects(&self) -> Vec<String> {
        self.store.names().into_iter().filter(|name| name.starts_with(VOLUMES)).collect()
    }

    /// Something is wrong with it for a while.
    fn fall_ill(&self, dice: &Dice) -> String {
        let ailment = match dice.within(0..8) {
            0..2 => Ailment::Gone,
            2..4 => Ailment::Slow(Duration::from_millis(dice.magnitude(1..9_000))),
            4 => Ailment::Slow(Duration::from_secs(dice.magnitude(10..4_000))),
            5..7 => Ailment::Lying,
            _ => Ailment::Stale,
        };
        self.store.ail(ailment);
        format!("{ailment:?}")
    }

    /// A request goes wrong soon.
    fn fail_soon(&self, dice: &Dice) -> String {
        use Fault::{Refused, Unheard};
        use Request::{Begin, Create, Finish, Length, List, Part, Read, Remove};
        let lie = dice.weighted(&[(1, Lie::Nothing), (1, Lie::Half), (1, Lie::Altered)]);
        let lie = Fault::Lie(lie);
        let nothing = Fault::Lie(Lie::Nothing);
        let (request, fault) = dice.weighted(&[
            (4, (Finish, lie)),
            (3, (Finish, Unheard)),
            (1, (Finish, Refused)),
            (2, (Part, lie)),
            (1, (Part, Refused)),
            (1, (Begin, Refused)),
            (3, (Read, lie)),
            (2, (Read, Refused)),
            (1, (Length, nothing)),
            (1, (Length, Refused)),
            (1, (List, nothing)),
            (1, (List, Refused)),
            (1, (Remove, nothing)),
            (2, (Remove, Unheard)),
            (1, (Create, Unheard)),
            (1, (Create, nothing)),
        ]);
        let n = dice.magnitude(1..12);
        self.store.fail_nth(request, n, fault);
        format!("its {n}th {request:?} is {fault:?}")
    }

    /// An object is lost, or changed.
    fn harm(&mut self, dice: &Dice) -> Option<String> {
        let name = dice.pick(&self.objects()).cloned()?;
        if !self.harmed.insert(name.clone()) {
            return None;
        }
        self.store.copy(&name, &format!("{ASIDE}/{name}"));
        let length = self.store.length_of(&name).unwrap_or_default() as u64;
        if length == 0 || dice.percent(60) {
            self.store.lose(&name);
            return Some(format!("{name} is lost"));
        }
        let at = dice.within(0..length);
        self.store.rot(&name, at as usize);
        Some(format!("byte {at} of {name} is another"))
    }

    /// Somebody puts an object back as it was.
    fn put_back(&mut self, dice: &Dice) -> Option<String> {
        let names: Vec<String> = self.store.names();
        let kept = names.iter().filter_map(|name| name.strip_prefix(ASIDE)?.strip_prefix('/'));
        let harmed: Vec<&str> = kept.filter(|name| self.harmed.contains(*name)).collect();
        let name = (*dice.pick(&harmed)?).to_owned();
        self.store.copy(&format!("{ASIDE}/{name}"), &name);
        self.harmed.remove(&name);
        Some(format!("{name} is back"))
    }

    /// What happens to it while the server is down.
    pub fn mischief(&mut self, dice: &Dice) -> Vec<String> {
        let mut told = Vec::new();
        if dice.percent(20) {
            told.push(self.fall_ill(dice));
        } else if dice.percent(60) {
            self.store.ail(Ailment::None);
        }
        if dice.percent(4) {
            told.extend(self.harm(dice));
        }
        if dice.percent(10) {
            told.extend(self.put_back(dice));
        }
        if dice.percent(15) {
            told.extend(self.leave_something(dice));
        }
        told.into_iter().map(|told| format!("the remote store: {told}")).collect()
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Cold,
    Bring,
    BringAll,
    Ill,
    Well,
    Outage,
    Fault,
    Harm,
    PutBack,
    CopyState,
    MendCopy,
}

const STEPS: [(u64, Step); 11] = [
    (7, Step::Cold),
    (8, Step::Bring),
    (4, Step::BringAll),
    (4, Step::Ill),
    (6, Step::Well),
    (3, Step::Outage),
    (9, Step::Fault),
    (1, Step::Harm),
    (2, Step::PutBack),
    (4, Step::CopyState),
    (2, Step::MendCopy),
];

/// Sometimes does something that is about the remote store; says what.
pub async fn perhaps_step(life: &mut Life<'_>) -> Option<String> {
    let remote = life.hardware.remote.as_mut()?;
    if !life.dice.percent(OF_100_STEPS) {
        return None;
    }
    let step = life.dice.weighted(&STEPS);
    let told = match step {
        Step::Ill => remote.fall_ill(life.dice),
        Step::Fault => remote.fail_soon(life.dice),
        Step::Harm => remote.harm(life.dice).unwrap_or_default(),
        Step::PutBack => remote.put_back(life.dice).unwrap_or_default(),
        Step::Cold => colder::send_to(life, Tier::Cold).await,
        Step::Bring => bring(life).await,
        Step::BringAll => bring_all(life).await,
        Step::Well => get_well(life).await,
        Step::Outage => outage(life).await,
        Step::CopyState => copies::make(life).await,
        Step::MendCopy => copies::mend(life).await,
    };
    Some(format!("Remote {step:?} {told}"))
}

/// Has volumes brought there, for a while.
async fn bring(life: &mut Life<'_>) -> String {
    life.run.uploader.hurry();
    let millis = life.dice.magnitude(1..20_000);
    tokio::time::sleep(Duration::from_millis(millis)).await;
    told_of_uploads(life.run)
}

/// Has everything brought there that is cold: where nothing is wrong that must come, if need be after uploads that failed were
/// tried again.
pub async fn bring_all(life: &mut Life<'_>) -> String {
    let (misled, failed) = (life.misled(), failed_uploads(life.run));
    let Ok(meant) = cold_here(life.run) else { return String::new() };
    life.run.uploader.hurry();
    let mut looks = 0;
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        looks += 1;
        if life.is_down() {
            return "then the store went down".into();
        }
        let Ok(here) = cold_here(life.run) else { return String::new() };
        let left: BTreeSet<VolumeId> = meant.intersection(&here).copied().collect();
        if left.is_empty() {
            return format!("{} volumes; {}", meant.len(), told_of_uploads(life.run));
        }
        if looks >= WAIT && may_stay(life, misled) {
            return format!("{} of {} volumes wait", left.len(), meant.len());
        }
        let failures = failed_uploads(life.run).saturating_sub(failed).min(MOST_FAILURES);
        let status = life.run.uploader.status();
        assert!(
            looks < WAIT + failures * LOOKS_UNTIL_TRIED_AGAIN,
            "{left:?} don't go to the remote store: {status:?}"
        );
    }
}

/// Whether something keeps volumes from going there. `before` is how often the remote store had misled us when they were to go.
fn may_stay(life: &Life<'_>, before: Misled) -> bool {
    let is_well = |remote: &RemoteStore| remote.store.ailment() == Ailment::None && !is_away(life.run);
    let takes = life.run.metadata.takes_uploads() && life.hardware.remote.as_ref().is_some_and(is_well);
    !takes || life.misled() != before || life.is_faulty() || life.run.healthy() < life.hardware.count()
}

/// How many uploads of this run failed.
fn failed_uploads(run: &Run) -> u64 {
    run.uploader.status().map_or(0, |status| status.failed)
}

/// The volumes of the cold tier that hold something and lie on drives.
pub fn cold_here(run: &Run) -> Result<BTreeSet<VolumeId>, String> {
    let records = run.metadata.local().volumes().map_err(|error| error.to_string())?;
    let is_here = |record: &&VolumeRecord| {
        let is_there = record.state != VolumeState::Dropped && record.live > 0;
        is_there && record.tier == Tier::Cold && record.remote.is_none()
    };
    Ok(records.iter().filter(is_here).map(|record| record.id).collect())
}

fn told_of_uploads(run: &Run) -> String {
    let Some(status) = run.uploader.status() else { return String::new() };
    format!("{} came, {} failed, {} lie there", status.uploaded, status.failed, status.volumes)
}

/// The store is well again, and so it is soon found to be.
async fn get_well(life: &mut Life<'_>) -> String {
    if let Some(remote) = &life.hardware.remote {
        remote.store.ail(Ailment::None);
    }
    for second in 0..LONGEST_ABSENCE {
        if !is_away(life.run) || life.is_down() {
            return format!("within {second} s");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("the remote store is back, and nobody sees it: {:?}", life.run.volumes.table.remote())
}

/// It can't be reached for a while, in which clients go on.
async fn outage(life: &mut Life<'_>) -> String {
    let slow = Ailment::Slow(Duration::from_secs(life.dice.within(LONGEST_READ..100)));
    let ailment = if life.dice.percent(60) { Ailment::Gone } else { slow };
    if let Some(remote) = &life.hardware.remote {
        remote.store.ail(ailment);
    }
    for _ in 0..life.dice.within(2..8) {
        life.get().await;
        if life.is_down() {
            return format!("{ailment:?}, then the store went down");
        }
    }
    format!("{ailment:?}, then well {}", get_well(life).await)
}

fn is_away(run: &Run) -> bool {
    run.volumes.table.remote().is_some_and(|remote| matches!(remote.reach(), Reach::Away { .. }))
}

/// Whether something that lies there can't be read now.
pub fn keeps_something(life: &Life<'_>) -> bool {
    let Some(remote) = &life.hardware.remote else { return false };
    remote.is_out_of_reach() || is_away(life.run) || !lost_volumes(life).is_empty()
}

/// The volumes with something in them whose objects were lost or changed.
pub fn lost_volumes(life: &Life<'_>) -> BTreeSet<VolumeId> {
    let Some(remote) = &life.hardware.remote else { return BTreeSet::new() };
    let records = life.run.metadata.local().volumes().unwrap_or_default();
    let lost = records.iter().filter(|record| record.live > 0 && remote.lost(record));
    lost.map(|record| record.id).collect()
}

/// Those of them whose objects aren't there at all.
pub fn gone_volumes(life: &Life<'_>) -> BTreeSet<VolumeId> {
    let names = life.hardware.remote.as_ref().map(|remote| remote.store.names()).unwrap_or_default();
    let is_gone = |volume: &VolumeId| {
        let object = life.run.metadata.volume(*volume).ok().flatten().and_then(|record| record.remote);
        object.is_some_and(|object| !names.contains(&object.name(*volume)))
    };
    lost_volumes(life).into_iter().filter(is_gone).collect()
}

/// Whether the remote store is why a volume, or something in it, isn't read. `before` is how often it had misled us when that
/// was begun.
pub fn is_why(life: &Life<'_>, volume: VolumeId, before: Misled) -> bool {
    let Some(remote) = &life.hardware.remote else { return false };
    let record = life.run.metadata.volume(volume).ok().flatten();
    let Some(object) = record.and_then(|record| record.remote) else { return false };
    let is_reached = !remote.is_out_of_reach() && !is_away(life.run);
    !is_reached || remote.is_harmed(volume, object) || life.misled() != before
}

impl Life<'_> {
    /// Whether nothing goes there now.
    pub fn keeps_to_itself(&self) -> bool {
        let is_ill = |remote: &RemoteStore| remote.store.ailment() != Ailment::None;
        self.hardware.remote.as_ref().is_some_and(is_ill)
            || is_away(self.run)
            || !self.run.metadata.takes_uploads()
    }

    /// How often the remote store has misled us.
    pub fn misled(&self) -> Misled {
        self.hardware.remote.as_ref().map(|remote| remote.store.misled()).unwrap_or_default()
    }

    /// Whether the remote store is why an object isn't read, in the way that the error says.
    pub fn is_remotes_doing(&self, record: &ObjectRecord, error: &NotRead, before: Misled) -> bool {
        let Some(remote) = &self.hardware.remote else { return false };
        let there = self.run.remote_objects(record);
        let now = self.misled();
        match error {
            _ if there.is_empty() => false,
            NotRead::Unavailable(_) => {
                remote.is_out_of_reach() || is_away(self.run) || now.refused > before.refused
            }
            NotRead::Lost(_) => {
                let is_harmed =
                    |(volume, object): &(VolumeId, RemoteObject)| remote.is_harmed(*volume, *object);
                there.iter().any(is_harmed) || now.denied > before.denied
            }
            NotRead::Otherwise(_) => false,
        }
    }

    /// What is missing is told, soon after somebody missed it.
    pub async fn expect_told(&self, record: &ObjectRecord) {
        let Some(remote) = &self.hardware.remote else { return };
        for _ in 0..SECONDS_UNTIL_TOLD {
            let there = self.run.remote_objects(record);
            let mut harmed =
                there.iter().filter(|(volume, object)| remote.is_harmed(*volume, *object)).peekable();
            let lost = self.run.healer.lost();
            let is_told = harmed.peek().is_none()
                || harmed.any(|(volume, _)| lost.stripes().any(|(of, _)| of == volume));
            if is_told || self.is_down() || remote.is_out_of_reach() || is_away(self.run) {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        panic!("the remote store lost {record:?}, and nobody tells: {:?}", self.run.healer.status());
    }
}

impl Run {
    /// The objects of the remote store that hold something of an object of ours.
    fn remote_objects(&self, record: &ObjectRecord) -> Vec<(VolumeId, RemoteObject)> {
        let volumes = self.blobs(record).into_iter().flat_map(|blob| match blob.place {
            Place::Packed(at) => vec![at.volume],
            Place::Extents(extents) => extents.iter().map(|extent| extent.volume).collect(),
            Place::Empty | Place::ThisEntry { .. } | Place::Journal { .. } => Vec::new(),
        });
        let there = volumes.filter_map(|id| Some((id, self.metadata.volume(id).ok()??.remote?)));
        there.collect()
    }
}

/// After a start: it is known of every volume that it lies there.
pub async fn check_known(life: &Life<'_>) {
    let is_there = |record: &&VolumeRecord| {
        record.remote.is_some() && matches!(record.state, VolumeState::Sealed { .. })
    };
    let (mut named, mut known) = (0, 0);
    // One that is recorded at this moment is known a moment later.
    for _ in 0..SECONDS_UNTIL_KNOWN {
        let (Some(status), Ok(records)) = (life.run.uploader.status(), life.run.metadata.local().volumes())
        else {
            return;
        };
        (named, known) = (records.iter().filter(is_there).count() as u64, status.volumes);
        if named == known || life.is_down() {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("{named} volumes should lie in the remote store, and the server knows of {known}");
}

/// Waits until what lies there goes, once all was deleted: it stays until a copy of the state doesn't name it.
pub async fn until_let_go(life: &Life<'_>) {
    for _ in 0..WAIT {
        let volumes = life.run.metadata.local().volumes().unwrap_or_default();
        if volumes.iter().all(|record| record.remote.is_none()) {
            return;
        }
        life.run.state_copies.ask();
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

/// After a restore: waits until the volumes are found again that were brought there since. Gives the objects in those that can't be.
pub async fn not_found_again(life: &Life<'_>) -> BTreeSet<Vec<u8>> {
    let misled = life.misled();
    let meant: BTreeSet<VolumeId> = life.model.found_again.values().flatten().copied().collect();
    let is_missing = |volume: &VolumeId| {
        let record = life.run.metadata.volume(*volume).ok().flatten();
        record.is_some_and(|record| record.live > 0 && record.remote.is_none())
    };
    for _ in 0..WAIT_TO_BE_FOUND {
        if life.is_down() || !meant.iter().any(is_missing) {
            break;
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    let missing: BTreeSet<VolumeId> = meant.into_iter().filter(is_missing).collect();
    let is_harmed = |volume: &VolumeId| {
        let remote = life.hardware.remote.iter();
        remote.flat_map(|remote| &remote.harmed).any(|name| name.contains(&volume.to_string()))
    };
    let is_excused = life.is_down() || life.keeps_to_itself() || life.misled() != misled;
    assert!(
        is_excused || missing.iter().all(is_harmed),
        "{missing:?} lie in the remote store and aren't found again"
    );
    let objects = life.model.found_again.iter();
    objects.filter(|(_, volumes)| !missing.is_disjoint(volumes)).map(|(key, _)| key.clone()).collect()
}

/// The objects that the state names.
pub fn named(life: &Life<'_>) -> BTreeSet<String> {
    let records = life.run.metadata.local().volumes().unwrap_or_default();
    records.iter().filter_map(|record| Some(record.remote?.name(record.id))).collect()
}

/// What was named and isn't any more is gone there: nobody waits until it would go as garbage.
pub fn check_let_go(life: &Life<'_>, was_named: &BTreeSet<String>) {
    let Some(remote) = &life.hardware.remote else { return };
    let (left, named) = (remote.objects(), named(life));
    let kept = left.iter().find(|name| was_named.contains(*name) && !named.contains(*name));
    assert_eq!(kept, None, "the remote store keeps an object whose volume was dropped and forgotten");
}

/// All that lay there is gone, once all was deleted: what nobody names lasts a day.
pub fn check_empty(life: &Life<'_>) {
    let Some(remote) = &life.hardware.remote else { return };
    let left = remote.objects();
    assert!(left.is_empty(), "the remote store still holds {left:?}");
}
