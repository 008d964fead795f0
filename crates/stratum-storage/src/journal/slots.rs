//! The segment files of one drive: found, made, lent to a segment, and taken back.
//!
//! A slot is a file of a segment's full length. A prepared slot was written over with zeros in the background, and a
//! slot that comes back was written over by its former use, so that a sync of it changes no file size and no block
//! map. When none is ready a fresh one is written over on the spot: that holds an epoch's opening up for some tens of
//! milliseconds, where a file that is only allocated makes every sync of the whole segment ten times as long (measured
//! on ext4: 3.3 ms against 0.3). A file gets its final name, `journal/segment-NNNN`, when all of that is synced.

use crate::drive::lane::Work;
use crate::drive::{Drive, FileIo, OpenHow};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use tracing_mutex::parkinglot::Mutex;

/// The drive's directory of segments.
const DIRECTORY: &str = "journal";
/// The name's end while a slot is being made.
pub(super) const UNFINISHED: &str = ".new";
/// Free slots a drive keeps; more are removed.
const MAX_FREE_SLOTS: usize = 1;
/// Zeros are written in steps of this many bytes, so that bulk data on the same lane waits for one step at most.
const ZEROING_STEP_BYTES: usize = 1 << 20;

/// A segment file of a drive.
#[derive(Clone, Debug)]
pub(super) struct SegmentSlot {
    pub(super) number: u32,
    pub(super) file: Arc<dyn FileIo>,
}

impl SegmentSlot {
    pub(super) fn path_of(number: u32) -> String {
        format!("{DIRECTORY}/segment-{number:04x}")
    }
}

/// The slots of a drive.
#[derive(Debug)]
pub(super) struct Slots {
    drive: Arc<Drive>,
    segment_bytes: u64,
    state: Mutex<SlotPool>,
}

#[derive(Debug, Default)]
struct SlotPool {
    free: Vec<SegmentSlot>,
    /// Above every number in use.
    next: u32,
    preparing: bool,
}

impl Slots {
    /// The drive's slots, and all that lies in them now. Unfinished ones are removed.
    pub(super) fn open(drive: Arc<Drive>, segment_bytes: u64) -> io::Result<(Slots, Vec<SegmentSlot>)> {
        let names = names(&drive)?;
        for name in names.iter().filter(|name| name.ends_with(UNFINISHED)) {
            drive.io().remove(&format!("{DIRECTORY}/{name}"))?;
        }
        let numbers = numbers(&names);
        let open = |&number: &u32| {
            drive
                .io()
                .open(&SegmentSlot::path_of(number), OpenHow::Write)
                .map(|file| SegmentSlot { number, file })
        };
        let found = numbers.iter().map(open).collect::<io::Result<Vec<_>>>()?;
        let next = numbers.last().map_or(0, |last| last.saturating_add(1));
        let state = Mutex::new(SlotPool { next, ..SlotPool::default() });
        Ok((Slots { drive, segment_bytes, state }, found))
    }

    /// A prepared or used slot, if one is free.
    pub(super) fn take_free(&self) -> Option<SegmentSlot> {
        self.state.lock().free.pop()
    }

    pub(super) fn has_free(&self) -> bool {
        !self.state.lock().free.is_empty()
    }

    /// A free slot, or a fresh one, written over here and now.
    pub(super) fn take(&self) -> io::Result<SegmentSlot> {
        match self.take_free() {
            Some(slot) => Ok(slot),
            None => self.make(|file| {
                file.allocate(0, self.segment_bytes)?;
                let mut written = 0;
                while written < self.segment_bytes {
                    written += self.write_step(file.as_ref(), written)?;
                }
                Ok(())
            }),
        }
    }

    /// Writes zeros for a step; says how many.
    fn write_step(&self, file: &dyn FileIo, from: u64) -> io::Result<u64> {
        const ZEROS: &[u8] = &[0; ZEROING_STEP_BYTES];
        let len = (self.segment_bytes - from).min(ZEROING_STEP_BYTES as u64);
        file.write_at(&[&ZEROS[..len as usize]], from)?;
        file.start_writeback(from, len);
        Ok(len)
    }

    /// Makes a slot with that content; it is durable, name and all, when this returns.
    pub(super) fn make(
        &self,
        fill: impl FnOnce(&Arc<dyn FileIo>) -> io::Result<()>,
    ) -> io::Result<SegmentSlot> {
        let unfinished = self.begin()?;
        self.complete(unfinished, fill)
    }

    /// A file under its temporary name.
    fn begin(&self) -> io::Result<SegmentSlot> {
        let io = self.drive.io();
        match io.list(DIRECTORY) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {
                io.create_dir(DIRECTORY)?;
                io.sync_dir("")?;
            }
            Err(error) => return Err(error),
        }
        let number = {
            let mut state = self.state.lock();
            let number = state.next;
            state.next = number.checked_add(1).ok_or_else(|| io::Error::other("no slot number is left"))?;
            number
        };
        let file = io.open(&(SegmentSlot::path_of(number) + UNFINISHED), OpenHow::CreateNew)?;
        Ok(SegmentSlot { number, file })
    }

    /// Fills a file, syncs it and gives it its name; removes it if that fails.
    fn complete(
        &self,
        slot: SegmentSlot,
        fill: impl FnOnce(&Arc<dyn FileIo>) -> io::Result<()>,
    ) -> io::Result<SegmentSlot> {
        let (path, io) = (SegmentSlot::path_of(slot.number), self.drive.io());
        let unfinished = path.clone() + UNFINISHED;
        let outcome = fill(&slot.file)
            .and_then(|()| slot.file.sync())
            .and_then(|()| io.rename(&unfinished, &path))
            .and_then(|()| io.sync_dir(DIRECTORY));
        match outcome {
            Ok(()) => Ok(slot),
            Err(error) => {
                // Whether or not this works: the next start removes what has a temporary name.
                let _ = io.remove(&unfinished);
                Err(error)
            }
        }
    }

    /// Makes sure that a slot is ready for the next segment, in the background. It gives up quietly when the
    /// drive fails or is full: whoever takes a slot then meets the error.
    pub(super) fn prepare(self: &Arc<Self>) {
        {
            let mut state = self.state.lock();
            if state.preparing || !state.free.is_empty() || !self.drive.is_healthy() {
                return;
            }
            state.preparing = true;
        }
        let preparation = Preparation { slots: self.clone() };
        self.run(move || preparation.begin());
    }

    /// Takes back a slot that nothing needs any more, and keeps it if it is whole and wanted.
    pub(super) fn give_back(self: &Arc<Self>, slot: SegmentSlot) {
        if !self.drive.is_healthy() {
            return;
        }
        let slots = self.clone();
        self.run(move || slots.adopt(slot));
    }

    /// Keeps a free slot if it is whole and wanted, and removes it otherwise.
    pub(super) fn adopt(&self, slot: SegmentSlot) {
        let is_whole = slot.file.len().is_ok_and(|len| len == self.segment_bytes);
        let mut state = self.state.lock();
        if is_whole && state.free.len() < MAX_FREE_SLOTS {
            return state.free.push(slot);
        }
        drop(state);
        self.remove(&slot);
    }

    /// Removes the free slots: this drive is no member now.
    pub(super) fn drop_free(self: &Arc<Self>) {
        let slots = self.clone();
        self.run(move || {
            let free = std::mem::take(&mut slots.state.lock().free);
            free.iter().for_each(|slot| slots.remove(slot));
        });
    }

    fn remove(&self, slot: &SegmentSlot) {
        // Not synced: should the name come back after a crash, what it holds is below the floor.
        if let Err(error) = self.drive.io().remove(&SegmentSlot::path_of(slot.number)) {
            tracing::warn!(drive = self.drive.label(), %error, "a journal segment could not be removed");
        }
    }

    /// Cuts off what lies behind the groups of a segment that is not written to any more.
    pub(super) fn trim(&self, slot: &SegmentSlot, end: u64) {
        let (file, label) = (slot.file.clone(), self.drive.label());
        self.run(move || {
            if file.len().is_ok_and(|len| len > end)
                && let Err(error) = file.set_len(end)
            {
                tracing::warn!(drive = label, %error, "a journal segment could not be trimmed");
            }
        });
    }

    /// Background work goes on the lane of bulk data, so that no append waits for it.
    fn run(&self, task: impl FnOnce() + Send + 'static) {
        self.drive.volume_lane().submit(Work::Run(Box::new(task)));
    }
}

/// A slot that is being made ready, step by step. However it ends, another may begin.
struct Preparation {
    slots: Arc<Slots>,
}

impl Preparation {
    fn begin(self) {
        match self.slots.begin() {
            Ok(slot) => self.write_zeros(slot, 0),
            Err(error) => self.end(Err(error)),
        }
    }

    fn write_zeros(self, slot: SegmentSlot, from: u64) {
        let slots = self.slots.clone();
        let first = if from == 0 { slot.file.allocate(0, slots.segment_bytes) } else { Ok(()) };
        let outcome = match first.and_then(|()| slots.write_step(slot.file.as_ref(), from)) {
            Ok(len) if from + len < slots.segment_bytes => {
                return slots.run(move || self.write_zeros(slot, from + len));
            }
            outcome => outcome.map(drop),
        };
        let completed = slots.complete(slot, |_| outcome);
        self.end(completed);
    }

    fn end(self, outcome: io::Result<SegmentSlot>) {
        match outcome {
            Ok(slot) => self.slots.state.lock().free.push(slot),
            Err(error) => {
                tracing::warn!(drive = self.slots.drive.label(), %error, "no journal segment prepared");
            }
        }
    }
}

impl Drop for Preparation {
    fn drop(&mut self) {
        self.slots.state.lock().preparing = false;
    }
}

/// What lies in the drive's slots, read only; those that can't be opened are left out.
pub(super) fn found(drive: &Drive) -> Vec<SegmentSlot> {
    let names = names(drive).unwrap_or_else(|error| {
        tracing::warn!(drive = drive.label(), %error, "the journal can't be listed");
        Vec::new()
    });
    let open = |number: u32| match drive.io().open(&SegmentSlot::path_of(number), OpenHow::Read) {
        Ok(file) => Some(SegmentSlot { number, file }),
        Err(error) => {
            tracing::warn!(drive = drive.label(), number, %error, "a segment of the journal can't be opened");
            None
        }
    };
    numbers(&names).into_iter().filter_map(open).collect()
}

/// The files in the drive's directory of segments.
fn names(drive: &Drive) -> io::Result<Vec<String>> {
    let entries = match drive.io().list(DIRECTORY) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        outcome => outcome?,
    };
    Ok(entries.into_iter().filter(|entry| !entry.is_dir).map(|entry| entry.name).collect())
}

/// The slots among these names, in order.
fn numbers(names: &[String]) -> Vec<u32> {
    let number = |name: &String| {
        let number = u32::from_str_radix(name.strip_prefix("segment-")?, 16).ok()?;
        (SegmentSlot::path_of(number) == format!("{DIRECTORY}/{name}")).then_some(number)
    };
    let mut numbers: Vec<u32> = names.iter().filter_map(number).collect();
    numbers.sort_unstable();
    numbers
}
