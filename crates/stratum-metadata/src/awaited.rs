//! What the packer waits for: drives that alone may have a body and can't be read now, or the end of the error that
//! keeps it from reading a segment.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// The pause before drives that may have a body are asked again, at first and at most.
const FIRST_DELAY: Duration = Duration::from_secs(5);
const LONGEST_DELAY: Duration = Duration::from_secs(300);
/// The longest pause where a segment itself can't be read: nothing tells the packer when that is over.
const LONGEST_RETRY_DELAY: Duration = Duration::from_secs(60);

/// Bodies that may be on drives that can't be read now. Their segment stays in the journal until those drives have
/// been asked.
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

/// What keeps the packer from going on.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Hindrance {
    Awaited(AwaitedBodies),
    /// Why a segment can't be read, in words.
    Unreadable(String),
}

/// What the packer waits for, and the pause before it tries again.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Option<(Hindrance, Duration)>);

impl Waiting {
    /// The packer still waits for these bodies, which is logged if it is news. Returns the pause before the next try.
    pub fn goes_on(&mut self, awaited: AwaitedBodies) -> Duration {
        self.wait(Hindrance::Awaited(awaited), LONGEST_DELAY)
    }

    /// A segment can't be read: otherwise like [`Waiting::goes_on`].
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

    /// What the packer waits for, in words for the store's status.
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
    fn pauses_grow_until_the_packer_waits_for_something_else() {
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
