//! Explains why an object is in its tier and what would change that: it is decided anew as of now, by the same
//! function that a walk uses.

use super::Tiering;
use serde::Serialize;
use stratum_metadata::record::{BucketId, BucketRecord, ObjectRecord};
use stratum_storage::ambient::UnixMillis;
use stratum_tiering::day::{Day, FORESEEN_DAYS};
use stratum_tiering::policy::{Decision, Features};
use stratum_tiering::signals::{HALF_LIFE_DAYS, Read, SPIKE_READS, Signals};
use stratum_tiering::tier::Tier;

/// What is decided about an object now, and the figures behind it.
#[derive(Clone, Debug, Serialize)]
pub struct Explained {
    #[serde(flatten)]
    pub decision: Decision,
    /// What would change the decision, in words.
    pub changes: Vec<String>,
}

/// What is known of the use of an object, whether or not anything is decided by it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Used {
    pub own: Option<Use>,
    /// The use of its group: all objects whose keys share its prefix.
    pub group: Option<Use>,
    pub prefix: String,
}

/// How an object or a group is used, for a person or a program to read.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Use {
    pub reads: u32,
    /// When the last read was, in milliseconds of Unix time.
    pub last: Option<UnixMillis>,
    /// The length of the last pause between two sessions of reads, in days.
    pub gap_days: Option<f64>,
    /// Half-lives in days; for each of them, reads and bytes a day.
    pub half_life_days: [f64; 4],
    pub daily_reads: [f64; 4],
    pub daily_bytes: [f64; 4],
    /// The mean share of the object that a read takes; the share of reads that took a part; and the share of reads
    /// that went on where the one before ended. All are 0 to 1.
    pub share: f64,
    pub ranged: f64,
    pub sequential: f64,
    /// The shares of the hours of the day (UTC), and of the weekdays from Monday on.
    pub hours: [f64; 24],
    pub weekdays: [f64; 7],
    pub spikes: bool,
}

impl Use {
    fn of(signals: &Signals, now: UnixMillis, day: Day) -> Use {
        Use {
            reads: signals.reads(),
            last: signals.last(),
            gap_days: signals.gap_days(),
            half_life_days: HALF_LIFE_DAYS,
            daily_reads: std::array::from_fn(|scale| signals.daily_reads(scale, now, day)),
            daily_bytes: std::array::from_fn(|scale| signals.daily_bytes(scale, now, day)),
            share: signals.share(),
            ranged: signals.ranged(),
            sequential: signals.sequential(),
            hours: signals.hour_shares(),
            weekdays: signals.weekday_shares(),
            spikes: signals.spikes(now, day),
        }
    }
}

impl Tiering {
    /// The tiers that the store has.
    pub fn tiers(&self) -> impl Iterator<Item = Tier> {
        Tier::ALL.into_iter().filter(|tier| self.has[*tier])
    }

    /// Decides about an object as of now; `None` if tiering by use is off or the object has no bytes.
    pub fn explain(
        &self,
        bucket: &BucketRecord,
        key: &str,
        record: &ObjectRecord,
        now: UnixMillis,
    ) -> Option<Explained> {
        let policy = self.policy?;
        let subject = self.subject(bucket, key.as_bytes(), record, now)?;
        let pressures = self.pressures();
        let features = subject.features(&pressures);
        let decision = policy.decide(&features, &self.prices, now);
        Some(Explained { changes: self.changes(&features, &decision, now), decision })
    }

    /// What is known of the use of an object.
    pub fn used(&self, bucket: BucketId, key: &str, now: UnixMillis) -> Used {
        let known = self.usage.of(bucket.0, key);
        let shown = |signals: Option<Signals>| signals.map(|signals| Use::of(&signals, now, self.day()));
        Used { own: shown(known.own), group: shown(known.group), prefix: known.prefix }
    }

    /// What the same function decides if nothing is read until the next review, if the object is read once now, and
    /// if it is read often.
    fn changes(&self, features: &Features<'_>, decision: &Decision, now: UnixMillis) -> Vec<String> {
        let Some(policy) = self.policy else { return Vec::new() };
        let mut changes = Vec::new();
        let mut place = *features;
        if decision.tier != features.tier {
            (place.tier, place.since) = (decision.tier, now);
        }
        let told = |decision: &Decision| {
            let sentence = decision.sentence();
            sentence.trim_end_matches('.').trim_start_matches("It ").to_owned()
        };
        let soon = now.saturating_add(policy.day.days(FORESEEN_DAYS));
        if let Some(review) = decision.next_review.filter(|review| *review < soon) {
            let later = policy.decide(&place, &self.prices, review);
            changes.push(format!("If nothing happens until it is looked at again, it {}.", told(&later)));
        }
        let read = Read { bytes: features.size, offset: 0, size: features.size };
        for (reads, when) in
            [(1, "If it is read as a whole now"), (SPIKE_READS, "If it is read ten times now")]
        {
            let mut own = features.own.copied().unwrap_or(Signals::NONE);
            let mut group = features.group.copied().unwrap_or(Signals::NONE);
            for _ in 0..reads {
                own.record(read, now, policy.day);
                group.record(read, now, policy.day);
            }
            let read = Features { own: Some(&own), group: Some(&group), ..place };
            let then = policy.decide(&read, &self.prices, now);
            if (then.tier, then.by) != (decision.tier, decision.by) || reads == 1 {
                changes.push(format!("{when}, it {}.", told(&then)));
            }
        }
        changes
    }
}
