//! `stratum restore`: brings a store that can't start back to the newest state that can be proven, so that it starts.
//!
//! It is for a store whose journal or checkpoints were on more lost drives than they can do without. What the remaining
//! drives know is newer than any backup and comes first; a backup fills in what they have lost. The checkpoint and the
//! journal are written to `m+1` drives, and an epoch is opened above all that were ever seen, so that drives that come
//! back later don't win over the restored state.
//!
//! The restored state may be older than the bytes on the drives, and those may be wanted after all. So the state is
//! *provisional* at first (`stratum_engine::provisional`): the server starts and serves it, and frees nothing of what
//! the drives hold, until an operator accepts the state with `--accept`. A restore that was interrupted is run again.
//!
//! A backup that has more than a provisional state, or another history, takes its place: the restore begins anew, from
//! that backup alone. It is refused where something was written since, unless the operator gives that up.

use crate::backup::made::Made;
use crate::backup::{Location, configuration};
use crate::client::s3::S3Args;
use crate::client::signing::Signing;
use crate::client::trust::TrustArgs;
use crate::client::{Operator, ServerArg};
use crate::fsck::{self, Told, Totals};
use crate::layout::Layout;
use crate::master_keys;
use crate::offline::{self, Believed, Given, Offline, StoreArgs};
use crate::output;
use clap::Args;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use stratum_engine::provisional::Restored;
use stratum_metadata::check::Severity;
use stratum_metadata::salvage::{self, AskedSince, Basis, Doubt};
use stratum_storage::ambient::{Clock, System};
use stratum_storage::blob::Tier;
use stratum_storage::drive::Threads;
use stratum_storage::journal::{Refounding, refound};
use stratum_storage::set::{Set, SetError};

/// The exit code when the state was restored provisionally, or when a dry run has only told what would be restored.
const EXIT_FOUND: u8 = 1;
const EXIT_FAILED: u8 = 2;

/// The arguments of `stratum restore`.
#[derive(Args)]
pub struct RestoreArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// A backup that `stratum backup` wrote, a file or s3://BUCKET/KEY. Without it only what the drives know is
    /// restored.
    #[arg(long)]
    from: Option<Location>,
    #[command(flatten)]
    s3: S3Args,
    /// Only print what would be restored and what is lost. Nothing is changed.
    #[arg(long, conflicts_with = "accept")]
    dry_run: bool,
    /// Accept the restored state: what it doesn't name is freed from then on. Given later, this accepts a state that
    /// was restored before; given with the restore itself, it accepts at once.
    #[arg(long)]
    accept: bool,
    /// Restore from another backup although something was written, or may have been, since the state was restored: that
    /// is given up.
    #[arg(long, requires = "from")]
    give_up_writes: bool,
    /// With --accept: accept the restored state of the running server at this address. Credentials come from the
    /// environment, from --profile, or from the server's data folder if it is on this machine.
    #[arg(long, requires = "accept", conflicts_with_all = ["config", "from", "scratch", "give_up_writes"])]
    endpoint: Option<String>,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    trust: TrustArgs,
    /// A folder with room for the backup and the index. [default: the system's temporary folder]
    #[arg(long)]
    scratch: Option<PathBuf>,
}

/// Restores a store, or accepts a restored state. Ends with 0 when nothing has to be restored or the state is accepted,
/// with 1 when the state is provisional or was only told, and with 2 if the restore couldn't be run.
pub fn run(args: &RestoreArgs) -> ExitCode {
    let outcome = match &args.endpoint {
        Some(endpoint) => accept_running(args, endpoint).map(|said| (said, true)),
        None => restore(args).map(|outcome| (outcome.to_text().to_owned(), outcome.is_final())),
    };
    match outcome {
        Ok((said, is_final)) => {
            output::line(said);
            if is_final { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FOUND) }
        }
        Err(error) => {
            eprintln!("stratum: {error}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

/// The outcome of a restore.
enum Outcome {
    /// The drives know everything, so nothing was restored.
    Nothing,
    /// The state was restored before, and still has to be accepted.
    Waiting,
    /// A dry run has told what would be restored.
    Told,
    /// The state was restored, and has to be accepted.
    Provisional,
    /// The restored state is accepted.
    Accepted,
}

impl Outcome {
    fn to_text(&self) -> &'static str {
        match self {
            Outcome::Nothing => {
                "The drives know everything, and nothing is to be restored: start the server."
            }
            Outcome::Waiting => {
                "The state was restored, and the drives know all of it. Start the server and look whether it is what you \
                 want; until `--accept` nothing on the drives is freed."
            }
            Outcome::Told => "Nothing was changed. To go on with this state, run it again without --dry-run.",
            Outcome::Provisional => {
                "Restored. Start the server and look whether it is what you want; nothing on the drives is freed until \
                 `stratum restore --accept`."
            }
            Outcome::Accepted => "The restored state is accepted: start the server.",
        }
    }

    fn is_final(&self) -> bool {
        matches!(self, Outcome::Nothing | Outcome::Accepted)
    }
}

fn accept_running(args: &RestoreArgs, endpoint: &str) -> Result<String, String> {
    let RestoreArgs { signing, trust, .. } = args;
    let (signing, trust) = (signing.clone(), trust.clone());
    let data = args.store.first_named();
    let server = ServerArg { endpoint: Some(endpoint.to_owned()), data, signing, trust };
    let operator = Operator::new(&server).map_err(|error| error.to_string())?;
    operator.post("restore/accept", &[]).map_err(|error| error.to_string())
}

fn restore(args: &RestoreArgs) -> Result<Outcome, String> {
    let layout = args.store.layout()?;
    let say = |error: &dyn Display| error.to_string();
    let scratch = match &args.scratch {
        Some(folder) => tempfile::tempdir_in(folder),
        None => tempfile::tempdir(),
    };
    let scratch = scratch.map_err(|error| format!("no folder for the index: {error}"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| say(&error))?;
    let by_itself = runtime
        .block_on(async { Offline::open(&layout, &scratch.path().join("drives"), &[], Believed::All) })?;
    let (is_whole, is_provisional) = (by_itself.doubts().is_empty(), by_itself.is_provisional());
    let set = by_itself.remains.set;
    drop(by_itself);
    if is_whole && !is_provisional {
        return Ok(Outcome::Nothing);
    }
    let backup = args.from.as_ref().map(|place| place.unpack(&args.s3, &scratch.path().join("backup")));
    let backup = backup.transpose()?;
    if let Some(unsure) = backup.as_deref().map(|folder| Made::check_set(folder, set)).transpose()?.flatten()
    {
        output::line(format_args!("Uncertain: {unsure}."));
    }
    let given = backup.as_deref().map(|folder| Given::look(&layout, folder)).transpose()?;
    let believed = given.map_or(Ok(Believed::All), |given| believed(given, args.give_up_writes))?;
    match (is_whole, believed) {
        (true, Believed::All) if args.accept => return accept_stopped(&layout),
        (true, Believed::All) => return Ok(Outcome::Waiting),
        (false, _) | (_, Believed::Copies) => {}
    }
    let open = || Offline::open(&layout, &scratch.path().join("index"), backup.as_slice(), believed);
    let store = runtime.block_on(async { open() })?;
    let (found, totals) = runtime.block_on(fsck::findings(&store))?;
    tell(&store, &found);
    if let Some(folder) = &backup {
        output::line(Made::age(folder, System.now()));
    }
    tell_totals(totals);
    let what = history_of(&store)?;
    if args.dry_run {
        return Ok(Outcome::Told);
    }
    write(store, what, &layout, Source { backup: backup.as_deref(), believed }, args.accept)?;
    if let Some(folder) = &backup {
        keep_configuration(folder, &layout)?;
    }
    Ok(if args.accept { Outcome::Accepted } else { Outcome::Provisional })
}

/// Whether the state is to come from the backup alone.
///
/// # Errors
/// Something would be given up that the operator didn't say is to be given up.
fn believed(given: Given, give_up_writes: bool) -> Result<Believed, String> {
    let written = match given {
        Given::Apart { asked: AskedSince::Entries(entries) } if !give_up_writes => {
            format!("{entries} changes were made")
        }
        Given::Apart { asked: AskedSince::Unknown } if !give_up_writes => {
            "something may have been written".into()
        }
        Given::Unclear { ends, restored } => {
            return Err(format!(
                "the backup ends at entry {ends}, the state on the drives was restored up to entry {restored}, and whether that \
                 one has what the backup has isn't known any more: start the server and look; if it is the wrong state, take \
                 `journal` and `checkpoint` away from every hot drive, keep them, and run this again"
            ));
        }
        given => return Ok(given.believed()),
    };
    Err(format!(
        "{written} since the state on the drives was restored, and this backup's state doesn't have that: copy it out with any \
         client or with `stratum rescue` without a backup, then run this again with --give-up-writes"
    ))
}

/// Accepts the state that was restored before, on the drives of a stopped server.
fn accept_stopped(layout: &Layout) -> Result<Outcome, String> {
    let say = |error: SetError| error.to_string();
    let set = Set::open(&layout.set_config(Threads::Own), Arc::new(System), &System).map_err(say)?;
    if let Some(restored) = Restored::read(&set).map_err(say)? {
        Restored { accepted: true, ..restored }.write(&set).map_err(say)?;
    }
    Ok(Outcome::Accepted)
}

/// Copies the configuration in the backup into `meta`, for an operator who has lost the server's configuration.
fn keep_configuration(backup: &Path, layout: &Layout) -> Result<(), String> {
    for name in [configuration::FILE, configuration::DRIVES] {
        let (from, to) = (backup.join(name), layout.meta.join(format!("restored-{name}")));
        if from.is_file() {
            let copied = std::fs::create_dir_all(&layout.meta).and_then(|()| std::fs::copy(from, &to));
            copied.map_err(|error| format!("{}: {error}", to.display()))?;
            output::line(format_args!("The backup's {name} is now {}.", to.display()));
        }
    }
    Ok(())
}

/// Prints what would be restored and what is wrong with it.
fn tell(store: &Offline, found: &[Told]) {
    output::line(format_args!("The state reaches entry {} of the journal.", store.state.reached()));
    for doubt in store.doubts() {
        output::line(format_args!("Uncertain: {doubt}."));
    }
    for told in found.iter().filter(|told| told.severity >= Severity::Wrong) {
        output::line(&told.text);
    }
}

/// Prints how many objects and parts the state knows, and how many of them are whole.
fn tell_totals(Totals { known, damaged, lost }: Totals) {
    let whole = known.saturating_sub(damaged + lost);
    output::line(format_args!(
        "In all: {known} objects and parts are known, {whole} whole, {damaged} damaged, {lost} lost."
    ));
}

/// The history that the journal is to go on from. Refuses a state that nothing proves, or that would lose objects.
fn history_of(store: &Offline) -> Result<Refounding, String> {
    let index = store.state.reached();
    let m = store.hot_copies() - 1;
    if matches!(store.state.basis(), Basis::Index(_)) {
        return Err(
            "only the server's own index knows the state, and nothing proves it: use `stratum rescue`".into(),
        );
    }
    if store.state.doubts().iter().any(|doubt| matches!(doubt, Doubt::Behind { .. })) {
        return Err("the checkpoint goes further than the journal, and small objects that only the journal holds would be \
                    lost in a history that goes on after it: use `stratum rescue`, which takes out all that both know"
            .into());
    }
    let run = store.history.runs().into_iter().find(|run| (run.first..=run.last).contains(&index));
    let hash = store.state.reached_hash();
    let floor = run.map_or(index + 1, |run| run.first);
    Ok(Refounding { last: (index, hash), floor, m })
}

/// Where a restored state comes from.
struct Source<'a> {
    /// The folder of the unpacked backup.
    backup: Option<&'a Path>,
    believed: Believed,
}

/// Opens the drives, and writes the checkpoint, the record of the master keys that were used, the mark of a restored state and the
/// journal to them. The new epoch of
/// the journal comes last: until it is open, a start finds the store as it was before.
fn write(
    store: Offline,
    what: Refounding,
    layout: &Layout,
    from: Source<'_>,
    accepted: bool,
) -> Result<(), String> {
    let say = |error: &dyn Display| error.to_string();
    let (basis, expected) = (store.state.basis(), store.remains.set);
    drop(store);
    if expected.is_none() {
        return Err(
            "no drive says which set it belongs to, so no server would start: use `stratum rescue`".into()
        );
    }
    let set = Set::open(&layout.set_config(Threads::Own), Arc::new(System), &System)
        .map_err(|error| say(&error))?;
    let drives = set.drives(Tier::JOURNAL);
    let backup = from.backup.map(|folder| offline::backup_drive(folder, 0)).transpose()?;
    let all: Vec<_> = drives.iter().cloned().chain(backup.clone()).collect();
    let sources = match from.believed {
        Believed::All => all.clone(),
        Believed::Copies => backup.into_iter().collect(),
    };
    let history = from.believed.history(&sources, &drives).map_err(|error| say(&error))?;
    let (index, hash) = what.last;
    if history.hash_at(index).is_some_and(|found| found != hash) {
        return Err("the drives have changed meanwhile: run it again".into());
    }
    if from.believed == Believed::Copies {
        salvage::remove_other_histories(&history, index, &drives).map_err(|error| say(&error))?;
    }
    if let Basis::Checkpoint(index) = basis {
        salvage::remove_bad_copies(&all);
        salvage::copy_checkpoint(index, &sources, &drives, what.m + 1).map_err(|error| say(&error))?;
    }
    if let Some(folder) = from.backup {
        master_keys::restore_used(&set, folder)?;
    }
    Restored { entry: index, at: System.now(), accepted }.write(&set).map_err(|error| say(&error))?;
    refound(&history, what, &drives, &System).map_err(|error| say(&error))
}
