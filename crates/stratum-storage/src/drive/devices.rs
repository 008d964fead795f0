//! What is free, counted once for each device: drives on one device share what is free on it.

use super::{Domain, Drive};
use std::collections::HashMap;
use std::sync::Arc;

/// The devices of some drives, each asked once.
#[derive(Debug, Default)]
pub struct Devices {
    by_domain: HashMap<Domain, Device>,
}

#[derive(Debug)]
struct Device {
    free: u64,
    drives: u64,
}

impl Devices {
    /// Asks the devices of these drives; one that doesn't answer has nothing free. Takes some microseconds for each.
    pub fn of<'a>(drives: impl IntoIterator<Item = &'a Arc<Drive>>) -> Devices {
        let mut devices = Devices::default();
        for drive in drives {
            let free = || drive.io().space().map_or(0, |space| space.free);
            let device = devices.by_domain.entry(drive.domain());
            device.or_insert_with(|| Device { free: free(), drives: 0 }).drives += 1;
        }
        devices
    }

    /// Bytes that are free on all of them together, beyond what is to be left on each.
    pub fn free(&self, left: u64) -> u64 {
        self.by_domain.values().map(|device| device.free.saturating_sub(left)).sum()
    }

    /// Bytes that are free on a drive's device, beyond what is to be left there; none on a drive that just refused a
    /// write for want of space, whatever its device says.
    pub fn free_at(&self, drive: &Drive, left: u64) -> u64 {
        if drive.is_full() {
            return 0;
        }
        let device = self.by_domain.get(&drive.domain());
        device.map_or(0, |device| device.free.saturating_sub(left))
    }

    /// A drive's part of what is free on its device, beyond what is to be left there, in bytes.
    pub fn part(&self, drive: &Drive, left: u64) -> u64 {
        if drive.is_full() {
            return 0;
        }
        let device = self.by_domain.get(&drive.domain());
        device.map_or(0, |device| device.free.saturating_sub(left) / device.drives.max(1))
    }
}
