//! The journal on simulated drives: what was acknowledged is there after every crash, and what was once served
//! never changes.

mod crashes;
mod damage;
mod failures;
mod fixture;
mod format;
mod hanging;
mod joining;
mod moving;
mod panics;
mod reading;
mod refound;
mod salvage;
mod scrubbing;
mod searching;
mod segments;
mod sets;
mod threads;

use super::*;
use crate::ambient::Simulated;
use crate::blob::Tier;
use crate::drive::simulated::{Power, SimulatedDrive};
use crate::drive::{DriveId, Threads};
use std::time::Duration;

const SEGMENT: u64 = 48 << 10;

/// Some disks, and what the journal on them is known to have acknowledged or served.
struct World {
    power: Arc<Power>,
    disks: Vec<Arc<SimulatedDrive>>,
    m: usize,
    ambient: Arc<Simulated>,
    known: Vec<Known>,
    /// A group whose outcome is unknown.
    in_flight: Vec<NewEntry>,
    floor: Index,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    hash: EntryHash,
    command: Vec<u8>,
    body: Bytes,
}

impl World {
    fn new(disks: usize, m: usize, seed: u64) -> World {
        let power = Arc::new(Power::default());
        let disk = |place| SimulatedDrive::new(&format!("disk {place}"), place as u64, &power);
        let disks = (0..disks).map(disk).collect();
        let ambient = Arc::new(Simulated::new(1_000_000, seed));
        World { power, disks, m, ambient, known: Vec::new(), in_flight: Vec::new(), floor: 1 }
    }

    fn roll(&self, sides: u64) -> u64 {
        self.ambient.next_u64() % sides
    }

    fn options(&self) -> Options {
        Options { segment_bytes: SEGMENT, member_timeout: Duration::from_millis(50), cap: 64 * SEGMENT }
    }

    /// The drives as a server that starts finds them, some of them missing.
    fn drives(&self, absent: &[usize]) -> Vec<Arc<Drive>> {
        let drive = |(place, disk): (usize, &Arc<SimulatedDrive>)| {
            let id = DriveId(100 + place as u128);
            Arc::new(match absent.contains(&place) {
                true => Drive::missing(id, Tier::Hot, place as u16, "absent in this test"),
                false => Drive::new(
                    id,
                    Tier::Hot,
                    place as u16,
                    disk.attach(),
                    Threads::Caller,
                    self.ambient.clone(),
                ),
            })
        };
        self.disks.iter().enumerate().map(drive).collect()
    }

    fn try_open(&self, absent: &[usize]) -> Result<Journal, JournalError> {
        let set = JournalSet { drives: self.drives(absent), m: self.m, begun: !self.known.is_empty() };
        Journal::open(set, self.options(), self.ambient.clone(), self.ambient.clone())
    }

    /// Opens the journal and checks it against what is known; what it shows from now on was served.
    fn open(&mut self, absent: &[usize]) -> Journal {
        let journal = self.try_open(absent).expect("the journal opens");
        self.check(&journal);
        journal
    }

    /// Everything known is there, and nothing else but a group that was in flight.
    fn check(&mut self, journal: &Journal) {
        let (last, _) = journal.last();
        let known = self.known.len() as u64;
        let extra = last.checked_sub(known).expect("no acknowledged entry is lost");
        assert!(extra == 0 || extra == self.in_flight.len() as u64, "a group is there whole or not at all");
        for entry in self.in_flight.drain(..).take(extra as usize) {
            let (command, body) = (entry.command, entry.body);
            self.known.push(Known { hash: EntryHash::default(), command, body });
        }
        assert!(journal.first() <= self.floor, "nothing above the floor has gone");
        for index in self.floor..=last {
            let Some(found) = self.read(journal, index) else { return };
            let known = &mut self.known[index as usize - 1];
            if known.hash == EntryHash::default() {
                known.hash = found.hash;
            }
            assert_eq!(found, *known, "entry {index} is what was acknowledged");
        }
        if let Some(known) = self.known.last() {
            assert_eq!(journal.last().1, known.hash);
        }
    }

    /// An entry with its body; `None` if the power failed, as it may at any time: freed segments are removed
    /// when the last reader lets go of them.
    fn read(&self, journal: &Journal, index: Index) -> Option<Known> {
        let read = || {
            let entry = journal.replay(index, Verify::Bodies).next().expect("an entry").map_err(drop)?;
            let body = journal.read_body(entry.index, entry.body_len, entry.body_crc32c).map_err(drop)?;
            Ok::<_, ()>(Known { hash: entry.hash, command: entry.command.to_vec(), body })
        };
        match read() {
            Ok(known) => Some(known),
            Err(()) if self.power.is_off() => None,
            Err(()) => panic!("entry {index} can't be read"),
        }
    }

    /// A group of one to four entries, some with bodies.
    fn group(&self) -> Vec<NewEntry> {
        let entry = |_| {
            let (command, body) = (self.roll(300) as usize, self.roll(3) * self.roll(1500));
            let mut bytes = vec![0; command + body as usize];
            self.ambient.fill(&mut bytes);
            NewEntry { body: bytes.split_off(command).into(), command: bytes }
        };
        (0..=self.roll(4)).map(entry).collect()
    }

    /// Appends a group and remembers what was answered.
    fn append(&mut self, journal: &Journal) -> Result<(), AppendError> {
        let group = self.group();
        self.in_flight.clone_from(&group);
        let outcome = journal.append(group, Class::Ordinary);
        if let Ok(appended) = &outcome {
            assert_eq!(appended.first, self.known.len() as u64 + 1);
            let entries = self.in_flight.drain(..).zip(&appended.hashes);
            self.known.extend(entries.map(|(entry, &hash)| Known {
                hash,
                command: entry.command,
                body: entry.body,
            }));
        }
        outcome.map(drop)
    }

    fn release(&mut self, journal: &Journal, keep: u64) {
        let through = (self.known.len() as u64).saturating_sub(keep);
        self.floor = self.floor.max(through + 1);
        journal.release(through, u64::MAX);
    }

    /// Power is lost on all disks, and comes back.
    fn crash(&self) {
        let seed = self.ambient.next_u64();
        self.disks.iter().for_each(|disk| disk.crash(seed));
        self.power.restore();
    }

    /// Up to `m` disks, to be absent.
    fn some_absent(&self) -> Vec<usize> {
        let count = self.roll(self.m as u64 + 1);
        (0..count).map(|_| self.roll(self.disks.len() as u64) as usize).collect()
    }
}
