//! `stratum server`: starts a server, serves until a signal, and stops.
//!
//! The order of the start matters: first everything that can be wrong with the command line and the configuration is
//! checked, then the drives are opened, root's credentials are found, the engine is opened over the drives
//! (`stratum_engine`), the background tasks are started, and only then the server listens.

mod announcement;
mod checks;
mod entrance;
mod store;
mod work;

use crate::audit::{self, Audits};
use crate::backup::configuration::Configuration;
use crate::certificate::CertificateTask;
use crate::config::{Config, ConfigError};
use crate::credentials::Credentials;
use crate::failure::Failure;
use crate::identities::{accounts, identities, refuse_taken_ids};
use crate::listen::stop_signal;
use crate::load::Load;
use crate::logging::DroppedLines;
use crate::opening::{self, Opened};
use crate::operator::{Around, Operator};
use crate::otlp::Otlp;
use crate::root::RootCredentials;
use crate::sessions::Sessions;
use crate::telemetry::Telemetry;
use crate::webhook::Webhooks;
use crate::{ServerArgs, demo, logging, stopping};
use announcement::announce;
use entrance::Entrance;
use rustls::ServerConfig;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use store::{Keys, Told, store};
use stratum_api::admission::Admission;
use stratum_api::server::admin::Admin;
use stratum_api::server::tls::Certificate;
use stratum_api::server::{Connections, Limits, Server};
use stratum_api::traces::Traces;
use stratum_engine::Engine;
use stratum_engine::supervisor::{Supervisor, Tasks};
use stratum_storage::ambient::System;
use stratum_storage::drive::Threads;
use stratum_storage::task::Task;
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;
use work::Work;

/// The exit code of a start that was refused or failed, the same as of every command that couldn't be run.
const EXIT_REFUSED: u8 = 2;
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
    checks::refuse_old_processors()?;
    refuse_taken_ids(config)?;
    audit::try_file(&config.audit)?;
    let said = Credentials::from_environment()?;
    said.as_ref().map(|said| identities(config, said)).transpose()?;
    let webhooks = Webhooks::of(&config.webhooks)?;
    let entrance = Entrance::of(config)?;
    let telemetry = Telemetry::install().map_err(|error| error.to_string())?;
    #[cfg(feature = "faults")]
    checks::plan_faults(args)?;

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
    checks::refuse_old_level(config, engine.metadata.level())?;
    let load = Load {
        admission: Admission::new(REQUEST_MEMORY_BYTES),
        connections: Connections::new(connections),
        want_of_space: Default::default(),
    };
    let tasks = Tasks::default();
    let around = Around {
        configuration: Configuration::new(args.config.as_deref(), config),
        tasks: tasks.clone(),
        load: load.clone(),
        usage: usage.clone(),
        certificate: certificate.clone(),
        keys: keys.clone(),
        accounts: accounts(config),
    };
    let operator = Operator::new(engine.clone(), layout.tier_homes(), around);
    let to = config.audit.webhook.as_ref().and_then(|name| webhooks.named(name.get_ref()));
    let Audits { audit, tasks: keepers } = Audits::of(&config.audit, to);
    let sessions = runtime.block_on(Sessions::find(&layout.meta, keys.as_ref(), &System));
    let keys = Keys { keys, sessions };
    let store = Arc::new(store(config, &engine, identities, keys, &load, Told { audit, traces }));
    let root = Arc::new(root);

    let told = keepers.into_iter().chain(exports).collect();
    let work = Work {
        config,
        engine: &engine,
        operator: &operator,
        store: &store,
        root: &root,
        usage,
        certificate,
        classifier,
        telemetry: &telemetry,
        dropped,
        webhooks,
        told,
    };
    let mut supervisor = Supervisor::new(tasks.clone(), Arc::new(System), Threads::Own, runtime.handle());
    engine.tasks().into_iter().chain(work.tasks()).try_for_each(|task| supervisor.run(task))?;

    let limits = Limits { grace: Duration::from_secs(config.server.grace_seconds), ..Limits::default() };
    let server =
        Server::new(store, admin(token, &engine, operator.clone(), telemetry), load.connections, limits);
    let outcome = runtime.block_on(listen(args, config, socket, tls, &root, server));
    tracing::info!("stopping");
    stopping::by_force_after_a_while(&engine, tasks);
    operator.stop();
    runtime.block_on(supervisor.stop());
    outcome
}

/// Listens, says so, and serves until a signal.
async fn listen(
    args: &ServerArgs,
    config: &Config,
    socket: TcpSocket,
    tls: Option<Arc<ServerConfig>>,
    root: &RootCredentials,
    server: Arc<Server>,
) -> Result<(), Failure> {
    let listener = socket
        .listen(BACKLOG_CONNECTIONS)
        .map_err(|error| format!("{}: can't listen: {error}", config.server.address))?;
    // The signal's handler is installed before the server announces itself: whoever reads that may stop the server
    // at once.
    let stop = stop_signal()?;
    #[cfg(feature = "faults")]
    stratum_storage::drive::faulty::serves();
    let address = listener.local_addr()?;
    announce(address, config, root, args);
    if args.demo {
        let (keys, told) = (root.credentials().clone(), root.told(args.show_credentials));
        tokio::spawn(demo::show(address, keys, config.server.region.clone(), told));
    }
    server.serve(listener, tls, stop).await;
    Ok(())
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
