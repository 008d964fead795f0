//! The shard files that there are, whatever the records say: for the tools on a stopped server's drives.
//!
//! For a rescue, a record's shards are looked for on every drive, and under other generations where the named one is
//! gone ([`ShardFiles::place`]): after a part of the history was lost, the drives may be ahead of the records. That is
//! safe, since a fragment verifies only at its own address.

use super::names::{finished, list_drive, parse_name, shard_path, unfinished};
use super::table::TierDrives;
use super::{Shard, VolumeRecord, VolumeState};
use crate::blob::VolumeId;
use crate::drive::{Drive, DriveId, OpenHow};
use crate::format::layout::FILE_HEADER;
use crate::format::v1::ShardHeader;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// The shard files of the drives, by what their names say.
#[derive(Debug, Default)]
pub struct ShardFiles {
    /// The last generation comes last.
    files: BTreeMap<(VolumeId, u8), Vec<FoundShard>>,
    /// Files that were never finished, by what they were to be.
    unfinished: Vec<(VolumeId, u8, FoundShard)>,
}

/// A shard file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundShard {
    pub drive: DriveId,
    pub generation: u32,
    /// In bytes.
    pub len: u64,
}

/// A shard file that no record names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stray {
    pub drive: DriveId,
    pub path: String,
    pub kind: StrayKind,
}

/// What is known of a file that no record names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StrayKind {
    Unknown,
    /// The record names a later generation of the shard, and that file is there: whoever wrote it anew, or moved it,
    /// was stopped before this one was removed. Generations only grow, so a state that is older than the drives says
    /// that of no file that a newer one names.
    Superseded,
    /// It has a temporary name: whoever wrote it was stopped before it was whole. No state names such a file.
    Unfinished,
}

impl ShardFiles {
    /// Lists the drives; one that can't be listed holds nothing.
    pub fn find(tiers: &[TierDrives]) -> ShardFiles {
        let mut found = ShardFiles::default();
        for drive in tiers.iter().flat_map(|tier| tier.drives.now().to_vec()) {
            let entries = list_drive(&drive).unwrap_or_else(|error| {
                tracing::warn!(drive = drive.label(), %error, "the volumes can't be listed");
                Vec::new()
            });
            for entry in entries {
                let file = |generation| FoundShard { drive: drive.id(), generation, len: entry.len };
                if let Some((volume, shard, generation)) = parse_name(&entry.name) {
                    found.files.entry((volume, shard)).or_default().push(file(generation));
                } else if let Some((volume, shard, generation)) = finished(&entry.name).and_then(parse_name) {
                    found.unfinished.push((volume, shard, file(generation)));
                }
            }
        }
        found.files.values_mut().for_each(|files| files.sort_by_key(|file| file.generation));
        found
    }

    /// The volumes that have any file.
    pub fn volumes(&self) -> BTreeSet<VolumeId> {
        self.files.keys().map(|(volume, _)| *volume).collect()
    }

    /// The files that none of these records names.
    pub fn strays(&self, records: &[VolumeRecord]) -> Vec<Stray> {
        let names = |record: &VolumeRecord| {
            let shards = record.shards.iter().enumerate();
            let file =
                |(number, shard): (usize, &Shard)| (shard.drive, record.id, number as u8, shard.generation);
            shards.map(file).collect::<Vec<_>>()
        };
        let known: HashSet<(DriveId, VolumeId, u8, u32)> = records.iter().flat_map(names).collect();
        let all = self.files.iter().flat_map(|(at, files)| files.iter().map(move |file| (*at, file)));
        let strange = all.filter(|((volume, shard), file)| {
            !known.contains(&(file.drive, *volume, *shard, file.generation))
        });
        let by_id: HashMap<VolumeId, &VolumeRecord> =
            records.iter().map(|record| (record.id, record)).collect();
        let is_superseded = |volume, shard: u8, file| {
            let named = by_id.get(&volume).and_then(|record| record.shards.get(usize::from(shard)));
            named.is_some_and(|named| self.is_superseded(volume, shard, file, named))
        };
        let strange = strange.map(|((volume, shard), file)| Stray {
            drive: file.drive,
            path: shard_path(volume, shard, file.generation),
            kind: match is_superseded(volume, shard, file) {
                true => StrayKind::Superseded,
                false => StrayKind::Unknown,
            },
        });
        let unfinished = self.unfinished.iter().map(|(volume, shard, file)| Stray {
            drive: file.drive,
            path: unfinished(&shard_path(*volume, *shard, file.generation)),
            kind: StrayKind::Unfinished,
        });
        strange.chain(unfinished).collect()
    }

    fn is_superseded(&self, volume: VolumeId, shard: u8, file: &FoundShard, named: &Shard) -> bool {
        let is_named = |file: &FoundShard| (file.drive, file.generation) == (named.drive, named.generation);
        !named.lost && named.generation > file.generation && self.of(volume, shard).iter().any(is_named)
    }

    /// The files of a shard, the last generation last.
    pub fn of(&self, volume: VolumeId, shard: u8) -> &[FoundShard] {
        self.files.get(&(volume, shard)).map_or(&[], Vec::as_slice)
    }

    /// The record with its shards where their files are.
    pub fn place(&self, mut record: VolumeRecord) -> VolumeRecord {
        for (number, shard) in record.shards.iter_mut().enumerate() {
            let files = self.of(record.id, number as u8);
            let named = files.iter().filter(|file| file.generation == shard.generation);
            let best = named.max_by_key(|file| file.drive == shard.drive).or(files.last());
            if let Some(file) = best {
                (shard.drive, shard.generation) = (file.drive, file.generation);
            }
        }
        record
    }

    /// A record of a volume of which no record is known, made of what its files say; `None` if no file's header can
    /// be read.
    pub fn describe(&self, volume: VolumeId, tiers: &[TierDrives]) -> Option<VolumeRecord> {
        let files = self.files.range((volume, 0)..=(volume, u8::MAX));
        let all = files.flat_map(|((_, shard), files)| files.iter().map(move |file| (*shard, file)));
        let header = all.filter_map(|(shard, file)| {
            let drive = tiers.iter().find_map(|tier| tier.drives.find(file.drive))?;
            let header = read_header(&drive, &shard_path(volume, shard, file.generation))?;
            (header.volume == volume && header.shard == shard).then_some((header, file.len))
        });
        let (header, length) = header.max_by_key(|(_, length)| *length)?;
        let nowhere = Shard { drive: header.drive, generation: 0, lost: true };
        let shard = |number: usize| match self.of(volume, number as u8).last() {
            Some(file) => Shard { drive: file.drive, generation: file.generation, lost: false },
            None => nowhere,
        };
        Some(VolumeRecord {
            id: volume,
            tier: header.tier,
            geometry: header.geometry,
            shards: (0..header.geometry.shards()).map(shard).collect(),
            state: VolumeState::Sealed { length },
            high_water: length,
            live: 0,
            writer: None,
            remote: None,
        })
    }
}

fn read_header(drive: &Drive, path: &str) -> Option<ShardHeader> {
    let mut page = [0; FILE_HEADER as usize];
    let file = drive.io().open(path, OpenHow::Read).ok()?;
    file.read_at(&mut page, 0).ok()?;
    ShardHeader::decode(&page).ok()
}
