//! `stratum bench`: a closed-loop load on any S3 endpoint.
//!
//! So many connections each send a request, read its whole answer, check it, and send the next. The tool shares the
//! machine with the store it measures, so a request must cost it next to nothing: a few OS threads, each with its
//! own runtime and connections, hand-built request heads, bodies that are windows of one buffer (hashed once,
//! never copied), and no channel or lock on the way.
//!
//! Requests are signed with SigV4 and carry the real SHA-256 of their body, so that the server does its full work.
//! Every GET is compared byte for byte, every HEAD by its length, every list by its first key and its count.

mod body;
mod name;
mod report;
mod tally;
mod worker;

use crate::client::connection::Endpoint;
use crate::client::sign::Credentials;
use crate::client::signing::Signing;
use crate::credentials::CredentialsError;
use crate::output;
use crate::quantity;
use body::{Bodies, Filling};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use report::Report;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use stratum_storage::ambient::{Clock, System};
use tally::Tally;
use worker::{Phase, Worker};

/// What `stratum bench` takes.
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    /// The store, such as http://127.0.0.1:9000. Plain HTTP only: over TLS, TLS would be measured.
    #[arg(long)]
    endpoint: String,
    /// What to do. `overwrite` is PUTs of keys that are there; `mixed` is 45 % GET, 30 % HEAD, 15 % PUT and 10 % DELETE.
    #[arg(long, value_enum)]
    op: Op,
    /// The size of an object.
    #[arg(long, default_value = "4KiB", value_parser = quantity::size)]
    size: u64,
    /// How many connections, each with one request in flight.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=4096))]
    concurrency: u32,
    /// How long to measure. A delete ends earlier when the keys run out.
    #[arg(long, default_value = "20s", value_parser = quantity::duration)]
    duration: Duration,
    /// How long to run before measuring.
    #[arg(long, default_value = "0s", value_parser = quantity::duration)]
    warmup: Duration,
    /// How many objects are written before a load that needs some. PUTs always write new keys. [default: 10000, or fewer
    /// where those would take more than 1 GiB]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    keys: Option<u32>,
    /// The bucket; made if it is absent.
    #[arg(long, default_value = "stratum-bench")]
    bucket: String,
    /// Leave the objects behind.
    #[arg(long)]
    keep: bool,
    /// The objects are there, kept by an earlier run with the same seed, size and number of keys.
    #[arg(long)]
    reuse: bool,
    /// Chooses keys and bodies; two runs with one seed write the same objects.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Bodies are a text, which shrinks to about a third; they are random bytes otherwise, which don't.
    #[arg(long)]
    text: bool,
    /// Threads of the load tool.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    threads: u32,
    /// Whose key to sign with; without it as the operator's commands: STRATUM_ROOT_ACCESS_KEY and STRATUM_ROOT_SECRET_KEY,
    /// --data, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, --profile, ./data, ~/.aws.
    #[arg(long, requires = "secret_key")]
    access_key: Option<String>,
    /// The secret of --access-key.
    #[arg(long, requires = "access_key")]
    secret_key: Option<String>,
    /// The first data folder of a server on this machine, for the root credentials that it keeps there.
    #[arg(long)]
    data: Option<PathBuf>,
    #[command(flatten)]
    signing: Signing,
    /// Print one JSON document in place of the text.
    #[arg(long)]
    json: bool,
}

/// Objects that are written beforehand unless the command line says how many, and the bytes that they may take.
const DEFAULT_KEYS: u64 = 10_000;
const DEFAULT_KEYS_BYTES: u64 = 1 << 30;

impl BenchArgs {
    /// How many objects are written beforehand.
    pub(crate) fn keys(&self) -> u32 {
        let fitting = DEFAULT_KEYS_BYTES.checked_div(self.size).unwrap_or(DEFAULT_KEYS);
        self.keys.unwrap_or(fitting.clamp(1, DEFAULT_KEYS) as u32)
    }
}

/// What a load does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Op {
    Put,
    Overwrite,
    Get,
    Head,
    List,
    Delete,
    Mixed,
}

impl Op {
    /// Whether there must be objects before it starts.
    fn needs_objects(self) -> bool {
        self != Op::Put
    }
}

/// Why a load could not be run at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    #[error("--endpoint {0}: it must be http://host:port or https://host:port")]
    Endpoint(String),
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error("cannot make the bucket {bucket}: {problem}")]
    Bucket { bucket: String, problem: String },
    #[error("{0} of the objects could not be written beforehand: {1}")]
    Preload(u64, String),
    #[error("cannot start: {0}")]
    Start(#[from] std::io::Error),
    #[error("a thread of the load died")]
    Died,
}

/// What every worker of a load knows.
#[derive(Debug)]
pub(crate) struct Plan {
    pub op: Op,
    pub endpoint: Endpoint,
    pub credentials: Credentials,
    pub bucket: String,
    pub bodies: Bodies,
    pub keys: u32,
    pub concurrency: u32,
    pub seed: u64,
    /// The keys written beforehand, sorted, where a list is to be checked against them.
    pub listing: Vec<u32>,
    /// Requests done in the current phase; for the progress bar.
    pub done: AtomicU64,
}

impl Plan {
    fn new(args: &BenchArgs) -> Result<Plan, BenchError> {
        let endpoint =
            Endpoint::parse(&args.endpoint).ok_or_else(|| BenchError::Endpoint(args.endpoint.clone()))?;
        let mut listing = Vec::new();
        if args.op == Op::List {
            listing = (0..args.keys()).map(|number| name::name(args.seed, number)).collect();
            listing.sort_unstable();
        }
        Ok(Plan {
            op: args.op,
            endpoint,
            credentials: credentials(args)?,
            bucket: args.bucket.clone(),
            bodies: Bodies::new(args.size, args.seed, if args.text { Filling::Text } else { Filling::Noise }),
            keys: args.keys(),
            concurrency: args.concurrency,
            seed: args.seed,
            listing,
            done: AtomicU64::new(0),
        })
    }
}

/// Those of the command line, or an operator's.
fn credentials(args: &BenchArgs) -> Result<Credentials, CredentialsError> {
    match args.access_key.clone().zip(args.secret_key.clone()) {
        Some((access_key, secret_key)) => {
            Ok(args.signing.with_region(crate::credentials::Credentials { access_key, secret_key }))
        }
        None => args.signing.of_an_operator(args.data.as_deref()),
    }
}

/// Runs a load and prints what it measured. A load with any failed request ends with 1.
pub fn run(args: BenchArgs) -> ExitCode {
    match measure(&args) {
        Ok(report) => {
            if args.json {
                output::line(report.json());
            } else {
                output::line(&report);
            }
            if report.has_errors() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(error) => {
            eprintln!("stratum bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &BenchArgs) -> Result<Report, BenchError> {
    let plan = Arc::new(Plan::new(args)?);
    make_bucket(&plan)?;
    let mut workers: Vec<Worker> = (0..args.concurrency).map(|number| Worker::new(&plan, number)).collect();
    if args.op.needs_objects() {
        if args.reuse {
            workers.iter_mut().for_each(Worker::adopt);
        } else {
            if !args.json {
                let (keys, size) = (args.keys(), quantity::show_size(args.size));
                eprintln!("writing {keys} objects of {size} to {} first", args.bucket);
            }
            let preload = run_phase(args, &plan, &mut workers, Phase::Preload)?.0;
            if let Some((problem, count)) = preload.errors().next() {
                return Err(BenchError::Preload(count, problem.to_owned()));
            }
        }
    }
    if !args.warmup.is_zero() && args.op != Op::Delete {
        let until = System.monotonic() + args.warmup;
        run_phase(args, &plan, &mut workers, Phase::Load { until })?;
    }
    let until = System.monotonic() + args.duration;
    let (tally, elapsed) = run_phase(args, &plan, &mut workers, Phase::Load { until })?;
    if !args.keep {
        run_phase(args, &plan, &mut workers, Phase::Clean)?;
    }
    Ok(Report::new(args, tally, elapsed))
}

fn make_bucket(plan: &Arc<Plan>) -> Result<(), BenchError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(Worker::new(plan, 0).make_bucket());
    outcome.map_err(|problem| BenchError::Bucket { bucket: plan.bucket.clone(), problem })
}

/// Spreads the workers over the threads, runs them to the end of the phase, and adds up what they saw.
fn run_phase(
    args: &BenchArgs,
    plan: &Arc<Plan>,
    workers: &mut Vec<Worker>,
    phase: Phase,
) -> Result<(Tally, Duration), BenchError> {
    plan.done.store(0, Ordering::Relaxed);
    let mut hands: Vec<Vec<Worker>> = (0..args.threads).map(|_| Vec::new()).collect();
    for (index, worker) in workers.drain(..).enumerate() {
        hands[index % args.threads as usize].push(worker);
    }
    let start = System.monotonic();
    let threads: Vec<_> = hands
        .into_iter()
        .map(|hand| std::thread::Builder::new().spawn(move || drive(hand, phase)))
        .collect::<Result<_, _>>()?;
    watch(args, plan, phase, || threads.iter().all(|thread| thread.is_finished()));
    let (mut tally, mut elapsed) = (Tally::default(), Duration::ZERO);
    for thread in threads {
        let (hand, end) = thread.join().map_err(|_| BenchError::Died)??;
        elapsed = elapsed.max(end - start);
        for mut worker in hand {
            tally.add(worker.take_tally());
            workers.push(worker);
        }
    }
    Ok((tally, elapsed))
}

/// Runs one thread's workers on a runtime of its own, and says when the last was done.
fn drive(hand: Vec<Worker>, phase: Phase) -> std::io::Result<(Vec<Worker>, Duration)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut running = tokio::task::JoinSet::new();
        for mut worker in hand {
            running.spawn(async move {
                worker.run(phase).await;
                worker
            });
        }
        let hand = running.join_all().await;
        Ok((hand, System.monotonic()))
    })
}

/// Draws the progress bar until the phase is over; sleeps where there is no terminal.
fn watch(args: &BenchArgs, plan: &Plan, phase: Phase, finished: impl Fn() -> bool) {
    let bar = if std::io::stderr().is_terminal() && !args.json {
        let length = match phase {
            Phase::Load { .. } => args.duration.as_millis() as u64,
            Phase::Preload | Phase::Clean => u64::from(args.keys()),
        };
        ProgressBar::new(length)
    } else {
        ProgressBar::hidden()
    };
    if let Ok(style) = ProgressStyle::with_template("{prefix:8} [{bar:40}] {msg}") {
        bar.set_style(style);
    }
    bar.set_prefix(phase.name());
    let (start, mut before) = (System.monotonic(), 0);
    while !finished() {
        std::thread::sleep(Duration::from_millis(20));
        let (elapsed, done) = (System.monotonic() - start, plan.done.load(Ordering::Relaxed));
        if elapsed.as_millis() as u64 / 250 == before {
            continue;
        }
        before = elapsed.as_millis() as u64 / 250;
        bar.set_position(if let Phase::Load { .. } = phase { elapsed.as_millis() as u64 } else { done });
        bar.set_message(format!("{done} requests, {:.0} a second", done as f64 / elapsed.as_secs_f64()));
    }
    bar.finish_and_clear();
}
