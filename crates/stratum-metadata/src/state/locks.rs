//! Object lock: which versions can't be deleted yet, and which retentions can't be shortened.
//!
//! It is checked wherever a version is deleted for good, whoever asks for that: a request, lifecycle, or anything
//! that is added later. A move between tiers keeps the record, and so the lock.
//!
//! Source: Amazon S3 User Guide, "Locking objects with Object Lock".

use super::Step;
use crate::command::Refusal;
use crate::record::{Attributes, LegalHold, Retention, RetentionMode};
use stratum_storage::ambient::UnixMillis;

/// Refuses to delete a version that is locked.
pub(super) fn check_deletion(attributes: &Attributes, now: UnixMillis, bypass_governance: bool) -> Step<()> {
    let is_retained = in_force(attributes, now)
        .is_some_and(|retention| retention.mode == RetentionMode::Compliance || !bypass_governance);
    match is_retained || attributes.legal_hold == Some(LegalHold::On) {
        true => Err(Refusal::Locked.into()),
        false => Ok(()),
    }
}

/// Refuses a change that binds less than the retention in force: an earlier date, a weaker mode, or none.
pub(super) fn check_retention(
    attributes: &Attributes,
    wanted: Option<Retention>,
    now: UnixMillis,
    bypass_governance: bool,
) -> Step<()> {
    let Some(current) = in_force(attributes, now) else { return Ok(()) };
    let binds_as_much =
        wanted.is_some_and(|wanted| wanted.mode == current.mode && wanted.until >= current.until);
    let may_bind_less = current.mode == RetentionMode::Governance && bypass_governance;
    if binds_as_much || may_bind_less { Ok(()) } else { Err(Refusal::Locked.into()) }
}

fn in_force(attributes: &Attributes, now: UnixMillis) -> Option<Retention> {
    attributes.retention.filter(|retention| now < retention.until)
}

#[cfg(test)]
mod tests {
    use super::*;
    use RetentionMode::{Compliance, Governance};

    const NOW: UnixMillis = 100;

    fn retained(mode: RetentionMode, until: UnixMillis) -> Attributes {
        Attributes { retention: Some(Retention { mode, until }), ..Attributes::default() }
    }

    #[test]
    fn a_version_goes_when_nothing_keeps_it() {
        let goes = |attributes: &Attributes, bypass| check_deletion(attributes, NOW, bypass).is_ok();
        for (attributes, plainly, with_bypass) in [
            (Attributes::default(), true, true),
            (retained(Governance, NOW + 1), false, true),
            (retained(Governance, NOW), true, true),
            (retained(Compliance, NOW + 1), false, false),
            (retained(Compliance, NOW), true, true),
        ] {
            assert_eq!((goes(&attributes, false), goes(&attributes, true)), (plainly, with_bypass));
            let held = Attributes { legal_hold: Some(LegalHold::On), ..attributes.clone() };
            assert!(!goes(&held, true) && !goes(&held, false));
            let released = Attributes { legal_hold: Some(LegalHold::Off), ..attributes };
            assert_eq!(goes(&released, false), plainly);
        }
    }

    #[test]
    fn a_retention_is_never_shortened_without_leave() {
        let may = |current: &Attributes, wanted: Option<(RetentionMode, UnixMillis)>, bypass| {
            let wanted = wanted.map(|(mode, until)| Retention { mode, until });
            check_retention(current, wanted, NOW, bypass).is_ok()
        };
        for (mode, other, with_bypass) in [(Governance, Compliance, true), (Compliance, Governance, false)] {
            let current = retained(mode, 200);
            assert!(may(&current, Some((mode, 200)), false) && may(&current, Some((mode, 201)), false));
            for less in [None, Some((mode, 199)), Some((other, 300))] {
                let may = (may(&current, less, false), may(&current, less, true));
                assert_eq!(may, (false, with_bypass), "{less:?}");
            }
            assert!(may(&retained(mode, NOW), None, false), "it is over");
        }
    }
}
