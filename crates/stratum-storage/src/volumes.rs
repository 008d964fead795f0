//! The volumes of a store, and who works on them.
//!
//! What is known of them stands in one [`Table`]. The [`Writer`], the [`Reader`], the [`Reclaimer`], the
//! [`Rebuilder`] and [`Strays`], which looks for unknown files, work on it, and each keeps only what nobody else
//! needs to know. They learn of each other through the table alone, except where the work of one is a part of
//! another's.

mod restore;

pub use restore::{Restore, RestoreError, Restored};

use crate::heal::Rebuilder;
use crate::quarantine::Strays;
use crate::readpath::Reader;
use crate::reclaim::{Reclaimer, Tended};
use crate::remote::Remote;
use crate::volume::{Phase, Table, TierDrives, VolumeLog, VolumeLogError, VolumeRecord};
use crate::writepath::Writer;
use std::fmt;
use std::sync::Arc;

/// The table, and who works on it. Cheap handles.
#[derive(Clone)]
pub struct Volumes {
    pub table: Arc<Table>,
    pub writer: Arc<Writer>,
    pub reader: Arc<Reader>,
    pub reclaimer: Arc<Reclaimer>,
    pub rebuilder: Arc<Rebuilder>,
    pub strays: Arc<Strays>,
}

/// What there is, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VolumeStats {
    pub open: u64,
    pub sealed: u64,
    /// Dropped volumes whose files are still to be removed.
    pub dropped: u64,
    /// Payload bytes that records name.
    pub live: u64,
    /// Bytes of sealed volumes' shard files, all shards counted.
    pub sealed_disk: u64,
    pub lost_shards: u64,
    /// Fragments that were found bad and wait for repair.
    pub repairs: u64,
    /// Ranges and volumes that wait for their readers.
    pub freed: u64,
    /// Memory in idle buffers.
    pub idle_buffers: u64,
}

impl fmt::Debug for Volumes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Volumes({:?})", self.stats())
    }
}

impl Volumes {
    /// `next_id` is the number of the first volume that this run opens.
    fn over(table: Arc<Table>, next_id: u64) -> Volumes {
        let strays = Arc::new(Strays::new(table.clone()));
        Volumes {
            writer: Writer::new(table.clone(), next_id),
            reader: Reader::new(table.clone()),
            reclaimer: Arc::new(Reclaimer::new(table.clone())),
            rebuilder: Arc::new(Rebuilder::new(table.clone(), strays.clone())),
            strays,
            table,
        }
    }

    /// The volumes of these records, to be read from the drives that are there, and from the remote store; `log` says
    /// what is live in them and records nothing. A record that makes no sense is left out.
    pub fn salvage(
        tiers: Vec<TierDrives>,
        records: Vec<VolumeRecord>,
        log: Arc<dyn VolumeLog>,
        remote: Option<Arc<Remote>>,
    ) -> Volumes {
        let volumes = Volumes::over(Table::new(tiers, log, 0, remote), u64::MAX);
        for record in records {
            if let Err(error) = volumes.table.insert_record(&record) {
                tracing::warn!(volume = %record.id, %error, "the volume's record makes no sense");
            }
        }
        volumes
    }

    /// One round of upkeep: idle memory is given back, and space. For a background task, every second or so.
    pub async fn tend(&self) -> Result<Tended, VolumeLogError> {
        self.writer.buffers().shrink();
        self.reader.buffers().shrink();
        self.reclaimer.round().await
    }

    pub fn stats(&self) -> VolumeStats {
        let idle = self.writer.buffers().idle() + self.reader.buffers().idle();
        let mut stats = VolumeStats {
            repairs: self.table.repairs.len() as u64,
            freed: (self.table.freed() + self.reclaimer.waiting()) as u64,
            idle_buffers: idle as u64,
            ..VolumeStats::default()
        };
        for volume in self.table.read().values() {
            match volume.phase() {
                Phase::Open(_) => stats.open += 1,
                Phase::Sealed { length } => {
                    stats.sealed += 1;
                    stats.sealed_disk += length * volume.slots().len() as u64;
                }
                Phase::Dropped => stats.dropped += 1,
            }
            stats.live += volume.usage().0;
            stats.lost_shards += (volume.slots().len() - volume.shards_left()) as u64;
        }
        stats
    }
}
