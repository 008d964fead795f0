//! How long a decision takes, and how much memory a tracked object takes.
//!
//! `cargo run --release -p stratum-tiering --example decide`

use std::hint::black_box;
use stratum_tiering::day::Day;
use stratum_tiering::policy::{Features, Policy, Wishes};
use stratum_tiering::prices::Prices;
use stratum_tiering::signals::Read;
use stratum_tiering::tier::Tier;
use stratum_tiering::usage::Usage;
use stratum_tiering::usage::name::Seed;

const DAY: u64 = 86_400_000;
const NOW: u64 = 20_000 * DAY;
const OBJECTS: u64 = 1_000_000;

fn main() {
    let keys: Vec<String> = (0..OBJECTS).map(|key| format!("folder-{}/{key:07}", key / 1_000)).collect();
    let usage = Usage::new(100 << 20, Day::REAL, Seed([1; 16]));
    let recording = timed(|| {
        for key in 0..OBJECTS {
            let read = Read { bytes: 4_096, offset: 0, size: 1 << (12 + key % 20) };
            usage.record(1, &keys[key as usize], read, false, NOW - key % 60 * DAY);
        }
    });
    let mut demoted = 0;
    let deciding = timed(|| {
        for key in 0..OBJECTS {
            let known = usage.of(1, &keys[key as usize]);
            let features = Features {
                size: 1 << (12 + key % 20),
                tier: Tier::Hot,
                since: NOW - 90 * DAY,
                written: NOW - 90 * DAY,
                own: known.own.as_ref(),
                group: known.group.as_ref(),
                watched_since: NOW - 365 * DAY,
                wishes: Wishes::default(),
                pressure: None,
            };
            let decision = black_box(Policy::COST.decide(black_box(&features), &Prices::CLOUD, NOW));
            demoted += u64::from(decision.tier > Tier::Hot);
        }
    });
    println!("a read recorded: {:.0} ns", recording / OBJECTS as f64);
    println!(
        "decided, with both look-ups: {:.0} ns ({demoted} of {OBJECTS} go down)",
        deciding / OBJECTS as f64
    );
    let status = usage.status();
    println!("memory: {:.1} bytes an object ({status:?})", status.bytes as f64 / status.objects as f64);
}

/// The nanoseconds that `work` takes.
#[allow(clippy::disallowed_methods, reason = "a measurement asks the machine's clock")]
fn timed(work: impl FnOnce()) -> f64 {
    let start = std::time::Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e9
}
