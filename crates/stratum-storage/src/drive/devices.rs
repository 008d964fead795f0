//! What is free, counted once for each device: drives on one device share what is free on it.

use super::{Domain, Drive, Space, questions};
use std::collections::HashMap;
use std::sync::Arc;

/// The devices of some drives, each asked once.
#[derive(Debug, Default)]
pub struct Devices {
    by_domain: HashMap<Domain, Device>,
}

#[derive(Debug)]
struct Device {
    /// `None` if it doesn't answer.
    space: Option<Space>,
    drives: u64,
}

impl Devices {
    /// Asks the devices of these drives; one that doesn't answer has nothing free. Takes some tens of microseconds, or
    /// a moment where one of them hangs; on an async thread the others go on elsewhere then.
    pub fn of<'a>(drives: impl IntoIterator<Item = &'a Arc<Drive>>) -> Devices {
        let drives: Vec<&Arc<Drive>> = drives.into_iter().collect();
        let asked = one_of_each(&drives);
        let spaces = questions::ask_in_place(&asked, space);
        Devices::told(&drives, &asked, spaces)
    }

    /// [`Devices::of`], for requests.
    pub(crate) async fn ask(drives: &[Arc<Drive>]) -> Devices {
        let drives: Vec<&Arc<Drive>> = drives.iter().collect();
        let asked = one_of_each(&drives);
        let spaces = questions::ask(&asked, space).await;
        Devices::told(&drives, &asked, spaces)
    }

    fn told(drives: &[&Arc<Drive>], asked: &[Arc<Drive>], spaces: Vec<Option<Option<Space>>>) -> Devices {
        let device = |(drive, space): (&Arc<Drive>, Option<Option<Space>>)| {
            let on_it = drives.iter().filter(|other| other.domain() == drive.domain());
            (drive.domain(), Device { space: space.flatten(), drives: on_it.count() as u64 })
        };
        Devices { by_domain: asked.iter().zip(spaces).map(device).collect() }
    }

    /// Bytes that are free on all of them together, beyond what is to be left on each.
    pub fn free(&self, left: u64) -> u64 {
        self.by_domain.values().map(|device| device.free().saturating_sub(left)).sum()
    }

    /// Bytes that are free on a drive's device, beyond what is to be left there; none on a drive that just refused a
    /// write for want of space, whatever its device says.
    pub fn free_at(&self, drive: &Drive, left: u64) -> u64 {
        if drive.is_full() {
            return 0;
        }
        self.at(drive).map_or(0, |device| device.free().saturating_sub(left))
    }

    /// A drive's part of what is free on its device, beyond what is to be left there, in bytes.
    pub fn part(&self, drive: &Drive, left: u64) -> u64 {
        if drive.is_full() {
            return 0;
        }
        self.at(drive).map_or(0, |device| device.free().saturating_sub(left) / device.drives.max(1))
    }

    /// How much a drive's device holds, and what is free there; `None` if it doesn't answer.
    pub fn space_at(&self, drive: &Drive) -> Option<Space> {
        self.at(drive)?.space
    }

    fn at(&self, drive: &Drive) -> Option<&Device> {
        self.by_domain.get(&drive.domain())
    }
}

impl Device {
    fn free(&self) -> u64 {
        self.space.map_or(0, |space| space.free)
    }
}

fn space(drive: &Arc<Drive>) -> Option<Space> {
    drive.io().space().ok()
}

/// The first drive on each device.
fn one_of_each(drives: &[&Arc<Drive>]) -> Vec<Arc<Drive>> {
    let mut firsts: Vec<Arc<Drive>> = Vec::new();
    for drive in drives {
        if firsts.iter().all(|known| known.domain() != drive.domain()) {
            firsts.push((*drive).clone());
        }
    }
    firsts
}
