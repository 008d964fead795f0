//! The operator's commands: each asks a running server and says what came of it.
//!
//! They end with 0 when all is well, with 1 when something was found, and with 2 when they couldn't run.

use crate::client::{CallError, Operator, ServerArg};
use crate::operator::LevelStatus;
use crate::output;
use crate::scrubbing;
use crate::status::{Background, DriveStatus, State, Status, drives};
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use stratum_storage::scrub::ScrubStatus;

const EXIT_FOUND: u8 = 1;
const EXIT_FAILED: u8 = 2;

/// What `stratum status` takes.
#[derive(Args)]
pub struct StatusArgs {
    /// For programs.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArg,
}

/// What `stratum pace` takes.
#[derive(Args)]
pub struct PaceArgs {
    #[command(subcommand)]
    action: PaceAction,
}

#[derive(Subcommand)]
enum PaceAction {
    /// Let background work go as fast as it can, whatever requests feel.
    Hurry(ServerArg),
    /// Let it keep to its budget and give way to requests.
    Steady(ServerArg),
    /// Hold a task back, or all of them.
    Pause(TaskArgs),
    /// Let it go on.
    Resume(TaskArgs),
}

#[derive(Args)]
struct TaskArgs {
    /// heal, evacuate, compact, scrub, transition or balance; all of them if none is named.
    task: Option<String>,
    #[command(flatten)]
    server: ServerArg,
}

/// What `stratum level` takes.
#[derive(Args)]
pub struct LevelArgs {
    #[command(subcommand)]
    action: LevelAction,
}

#[derive(Subcommand)]
enum LevelAction {
    /// Show the level at which the store is written, and the highest that the server knows.
    Show(ServerArg),
    /// Write it at the highest from now on: binaries that don't know that level can't open the store any more.
    Raise(ServerArg),
}

/// What `stratum scrub` takes.
#[derive(Args)]
pub struct ScrubArgs {
    #[command(subcommand)]
    action: ScrubAction,
}

#[derive(Subcommand)]
enum ScrubAction {
    /// Begin a pass now, or go on with the one that is paused.
    Start(ServerArg),
    /// Show how far it is and what it found.
    Status(ServerArg),
    /// Hold the pass that is under way.
    Pause(ServerArg),
}

/// What `stratum drive` takes.
#[derive(Args)]
pub struct DriveArgs {
    #[command(subcommand)]
    action: DriveAction,
}

#[derive(Subcommand)]
enum DriveAction {
    /// Show every drive, where it is and how it is.
    List(ServerArg),
    /// Take a blank folder into the set in the place of the drive that was there.
    Replace(NewDriveArgs),
    /// Take one more drive into the set.
    Add(NewDriveArgs),
    /// Move everything off a drive, to take it out.
    Drain(OldDriveArgs),
    /// Let a drive stay that was being drained.
    Keep(OldDriveArgs),
    /// Take a drained drive out of the set.
    Remove(OldDriveArgs),
}

#[derive(Args)]
struct NewDriveArgs {
    /// The data folder, as the server sees it.
    path: PathBuf,
    /// Delete what a drive of this store that was replaced before holds, to use its disk as a new one.
    #[arg(long)]
    wipe: bool,
    /// Use the folder though its disk seems not to be mounted: it lies on the disk that the other drives are mounted on.
    #[arg(long)]
    unmounted: bool,
    #[command(flatten)]
    server: ServerArg,
}

#[derive(Args)]
struct OldDriveArgs {
    /// The drive's data folder, as the server sees it.
    path: PathBuf,
    #[command(flatten)]
    server: ServerArg,
}

/// Lists or changes drives: 1 if a listed one isn't healthy, 2 if a change was refused.
pub fn drive(args: &DriveArgs) -> ExitCode {
    let new = |args: &NewDriveArgs| (args.wipe, args.unmounted);
    let (action, path, (wipe, unmounted), server) = match &args.action {
        DriveAction::List(server) => return list_drives(server),
        DriveAction::Replace(args) => ("replace", &args.path, new(args), &args.server),
        DriveAction::Add(args) => ("add", &args.path, new(args), &args.server),
        DriveAction::Drain(args) => ("drain", &args.path, (false, false), &args.server),
        DriveAction::Keep(args) => ("keep", &args.path, (false, false), &args.server),
        DriveAction::Remove(args) => ("remove", &args.path, (false, false), &args.server),
    };
    ended(|| {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let (path, wipe, unmounted) = (path.to_string_lossy(), wipe.to_string(), unmounted.to_string());
        let query = [("path", path.as_ref()), ("wipe", &wipe), ("unmounted", &unmounted)];
        let said: Vec<String> = Operator::new(server)?.post(&format!("drives/{action}"), &query)?;
        said.iter().for_each(output::line);
        Ok(true)
    })
}

fn list_drives(server: &ServerArg) -> ExitCode {
    ended(|| {
        let drives: Vec<DriveStatus> = Operator::new(server)?.get("drives")?;
        output::print(drives::to_text(&drives));
        Ok(drives.iter().all(|drive| drive.state == "healthy"))
    })
}

/// Shows the status: 0 when all is well, 1 when anything isn't.
pub fn status(args: &StatusArgs) -> ExitCode {
    ended(|| {
        let status: Status = Operator::new(&args.server)?.get("status")?;
        match args.json {
            true => output::line(serde_json::to_string_pretty(&status).unwrap_or_default()),
            false => output::print(status.to_text()),
        }
        Ok(status.state == State::Well && !status.is_provisional)
    })
}

/// Changes the pace of background work.
pub fn pace(args: &PaceArgs) -> ExitCode {
    let (action, task, server) = match &args.action {
        PaceAction::Hurry(server) => ("hurry", None, server),
        PaceAction::Steady(server) => ("steady", None, server),
        PaceAction::Pause(args) => ("pause", args.task.as_deref(), &args.server),
        PaceAction::Resume(args) => ("resume", args.task.as_deref(), &args.server),
    };
    ended(|| {
        let mut query = vec![("action", action)];
        query.extend(task.map(|task| ("task", task)));
        let background: Background = Operator::new(server)?.post("pace", &query)?;
        output::line(format_args!("background work goes {}", background.to_text()));
        Ok(true)
    })
}

/// Shows or raises the store's level.
pub fn level(args: &LevelArgs) -> ExitCode {
    ended(|| {
        let LevelStatus { level, newest } = match &args.action {
            LevelAction::Show(server) => Operator::new(server)?.get("level")?,
            LevelAction::Raise(server) => Operator::new(server)?.post("level/raise", &[])?,
        };
        output::line(format_args!("the store is of level {level}; the server knows levels up to {newest}"));
        Ok(true)
    })
}

/// Starts, shows or pauses scrub: 1 if it found anything.
pub fn scrub(args: &ScrubArgs) -> ExitCode {
    ended(|| {
        let status: ScrubStatus = match &args.action {
            ScrubAction::Start(server) => Operator::new(server)?.post("scrub/start", &[])?,
            ScrubAction::Pause(server) => Operator::new(server)?.post("scrub/pause", &[])?,
            ScrubAction::Status(server) => Operator::new(server)?.get("scrub")?,
        };
        output::print(scrubbing::to_text(&status));
        Ok(scrubbing::is_clean(&status.cursor.found))
    })
}

/// Runs a command and turns what came of it into an exit code.
pub fn ended(command: impl FnOnce() -> Result<bool, CallError>) -> ExitCode {
    match command() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_FOUND),
        Err(error) => {
            eprintln!("stratum: {error}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}
