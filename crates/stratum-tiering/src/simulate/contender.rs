//! The ways of placing objects that are compared: the policies of this crate, and rules in use elsewhere.

use crate::day::MONTH_DAYS;
use crate::policy::{Features, Policy};
use crate::prices::Prices;
use crate::tier::Tier;

/// What a public cloud charges for watching 1,000 objects for a month, and the size in bytes from which an object is
/// watched.
pub const MONITORING_1000: f64 = 0.0025;
pub const MONITORED_BYTES: u64 = 128 << 10;
/// The fraction of the break-even time that the ski rental waits: the best on real traces.
const SKI_QUARTER: f64 = 0.25;

/// A way of placing objects, with its name.
#[derive(Clone, Debug, PartialEq)]
pub struct Contender {
    pub name: String,
    pub way: Way,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    Policy(Policy),
    /// Every object in one tier.
    Static(Tier),
    /// Objects begin in hot, go to warm and then to cold after so many days without a read, and back to hot on any
    /// read.
    Idle {
        warm_days: Option<f64>,
        cold_days: f64,
    },
    /// As `Idle` with 30 and 90 days, on a cloud's terms: every read costs hot's GET, retrievals and moves are free,
    /// each object from 128 KiB up costs a fee, and smaller ones stay in hot.
    Cloud,
    /// Objects go to the next colder tier after a fraction of its break-even time, and back to hot on any read.
    Ski {
        part: f64,
    },
}

impl Contender {
    pub const NAMES: [&str; 9] = [
        "cost",
        "rules",
        "static-hot",
        "static-warm",
        "static-cold",
        "rule-30-90",
        "cloud-30-90",
        "ski",
        "idle-10",
    ];

    pub fn named(name: &str) -> Option<Contender> {
        let way = match name {
            "cost" => Way::Policy(Policy::COST),
            "rules" => Way::Policy(Policy::IDLE),
            "static-hot" => Way::Static(Tier::Hot),
            "static-warm" => Way::Static(Tier::Warm),
            "static-cold" => Way::Static(Tier::Cold),
            "rule-30-90" => Way::Idle { warm_days: Some(30.0), cold_days: 90.0 },
            "cloud-30-90" => Way::Cloud,
            "ski" => Way::Ski { part: SKI_QUARTER },
            "idle-10" => Way::Idle { warm_days: None, cold_days: 10.0 },
            _ => return None,
        };
        Some(Contender { name: name.to_owned(), way })
    }

    pub fn all() -> Vec<Contender> {
        Self::NAMES.into_iter().filter_map(Self::named).collect()
    }
}

/// The tier in which an object should lie, and when to ask again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    pub tier: Tier,
    pub review: Option<u64>,
}

impl Way {
    /// Chooses a tier as of `now`. `features` are up to date; `read` says whether the object was read just now.
    pub fn choose(&self, features: &Features, prices: &Prices, now: u64, read: bool) -> Choice {
        let idle = |warm_days, cold_days| idle(warm_days, cold_days, features, now);
        match self {
            Way::Policy(policy) => {
                let decision = policy.decide(features, prices, now);
                Choice { tier: decision.tier, review: decision.next_review }
            }
            Way::Static(tier) => Choice { tier: *tier, review: None },
            Way::Idle { warm_days, cold_days } => idle(*warm_days, *cold_days),
            Way::Cloud if features.size < MONITORED_BYTES => Choice { tier: Tier::Hot, review: None },
            Way::Cloud => idle(Some(30.0), 90.0),
            Way::Ski { part } => ski(*part, features, prices, now, read),
        }
    }

    /// What watching an object of this size for so many days costs.
    pub fn monitoring(&self, size: u64, days: f64) -> f64 {
        match self {
            Way::Cloud if size >= MONITORED_BYTES => MONITORING_1000 / 1_000.0 * days / MONTH_DAYS,
            _ => 0.0,
        }
    }
}

const DAY_MILLIS: f64 = 86_400_000.0;

fn after(time: u64, days: f64) -> u64 {
    time.saturating_add((days * DAY_MILLIS) as u64)
}

fn idle(warm_days: Option<f64>, cold_days: f64, features: &Features, now: u64) -> Choice {
    let last = features.own.and_then(|own| own.last()).unwrap_or(features.written);
    let warm = warm_days.map(|days| after(last, days));
    let cold = after(last, cold_days);
    match warm {
        _ if now >= cold => Choice { tier: Tier::Cold, review: None },
        Some(warm) if now < warm => Choice { tier: Tier::Hot, review: Some(warm) },
        Some(_) => Choice { tier: Tier::Warm, review: Some(cold) },
        None => Choice { tier: Tier::Hot, review: Some(cold) },
    }
}

/// The wait for each colder tier begins when the object comes to its tier, and again at each read.
fn ski(part: f64, features: &Features, prices: &Prices, now: u64, read: bool) -> Choice {
    let (from, since) = if read { (Tier::Hot, now) } else { (features.tier, features.since) };
    let since = since.max(features.own.and_then(|own| own.last()).unwrap_or(0));
    let size = features.size as f64;
    let due = |to: Tier| {
        let toll = prices.put(to) + prices.get(from) + prices.retrieval(to, size)
            - prices.retrieval(from, size)
            + prices.get(to)
            - prices.get(from);
        let saved = prices.storage_month(from, features.size) - prices.storage_month(to, features.size);
        (saved > 0.0).then(|| (after(since, part * toll.max(0.0) / saved * MONTH_DAYS), to))
    };
    match from.colder().filter_map(due).min_by_key(|(due, _)| *due) {
        Some((due, to)) if due <= now && !read => Choice { tier: to, review: None },
        Some((due, _)) => Choice { tier: from, review: Some(due) },
        None => Choice { tier: from, review: None },
    }
}
