//! Fragments written anew where they lie, on drives that are well.
//!
//! A bad fragment is verified again first: a reader may have met it while it was being freed or rebuilt. What is
//! written in place was bad before, so a write that is torn by a crash leaves nothing worse behind. A shard file that
//! is gone, cut off, somebody else's or bad in many places isn't mended but counted as lost, and rebuilt as a whole.

use super::{HealError, Rebuilder};
use crate::blob::VolumeId;
use crate::drive::{FileIo, questions};
use crate::format::layout::FILE_HEADER;
use crate::format::v1::ShardHeader;
use crate::inspect::{FileFlaw, blocking, file_flaws, header, live_stripes};
use crate::pace::{Class, Pace};
use crate::readpath::whole::{WantedFragments, Whole};
use crate::readpath::{Flaw, Parity};
use crate::volume::{BadFragment, LiveStripe, PlacedShard, Volume};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

/// Bad fragments of one shard from which on it is rebuilt as a whole, if they are a quarter of all.
const REBUILD_FROM_FRAGMENTS: usize = 16;

/// What was done about some stripes of a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mended {
    /// Fragments and header pages that were written anew.
    pub written: u64,
    /// Stripes of which too few fragments are left.
    pub unreadable: BTreeSet<u64>,
    /// The remote store doesn't have the volume's object, so all its live stripes are unreadable.
    pub is_absent: bool,
    /// Stripes whose checksums are right and whose parity isn't, and nobody can say which bytes are right.
    pub ambiguous: BTreeSet<u64>,
    /// Shards that must be rebuilt as a whole.
    pub lost: BTreeSet<u8>,
}

/// What became of one stripe.
enum Outcome {
    /// The shards of which a fragment was written anew, and those that must be rebuilt as a whole.
    Mended {
        written: Vec<u8>,
        lost: Vec<u8>,
    },
    Unreadable,
    Ambiguous,
}

impl Rebuilder {
    /// Looks at some stripes of a volume again, and writes what is bad anew. Claim the volume first.
    pub(crate) async fn mend(
        &self,
        volume: &Arc<Volume>,
        offsets: &BTreeSet<u64>,
        pace: &Arc<Pace>,
        task: Class,
    ) -> Result<Mended, HealError> {
        if let Some(object) = volume.remote() {
            return self.look_at_object(volume, object, offsets, pace, task).await;
        }
        let mut mended = self.mend_files(volume).await?;
        let live = live_stripes(&self.table, volume.id).await?;
        let mut bad: BTreeMap<u8, usize> = BTreeMap::new();
        let stripes = live.len();
        for live in live.into_iter().filter(|live| offsets.contains(&live.offset)) {
            let turn = pace.turn(task, live.stripe.disk() * volume.slots().len() as u64).await;
            let (within, lost) = (volume.clone(), mended.lost.clone());
            let outcome = blocking(move || mend_stripe(&within, live, &lost)).await?;
            drop(turn);
            match outcome.map_err(|(shard, error)| of_shard(volume, shard, &error))? {
                Outcome::Unreadable => drop(mended.unreadable.insert(live.offset)),
                Outcome::Ambiguous => drop(mended.ambiguous.insert(live.offset)),
                Outcome::Mended { written, lost } => {
                    mended.written += written.len() as u64;
                    written.iter().for_each(|shard| *bad.entry(*shard).or_default() += 1);
                    let many =
                        bad.iter().filter(|(_, bad)| **bad >= REBUILD_FROM_FRAGMENTS && **bad * 4 >= stripes);
                    let many: Vec<u8> = many.map(|(shard, _)| *shard).collect();
                    for shard in lost.into_iter().chain(many) {
                        self.give_up(volume, shard).await?;
                        mended.lost.insert(shard);
                    }
                }
            }
        }
        metrics::counter!("stratum_fragments_mended_total").increment(mended.written);
        self.free_what_is_dead(volume, offsets).await?;
        Ok(mended)
    }

    /// Looks at a volume's files: header pages are written anew, other flaws make lost shards.
    pub(crate) async fn mend_files(&self, volume: &Arc<Volume>) -> Result<Mended, HealError> {
        let mut mended = Mended::default();
        let within = volume.clone();
        for (shard, flaw) in blocking(move || file_flaws(&within)).await? {
            match flaw {
                FileFlaw::Lost | FileFlaw::Away => {}
                // Its fragments say whether the drive still answers.
                FileFlaw::Unreadable(_) => {}
                FileFlaw::NoFile | FileFlaw::Short { .. } => drop(mended.lost.insert(shard)),
                FileFlaw::Header => {
                    if let Some(drive) = volume.shard(shard).and_then(|file| file.drive.clone()) {
                        drive.found_rot();
                    }
                    let within = volume.clone();
                    match blocking(move || mend_header(&within, shard)).await? {
                        Ok(true) => mended.written += 1,
                        Ok(false) => drop(mended.lost.insert(shard)),
                        Err(error) => return Err(of_shard(volume, shard, &error)),
                    }
                }
            }
        }
        for shard in mended.lost.clone() {
            self.give_up(volume, shard).await?;
        }
        Ok(mended)
    }

    /// Counts a shard as lost, so that it is rebuilt as a whole.
    pub(crate) async fn give_up(&self, volume: &Volume, shard: u8) -> Result<(), HealError> {
        let Some(file) = volume.shard(shard) else { return Ok(()) };
        // A file that is gone with its drive isn't lost: the drive is.
        let Some(drive) = file.drive.clone() else { return Ok(()) };
        if questions::ask(&[drive], |drive| drive.check()).await != [Some(true)] {
            return Ok(());
        }
        Ok(self.table.lose_shard(volume, shard, &file).await?)
    }

    /// Frees dead ranges again: a fragment that was freed while it was being mended may have been written after its
    /// range was punched.
    async fn free_what_is_dead(&self, volume: &Volume, offsets: &BTreeSet<u64>) -> Result<(), HealError> {
        let live = live_stripes(&self.table, volume.id).await?;
        let mut at = FILE_HEADER;
        for live in live {
            if offsets.range(at..live.offset).next().is_some() {
                self.table.free_range(volume.id, at..live.offset);
            }
            at = at.max(live.range().end);
        }
        Ok(())
    }
}

/// Writes the bad fragments of a stripe anew. Blocks.
fn mend_stripe(
    volume: &Arc<Volume>,
    live: LiveStripe,
    given_up: &BTreeSet<u8>,
) -> Result<Outcome, (u8, io::Error)> {
    let mut whole = Whole::read(volume, live, WantedFragments::All);
    match whole.parity() {
        Parity::Agrees | Parity::Unknown => {}
        Parity::Ambiguous => return Ok(Outcome::Ambiguous),
        Parity::Disagrees { shard } => {
            tracing::error!(volume = %volume.id, shard, offset = live.offset, "all other shards contradict this one");
            whole.distrust(shard);
        }
    }
    let is_mendable = |flaw: &Flaw| matches!(flaw, Flaw::Damaged | Flaw::Unreadable(_));
    let is_gone = |flaw: &Flaw| matches!(flaw, Flaw::NoFile | Flaw::Short);
    let of = |wanted: &dyn Fn(&Flaw) -> bool| -> Vec<u8> {
        let flaws = whole.flaws().filter(|(shard, flaw)| wanted(flaw) && !given_up.contains(shard));
        flaws.map(|(shard, _)| shard).collect()
    };
    let (bad, lost) = (of(&is_mendable), of(&is_gone));
    if whole.complete().is_err() {
        return Ok(Outcome::Unreadable);
    }
    for shard in &bad {
        let Some(file) = volume.shard(*shard).filter(|file| file.is_good()) else { continue };
        let Some(fragment) = whole.fragment(*shard, file.generation) else { continue };
        write(&file, &fragment, live.offset).map_err(|error| (*shard, error))?;
        tracing::info!(volume = %volume.id, shard, offset = live.offset, "mended a fragment");
    }
    let again = Whole::read(volume, live, WantedFragments::All);
    let still = again.flaws().filter(|(shard, flaw)| bad.contains(shard) && is_mendable(flaw));
    let failing: Vec<u8> = still.map(|(shard, _)| shard).collect();
    let written = bad.into_iter().filter(|shard| !failing.contains(shard)).collect();
    Ok(Outcome::Mended { written, lost: lost.into_iter().chain(failing).collect() })
}

/// Writes a damaged header page anew; false if it is the page of another file. Blocks.
fn mend_header(volume: &Volume, shard: u8) -> io::Result<bool> {
    let Some(file) = volume.shard(shard).filter(|file| file.is_good()) else { return Ok(true) };
    let is_anothers = file.read(0, FILE_HEADER as usize).is_ok_and(|page| ShardHeader::decode(&page).is_ok());
    if is_anothers {
        return Ok(false);
    }
    write(&file, &header(volume, shard, &file).encode(), 0)?;
    tracing::info!(volume = %volume.id, shard, "mended a shard file's header");
    Ok(true)
}

fn write(file: &PlacedShard, bytes: &[u8], offset: u64) -> io::Result<()> {
    let file: Arc<dyn FileIo> = file.open()?;
    file.write_at(&[bytes], offset)?;
    file.sync()
}

fn of_shard(volume: &Volume, shard: u8, error: &io::Error) -> HealError {
    match volume.shard(shard).and_then(|file| file.drive.clone()) {
        Some(drive) => HealError::of_drive(&drive, error),
        None => HealError::NoDrive,
    }
}

/// The bad fragments that were reported, by volume.
pub(super) fn by_volume(bad: &[BadFragment]) -> BTreeMap<VolumeId, BTreeSet<u64>> {
    let mut by_volume: BTreeMap<VolumeId, BTreeSet<u64>> = BTreeMap::new();
    for bad in bad {
        by_volume.entry(bad.volume).or_default().insert(bad.offset);
    }
    by_volume
}
