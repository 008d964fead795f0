//! How the cost of the default policy changes with each of its constants, on a whole trace and on its two halves.
//!
//! `cargo run --release -p stratum-tiering --example constants -- TRACE.csv[.gz]`

use std::fs::File;
use std::io::BufReader;
use std::process::ExitCode;
use stratum_tiering::policy::{Model, Policy, Priority, Waits};
use stratum_tiering::prices::Prices;
use stratum_tiering::simulate::contender::Way;
use stratum_tiering::simulate::{Contender, Trace, optimum, replay};

type Constant = (&'static str, fn(&mut Waits) -> &mut f64);

const CONSTANTS: [Constant; 9] = [
    ("group", |waits| &mut waits.group),
    ("own", |waits| &mut waits.own),
    ("longest", |waits| &mut waits.longest),
    ("floor", |waits| &mut waits.floor),
    ("long gap", |waits| &mut waits.long_gap),
    ("shortened", |waits| &mut waits.shortened),
    ("steady", |waits| &mut waits.steady),
    ("stay", |waits| &mut waits.stay),
    ("reads hoped for", |waits| &mut waits.reads_hoped_for),
];

struct Part {
    trace: Trace,
    optimum: f64,
}

impl Part {
    fn new(trace: Trace) -> Self {
        let optimum = optimum::optimum(&trace, &Prices::CLOUD).total();
        Self { trace, optimum }
    }

    fn ratio(&self, way: Way) -> f64 {
        let contender = Contender { name: String::new(), way };
        replay::replay(&self.trace, &Prices::CLOUD, &contender, Priority::Balanced).costs.total()
            / self.optimum
    }
}

fn parts(path: &str) -> Result<Vec<Part>, String> {
    let file = File::open(path).map_err(|error| format!("{path}: {error}"))?;
    let trace = Trace::read(BufReader::new(file)).map_err(|error| error.to_string())?;
    let middle = trace.days() / 2.0;
    let halves = [trace.between(0.0, middle), trace.between(middle, f64::INFINITY)];
    Ok(std::iter::once(trace).chain(halves.into_iter().flatten()).map(Part::new).collect())
}

fn row(name: &str, parts: &[Part], way: Way) {
    let ratios: Vec<String> = parts.iter().map(|part| format!("{:>8.3}", part.ratio(way))).collect();
    println!("{name:<24}{}", ratios.join(""));
}

fn main() -> ExitCode {
    let Some(parts) = std::env::args().nth(1).map(|path| parts(&path)) else {
        eprintln!("which trace?");
        return ExitCode::FAILURE;
    };
    let parts = match parts {
        Ok(parts) => parts,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    println!("{:<24}{:>8}{:>8}{:>8}", "", "whole", "first", "second");
    row("as it is", &parts, Way::Policy(Policy::COST));
    row("without warm-up", &parts, Way::Policy(Policy { warm_up_days: 0.0, ..Policy::COST }));
    row("without least idle", &parts, Way::Policy(Policy { least_idle_hours: 0.0, ..Policy::COST }));
    row("without foresight", &parts, Way::Policy(Policy { proven_visits: u8::MAX, ..Policy::COST }));
    let two = Policy { proven_visits: 2, ..Policy::COST };
    row("two proven visits", &parts, Way::Policy(two));
    for days in [6.0, 7.0, 9.0, 10.0, 14.0] {
        row(&format!("idle {days}"), &parts, Way::Idle { warm_days: None, cold_days: days });
    }
    row("ski", &parts, Way::Ski { part: 0.25 });
    for (name, constant) in CONSTANTS {
        for factor in [0.7, 1.3] {
            let mut waits = Waits::DEFAULT;
            *constant(&mut waits) *= factor;
            row(
                &format!("{name} x {factor}"),
                &parts,
                Way::Policy(Policy { model: Model::Cost(waits), ..Policy::COST }),
            );
        }
    }
    ExitCode::SUCCESS
}
