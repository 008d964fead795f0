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
mod descriptors;
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

/// jemalloc returns freed memory to the system. The C library's allocator keeps what threads freed between blocks that
/// are still in use: after a million and a half small objects the process held more than twice as much memory with it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The configuration of jemalloc: freed memory goes back to the system after one second instead of ten, since a merge
/// of the index frees much memory at once.
///
/// `unsafe` because it exports a symbol. That is safe here: jemalloc expects a string that ends with zero under this
/// name, and nothing else exports the name.
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
    /// Start a server, which serves S3.
    Server(ServerArgs),
    /// Check whether a server is ready.
    Health(probe::HealthArgs),
    /// Show the status of a running server: drives, redundancy, background work, space.
    Status(control::StatusArgs),
    /// Change the pace of a running server's background work.
    Pace(control::PaceArgs),
    /// List, replace, add, drain or remove a running server's drives.
    Drive(control::DriveArgs),
    /// Have a running server read everything and repair what is damaged, or pause that.
    Scrub(control::ScrubArgs),
    /// Show which parts of a running server's index can't be read from any drive any more, and give them up.
    Lost(lost::LostArgs),
    /// Show or raise the level at which the store is written.
    Level(control::LevelArgs),
    /// Move objects between tiers, and calculate what tiering would cost.
    Tier(tier::TierArgs),
    /// Show on which tier an object lies, and why.
    Explain(tier::ExplainArgs),
    /// List, make and delete users, and give them keys and policies.
    User(members::UserArgs),
    /// List, make and delete groups of users, and give them policies.
    Group(members::GroupArgs),
    /// List, show, make and delete policies that users and groups may be given.
    Policy(members::PolicyArgs),
    /// Make a master key, and have a running server wrap the keys of encrypted objects with the newest ones.
    Keys(keys::KeysArgs),
    /// Show or change how much a bucket, or all buckets of a user, may hold.
    Quota(quota::QuotaArgs),
    /// Show or drop the events that wait to be delivered to webhooks.
    Events(events::EventsArgs),
    /// Send a load of requests to any S3 endpoint, and measure it.
    Bench(bench::BenchArgs),
    /// Write the metadata of a running server's store to a file, or to an object in S3.
    Backup(backup::BackupArgs),
    /// Check a store, of a stopped server or of a running one, and mend what can be mended.
    Fsck(fsck::FsckArgs),
    /// Restore a stopped server's store to what its drives and backups prove, so that it starts; then accept that.
    Restore(restore::RestoreArgs),
    /// Copy every readable object out of a store that can't start.
    Rescue(rescue::RescueArgs),
    /// Print a script that completes Stratum's commands in a shell.
    Completions(manual::CompletionsArgs),
    /// Write the man pages of all commands.
    Man(manual::ManArgs),
    #[command(flatten)]
    People(Box<stratum_cli::Command>),
}

impl Command {
    /// Whether the files that the command writes may hold data of a store, so that nobody but their owner may read
    /// them. The files of all other commands have the rights that the umask gives.
    fn is_of_a_store(&self) -> bool {
        !matches!(self, Command::People(_) | Command::Completions(_) | Command::Man(_))
    }
}

/// The arguments of `stratum server`. They override the configuration file.
#[derive(Args)]
pub struct ServerArgs {
    /// The configuration file.
    #[arg(long)]
    config: Option<PathBuf>,
    /// A data folder. Given several times, each folder is a drive that can fail by itself, in production a mount point.
    /// [default: ./data]
    #[arg(long)]
    data: Vec<PathBuf>,
    /// The address to listen on: HOST:PORT, or :PORT for every interface. [default: 127.0.0.1:9000]
    #[arg(long, value_parser = address::parse)]
    address: Option<SocketAddr>,
    /// Serve requests without a signature.
    #[arg(long)]
    anonymous: bool,
    /// Print root's generated credentials even if the output isn't a terminal, such as a container's log.
    #[arg(long)]
    show_credentials: bool,
    /// Make a bucket with some objects, and print how to look at them.
    #[arg(long)]
    demo: bool,
    /// A file with a plan of faults that the drives then have, for tests.
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

/// Makes this binary act as an older one, for tests: with `STRATUM_KNOWN_LEVEL=N` it knows no level above N.
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
