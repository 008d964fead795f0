//! `stratum server`: from the command line to a served store, and back to nothing in flight.
//!
//! The order matters: drives and their set, then the journal (nothing may be read before its new epoch is open),
//! then the state, then the volumes that the state names, then the upkeep, and only then the listener.

use crate::backup::configuration::Configuration;
use crate::config::{CodecName, Config, ConfigError};
use crate::credentials::Credentials;
use crate::drives::Drives;
use crate::figures;
use crate::fsck::Checks;
use crate::layout::Layout;
use crate::load::Load;
use crate::operator::Operator;
use crate::private;
use crate::provisional::{self, Restored};
use crate::root::RootCredentials;
use crate::scrubbing;
use crate::supervisor::{Supervisor, Tasks};
use crate::telemetry::Telemetry;
use crate::upkeep;
use crate::{ServerArgs, logging};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use stratum_api::admission::Admission;
use stratum_api::bodies::Bodies;
use stratum_api::context::{Settings, Store};
use stratum_api::server::admin::Admin;
use stratum_api::server::{Connections, Limits, Server, tls};
use stratum_auth::{AccessKey, Identities, SecretKey, User, Verifier};
use stratum_frames::Compression;
use stratum_metadata::{Compactor, Metadata, Mover, Options, Quarantine};
use stratum_storage::ambient::System;
use stratum_storage::balance::Balancer;
use stratum_storage::blob::Tier;
use stratum_storage::drive::Threads;
use stratum_storage::heal::Healer;
use stratum_storage::journal::{self, Journal, JournalError, JournalSet};
use stratum_storage::pace::{Budget, Pace};
use stratum_storage::set::{Root, Set, SetConfig, TierConfig};
use stratum_storage::volume::{Restore, TierDrives, Volumes};
use stratum_tiering::access::Recorder;
use tokio::net::TcpSocket;
use tokio::signal::unix::{SignalKind, signal};

/// It couldn't start. As every command ends that couldn't run; 1 is for a server that fails while it serves.
const EXIT_REFUSED: u8 = 2;
/// Memory that all requests together may hold, in bytes.
const REQUEST_MEMORY: u64 = 512 << 20;
/// Objects whose reads are remembered.
const REMEMBERED_OBJECTS: usize = 100_000;
/// Threads for hashing, coding and uncached reads. They are bounded so that a burst of requests queues for the
/// processors and not in them.
const BLOCKING_THREADS: usize = 32;
/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;
/// How long a start that lacks drives waits between two tries.
const DRIVES_RETRY: Duration = Duration::from_secs(5);

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Serves until a signal; 0 after a graceful stop, 2 when the start was refused.
pub fn run(args: ServerArgs) -> ExitCode {
    match configure(&args).map_err(Failure::from).and_then(|config| serve(&args, &config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refused) => {
            eprintln!("stratum: {refused}");
            ExitCode::from(EXIT_REFUSED)
        }
    }
}

/// The file, with what the command line says over it.
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

/// Starts and serves. Every error is of the start: what fails later is told to clients and in the status, and ends nothing.
fn serve(args: &ServerArgs, config: &Config) -> Result<(), Failure> {
    logging::start(&config.log);
    refuse_old_processors()?;
    let said = Credentials::from_environment()?;
    if let Some(said) = &said {
        identities(config, said)?;
    }
    let socket = bind(config.server.address)?;
    let connections = connection_limit(descriptor_limit(), config.server.connections)?;
    // Before any drive is touched: a mistake here must not leave a set formed behind.
    let tls = config.tls.as_ref().map(|files| tls::load(&files.certificate, &files.key)).transpose()?;
    let telemetry = Telemetry::install().map_err(|error| error.to_string())?;
    let mut layout = Layout::new(&config.server.data, config);
    #[cfg(feature = "faults")]
    plan_faults(args)?;
    private::close(&layout)?;
    let (set, journal) = open_drives(&layout)?;
    layout.settle(&set.all_drives());
    std::fs::create_dir_all(&layout.meta)
        .map_err(|error| format!("{}: can't be made: {error}", layout.meta.display()))?;
    let root = RootCredentials::find(said, &set, &layout.meta)?;
    let identities = identities(config, root.credentials())?;

    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.enable_all().max_blocking_threads(BLOCKING_THREADS).build()?;
    let metadata = open_metadata(&set, &layout, &journal)?;
    let volumes = runtime.block_on(restore_volumes(&set, &metadata))?;
    metadata.attach(volumes.clone())?;
    let budget = Budget {
        bytes_per_second: config.background.bytes_per_second,
        operations_per_second: config.background.operations_per_second,
    };
    let pace = Pace::new(budget, Arc::new(System));
    let mover = Mover { metadata: metadata.clone(), volumes: volumes.clone(), pace: pace.clone() };
    let healer = Healer::new(volumes.clone(), pace.clone(), Arc::new(System));
    let healer = Arc::new(healer.narrowing(config.heal.narrow_after, Arc::new(mover.clone())));
    let scrubber = scrubbing::scrubber(volumes.clone(), healer.clone(), pace.clone(), &layout.meta);
    let balancer = Balancer::new(volumes.clone(), healer.clone(), pace.clone(), Arc::new(System));
    let parts = upkeep::Parts {
        set,
        journal: journal.clone(),
        metadata: metadata.clone(),
        volumes: volumes.clone(),
        compactor: Compactor::new(mover.clone(), Arc::new(System), config.heal.narrow_after),
        quarantine: Quarantine::new(metadata.clone(), volumes.clone(), Arc::new(System)),
        healer,
        scrubber,
        balancer: Arc::new(balancer),
        copies: Arc::default(),
    };
    let drives = Drives::new(parts.clone(), layout.embedded.clone());
    let checks = Checks::new(parts.clone(), drives.clone(), pace.clone());
    let configuration = Configuration::new(args.config.as_deref(), config);
    let tasks = Tasks::default();
    let (admission, connections) = (Admission::new(REQUEST_MEMORY), Connections::new(connections));
    let load = Load { admission: admission.clone(), connections: connections.clone() };
    let operator = Operator::new(
        parts.clone(),
        drives,
        checks.clone(),
        pace.clone(),
        configuration,
        tasks.clone(),
        load,
    );
    let mut supervisor = Supervisor::new(tasks, Arc::new(System), runtime.handle());
    upkeep::start(&mut supervisor, parts, mover, telemetry.clone())?;
    figures::start(&mut supervisor, operator.clone())?;

    let store = Arc::new(Store {
        metadata: metadata.clone(),
        bodies: Bodies::new(metadata.clone(), volumes, journal, compression(config)),
        identities,
        verifier: Verifier::new(&config.server.region),
        settings: settings(config),
        admission,
        accesses: Recorder::new(REMEMBERED_OBJECTS),
        pace,
        clock: Arc::new(System),
        entropy: Arc::new(System),
    });
    let ready = {
        let metadata = metadata.clone();
        move || match metadata.is_available() {
            true => Ok(()),
            false => Err("the index failed and is being rebuilt".to_owned()),
        }
    };
    let token = config.metrics.token.as_ref().map(|token| token.0.clone());
    let admin = Admin::new(Arc::new(ready), Arc::new(move || telemetry.render()), token, operator.routes());
    let grace = Duration::from_secs(config.server.grace_seconds);
    let limits = Limits { grace, ..Limits::default() };
    let signed_in = {
        let store = store.clone();
        move || store.verifier.has_root_signed()
    };
    let server = Server::new(store, admin, connections, limits);
    let outcome = runtime.block_on(async {
        let listener = socket
            .listen(BACKLOG)
            .map_err(|error| format!("{}: can't listen: {error}", config.server.address))?;
        let address = listener.local_addr()?;
        announce(address, config, &root, args);
        tokio::spawn(root.watch(signed_in));
        server.serve(listener, tls, stop_signal()?).await;
        Ok(())
    });
    tracing::info!("stopping");
    checks.stop();
    supervisor.stop();
    metadata.shutdown();
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// Takes the address, without listening yet: nobody is to wait for a server that may not come, and a start whose address
/// is taken must not touch a drive.
fn bind(address: SocketAddr) -> Result<TcpSocket, Failure> {
    let taken = |error: std::io::Error| format!("{address}: can't listen: {error}");
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(taken)?;
    socket.set_reuseaddr(true).and_then(|()| socket.bind(address)).map_err(taken)?;
    Ok(socket)
}

/// Has the drives go wrong as the plan of the command line says.
#[cfg(feature = "faults")]
fn plan_faults(args: &ServerArgs) -> Result<(), Failure> {
    use stratum_storage::drive::faulty;
    let Some(path) = &args.faults else { return Ok(()) };
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let plan: faulty::Plan = toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    tracing::warn!(faults = plan.faults.len(), "drives will go wrong by plan");
    faulty::install(plan);
    Ok(())
}

/// The erasure code and the checksums are compiled for processors of 2013 and later; an older one would end in a
/// fault in the middle of a write.
fn refuse_old_processors() -> Result<(), Failure> {
    #[cfg(target_arch = "x86_64")]
    if !std::arch::is_x86_feature_detected!("avx2") || !std::arch::is_x86_feature_detected!("sse4.2") {
        return Err("this processor has no AVX2 or SSE4.2, which the erasure code needs".into());
    }
    Ok(())
}

/// Connections and shard files are descriptors: takes what the system gives, and says how many that are.
fn descriptor_limit() -> u64 {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit of open files could not be raised");
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// How many connections are served at once: as many as the configuration says, or as usual, and at most half of the
/// descriptors, since drives and volumes need the others.
fn connection_limit(descriptors: u64, asked: Option<usize>) -> Result<usize, Failure> {
    const FEWEST: usize = 16;
    let most = usize::try_from(descriptors / 2).unwrap_or(usize::MAX);
    match asked {
        None => Ok(Connections::USUAL_LIMIT.min(most).max(FEWEST)),
        Some(asked) if asked < FEWEST => {
            Err(format!("server.connections = {asked}: a server has at least {FEWEST}").into())
        }
        Some(asked) if asked > most => Err(format!(
            "server.connections = {asked}: the limit of {descriptors} open files allows {most}, half of it; raise \
             that limit (`ulimit -n`, or LimitNOFILE= of a systemd unit) or ask for fewer"
        )
        .into()),
        Some(asked) => Ok(asked),
    }
}

pub(crate) fn set_config(layout: &Layout) -> SetConfig {
    let tiers = layout.tiers.iter().map(|tier| TierConfig {
        tier: tier.tier,
        geometry: tier.geometry,
        drives: tier.drives.iter().cloned().map(Root::Path).collect(),
    });
    SetConfig { tiers: tiers.collect(), threads: Threads::Own }
}

fn identities(config: &Config, root: &Credentials) -> Result<Identities, Failure> {
    let user = |access_key: &str, id: &str, display_name: &str, email: &str, root| -> Result<User, Failure> {
        Ok(User {
            id: id.to_owned(),
            display_name: display_name.to_owned(),
            email: email.to_owned(),
            access_key: AccessKey::new(access_key)?,
            root,
        })
    };
    let mut users =
        vec![(user(&root.access_key, "root", "root", "", true)?, SecretKey::new(&root.secret_key)?)];
    for entry in &config.users {
        let name = if entry.display_name.is_empty() { entry.id.get_ref() } else { &entry.display_name };
        let user = user(entry.access_key.get_ref(), entry.id.get_ref(), name, &entry.email, false)?;
        users.push((user, SecretKey::new(&entry.secret_key.get_ref().0)?));
    }
    Ok(Identities::new(users)?)
}

/// What new bodies are coded with.
fn compression(config: &Config) -> Option<Compression> {
    match config.tiers.hot.codec.as_ref().map(|codec| *codec.get_ref()) {
        None | Some(CodecName::None) => None,
        Some(CodecName::Zstd) => Some(Compression::default()),
    }
}

fn settings(config: &Config) -> Settings {
    Settings {
        region: config.server.region.clone(),
        domains: config.server.domains.clone(),
        anonymous: config.server.anonymous,
        ..Settings::default()
    }
}

/// The drives and their journal. Waits, saying so, while too few of them are there to start safely: one that comes
/// back late must not make a history of its own.
fn open_drives(layout: &Layout) -> Result<(Arc<Set>, Arc<Journal>), Failure> {
    loop {
        let set = Set::open(&set_config(layout), Arc::new(System), &System)?;
        match open_journal(&set) {
            Ok(journal) => {
                // Not fatal: the drives can't be changed then, and every change says why.
                if let Err(error) = set.serve(journal.epoch()) {
                    tracing::warn!(%error, "the drives were not all told which of them are missing");
                }
                return Ok((Arc::new(set), Arc::new(journal)));
            }
            Err(error @ JournalError::TooFew(_)) => {
                tracing::error!(%error, "not serving; waiting for the drives to come back");
            }
            Err(error) => return Err(error.into()),
        }
        drop(set);
        std::thread::sleep(DRIVES_RETRY);
    }
}

pub(crate) fn open_journal(set: &Set) -> Result<Journal, JournalError> {
    let drives = JournalSet {
        drives: set.drives(Tier::Hot).to_vec(),
        m: set.geometry(Tier::Hot).map_or(0, |geometry| usize::from(geometry.m)),
        begun: set.has_begun(),
    };
    Journal::open(drives, journal::Options::default(), Arc::new(System), Arc::new(System))
}

pub(crate) fn open_metadata(set: &Set, layout: &Layout, journal: &Arc<Journal>) -> Result<Metadata, Failure> {
    let geometry = set.geometry(Tier::Hot).ok_or("there is no hot tier")?;
    let options = Options {
        index: layout.index(),
        drives: set.roster(Tier::Hot).ok_or("there is no hot tier")?,
        copies: usize::from(geometry.m) + 1,
    };
    let metadata = Metadata::open(&options, journal.clone(), Arc::new(System))?;
    if Restored::read(set)?.is_some_and(|restored| !restored.accepted) {
        tracing::warn!("{}", provisional::NOTE);
        metadata.hold_back();
    }
    Ok(metadata)
}

pub(crate) async fn restore_volumes(set: &Set, metadata: &Metadata) -> Result<Volumes, Failure> {
    let tiers = Tier::ALL.into_iter().filter_map(|tier| {
        let (geometry, drives) = (set.geometry(tier)?, set.roster(tier)?);
        Some(TierDrives { tier, geometry, drives })
    });
    let restore = Restore {
        tiers: tiers.collect(),
        records: metadata.volumes()?,
        next_id: metadata.next_volume_id(),
        reserve: upkeep::LEAST_RESERVE,
        log: Arc::new(metadata.clone()),
    };
    let (volumes, restored) = Volumes::restore(restore).await?;
    tracing::info!(
        volumes = restored.volumes,
        sealed = restored.sealed,
        removed = restored.removed,
        unfinished = restored.unfinished,
        "restored"
    );
    for (drive, file) in &restored.unknown {
        tracing::warn!(drive, file, "a file that belongs to no record; left alone");
    }
    Ok(volumes)
}

/// Ends at SIGTERM or SIGINT.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Says where the store is, and who root is.
fn announce(address: SocketAddr, config: &Config, root: &RootCredentials, args: &ServerArgs) {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let endpoint = format!("{scheme}://{address}");
    let data: Vec<String> = config.server.data.iter().map(|folder| folder.display().to_string()).collect();
    let (data, file) = (data.join(", "), args.config.as_ref().map(|file| file.display().to_string()));
    tracing::info!(endpoint, data, config = file, "serving S3");
    if config.server.anonymous {
        tracing::warn!(
            "requests without a signature are served: whoever reaches {address} may use all that root owns"
        );
    }
    root.tell(&endpoint, &config.server.region, args.show_credentials);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_follow_from_the_descriptors() {
        let limit =
            |descriptors, asked| connection_limit(descriptors, asked).map_err(|error| error.to_string());
        assert_eq!(limit(1 << 20, None), Ok(4096));
        assert_eq!(limit(1024, None), Ok(512));
        assert_eq!(limit(1 << 20, Some(20_000)), Ok(20_000));
        let told = limit(4096, Some(3000)).unwrap_err();
        assert!(told.contains("server.connections = 3000") && told.contains("allows 2048"), "{told}");
        assert!(limit(1 << 20, Some(1)).is_err());
    }
}
