//! What the default policy, which groups objects by their keys, would gain by also telling them apart by content
//! class. Several generated traces are laid into one folder and replayed twice: with one group for all objects, and
//! with one group for each trace.
//!
//! `cargo run --release -p stratum-tiering --example classes`

use std::process::ExitCode;
use stratum_tiering::policy::Priority;
use stratum_tiering::prices::Prices;
use stratum_tiering::simulate::generate::Shape;
use stratum_tiering::simulate::{Contender, Trace, optimum, replay};

const OBJECTS: u32 = 1_500;
const DAYS: u32 = 365;
const SEEDS: [u64; 3] = [9, 10, 11];

const MIXTURES: [&[&str]; 6] = [
    &["cooling-logs", "video"],
    &["cooling-logs", "noise"],
    &["cooling-logs", "campaigns"],
    &["campaigns", "noise"],
    &["campaigns", "video"],
    &["cooling-logs", "video", "campaigns", "noise"],
];

/// The contender's cost as a multiple of the optimum.
fn ratio(trace: &Trace, contender: &Contender) -> f64 {
    let optimum = optimum::optimum(trace, &Prices::CLOUD).total();
    replay::replay(trace, &Prices::CLOUD, contender, Priority::Balanced).costs.total() / optimum
}

fn main() -> ExitCode {
    let Some(cost) = Contender::named("cost") else { return ExitCode::FAILURE };
    println!("| in one folder | one group | a group for each kind |\n| --- | ---: | ---: |");
    for shapes in MIXTURES {
        let mut sums = [0.0; 2];
        for seed in SEEDS {
            let traces: Vec<Trace> = shapes
                .iter()
                .filter_map(|shape| Shape::named(shape)?.generate(OBJECTS, DAYS, seed))
                .collect();
            for (sum, apart) in sums.iter_mut().zip([false, true]) {
                let Some(trace) = Trace::together(&traces, apart) else { return ExitCode::FAILURE };
                *sum += ratio(&trace, &cost) / SEEDS.len() as f64;
            }
        }
        println!("| {} | {:.3} | {:.3} |", shapes.join(", "), sums[0], sums[1]);
    }
    ExitCode::SUCCESS
}
