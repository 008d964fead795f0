//! How a body gets into a volume: cut into stripes, encoded off the async threads, written by the lanes, synced.
//!
//! ```text
//! push -> stripe buffer -> (a blocking thread) parity and checksums -> a lane for each shard -> finish: sync, settle
//! ```
//!
//! The [`Writer`] opens volumes and finds room in them; a [`BlobWriter`] writes one body. It reserves one extent at a
//! time and has at most [`STRIPES_IN_FLIGHT`] stripes on their way besides the one that is being filled, so its memory
//! is bounded and known. Nothing it writes is named by anything until the caller commits the
//! [`BlobRef`](crate::blob::BlobRef) that [`BlobWriter::finish`] gives; one that is dropped leaves garbage, which is
//! freed.

mod body;
mod flight;
mod fullness;
mod hold;
mod pack;
mod room;
mod small;

pub use body::BlobWriter;
pub use fullness::{Fill, Fullness, Refusal};
pub use hold::{ProposedHold, ProvesNoEffect, WriteHold, Written};
pub use pack::{PackBody, PackedStripe};
pub use room::{Leave, WriteError};

use crate::blob::{Geometry, Tier};
use crate::drive::Drive;
use crate::format::layout::Stripe;
use crate::format::v1::Kind;
use crate::volume::{Buffers, Table, TierDrives, Volume, stripe_memory};
use room::Purpose;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tracing_mutex::parkinglot::Mutex;

/// Stripes of one writer that are being encoded or written at a time.
pub const STRIPES_IN_FLIGHT: u64 = 2;

/// Writes bodies, and opens the volumes that they go to.
pub struct Writer {
    table: Arc<Table>,
    tiers: Vec<TierWriter>,
    next_id: AtomicU64,
    /// Held from the choice of a new volume's number until it is recorded.
    recording: tokio::sync::Mutex<()>,
    /// Buffers of whole stripes.
    stripes: Arc<Buffers>,
    allowed: small::Allowed,
}

/// A tier, and the volume that is written to.
struct TierWriter {
    drives: TierDrives,
    current: Mutex<Option<Arc<Volume>>>,
    /// Taken by whoever opens the next volume.
    opening: tokio::sync::Mutex<()>,
}

impl Writer {
    /// `next_id` is the number of the next volume.
    pub(crate) fn new(table: Arc<Table>, next_id: u64) -> Arc<Writer> {
        let stripes = table.tiers.iter().map(|tier| stripe_memory(Stripe::full(tier.geometry)));
        let stripes = Buffers::new(stripes.max().unwrap_or_default());
        let state = |drives: &TierDrives| TierWriter {
            drives: drives.clone(),
            current: Mutex::default(),
            opening: Default::default(),
        };
        Arc::new(Writer {
            tiers: table.tiers.iter().map(state).collect(),
            table,
            next_id: next_id.into(),
            recording: Default::default(),
            stripes,
            allowed: Default::default(),
        })
    }

    /// A writer of a body of `length` bytes into a tier, with its first extent reserved.
    pub async fn write(self: &Arc<Self>, tier: Tier, length: u64) -> Result<BlobWriter, WriteError> {
        self.body(tier, length, Kind::Plain, Purpose::Body).await
    }

    /// A writer of a copy of a body that is stored already. It may use the space that is reserved for upkeep: what
    /// it copies from is freed in the end.
    pub async fn write_copy(self: &Arc<Self>, tier: Tier, length: u64) -> Result<BlobWriter, WriteError> {
        self.body(tier, length, Kind::Plain, Purpose::Upkeep).await
    }

    async fn body(
        self: &Arc<Self>,
        tier: Tier,
        length: u64,
        kind: Kind,
        purpose: Purpose,
    ) -> Result<BlobWriter, WriteError> {
        BlobWriter::new(self.clone(), tier, length, kind, purpose).await
    }

    /// Memory that a [`BlobWriter`] of the tier takes at most.
    pub fn memory(&self, tier: Tier) -> u64 {
        let full = self.table.tier(tier).map(|tier| Stripe::full(tier.geometry));
        full.map_or(0, |full| (STRIPES_IN_FLIGHT + 1) * stripe_memory(full) as u64)
    }

    /// The writer's buffers of whole stripes.
    pub(crate) fn buffers(&self) -> &Buffers {
        &self.stripes
    }

    fn tier(&self, tier: Tier) -> Option<&TierWriter> {
        self.tiers.iter().find(|state| state.drives.tier == tier)
    }
}

impl TierWriter {
    /// The geometry that the tier's next writer will most likely meet.
    fn geometry_now(&self) -> Geometry {
        self.current.lock().as_ref().map_or(self.drives.geometry, |volume| volume.geometry)
    }

    /// The drives where new shards may go.
    fn healthy(&self) -> Vec<Arc<Drive>> {
        self.drives.open_to_new()
    }
}
