//! How long a decision takes, and how much memory a tracked object: `cargo run --release -p stratum-tiering --example decide`

use std::hint::black_box;
use stratum_tiering::access::ObjectId;
use stratum_tiering::day::Day;
use stratum_tiering::policy::{Features, Policy, Wishes};
use stratum_tiering::prices::Prices;
use stratum_tiering::signals::{Read, Table};
use stratum_tiering::tier::Tier;

const DAY: u64 = 86_400_000;
const NOW: u64 = 20_000 * DAY;
const OBJECTS: u64 = 1_000_000;

fn main() {
    let id = |key_hash| ObjectId { bucket: 1, key_hash };
    let mut objects = Table::new(OBJECTS as usize);
    let recording = timed(|| {
        for key in 0..OBJECTS {
            let read = Read { bytes: 4_096, offset: 0, size: 1 << (12 + key % 20) };
            objects.record(id(key), read, NOW - key % 60 * DAY, Day::REAL);
        }
    });
    let mut demoted = 0;
    let deciding = timed(|| {
        for key in 0..OBJECTS {
            let features = Features {
                size: 1 << (12 + key % 20),
                tier: Tier::Hot,
                since: NOW - 90 * DAY,
                written: NOW - 90 * DAY,
                own: objects.get(id(key)),
                group: objects.get(id(key / 1_000 * 1_000)),
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
    println!("memory: {:.1} bytes an object", objects.bytes() as f64 / OBJECTS as f64);
}

/// Nanoseconds that something takes.
#[allow(clippy::disallowed_methods, reason = "a measurement asks the machine's clock")]
fn timed(work: impl FnOnce()) -> f64 {
    let start = std::time::Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e9
}
