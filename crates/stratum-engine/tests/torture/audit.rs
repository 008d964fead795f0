//! Checks the accounts: volumes count as live what records name, no two records name the same bytes, and there is
//! nothing on the drives that no record knows.

use crate::hardware::Disk;
use crate::model::Model;
use crate::run::{BUCKET, Run};
use crate::versions;
use std::collections::{BTreeMap, BTreeSet};
use stratum_metadata::listing::{ListRequest, Listed, Position};
use stratum_metadata::record::{Body, UploadId};
use stratum_storage::blob::{BlobRef, Place, VolumeId};
use stratum_storage::format::layout::{extent_end, packed_end};
use stratum_storage::volume::{VolumeRecord, VolumeState};

/// What records name in a volume.
#[derive(Default)]
struct Named {
    live: u64,
    /// Where each extent and packed stripe begins and ends.
    ranges: BTreeSet<(u64, u64)>,
    /// The number of extents, each of which has one owner.
    extents: usize,
    stripes: BTreeSet<u64>,
}

/// To be called after deleted things have been swept.
pub async fn audit(run: &Run, model: &Model) -> Result<(), String> {
    let (blobs, volumes) = at_one_moment(run, model).await?;
    let geometry = |id: VolumeId| volumes.iter().find(|volume| volume.id == id).map(|volume| volume.geometry);
    let mut named: BTreeMap<VolumeId, Named> = BTreeMap::new();
    for blob in blobs {
        match &blob.place {
            Place::Packed(at) => {
                let geometry = geometry(at.volume).ok_or("a record names a volume that is not there")?;
                let named = named.entry(at.volume).or_default();
                named.live += u64::from(at.length);
                named.stripes.insert(at.stripe);
                named.ranges.insert((at.stripe, packed_end(geometry, at)));
            }
            Place::Extents(extents) => {
                for extent in extents {
                    let geometry =
                        geometry(extent.volume).ok_or("a record names a volume that is not there")?;
                    let named = named.entry(extent.volume).or_default();
                    named.live += extent.length;
                    named.extents += 1;
                    named.ranges.insert((extent.start, extent_end(geometry, extent)));
                }
            }
            Place::Empty | Place::Journal { .. } => {}
            Place::ThisEntry { .. } => return Err("a record names 'this entry'".into()),
        }
    }
    for volume in &volumes {
        check(volume, named.get(&volume.id).unwrap_or(&Named::default()))?;
    }
    Ok(())
}

/// The bodies that records name, and the volumes, of the same state: both are read again if bodies moved in between,
/// as while a drive is drained.
async fn at_one_moment(run: &Run, model: &Model) -> Result<(Vec<BlobRef>, Vec<VolumeRecord>), String> {
    loop {
        let applied = run.metadata.applied_index();
        let blobs = blobs(run, model).await?;
        let volumes = run.metadata.local().volumes().map_err(|error| error.to_string())?;
        if run.metadata.applied_index() == applied {
            return Ok((blobs, volumes));
        }
    }
}

fn check(volume: &VolumeRecord, named: &Named) -> Result<(), String> {
    let VolumeRecord { id, live, high_water, .. } = volume;
    if *live != named.live {
        return Err(format!("{id} counts {live} bytes as live, and records name {}", named.live));
    }
    if named.ranges.len() != named.extents + named.stripes.len() {
        return Err(format!("{id}: two records name one extent, or one stripe has two lengths"));
    }
    let mut end = 0;
    for (start, to) in &named.ranges {
        if *start < end {
            return Err(format!("{id}: ranges overlap at {start}"));
        }
        end = *to;
    }
    if end > *high_water {
        return Err(format!("{id}: records name bytes up to {end}, over the high water of {high_water}"));
    }
    if matches!(volume.state, VolumeState::Sealed { length } if length < end) {
        return Err(format!("{id} is cut below {end}"));
    }
    let drives: BTreeSet<_> = volume.shards.iter().map(|shard| shard.drive).collect();
    match (drives.len(), volume.remote) {
        (0, Some(_)) => Ok(()),
        (drives, None) if drives == volume.geometry.shards() => Ok(()),
        (_, None) => Err(format!("{id} has two shards on one drive")),
        (_, Some(_)) => Err(format!("{id} lies in the remote store, and has shards")),
    }
}

/// All bodies that objects and uploads name.
async fn blobs(run: &Run, model: &Model) -> Result<Vec<BlobRef>, String> {
    let (prefix, from) = (Vec::new(), Position::Start);
    let request =
        ListRequest { bucket: BUCKET, prefix, delimiter: None, from, max: 1_000_000, owners: false };
    let page = run.metadata.local().list(request).await.map_err(|error| error.to_string())?;
    let (mut blobs, mut uploads) = (Vec::new(), BTreeSet::new());
    uploads.extend(model.uploads.keys().copied());
    for entry in page.entries {
        let Listed::Entry(entry) = entry else { continue };
        match run.record(&entry.key)?.map(|record| record.body) {
            Some(Body::Blob(blob)) => blobs.push(blob),
            Some(Body::Parts { upload, .. }) => drop(uploads.insert(upload)),
            None => {}
        }
    }
    for record in versions::records(run).await? {
        match record.body {
            Body::Blob(blob) => blobs.push(blob),
            Body::Parts { upload, .. } => drop(uploads.insert(upload)),
        }
    }
    for upload in uploads {
        blobs.extend(parts(run, upload)?);
    }
    Ok(blobs)
}

fn parts(run: &Run, upload: UploadId) -> Result<impl Iterator<Item = BlobRef>, String> {
    let parts =
        run.metadata.local().scan_parts(upload, 1..=10_000, 10_000).map_err(|error| error.to_string())?;
    Ok(parts.into_iter().map(|part| part.blob))
}

/// Files of volumes on a drive.
pub fn volume_files(disk: &Disk) -> Vec<String> {
    let files = disk.drive.files().into_iter();
    files.filter(|path| path.starts_with("volumes/") && !path.ends_with(".tmp")).collect()
}
