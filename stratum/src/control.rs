//! The operator's commands `status`, `pace`, `level`, `scrub` and `drive`: each calls a running server and prints its
//! answer.
//!
//! They end with 0 when all is well, with 1 when the answer tells of something that isn't, and with 2 when the call
//! failed or was refused.

use crate::client::{CallError, Operator, ServerArg};
use crate::drives::stopped;
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

/// The arguments of `stratum status`.
#[derive(Args)]
pub struct StatusArgs {
    /// Print the status as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArg,
}

/// The arguments of `stratum pace`.
#[derive(Args)]
pub struct PaceArgs {
    #[command(subcommand)]
    action: PaceAction,
}

#[derive(Subcommand)]
enum PaceAction {
    /// Let background work go as fast as it can, even if that slows requests.
    Hurry(ServerArg),
    /// Let background work keep to the budget that the configuration sets, and give way to requests.
    Steady(ServerArg),
    /// Hold one background task back, or all of them.
    Pause(TaskArgs),
    /// Let a task that is held back go on, or all of them.
    Resume(TaskArgs),
}

#[derive(Args)]
struct TaskArgs {
    /// The task: heal, evacuate, compact, scrub, transition or balance. [default: all of them]
    task: Option<String>,
    #[command(flatten)]
    server: ServerArg,
}

/// The arguments of `stratum level`.
#[derive(Args)]
pub struct LevelArgs {
    #[command(subcommand)]
    action: LevelAction,
}

#[derive(Subcommand)]
enum LevelAction {
    /// Show the level at which the store is written, and the highest level that the server knows.
    Show(ServerArg),
    /// Write the store at the highest level from now on. Older binaries, which don't know that level, can't open the
    /// store any more.
    Raise(ServerArg),
}

/// The arguments of `stratum scrub`.
#[derive(Args)]
pub struct ScrubArgs {
    #[command(subcommand)]
    action: ScrubAction,
}

#[derive(Subcommand)]
enum ScrubAction {
    /// Begin a pass of scrub now, or go on with the pass that is paused.
    Start(ServerArg),
    /// Show how far the pass has come and what it found.
    Status(ServerArg),
    /// Pause the pass that is under way.
    Pause(ServerArg),
}

/// The arguments of `stratum drive`.
#[derive(Args)]
pub struct DriveArgs {
    #[command(subcommand)]
    action: DriveAction,
}

#[derive(Subcommand)]
enum DriveAction {
    /// Show every drive with its folder and its state.
    List(ServerArg),
    /// Use a blank folder in place of the lost drive that was at this path.
    Replace(NewDriveArgs),
    /// Use blank folders in place of the lost drives that were at these paths, while the server is stopped or waits for
    /// drives at its start.
    ReplaceStopped(stopped::ReplaceStoppedArgs),
    /// Add a drive to the set.
    Add(AddedDriveArgs),
    /// Move all data off a drive, so that it can be removed.
    Drain(OldDriveArgs),
    /// Stop draining a drive, so that it stays in the set.
    Keep(OldDriveArgs),
    /// Take a drained drive out of the set.
    Remove(OldDriveArgs),
}

#[derive(Args)]
struct NewDriveArgs {
    /// The drive's data folder, by its path on the server's machine.
    path: PathBuf,
    /// If the folder holds a drive that was replaced in this store before, delete its data and use the folder as a new
    /// drive.
    #[arg(long)]
    wipe: bool,
    /// Use the folder even if its disk seems not to be mounted, because the folder lies on the disk that holds the
    /// mount points of the other drives.
    #[arg(long)]
    unmounted: bool,
    #[command(flatten)]
    server: ServerArg,
}

#[derive(Args)]
struct AddedDriveArgs {
    /// The tiers of which the folder gets drives, separated by commas, where some have drives of their own in the
    /// configuration. [default: those that follow from it]
    #[arg(long, value_delimiter = ',', value_parser = ["hot", "warm", "cold"])]
    tier: Vec<String>,
    #[command(flatten)]
    new: NewDriveArgs,
}

#[derive(Args)]
struct OldDriveArgs {
    /// The drive's data folder, by its path on the server's machine.
    path: PathBuf,
    #[command(flatten)]
    server: ServerArg,
}

/// Lists or changes drives. Ends with 1 if a listed drive isn't healthy, and with 2 if a change was refused.
pub fn drive(args: &DriveArgs) -> ExitCode {
    let new = |args: &NewDriveArgs| (args.wipe, args.unmounted);
    let (action, path, (wipe, unmounted), server) = match &args.action {
        DriveAction::List(server) => return list_drives(server),
        DriveAction::ReplaceStopped(args) => return stopped::run(args),
        DriveAction::Replace(args) => ("replace", &args.path, new(args), &args.server),
        DriveAction::Add(args) => ("add", &args.new.path, new(&args.new), &args.new.server),
        DriveAction::Drain(args) => ("drain", &args.path, (false, false), &args.server),
        DriveAction::Keep(args) => ("keep", &args.path, (false, false), &args.server),
        DriveAction::Remove(args) => ("remove", &args.path, (false, false), &args.server),
    };
    let tier = match &args.action {
        DriveAction::Add(args) => args.tier.join(","),
        _ => String::new(),
    };
    ended(|| {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        // A query is text, so any other path would come to name another folder.
        let path = path.to_str().ok_or_else(|| CallError::NoText(path.clone()))?;
        let (wipe, unmounted) = (wipe.to_string(), unmounted.to_string());
        let query = [("path", path), ("tier", &tier), ("wipe", &wipe), ("unmounted", &unmounted)];
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

/// Shows the status. Ends with 0 when all is well, and with 1 when anything isn't or a restored state isn't accepted
/// yet.
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

/// Starts, shows or pauses scrub. Ends with 1 if scrub found anything.
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

/// Runs a command and gives its exit code: `Ok(true)` says that all is well, `Ok(false)` that something isn't.
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
