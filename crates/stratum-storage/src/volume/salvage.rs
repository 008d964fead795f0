//! Volumes that are read where they lie and never written to: for the tools on a stopped server's drives.
//!
//! [`Volumes::restore`] seals, truncates and removes; none of that happens here. A record's shards are looked for on
//! every drive, and under other generations where the named one is gone: after a part of the history was lost, the
//! drives may be ahead of the records. That is safe, since a fragment verifies only at its own address.

use super::handle::{DIRECTORY, shard_path};
use super::restore::list_drive;
use super::table::{TierDrives, Volumes};
use super::{DriveId, LiveStripe, Shard, VolumeEvent, VolumeLog, VolumeLogError, VolumeRecord, VolumeState};
use crate::blob::VolumeId;
use crate::drive::{Drive, OpenHow};
use crate::format::layout::FILE_HEADER;
use crate::format::v1::ShardHeader;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// The shard files of the drives, by what their names say.
#[derive(Debug, Default)]
pub struct ShardFiles {
    /// The last generation comes last.
    files: BTreeMap<(VolumeId, u8), Vec<ShardFile>>,
}

/// A shard file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardFile {
    pub drive: DriveId,
    pub generation: u32,
    /// In bytes.
    pub len: u64,
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
                if let Some((volume, shard, generation)) = parse(&entry.name) {
                    let file = ShardFile { drive: drive.id(), generation, len: entry.len };
                    found.files.entry((volume, shard)).or_default().push(file);
                }
            }
        }
        found.files.values_mut().for_each(|files| files.sort_by_key(|file| file.generation));
        found
    }

    /// The volumes that have any file, each with its numbers of shards that do.
    pub fn volumes(&self) -> BTreeMap<VolumeId, Vec<u8>> {
        let mut volumes: BTreeMap<VolumeId, Vec<u8>> = BTreeMap::new();
        for (volume, shard) in self.files.keys() {
            volumes.entry(*volume).or_default().push(*shard);
        }
        volumes
    }

    /// The files of a shard, the last generation last.
    pub fn of(&self, volume: VolumeId, shard: u8) -> &[ShardFile] {
        self.files.get(&(volume, shard)).map_or(&[], Vec::as_slice)
    }

    /// The record with its shards where their files are.
    fn place(&self, mut record: VolumeRecord) -> VolumeRecord {
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

    /// A record of a volume that none is known of, from what its files say; nothing if none says enough.
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
        })
    }
}

fn read_header(drive: &Drive, path: &str) -> Option<ShardHeader> {
    let mut page = [0; FILE_HEADER as usize];
    let file = drive.io().open(path, OpenHow::Read).ok()?;
    file.read_at(&mut page, 0).ok()?;
    ShardHeader::decode(&page).ok()
}

/// What a shard file's name says.
fn parse(name: &str) -> Option<(VolumeId, u8, u32)> {
    let mut parts = name.strip_prefix('v')?.splitn(3, '.');
    let volume = VolumeId(u64::from_str_radix(parts.next()?, 16).ok()?);
    let shard = parts.next()?.strip_prefix('s')?.parse().ok()?;
    let generation = parts.next()?.strip_prefix('g')?.parse().ok()?;
    (shard_path(volume, shard, generation).strip_prefix(DIRECTORY)? == format!("/{name}"))
        .then_some((volume, shard, generation))
}

/// Nothing of these volumes is ever changed.
struct NoLog;

impl VolumeLog for NoLog {
    fn record(
        &self,
        _: VolumeEvent,
    ) -> Pin<Box<dyn Future<Output = Result<(), VolumeLogError>> + Send + '_>> {
        Box::pin(std::future::ready(Err(only_looked_at())))
    }

    fn volume(&self, _: VolumeId) -> Result<Option<VolumeRecord>, VolumeLogError> {
        Err(only_looked_at())
    }

    fn live_stripes(&self, _: VolumeId) -> Result<Vec<LiveStripe>, VolumeLogError> {
        Err(only_looked_at())
    }
}

fn only_looked_at() -> VolumeLogError {
    VolumeLogError::Unavailable("the drives are only looked at".into())
}

impl Volumes {
    /// The volumes of these records, to be read from the drives that are there. A record that makes no sense is
    /// left out.
    pub fn salvage(tiers: Vec<TierDrives>, records: Vec<VolumeRecord>, files: &ShardFiles) -> Volumes {
        let volumes = Volumes::empty(tiers, Arc::new(NoLog), u64::MAX, 0);
        for record in records {
            let id = record.id;
            match volumes.shared.volume_of(&files.place(record)) {
                Ok(volume) => drop(volumes.shared.table.write().insert(id, Arc::new(volume))),
                Err(error) => tracing::warn!(volume = %id, %error, "the volume's record makes no sense"),
            }
        }
        volumes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let name = "v000000000000002a.s03.g12";
        assert_eq!(parse(name), Some((VolumeId(42), 3, 12)));
        for other in ["v2a.s03.g12", "v000000000000002a.s3.g12", "v000000000000002a.s03.g12.tmp", "v", ""] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
