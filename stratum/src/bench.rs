//! `stratum bench`: a closed-loop load on any S3 endpoint.
//!
//! Each of `--concurrency` connections sends a request, reads its whole answer, checks it, and sends the next. The tool
//! often shares the machine with the store that it measures, so a request must cost the tool as little as possible: it
//! has a few OS threads, each with a runtime and connections of its own, request heads built by hand, bodies that are
//! windows of one buffer (hashed once, never copied), and no channel or lock between them.
//!
//! Requests are signed with SigV4 and carry the real SHA-256 of their body, so that the server does its full work.
//! Every GET is compared byte for byte, every HEAD by its length, every list by its first key and its count.

mod body;
mod name;
mod report;
mod tally;
mod worker;

use crate::client::connection::{Endpoint, NoEndpoint};
use crate::client::sign::Credentials;
use crate::client::signing::Signing;
use crate::client::trust::TrustArgs;
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

/// The arguments of `stratum bench`.
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    /// The store's address, such as http://127.0.0.1:9000. With https://, the cost of TLS is measured, too.
    #[arg(long)]
    endpoint: String,
    /// Which requests to send. `overwrite` is PUTs of keys that exist; `mixed` is 45 % GET, 30 % HEAD, 15 % PUT and 10
    /// % DELETE.
    #[arg(long, value_enum)]
    op: Op,
    /// The size of each object, in bytes or with a unit such as KiB or MB; at most 5GiB.
    #[arg(long, default_value = "4KiB", value_parser = quantity::object_size)]
    size: u64,
    /// How many connections, each with one request in flight.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=4096))]
    concurrency: u32,
    /// How long to measure, such as 20s, 500ms or 2m. A load of DELETEs ends earlier when no objects are left.
    #[arg(long, default_value = "20s", value_parser = quantity::duration)]
    duration: Duration,
    /// How long to send requests before the measurement begins, such as 5s.
    #[arg(long, default_value = "0s", value_parser = quantity::duration)]
    warmup: Duration,
    /// How many objects to write before the load begins. A load of PUTs needs none. [default: 10000, or fewer where
    /// those would take more than 1 GiB]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    keys: Option<u32>,
    /// The bucket, which is made if it doesn't exist.
    #[arg(long, default_value = "stratum-bench")]
    bucket: String,
    /// Don't delete the objects afterwards.
    #[arg(long)]
    keep: bool,
    /// Use the objects that an earlier run left with --keep, instead of writing them. That run must have had the same
    /// seed, size and number of keys.
    #[arg(long)]
    reuse: bool,
    /// The number that keys and bodies are derived from: two runs with the same seed write the same objects.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Send bodies of text, which compress to about a third. Without this, bodies are random bytes, which don't
    /// compress.
    #[arg(long)]
    text: bool,
    /// How many threads send the load.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    threads: u32,
    /// The access key to sign with. Without it the first of these that has credentials counts: --profile,
    /// STRATUM_ROOT_ACCESS_KEY and STRATUM_ROOT_SECRET_KEY, the folder --data, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,
    /// AWS_PROFILE, the folder ./data, the default profile of ~/.aws. The variables STRATUM_ROOT_... and what lies in a data
    /// folder sign for this machine alone.
    #[arg(long, requires = "secret_key")]
    access_key: Option<String>,
    /// The secret key that belongs to --access-key.
    #[arg(long, requires = "access_key")]
    secret_key: Option<String>,
    /// A data folder of a server on this machine, for the root credentials that it keeps there.
    #[arg(long)]
    data: Option<PathBuf>,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    trust: TrustArgs,
    /// Print the result as one JSON document.
    #[arg(long)]
    json: bool,
}

/// How many objects are written before a load unless `--keys` says it, and the most bytes that they may take together.
const DEFAULT_KEYS: u64 = 10_000;
const DEFAULT_KEYS_BYTES: u64 = 1 << 30;

impl BenchArgs {
    /// How many objects are written before the load.
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
    /// Whether objects must exist before the load starts.
    fn needs_objects(self) -> bool {
        self != Op::Put
    }
}

/// Why a load could not be run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    #[error("--endpoint: {0}")]
    Endpoint(#[from] NoEndpoint),
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error("cannot make the bucket {bucket}: {problem}")]
    Bucket { bucket: String, problem: String },
    #[error("{0} of the objects could not be written beforehand: {1}")]
    Preload(u64, String),
    #[error("cannot start: {0}")]
    Start(#[from] std::io::Error),
    #[error("a worker thread of the benchmark panicked")]
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
    /// The keys written before the load, sorted, for a load of lists, whose answers are checked against them; else
    /// empty.
    pub listing: Vec<u32>,
    /// Requests done in the current phase; for the progress bar.
    pub done: AtomicU64,
}

impl Plan {
    fn new(args: &BenchArgs) -> Result<Plan, BenchError> {
        let (credentials, endpoint) =
            credentials(args, Endpoint::parse(&args.endpoint)?.trusting(args.trust.trust()))?;
        let mut listing = Vec::new();
        if args.op == Op::List {
            listing = (0..args.keys()).map(|number| name::name(args.seed, number)).collect();
            listing.sort_unstable();
        }
        Ok(Plan {
            op: args.op,
            endpoint,
            credentials,
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

/// The credentials that the command line gives, or those that any operator's command would use, and the endpoint that
/// they sign for.
fn credentials(args: &BenchArgs, endpoint: Endpoint) -> Result<(Credentials, Endpoint), CredentialsError> {
    match args.access_key.clone().zip(args.secret_key.clone()) {
        Some((access_key, secret_key)) => {
            let given = crate::credentials::Credentials { access_key, secret_key };
            Ok((args.signing.with_region(given), endpoint))
        }
        None => args.signing.of_an_operator(args.data.as_deref(), endpoint),
    }
}

/// Runs a load and prints the result. Ends with 1 if any request failed, or if the load could not be run.
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
                eprintln!("writing {keys} objects of {size} to {} before the measurement", args.bucket);
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

/// Spreads the workers over the threads, runs them to the end of the phase, and adds up what they counted. Gives also
/// how long it took until the last worker was done.
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

/// Runs one thread's workers on a runtime of its own, and gives the moment at which the last of them was done.
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

/// Draws a progress bar until the phase is over, if standard error is a terminal.
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
