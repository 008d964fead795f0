//! What the packer waits for: drives that alone may have a body, and can't be asked now, or an end of what keeps it from
//! reading a segment.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// How long it is waited before drives that may have a body are asked again, at first and at most.
const FIRST_DELAY: Duration = Duration::from_secs(5);
const LONGEST_DELAY: Duration = Duration::from_secs(300);
/// The same where a segment itself can't be read: nobody says when that is over.
const LONGEST_RETRY_DELAY: Duration = Duration::from_secs(60);

/// Bodies that only drives may have which can't be asked now: the segment that they are in stays until they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AwaitedBodies {
    pub bodies: usize,
    pub drives: BTreeSet<String>,
}

impl fmt::Display for AwaitedBodies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let drives = Vec::from_iter(self.drives.iter().map(String::as_str)).join(", ");
        write!(
            f,
            "small bodies that no drive here can give: {}; the journal keeps everything since until these were asked: {drives}. \
             At its cap it takes no writes. Bring them back, or replace or remove those that are lost for good: what none has \
             is given up then",
            self.bodies
        )
    }
}

/// What keeps a packer from going on.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Hindrance {
    Awaited(AwaitedBodies),
    /// In words.
    Unreadable(String),
}

/// What a packer waits for, and how long it does before it looks again.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Option<(Hindrance, Duration)>);

impl Waiting {
    /// It still waits, and says so where that is news. How long until the next look.
    pub fn goes_on(&mut self, awaited: AwaitedBodies) -> Duration {
        self.wait(Hindrance::Awaited(awaited), LONGEST_DELAY)
    }

    /// A segment can't be read. As [`Waiting::goes_on`].
    pub fn fails(&mut self, problem: String) -> Duration {
        self.wait(Hindrance::Unreadable(problem), LONGEST_RETRY_DELAY)
    }

    fn wait(&mut self, hindrance: Hindrance, longest: Duration) -> Duration {
        let last = self.0.take().filter(|(known, _)| *known == hindrance);
        let delay = match last {
            Some((_, delay)) => (delay * 2).min(longest),
            None => {
                tracing::warn!("the journal can't be packed: {hindrance}");
                FIRST_DELAY
            }
        };
        self.0 = Some((hindrance, delay));
        delay
    }

    pub fn is_over(&mut self) {
        if self.0.take().is_some() {
            tracing::info!("the journal is packed again");
        }
    }

    /// In words, for whoever asks how the store is.
    pub fn note(&self) -> Option<String> {
        self.0.as_ref().map(|(hindrance, _)| hindrance.to_string())
    }
}

impl fmt::Display for Hindrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hindrance::Awaited(awaited) => awaited.fmt(f),
            Hindrance::Unreadable(problem) => f.write_str(problem),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_is_asked_ever_more_seldom_until_it_changes() {
        let awaited = |drive: &str| AwaitedBodies { bodies: 1, drives: [drive.to_owned()].into() };
        let mut waiting = Waiting::default();
        let delays: Vec<u64> = (0..9).map(|_| waiting.goes_on(awaited("hot/1")).as_secs()).collect();
        assert_eq!(delays, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        assert_eq!(waiting.goes_on(awaited("hot/2")), FIRST_DELAY);
        assert_eq!(waiting.note(), Some(awaited("hot/2").to_string()));
        waiting.is_over();
        assert_eq!(waiting.note(), None);
    }

    #[test]
    fn a_segment_that_cannot_be_read_is_told_once_and_tried_seldom() {
        let mut waiting = Waiting::default();
        let delays: Vec<u64> = (0..6).map(|_| waiting.fails("entry 7 is lost".into()).as_secs()).collect();
        assert_eq!(delays, [5, 10, 20, 40, 60, 60]);
        assert!(waiting.note().is_some_and(|note| note.contains("entry 7 is lost")));
        assert_eq!(waiting.fails("entry 9 is lost".into()), FIRST_DELAY);
    }
}
