//! Opens the store that a configuration describes: its drives, root's credentials, and the engine.

mod awaited;

use crate::classify;
use crate::config::Config;
use crate::credentials::Credentials;
use crate::failure::Failure;
use crate::identities::identities;
use crate::layout::{Layout, LiveMeta};
use crate::master_keys::{self, StoreKeys};
use crate::private;
use crate::remote;
use crate::root::RootCredentials;
use crate::scrubbing;
use crate::usage::UsageTask;
use std::sync::Arc;
use stratum_auth::Identities;
use stratum_cipher::KeyService;
use stratum_classify::Classifier;
use stratum_engine::{Engine, Foundation, OpenError, TieringConfig};
use stratum_storage::ambient::System;
use stratum_storage::drive::{Threads, explained};
use stratum_storage::journal;
use stratum_storage::pace::Budget;
use stratum_tiering::content::Samples;
use stratum_tiering::prices::PricesError;
use stratum_tiering::usage::Usage;
use tokio::runtime::Runtime;

/// Opens the drives of a layout and their journal.
pub fn foundation(layout: &Layout) -> Result<Foundation, OpenError> {
    let drives = layout.set_config(Threads::Own);
    Foundation::open(&drives, journal::Options::default(), Arc::new(System), Arc::new(System))
}

/// An open store, and what was found out while it was opened.
pub struct Opened {
    pub engine: Engine,
    pub layout: Layout,
    pub root: RootCredentials,
    pub identities: Identities,
    /// The master keys, which wrap the data keys of encrypted objects.
    pub keys: Arc<StoreKeys>,
    pub usage: Arc<UsageTask>,
    /// The model that classifies objects by their bytes, unless that is off.
    pub classifier: Option<Classifier>,
}

/// Opens the store of a configuration. `said` are root's credentials from the environment, if they are there.
pub fn open(config: &Config, said: Option<Credentials>, runtime: &Runtime) -> Result<Opened, Failure> {
    // What can fail without the drives is done first, so that such a failure touches no drive.
    let classifier = classify::load(config)?;
    let configured_keys = master_keys::configured(config)?;
    let remote = remote::configured(config)?;
    let mut layout = Layout::new(&config.server.data, config);
    layout.check()?;
    let foundation = awaited::await_foundation(&layout, config.server.address)?;
    layout.settle(&foundation.set.all_drives());
    std::fs::create_dir_all(&layout.meta)
        .map_err(|error| explained(&layout.meta, error))
        .map_err(|error| format!("{}: can't be made: {error}", layout.meta.display()))?;
    private::close(&layout.meta).map_err(|error| explained(&layout.meta, error)).map_err(|error| {
        format!("{}: its rights can't be taken from other users: {error}", layout.meta.display())
    })?;
    let (set, live) = (&foundation.set, layout.live(foundation.set.clone()));
    let root = RootCredentials::find(said, set, &layout.meta, live.clone())?;
    let identities = identities(config, root.credentials())?;
    let keys = Arc::new(StoreKeys::find(configured_keys, foundation.set.clone())?);
    let metas = layout.metas(&set.all_drives());
    let usage = UsageTask::open(&metas, live.clone(), config.tiering.memory as usize, config.clock.day);
    let usage = Arc::new(usage);
    let samples = Arc::new(classify::samples(config, classifier.as_ref()));
    let engine_config = engine_config(config, &layout, live, usage.usage().clone(), samples)
        .map_err(|error| error.to_string())?;
    let engine_config =
        stratum_engine::Config { keys: Some(keys.clone() as Arc<dyn KeyService>), remote, ..engine_config };
    let engine = runtime.block_on(Engine::open(foundation, engine_config))?;
    runtime.block_on(async { keys.keep(&engine) }).inspect_err(|_| engine.shutdown())?;
    Ok(Opened { engine, layout, root, identities, keys, usage, classifier })
}

/// The engine's configuration. `layout` must have been settled already, since it says where the index lies.
fn engine_config(
    config: &Config,
    layout: &Layout,
    live: LiveMeta,
    usage: Arc<Usage>,
    samples: Arc<Samples>,
) -> Result<stratum_engine::Config, PricesError> {
    let (policy, prices, memory) = (config.policy(), config.tiers.prices()?, config.tiering.memory as usize);
    Ok(stratum_engine::Config {
        budget: Budget {
            bytes_per_second: config.background.bytes_per_second,
            operations_per_second: config.background.operations_per_second,
        },
        narrow_after: config.heal.narrow_after,
        scrub: scrubbing::progress(&layout.meta, live),
        codecs: config.tiers.codecs(),
        usage,
        samples,
        tiering: TieringConfig { policy, prices, memory },
        lifecycle_days: config.lifecycle_days(),
        ..stratum_engine::Config::new(layout.index())
    })
}
