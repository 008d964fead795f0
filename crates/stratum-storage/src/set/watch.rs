//! Looking at all drives every second, though one of them may hang.
//!
//! Each drive is looked at on a thread of its own, all at once, and the round ends when all have answered or a moment
//! has passed. A drive whose last look has not ended is not looked at again; when it has taken too long it is latched,
//! but only if a drive on another device answers: where all share a device, a stall is the device's.

use crate::ambient::Clock;
use crate::drive::{Domain, Drive, DriveId};
use crate::panics;
use crossbeam_channel::bounded;
use std::collections::HashMap;
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
}

impl Watch {
    /// One round.
    pub(super) fn look(&self, drives: &[Arc<Drive>], clock: &dyn Clock) {
        let (sender, answers) = bounded(drives.len());
        let mut asked = 0;
        for drive in drives.iter().filter(|drive| drive.is_healthy()) {
            if self.looking.lock().contains_key(&drive.id()) {
                continue;
            }
            self.looking.lock().insert(drive.id(), clock.monotonic());
            let (sender, looking, looked_at) = (sender.clone(), self.looking.clone(), drive.clone());
            let look = move || {
                if let Err(words) = panics::caught(|| looked_at.check()) {
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
