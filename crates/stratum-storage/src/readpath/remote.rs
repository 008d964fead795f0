//! Bytes of a volume that lies in the remote store.
//!
//! A run of a body's pieces that lie close together is one ranged request, of [`RUN_BYTES`] at most, and
//! [`RUNS_AT_ONCE`] of them are under way for a long body. Each block is checked as one from a drive is. A body that
//! fits into a run is always asked for as a whole and remembered for a moment: whoever reads a coded body wants its
//! table first, and then the rest of it.

use super::fetch::checked;
use super::plan::{PlacedPiece, ReadPlan};
use super::{ReadError, Reader};
use crate::blob::{BlobRef, VolumeId};
use crate::cache::{Bounds, bounded};
use crate::format::layout::Blocks;
use crate::format::remote::{GENERATION, object_length, piece_range};
use crate::remote::{RemoteError, RemoteObject};
use crate::volume::{BadFragment, Phase, Table, Volume};
use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::ops::Range;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// What one request asks for at most: a body of 1 MiB with what lies between its fragments.
pub(super) const RUN_BYTES: u64 = 5 << 18;
/// Runs that are under way for one reader.
pub(super) const RUNS_AT_ONCE: usize = 3;
/// Bytes of small bodies that are remembered for whoever reads the rest of them.
const RECENT_BYTES: u64 = 16 << 20;
/// How often bytes are asked for that don't verify.
pub(crate) const REMOTE_ATTEMPTS: usize = 2;

/// A range of a volume's object.
type At = (VolumeId, u64, u64);

/// Small bodies that were read a moment ago.
pub(super) struct RecentBodies(Cache<At, Bytes, Length>);

#[derive(Clone)]
struct Length;

impl Weighter<At, Bytes> for Length {
    fn weight(&self, _: &At, bytes: &Bytes) -> u64 {
        bytes.len() as u64
    }
}

impl Default for RecentBodies {
    fn default() -> RecentBodies {
        let usual_values = (RECENT_BYTES / RUN_BYTES) as usize * 8;
        RecentBodies(bounded(Bounds { usual_values, most: RECENT_BYTES, heaviest: RUN_BYTES }, Length))
    }
}

/// Pieces that one request gives.
#[derive(Clone, Debug)]
pub(super) struct Run {
    volume: Arc<Volume>,
    object: RemoteObject,
    pieces: Vec<PlacedPiece>,
    /// Bytes of the object.
    range: Range<u64>,
    /// The range is a whole body's, which is remembered.
    is_body: bool,
}

impl Run {
    /// The run that begins with a piece; takes those off the plan that follow it closely. Nothing if the piece lies on
    /// drives. `body` is where all of the body lies, if that is one run.
    pub fn begin(first: &PlacedPiece, plan: &mut ReadPlan, body: Option<&Range<u64>>) -> Option<Run> {
        let mut run = Run::of(first)?;
        while let Some(next) = plan.next_if(|next| run.reaches(next)) {
            run.range.end = piece_range(&next.piece).end;
            run.pieces.push(next);
        }
        if let Some(body) = body.filter(|body| body.start <= run.range.start && run.range.end <= body.end) {
            (run.range, run.is_body) = (body.clone(), true);
        }
        Some(run)
    }

    /// A piece alone.
    pub fn of(piece: &PlacedPiece) -> Option<Run> {
        let (volume, object, range) =
            (piece.volume.clone(), piece.volume.remote()?, piece_range(&piece.piece));
        Some(Run { volume, object, pieces: vec![piece.clone()], range, is_body: false })
    }

    fn reaches(&self, next: &PlacedPiece) -> bool {
        let range = piece_range(&next.piece);
        Arc::ptr_eq(&next.volume, &self.volume)
            && range.start >= self.range.end
            && range.end - self.range.start <= RUN_BYTES
    }

    fn at(&self) -> At {
        (self.volume.id, self.range.start, self.range.end)
    }

    /// The bytes of its pieces in the object's bytes, block by block; the piece that doesn't verify, if one doesn't.
    fn check(&self, bytes: &Bytes) -> Result<Vec<Bytes>, &PlacedPiece> {
        let mut all = Vec::new();
        for target in &self.pieces {
            let range = piece_range(&target.piece);
            let within = (range.start - self.range.start) as usize..(range.end - self.range.start) as usize;
            let blocks = Blocks::covering(&target.piece.bytes);
            let stored = bytes.get(within.clone()).ok_or(target)?;
            let ranges = checked(target, GENERATION, target.piece.shard, blocks, stored).ok_or(target)?;
            all.extend(ranges.map(|part| bytes.slice(within.start + part.start..within.start + part.end)));
        }
        Ok(all)
    }
}

/// Where all of a body lies in its volume's object, if it lies there and is one run.
pub(super) fn range_of_body(table: &Table, blob: &BlobRef, plan: &ReadPlan) -> Option<Range<u64>> {
    let is_remote = plan.volumes().any(|volume| volume.remote().is_some());
    if !is_remote || blob.len() > RUN_BYTES {
        return None;
    }
    let mut plan = ReadPlan::new(table, blob, 0..blob.len()).ok()?;
    let first = plan.next()?.ok()?;
    let run = Run::begin(&first, &mut plan, None)?;
    (plan.remaining() == 0).then_some(run.range)
}

/// Reads a run in a task of its own.
pub(super) fn fetch(run: Run, reader: Arc<Reader>) -> JoinHandle<Result<Vec<Bytes>, ReadError>> {
    tokio::spawn(async move { read(&run, &reader).await })
}

pub(super) async fn read(run: &Run, reader: &Reader) -> Result<Vec<Bytes>, ReadError> {
    let (volume, at) = (&run.volume, run.at());
    let mut bad = None;
    for _ in 0..REMOTE_ATTEMPTS {
        let bytes = match reader.recent.0.get(&at) {
            Some(bytes) => bytes,
            None => ask(run, reader).await?,
        };
        match run.check(&bytes) {
            Ok(pieces) => {
                if run.is_body {
                    reader.recent.0.insert(at, bytes);
                }
                return Ok(pieces);
            }
            Err(target) => bad = Some(target.piece.offset),
        }
        reader.recent.0.remove(&at);
    }
    let offset = bad.unwrap_or_default();
    report(volume, offset, &"its bytes aren't those that were stored", reader);
    Err(ReadError::RemoteDamaged { volume: volume.id, offset })
}

async fn ask(run: &Run, reader: &Reader) -> Result<Bytes, ReadError> {
    let outcome = match &reader.table.remote {
        Some(remote) => remote.read(run.volume.id, run.object, run.range.clone()).await,
        None => Err(RemoteError::Unavailable(NO_REMOTE.into())),
    };
    if let (Err(error @ RemoteError::Missing(_)), Some(first)) = (&outcome, run.pieces.first()) {
        report(&run.volume, first.piece.offset, error, reader);
    }
    Ok(outcome?)
}

/// Why nothing can be read of volumes in a remote store that the configuration doesn't name.
pub(crate) const NO_REMOTE: &str = "the configuration names none; set `tiers.cold.remote`";

/// Has heal look at the stripe: what heal finds unreadable is told by the objects that it belongs to.
fn report(volume: &Volume, offset: u64, error: &dyn std::fmt::Display, reader: &Reader) {
    if reader.table.repairs.add(BadFragment { volume: volume.id, shard: 0, offset }) {
        metrics::counter!("stratum_bad_fragments_total").increment(1);
        tracing::error!(volume = %volume.id, offset, %error, "the remote store doesn't give what it was given");
    }
}

impl Table {
    /// Looks whether the remote store has a volume's object, at least as long as it was stored.
    pub(crate) async fn look_for_object(
        &self,
        volume: &Volume,
        object: RemoteObject,
    ) -> Result<(), RemoteError> {
        let Phase::Sealed { length } = volume.phase() else { return Ok(()) };
        let remote = self.remote.as_ref().ok_or_else(|| RemoteError::Unavailable(NO_REMOTE.into()))?;
        let found = remote.length(volume.id, object).await?;
        let expected = object_length(volume.geometry, length);
        match found >= expected {
            true => Ok(()),
            false => Err(RemoteError::Missing(format!(
                "{} as it was stored: {found} bytes of {expected}",
                object.name(volume.id)
            ))),
        }
    }
}
