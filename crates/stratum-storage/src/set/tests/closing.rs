//! Drives of real folders that go out while the set serves: all of each is closed, and its path can come back.

use super::*;
use crate::ambient::System;
use crate::drive::real::RealDrive;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

struct Folders {
    home: tempfile::TempDir,
}

impl Folders {
    fn new() -> Folders {
        let folders = Folders { home: tempfile::tempdir().unwrap() };
        (0..4).for_each(|number| std::fs::create_dir(folders.path(number)).unwrap());
        folders
    }

    fn path(&self, number: usize) -> PathBuf {
        self.home.path().join(number.to_string())
    }

    fn open(&self) -> Set {
        let drives = (0..4).map(|number| Root::Path(self.path(number))).collect();
        let tiers = vec![TierConfig { tier: Tier::Hot, geometry: Geometry { k: 2, m: 1 }, drives }];
        let set = Set::open(&SetConfig { tiers, threads: Threads::Own }, Arc::new(System), &System).unwrap();
        set.serve(1).unwrap();
        set
    }

    /// How many descriptors of this process lie in a drive's folder.
    fn open_under(&self, number: usize) -> usize {
        let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let within = |to: PathBuf| to.starts_with(self.path(number));
        links.filter(|link| std::fs::read_link(link.path()).is_ok_and(within)).count()
    }

    fn wait_until_closed(&self, number: usize) {
        for _ in 0..1000 {
            if self.open_under(number) == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{} files are still open", self.open_under(number));
    }
}

fn rights(folder: &Path) -> u32 {
    std::fs::metadata(folder).unwrap().permissions().mode() & 0o777
}

fn give_rights(folder: &Path, mode: u32) {
    std::fs::set_permissions(folder, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_drive_s_folder_is_closed_to_other_users_where_the_drive_joins() {
    let folders = Folders::new();
    (0..4).for_each(|number| give_rights(&folders.path(number), 0o777));
    drop(folders.open());
    assert!((0..4).all(|number| rights(&folders.path(number)) == 0o700), "a set that was formed");

    give_rights(&folders.path(1), 0o755);
    std::fs::rename(folders.path(2), folders.path(5)).unwrap();
    std::fs::create_dir(folders.path(2)).unwrap();
    give_rights(&folders.path(2), 0o777);
    let set = folders.open();
    assert_eq!(
        (rights(&folders.path(1)), rights(&folders.path(2))),
        (0o700, 0o777),
        "a blank folder is nobody's"
    );
    assert_eq!(replace(&set, 2, false).unwrap(), Changed::Done);
    assert_eq!(rights(&folders.path(2)), 0o700, "a drive that replaces another");

    std::fs::create_dir(folders.path(4)).unwrap();
    give_rights(&folders.path(4), 0o770);
    set.add(Tier::Hot, Root::Path(folders.path(4)), false, &System).unwrap();
    assert_eq!(rights(&folders.path(4)), 0o700, "a drive that was added");

    set.drives(Tier::Hot)[0].fail("a test");
    folders.wait_until_closed(0);
    give_rights(&folders.path(0), 0o711);
    assert_eq!(replace(&set, 0, false).unwrap(), Changed::Revived);
    assert_eq!(rights(&folders.path(0)), 0o700, "a drive that is used again");
}

fn replace(set: &Set, slot: usize, wipe: bool) -> Result<Changed, ChangeError> {
    set.replace(Tier::Hot, slot, wipe, &System)
}

#[test]
fn the_path_of_a_failed_drive_comes_back_in_the_same_life() {
    let folders = Folders::new();
    let set = folders.open();
    let failed = set.drives(Tier::Hot)[1].clone();
    put(&failed, "f");
    let file = failed.io().open("f", OpenHow::Write).unwrap();
    failed.fail("for this test");
    folders.wait_until_closed(1);
    let state = set.slots()[1].state.clone();
    let told =
        |reason: &str| reason.starts_with("for this test; ") && reason.contains("`stratum drive replace /");
    assert!(matches!(&state, DriveState::Failed { reason } if told(reason)), "{state:?}");
    // As it is, by a drive that is opened anew; files that somebody had of the old one stay closed.
    assert_eq!(replace(&set, 1, false).unwrap(), Changed::Revived);
    let back = set.drives(Tier::Hot)[1].clone();
    assert!(back.is_healthy() && back.id() == failed.id() && !failed.is_healthy());
    assert!(file.read_at(&mut [0], 0).is_err());
    back.io().open("f", OpenHow::Write).unwrap().write_at(&[b"x"], 0).unwrap();
    // Wiped.
    back.fail("for this test");
    folders.wait_until_closed(1);
    assert_eq!(replace(&set, 1, true).unwrap(), Changed::Done);
    let new = set.drives(Tier::Hot)[1].clone();
    assert!(new.is_healthy() && new.id() != back.id() && !folders.path(1).join("f").exists());
    drop((back, failed, new));
    // Another disk in its place.
    set.drives(Tier::Hot)[1].fail("for this test");
    std::fs::rename(folders.path(1), folders.home.path().join("away")).unwrap();
    std::fs::create_dir(folders.path(1)).unwrap();
    assert_eq!(replace(&set, 1, false).unwrap(), Changed::Done);
    assert_eq!(folders.open_under(1), 1, "its root");
    drop(set);
    assert!(missing(&folders.open()).is_empty());
}

#[test]
fn a_drive_that_was_missing_is_used_again_when_it_is_there() {
    let folders = Folders::new();
    let id = folders.open().drives(Tier::Hot)[2].id();
    let (place, away) = (folders.path(2), folders.home.path().join("away"));
    std::fs::rename(&place, &away).unwrap();
    let set = folders.open();
    assert_eq!(missing(&set), ["hot/2"]);
    assert!(matches!(replace(&set, 1, false), Ok(Changed::Already)));
    std::fs::rename(&away, &place).unwrap();
    assert_eq!(replace(&set, 2, false).unwrap(), Changed::Revived);
    assert_eq!((set.drives(Tier::Hot)[2].id(), missing(&set)), (id, vec![]));
}

#[test]
fn a_drive_that_was_removed_is_closed() {
    let folders = Folders::new();
    let set = folders.open();
    let drive = set.drives(Tier::Hot)[3].clone();
    put(&drive, "f");
    let _file = drive.io().open("f", OpenHow::Write).unwrap();
    assert!(folders.open_under(3) > 0);
    set.drain(std::slice::from_ref(&drive), true).unwrap();
    set.remove(std::slice::from_ref(&drive)).unwrap();
    assert_eq!(folders.open_under(3), 0);
    assert!(!drive.is_healthy(), "whoever still has it counts on nothing");
    RealDrive::open(&folders.path(3)).unwrap().lock().unwrap();
}
