//! A block of the index that no drive can give for a while, during a life or two. What is in it isn't served, and
//! never shown as something else; everything else is served; and when a copy is readable again, or a backup has put it back, nothing is
//! missing.

use crate::dice::Dice;
use crate::hardware::Hardware;
use crate::life::Life;
use crate::model::Content;
use crate::outside::as_drive;
use crate::run::{Run, Virtual, Wrote};
use std::sync::Arc;
use stratum_metadata::command::WriteCondition;
use stratum_metadata::salvage::{MadeAnew, Salvaged, Sources, make_lost_anew};
use stratum_storage::ambient::Clock;
use stratum_storage::blob::Tier;
use stratum_storage::drive::OpenHow;
use stratum_storage::drive::simulated::SimulatedDrive;
use stratum_storage::journal::History;
use stratum_storage::set::Set;

/// Bytes around the wrong bit, by which it is recognised later.
const AROUND: u64 = 32;
const WRITES: u64 = 12;

/// Whether this seed's story has such a block; only some have, so that the other seeds tell the stories that they
/// told before.
pub fn comes_to(seed: u64) -> bool {
    seed % 4 == 1
}

/// A bit that is wrong in every drive's copy.
pub struct Dark {
    path: String,
    bit: u64,
    /// The bytes around the wrong bit.
    around: Vec<u8>,
}

impl Dark {
    /// Flips a bit somewhere in a range file, on every drive.
    pub fn fall(hardware: &Hardware, dice: &Dice) -> Option<Dark> {
        // Of a base: the numbers of a run's files are high.
        let is_range = |path: &String| path.starts_with("checkpoint/") && path.contains(".0000");
        let mut paths: Vec<String> = hardware.disks.iter().flat_map(|disk| disk.drive.files()).collect();
        paths.retain(is_range);
        paths.sort();
        let path = dice.pick(&paths)?.clone();
        let holders: Vec<_> =
            hardware.disks.iter().filter(|disk| disk.drive.files().contains(&path)).collect();
        let lengths = holders.iter().filter_map(|disk| length(&disk.drive, &path));
        let at = dice.within(AROUND..lengths.min().filter(|length| *length > 2 * AROUND)? - AROUND);
        let bit = at * 8 + dice.within(0..8);
        for disk in &holders {
            disk.drive.flip_bit(&path, bit).ok()?;
        }
        let around = around(&holders.first()?.drive, &path, at)?;
        Some(Dark { path, bit, around })
    }

    /// Flips the bit back wherever it is still wrong; returns on how many drives.
    pub fn lift(self, hardware: &Hardware) -> usize {
        let is_wrong = |drive: &Arc<SimulatedDrive>| {
            around(drive, &self.path, self.bit / 8).is_some_and(|bytes| bytes == self.around)
        };
        let drives = hardware.disks.iter().map(|disk| &disk.drive);
        drives.filter(|drive| is_wrong(drive) && drive.flip_bit(&self.path, self.bit).is_ok()).count()
    }

    pub fn told(&self) -> String {
        format!("bit {} of {} is wrong on every drive", self.bit, self.path)
    }
}

fn length(drive: &Arc<SimulatedDrive>, path: &str) -> Option<u64> {
    drive.attach().open(path, OpenHow::Read).ok()?.len().ok()
}

fn around(drive: &Arc<SimulatedDrive>, path: &str, at: u64) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 2 * AROUND as usize];
    let file = drive.attach().open(path, OpenHow::Read).ok()?;
    let read = file.read_at(&mut bytes, at - AROUND).ok()?;
    (read == bytes.len()).then_some(bytes)
}

/// A life while the block is lost: whatever is answered must be right.
pub async fn live(life: &mut Life<'_>) -> String {
    let (mut unknown, mut refused) = (looks(life).await, 0);
    for _ in 0..WRITES {
        let (key, piece) = (life.key(), life.model.piece(300));
        let content = Some(Content::plain(piece));
        match life.run.put(&key, piece, WriteCondition::default()).await {
            Wrote::Done => life.model.set(&key, content),
            Wrote::Unknown(_) => life.model.may_be(&key, content),
            Wrote::Nothing(_) => refused += 1,
            Wrote::Refused(refusal) => panic!("a put is refused: {refusal:?}"),
        }
    }
    let is_taken = life.run.metadata.force_checkpoint().is_ok();
    unknown += looks(life).await;
    format!("{unknown} looks without an answer, {refused} puts refused, checkpoint {is_taken}")
}

/// Looks at every object; returns for how many there was no answer.
async fn looks(life: &mut Life<'_>) -> usize {
    let mut unknown = 0;
    for (key, open) in &life.model.objects {
        match life.run.record(key) {
            Ok(found) => {
                let is_allowed = |content: &Option<Content>| {
                    content.as_ref().map(|content| content.etag) == found.as_ref().map(|record| record.etag)
                };
                let name = String::from_utf8_lossy(key);
                assert!(open.possibilities().iter().any(is_allowed), "{name} is shown as {found:?}");
            }
            Err(_) => unknown += 1,
        }
    }
    unknown
}

/// Puts back what a backup has of what is lost, where that is what was there.
pub fn put_back(hardware: &Hardware, backup: &Arc<SimulatedDrive>) -> Result<Vec<MadeAnew>, String> {
    let clock: Arc<dyn Clock> = Arc::new(Virtual::new(hardware.now));
    let drives = vec![as_drive(backup, clock.clone())];
    let history = History::read(&drives).map_err(|error| error.to_string())?;
    let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
    let sources = Sources { index: scratch.path().join("index"), drives, former: None };
    let state = Salvaged::build(&sources, &history, clock.clone()).map_err(|error| error.to_string())?;
    let set =
        Set::open(&hardware.config(), clock, hardware.entropy.as_ref()).map_err(|error| error.to_string())?;
    make_lost_anew(&set.drives(Tier::Hot), &state).map_err(|error| error.to_string())
}

/// Takes a checkpoint, on which the next start begins.
pub fn take_checkpoint(run: &Run) {
    // A store that can't take one now begins on an older one.
    let _ = run.metadata.force_checkpoint();
}
