//! What the classifier saw in objects' bytes, eight bytes for each; and, for the objects of a folder whose names
//! share an extension, what most of them are.
//!
//! What was seen belongs to one write of a key: when the key is written again it no longer holds. The entries written
//! least recently are forgotten first. What most siblings are is found by the running majority of Boyer and Moore
//! (1981): an object like the majority counts up, another one down, and at zero the next object becomes the majority.

use super::name::{Name, Seed};
use super::table::{Entry, Table};
use crate::content::Seen;
use crate::day::Day;

/// The majority must lead by this much before an object at which nobody looked is taken to be like it.
const CLEAR_LEAD: u8 = 8;
/// The most that a majority may lead by: so many other objects replace it.
const MOST_LEAD: u8 = 32;
/// The longest extension, in bytes, with its dot.
const MOST_ENDING_BYTES: usize = 9;
/// By how much a time may seem to lie ahead of now before it counts as one of long ago, in units of [`time_of`]: some
/// 50 days. Objects are seen in about the order in which they were written, and clocks may differ a little.
const MOST_AHEAD: u32 = 1 << 28;
/// What stands between folder and extension in the name of all siblings. S3 clients don't send keys with it; a key
/// that has it could only spoil a guess.
const BESIDE: &str = "\0*";
/// How sure one is that an object is what most of its siblings are, in percent: sure enough to spare a probe.
const SIBLINGS_CONFIDENCE: u8 = 90;

/// What was seen of one object, or of the objects of a folder with one extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// See [`Seen::to_byte`].
    pub seen: u8,
    /// Of an object: how sure the classifier is, in percent. Of siblings: by how much the majority leads.
    pub weight: u8,
    /// See [`time_of`].
    pub time: u32,
}

impl Look {
    pub const BYTES: usize = 6;
}

impl Entry for Look {
    const NONE: Look = Look { seen: 0, weight: 0, time: 0 };

    /// The later it was written the more. The time wraps, so what is older than two years counts as later than it was:
    /// it stays a little longer.
    fn worth(&self, now: u64, _: Day) -> f64 {
        let now = time_of(now);
        match self.time.wrapping_sub(now) {
            ahead if ahead < MOST_AHEAD => f64::from(ahead),
            _ => -f64::from(now.wrapping_sub(self.time)),
        }
    }
}

/// When an object was written, in units of 16 milliseconds, as a number that wraps every two years: enough to tell
/// two writes of one key apart, and which of two is the later.
fn time_of(millis: u64) -> u32 {
    (millis >> 4) as u32
}

/// What is known of an object's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    pub own: Option<Seen>,
    /// What most of its siblings are.
    pub siblings: Option<Seen>,
}

/// What was seen of the objects of all buckets.
#[derive(Debug)]
pub(super) struct Looks {
    pub table: Table<Look>,
}

impl Looks {
    pub fn within(bytes: usize) -> Looks {
        Looks { table: Table::within(bytes) }
    }

    /// Keeps what was seen of an object that was `written` at that time.
    pub fn note(&mut self, seed: &Seed, bucket: u64, key: &str, written: u64, seen: Seen, day: Day) {
        let look = Look { seen: seen.to_byte(), weight: seen.confidence, time: time_of(written) };
        *self.table.entry(seed.name(bucket, key), written, day) = look;
        let most = self.table.entry(beside(seed, bucket, key), written, day);
        if most.weight == 0 {
            most.seen = look.seen;
        }
        most.weight = match most.seen == look.seen {
            true => most.weight.saturating_add(1).min(MOST_LEAD),
            false => most.weight.saturating_sub(1),
        };
        most.time = look.time;
    }

    /// What is known of an object that was `written` at that time.
    pub fn of(&self, seed: &Seed, bucket: u64, key: &str, written: u64) -> Looked {
        let own = self.table.get(seed.name(bucket, key)).filter(|look| look.time == time_of(written));
        let most = self.table.get(beside(seed, bucket, key)).filter(|most| most.weight >= CLEAR_LEAD);
        Looked {
            own: own.map(|look| Seen::from_byte(look.seen, look.weight)),
            siblings: most.map(|most| Seen::from_byte(most.seen, SIBLINGS_CONFIDENCE)),
        }
    }
}

/// The name that stands for all objects of a folder with the same extension.
fn beside(seed: &Seed, bucket: u64, key: &str) -> Name {
    let (folder, file) = key.rfind('/').map_or(("", key), |slash| key.split_at(slash + 1));
    let ending =
        file.rfind('.').and_then(|dot| file.get(dot..)).filter(|ending| ending.len() <= MOST_ENDING_BYTES);
    seed.name(bucket, &format!("{folder}{BESIDE}{}", ending.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{ContentClass, Shrinks};

    const NOW: u64 = 1_700_000_000_000;
    const SEED: Seed = Seed([7; 16]);
    const VIDEO: Seen = Seen { class: ContentClass::Video, shrinks: Shrinks::Hardly, confidence: 99 };
    const LOG: Seen = Seen { class: ContentClass::Log, shrinks: Shrinks::Well, confidence: 70 };

    fn looks() -> Looks {
        Looks::within(1 << 20)
    }

    #[test]
    fn what_was_seen_is_about_one_writing() {
        let mut looks = looks();
        looks.note(&SEED, 1, "a/b", NOW, VIDEO, Day::REAL);
        assert_eq!(looks.of(&SEED, 1, "a/b", NOW).own, Some(VIDEO));
        assert_eq!(looks.of(&SEED, 1, "a/b", NOW + 100).own, None);
        assert_eq!(looks.of(&SEED, 2, "a/b", NOW).own, None);
        looks.note(&SEED, 1, "a/b", NOW + 100, LOG, Day::REAL);
        assert_eq!(looks.of(&SEED, 1, "a/b", NOW + 100).own, Some(LOG));
    }

    #[test]
    fn most_of_those_beside_it_speak_for_one_that_nobody_looked_at() {
        let mut looks = looks();
        let siblings =
            |looks: &Looks, key: &str| looks.of(&SEED, 1, key, NOW).siblings.map(|seen| seen.class);
        for number in 0..CLEAR_LEAD {
            assert_eq!(siblings(&looks, "v/new.mp4"), None);
            looks.note(&SEED, 1, &format!("v/{number}.mp4"), NOW, VIDEO, Day::REAL);
        }
        assert_eq!(siblings(&looks, "v/new.mp4"), Some(ContentClass::Video));
        for other in ["v/new.txt", "v/new", "w/new.mp4", "new.mp4", "v/w/new.mp4"] {
            assert_eq!(siblings(&looks, other), None, "{other}");
        }
        // Where the siblings are of two kinds alike, nothing is assumed of any.
        for number in 0..100 {
            looks.note(&SEED, 1, &format!("v/{number}.mp4"), NOW, [VIDEO, LOG][number % 2], Day::REAL);
        }
        assert!(siblings(&looks, "v/new.mp4").is_some());
        (0..4).for_each(|_| looks.note(&SEED, 1, "v/x.mp4", NOW, LOG, Day::REAL));
        assert_eq!(siblings(&looks, "v/new.mp4"), None);
        (0..100).for_each(|_| looks.note(&SEED, 1, "v/x.mp4", NOW, LOG, Day::REAL));
        assert_eq!(siblings(&looks, "v/new.mp4"), Some(ContentClass::Log));
    }

    #[test]
    fn what_was_written_later_is_worth_more_for_two_years() {
        const DAY: u64 = 86_400_000;
        let worth = |written: u64| Look { time: time_of(written), ..Look::NONE }.worth(NOW, Day::REAL);
        let from_old_to_new: Vec<f64> =
            [740, 500, 396, 394, 30, 0].map(|days| worth(NOW - days * DAY)).into_iter().collect();
        assert!(from_old_to_new.is_sorted_by(|old, new| old < new), "{from_old_to_new:?}");
        assert!(worth(NOW + DAY) > worth(NOW) && worth(NOW) == 0.0);
    }

    #[test]
    fn a_lead_that_a_file_tells_is_no_more_than_there_can_be() {
        let mut looks = looks();
        *looks.table.entry(beside(&SEED, 1, "v/a.mp4"), NOW, Day::REAL) =
            Look { seen: VIDEO.to_byte(), weight: u8::MAX, time: 0 };
        looks.note(&SEED, 1, "v/a.mp4", NOW, VIDEO, Day::REAL);
        (0..MOST_LEAD).for_each(|_| looks.note(&SEED, 1, "v/a.mp4", NOW, LOG, Day::REAL));
        assert_eq!(looks.of(&SEED, 1, "v/b.mp4", NOW).siblings, None);
    }

    #[test]
    fn the_last_written_are_kept() {
        let mut looks = Looks::within(20_000);
        (0..20_000).for_each(|at| looks.note(&SEED, 1, &format!("{at}"), NOW + at * 1_000, LOG, Day::REAL));
        let known = |range: std::ops::Range<u64>| {
            range.filter(|at| looks.of(&SEED, 1, &format!("{at}"), NOW + at * 1_000).own.is_some()).count()
        };
        assert!(known(19_900..20_000) > 90, "{}", known(19_900..20_000));
        assert_eq!(known(0..10_000), 0);
        assert!(looks.table.forgotten() > 0 && looks.table.bytes() <= 20_000);
    }
}
