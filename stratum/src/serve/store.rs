//! The state that the API serves requests from, put together from the engine and the configuration.

use crate::config::Config;
use crate::load::Load;
use crate::sessions::Sessions;
use std::sync::Arc;
use stratum_api::audit::Audit;
use stratum_api::bodies::Bodies;
use stratum_api::context::{Settings, Store};
use stratum_api::traces::Traces;
use stratum_auth::{Identities, Verifier, Version2};
use stratum_cipher::KeyService;
use stratum_engine::Engine;
use stratum_storage::ambient::System;

/// What is told of requests.
pub struct Told {
    pub audit: Audit,
    pub traces: Traces,
}

/// The master keys, and the sessions of the console, whose key they wrap.
pub struct Keys {
    pub keys: Arc<dyn KeyService>,
    pub sessions: Sessions,
}

/// The state that the API serves requests from.
pub fn store(
    config: &Config,
    engine: &Engine,
    identities: Identities,
    keys: Keys,
    load: &Load,
    told: Told,
) -> Store {
    let Engine { metadata, volumes, journal, codecs, tables, usage, samples, .. } = engine.clone();
    Store {
        metadata: metadata.clone(),
        bodies: Bodies::new(metadata, volumes, journal, codecs, tables).sampling(samples.is_open()),
        identities,
        members: Default::default(),
        verifier: Verifier::new(&config.server.region).with_version_2(version_2(config)),
        policies: Default::default(),
        cors: Default::default(),
        lifecycle: Default::default(),
        websites: Default::default(),
        logging: Default::default(),
        access_logs: Default::default(),
        notifications: Default::default(),
        audit: told.audit,
        traces: told.traces,
        settings: settings(config),
        admission: load.admission.clone(),
        want_of_space: load.want_of_space.clone(),
        usage,
        samples,
        pace: engine.pace().clone(),
        clock: Arc::new(System),
        entropy: Arc::new(System),
        keys: keys.keys,
        console_sessions: Arc::new(keys.sessions),
    }
}

fn version_2(config: &Config) -> Version2 {
    if config.server.signature_v2 { Version2::Taken } else { Version2::Refused }
}

fn settings(config: &Config) -> Settings {
    let website_domain = config.server.website_domain.as_ref().map(|domain| domain.get_ref().clone());
    Settings {
        region: config.server.region.clone(),
        domains: config.server.domains.iter().chain(&website_domain).cloned().collect(),
        website_domain,
        console: config.server.console,
        anonymous: config.server.anonymous,
        object_ownership: config.server.object_ownership,
        webhooks: config.webhooks.iter().map(|webhook| webhook.name.get_ref().clone()).collect(),
        lifecycle_days: config.lifecycle_days(),
        metered: config.metrics.buckets.clone(),
        ..Settings::default()
    }
}
