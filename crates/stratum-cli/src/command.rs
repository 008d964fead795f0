//! The client's commands, one module each.
//!
//! A command exits with 0 when everything was done, and otherwise with the code of its
//! [`Outcome`](crate::problem::Outcome).

mod alias;
mod apart;
mod cat;
mod cp;
mod du;
mod find;
mod ls;
mod mb;
mod rb;
mod rm;
mod share;
mod sync;
mod tag;

use crate::connection::ConnectArgs;
use crate::machine::Machine;
use crate::output::{Output, OutputArgs};
use crate::problem::{Outcome, Problem};
use crate::sessions::Sessions;
use clap::Subcommand;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// What people do with a store.
#[derive(Subcommand)]
pub enum Command {
    /// List buckets, or what is in one; times are in UTC.
    Ls(ls::LsArgs),
    /// Copy files and objects: to, from, and between buckets.
    Cp(cp::CpArgs),
    /// Move files and objects: copy them, and remove the source once its copy is there.
    Mv(cp::MvArgs),
    /// Make a folder or a prefix like another: copy what is new or differs.
    Sync(sync::SyncArgs),
    /// Delete objects.
    Rm(rm::RmArgs),
    /// Print objects.
    Cat(cat::CatArgs),
    /// Print the beginning of an object.
    Head(cat::HeadArgs),
    /// Say how much a bucket or a prefix holds.
    Du(du::DuArgs),
    /// Print the URLs of objects by name, size and age.
    Find(find::FindArgs),
    /// Make buckets.
    Mb(mb::MbArgs),
    /// Remove buckets.
    Rb(rb::RbArgs),
    /// Print a URL by which anybody may read or write one object for a while.
    Presign(share::PresignArgs),
    /// Print a URL to give to somebody, and say until when it holds.
    Share(share::ShareArgs),
    /// Show, set and remove tags of objects and buckets.
    Tag(tag::TagArgs),
    /// Keep endpoints with their keys under names, as NAME://bucket/key.
    Alias(alias::AliasArgs),
}

/// Does what a command says.
pub fn run(command: Command, machine: Machine) -> ExitCode {
    let outcome = match command {
        Command::Ls(args) => {
            answer(machine, args.connect.clone(), args.output, async |with| ls::run(&args, with).await)
        }
        Command::Cp(args) => cp::copy(args, machine),
        Command::Mv(args) => cp::shift(args, machine),
        Command::Sync(args) => sync::run(args, machine),
        Command::Rm(args) => {
            answer(machine, args.connect.clone(), args.output, async |with| rm::run(&args, with).await)
        }
        Command::Cat(args) => cat::cat(args, machine),
        Command::Head(args) => cat::head(args, machine),
        Command::Du(args) => {
            answer(machine, args.connect.clone(), args.output, async |with| du::run(&args, with).await)
        }
        Command::Find(args) => {
            answer(machine, args.connect.clone(), args.output, async |with| find::run(&args, with).await)
        }
        Command::Mb(args) => {
            answer(machine, args.connect.clone(), args.output, async |with| mb::run(&args, with).await)
        }
        Command::Rb(args) => {
            answer(machine, args.connect.clone(), args.output, async |with| rb::run(&args, with).await)
        }
        Command::Presign(args) => {
            answer(machine, args.connect.clone(), args.output, async |with| share::presign(&args, with).await)
        }
        Command::Share(args) => {
            answer(machine, args.connect.clone(), args.output, async |with| share::share(&args, with).await)
        }
        Command::Tag(args) => {
            answer(machine, args.connect.clone(), args.output, async |with| tag::run(&args, with).await)
        }
        Command::Alias(args) => alias::run(&args, &machine),
    };
    outcome.into()
}

/// What a command that prints an answer works with: its clients and its output.
struct With {
    sessions: Sessions,
    output: Output,
}

/// Runs a command whose answer is printed, until it ends or is interrupted.
fn answer(
    machine: Machine,
    connect: ConnectArgs,
    output: OutputArgs,
    command: impl AsyncFnOnce(&With) -> Result<(), Problem>,
) -> Outcome {
    let with = With { sessions: Sessions::new(connect, machine), output: Output::new(output) };
    let ended = on_threads(async {
        tokio::select! {
            ended = command(&with) => ended.map(|()| None),
            outcome = interrupted() => Ok(Some(outcome)),
        }
    });
    let ended = ended.and_then(|ended| ended);
    let flushed = with.output.flush();
    match ended.and_then(|outcome| flushed.map(|()| outcome)) {
        Ok(Some(outcome)) => outcome,
        Ok(None) | Err(Problem::Closed) => with.output.outcome(1),
        Err(problem) => {
            with.output.problem(&problem);
            with.output.outcome(0)
        }
    }
}

/// Runs `work` on a runtime of its own. Threads that still block when the work has ended, in a read of a pipe for
/// example, aren't waited for.
fn on_threads<T>(work: impl Future<Output = T>) -> Result<T, Problem> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Problem::at("threads", error))?;
    let ended = runtime.block_on(work);
    runtime.shutdown_background();
    Ok(ended)
}

/// Waits for SIGINT or SIGTERM, by which a person or a supervisor ends the command.
async fn interrupted() -> Outcome {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Outcome::Interrupted
}
