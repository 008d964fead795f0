//! Volumes: append-only containers of erasure-coded stripes.
//!
//! A volume holds at most 1 GiB of payload over `k+m` shard files on as many drives of one tier. It is *open*
//! while it takes stripes, then *sealed*, then, when nothing in it is live, *dropped*. What a volume is, is
//! metadata: [`VolumeRecord`] is kept in the state machine, and every change of it is a [`VolumeEvent`] that goes
//! through the journal before anything relies on it. This crate asks for that through [`VolumeLog`], since it
//! doesn't know who keeps the state.

mod answers;
mod buffers;
mod claim;
mod files;
mod garbage;
mod handle;
mod leaving;
mod names;
mod repairs;
mod stripe;
mod table;

pub use claim::Claim;
pub use files::{FoundShard, ShardFiles, Stray, StrayKind};
pub use leaving::Without;
pub use repairs::{BadFragment, Repairs};
pub use table::{Table, TierDrives, TierHealth};

pub(crate) use answers::{AskedShard, each_shard, is_full, outcomes};
pub use buffers::Buffer;
pub(crate) use buffers::Buffers;
pub(crate) use garbage::Freed;
pub(crate) use handle::{Phase, PlacedShard, Reservation, Took, Volume, VolumeHold};
pub(crate) use names::{DIRECTORY, finished, list_drive, parse_name, shard_path, unfinished, volume_of_path};
pub(crate) use stripe::{StripeAddress, StripeBuffer, memory as stripe_memory};
pub(crate) use table::REMOTE_TIER;

use crate::blob::{Geometry, Index, Tier, VolumeId};
use crate::drive::DriveId;
use crate::format::layout::Stripe;
use crate::format::v1::Kind;
use crate::remote::RemoteObject;
use serde::{Deserialize, Serialize};
use std::future::Future;

/// Where one shard of a volume lies, and which writing of it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    pub drive: DriveId,
    /// The generation that the shard file must carry; a rebuilt shard gets the next one.
    pub generation: u32,
    /// Lost, or missing stripes: reads go around it until it is healed.
    pub lost: bool,
}

/// A volume's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VolumeState {
    /// Takes stripes. An open volume belongs to one run of the server.
    Open,
    /// Takes no more; `length` is the length of its shard files in bytes.
    Sealed { length: u64 },
    /// Nothing in it is live and its files are being removed.
    Dropped,
}

/// Who fills a volume: one run of one server, since what an earlier run had not finished writing is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriterId {
    /// The number of the server among those of its store; 0 where there is one.
    pub node: u16,
    /// The last entry of the journal when the run began.
    pub run: Index,
}

/// What the metadata keeps of a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeRecord {
    pub id: VolumeId,
    pub tier: Tier,
    pub geometry: Geometry,
    /// One for each of the `k+m` shards: data first, then parity. None of a volume in the remote store.
    pub shards: Vec<Shard>,
    pub state: VolumeState,
    /// The end of the furthest extent or packed stripe that a record ever named, as an offset in the shard files.
    pub high_water: u64,
    /// Payload bytes that records name.
    pub live: u64,
    /// Who opened it, and alone fills it. `None` for a volume that a state of level 1 opened.
    pub writer: Option<WriterId>,
    /// What holds it in the remote store, if it lies there: it is sealed then, or dropped.
    pub remote: Option<RemoteObject>,
}

/// A change of a volume that must be durable before anything relies on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VolumeEvent {
    /// A new volume, before the first ack that relies on it.
    Opened { id: VolumeId, tier: Tier, geometry: Geometry, shards: Vec<Shard> },
    /// A shard that missed a write or is gone, before the ack of a body that lies on the others.
    ShardLost { volume: VolumeId, shard: u8 },
    /// No more stripes; the files are cut to `length` only after this is durable.
    Sealed { volume: VolumeId, length: u64 },
    /// Nothing in it is live (refused by `apply` otherwise); its files go only after this is durable.
    Dropped { volume: VolumeId },
    /// Its files are gone; the record may be forgotten.
    Forgotten { volume: VolumeId },
    /// A shard of a sealed volume was written anew, whole and durably, on that drive: `generation` follows the one
    /// that the record names, and no other shard of the volume lies there. From now on only that file counts.
    ShardRebuilt { volume: VolumeId, shard: u8, drive: DriveId, generation: u32 },
    /// All that is live in a sealed volume lies in that object of the remote store, and was read again from there. Its
    /// shards don't count any more, and their files go only after this is durable.
    Uploaded { volume: VolumeId, object: RemoteObject },
}

/// Why an event was not recorded.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum VolumeLogError {
    /// The state refused it (a drop of a volume that is live again, an unknown volume).
    #[error("the volume's state does not allow it")]
    Refused,
    /// Nothing was written, and nothing of it ever takes effect.
    #[error("it was not recorded: {0}")]
    NotWritten(String),
    /// It may have been recorded, or take effect with the next start. Of a question: it can't be answered now.
    #[error("the journal is not available: {0}")]
    Unavailable(String),
}

/// A stripe in which something lies that a record names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveStripe {
    /// In the shard files.
    pub offset: u64,
    pub stripe: Stripe,
    pub kind: Kind,
}

impl LiveStripe {
    /// The range that the stripe takes of each shard file.
    pub fn range(&self) -> std::ops::Range<u64> {
        self.offset..self.offset.saturating_add(self.stripe.disk())
    }
}

/// Keeps the state of volumes, and makes events durable and applied; implemented by the metadata.
pub trait VolumeLog: Send + Sync + 'static {
    fn record(
        &self,
        event: VolumeEvent,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<(), VolumeLogError>> + Send + '_>>;

    /// Whether the state may be an older one than the bytes on the drives (it was restored, and nobody has said yet
    /// that this is how it is to be): nothing is punched, truncated, put aside or removed meanwhile.
    fn is_provisional(&self) -> bool {
        false
    }

    /// Whether the state can say of a volume that it lies in a remote store.
    fn takes_uploads(&self) -> bool {
        true
    }

    /// What the state says of a volume; nothing if it knows none of that number. May block for a moment.
    fn volume(&self, volume: VolumeId) -> Result<Option<VolumeRecord>, VolumeLogError>;

    /// The stripes of a volume that records name, by offset. May block for some milliseconds.
    fn live_stripes(&self, volume: VolumeId) -> Result<Vec<LiveStripe>, VolumeLogError>;
}
