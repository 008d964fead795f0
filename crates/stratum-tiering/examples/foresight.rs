//! What it is worth to foresee visits: what objects cost, and how many reads find them in cold, with foresight and
//! without. On made-up traces, or on one from a file.
//!
//! `cargo run --release -p stratum-tiering --example foresight -- [TRACE.csv[.gz]]`

use std::fs::File;
use std::io::BufReader;
use std::process::ExitCode;
use stratum_tiering::policy::{Policy, Priority};
use stratum_tiering::prices::{Prices, TierPrices};
use stratum_tiering::simulate::contender::Way;
use stratum_tiering::simulate::generate::Shape;
use stratum_tiering::simulate::{Contender, Outcome, Trace, replay};
use stratum_tiering::tier::PerTier;

const OBJECTS: u32 = 1_500;
const DAYS: u32 = 365;
const SEED: u64 = 9;

fn outcome(trace: &Trace, prices: &Prices, priority: Priority, proven_visits: u8) -> Outcome {
    let way = Way::Policy(Policy { proven_visits, ..Policy::COST });
    replay::replay(trace, prices, &Contender { name: String::new(), way }, priority)
}

fn traces() -> Result<Vec<(String, Trace)>, String> {
    let Some(path) = std::env::args().nth(1) else {
        let made =
            |(name, shape): (&str, Shape)| Some((name.to_owned(), shape.generate(OBJECTS, DAYS, SEED)?));
        return Ok(Shape::ALL.into_iter().filter_map(made).collect());
    };
    let file = File::open(&path).map_err(|error| format!("{path}: {error}"))?;
    let trace = Trace::read(BufReader::new(file)).map_err(|error| error.to_string())?;
    Ok(vec![("the file".to_owned(), trace)])
}

fn main() -> ExitCode {
    let traces = match traces() {
        Ok(traces) => traces,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    // One's own drives: storage costs what it costs a cloud, and nothing else costs anything.
    let stored =
        |storage_gb_month| TierPrices { storage_gb_month, retrieval_gb: 0.0, get_1000: 0.0, put_1000: 0.0 };
    let own = PerTier { hot: stored(0.023), warm: stored(0.0125), cold: stored(0.004) };
    let Ok(own) = Prices::new(own) else { return ExitCode::FAILURE };
    println!("| reads | prices | priority | dollars without | with | reads from cold without | with |");
    println!("| --- | --- | --- | ---: | ---: | ---: | ---: |");
    for (name, trace) in &traces {
        for (priced, prices) in [("a cloud's", &Prices::CLOUD), ("own drives", &own)] {
            for (wished, priority) in [("balanced", Priority::Balanced), ("latency", Priority::Latency)] {
                let without = outcome(trace, prices, priority, u8::MAX);
                let with = outcome(trace, prices, priority, Policy::COST.proven_visits);
                println!(
                    "| {name} | {priced} | {wished} | {:.3} | {:.3} | {} | {} |",
                    without.costs.total(),
                    with.costs.total(),
                    without.reads.cold,
                    with.reads.cold
                );
            }
        }
    }
    ExitCode::SUCCESS
}
