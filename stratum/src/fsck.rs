//! `stratum fsck`: checks whether a store is whole, and says what to do where it isn't.
//!
//! With `--endpoint`, a running server checks itself in the background ([`online`]). Without it the server must be
//! stopped, and the check changes nothing: it reads the drives as `rescue` does, builds the state in a folder beside
//! the store, and compares drives, journal, checkpoints, state and volumes with each other. Only `--repair` opens the
//! store as a server would, and lets the store's own healing do what it can ([`repair`]); then the check is run once
//! more, so that the report tells what is left.

mod examine;
mod finding;
mod online;
mod repair;
mod report;

pub use online::{CheckStatus, Checks, Wanted};
pub use report::Told;

use crate::client::signing::Signing;
use crate::client::trust::TrustArgs;
use crate::client::{self, Operator, ServerArg};
use crate::offline::{Believed, Offline, StoreArgs};
use crate::output;
use crate::remote;
use clap::Args;
use examine::Examined;
use finding::{Finding, Harm};
use report::Report;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use stratum_metadata::salvage;
use stratum_storage::blob::Tier;

/// The exit code when the check found something wrong.
const EXIT_FOUND: u8 = 1;
/// The exit code when the check couldn't be run.
const EXIT_FAILED: u8 = 2;

/// How often a server that checks itself is asked how far it is.
const POLL_INTERVAL: Duration = Duration::from_millis(300);

/// The arguments of `stratum fsck`.
#[derive(Args)]
pub struct FsckArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Have the running server at this address check itself. Credentials come from the environment, from --profile, or
    /// from the server's data folder if it is on this machine.
    #[arg(long, conflicts_with_all = ["config", "scratch"])]
    endpoint: Option<String>,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    trust: TrustArgs,
    /// Repair what can be repaired, then check again.
    #[arg(long)]
    repair: bool,
    /// Check the files of volumes without reading their contents, and don't read every copy of the journal and of the
    /// checkpoints.
    #[arg(long)]
    quick: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// A folder with room for a copy of the index, which is removed again. [default: the system's temporary folder]
    #[arg(long)]
    scratch: Option<PathBuf>,
}

/// Checks a store. Ends with 0 if nothing is wrong, with 1 if something is, and with 2 if the check couldn't be run.
pub fn run(args: &FsckArgs) -> ExitCode {
    let checked = match &args.endpoint {
        Some(endpoint) => ask(args, endpoint),
        None => fsck(args),
    };
    match checked {
        Ok(report) => {
            let is_well = report.is_well();
            match args.json {
                true => output::line(serde_json::to_string_pretty(&report).unwrap_or_default()),
                false => output::print(report),
            }
            if is_well { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FOUND) }
        }
        Err(error) => {
            eprintln!("stratum: {error}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

/// Has a running server check itself, and waits for the report. A command that was interrupted can be run again: it
/// then waits for the check that is under way.
fn ask(args: &FsckArgs, endpoint: &str) -> Result<Report, String> {
    let FsckArgs { signing, trust, .. } = args;
    let (signing, trust) = (signing.clone(), trust.clone());
    let data = args.store.first_named();
    let server = ServerArg { endpoint: Some(endpoint.to_owned()), data, signing, trust };
    let say = |error: client::CallError| error.to_string();
    let operator = Operator::new(&server).map_err(say)?;
    let (quick, repair) = (args.quick.to_string(), args.repair.to_string());
    let query = [("quick", quick.as_str()), ("repair", &repair)];
    let mut status: CheckStatus = operator.post("fsck", &query).map_err(say)?;
    let number = status.number;
    let progress = indicatif::ProgressBar::new_spinner();
    while status.is_under_way && status.number == number {
        progress.set_message(status.to_text());
        progress.tick();
        std::thread::sleep(POLL_INTERVAL);
        status = operator.get("fsck").map_err(say)?;
    }
    progress.finish_and_clear();
    match status {
        CheckStatus { failed: Some(problem), .. } => Err(problem),
        CheckStatus { report: Some(report), .. } if status.number == number => Ok(report),
        _ => Err("the server was restarted, or told to check again: run it again".into()),
    }
}

/// Checks the store of a stopped server, and repairs it if that is wanted.
fn fsck(args: &FsckArgs) -> Result<Report, String> {
    let layout = args.store.layout()?;
    let remote = remote::configured(&args.store.config()?).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let examine = || -> Result<Examined, String> {
        let scratch = match &args.scratch {
            Some(folder) => tempfile::tempdir_in(folder),
            None => tempfile::tempdir(),
        };
        let scratch = scratch.map_err(|error| format!("no folder for a copy of the index: {error}"))?;
        runtime.block_on(async {
            let store = Offline::open(&layout, &scratch.path().join("index"), &[], Believed::All)?
                .with_remote(remote.clone());
            let mut examined = examine::examine(&store, args.quick).await?;
            if !args.quick {
                let copy = scratch.path().join("copy");
                let drives = store.remains.drives(Tier::JOURNAL);
                let checked = salvage::check_index(&store.index, &drives, &copy, &store.history);
                examined.findings.extend(checked.err().map(|problem| Finding::Index { problem }));
            }
            Ok(examined)
        })
    };
    let examined = examine()?;
    let index_is_bad = examined.findings.iter().any(|finding| matches!(finding, Finding::Index { .. }));
    let leftovers = examined.leftovers();
    let report = Report::from(examined);
    if !args.repair || (report.is_well() && leftovers == 0) {
        return Ok(report);
    }
    let mut mended = repair::repair(&layout, &runtime, index_is_bad)?;
    let examined = examine()?;
    mended.extend(report::removed(leftovers.saturating_sub(examined.leftovers())));
    Ok(Report { mended, ..examined.into() })
}

/// How many objects and parts of uploads a store has, how many of them are damaged, and how many are lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub known: u64,
    pub damaged: u64,
    pub lost: u64,
}

/// Checks a store that is opened already: gives the findings, the worst first, and how many objects they concern.
pub async fn findings(store: &Offline) -> Result<(Vec<Told>, Totals), String> {
    let examined = examine::examine(store, false).await?;
    let count =
        |wanted| examined.findings.iter().filter(|finding| finding.harm() == Some(wanted)).count() as u64;
    let (damaged, lost) = (count(Harm::Damaged), count(Harm::Lost));
    let report = Report::from(examined);
    Ok((report.findings, Totals { known: report.objects + report.parts, damaged, lost }))
}
