//! The progress of lifecycle: what was done, the result of the last pass, and what an operator should know.
//!
//! What is due is done by the pass that finds it. So what a pass could not do is overdue from then on, and the status
//! says since when.

use serde::{Deserialize, Serialize};
use stratum_lifecycle::Days;
use stratum_storage::ambient::UnixMillis;

/// The most names of buckets that a note lists.
const MOST_NAMES: usize = 5;

/// The progress of lifecycle. All counts are since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LifecycleStatus {
    /// How many times all buckets with rules were gone over.
    pub passes: u64,
    /// Current objects that expired.
    pub expired: u64,
    /// Versions and delete markers that were deleted for good.
    pub deleted: u64,
    /// Versions that changed their storage class.
    pub transitioned: u64,
    /// Uploads that were aborted.
    pub aborted: u64,
    /// Versions that were due but kept by object lock; each pass counts them again.
    pub locked: u64,
    /// When the pass under way began.
    pub began_at: Option<UnixMillis>,
    pub last_pass: Option<LastPass>,
}

/// The result of the last finished pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LastPass {
    pub finished_at: UnixMillis,
    pub seconds_taken: u64,
    /// Buckets with enabled rules.
    pub buckets: u64,
    /// Versions and uploads that were due.
    pub due: u64,
    /// How many of these object lock kept.
    pub kept_by_lock: u64,
    /// How many of these could not be done, and the last reason.
    pub overdue: u64,
    pub why: Option<String>,
    /// Since when every pass has left something undone.
    pub overdue_since_at: Option<UnixMillis>,
    /// Buckets whose rules can't be read, so that none of them is carried out.
    pub unreadable: Vec<String>,
    /// Buckets of which a part could not be read, so that what is due there was not done.
    pub left_out: Vec<LeftOut>,
    /// Buckets whose notification rules can't be read, so that nobody is notified of what their lifecycle does.
    pub untold: Vec<String>,
}

/// A bucket of which a part was left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeftOut {
    pub bucket: String,
    pub why: String,
}

/// The result of something that was due.
pub(super) enum Done {
    Expired,
    Deleted,
    Transitioned,
    Aborted,
    /// Object lock keeps the version.
    Locked,
    /// It has changed since it was looked at.
    Changed,
    Failed(String),
}

/// The counts since the start, and those of the pass under way.
#[derive(Default)]
pub(super) struct Progress {
    pub(super) status: LifecycleStatus,
    pass: LastPass,
}

impl Progress {
    pub(super) fn begin(&mut self, now: UnixMillis) {
        self.status.began_at = Some(now);
        self.pass = LastPass::default();
    }

    /// A pass comes to the next bucket.
    pub(super) fn bucket(&mut self) {
        self.pass.buckets += 1;
    }

    pub(super) fn unreadable(&mut self, bucket: &str) {
        self.pass.unreadable.push(bucket.to_owned());
    }

    pub(super) fn untold(&mut self, bucket: &str) {
        self.pass.untold.push(bucket.to_owned());
    }

    pub(super) fn left_out(&mut self, bucket: &str, why: String) {
        self.pass.left_out.push(LeftOut { bucket: bucket.to_owned(), why });
    }

    pub(super) fn add(&mut self, done: Done) {
        let Progress { status, pass } = self;
        if !matches!(done, Done::Changed) {
            pass.due += 1;
        }
        match done {
            Done::Expired => status.expired += 1,
            Done::Deleted => status.deleted += 1,
            Done::Transitioned => status.transitioned += 1,
            Done::Aborted => status.aborted += 1,
            Done::Locked => {
                status.locked += 1;
                pass.kept_by_lock += 1;
            }
            Done::Changed => {}
            Done::Failed(why) => {
                pass.overdue += 1;
                pass.why = Some(why);
            }
        }
    }

    pub(super) fn end(&mut self, now: UnixMillis) {
        let LifecycleStatus { passes, began_at, last_pass, .. } = &mut self.status;
        let began = began_at.take().unwrap_or(now);
        let overdue_since = last_pass.as_ref().and_then(|last| last.overdue_since_at).unwrap_or(now);
        let pass = std::mem::take(&mut self.pass);
        let overdue_since_at = (pass.overdue > 0).then_some(overdue_since);
        let seconds_taken = now.saturating_sub(began) / 1_000;
        *last_pass = Some(LastPass { finished_at: now, seconds_taken, overdue_since_at, ..pass });
        *passes += 1;
    }
}

impl LifecycleStatus {
    /// What an operator should know or do; empty while all goes well.
    pub fn notes(&self, now: UnixMillis, days: Days) -> Vec<String> {
        let mut notes = Vec::new();
        let hours = |since: UnixMillis| now.saturating_sub(since) / 3_600_000;
        if let Some(LastPass { overdue, why, overdue_since_at: Some(since), .. }) = &self.last_pass {
            let why = why.as_deref().unwrap_or("unknown");
            notes.push(format!(
                "lifecycle could not carry out {overdue} things that are due, for {} h by now, and tries again in each pass; \
                 the last reason: {why}",
                hours(*since)
            ));
        }
        let unreadable = self.last_pass.iter().flat_map(|last| &last.unreadable).take(MOST_NAMES);
        notes.extend(unreadable.map(|bucket| {
            format!("the lifecycle of the bucket {bucket} can't be read and nothing of it is done: put its configuration again")
        }));
        let left_out = self.last_pass.iter().flat_map(|last| &last.left_out).take(MOST_NAMES);
        notes.extend(left_out.map(|LeftOut { bucket, why }| {
            format!(
                "lifecycle left out a part of the bucket {bucket}, and tries again in the next pass: {why}"
            )
        }));
        let untold = self.last_pass.iter().flat_map(|last| &last.untold).take(MOST_NAMES);
        notes.extend(untold.map(|bucket| {
            format!(
                "the notifications of the bucket {bucket} can't be read, and nobody is notified of what its lifecycle does: \
                 put its configuration again"
            )
        }));
        if let Some(began) = self.began_at.filter(|began| now > days.after(*began, 1)) {
            notes.push(format!(
                "lifecycle has been going over the buckets for {} h and is not through, so that what is due goes late",
                hours(began)
            ));
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: UnixMillis = 3_600_000;

    fn passed(progress: &mut Progress, began: UnixMillis, done: Vec<Done>) {
        progress.begin(began);
        progress.bucket();
        done.into_iter().for_each(|done| progress.add(done));
        progress.end(began + 2_500);
    }

    #[test]
    fn what_a_pass_leaves_undone_is_overdue_until_one_does_it() {
        let (mut progress, days) = (Progress::default(), Days::default());
        passed(&mut progress, HOUR, vec![Done::Expired, Done::Locked, Done::Changed]);
        let last = progress.status.last_pass.clone().unwrap();
        assert_eq!((last.due, last.kept_by_lock, last.overdue, last.seconds_taken), (2, 1, 0, 2));
        assert!(progress.status.notes(30 * HOUR, days).is_empty(), "what is locked is as it should be");

        passed(&mut progress, 2 * HOUR, vec![Done::Failed("no room".into())]);
        passed(&mut progress, 5 * HOUR, vec![Done::Failed("no drive".into()), Done::Deleted]);
        let notes = progress.status.notes(6 * HOUR, days);
        assert_eq!(notes.len(), 1);
        assert!(notes[0].contains("1 things") && notes[0].contains("for 3 h"), "{notes:?}");
        assert!(notes[0].ends_with("no drive"), "{notes:?}");
        passed(&mut progress, 7 * HOUR, vec![Done::Deleted]);
        assert!(progress.status.notes(8 * HOUR, days).is_empty());
        assert_eq!((progress.status.expired, progress.status.deleted, progress.status.passes), (1, 2, 4));
    }

    #[test]
    fn a_pass_that_takes_days_and_rules_that_cannot_be_read_are_told() {
        let (mut progress, days) = (Progress::default(), Days::default());
        progress.begin(HOUR);
        progress.unreadable("photos");
        progress.left_out("logs", "a block is lost".into());
        progress.untold("films");
        assert!(progress.status.notes(25 * HOUR, days).is_empty());
        assert!(progress.status.notes(49 * HOUR, days)[0].contains("for 48 h"));
        progress.end(50 * HOUR);
        let notes = progress.status.notes(50 * HOUR, days);
        assert_eq!(notes.len(), 3, "{notes:?}");
        assert!(notes[0].contains("the lifecycle of the bucket photos can't be read"), "{notes:?}");
        assert!(
            notes[1].contains("a part of the bucket logs") && notes[1].ends_with("a block is lost"),
            "{notes:?}"
        );
        assert!(notes[2].contains("the notifications of the bucket films can't be read"), "{notes:?}");
        progress.begin(51 * HOUR);
        progress.end(52 * HOUR);
        assert!(progress.status.notes(52 * HOUR, days).is_empty(), "the last pass counts");
    }
}
