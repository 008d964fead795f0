//! Looking at a volume: its shard files, then every live stripe with all of its fragments.
//!
//! While a store serves, stripes are freed, shards exchanged and fragments mended as they are looked at. So a look
//! takes a hold on the volume before it asks what is live, which keeps that from being freed, and what it finds is
//! looked at once more, and counts only if it is still live and still wrong.

use crate::blob::VolumeId;
use crate::format::layout::FILE_HEADER;
use crate::format::v1::ShardHeader;
use crate::pace::{Class, Pace};
use crate::readpath::whole::{WantedFragments, Whole};
use crate::readpath::{Flaw, Parity};
use crate::remote::{RemoteError, RemoteObject};
use crate::volume::{LiveStripe, Phase, PlacedShard, Table, Volume, VolumeLogError};
use std::sync::Arc;
use std::time::Duration;

/// Stripes that are looked at under one hold.
const STRIPES_A_HOLD: usize = 32;
/// A change that was under way at the first look is over by the second, this much later.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Why a volume can't be looked at now.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum InspectError {
    #[error("the volume is not there any more")]
    Gone,
    #[error(transparent)]
    Log(#[from] VolumeLogError),
    #[error("it was given up: {0}")]
    Interrupted(String),
}

/// What is wrong with a shard file as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileFlaw {
    /// The state says that the shard is lost.
    Lost,
    /// Its drive is missing or has failed.
    Away,
    NoFile,
    /// It is shorter than its volume is long.
    Short {
        length: u64,
    },
    /// Its header page is damaged, or says that it is another file.
    Header,
    Unreadable(String),
}

/// A live stripe that isn't whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StripeFinding {
    /// In the shard files.
    pub offset: u64,
    /// Payload bytes.
    pub payload: u32,
    /// The fragments that have a flaw, by shard.
    pub flaws: Vec<(u8, Flaw)>,
    pub parity: Parity,
    /// Fragments whose data is good.
    pub present: usize,
    /// How many there must be.
    pub needed: usize,
}

impl StripeFinding {
    /// Whether its payload can be read.
    pub fn is_readable(&self) -> bool {
        self.present >= self.needed
    }

    /// Reads all of a stripe, and says what is wrong with it, if anything is. Blocks.
    ///
    /// Nothing is wrong with a stripe whose volume came to the remote store meanwhile, and so has no fragments any more.
    /// That is asked after the reading: a volume goes there once, and never comes back.
    pub(crate) fn read(volume: &Arc<Volume>, live: LiveStripe) -> Option<StripeFinding> {
        let whole = Whole::read(volume, live, WantedFragments::All);
        match volume.remote() {
            None => StripeFinding::of(&whole),
            Some(_) => None,
        }
    }

    fn of(whole: &Whole) -> Option<StripeFinding> {
        let flaws: Vec<(u8, Flaw)> = whole.flaws().map(|(shard, flaw)| (shard, flaw.clone())).collect();
        let parity = whole.parity();
        let is_well = flaws.is_empty() && parity == Parity::Agrees;
        (!is_well).then(|| StripeFinding {
            offset: whole.live.offset,
            payload: whole.live.stripe.payload,
            flaws,
            parity,
            present: whole.present(),
            needed: whole.needed(),
        })
    }
}

/// What was found of a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Live stripes that were looked at.
    pub stripes: u64,
    /// Bytes that were read of all shard files.
    pub bytes: u64,
    /// Shard files with a flaw, by shard.
    pub files: Vec<(u8, FileFlaw)>,
    /// Stripes with a flaw, by offset.
    pub stripes_found: Vec<StripeFinding>,
    /// Why the remote store could not say whether it has a volume that should lie there.
    pub unseen: Option<String>,
}

impl Verified {
    /// Whether every fragment of every live stripe is where and what it should be.
    pub fn is_whole(&self) -> bool {
        self.files.is_empty() && self.stripes_found.is_empty()
    }
}

/// Reads everything live of a volume, all shards, and says what is wrong; changes nothing.
pub async fn verify(table: &Table, volume: VolumeId) -> Result<Verified, InspectError> {
    let volume = table.find(volume).ok_or(InspectError::Gone)?;
    if let Some(object) = volume.remote() {
        return seen_afar(table, &volume, object).await;
    }
    let live = live_stripes(table, volume.id).await?;
    blocking(move || verified(&volume, &live)).await
}

/// The same of a volume that is in use, at the pace of scrub. A hold on the volume delays the freeing of its space
/// for some stripes at a time.
pub async fn verify_in_use(
    table: &Table,
    volume: VolumeId,
    pace: &Arc<Pace>,
) -> Result<Verified, InspectError> {
    let volume = table.find(volume).ok_or(InspectError::Gone)?;
    if let Some(object) = volume.remote() {
        return seen_afar(table, &volume, object).await;
    }
    let mut verified = Verified { files: flaws_that_stay(&volume).await?, ..Verified::default() };
    let mut from = 0;
    loop {
        let _hold = volume.hold();
        let live = live_stripes(table, volume.id).await?;
        let some: Vec<LiveStripe> =
            live.into_iter().filter(|live| live.offset >= from).take(STRIPES_A_HOLD).collect();
        let Some(last) = some.last() else { return Ok(verified) };
        from = last.range().end;
        for live in some {
            let bytes = live.stripe.disk() * volume.slots().len() as u64;
            let _turn = pace.turn(Class::Scrub, bytes).await;
            verified.stripes += 1;
            verified.bytes += bytes;
            if look_at(&volume, live).await?.is_some() && is_live(table, &volume, live).await? {
                verified.stripes_found.extend(look_at(&volume, live).await?);
            }
        }
    }
}

/// What is wrong with a volume's files, by their names, their lengths and their header pages: no stripe is read, and
/// the remote store isn't asked.
pub async fn look_at_files(table: &Table, volume: VolumeId) -> Result<Verified, InspectError> {
    let volume = table.find(volume).ok_or(InspectError::Gone)?;
    let files = if volume.remote().is_some() { Vec::new() } else { flaws_that_stay(&volume).await? };
    Ok(Verified { files, ..Verified::default() })
}

/// Whether the remote store has a volume. The volume isn't read: that would be paid for.
async fn seen_afar(
    table: &Table,
    volume: &Arc<Volume>,
    object: RemoteObject,
) -> Result<Verified, InspectError> {
    let mut verified = Verified::default();
    match table.look_for_object(volume, object).await {
        Ok(()) => {}
        Err(RemoteError::Missing(_)) => {
            let lost = |live: LiveStripe| StripeFinding {
                offset: live.offset,
                payload: live.stripe.payload,
                flaws: Vec::new(),
                parity: Parity::Unknown,
                present: 0,
                needed: volume.geometry.k.into(),
            };
            verified.stripes_found = live_stripes(table, volume.id).await?.into_iter().map(lost).collect();
        }
        Err(error) => verified.unseen = Some(error.to_string()),
    }
    Ok(verified)
}

/// The stripes of a volume that records name, by offset.
pub(crate) async fn live_stripes(table: &Table, volume: VolumeId) -> Result<Vec<LiveStripe>, InspectError> {
    let log = table.log.clone();
    Ok(blocking(move || log.live_stripes(volume)).await??)
}

async fn look_at(volume: &Arc<Volume>, live: LiveStripe) -> Result<Option<StripeFinding>, InspectError> {
    let volume = volume.clone();
    blocking(move || StripeFinding::read(&volume, live)).await
}

async fn is_live(table: &Table, volume: &Volume, stripe: LiveStripe) -> Result<bool, InspectError> {
    Ok(live_stripes(table, volume.id).await?.contains(&stripe))
}

/// What is wrong with a volume's files at both of two looks: the old file of a rebuilt shard may be removed while it
/// is being looked at. Nothing, if the volume holds nothing live.
async fn flaws_that_stay(volume: &Arc<Volume>) -> Result<Vec<(u8, FileFlaw)>, InspectError> {
    let look = || {
        let volume = volume.clone();
        blocking(move || file_flaws(&volume))
    };
    let mut flaws = look().await?;
    if !flaws.is_empty() {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let again = look().await?;
        flaws.retain(|flaw| again.contains(flaw));
    }
    Ok(if volume.usage().0 == 0 { Vec::new() } else { flaws })
}

/// Runs work that blocks on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, InspectError> {
    crate::blocking::spawn(work).await.map_err(|error| InspectError::Interrupted(error.to_string()))
}

fn verified(volume: &Arc<Volume>, live: &[LiveStripe]) -> Verified {
    let mut verified = Verified { files: file_flaws(volume), ..Verified::default() };
    for live in live {
        verified.stripes += 1;
        verified.bytes += live.stripe.disk() * volume.slots().len() as u64;
        verified.stripes_found.extend(StripeFinding::read(volume, *live));
    }
    verified
}

/// What is wrong with a volume's files. Blocks.
pub(crate) fn file_flaws(volume: &Volume) -> Vec<(u8, FileFlaw)> {
    let flaw = |(shard, file): (u8, Arc<PlacedShard>)| Some((shard, file_flaw(volume, shard, &file)?));
    volume.shards().filter_map(flaw).collect()
}

fn file_flaw(volume: &Volume, shard: u8, file: &PlacedShard) -> Option<FileFlaw> {
    if let Some(absence) = file.absence() {
        return Some(absence.into());
    }
    let page = match file.read(0, FILE_HEADER as usize) {
        Ok(page) => page,
        Err(Flaw::Short) => return Some(FileFlaw::Short { length: 0 }),
        Err(flaw) => return Some(flaw.into()),
    };
    // An open descriptor outlives a deleted file.
    if file.open().is_ok_and(|file| !file.is_linked()) {
        return Some(FileFlaw::NoFile);
    }
    // A flaw that needs the whole file written anew comes before one that needs a page.
    if let Phase::Sealed { length: expected } = volume.phase() {
        match file.open().and_then(|file| file.len()) {
            Ok(length) if length >= expected => {}
            Ok(length) => return Some(FileFlaw::Short { length }),
            Err(error) => return Some(FileFlaw::Unreadable(error.to_string())),
        }
    }
    (ShardHeader::decode(&page) != Ok(header(volume, shard, file))).then_some(FileFlaw::Header)
}

/// What a shard file's header page must say.
pub(crate) fn header(volume: &Volume, shard: u8, file: &PlacedShard) -> ShardHeader {
    ShardHeader {
        volume: volume.id,
        tier: volume.tier,
        geometry: volume.geometry,
        shard,
        generation: file.generation,
        drive: file.drive_id,
    }
}

impl From<Flaw> for FileFlaw {
    fn from(flaw: Flaw) -> FileFlaw {
        match flaw {
            Flaw::Lost => FileFlaw::Lost,
            Flaw::Away => FileFlaw::Away,
            Flaw::NoFile => FileFlaw::NoFile,
            Flaw::Short => FileFlaw::Short { length: 0 },
            Flaw::Damaged => FileFlaw::Header,
            Flaw::Unreadable(error) => FileFlaw::Unreadable(error),
        }
    }
}
