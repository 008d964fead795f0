//! `stratum fsck`: whether a stopped server's store is whole, and what to do where it isn't.
//!
//! The check changes nothing: it reads drives as `rescue` does, builds the state beside the store, and compares
//! everything with everything else. Only `--repair` opens the store as a server would, and lets the store's own healing
//! do what it can ([`repair`]); then the check is run once more, so that what is told at the end is true.

mod examine;
mod finding;
mod repair;

use crate::offline::{Offline, StoreArgs};
use clap::Args;
use examine::Examined;
use finding::Finding;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;
use stratum_metadata::check::Severity;
use stratum_metadata::salvage;

/// Something was found.
const EXIT_FOUND: u8 = 1;
/// The check couldn't be run.
const EXIT_FAILED: u8 = 2;

/// What `stratum fsck` takes.
#[derive(Args)]
pub struct FsckArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Mend what can be mended, then check again.
    #[arg(long)]
    repair: bool,
    /// Read no bytes of volumes and no whole copies of the journal and the checkpoints.
    #[arg(long)]
    quick: bool,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
    /// A folder with room for a copy of the index. [default: the system's temporary folder]
    #[arg(long)]
    scratch: Option<PathBuf>,
}

/// Checks; 0 if nothing is wrong, 1 if something was found, 2 if it couldn't run.
pub fn run(args: &FsckArgs) -> ExitCode {
    match fsck(args) {
        Ok(report) => {
            let is_well = report.is_well();
            match args.json {
                true => println!("{}", serde_json::to_string_pretty(&report).unwrap_or_default()),
                false => print!("{report}"),
            }
            if is_well { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FOUND) }
        }
        Err(error) => {
            eprintln!("stratum: {error}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

fn fsck(args: &FsckArgs) -> Result<Report, String> {
    let layout = args.store.layout()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let examine = || -> Result<Report, String> {
        let scratch = match &args.scratch {
            Some(folder) => tempfile::tempdir_in(folder),
            None => tempfile::tempdir(),
        };
        let scratch = scratch.map_err(|error| format!("no folder for a copy of the index: {error}"))?;
        runtime.block_on(async {
            let store = Offline::open(&layout, &scratch.path().join("index"), None)?;
            let mut examined = examine::examine(&store, args.quick).await?;
            if !args.quick {
                let copy = scratch.path().join("copy");
                let checked = salvage::check_index(&layout.index(), &copy, &store.history);
                examined.findings.extend(checked.err().map(|problem| Finding::Index { problem }));
            }
            Ok(Report::new(examined))
        })
    };
    let report = examine()?;
    if !args.repair || report.is_well() {
        return Ok(report);
    }
    let mended = repair::repair(&layout, &runtime, report.index_is_bad)?;
    Ok(Report { mended, ..examine()? })
}

/// What is found in a store, the worst first.
pub async fn findings(store: &Offline) -> Result<Vec<Told>, String> {
    Ok(Report::new(examine::examine(store, false).await?).findings)
}

/// What is told.
#[derive(Debug, Default, Serialize)]
struct Report {
    findings: Vec<Told>,
    /// What `--repair` did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mended: Vec<String>,
    objects: u64,
    parts: u64,
    stripes: u64,
    bytes: u64,
    #[serde(skip)]
    index_is_bad: bool,
}

/// A finding, with its severity and in words.
#[derive(Debug, Serialize)]
pub struct Told {
    pub severity: Severity,
    pub text: String,
}

impl Report {
    fn new(examined: Examined) -> Report {
        let told = |finding: &Finding| Told { severity: finding.severity(), text: finding.to_string() };
        let mut findings: Vec<Told> = examined.findings.iter().map(told).collect();
        findings.sort_by_key(|told| std::cmp::Reverse(told.severity));
        let index_is_bad = examined.findings.iter().any(|finding| matches!(finding, Finding::Index { .. }));
        Report {
            index_is_bad,
            findings,
            mended: Vec::new(),
            objects: examined.checked.objects,
            parts: examined.checked.parts,
            stripes: examined.stripes,
            bytes: examined.bytes,
        }
    }

    fn is_well(&self) -> bool {
        self.findings.iter().all(|told| told.severity == Severity::Note)
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for text in &self.mended {
            writeln!(f, "mended: {text}")?;
        }
        for Told { severity, text } in &self.findings {
            let word = match severity {
                Severity::Note => "note",
                Severity::Weak => "weak",
                Severity::Wrong => "wrong",
                Severity::Loss => "LOST",
            };
            writeln!(f, "{word}: {text}")?;
        }
        let count = |severity| self.findings.iter().filter(|told| told.severity == severity).count();
        let (objects, parts, stripes) = (self.objects, self.parts, self.stripes);
        writeln!(
            f,
            "{objects} objects, {parts} parts, {stripes} stripes ({} MiB) were checked.",
            self.bytes >> 20
        )?;
        let [lost, wrong, weak] = [Severity::Loss, Severity::Wrong, Severity::Weak].map(count);
        match self.is_well() {
            true => writeln!(f, "All is well."),
            false => writeln!(
                f,
                "{lost} losses, {wrong} things that are wrong, {weak} that are weaker than they should be."
            ),
        }
    }
}
