//! Torture: whole stores on simulated drives, each run from a seed. The power is cut; drives fail, are stale, blank
//! or rotting; disks are full; drives are replaced, added and taken out; the index is lost or damaged; sometimes only
//! a backup is left beside the volumes.
//!
//! Most stores have three tiers, between which objects are moved by an operator's decisions, and some of those a
//! remote store, which fails in its own ways. Some begin at the level before the newest, and are raised. After each
//! life every acknowledged object must be there, and the drives' content must be consistent.
//!
//! `cargo test` plays a bounded number of seeds. `./torture` at the root plays any number: a failing seed is printed,
//! and `./torture --seed S --verbose` plays it again, step by step. The same seed always tells the same story: a
//! failure that doesn't repeat breaks this promise, and is a failure itself.

mod audit;
mod colder;
mod copies;
mod dark;
mod dice;
mod disaster;
mod drives;
mod giving_up;
mod hardware;
mod identities;
mod leaders;
mod levels;
mod life;
mod mending;
mod model;
mod outside;
mod remote;
mod retrying;
mod run;
mod scrubbing;
mod sealed;
mod story;
mod trace;
mod versions;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// The number of seeds that `cargo test` plays...
const BOUNDED: u64 = 60;
/// ... and before those, seeds that once found a fault. In the first one the power fails in the middle of `drive
/// replace`, and the new drive is taken away, too, while the content of the one before it is not restored yet. In the
/// second one, only a drive that is replaced has a group at the end of a segment, after which the next segment
/// begins.
const REMARKABLE: [u64; 2] = [3_000_070, 7_201_600];
/// A seed that takes longer than this counts as hanging.
const LONGEST: Duration = Duration::from_secs(120);

const USAGE: &str = "torture [--seeds N] [--from S] [--jobs J]   plays N seeds from S on, in J processes
torture --seed S [--verbose]                plays one seed
With --twice each seed is played twice, and must tell the same story.";

struct Arguments {
    seeds: u64,
    from: u64,
    jobs: u64,
    verbose: bool,
    twice: bool,
    /// Whether no seeds were named, so that the remarkable ones are played, too.
    remarkable: bool,
    /// Whether the exit code is the number of seeds that failed, at most 255: for the process that shares the seeds
    /// out.
    count: bool,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("{problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if arguments.verbose {
        let filter = tracing_subscriber::EnvFilter::new("info,sled=warn");
        tracing_subscriber::fmt().with_env_filter(filter).without_time().with_writer(std::io::stdout).init();
    }
    let failures = match arguments.jobs {
        0 | 1 => play_all(&arguments),
        jobs => in_processes(&arguments, jobs),
    };
    if arguments.count {
        return ExitCode::from(u8::try_from(failures).unwrap_or(u8::MAX));
    }
    let seeds = arguments.seeds;
    match failures {
        0 => {
            println!("torture: {seeds} seeds, all well");
            ExitCode::SUCCESS
        }
        failures => {
            println!("torture: {failures} of {seeds} seeds failed");
            ExitCode::FAILURE
        }
    }
}

/// Other arguments of a test runner (filters, `--nocapture`) are ignored.
fn parse(mut given: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments {
        seeds: BOUNDED,
        from: 0,
        jobs: 1,
        verbose: false,
        twice: false,
        remarkable: true,
        count: false,
    };
    while let Some(name) = given.next() {
        let mut number = || {
            let value = given.next().and_then(|value| value.parse().ok());
            value.ok_or(format!("{name} takes a number"))
        };
        arguments.remarkable &= !matches!(name.as_str(), "--seeds" | "--from" | "--seed");
        match name.as_str() {
            "--seeds" => arguments.seeds = number()?,
            "--from" => arguments.from = number()?,
            "--jobs" => arguments.jobs = number()?,
            "--seed" => (arguments.from, arguments.seeds) = (number()?, 1),
            "--twice" => arguments.twice = true,
            "--count" => arguments.count = true,
            "--verbose" => arguments.verbose = true,
            "--help" => return Err("whole stores on simulated drives, from seeds".into()),
            _ => {}
        }
    }
    Ok(arguments)
}

/// Plays the seeds one after the other; returns how many failed.
fn play_all(arguments: &Arguments) -> u64 {
    let remarkable = REMARKABLE.into_iter().filter(|_| arguments.remarkable);
    let seeds = remarkable.chain(arguments.from..arguments.from + arguments.seeds);
    seeds.filter(|seed| !plays_well(*seed, arguments)).count() as u64
}

/// Shares the seeds among processes, since some things are one for each process. Returns how many seeds failed.
fn in_processes(arguments: &Arguments, jobs: u64) -> u64 {
    let program = std::env::current_exe().expect("this program has a path");
    let share = arguments.seeds.div_ceil(jobs);
    let children: Vec<_> = (0..jobs)
        .map(|job| {
            let from = arguments.from + job * share;
            let seeds = share.min((arguments.from + arguments.seeds).saturating_sub(from));
            let numbers = ["--from".into(), from.to_string(), "--seeds".into(), seeds.to_string()];
            Command::new(&program)
                .args(numbers)
                .args(arguments.twice.then_some("--twice"))
                .arg("--count")
                .stdout(Stdio::inherit())
                .spawn()
                .expect("a process")
        })
        .collect();
    // A process that was killed has failed, too.
    let failed = |mut child: Child| child.wait().ok().and_then(|status| status.code()).unwrap_or(1);
    children.into_iter().map(|child| u64::from(failed(child).unsigned_abs())).sum()
}

fn plays_well(seed: u64, arguments: &Arguments) -> bool {
    let first = play(seed, arguments.verbose);
    let play_again = arguments.twice || first.is_err() && !arguments.verbose;
    let problem = match (first, play_again.then(|| play(seed, false))) {
        (Ok(_), None) => return true,
        (Ok(first), Some(Ok(second))) if first == second => return true,
        (Ok(_), Some(Ok(_))) => "it tells another story each time: the run is not deterministic".to_owned(),
        (Err(problem), Some(Ok(_))) | (Ok(_), Some(Err(problem))) => {
            format!("failed once and not again: the run is not deterministic, seed {seed}: {problem}")
        }
        (Err(problem), None | Some(Err(_))) => problem,
    };
    println!("seed {seed} FAILED: {problem}\n    ./torture --seed {seed} --verbose");
    false
}

/// Plays a seed on a thread of its own, so that one that hangs is noticed; returns the digest of its story.
fn play(seed: u64, verbose: bool) -> Result<u64, String> {
    let (tell, told) = mpsc::channel();
    let playing = move || {
        let outcome = catch_unwind(AssertUnwindSafe(|| story::play(seed, verbose).digest()));
        let _ = tell.send(outcome.map_err(|panic| reason(panic.as_ref())));
    };
    let spawned = std::thread::Builder::new().name(format!("seed {seed}")).spawn(playing);
    spawned.map_err(|error| error.to_string())?;
    told.recv_timeout(LONGEST).unwrap_or_else(|_| Err("it hangs".into()))
}

fn reason(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
