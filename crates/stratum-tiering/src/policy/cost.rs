//! The model: expected cost, by waits that are parts of the break-even time.
//!
//! An object's break-even time K below is how long it must stay there until the storage saved pays for the way down,
//! for one read there and for the way back. Whoever waits K before going down never pays more than twice what
//! foresight would have (ski rental). Real reads come in campaigns, over groups of objects, and tell more than that:
//! * a *group* that was quiet for K/6 is through with its campaign, and all of it goes;
//! * an object rests for K/48 before that counts, and goes after 5/8 K whatever its group does;
//! * one that was left for over K/2 before is likely to be left so again: 0.3 of those waits.
//!
//! Small parts of objects cost little to read below, but campaigns don't end sooner for it: K counts for at least half
//! of what a full read would make it. Very small objects, whose requests outweigh their storage, have a large K and
//! stay. Which tier is next is a matter of the prices alone.

use super::terms::{Ascent, Course, Descent, Terms};
use crate::day::{Day, MONTH_DAYS};
use crate::tier::Tier;

/// The waits before an object goes down, in parts of its break-even time K.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Waits {
    /// How long its group must have been quiet.
    pub group: f64,
    /// How long it must have been quiet itself.
    pub own: f64,
    /// After how long its group doesn't matter.
    pub longest: f64,
    /// K is at least this part of a full read's.
    pub floor: f64,
    /// A last gap of over this part of a full read's K shortens the waits
    pub long_gap: f64,
    /// to this part.
    pub shortened: f64,
    /// How long an object that goes down is expected to stay there, in K; which tier is next depends on it.
    pub stay: f64,
    /// An object that is read below comes up if so many further reads repay it.
    pub reads_hoped_for: f64,
}

impl Waits {
    pub const DEFAULT: Waits = Waits {
        group: 1.0 / 6.0,
        own: 1.0 / 48.0,
        longest: 5.0 / 8.0,
        floor: 0.5,
        long_gap: 25.0 / 48.0,
        shortened: 0.3,
        stay: 2.0,
        reads_hoped_for: 8.0,
    };
}

/// A colder tier that saves storage: the break-even time, and what there is to pay on the way.
struct Candidate {
    tier: Tier,
    months: f64,
    full_months: f64,
    toll: f64,
}

pub(super) fn course(waits: &Waits, terms: &Terms, day: Day) -> Course {
    let descent =
        |from| next_below(waits, terms, from).map(|candidate| descend(waits, terms, day, candidate));
    if terms.tier == Tier::Hot || !terms.read_since {
        return descent(terms.tier).map_or(Course::Rest, Course::Descend);
    }
    // Read since it lies here: up, unless it would be due to come down again at once.
    match descent(Tier::Hot) {
        Some(descent) if descent.due <= terms.now => Course::Rest,
        descent => Course::Ascend(ascend(waits, terms, descent)),
    }
}

/// The tier that costs least over the stay that is expected of an object that goes down.
fn next_below(waits: &Waits, terms: &Terms, from: Tier) -> Option<Candidate> {
    let candidates = || from.colder().filter_map(|to| candidate(terms, from, to));
    let months = waits.stay * candidates().map(|candidate| candidate.months).fold(0.0, f64::max);
    let cost = |candidate: &Candidate| candidate.toll + terms.storage_month[candidate.tier] * months;
    candidates().min_by(|a, b| cost(a).total_cmp(&cost(b)))
}

fn candidate(terms: &Terms, from: Tier, to: Tier) -> Option<Candidate> {
    let saved = terms.storage_month[from] - terms.storage_month[to];
    // From warm as from cold an object comes back to hot, so that only from hot the way back counts.
    let back = if from == Tier::Hot { terms.put[from] } else { 0.0 };
    let toll = terms.read[to] - terms.read[from] + terms.put[to] + terms.get[from] + back;
    let full = (terms.retrieval[to] - terms.retrieval[from]).max(0.0);
    (saved > 0.0).then(|| Candidate {
        tier: to,
        months: toll.max(0.0) / saved,
        full_months: full / saved,
        toll,
    })
}

fn descend(waits: &Waits, terms: &Terms, day: Day, candidate: Candidate) -> Descent {
    let break_even_days = candidate.months * MONTH_DAYS;
    let full_break_even_days = candidate.full_months * MONTH_DAYS;
    let counted = break_even_days.max(waits.floor * full_break_even_days);
    let left_long = terms.gap_days.is_some_and(|gap| gap > waits.long_gap * full_break_even_days);
    let shortened = if left_long { waits.shortened } else { 1.0 };
    let group_wait_days = waits.group * counted * shortened;
    let own_wait_days = waits.own * counted;
    let longest_wait_days = waits.longest * counted * shortened;
    let after = |time: u64, days| time.saturating_add(day.days(days));
    let due = after(terms.group_last, group_wait_days).max(after(terms.last, own_wait_days));
    Descent {
        to: candidate.tier,
        break_even_days,
        full_break_even_days,
        shortened,
        group_wait_days,
        own_wait_days,
        longest_wait_days,
        due: due.min(after(terms.last, longest_wait_days)),
    }
}

/// How many further reads, at what they cost more below, pay for the way up, the stay and the way down again.
fn ascend(waits: &Waits, terms: &Terms, descent: Option<Descent>) -> Ascent {
    let here = terms.tier;
    let months = descent.map_or(0.0, |descent| descent.group_wait_days / MONTH_DAYS);
    let dearer = terms.storage_month[Tier::Hot] - terms.storage_month[here];
    let paid = terms.put[Tier::Hot] + terms.put[here] + terms.get[Tier::Hot] + dearer * months;
    let spared = terms.read[here] - terms.read[Tier::Hot];
    let reads_to_repay = if spared > 0.0 { (paid / spared).max(0.0) } else { f64::MAX };
    Ascent { reads_to_repay, reads_hoped_for: waits.reads_hoped_for }
}
