//! `stratum server`: starts a server, serves until a signal, and stops.
//!
//! The order of the start matters: first everything that can be wrong with the command line and the configuration is
//! checked, then the drives are opened, root's credentials are found, the engine is opened over the drives
//! (`stratum_engine`), the background tasks are started, and only then the server listens.

use crate::audit::{self, Audits};
use crate::backup::configuration::Configuration;
use crate::certificate::CertificateTask;
use crate::classify::ClassifyTask;
use crate::config::{Config, ConfigError, SENDABLE, can_be_sent};
use crate::credentials::{Credentials, variable};
use crate::delivery::DeliveryTask;
use crate::failure::Failure;
use crate::figures::FiguresTask;
use crate::identities::{accounts, identities, refuse_taken_ids};
use crate::listen::{self, connection_limit, descriptor_limit, stop_signal};
use crate::load::Load;
use crate::logging::DroppedLines;
use crate::opening::{self, Opened};
use crate::operator::{Around, Operator};
use crate::otlp::Otlp;
use crate::root::RootCredentials;
use crate::sessions::Sessions;
use crate::telemetry::Telemetry;
use crate::webhook::Webhooks;
use crate::{ServerArgs, demo, logging, output, probe, stopping};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use stratum_api::admission::Admission;
use stratum_api::audit::Audit;
use stratum_api::bodies::Bodies;
use stratum_api::context::{Settings, Store};
use stratum_api::log_delivery::AccessLogTask;
use stratum_api::server::admin::Admin;
use stratum_api::server::tls::Certificate;
use stratum_api::server::{Connections, Limits, Server};
use stratum_api::traces::Traces;
use stratum_auth::{Identities, Verifier, Version2};
use stratum_cipher::KeyService;
use stratum_engine::Engine;
use stratum_engine::supervisor::{Supervisor, Tasks};
use stratum_metadata::record::Level;
use stratum_storage::ambient::System;
use stratum_storage::drive::Threads;
use stratum_storage::task::Task;
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;

/// The exit code of a start that was refused or failed, the same as of every command that couldn't be run.
const EXIT_REFUSED: u8 = 2;
/// The environment variable that may hold the token of `[metrics]`.
const TOKEN_VARIABLE: &str = "STRATUM_METRICS_TOKEN";
/// The memory that all requests together may hold, in bytes.
const REQUEST_MEMORY_BYTES: u64 = 512 << 20;
/// The most threads for hashing, coding and uncached reads. With more of them, a burst of requests would make many
/// threads compete for the processors; so requests wait in a queue instead.
const BLOCKING_THREADS: usize = 32;
/// The most connections that may wait to be accepted.
const BACKLOG_CONNECTIONS: u32 = 1024;

/// Serves until a signal. Ends with 0 after a graceful stop, and with 2 when the start was refused or failed.
pub fn run(args: ServerArgs) -> ExitCode {
    match configure(&args).map_err(Failure::from).and_then(|config| serve(&args, &config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refused) => {
            eprintln!("stratum: {refused}");
            ExitCode::from(EXIT_REFUSED)
        }
    }
}

/// The configuration of the file, with the options of the command line in place of its fields.
fn configure(args: &ServerArgs) -> Result<Config, ConfigError> {
    let mut config = args.config.as_deref().map_or_else(|| Ok(Config::default()), Config::read)?;
    config.server.anonymous |= args.anonymous;
    if let Some(address) = args.address {
        config.server.address = address;
    }
    if !args.data.is_empty() {
        config.server.data.clone_from(&args.data);
    }
    if config.server.data.is_empty() {
        config.server.data.push(PathBuf::from("data"));
    }
    Ok(config)
}

/// Starts and serves. Every error is one of the start. What fails later is told to clients and in the status, and
/// doesn't end the server.
fn serve(args: &ServerArgs, config: &Config) -> Result<(), Failure> {
    // `logging` must live until the end of this function: when it is dropped, the lines that wait are written.
    let Otlp { traces, lines, tasks: exports } = Otlp::of(&config.otlp)?;
    let logging = logging::start(&config.log, lines);
    // All of this comes before any drive is touched, so that a start that is refused here leaves no newly formed set
    // behind.
    if args.demo && config.tls.is_some() {
        return Err("--demo is for a first look over plain HTTP, and the configuration has TLS".into());
    }
    refuse_old_processors()?;
    refuse_taken_ids(config)?;
    audit::try_file(&config.audit)?;
    let said = Credentials::from_environment()?;
    said.as_ref().map(|said| identities(config, said)).transpose()?;
    let webhooks = Webhooks::of(&config.webhooks)?;
    let entrance = Entrance::of(config)?;
    let telemetry = Telemetry::install().map_err(|error| error.to_string())?;
    #[cfg(feature = "faults")]
    plan_faults(args)?;

    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.enable_all().max_blocking_threads(BLOCKING_THREADS).build();
    let runtime = runtime.map_err(|error| format!("the threads of the server can't be started: {error}"))?;
    let opened = opening::open(config, said, &runtime)?;
    let engine = opened.engine.clone();
    // The engine is shut down in any case, also when the start was refused after the store was opened.
    let signs = Signs { telemetry, dropped: logging.dropped.clone(), traces, exports };
    let outcome = serve_store(args, config, entrance, signs, webhooks, opened, &runtime);
    engine.shutdown();
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// What clients connect through.
struct Entrance {
    /// The socket, which is bound to the address and doesn't listen yet.
    socket: TcpSocket,
    /// The most connections at a time.
    connections: usize,
    certificate: Option<Arc<Certificate>>,
    /// The token that a scraper of metrics must send.
    token: Option<String>,
}

impl Entrance {
    fn of(config: &Config) -> Result<Entrance, Failure> {
        Ok(Entrance {
            socket: listen::bind(config.server.address)?,
            connections: connection_limit(descriptor_limit(), config.server.connections)?,
            certificate: (config.tls.as_ref())
                .map(|files| Certificate::read(&files.certificate, &files.key))
                .transpose()?,
            token: scrapers_token(variable(TOKEN_VARIABLE), config)?,
        })
    }
}

/// The token that a scraper of metrics must send: from the environment, as is usual for secrets in containers, or from
/// the configuration.
fn scrapers_token(said: Option<String>, config: &Config) -> Result<Option<String>, Failure> {
    match (said, &config.metrics.token) {
        (Some(_), Some(_)) => {
            Err(format!("{TOKEN_VARIABLE} and metrics.token both set the token: leave one out").into())
        }
        (Some(said), None) if !can_be_sent(&said) => {
            Err(format!("{TOKEN_VARIABLE} can't be sent in a header: {SENDABLE}").into())
        }
        (said, None) => Ok(said),
        (None, Some(token)) => Ok(Some(token.0.clone())),
    }
}

/// What makes the process observable: metrics, traces and the log.
struct Signs {
    telemetry: Telemetry,
    dropped: DroppedLines,
    traces: Traces,
    /// The tasks that send traces and lines of the log to a collector.
    exports: Vec<Arc<dyn Task>>,
}

/// Starts the background tasks and serves until a signal. When this returns, the requests and, after a start that
/// succeeded, the tasks have ended.
fn serve_store(
    args: &ServerArgs,
    config: &Config,
    entrance: Entrance,
    signs: Signs,
    webhooks: Webhooks,
    opened: Opened,
    runtime: &Runtime,
) -> Result<(), Failure> {
    let Opened { engine, layout, root, identities, keys, usage, classifier } = opened;
    let Entrance { socket, connections, certificate, token } = entrance;
    let tls = certificate.as_ref().map(Certificate::config).transpose()?;
    let certificate = certificate.map(CertificateTask::new);
    let Signs { telemetry, dropped, traces, exports } = signs;
    refuse_old_level(config, engine.metadata.level())?;
    let load = Load {
        admission: Admission::new(REQUEST_MEMORY_BYTES),
        connections: Connections::new(connections),
        want_of_space: Default::default(),
    };
    let configuration = Configuration::new(args.config.as_deref(), config);
    let tasks = Tasks::default();
    let around = Around {
        configuration,
        tasks: tasks.clone(),
        load: load.clone(),
        usage: usage.clone(),
        certificate: certificate.clone(),
        keys: keys.clone(),
        accounts: accounts(config),
    };
    let operator = Operator::new(engine.clone(), layout.tier_homes(), around);
    let stopped = tasks.clone();
    let mut supervisor = Supervisor::new(tasks, Arc::new(System), Threads::Own, runtime.handle());
    engine.tasks().into_iter().try_for_each(|task| supervisor.run(task))?;
    supervisor.run(usage)?;
    certificate.into_iter().try_for_each(|certificate| supervisor.run(certificate))?;
    if let Some(classifier) = classifier {
        supervisor.run(Arc::new(ClassifyTask::new(engine.clone(), classifier)))?;
    }
    let metered = config.metrics.buckets.clone();
    supervisor.run(Arc::new(FiguresTask::new(operator.clone(), telemetry.clone(), dropped, metered)))?;
    let delivery = DeliveryTask::new(engine.metadata.clone(), webhooks.clone());
    supervisor.run(Arc::new(delivery))?;
    let to = config.audit.webhook.as_ref().and_then(|name| webhooks.named(name.get_ref()));
    let Audits { audit, tasks } = Audits::of(&config.audit, to);
    tasks.into_iter().chain(exports).try_for_each(|task| supervisor.run(task))?;

    let sessions = runtime.block_on(Sessions::find(&layout.meta, keys.as_ref(), &System));
    let keys = Keys { keys, sessions };
    let store = Arc::new(store(config, &engine, identities, keys, &load, Told { audit, traces }));
    supervisor.run(Arc::new(AccessLogTask::new(store.clone())))?;
    let admin = admin(token, &engine, operator.clone(), telemetry);
    let limits = Limits { grace: Duration::from_secs(config.server.grace_seconds), ..Limits::default() };
    let server = Server::new(store.clone(), admin, load.connections, limits);
    let outcome = runtime.block_on(async {
        let listener = socket
            .listen(BACKLOG_CONNECTIONS)
            .map_err(|error| format!("{}: can't listen: {error}", config.server.address))?;
        // The signal's handler is installed before the server announces itself: whoever reads that may stop the server
        // at once.
        let stop = stop_signal()?;
        #[cfg(feature = "faults")]
        stratum_storage::drive::faulty::serves();
        let address = listener.local_addr()?;
        announce(address, config, &root, args);
        if args.demo {
            let (keys, told) = (root.credentials().clone(), root.told(args.show_credentials));
            tokio::spawn(demo::show(address, keys, config.server.region.clone(), told));
        }
        tokio::spawn(root.watch(move || store.verifier.has_root_signed()));
        server.serve(listener, tls, stop).await;
        Ok(())
    });
    tracing::info!("stopping");
    stopping::by_force_after_a_while(&engine, stopped);
    operator.stop();
    runtime.block_on(supervisor.stop());
    outcome
}

/// The routes that aren't S3's: health, metrics, and the operator's API.
fn admin(token: Option<String>, engine: &Engine, operator: Arc<Operator>, telemetry: Telemetry) -> Admin {
    // A store that can't be written to serves reads, and stays ready: whoever took it out would end those as well. The
    // status and an alert tell of it.
    let metadata = engine.metadata.clone();
    let ready = move || match metadata.is_available() {
        true => Ok(()),
        false => Err("the index failed and is being rebuilt".to_owned()),
    };
    Admin::new(Arc::new(ready), Arc::new(move || telemetry.render()), token, operator.routes())
}

/// Makes the drives fail as the plan says that the command line names.
#[cfg(feature = "faults")]
fn plan_faults(args: &ServerArgs) -> Result<(), Failure> {
    use stratum_storage::drive::faulty;
    let Some(path) = &args.faults else { return Ok(()) };
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let plan: faulty::FaultPlan =
        toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    tracing::warn!(faults = plan.faults.len(), "faults are injected into drives, as --faults asks");
    faulty::install(plan);
    Ok(())
}

/// Refuses a processor without the instructions that the erasure code and the checksums use (processors of 2013 and
/// later have them). The process would otherwise be killed by an illegal instruction in the middle of a write.
fn refuse_old_processors() -> Result<(), Failure> {
    #[cfg(target_arch = "x86_64")]
    if !std::arch::is_x86_feature_detected!("avx2") || !std::arch::is_x86_feature_detected!("sse4.2") {
        return Err("this processor has no AVX2 or SSE4.2, which the erasure code needs".into());
    }
    Ok(())
}

/// Refuses a codec for the hot tier as long as the store is of level 1: an operator may still go back to an older
/// binary, which can't read coded bodies. The codecs of the other tiers needn't be checked, since bodies come to those
/// tiers by moves, which a store of level 1 refuses.
fn refuse_old_level(config: &Config, level: Level) -> Result<(), Failure> {
    if config.tiers.codecs().hot.is_none() || level >= Level::SECOND {
        return Ok(());
    }
    let problem = format!(
        "tiers.hot.codec takes a store of level {}, and this one is of level {level}: start the server without it, run \
         `stratum level raise`, and set it then",
        Level::SECOND
    );
    Err(problem.into())
}

/// What is told of requests.
struct Told {
    audit: Audit,
    traces: Traces,
}

/// The master keys, and the sessions of the console, whose key they wrap.
struct Keys {
    keys: Arc<dyn KeyService>,
    sessions: Sessions,
}

/// The state that the API serves requests from.
fn store(
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

/// Announces the server's address, and root's credentials where they are to be shown.
fn announce(address: SocketAddr, config: &Config, root: &RootCredentials, args: &ServerArgs) {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let endpoint = format!("{scheme}://{address}");
    let data: Vec<String> = config.server.data.iter().map(|folder| folder.display().to_string()).collect();
    let (data, file) = (data.join(", "), args.config.as_ref().map(|file| file.display().to_string()));
    let console = config.server.console.then(|| format!("{endpoint}/_stratum/"));
    tracing::info!(endpoint, data, config = file, console, "serving S3");
    // Standard output names the address, too, so that a program that started the server with port 0 learns which port
    // the system has chosen.
    output::line(format_args!("Serving S3 at {endpoint}"));
    if config.server.anonymous {
        tracing::warn!(
            "requests without a signature are served: whoever reaches {address} may use all that root owns"
        );
    }
    if config.server.signature_v2 {
        tracing::warn!(
            "Signature Version 2 is taken, which signs less of a request than version 4 does: docs/SECURITY.md says what"
        );
    }
    let near = format!("{scheme}://{}", probe::reachable(address));
    root.tell(&near, &config.server.region, args.show_credentials);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_token_of_scrapers_may_be_given_in_one_place_only() {
        let config = |text| Config::parse(Path::new("x"), text).unwrap();
        let (none, own) = (config(""), config("[metrics]\ntoken = \"own\"\n"));
        let told = |said: Option<&str>, config| scrapers_token(said.map(str::to_owned), config).ok();
        assert_eq!(told(None, &none), Some(None));
        assert_eq!(told(Some("said"), &none), Some(Some("said".into())));
        assert_eq!(told(None, &own), Some(Some("own".into())));
        assert_eq!(told(Some("said"), &own), None);
        assert_eq!(told(Some("said\n"), &none), None, "no scraper can send it");
    }
}
