//! Tables of frames that were read lately, so that the next range of a body needs its frames alone.
//!
//! A place in a volume is never used twice in the store's life, so what was read of one place holds for ever, and what
//! was moved or deleted is asked for no more.

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::Arc;
use stratum_frames::Table;
use stratum_storage::blob::{BlobRef, Place, VolumeId};
use stratum_storage::cache::{Bounds, bounded};

/// Bytes of tables that are kept: those of 256 GiB of plaintext.
const KEPT_BYTES: u64 = 16 << 20;
/// About how many tables that is, for bodies of some MiB.
const USUAL_TABLES: usize = 16 << 10;
/// More than the longest table takes, in bytes.
const LONGEST_BYTES: u64 = 1 << 20;
/// What keeping a table takes beside it, in bytes.
const ENTRY_BYTES: u64 = 128;

/// The tables that were read lately. A cheap handle.
#[derive(Clone)]
pub struct Tables(Arc<Cache<At, Arc<Table>, Weight>>);

/// Where a body begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct At {
    volume: VolumeId,
    stripe: u64,
    offset: u32,
}

impl At {
    /// `None` of a body that lies in no volume.
    pub fn of(blob: &BlobRef) -> Option<At> {
        match &blob.place {
            Place::Extents(extents) => {
                extents.first().map(|first| At { volume: first.volume, stripe: first.start, offset: 0 })
            }
            Place::Packed(at) => Some(At { volume: at.volume, stripe: at.stripe, offset: at.offset }),
            Place::Empty | Place::ThisEntry { .. } | Place::Journal { .. } => None,
        }
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<At, Arc<Table>> for Weight {
    fn weight(&self, _at: &At, table: &Arc<Table>) -> u64 {
        table.memory() as u64 + ENTRY_BYTES
    }
}

impl Default for Tables {
    fn default() -> Self {
        let bounds = Bounds { usual_values: USUAL_TABLES, most: KEPT_BYTES, heaviest: LONGEST_BYTES };
        Self(Arc::new(bounded(bounds, Weight)))
    }
}

impl Tables {
    pub(crate) fn get(&self, at: &At) -> Option<Arc<Table>> {
        self.0.get(at)
    }

    pub(crate) fn keep(&self, at: At, table: Arc<Table>) {
        self.0.insert(at, table);
    }
}
