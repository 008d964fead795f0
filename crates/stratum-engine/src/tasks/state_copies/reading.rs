//! Which files of the newest copy are read again, and when: that a file was right when it came says nothing of today.
//!
//! Each is read once in 14 days, in an hour of its own that its name says. So what is read is spread over that time, and a restart
//! neither forgets a file nor begins with all of them anew. What is found to be bad is sent again with the next copy.

use std::collections::BTreeSet;
use stratum_storage::ambient::UnixMillis;
use stratum_storage::remote::state::StateFile;

const HOUR_MILLIS: UnixMillis = 3600 * 1000;
/// Within so many hours each file is read again: 14 days, as scrub takes.
const PERIOD_HOURS: u64 = 14 * 24;

/// What is to be read again, and what was found.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The files of the newest copy.
    newest: BTreeSet<StateFile>,
    waiting: BTreeSet<StateFile>,
    bad: BTreeSet<StateFile>,
    /// The last hour, since 1970, of which the files wait or were read.
    hour: Option<u64>,
}

impl Reading {
    /// The newest copy is made of these files.
    pub fn is_of(&mut self, newest: BTreeSet<StateFile>) {
        self.waiting.retain(|file| newest.contains(file));
        self.bad.retain(|file| newest.contains(file));
        self.newest = newest;
    }

    /// Has those wait whose hour has come since the last time.
    pub fn go_on(&mut self, now: UnixMillis) {
        if self.newest.is_empty() {
            return;
        }
        let hour = now / HOUR_MILLIS;
        let hours = hour.saturating_sub(self.hour.unwrap_or(hour.saturating_sub(1)));
        self.hour = Some(hour);
        let is_due = |file: &&StateFile| hours_since(file, hour) < hours;
        self.waiting.extend(self.newest.iter().filter(is_due).cloned());
    }

    /// Has all wait at the next time: as if that were the first in a long while.
    pub fn ask(&mut self) {
        self.hour = Some(0);
    }

    /// The next to be read.
    pub fn next(&self) -> Option<&StateFile> {
        self.waiting.first()
    }

    /// A file was read. Says whether that it is bad is news.
    pub fn was_read(&mut self, file: &StateFile, is_right: bool) -> bool {
        self.waiting.remove(file);
        if is_right {
            self.bad.remove(file);
            return false;
        }
        self.newest.contains(file) && self.bad.insert(file.clone())
    }

    /// The files of the newest copy that aren't there.
    pub fn missing(&self, lists: impl Fn(&StateFile) -> bool) -> Vec<StateFile> {
        self.newest.iter().filter(|file| !lists(file)).cloned().collect()
    }

    /// What was found to be bad and wasn't sent again yet.
    pub fn bad(&self) -> &BTreeSet<StateFile> {
        &self.bad
    }
}

/// How many hours ago a file had its hour.
fn hours_since(file: &StateFile, hour: u64) -> u64 {
    let its = u64::from(crc32c::crc32c(file.object().as_bytes())) % PERIOD_HOURS;
    (hour + PERIOD_HOURS - its) % PERIOD_HOURS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(count: u64) -> BTreeSet<StateFile> {
        let file = |number| StateFile { name: format!("{number:016x}.00000000"), stamp: 7, length: 9 };
        (0..count).map(file).collect()
    }

    /// What is read from an hour on, for so many hours.
    fn read(reading: &mut Reading, from: u64, hours: u64) -> Vec<StateFile> {
        let mut read = Vec::new();
        for hour in from..from + hours {
            reading.go_on(hour * HOUR_MILLIS + 7);
            while let Some(file) = reading.next().cloned() {
                reading.was_read(&file, true);
                read.push(file);
            }
        }
        read
    }

    #[test]
    fn each_file_is_read_once_in_a_period_whatever_is_restarted() {
        let all = files(2_000);
        let mut seen = Vec::new();
        let mut reading = Reading::default();
        for hour in 5_000..5_000 + PERIOD_HOURS {
            if hour % 10 == 0 {
                reading = Reading::default();
            }
            reading.is_of(all.clone());
            let of_an_hour = read(&mut reading, hour, 1);
            assert!(of_an_hour.len() < 40, "{}", of_an_hour.len());
            seen.extend(of_an_hour);
        }
        seen.sort();
        assert_eq!(seen, Vec::from_iter(all.clone()));
        // After a pause those are read whose hour went by, and none twice.
        let before = read(&mut reading, 5_000 + PERIOD_HOURS, 10).len();
        assert!(before < 200);
        let after = read(&mut reading, 5_000 + PERIOD_HOURS + 109, 1).len();
        assert!((300..900).contains(&after), "{after}");
        assert_eq!(read(&mut reading, 5_000 + 9 * PERIOD_HOURS, 1).len(), 2_000);
        assert_eq!(read(&mut reading, 3, 1).len(), 0, "a clock that went back has nothing read");
    }

    #[test]
    fn what_is_bad_stays_so_until_it_is_right_or_of_no_copy_any_more() {
        let mut reading = Reading::default();
        reading.ask();
        reading.go_on(9_000 * HOUR_MILLIS);
        reading.is_of(files(3));
        reading.go_on(9_000 * HOUR_MILLIS);
        let all = Vec::from_iter(files(3));
        assert!(reading.was_read(&all[0], false) && reading.was_read(&all[1], false));
        assert!(!reading.was_read(&all[0], false), "that is known");
        assert_eq!((reading.bad().len(), reading.next()), (2, Some(&all[2])));
        assert!(!reading.was_read(&all[0], true));
        assert_eq!(reading.missing(|file| *file != all[2]), [all[2].clone()]);
        reading.is_of(BTreeSet::from([all[0].clone()]));
        assert!(reading.bad().is_empty() && reading.next().is_none());
        assert!(!reading.was_read(&all[2], false), "it is of no copy any more");
    }
}
