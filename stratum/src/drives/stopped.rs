//! `stratum drive replace-stopped`: new disks in the place of lost ones, where a server waits for drives at its start, and
//! so can't be asked to take them in.
//!
//! It changes what the drives say of their set, and nothing else: the journal and the data come to the new disks when
//! the server has started.

use super::{absolute, check_mounted, is_at};
use crate::layout::Layout;
use crate::offline::StoreArgs;
use crate::output;
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use stratum_storage::ambient::{Clock, System};
use stratum_storage::blob::Tier;
use stratum_storage::drive::Threads;
use stratum_storage::journal::{Journal, JournalSet};
use stratum_storage::set::{ChangeError, Changed, Remains, Set};

const EXIT_FAILED: u8 = 2;

/// The arguments of `stratum drive replace-stopped`.
#[derive(Args)]
pub struct ReplaceStoppedArgs {
    /// The data folders of the drives that are lost, where the new disks are mounted.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Use the folders even if their disks seem not to be mounted, because the folders lie on the disk that holds the
    /// mount points of the other drives.
    #[arg(long)]
    unmounted: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// Takes the blank folders at the paths into the set of a server that is stopped, or waits for drives. Ends with 2 if
/// that was refused.
pub fn run(args: &ReplaceStoppedArgs) -> ExitCode {
    match args.store.layout().and_then(|layout| replace(&layout, &args.paths, args.unmounted)) {
        Ok(said) => {
            said.iter().for_each(output::line);
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("stratum: {problem}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

fn replace(layout: &Layout, paths: &[PathBuf], unmounted: bool) -> Result<Vec<String>, String> {
    layout.check()?;
    let set = open(layout)?;
    let places = set.places();
    let mut wanted = Vec::new();
    for path in paths {
        let at: Vec<_> = places.iter().filter(|(_, _, place)| is_at(place, path)).collect();
        if at.is_empty() {
            return Err(format!("{} is no folder of a drive of this store", absolute(path).display()));
        }
        wanted.extend(at);
    }
    for (_, _, place) in wanted.iter().filter(|_| !unmounted) {
        check_mounted(&set, Path::new(place)).map_err(|error| error.to_string())?;
    }
    let replaced =
        wanted.into_iter().map(|(tier, slot, place)| match set.replace(*tier, *slot, false, &System) {
            Ok(Changed::Done) => {
                Ok(format!("{place} is in the set; the server fills it when it has started"))
            }
            Ok(Changed::Already | Changed::Revived) => {
                Ok(format!("{place} is a healthy drive of the set already"))
            }
            Err(ChangeError::Stale { place }) => Err(format!(
                "{place} holds a drive of this store that was replaced or removed before: empty its disk"
            )),
            Err(error) => Err(error.to_string()),
        });
    let said = replaced.collect();
    // The small files that every hot drive holds come to the new ones.
    set.repair();
    said
}

/// The set, which may be changed: enough of its drives are there to know what was acknowledged.
fn open(layout: &Layout) -> Result<Set, String> {
    let (config, clock): (_, Arc<dyn Clock>) = (layout.set_config(Threads::Caller), Arc::new(System));
    // Where there is no drive at all, opening the set would make a new store.
    let remains = Remains::look(&config, &clock).map_err(|error| error.to_string())?;
    if remains.all_drives().is_empty() {
        return Err("there is no drive of a store at the places that are named".into());
    }
    drop(remains);
    let set = Set::open(&config, clock, &System).map_err(|error| error.to_string())?;
    let geometry = set.geometry(Tier::JOURNAL).ok_or("there is no hot tier")?;
    let drives = set.drives(Tier::JOURNAL).to_vec();
    let on = JournalSet { drives, m: usize::from(geometry.m), begun: set.has_begun() };
    let epoch = Journal::last_epoch(&on).map_err(|error| error.to_string())?;
    set.allow_changes(epoch).map_err(|error| error.to_string())?;
    Ok(set)
}
