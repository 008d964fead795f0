//! A decision about an object's tier is kept in its record, and its review among the reviews.

use super::*;
use crate::command::{Pinning, TierChange, TierCondition};
use crate::owned;
use stratum_storage::ambient::UnixMillis;

impl Store {
    fn of_tiers() -> Store {
        let mut store = Store::new();
        store.apply(Command::SetLevel(Level::SECOND));
        store.apply(put("a", 1, small(), WriteCondition::default()));
        store
    }

    /// The reviews, after a check that they are those that the records say.
    fn reviews(&self) -> Vec<(UnixMillis, String)> {
        let reviews: Vec<(_, VersionId)> = self.all(Tag::Review);
        let parsed = reviews.into_iter().map(|(key, version)| {
            let (time, bucket, key, committed) = keys::parse_review(&key).unwrap();
            let owner = Owner::Object { bucket, key: key.clone(), version, committed };
            let found = owned::find(&owner, |key| self.memory.get(key).map_err(ApplyError::from)).unwrap();
            let Some((_, owned::Owned::Current(record))) = found else { panic!("{owner}") };
            assert_eq!(record.attributes.review, Some(time));
            (time, String::from_utf8(key).unwrap())
        });
        parsed.collect()
    }
}

fn change(reviewed: Option<UnixMillis>, tier: Option<Tier>, review: Option<UnixMillis>) -> TierChange {
    let decision = tier.map(|tier| TierDecision::new(tier, 5, TierReason::ByHand));
    TierChange {
        bucket: BUCKET,
        key: b"a".to_vec(),
        version: VersionId::NULL,
        committed: 0,
        condition: reviewed.map_or(TierCondition::Always, TierCondition::Reviewed),
        decision,
        pinning: Pinning::Leave,
        review,
    }
}

fn decide(change: TierChange) -> Command {
    Command::DecideTiers(vec![change])
}

#[test]
fn a_review_comes_and_goes_with_what_the_record_says() {
    let mut store = Store::of_tiers();
    assert_eq!(store.apply(decide(change(None, Some(Tier::Cold), Some(70)))), Outcome::Count(1));
    assert_eq!(store.reviews(), [(70, "a".to_owned())]);
    // Another decision came meanwhile, so what the earlier review found is skipped.
    assert_eq!(store.apply(decide(change(Some(60), None, None))), Outcome::Count(0));
    assert_eq!(store.apply(decide(change(None, Some(Tier::Warm), Some(80)))), Outcome::Count(1));
    assert_eq!(store.reviews(), [(80, "a".to_owned())]);
    assert_eq!(store.apply(decide(change(Some(80), None, None))), Outcome::Count(1));
    assert_eq!(store.reviews(), []);
    let tiering = store.object("a").unwrap().attributes.tiering;
    assert_eq!(tiering.all().iter().map(|one| one.tier).collect::<Vec<_>>(), [Tier::Cold, Tier::Warm]);
    store.check();
}

#[test]
fn what_is_overwritten_or_deleted_is_reviewed_no_more() {
    let gone: [Command; 2] = [put("a", 2, small(), WriteCondition::default()), delete("a")];
    for command in gone {
        let mut store = Store::of_tiers();
        store.apply(decide(change(None, Some(Tier::Cold), Some(70))));
        store.apply(command);
        assert_eq!(store.reviews(), []);
        store.check();
    }
    let mut store = Store::of_tiers();
    store.apply(delete("a"));
    assert_eq!(store.apply(decide(change(None, Some(Tier::Cold), Some(70)))), Outcome::Count(0));
}

/// In a bucket that isn't versioned, a new object has the same version and entry as the one that it replaces.
#[test]
fn a_decision_about_an_object_is_not_applied_to_the_one_that_replaced_it() {
    let mut store = Store::of_tiers();
    let modified = store.object("a").unwrap().modified;
    let seen = |modified, decided| TierCondition::Unchanged { modified, decided };
    let unless_changed = |condition| TierChange { condition, ..change(None, Some(Tier::Cold), None) };
    assert_eq!(store.apply(decide(unless_changed(seen(modified + 1, None)))), Outcome::Count(0));
    assert_eq!(store.apply(decide(unless_changed(seen(modified, None)))), Outcome::Count(1));
    assert_eq!(store.apply(decide(unless_changed(seen(modified, None)))), Outcome::Count(0), "decided since");
    assert_eq!(store.apply(decide(unless_changed(seen(modified, Some(5))))), Outcome::Count(1));
}

#[test]
fn a_pin_is_set_and_taken_away() {
    let mut store = Store::of_tiers();
    let pin = TierPin { tier: Tier::Hot, by: "ann".into(), since: 5, until: None };
    let pinned = TierChange { pinning: Pinning::Set(pin.clone()), ..change(None, None, None) };
    store.apply(decide(pinned));
    assert_eq!(store.object("a").unwrap().attributes.pin, Some(pin));
    store.apply(decide(TierChange { pinning: Pinning::Clear, ..change(None, None, None) }));
    assert_eq!(store.object("a").unwrap().attributes, Attributes::default());
}

#[test]
fn a_body_that_was_coded_anew_has_its_form_with_its_place() {
    let mut store = Store::of_tiers();
    let from = extents(1, 4096, &[100]);
    store.apply(put("b", 1, from.clone(), WriteCondition::default()));
    let coded = BlobRef { form: Form::Frames, ..extents(2, 4096, &[40]) };
    let owner = Owner::Object { bucket: BUCKET, key: b"b".to_vec(), version: VersionId::NULL, committed: 0 };
    let moves = vec![Move { owner, from, to: coded.clone() }];
    assert_eq!(store.apply(Command::Relocate { stripe: None, moves }), Outcome::Count(1));
    assert_eq!(store.object("b").unwrap().body, Body::Blob(coded));
    store.check();
}
