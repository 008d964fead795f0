mod changes;
mod closing;

use super::*;
use crate::ambient::Simulated;
use crate::drive::simulated::{Op, Power, SimulatedDrive};
use crate::drive::{Health, OpenHow};
use std::path::Path;

/// A hot and a cold tier; of three drives each, 2+1, unless said otherwise.
struct Rack {
    geometry: Geometry,
    power: Arc<Power>,
    drives: Vec<Arc<SimulatedDrive>>,
    ambient: Arc<Simulated>,
}

const TIERS: [Tier; 2] = [Tier::Hot, Tier::Cold];

impl Rack {
    fn new() -> Rack {
        Rack::of(Geometry { k: 2, m: 1 })
    }

    fn of(geometry: Geometry) -> Rack {
        let power = Arc::new(Power::default());
        let drives = (0..TIERS.len() * geometry.shards())
            .map(|number| SimulatedDrive::new(&format!("bay {number}"), number as u64, &power))
            .collect();
        Rack { geometry, power, drives, ambient: Arc::new(Simulated::new(0, 42)) }
    }

    fn open(&self) -> Result<Set, SetError> {
        self.open_with(Threads::Caller)
    }

    fn open_with(&self, threads: Threads) -> Result<Set, SetError> {
        let geometry = self.geometry;
        let root = |drive: &Arc<SimulatedDrive>| Root::Open(drive.attach());
        let tiers = TIERS.iter().zip(<[_; 2]>::from(self.drives.split_at(geometry.shards()))).map(
            |(tier, drives)| TierConfig { tier: *tier, geometry, drives: drives.iter().map(root).collect() },
        );
        let config = SetConfig { tiers: tiers.collect(), threads };
        Set::open(&config, self.ambient.clone(), self.ambient.as_ref())
    }

    fn crash(&self, seed: u64) {
        self.drives.iter().for_each(|drive| drive.crash(seed));
        self.power.restore();
    }

    fn ids(&self) -> Vec<DriveId> {
        let set = self.open().unwrap();
        set.all_drives().iter().map(|drive| drive.id()).collect()
    }
}

fn missing(set: &Set) -> Vec<String> {
    let drives = set.all_drives();
    let missing = drives.iter().filter(|drive| matches!(drive.health(), Health::Missing { .. }));
    missing.map(|drive| drive.label()).collect()
}

fn put(drive: &Drive, path: &str) {
    drive.io().open(path, OpenHow::CreateNew).unwrap();
}

#[test]
fn a_set_is_formed_once_and_recognised_after() {
    let rack = Rack::new();
    let set = rack.open().unwrap();
    assert!(set.is_new() && missing(&set).is_empty());
    let (id, drives) = (set.id(), set.all_drives().iter().map(|drive| drive.id()).collect::<Vec<_>>());
    drop(set);
    let set = rack.open().unwrap();
    assert!(!set.is_new());
    assert_eq!((set.id(), set.all_drives().iter().map(|drive| drive.id()).collect()), (id, drives));
    assert_eq!(set.drives(Tier::Cold)[2].position(), 2);
    assert!(set.drives(Tier::Warm).is_empty());
}

/// The power fails at every step of a formation, and again at every step of the start after it.
#[test]
fn a_formation_that_is_cut_anywhere_begins_anew_or_is_finished() {
    let whole = Rack::new();
    whole.open().unwrap();
    let steps = whole.power.steps();
    assert!(steps > 30, "{steps}");
    let (mut anew, mut finished) = (0, 0);
    for first in 1..=steps {
        for second in [1, 7, first, steps] {
            let rack = Rack::new();
            rack.power.fail_at(first);
            assert!(rack.open().is_err(), "step {first}");
            rack.crash(first);
            rack.power.fail_at(second);
            let cut = rack.open();
            assert!(cut.is_err() || !rack.power.is_off() || !cut.unwrap().is_new());
            rack.crash(second);
            let set = rack.open().unwrap_or_else(|error| panic!("steps {first}, {second}: {error}"));
            assert_eq!(missing(&set), [""; 0], "steps {first}, {second}");
            if set.is_new() {
                anew += 1
            } else {
                finished += 1
            }
            let id = set.id();
            drop(set);
            assert_eq!(rack.open().unwrap().id(), id, "one set for good");
        }
    }
    assert!(anew > 50 && finished > 50, "{anew} {finished}");
}

/// Nothing can have been stored while no drive says that the set has begun; afterwards any one of them does.
#[test]
fn a_set_that_has_begun_says_so_from_its_first_epoch_on() {
    let steps = {
        let rack = Rack::new();
        let set = rack.open().unwrap();
        assert!(!set.has_begun());
        let before = rack.power.steps();
        set.serve(1).unwrap();
        assert!(set.has_begun());
        rack.power.steps() - before
    };
    for step in 1..=steps {
        let rack = Rack::new();
        let set = rack.open().unwrap();
        rack.power.fail_at(step);
        // The last steps are those of drives that needn't have it.
        let _ = set.serve(1);
        drop(set);
        rack.crash(step);
        let set = rack.open().unwrap();
        assert_eq!(missing(&set), [""; 0], "step {step}");
        set.serve(2).unwrap();
        let ids = set.all_drives().iter().map(|drive| drive.id()).collect::<Vec<_>>();
        drop(set);
        rack.crash(step);
        for only in 0..6 {
            let away: Vec<_> = (0..6).filter(|bay| *bay != only).collect();
            let before: Vec<_> = away.iter().map(|bay| rack.drives[*bay].snapshot()).collect();
            away.iter().for_each(|bay| rack.drives[*bay].erase());
            let set = rack.open().unwrap();
            assert!(set.has_begun(), "drive {only}");
            assert_eq!(set.all_drives().iter().map(|drive| drive.id()).collect::<Vec<_>>(), ids);
            drop(set);
            away.iter().zip(&before).for_each(|(bay, before)| rack.drives[*bay].rollback(before));
        }
    }
}

#[test]
fn a_blank_drive_in_a_known_set_is_missing_and_stays_blank() {
    let rack = Rack::new();
    let ids = rack.ids();
    rack.drives[1].erase();
    let set = rack.open().unwrap();
    assert_eq!(missing(&set), ["hot/1"]);
    assert_eq!(set.drives(Tier::Hot)[1].id(), ids[1], "the others know who is missing");
    assert!(!set.drives(Tier::Hot)[1].may_return(), "a blank disk is in its place");
    assert!(set.drives(Tier::Hot)[1].io().open("f", OpenHow::CreateNew).is_err());
    assert!(rack.drives[1].files().is_empty());
}

/// A start may wait for the drive, and then a running server's commands are of no use: so the reason that it logs is what is there, and
/// the command is told when somebody asks a server that serves.
#[test]
fn what_to_do_about_a_missing_drive_is_said_by_a_server_that_serves() {
    let root = tempfile::tempdir().unwrap();
    let folders: Vec<_> = (0..3).map(|number| root.path().join(number.to_string())).collect();
    folders.iter().for_each(|folder| std::fs::create_dir(folder).unwrap());
    let (geometry, ambient) = (Geometry { k: 2, m: 1 }, Arc::new(Simulated::new(0, 1)));
    let open = || {
        let drives = folders.iter().cloned().map(Root::Path).collect();
        let tiers = vec![TierConfig { tier: Tier::Hot, geometry, drives }];
        let config = SetConfig { tiers, threads: Threads::Caller };
        Set::open(&config, ambient.clone(), ambient.as_ref()).unwrap()
    };
    drop(open());
    std::fs::remove_dir_all(&folders[1]).unwrap();
    for what in ["does not exist", "is blank"] {
        let set = open();
        let Health::Missing { reason, .. } = set.drives(Tier::Hot)[1].health() else { panic!() };
        assert!(reason.contains(what) && !reason.contains("stratum drive"), "{reason}");
        let (DriveState::Missing { reason: told } | DriveState::Blank { advice: told }) =
            set.slots()[1].state.clone()
        else {
            panic!("{what}")
        };
        assert!(told.contains(what) && told.contains("`stratum drive replace "), "{told}");
        drop(set);
        std::fs::create_dir_all(&folders[1]).unwrap();
    }
}

#[test]
fn a_drive_filled_with_random_bytes_is_missing_and_left_alone() {
    let rack = Rack::new();
    rack.open().unwrap();
    rack.drives[4].scramble(1);
    let set = rack.open().unwrap();
    assert_eq!(missing(&set), ["cold/1"]);
    let Health::Missing { reason, gone } = set.drives(Tier::Cold)[1].health() else { panic!() };
    assert_eq!((reason.as_str(), gone), ("bay 4 has a damaged identity", false));
}

#[test]
fn one_flipped_bit_is_repaired() {
    let rack = Rack::new();
    rack.open().unwrap();
    rack.drives[0].flip_bit("identity", 300).unwrap();
    assert!(missing(&rack.open().unwrap()).is_empty());
    rack.drives[0].flip_bit("identity", 4096 * 8 + 300).unwrap();
    rack.drives[0].attach().remove("identity.copy").unwrap();
    assert!(missing(&rack.open().unwrap()).is_empty(), "the first page was written anew");
}

/// Does to one file of an identity what may happen to it.
fn harm(drive: &Arc<SimulatedDrive>, file: &str, how: &str) {
    let io = drive.attach();
    if how == "deleted" {
        return io.remove(file).unwrap();
    }
    let open = io.open(file, OpenHow::Write).unwrap();
    match how {
        "cut" => open.set_len(100).unwrap(),
        "scrambled" => open.write_at(&[&[0xaa; 8192]], 0).unwrap(),
        _ => open.write_at(&[include_bytes!("../../fixtures/v1/identity")], 0).unwrap(),
    }
}

#[test]
fn an_identity_whose_one_file_is_lost_is_known_by_the_other() {
    for (lost, kept) in [("identity", "identity.copy"), ("identity.copy", "identity")] {
        for how in ["deleted", "cut", "scrambled"] {
            let rack = Rack::new();
            let ids = rack.ids();
            [0, 1, 4].into_iter().for_each(|bay| harm(&rack.drives[bay], lost, how));
            assert_eq!(rack.ids(), ids, "{lost} {how}");
            assert_eq!(missing(&rack.open().unwrap()), [""; 0], "{lost} {how}");
            [0, 1, 4].into_iter().for_each(|bay| harm(&rack.drives[bay], kept, how));
            assert_eq!(missing(&rack.open().unwrap()), [""; 0], "{lost} {how}: the start wrote it anew");
            for file in [lost, kept] {
                harm(&rack.drives[4], file, how);
            }
            assert_eq!(missing(&rack.open().unwrap()), ["cold/1"], "both {how}");
        }
    }
}

#[test]
fn a_drive_whose_two_identity_files_contradict_each_other_is_not_used() {
    let rack = Rack::new();
    rack.open().unwrap();
    harm(&rack.drives[4], "identity", "of another set");
    let set = rack.open().unwrap();
    assert_eq!(missing(&set), ["cold/1"]);
    let Health::Missing { reason, .. } = set.drives(Tier::Cold)[1].health() else { panic!() };
    assert_eq!(reason, "bay 4 has two files of identity that no crash can explain");
}

#[test]
fn one_file_of_an_identity_may_go_while_the_set_serves() {
    let rack = Rack::new();
    let set = rack.open().unwrap();
    for (lost, kept) in [("identity", "identity.copy"), ("identity.copy", "identity")] {
        harm(&rack.drives[1], lost, "deleted");
        harm(&rack.drives[4], lost, "scrambled");
        set.check();
        assert!(set.all_drives().iter().all(|drive| drive.is_healthy()), "{lost}");
        let found: Vec<_> =
            set.repair().into_iter().map(|found| (found.drive, found.file, found.repaired)).collect();
        let expected = ["hot/1", "cold/1"].map(|drive| (drive.to_owned(), lost.to_owned(), true));
        assert_eq!(found, expected);
        assert_eq!(set.repair(), []);
        assert!(rack.drives[1].files().contains(&kept.to_owned()));
    }
    for file in ["identity", "identity.copy"] {
        harm(&rack.drives[1], file, "deleted");
    }
    set.check();
    let reason = match set.drives(Tier::Hot)[1].health() {
        Health::Failed { reason } => reason,
        healthy => panic!("{healthy:?}"),
    };
    assert!(reason.contains("identity on bay 1 cannot be read"), "{reason}");
    assert_eq!(rack.drives[1].files(), [""; 0], "and nothing is written to it");
}

#[test]
fn drives_that_swapped_slots_are_used_where_they_belong() {
    let mut rack = Rack::new();
    let ids = rack.ids();
    rack.drives.swap(0, 5);
    let set = rack.open().unwrap();
    assert!(missing(&set).is_empty());
    assert_eq!(set.all_drives().iter().map(|drive| drive.id()).collect::<Vec<_>>(), ids);
    assert_eq!(set.drives(Tier::Hot)[0].io().describe(), "bay 0");
}

#[test]
fn a_foreign_drive_counts_as_missing_and_is_not_written_to() {
    let (mut rack, other) = (Rack::new(), Rack::new());
    other.ambient.next_u64();
    let ids = rack.ids();
    // It knows of later changes than ours do.
    let theirs = other.open().unwrap();
    theirs.serve(900).unwrap();
    drop(theirs);
    rack.drives[3] = other.drives[3].clone();
    let before = other.power.steps();
    let set = rack.open().unwrap();
    set.serve(1).unwrap();
    assert_eq!(set.all_drives().iter().map(|drive| drive.id()).collect::<Vec<_>>(), ids);
    assert_eq!(missing(&set), ["cold/0"]);
    assert!(
        matches!(&set.slots()[3].state, DriveState::Foreign { advice } if advice.contains("another store"))
    );
    assert!(!set.all_drives()[3].may_return(), "nothing waits for it");
    let wiped = set.replace(Tier::Cold, 0, true, rack.ambient.as_ref());
    assert!(matches!(wiped, Err(ChangeError::Foreign { .. })), "{wiped:?}");
    assert_eq!(other.power.steps(), before, "it is not written to");
    drop(set);
    other.open().unwrap();
}

#[test]
fn of_two_sets_with_as_many_drives_none_is_taken() {
    let (mut rack, other) = (Rack::new(), Rack::new());
    other.ambient.next_u64();
    rack.open().unwrap();
    other.open().unwrap();
    rack.drives[3..].clone_from_slice(&other.drives[3..]);
    let error = rack.open().unwrap_err();
    assert!(
        matches!(&error, SetError::Foreign { place, reference, .. } if place == "bay 3" && reference == "bay 0")
    );
}

#[test]
fn two_copies_of_one_drive_are_refused() {
    let mut rack = Rack::new();
    rack.open().unwrap();
    let copy = SimulatedDrive::new("copy", 9, &rack.power);
    copy.rollback(&rack.drives[0].snapshot());
    rack.drives[1] = copy;
    assert!(matches!(rack.open().unwrap_err(), SetError::Twins { .. }));
}

#[test]
fn a_stale_drive_of_the_set_is_still_of_the_set() {
    let rack = Rack::new();
    rack.open().unwrap();
    let stale = rack.drives[2].snapshot();
    put(&rack.open().unwrap().drives(Tier::Hot)[2], "f");
    rack.drives[2].rollback(&stale);
    assert!(missing(&rack.open().unwrap()).is_empty());
}

#[test]
fn a_set_is_not_made_over_what_lies_on_a_drive() {
    let rack = Rack::new();
    rack.drives[2].attach().open("holiday.jpg", OpenHow::CreateNew).unwrap();
    let text = rack.open().unwrap_err().to_string();
    assert!(text.contains("empty bay 2") && text.contains("\"holiday.jpg\""), "{text}");
    assert!(rack.drives[0].files().is_empty(), "and nothing was written");
}

#[test]
fn lost_and_found_is_blank() {
    let rack = Rack::new();
    rack.drives[2].attach().create_dir("lost+found").unwrap();
    assert!(rack.open().unwrap().is_new());
}

#[test]
fn a_drive_in_use_ends_the_start() {
    let rack = Rack::new();
    let set = rack.open().unwrap();
    let text = rack.open().unwrap_err().to_string();
    assert!(text.contains("bay 0 is in use by another server"), "{text}");
    drop(set);
    rack.open().unwrap();
}

#[test]
fn a_set_with_other_drives_than_configured_is_refused() {
    let mut rack = Rack::new();
    rack.open().unwrap();
    rack.drives.push(SimulatedDrive::new("new", 9, &rack.power));
    let text = rack.open().unwrap_err().to_string();
    let expected = "the set has 3 drives with 2+1 in its cold tier, the configuration says 4 drives with 2+1";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn a_drive_that_fails_the_flip_is_missing() {
    let rack = Rack::new();
    // Each of its two files takes six steps. Forming on six drives, then the first is flipped, and the power goes.
    rack.power.fail_at(2 * (6 * 6 + 6) + 2);
    rack.open().unwrap_err();
    rack.crash(0);
    rack.drives[5].fail_nth(Op::Write, 1);
    assert_eq!(missing(&rack.open().unwrap()), ["cold/2"]);
}

#[test]
fn directories_are_made_for_a_new_set_and_never_for_a_known_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = |number: usize| folder.path().join(format!("hot/{number}"));
    let ambient = Arc::new(Simulated::new(0, 1));
    let open = || {
        let drives = (0..3).map(|number| Root::Path(path(number))).collect();
        let tier = TierConfig { tier: Tier::Hot, geometry: Geometry { k: 2, m: 1 }, drives };
        let config = SetConfig { tiers: vec![tier], threads: Threads::Own };
        Set::open(&config, ambient.clone(), ambient.as_ref())
    };
    let set = open().unwrap();
    assert!(set.is_new() && path(2).join("identity").exists());
    assert!(matches!(open().unwrap_err(), SetError::InUse { .. }));
    drop(set);
    std::fs::remove_dir_all(path(1)).unwrap();
    let set = open().unwrap();
    assert_eq!(missing(&set), ["hot/1"]);
    assert!(!path(1).exists());
    // Deleted while it runs.
    set.check();
    assert!(set.drives(Tier::Hot)[0].is_healthy());
    let told = Arc::new(tracing_mutex::parkinglot::Mutex::new(String::new()));
    let listener = told.clone();
    set.drives(Tier::Hot)[0].on_fail(move |reason| reason.clone_into(&mut listener.lock()));
    std::fs::remove_dir_all(path(0)).unwrap();
    set.check();
    assert!(matches!(set.drives(Tier::Hot)[0].health(), Health::Failed { .. }));
    assert!(told.lock().contains("is not the directory any more"), "{}", told.lock());
    assert!(set.drives(Tier::Hot)[2].is_healthy());
}

#[test]
fn a_newer_format_is_refused_naming_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = include_bytes!("../../fixtures/v1/identity").to_vec();
    for page in bytes.chunks_mut(4096) {
        page[8] = 4;
        let crc = crc32c::crc32c(&page[..12]).to_le_bytes();
        page[12..16].copy_from_slice(&crc);
    }
    std::fs::write(folder.path().join("identity"), bytes).unwrap();
    let root = Root::Path(folder.path().to_owned());
    let tier = TierConfig { tier: Tier::Hot, geometry: Geometry { k: 1, m: 0 }, drives: vec![root] };
    let config = SetConfig { tiers: vec![tier], threads: Threads::Caller };
    let ambient = Arc::new(Simulated::new(0, 1));
    let text = Set::open(&config, ambient.clone(), ambient.as_ref()).unwrap_err().to_string();
    assert!(text.contains("is of format version 4, this binary knows 3"), "{text}");
}

#[test]
fn a_configuration_that_cannot_be_is_refused() {
    let root = Root::Path(Path::new("/nowhere").to_owned());
    let tier = TierConfig { tier: Tier::Hot, geometry: Geometry { k: 4, m: 2 }, drives: vec![root] };
    let config = SetConfig { tiers: vec![tier], threads: Threads::Caller };
    let ambient = Arc::new(Simulated::new(0, 1));
    let error = Set::open(&config, ambient.clone(), ambient.as_ref()).unwrap_err();
    assert!(matches!(error, SetError::Config { tier: Tier::Hot, .. }));
}

#[test]
fn the_newest_replicated_file_survives_any_m_drives() {
    let rack = Rack::new();
    let set = rack.open().unwrap();
    assert_eq!(set.read_replicated("keys").unwrap(), None);
    set.write_replicated("keys", b"old").unwrap();
    let stale = rack.drives[0].snapshot();
    set.write_replicated("keys", b"new").unwrap();
    drop(set);
    for lost in 0..3 {
        let before = rack.drives[lost].snapshot();
        rack.drives[lost].erase();
        assert_eq!(rack.open().unwrap().read_replicated("keys").unwrap().unwrap(), b"new");
        rack.drives[lost].rollback(&before);
    }
    rack.drives[0].rollback(&stale);
    assert_eq!(rack.open().unwrap().read_replicated("keys").unwrap().unwrap(), b"new");
    rack.drives[1].flip_bit("keys", 270).unwrap();
    assert_eq!(rack.open().unwrap().read_replicated("keys").unwrap().unwrap(), b"new");
    rack.drives[2].flip_bit("keys", 270).unwrap();
    assert_eq!(rack.open().unwrap().read_replicated("keys").unwrap().unwrap(), b"old");
    rack.drives[0].flip_bit("keys", 270).unwrap();
    assert!(rack.open().unwrap().read_replicated("keys").is_err(), "never as if it had not been written");
}

#[test]
fn a_replicated_file_needs_its_copies() {
    let rack = Rack::new();
    rack.open().unwrap();
    rack.drives[0].erase();
    rack.drives[1].erase();
    let set = rack.open().unwrap();
    assert!(set.write_replicated("keys", b"new").is_err());
}
