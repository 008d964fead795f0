//! The operator's commands: each asks a running server and says what came of it.
//!
//! They end with 0 when all is well, with 1 when something was found, and with 2 when they couldn't run.

use crate::client::{CallError, Operator, ServerArg};
use crate::status::{Background, State, Status};
use clap::{Args, Subcommand};
use std::process::ExitCode;

const FOUND: u8 = 1;
const COULD_NOT_RUN: u8 = 2;

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
    /// heal, evacuate, compact or scrub; all of them if none is named.
    task: Option<String>,
    #[command(flatten)]
    server: ServerArg,
}

/// Shows the status: 0 when all is well, 1 when anything isn't.
pub fn status(args: &StatusArgs) -> ExitCode {
    ended(|| {
        let status: Status = Operator::new(&args.server)?.get("status")?;
        match args.json {
            true => println!("{}", serde_json::to_string_pretty(&status).unwrap_or_default()),
            false => print!("{}", status.to_text()),
        }
        Ok(status.state == State::Well)
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
        println!("background work goes {}", background.to_text());
        Ok(true)
    })
}

/// Runs a command and turns what came of it into an exit code.
fn ended(command: impl FnOnce() -> Result<bool, CallError>) -> ExitCode {
    match command() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FOUND),
        Err(error) => {
            eprintln!("stratum: {error}");
            ExitCode::from(COULD_NOT_RUN)
        }
    }
}
