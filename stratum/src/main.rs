//! Stratum: a durable, erasure-coded, S3-compatible object store in one binary.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

mod address;
mod audit;
mod backup;
mod bench;
mod certificate;
mod classify;
mod client;
mod config;
mod control;
mod credentials;
mod delivery;
mod demo;
mod drives;
mod events;
mod failure;
mod figures;
mod fsck;
mod fullness;
mod identities;
mod keys;
mod layout;
mod listen;
mod load;
mod logging;
mod lost;
mod manual;
mod master_keys;
mod members;
mod offline;
mod opening;
mod operator;
mod otlp;
mod output;
mod people;
mod private;
mod probe;
mod quantity;
mod quota;
mod remote;
mod rescue;
mod restore;
mod root;
mod scrubbing;
mod serve;
mod sessions;
mod shown;
mod simulate;
mod status;
mod stopping;
mod telemetry;
mod tier;
mod usage;
mod webhook;

use clap::{Args, CommandFactory, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
#[cfg(feature = "faults")]
use stratum_metadata::record::{Level, know_up_to};

/// Gives memory back that isn't needed any more. The C library's own keeps what threads freed among what they still hold:
/// after a million and a half small objects it had more than twice as much of the machine's memory.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What the allocator does otherwise than by default: memory that was freed goes back to the system after one second and not
/// after ten. A merge of the index frees much at once.
///
/// Safe: it is a string that ends with zero, as jemalloc expects under this name, and nothing else has the name.
#[used]
#[unsafe(export_name = "_rjem_malloc_conf")]
static ALLOCATION: &u8 = &b"dirty_decay_ms:1000\0"[0];

/// A durable, erasure-coded, S3-compatible object store.
#[derive(Parser)]
#[command(name = "stratum", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve S3.
    Server(ServerArgs),
    /// Ask a server whether it is ready.
    Health(probe::HealthArgs),
    /// Show how a running server is: drives, redundancy, background work, space.
    Status(control::StatusArgs),
    /// Change the pace of a running server's background work.
    Pace(control::PaceArgs),
    /// List, replace, add, drain or remove a running server's drives.
    Drive(control::DriveArgs),
    /// Have a running server read and repair everything, or hold that.
    Scrub(control::ScrubArgs),
    /// Show what of a running server's index no drive gives any more, and give it up.
    Lost(lost::LostArgs),
    /// Show or raise the level at which the store is written.
    Level(control::LevelArgs),
    /// Move objects between tiers, and try out what tiering would cost.
    Tier(tier::TierArgs),
    /// Say where an object is, and why.
    Explain(tier::ExplainArgs),
    /// List, make and delete users, and give them keys and policies.
    User(members::UserArgs),
    /// List, make and delete groups of users, and give them policies.
    Group(members::GroupArgs),
    /// List, show, make and delete policies that users and groups may be given.
    Policy(members::PolicyArgs),
    /// Make a master key, and have a running server wrap the keys of encrypted objects with the newest ones.
    Keys(keys::KeysArgs),
    /// Bound what a bucket, or all buckets of a user, may hold.
    Quota(quota::QuotaArgs),
    /// Show what waits to be told to webhooks, or forget it.
    Events(events::EventsArgs),
    /// Load any S3 endpoint and measure it.
    Bench(bench::BenchArgs),
    /// Write what a running server knows to a file, or to an object in S3.
    Backup(backup::BackupArgs),
    /// Check a store, of a stopped server or of a running one, and mend what can be mended.
    Fsck(fsck::FsckArgs),
    /// Make what can be proven of a stopped server's store its history again, so that it starts; accept that.
    Restore(restore::RestoreArgs),
    /// Copy every readable object out of a store that can't start.
    Rescue(rescue::RescueArgs),
    /// Print what completes this command line in a shell.
    Completions(manual::CompletionsArgs),
    /// Write the man pages of all commands.
    Man(manual::ManArgs),
    #[command(flatten)]
    People(Box<stratum_cli::Command>),
}

impl Command {
    /// Whether what it writes is of a store, and so nobody else's business. The rest is as the umask has it.
    fn is_of_a_store(&self) -> bool {
        !matches!(self, Command::People(_) | Command::Completions(_) | Command::Man(_))
    }
}

/// What `stratum server` takes; the command line goes before the config.
#[derive(Args)]
pub struct ServerArgs {
    /// The configuration file.
    #[arg(long)]
    config: Option<PathBuf>,
    /// A data folder; several are real drives that fail one by one. [default: ./data]
    #[arg(long)]
    data: Vec<PathBuf>,
    /// Where to listen: HOST:PORT, or :PORT for every interface. [default: 127.0.0.1:9000]
    #[arg(long, value_parser = address::parse)]
    address: Option<SocketAddr>,
    /// Serve requests without a signature.
    #[arg(long)]
    anonymous: bool,
    /// Print root's generated credentials even where the output isn't a terminal, such as a container's log.
    #[arg(long)]
    show_credentials: bool,
    /// Make a bucket with something in it, and say where to look at it.
    #[arg(long)]
    demo: bool,
    /// A plan by which drives go wrong, for tests.
    #[cfg(feature = "faults")]
    #[arg(long)]
    faults: Option<PathBuf>,
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    if command.is_of_a_store() {
        private::create_privately();
    }
    #[cfg(feature = "faults")]
    know_what_an_earlier_binary_knew();
    match command {
        Command::People(command) => people::run(*command),
        Command::Completions(args) => manual::completions(&args, Cli::command()),
        Command::Man(args) => manual::man(&args, Cli::command()),
        Command::Server(args) => serve::run(args),
        Command::Health(args) => probe::run(&args),
        Command::Status(args) => control::status(&args),
        Command::Drive(args) => control::drive(&args),
        Command::Pace(args) => control::pace(&args),
        Command::Scrub(args) => control::scrub(&args),
        Command::Lost(args) => lost::run(&args),
        Command::Level(args) => control::level(&args),
        Command::Tier(args) => tier::run(args),
        Command::Explain(args) => tier::explain(&args),
        Command::User(args) => members::user(&args),
        Command::Group(args) => members::group(&args),
        Command::Policy(args) => members::policy(&args),
        Command::Keys(args) => keys::run(&args),
        Command::Quota(args) => quota::run(&args),
        Command::Events(args) => events::run(&args),
        Command::Bench(args) => bench::run(args),
        Command::Backup(args) => backup::run(&args),
        Command::Fsck(args) => fsck::run(&args),
        Command::Restore(args) => restore::run(&args),
        Command::Rescue(args) => rescue::run(&args),
    }
}

/// `STRATUM_KNOWN_LEVEL=N`, for tests: a store of a level above N is one of a newer binary.
#[cfg(feature = "faults")]
fn know_what_an_earlier_binary_knew() {
    let known = std::env::var("STRATUM_KNOWN_LEVEL").ok().and_then(|number| number.parse().ok());
    if let Some(level) = known.and_then(|number| Level::known(number).ok()) {
        know_up_to(level);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(command: &clap::Command) {
        for argument in command.get_arguments() {
            let (command, argument) = (command.get_name(), argument.clone());
            assert!(argument.get_help().is_some(), "{command}: {} says nothing of itself", argument.get_id());
        }
        command.get_subcommands().for_each(check);
    }

    #[test]
    fn every_command_and_every_flag_says_what_it_is() {
        let cli = Cli::command();
        check(&cli);
        cli.debug_assert();
    }
}
