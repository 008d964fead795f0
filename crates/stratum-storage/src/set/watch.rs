//! Looking at all drives every second, though one of them may hang.
//!
//! Each drive is looked at on a thread of its own, all at once, and the round ends when all have answered or a moment
//! has passed. A drive whose last look has not ended is not looked at again; when it has taken too long it is latched,
//! but only if a drive on another device answers: where all share a device, a stall is the device's.
//!
//! A disk may hold drives of several tiers. When one of them fails, the others have to prove that they can be written to,
//! for most likely the disk has failed, and nothing of it may stay open: a drive that nobody writes to would seem healthy
//! for long, and the disk couldn't be unmounted.

use super::files::probe;
use crate::ambient::Clock;
use crate::drive::{Domain, Drive, DriveId, Health};
use crate::panics;
use crossbeam_channel::bounded;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tracing_mutex::parkinglot::Mutex;

/// How long one round waits for its drives to answer.
const ROUND_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the check of a drive may take before the drive is latched as failed.
const LOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// The checks of drives that have not returned, and since when each has run.
#[derive(Debug, Default)]
pub(super) struct Watch {
    looking: Arc<Mutex<HashMap<DriveId, Duration>>>,
    suspicion: Arc<Mutex<Suspicion>>,
}

/// Which drives have to prove themselves.
#[derive(Debug, Default)]
struct Suspicion {
    /// The drives whose failure has been noticed.
    failed: HashSet<DriveId>,
    /// The drives that lie on the device of one that failed, and have not yet proven that they can be written to.
    unproven: HashSet<DriveId>,
}

impl Suspicion {
    /// Notices which of the drives that have failed haven't been noticed yet.
    fn notice(&mut self, drives: &[Arc<Drive>], failed: &[&Arc<Drive>]) {
        let new = failed.iter().filter(|drive| !self.failed.contains(&drive.id()));
        let devices: Vec<Domain> = new.map(|drive| drive.domain()).collect();
        self.failed = failed.iter().map(|drive| drive.id()).collect();
        let suspects = drives.iter().filter(|drive| drive.is_healthy() && devices.contains(&drive.domain()));
        self.unproven.extend(suspects.map(|drive| drive.id()));
    }

    /// Whether a drive has to prove itself now; it is asked once.
    fn take(&mut self, drive: DriveId) -> bool {
        self.unproven.remove(&drive)
    }
}

fn failed(drives: &[Arc<Drive>]) -> Vec<&Arc<Drive>> {
    drives.iter().filter(|drive| matches!(drive.health(), Health::Failed { .. })).collect()
}

/// Looks at a drive, which is latched if something is wrong with it.
fn look_at(drive: &Drive, suspicion: &Mutex<Suspicion>) {
    let is_suspect = suspicion.lock().take(drive.id());
    if drive.check()
        && is_suspect
        && let Err(error) = probe(drive.io().as_ref())
    {
        // Its files have latched it, unless it is for want of space and the like.
        tracing::warn!(drive = drive.label(), %error, "another drive on its device failed, and it takes no write");
    }
}

impl Watch {
    /// One round on the thread that asks, for simulations.
    pub(super) fn look_here(&self, drives: &[Arc<Drive>]) {
        let failed = failed(drives);
        self.suspicion.lock().notice(drives, &failed);
        drives.iter().for_each(|drive| look_at(drive, &self.suspicion));
    }

    /// One round.
    pub(super) fn look(&self, drives: &[Arc<Drive>], clock: &dyn Clock) {
        let failed = failed(drives);
        self.suspicion.lock().notice(drives, &failed);
        let (sender, answers) = bounded(drives.len());
        let mut asked = 0;
        for drive in drives.iter().filter(|drive| drive.is_healthy()) {
            if self.looking.lock().contains_key(&drive.id()) {
                continue;
            }
            self.looking.lock().insert(drive.id(), clock.monotonic());
            let (sender, looking, looked_at) = (sender.clone(), self.looking.clone(), drive.clone());
            let suspicion = self.suspicion.clone();
            let look = move || {
                if let Err(words) = panics::caught(|| look_at(&looked_at, &suspicion)) {
                    looked_at.fail(&format!("a look at it panicked; please report it with the log: {words}"));
                }
                looking.lock().remove(&looked_at.id());
                // The round may be over.
                let _ = sender.try_send(looked_at.domain());
            };
            match std::thread::Builder::new().name("watch a drive".to_owned()).spawn(look) {
                Ok(_) => asked += 1,
                Err(error) => {
                    self.looking.lock().remove(&drive.id());
                    tracing::warn!(%error, "a drive was not looked at");
                }
            }
        }
        let until = clock.monotonic() + ROUND_TIMEOUT;
        let mut answered = Vec::new();
        while asked > 0 {
            let Ok(domain) = answers.recv_timeout(until.saturating_sub(clock.monotonic())) else { break };
            answered.push(domain);
            asked -= 1;
        }
        self.give_up(drives, &answered, clock.monotonic());
    }

    fn give_up(&self, drives: &[Arc<Drive>], answered: &[Domain], now: Duration) {
        let looking = self.looking.lock().clone();
        for drive in drives.iter().filter(|drive| drive.is_healthy()) {
            let Some(since) = looking.get(&drive.id()) else { continue };
            let elsewhere = answered.iter().any(|domain| *domain != drive.domain());
            if now.saturating_sub(*since) >= LOOK_TIMEOUT && elsewhere {
                drive.fail(&format!("it has not answered for {} s", LOOK_TIMEOUT.as_secs()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ambient::{Simulated, System};
    use crate::blob::Tier;
    use crate::drive::simulated::{Op, SimulatedDrive};
    use crate::drive::{DriveIo, Entry, FileIo, OpenHow, Space, Threads};
    use std::io;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// A drive that answers nothing while it hangs.
    #[derive(Debug)]
    struct Disk {
        device: u64,
        hangs: AtomicBool,
        panics: AtomicBool,
    }

    impl DriveIo for Disk {
        fn open(&self, _: &str, _: OpenHow) -> io::Result<Arc<dyn FileIo>> {
            Err(io::ErrorKind::NotFound.into())
        }
        fn rename(&self, _: &str, _: &str) -> io::Result<()> {
            Ok(())
        }
        fn remove(&self, _: &str) -> io::Result<()> {
            Ok(())
        }
        fn list(&self, _: &str) -> io::Result<Vec<Entry>> {
            Ok(Vec::new())
        }
        fn create_dir(&self, _: &str) -> io::Result<()> {
            Ok(())
        }
        fn sync_dir(&self, _: &str) -> io::Result<()> {
            Ok(())
        }
        fn space(&self) -> io::Result<Space> {
            Ok(Space { total: 0, free: 0 })
        }
        fn domain(&self) -> Domain {
            Domain::here(self.device)
        }
        fn lock(&self) -> io::Result<()> {
            Ok(())
        }
        fn is_same_root(&self) -> bool {
            while self.hangs.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(1));
            }
            assert!(!self.panics.load(Ordering::Acquire), "by plan");
            true
        }
        fn describe(&self) -> String {
            format!("disk {}", self.device)
        }
    }

    fn disks(devices: [u64; 3]) -> (Vec<Arc<Disk>>, Vec<Arc<Drive>>) {
        let disk = |device| {
            let (hangs, panics) = (AtomicBool::new(device == devices[0]), AtomicBool::default());
            Arc::new(Disk { device, hangs, panics })
        };
        let disks: Vec<Arc<Disk>> = devices.into_iter().map(disk).collect();
        let drive = |(position, disk): (u16, &Arc<Disk>)| {
            let (id, clock) = (DriveId(position.into()), Arc::new(System));
            Arc::new(Drive::new(id, Tier::Hot, position, disk.clone(), Threads::Caller, clock))
        };
        let drives = (0..).zip(&disks).map(drive).collect();
        (disks, drives)
    }

    #[test]
    fn a_drive_that_hangs_is_given_up_on_and_delays_nobody() {
        let (disks, drives) = disks([1, 2, 3]);
        let watch = Watch::default();
        watch.look(&drives, &System);
        assert!(drives.iter().all(|drive| drive.is_healthy()), "not at once");
        assert_eq!(watch.looking.lock().len(), 1);
        // Much later: the one that hangs is not asked again, and the others have answered.
        let later = Simulated::new(0, 1);
        watch.looking.lock().insert(DriveId(0), Duration::ZERO);
        later.advance(LOOK_TIMEOUT);
        watch.look(&drives, &later);
        let healthy: Vec<bool> = drives.iter().map(|drive| drive.is_healthy()).collect();
        assert_eq!(healthy, [false, true, true]);
        disks[0].hangs.store(false, Ordering::Release);
    }

    #[test]
    fn a_look_that_panics_is_a_failure_and_delays_nobody() {
        let (disks, drives) = disks([1, 2, 3]);
        disks[0].hangs.store(false, Ordering::Release);
        disks[1].panics.store(true, Ordering::Release);
        let (watch, began) = (Watch::default(), System.monotonic());
        watch.look(&drives, &System);
        assert!(System.monotonic() - began < ROUND_TIMEOUT && watch.looking.lock().is_empty());
        let healthy: Vec<bool> = drives.iter().map(|drive| drive.is_healthy()).collect();
        assert_eq!(healthy, [true, false, true]);
    }

    /// A disk with drives of two tiers, another disk, and their drives.
    fn two_disks() -> ([Arc<SimulatedDrive>; 3], Vec<Arc<Drive>>) {
        let power = Arc::default();
        let disks = [("hot", 1), ("cold", 1), ("elsewhere", 2)];
        let disks = disks.map(|(name, device)| SimulatedDrive::new(name, device, &power));
        let drive = |(position, disk): (u16, &Arc<SimulatedDrive>)| {
            let (id, clock) = (DriveId(position.into()), Arc::new(System));
            Arc::new(Drive::new(id, Tier::Hot, position, disk.attach(), Threads::Caller, clock))
        };
        let drives = (0..).zip(&disks).map(drive).collect();
        (disks, drives)
    }

    fn health(drives: &[Arc<Drive>]) -> Vec<bool> {
        drives.iter().map(|drive| drive.is_healthy()).collect()
    }

    #[test]
    fn when_a_drive_fails_those_on_its_device_prove_themselves() {
        for here in [true, false] {
            let (disks, drives) = two_disks();
            let watch = Watch::default();
            let look = || if here { watch.look_here(&drives) } else { watch.look(&drives, &System) };
            // The disk is broken, and nobody has written there yet.
            disks[1].fail_nth(Op::Name, 1);
            disks[2].fail_nth(Op::Name, 1);
            look();
            assert_eq!(health(&drives), [true; 3], "nobody is suspected");
            drives[0].fail("a sync failed");
            look();
            // A round doesn't wait for a busy machine.
            for _ in 0..1000 {
                if !drives[1].is_healthy() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            assert_eq!(health(&drives), [false, false, true]);
        }
    }

    #[test]
    fn a_drive_that_proves_itself_or_is_full_stays_and_is_asked_once() {
        let (disks, drives) = two_disks();
        let watch = Watch::default();
        disks[1].refuse_nth(Op::Write, 1);
        drives[0].fail("its folder was deleted");
        watch.look_here(&drives);
        assert_eq!(health(&drives), [false, true, true]);
        disks[1].fail_nth(Op::Name, 1);
        watch.look_here(&drives);
        assert_eq!(health(&drives), [false, true, true], "that it failed is known");
        assert!(probe(drives[1].io().as_ref()).is_err(), "the fault was met by nobody before");
    }

    #[test]
    fn where_nobody_elsewhere_answers_nobody_is_given_up_on() {
        let (disks, drives) = disks([1, 1, 1]);
        let watch = Watch::default();
        watch.looking.lock().insert(DriveId(0), Duration::ZERO);
        disks[1].hangs.store(false, Ordering::Release);
        disks[2].hangs.store(false, Ordering::Release);
        watch.give_up(&drives, &[1, 1].map(Domain::here), LOOK_TIMEOUT);
        assert!(drives[0].is_healthy());
        disks[0].hangs.store(false, Ordering::Release);
    }
}
