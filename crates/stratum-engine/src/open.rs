//! Opens an engine over its foundation: the order in which the layers come up.

use crate::provisional::{self, Restored};
use crate::remote_claims::ClaimsOnDrives;
use crate::tasks::lifecycle::Lifecycle;
use crate::tasks::state_copies;
use crate::tiering::{Contents, Tiering};
use crate::{Config, Engine, Foundation, Rewrapper, StateCopies};
use std::sync::Arc;
use stratum_bodies::Tables;
use stratum_metadata::salvage::lost_files;
use stratum_metadata::{CommitError, Compactor, Metadata, Mover, Options, Quarantine, Reviews, Transitions};
use stratum_storage::balance::Balancer;
use stratum_storage::blob::{Tier, VolumeId};
use stratum_storage::heal::Healer;
use stratum_storage::journal::JournalError;
use stratum_storage::pace::Pace;
use stratum_storage::remote::{Claimant, Remote};
use stratum_storage::scrub::Scrubber;
use stratum_storage::set::SetError;
use stratum_storage::upload::Uploader;
use stratum_storage::volume::{TierDrives, VolumeRecord};
use stratum_storage::volumes::{self, Restore, RestoreError, Volumes};

/// Why a store can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("there is no hot tier")]
    NoHotTier,
    #[error(transparent)]
    Set(#[from] SetError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    State(#[from] stratum_metadata::OpenError),
    #[error("the store can't begin: {0}")]
    Begin(#[from] CommitError),
    #[error(transparent)]
    Read(#[from] stratum_metadata::ReadError),
    #[error(transparent)]
    Volumes(#[from] RestoreError),
}

impl OpenError {
    /// Whether too few drives are there to start safely: drives that come back later must not have a history of their
    /// own.
    pub fn is_for_want_of_drives(&self) -> bool {
        matches!(self, OpenError::Journal(JournalError::TooFew(_)))
    }

    /// Whether something that is lost of the index may be the reason.
    fn may_be_of_a_lost_block(&self) -> bool {
        match self {
            OpenError::State(error) => error.is_of_the_checkpoint(),
            OpenError::Read(_) | OpenError::Volumes(RestoreError::Log(_)) => true,
            _ => false,
        }
    }
}

impl Engine {
    /// Builds the state and opens the volumes. Blocks, for as long as a rebuild of the index takes if one is needed.
    pub async fn open(foundation: Foundation, config: Config) -> Result<Engine, OpenError> {
        let (metadata, volumes, restored) = match bring_up(&foundation, &config).await {
            Err(error) if error.may_be_of_a_lost_block() && put_back(&foundation, &config).await => {
                tracing::warn!(%error, "the start failed before what was lost was put back, and begins anew");
                bring_up(&foundation, &config).await?
            }
            outcome => outcome?,
        };
        Ok(assemble(foundation, config, metadata, volumes, restored))
    }
}

async fn bring_up(
    foundation: &Foundation,
    config: &Config,
) -> Result<(Metadata, Volumes, volumes::Restored), OpenError> {
    let metadata = open_metadata(foundation, config)?;
    metadata.begin(config.first_level).await.inspect_err(|_| metadata.shutdown())?;
    let restored = restore_volumes(foundation, &metadata, config).await;
    let (volumes, restored) = restored.inspect_err(|_| metadata.shutdown())?;
    Ok((metadata, volumes, restored))
}

/// Puts back what is lost of the index from the copy of the state in the remote store, without which the store doesn't open. Gives
/// whether any of it was. Reads all of the index.
async fn put_back(foundation: &Foundation, config: &Config) -> bool {
    let Some(store) = config.remote.clone() else { return false };
    let remote = Remote::read_only(store, foundation.clock.clone());
    let lost = lost_files(&foundation.set.drives(Tier::JOURNAL)).unwrap_or_default();
    let mut is_any_back = false;
    for file in lost {
        match state_copies::put_back(&file, &remote).await {
            Ok(_) => is_any_back = true,
            Err(error) => {
                tracing::error!(%error, "what is lost of the index can't be put back from the copy of the state")
            }
        }
    }
    is_any_back
}

fn open_metadata(foundation: &Foundation, config: &Config) -> Result<Metadata, OpenError> {
    let Foundation { set, log, clock, threads, .. } = foundation;
    let geometry = set.geometry(Tier::JOURNAL).ok_or(OpenError::NoHotTier)?;
    let options = Options {
        index: config.index.clone(),
        drives: set.roster(Tier::JOURNAL).ok_or(OpenError::NoHotTier)?,
        copies: usize::from(geometry.m) + 1,
        sizes: config.checkpoint_sizes,
    };
    let is_provisional = Restored::read(set)?.is_some_and(|restored| !restored.accepted);
    let metadata = Metadata::open_on(&options, log.clone(), clock.clone(), *threads)?;
    if is_provisional {
        tracing::warn!("{}", provisional::NOTE);
        metadata.hold_back();
    }
    Ok(metadata)
}

/// Opens the volumes that the state names, and connects the state to them.
async fn restore_volumes(
    foundation: &Foundation,
    metadata: &Metadata,
    config: &Config,
) -> Result<(Volumes, volumes::Restored), OpenError> {
    let set = &foundation.set;
    let tiers = Tier::ALL.into_iter().filter_map(|tier| {
        let (geometry, drives) = (set.geometry(tier)?, set.roster(tier)?);
        Some(TierDrives { tier, geometry, drives })
    });
    let records = metadata.local().volumes()?;
    let restore = Restore {
        tiers: tiers.collect(),
        remote: open_remote(foundation, config, &records).await,
        records,
        next_id: next_volume(metadata.next_volume_id(), Restored::read(set)?),
        reserve: config.reserve,
        log: Arc::new(metadata.clone()),
    };
    let (volumes, restored) = Volumes::restore(restore).await?;
    let volumes::Restored { volumes: count, sealed, removed, unfinished, unknown, .. } = &restored;
    tracing::info!(volumes = count, sealed, removed, unfinished, "restored");
    for (drive, file) in unknown {
        tracing::warn!(drive, file, "a file that belongs to no record; left alone");
    }
    metadata.attach(volumes.table.clone())?;
    Ok((volumes, restored))
}

/// The number of the next volume. A restored state doesn't know the last volumes before the restore, and an object in
/// a remote store that belongs to one of those must not be taken for a new volume of the same number. So numbers go
/// on from the time of the restore in milliseconds, which no count of volumes reaches.
fn next_volume(next: VolumeId, restored: Option<Restored>) -> VolumeId {
    next.max(VolumeId(restored.map_or(0, |restored| restored.at)))
}

/// The remote store, claimed for this start if it is this store's. If it isn't, or can't be reached now, the store opens without it:
/// nothing is written there, only what lies there can't be read, and the status says why.
async fn open_remote(
    foundation: &Foundation,
    config: &Config,
    records: &[VolumeRecord],
) -> Option<Arc<Remote>> {
    let volumes = records.iter().filter(|record| record.remote.is_some()).count() as u64;
    let Some(store) = config.remote.clone() else {
        if volumes > 0 {
            tracing::error!(
                volumes,
                "volumes lie in a remote store, and none is configured: set tiers.cold.remote"
            );
        }
        return None;
    };
    let Foundation { set, clock, entropy, .. } = foundation;
    let memory = Arc::new(ClaimsOnDrives(set.clone()));
    let claimant = Claimant { owner: set.id().to_string(), memory, entropy: entropy.clone() };
    let remote = Remote::new(store, claimant, clock.clone());
    // Before anything goes from there: an earlier run may have made a copy that names it.
    remote.keeps_state();
    if let Err(error) = remote.tend(volumes).await {
        tracing::error!(place = remote.place(), %error, "going on without the remote store for now");
    }
    Some(remote)
}

/// Assembles what works on the layers.
fn assemble(
    foundation: Foundation,
    config: Config,
    metadata: Metadata,
    volumes: Volumes,
    restored: volumes::Restored,
) -> Engine {
    let Foundation { set, journal, clock, entropy, .. } = foundation;
    let Config {
        reserve,
        files_interval,
        budget,
        narrow_after,
        least_move,
        scrub,
        codecs,
        tiering,
        lifecycle_days,
        usage,
        samples,
        keys,
        ..
    } = config;
    let pace = Pace::new(budget, clock.clone());
    let mover = Mover { metadata: metadata.clone(), volumes: volumes.clone(), pace: pace.clone() };
    let healer = Healer::new(volumes.rebuilder.clone(), pace.clone(), clock.clone());
    let healer = Arc::new(healer.narrowing(narrow_after, Arc::new(mover.clone())));
    let scrubber = Scrubber::new(
        volumes.rebuilder.clone(),
        healer.clone(),
        pace.clone(),
        clock.clone(),
        scrub.cursor,
        scrub.save,
    );
    let balancer = Balancer::new(volumes.rebuilder.clone(), healer.clone(), pace.clone(), clock.clone())
        .moving_from(least_move);
    let tables = Tables::default();
    let contents = Contents::new(usage.clone(), samples.clone());
    let transitions = Transitions {
        mover: mover.clone(),
        codecs,
        tables: tables.clone(),
        foresight: Arc::new(contents.clone()),
    };
    let reviews = Reviews::new(transitions, clock.clone());
    let uploader = Uploader::new(volumes.rebuilder.clone(), pace.clone(), clock.clone(), entropy.clone());
    let uploader = Arc::new(uploader);
    let state_copies =
        StateCopies::new(metadata.clone(), volumes.clone(), uploader.clone(), pace.clone(), clock.clone());
    let tiering =
        Tiering::new(set.clone(), metadata.clone(), volumes.clone(), contents, pace, clock.clone(), &tiering);
    let lifecycle = Lifecycle::new(metadata.clone(), usage.clone(), clock.clone(), lifecycle_days);
    Engine {
        tiering: Arc::new(tiering),
        lifecycle: Arc::new(lifecycle),
        uploader,
        state_copies: Arc::new(state_copies),
        rewrapper: Arc::new(Rewrapper::new(metadata.clone(), keys, entropy)),
        usage,
        samples,
        compactor: Compactor::new(mover.clone(), clock.clone(), narrow_after),
        quarantine: Quarantine::new(metadata.clone(), volumes.clone(), clock.clone()),
        set,
        journal,
        metadata,
        volumes,
        clock,
        mover,
        healer,
        scrubber: Arc::new(scrubber),
        balancer: Arc::new(balancer),
        copies: Arc::default(),
        codecs,
        reviews: Arc::new(reviews),
        tables,
        restored: Arc::new(restored),
        reserve,
        files_interval,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_volumes_from_before_a_restore_are_not_used_again() {
        let restored = |at| Some(Restored { entry: 7, at, accepted: true });
        assert_eq!(next_volume(VolumeId(12), None), VolumeId(12));
        assert_eq!(next_volume(VolumeId(12), restored(1_700_000_000_000)), VolumeId(1_700_000_000_000));
        let later = VolumeId(1_700_000_000_009);
        assert_eq!(next_volume(later, restored(1_700_000_000_000)), later);
    }
}
