//! Events that a webhook refuses though it takes others: each is tried by itself, ever more rarely, and given up in the
//! end. So one that an endpoint can't stand (a key that its firewall takes for an attack) holds up no other, and a
//! webhook that takes nothing at all, for which its token or its address is to blame, loses none.

use http::StatusCode;
use std::collections::BTreeMap;
use std::time::Duration;
use stratum_metadata::record::EventRecord;
use stratum_storage::blob::Index;

/// How long an event is tried by itself before it is given up.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(3600);
/// How long it rests after a refusal: the first value after the first, twice as long after each further one, and never
/// longer than the second value.
const RETRY_DELAYS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How many such events are tried on; of more, those that were refused first are given up.
const MAX_REFUSED: usize = 1000;

/// Whether an answer says that the message isn't wanted, rather than that it can't be taken now.
pub fn is_refusal(status: StatusCode) -> bool {
    let later =
        [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS].contains(&status);
    status.is_client_error() && !later
}

/// The events that one webhook refused, by their sequencers. A restart forgets them, and they are tried anew.
#[derive(Debug, Default)]
pub struct Refused(BTreeMap<Index, Trial>);

#[derive(Debug)]
struct Trial {
    /// When it was refused first, on the monotonic clock.
    since: Duration,
    times: u32,
    not_before: Duration,
}

impl Refused {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether an event may be posted now.
    pub fn is_due(&self, event: &EventRecord, now: Duration) -> bool {
        self.0.get(&event.sequencer).is_none_or(|trial| trial.not_before <= now)
    }

    /// Forgets all but the events that still wait, of which these are the first.
    pub fn retain(&mut self, waiting: &[EventRecord]) {
        let waits = |index: &Index| waiting.binary_search_by_key(index, |event| event.sequencer).is_ok();
        self.0.retain(|index, _| waits(index));
    }

    /// Notes what was refused in a pass in which the webhook `took` others, or none. Returns the events that are given
    /// up, or nothing if it isn't known whose fault it is: then all are to be tried again.
    pub fn note(&mut self, refused: Vec<EventRecord>, took: bool, now: Duration) -> Option<Vec<EventRecord>> {
        if !took && refused.iter().any(|event| !self.0.contains_key(&event.sequencer)) {
            return None;
        }
        let (first, last) = RETRY_DELAYS;
        for event in &refused {
            let trial =
                self.0.entry(event.sequencer).or_insert(Trial { since: now, times: 0, not_before: now });
            trial.not_before = now + (first * 2u32.saturating_pow(trial.times.min(16))).min(last);
            trial.times = trial.times.saturating_add(1);
        }
        let too_many = self.0.len().saturating_sub(MAX_REFUSED);
        let over = |(at, (index, trial)): (usize, (&Index, &Trial))| {
            (at < too_many || now.saturating_sub(trial.since) >= GIVEN_UP_AFTER).then_some(*index)
        };
        let over: Vec<Index> = self.0.iter().enumerate().filter_map(over).collect();
        let given_up =
            refused.into_iter().filter(|event| over.contains(&event.sequencer)).collect::<Vec<_>>();
        for event in &given_up {
            self.0.remove(&event.sequencer);
        }
        Some(given_up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_metadata::record::{EventKind, Happening};

    const START: Duration = Duration::from_secs(100);

    fn event(sequencer: Index) -> EventRecord {
        let about = Happening {
            bucket: "b".into(),
            owner: "ann".into(),
            region: "us-east-1".into(),
            key: b"k".to_vec(),
            version: None,
            time: 0,
            by: "ann".into(),
            source: "::1".into(),
            request: "r".into(),
        };
        EventRecord { kind: EventKind::ObjectCreatedPut, rule: "r".into(), about, object: None, sequencer }
    }

    #[test]
    fn an_answer_that_asks_for_patience_is_no_refusal() {
        for status in [400, 401, 403, 404, 413, 422] {
            assert!(is_refusal(StatusCode::from_u16(status).unwrap()), "{status}");
        }
        for status in [200, 301, 408, 425, 429, 500, 503] {
            assert!(!is_refusal(StatusCode::from_u16(status).unwrap()), "{status}");
        }
    }

    #[test]
    fn where_a_webhook_takes_nothing_nobody_knows_whose_fault_it_is() {
        let mut refused = Refused::default();
        assert_eq!(refused.note(vec![event(1), event(2)], false, START), None);
        assert!(refused.is_due(&event(1), START) && refused.len() == 0);
    }

    #[test]
    fn an_event_that_alone_is_refused_rests_ever_longer_and_is_given_up_in_the_end() {
        let mut refused = Refused::default();
        let (mut now, mut rests) = (START, Vec::new());
        assert_eq!(refused.note(vec![event(1)], true, now), Some(vec![]));
        let given_up = loop {
            assert!(!refused.is_due(&event(1), now) && refused.is_due(&event(2), now), "others go on");
            let begun = now;
            while !refused.is_due(&event(1), now) {
                now += Duration::from_secs(1);
            }
            rests.push((now - begun).as_secs());
            // What was told apart once is known, whether or not anything else waits.
            match refused.note(vec![event(1)], false, now) {
                Some(none) if none.is_empty() => {}
                other => break other,
            }
        };
        assert_eq!(given_up, Some(vec![event(1)]));
        assert_eq!(rests[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
        assert!((now - START).as_secs() >= 3600 && refused.len() == 0);
    }

    #[test]
    fn of_too_many_the_first_are_given_up() {
        let mut refused = Refused::default();
        let all: Vec<EventRecord> = (0..1003).map(event).collect();
        let given_up = refused.note(all, true, START).unwrap();
        assert_eq!(given_up, [event(0), event(1), event(2)]);
        assert_eq!(refused.len(), 1000);
        refused.retain(&[event(7), event(8)]);
        assert_eq!(refused.len(), 2, "the others were dropped by the operator");
    }
}
