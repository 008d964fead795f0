//! What the default policy, which groups objects by their keys, would gain by also knowing what their bytes are.
//! Generated traces stand for classes: logs cool, films are played, documents are opened weekly, and so on. That flatters the
//! class, since no two kinds of use here share one, and no kind of use has two.
//!
//! * The first table replays several of them in one folder twice: with one group for all objects, and with one group
//!   for each class.
//! * The second gives each class the wait that is best for it, as a multiple of the usual one, by other seeds than
//!   those that it is tried on: no expectation of a class that begins as a prior could do more.
//!
//! `cargo run --release -p stratum-tiering --example classes`

use std::process::ExitCode;
use stratum_tiering::policy::{Model, Policy, Priority, Waits};
use stratum_tiering::prices::Prices;
use stratum_tiering::simulate::contender::Way;
use stratum_tiering::simulate::generate::Shape;
use stratum_tiering::simulate::{Contender, Trace, optimum, replay};

const OBJECTS: u32 = 1_500;
const DAYS: u32 = 365;
const SEEDS: [u64; 3] = [9, 10, 11];
const OTHER_SEEDS: [u64; 3] = [12, 13, 14];
const MULTIPLES: [f64; 7] = [0.3, 0.5, 0.7, 1.0, 1.4, 2.0, 3.0];

const MIXTURES: [&[&str]; 6] = [
    &["cooling-logs", "video"],
    &["cooling-logs", "noise"],
    &["cooling-logs", "campaigns"],
    &["campaigns", "noise"],
    &["campaigns", "video"],
    &["cooling-logs", "video", "campaigns", "noise"],
];
const CLASSES: [&str; 5] = ["cooling-logs", "video", "campaigns", "weekly", "noise"];

/// The default policy with the waits of a class.
fn policy(multiple: f64) -> Contender {
    let usual = Waits::DEFAULT;
    let waits = Waits { group: usual.group * multiple, longest: usual.longest * multiple, ..usual };
    let way = Way::Policy(Policy { model: Model::Cost(waits), ..Policy::COST });
    Contender { name: String::new(), way }
}

/// What a trace costs, and the least that it could.
fn cost(trace: &Trace, contender: &Contender) -> (f64, f64) {
    let outcome = replay::replay(trace, &Prices::CLOUD, contender, Priority::Balanced);
    (outcome.costs.total(), optimum::optimum(trace, &Prices::CLOUD).total())
}

/// The mean over the seeds of a class's cost as a multiple of the optimum.
fn mean(class: &str, seeds: [u64; 3], multiple: f64) -> f64 {
    let made = |seed| Shape::named(class)?.generate(OBJECTS, DAYS, seed);
    let ratio = |trace: Trace| {
        let (cost, least) = cost(&trace, &policy(multiple));
        cost / least
    };
    seeds.into_iter().filter_map(made).map(ratio).sum::<f64>() / seeds.len() as f64
}

fn mixed(classes: &[&str]) -> Option<[f64; 2]> {
    let mut sums = [0.0; 2];
    for seed in SEEDS {
        let made = |class: &&str| Shape::named(class)?.generate(OBJECTS, DAYS, seed);
        let traces: Vec<Trace> = classes.iter().filter_map(made).collect();
        for (sum, apart) in sums.iter_mut().zip([false, true]) {
            let (cost, least) = cost(&Trace::together(&traces, apart)?, &policy(1.0));
            *sum += cost / least / SEEDS.len() as f64;
        }
    }
    Some(sums)
}

fn main() -> ExitCode {
    println!("| in one folder | one group | a group for each class |\n| --- | ---: | ---: |");
    for classes in MIXTURES {
        let Some([one, each]) = mixed(classes) else { return ExitCode::FAILURE };
        println!("| {} | {one:.3} | {each:.3} |", classes.join(", "));
    }
    println!("\n| class | the usual wait | its own wait | which is |\n| --- | ---: | ---: | --- |");
    for class in CLASSES {
        let by_others = MULTIPLES.map(|multiple| (mean(class, OTHER_SEEDS, multiple), multiple));
        let best = by_others.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
        let Some((_, multiple)) = best else { return ExitCode::FAILURE };
        let (usual, own) = (mean(class, SEEDS, 1.0), mean(class, SEEDS, multiple));
        println!("| {class} | {usual:.3} | {own:.3} | x {multiple} |");
    }
    ExitCode::SUCCESS
}
