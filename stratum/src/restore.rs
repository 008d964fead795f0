//! `stratum restore`: makes what can be proven of a store its history again, so that it starts.
//!
//! For a store whose journal or checkpoints lost more drives than they outlive. What the drives still know comes first,
//! newer than any backup; a backup fills in what they lost. Without `--accept` nothing is changed: it tells how far the
//! history would reach, what can't be known, and which objects' bytes have moved or gone since. With `--accept` the
//! checkpoint and the journal are written to `m+1` drives and an epoch is opened above all that were ever seen, so that
//! drives that come back later don't win over it. Bytes that the history doesn't name are the server's to free from its
//! next start on; until then all of them are there, and an interrupted restore is run again.

use crate::backup::archive;
use crate::fsck::{self, Told};
use crate::layout::Layout;
use crate::offline::{self, Offline, StoreArgs};
use crate::serve;
use clap::Args;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use stratum_metadata::check::Severity;
use stratum_metadata::salvage::{self, Basis};
use stratum_storage::ambient::System;
use stratum_storage::blob::Tier;
use stratum_storage::journal::{History, Refounding, refound};
use stratum_storage::set::Set;

/// Something is missing, or is only told and not done.
const EXIT_FOUND: u8 = 1;
const EXIT_FAILED: u8 = 2;

/// What `stratum restore` takes.
#[derive(Args)]
pub struct RestoreArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// A file that `stratum backup` wrote. Without one, what the drives know is all there is.
    #[arg(long)]
    from: Option<PathBuf>,
    /// Do it. Without this it is only told what would be restored, and what is lost.
    #[arg(long)]
    accept: bool,
    /// A folder with room for the backup and the index. [default: the system's temporary folder]
    #[arg(long)]
    scratch: Option<PathBuf>,
}

/// Restores; 0 when it is done or there is nothing to do, 1 when it was only told, 2 if it couldn't run.
pub fn run(args: &RestoreArgs) -> ExitCode {
    match restore(args) {
        Ok(Outcome::Nothing) => {
            println!("The drives know everything, and nothing is to be restored: start the server.");
            ExitCode::SUCCESS
        }
        Ok(Outcome::Told) => {
            println!("Nothing was changed. To go on with this state, run it again with --accept.");
            ExitCode::from(EXIT_FOUND)
        }
        Ok(Outcome::Done) => {
            println!("Restored: start the server.");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("stratum: {error}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

enum Outcome {
    Nothing,
    Told,
    Done,
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
    let by_itself =
        runtime.block_on(async { Offline::open(&layout, &scratch.path().join("drives"), None) })?;
    if by_itself.doubts().is_empty() {
        return Ok(Outcome::Nothing);
    }
    drop(by_itself);
    let backup = args.from.as_ref().map(|file| -> Result<PathBuf, String> {
        let folder = scratch.path().join("backup");
        archive::unpack(file, &folder).map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(folder)
    });
    let backup = backup.transpose()?;
    let open = || Offline::open(&layout, &scratch.path().join("index"), backup.as_deref());
    let store = runtime.block_on(async { open() })?;
    let found = runtime.block_on(fsck::findings(&store))?;
    tell(&store, &found);
    let what = history_of(&store)?;
    if !args.accept {
        return Ok(Outcome::Told);
    }
    accept(store, what, &layout, backup.as_deref())?;
    Ok(Outcome::Done)
}

/// Says what would be restored.
fn tell(store: &Offline, found: &[Told]) {
    println!("The state reaches entry {} of the journal.", store.state.reached());
    for doubt in store.doubts() {
        println!("Not known: {doubt}.");
    }
    for told in found.iter().filter(|told| told.severity >= Severity::Wrong) {
        println!("{}", told.text);
    }
}

/// The history that is to count.
fn history_of(store: &Offline) -> Result<Refounding, String> {
    let index = store.state.reached();
    let m = store.hot_copies() - 1;
    if matches!(store.state.basis(), Basis::Index(_)) {
        return Err(
            "only the server's own index knows the state, and nothing proves it: use `stratum rescue`".into(),
        );
    }
    let run = store.history.runs().into_iter().find(|run| (run.first..=run.last).contains(&index));
    let hash = store.state.reached_hash();
    let floor = run.map_or(index + 1, |run| run.first);
    Ok(Refounding { last: (index, hash), floor, m })
}

/// Writes the checkpoint and the journal to the drives, which are opened for it. The epoch comes last: until it is
/// open, a start finds what it found before.
fn accept(store: Offline, what: Refounding, layout: &Layout, backup: Option<&Path>) -> Result<(), String> {
    let say = |error: &dyn Display| error.to_string();
    let (basis, expected) = (store.state.basis(), store.remains.set);
    drop(store);
    if expected.is_none() {
        return Err(
            "no drive says which set it belongs to, so no server would start: use `stratum rescue`".into()
        );
    }
    let set =
        Set::open(&serve::set_config(layout), Arc::new(System), &System).map_err(|error| say(&error))?;
    let drives = set.drives(Tier::Hot);
    let mut sources = drives.to_vec();
    sources.extend(backup.map(offline::backup_drive).transpose()?);
    let history = History::read(&sources).map_err(|error| say(&error))?;
    let (index, hash) = what.last;
    if history.hash_at(index).is_some_and(|found| found != hash) {
        return Err("the drives have changed meanwhile: run it again".into());
    }
    if let Basis::Checkpoint(index) = basis {
        salvage::remove_bad_copies(&sources);
        salvage::copy_checkpoint(index, &sources, &drives, what.m + 1).map_err(|error| say(&error))?;
    }
    refound(&history, what, &drives, &System).map_err(|error| say(&error))
}
