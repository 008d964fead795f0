//! The default model: expected cost. How long an object waits before it goes down is a fraction of its break-even
//! time.
//!
//! The break-even time K is how long an object must stay in the colder tier until the storage saved there pays for
//! the move down, one read there and the move back. Whoever waits K before going down never pays more than twice what
//! perfect foresight would (ski rental). Real reads come in campaigns over groups of objects, which allows shorter
//! waits:
//! * a *group* that had no read for K/6 has finished its campaign, and all of its objects go;
//! * an object must itself have had no read for K/48 before its group counts, and goes after 5/8 K whatever its group
//!   does;
//! * an object that once had no read for over K/2 is likely to rest so long again: 0.3 of those waits;
//! * an object whose last two pauses were alike, and shorter than K, stays for 1.3 times such a pause: else
//!   one that is read every nine days would go down on the eighth of them, again and again.
//!
//! Reads of small parts of an object cost little in the colder tier and so make K short, but campaigns don't end
//! sooner for it: K counts as at least half of what it would be with full reads. Very small objects, whose requests
//! cost more than their storage, have a large K and stay. Which colder tier is next follows from the prices alone.

use super::terms::{Ascent, Course, Descent, Terms};
use super::visit::Return;
use crate::day::{Day, MONTH_DAYS};
use crate::tier::Tier;

/// The waits before an object goes down, as fractions of its break-even time K.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Waits {
    /// How long the object's group must have had no read.
    pub group: f64,
    /// How long the object itself must have had no read.
    pub own: f64,
    /// After how long without a read the object goes, whatever its group does.
    pub longest: f64,
    /// K counts as at least this fraction of what it would be with full reads.
    pub floor: f64,
    /// A last pause of over this fraction of the K of full reads shortens the waits of group and longest...
    pub long_gap: f64,
    /// ... to this fraction of them.
    pub shortened: f64,
    /// Of an object whose last two pauses were alike and shorter than K, group and longest wait are at least this
    /// multiple of the last pause.
    pub steady: f64,
    /// How long an object that goes down is expected to stay there, as a multiple of K; the choice of the tier
    /// depends on it.
    pub stay: f64,
    /// An object that is read in a colder tier comes up if at most this many further reads pay for that.
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
        steady: 1.3,
        stay: 2.0,
        reads_hoped_for: 8.0,
    };
}

/// A colder tier in which storage costs less, with the break-even time and what the moves and one read cost.
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
    // The object was read since it came to this tier: it goes up, unless it would be due to come down again at once.
    match descent(Tier::Hot) {
        Some(descent) if descent.due <= terms.now => Course::Rest,
        descent => Course::Ascend(ascend(waits, terms, terms.tier, descent)),
    }
}

/// The tier that costs least over the time that an object that goes down is expected to stay there.
fn next_below(waits: &Waits, terms: &Terms, from: Tier) -> Option<Candidate> {
    let candidates = || from.colder().filter_map(|to| candidate(terms, from, to));
    let months = waits.stay * candidates().map(|candidate| candidate.months).fold(0.0, f64::max);
    let cost = |candidate: &Candidate| candidate.toll + terms.storage_month[candidate.tier] * months;
    candidates().min_by(|a, b| cost(a).total_cmp(&cost(b)))
}

fn candidate(terms: &Terms, from: Tier, to: Tier) -> Option<Candidate> {
    let saved = terms.storage_month[from] - terms.storage_month[to];
    // An object comes back to hot from warm and from cold alike, so the way back is counted only when it leaves hot.
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
    let is_due_back = |gap: &f64| terms.is_steady && *gap < break_even_days;
    let steady_wait_days = terms.gap_days.filter(is_due_back).map_or(0.0, |gap| waits.steady * gap);
    let group_wait_days = (waits.group * counted * shortened).max(steady_wait_days);
    let own_wait_days = waits.own * counted;
    let longest_wait_days = (waits.longest * counted * shortened).max(steady_wait_days);
    let after = |time: u64, days| time.saturating_add(day.days(days));
    let due = after(terms.group_last, group_wait_days).max(after(terms.last, own_wait_days));
    Descent {
        to: candidate.tier,
        break_even_days,
        full_break_even_days,
        shortened,
        steady_wait_days,
        group_wait_days,
        own_wait_days,
        longest_wait_days,
        due: due.min(after(terms.last, longest_wait_days)),
    }
}

/// What becomes of an object that is read in the tier `below` hot.
pub(super) fn after_read(waits: &Waits, terms: &Terms, day: Day, below: Tier) -> Return {
    let descent = next_below(waits, terms, Tier::Hot).map(|candidate| descend(waits, terms, day, candidate));
    let Ascent { reads_to_repay, reads_hoped_for, .. } = ascend(waits, terms, below, descent);
    Return {
        is_wanted: reads_to_repay <= reads_hoped_for,
        stay_days: descent.map_or(0.0, |descent| descent.group_wait_days),
    }
}

/// How many further reads, each cheaper in hot than `here`, pay for the move up, the stay there and the move down
/// again.
fn ascend(waits: &Waits, terms: &Terms, here: Tier, descent: Option<Descent>) -> Ascent {
    let stay_days = descent.map_or(0.0, |descent| descent.group_wait_days);
    let dearer = terms.storage_month[Tier::Hot] - terms.storage_month[here];
    let stay = dearer * (stay_days / MONTH_DAYS);
    let paid = terms.put[Tier::Hot] + terms.put[here] + terms.get[Tier::Hot] + stay;
    let spared = terms.read[here] - terms.read[Tier::Hot];
    let reads_to_repay = if spared > 0.0 { (paid / spared).max(0.0) } else { f64::MAX };
    Ascent { reads_to_repay, stay_days, reads_hoped_for: waits.reads_hoped_for }
}
