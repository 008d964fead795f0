//! `GET /objects/{bucket}/{key}?versionId=...`: on which tier an object lies, why, and what would change that.
//!
//! The decision is made anew for each answer, by the same function that the tiering engine uses, so that the answer
//! shows what counts now. Earlier decisions and their reasons are taken from the object's record.

use super::tiers::{bucket, name, object, unread};
use super::{Operator, Refused};
use axum::Json;
use axum::extract::{Path, Query, State as Shared};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use stratum_engine::tiering::{Explained, Tiering, Use, Used, in_words};
use stratum_metadata::record::{
    Body, BucketRecord, Compared, ObjectRecord, PartSummary, TierDecision, TierReason,
};
use stratum_metadata::{ReadError, ReadView, tier_of};
use stratum_storage::ambient::{Clock, System, UnixMillis};
use stratum_storage::blob::{BlobRef, Tier};
use stratum_storage::volume::Table;
use stratum_tiering::content::Content;
use stratum_tiering::day::{Day, FORESEEN_DAYS, Lasting};
use stratum_tiering::prices::dollars;

/// Why nothing is decided about a version that isn't current.
const NOT_CURRENT: &str = "it isn't its key's current object: its use isn't counted, and it stays where it is until somebody \
    moves it";

/// Why nothing is decided about an object without bytes.
const NO_BYTES: &str = "it has no bytes, so it lies on no tier";

/// The parameters of the request.
#[derive(Deserialize)]
pub(super) struct ExplainRequest {
    #[serde(rename = "versionId")]
    version_id: Option<String>,
}

/// On which tier an object lies, and why. Times are milliseconds since 1970, money is dollars.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Explanation {
    /// The tier on which the object lies; for an object of several parts, the coldest tier on which a part lies.
    pub tier: String,
    /// Since when the object belongs on the tier that was last decided, or else since when it exists.
    pub since: UnixMillis,
    /// A sentence about why the object lies there, and what is decided about it now.
    pub sentence: String,
    /// How many of its bytes lie on each tier.
    pub bytes: BTreeMap<String, u64>,
    /// The tier to which the object is to be moved, if some of it doesn't lie there yet.
    pub moving_to: Option<String>,
    pub pin: Option<Pinned>,
    /// What is decided about the object now: the tier, and the rule that says so. Nothing where no decision is made by
    /// use.
    pub decision: Option<Decision>,
    /// What each rule said, in order of precedence. The decision follows from this and `terms`.
    pub rules: Option<Value>,
    /// The figures that the rules compared.
    pub terms: Option<Value>,
    /// How the object is used.
    pub signals: Option<Value>,
    /// How the objects are used whose keys begin like this object's.
    pub group: Option<Group>,
    /// The class of the object's bytes.
    pub class: Option<String>,
    /// How sure the classifier is of the class, from 0 to 1; nothing if the class comes from elsewhere.
    pub class_confidence: Option<f64>,
    /// What the class was concluded from.
    pub class_because: Option<String>,
    /// What the object costs in a month on the tier where it belongs and on every other, as it is used now, without the
    /// cost of moves.
    pub costs: Option<Costs>,
    /// Sentences about what would change the decision.
    pub changes: Vec<String>,
    /// When the decision may change only because time has passed.
    pub next_review: Option<UnixMillis>,
    /// Since when a move of the object's bytes is due, if one is.
    pub move_due: Option<UnixMillis>,
    /// Why no decision is made by use, if so.
    pub not_deciding: Option<String>,
    /// The decisions that moved the object from tier to tier, the newest last.
    pub history: Vec<Moved>,
}

/// A pin, which keeps an object on a tier.
#[derive(Debug, Serialize, Deserialize)]
pub struct Pinned {
    pub tier: String,
    pub by: String,
    pub since: UnixMillis,
    pub until: Option<UnixMillis>,
}

/// The decision about an object as of now.
#[derive(Debug, Serialize, Deserialize)]
pub struct Decision {
    pub tier: String,
    pub by: Value,
}

/// The group of an object: the objects whose keys begin with `prefix`, which are likely to be used alike.
#[derive(Debug, Serialize, Deserialize)]
pub struct Group {
    pub prefix: String,
    #[serde(rename = "use")]
    pub used: Option<Value>,
}

/// What an object costs in a month, in dollars: on the tier where it belongs (`now`), and on each tier.
#[derive(Debug, Serialize, Deserialize)]
pub struct Costs {
    pub now: f64,
    #[serde(flatten)]
    pub by_tier: BTreeMap<String, f64>,
}

/// A decision of the past.
#[derive(Debug, Serialize, Deserialize)]
pub struct Moved {
    pub tier: String,
    pub since: UnixMillis,
    pub reason: String,
    pub sentence: String,
}

/// `GET /objects/{bucket}/{key}`
pub(super) async fn explain(
    Shared(operator): Shared<Arc<Operator>>,
    Path((name, key)): Path<(String, String)>,
    Query(request): Query<ExplainRequest>,
) -> Result<Json<Explanation>, Refused> {
    let view = operator.engine.metadata.fresh().await.map_err(unread)?;
    let look = move || {
        let bucket = bucket(&view, &name)?;
        let (record, is_current) = object(&view, &bucket, &key, request.version_id.as_deref())?;
        match is_current {
            true => operator.explanation(&view, &bucket, &key, &record, System.now()),
            false => operator.explanation_of_older(&view, &bucket, &key, &record, System.now()),
        }
        .map_err(unread)
    };
    let looked = tokio::task::spawn_blocking(look).await;
    looked.map_err(|error| Refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?.map(Json)
}

impl Operator {
    fn explanation(
        &self,
        view: &ReadView,
        bucket: &BucketRecord,
        key: &str,
        record: &ObjectRecord,
        now: UnixMillis,
    ) -> Result<Explanation, ReadError> {
        let tiering = &self.engine.tiering;
        let of_place = place(view, &self.engine.volumes.table, record, tiering.day(), now)?;
        let of_place = of_place.of_content(tiering.content(bucket.id, key, record));
        let of_place = of_place.of_use(tiering.used(bucket.id, key, now));
        let empty = (record.size == 0).then_some(NO_BYTES);
        let not_deciding = tiering.standing().why_not().or(empty).map(str::to_owned);
        Ok(match tiering.explain(bucket, key, record, now) {
            None => Explanation { not_deciding, ..of_place },
            Some(explained) => Explanation { not_deciding, ..of_place.with(explained, tiering) },
        })
    }
}

impl Operator {
    /// The explanation of a version that isn't current: where it lies, and what was decided while it was current.
    fn explanation_of_older(
        &self,
        view: &ReadView,
        bucket: &BucketRecord,
        key: &str,
        record: &ObjectRecord,
        now: UnixMillis,
    ) -> Result<Explanation, ReadError> {
        let tiering = &self.engine.tiering;
        let of_place = place(view, &self.engine.volumes.table, record, tiering.day(), now)?;
        let of_place = of_place.of_content(tiering.content(bucket.id, key, record));
        Ok(Explanation { not_deciding: Some(NOT_CURRENT.into()), ..of_place })
    }
}

impl Explanation {
    /// When the decision may change because time has passed, if that is near enough to be told to people.
    pub fn foreseen_review(&self) -> Option<UnixMillis> {
        let figure = |name| self.terms.as_ref()?.get(name)?.as_u64();
        let (now, day) = (figure("now")?, figure("day")?);
        self.next_review.filter(|review| review.saturating_sub(now) as f64 / (day as f64) < FORESEEN_DAYS)
    }

    fn of_content(self, content: Content) -> Explanation {
        let Content { class, confidence, because, .. } = content;
        Explanation {
            class: Some(class.name().into()),
            class_confidence: confidence.map(|percent| f64::from(percent) / 100.0),
            class_because: Some(because),
            ..self
        }
    }

    fn of_use(self, used: Used) -> Explanation {
        let Used { own, group, prefix } = used;
        let told = |used: Option<Use>| used.and_then(|used| serde_json::to_value(used).ok());
        Explanation { signals: told(own), group: Some(Group { prefix, used: told(group) }), ..self }
    }

    fn with(self, explained: Explained, tiering: &Tiering) -> Explanation {
        let Explained { decision, changes } = explained;
        let terms = &decision.terms;
        let by_tier = tiering.tiers().map(|tier| (tier.name().to_owned(), terms.monthly_cost[tier]));
        Explanation {
            sentence: match tiering.standing().why_not() {
                None => format!("{} {}", self.sentence, decision.sentence()),
                Some(_) => self.sentence,
            },
            costs: Some(Costs { now: terms.monthly_cost[terms.tier], by_tier: by_tier.collect() }),
            decision: Some(Decision {
                tier: decision.tier.name().into(),
                by: serde_json::to_value(decision.by).unwrap_or_default(),
            }),
            rules: serde_json::to_value(decision.rules).ok(),
            terms: serde_json::to_value(decision.terms).ok(),
            next_review: decision.next_review,
            changes,
            ..self
        }
    }
}

/// The part of the explanation that follows from the object's record.
fn place(
    view: &ReadView,
    table: &Table,
    record: &ObjectRecord,
    day: Day,
    now: UnixMillis,
) -> Result<Explanation, ReadError> {
    let bytes = bytes_by_tier(view, table, record)?;
    let attributes = &record.attributes;
    let (decided, belongs) = (attributes.tiering.last(), attributes.belongs_in(now));
    let tier = bytes.keys().last().copied().or(belongs).unwrap_or(Tier::JOURNAL);
    let moving_to = belongs.filter(|belongs| bytes.keys().any(|tier| tier != belongs));
    Ok(Explanation {
        tier: name(tier),
        since: decided.map_or(record.modified, |decision| decision.since),
        sentence: sentence(tier, decided, moving_to, day),
        bytes: bytes.into_iter().map(|(tier, bytes)| (name(tier), bytes)).collect(),
        moving_to: moving_to.map(name),
        pin: attributes.pinned(now).map(|pin| Pinned {
            tier: name(pin.tier),
            by: pin.by.clone(),
            since: pin.since,
            until: pin.until,
        }),
        move_due: attributes.review,
        history: attributes.tiering.all().iter().map(|decision| moved(decision, day)).collect(),
        ..Explanation::default()
    })
}

/// How many bytes of an object lie on each tier. Bytes that are still in the journal count for its tier. An object
/// without bytes lies on no tier.
fn bytes_by_tier(
    view: &ReadView,
    table: &Table,
    record: &ObjectRecord,
) -> Result<BTreeMap<Tier, u64>, ReadError> {
    let mut bytes = BTreeMap::<Tier, u64>::new();
    let mut count = |blob: &BlobRef, size: u64| {
        if size > 0 {
            *bytes.entry(tier_of(table, blob).unwrap_or(Tier::JOURNAL)).or_default() += size;
        }
    };
    match &record.body {
        Body::Blob(blob) => count(blob, record.size),
        Body::Parts { upload, parts } => {
            for PartSummary { number, size, .. } in parts {
                if let Some(part) = view.part(*upload, *number)? {
                    count(&part.blob, *size);
                }
            }
        }
    }
    Ok(bytes)
}

fn moved(decision: &TierDecision, day: Day) -> Moved {
    let sentence = format!("It went to {}, because {}.", decision.tier.name(), because(decision, day));
    Moved { tier: name(decision.tier), since: decision.since, reason: in_words(decision).into(), sentence }
}

/// The sentence about where an object lies and why.
fn sentence(tier: Tier, decided: Option<&TierDecision>, moving_to: Option<Tier>, day: Day) -> String {
    let lies = format!("It lies in the {} tier", tier.name());
    match (decided, moving_to) {
        (None, _) => format!("{lies}, where it was put: nothing was decided of it since."),
        (Some(decision), None) => format!("{lies}, because {}.", because(decision, day)),
        (Some(decision), Some(to)) => {
            format!("{lies} and is on its way to {}, because {}.", to.name(), because(decision, day))
        }
    }
}

/// The reason for a decision, with the figures on which it was based.
fn because(decision: &TierDecision, day: Day) -> String {
    let words = in_words(decision);
    let Some(basis) = decision.basis else { return words.to_owned() };
    let (from, idle) = (basis.from.name(), Lasting(day.between(0, basis.idle)));
    let saves = basis.saves as f64 / 1e9;
    let (until, money) = match Compared::of(decision.reason, basis.from, decision.tier) {
        Compared::Month if saves < 0.0 => {
            ("", format!(", and it was to cost {} a month more", dollars(-saves)))
        }
        Compared::Month => ("", format!(", and {} a month were to be saved", dollars(saves))),
        Compared::Storage => ("", format!(", and {} a month of storage were to be saved", dollars(saves))),
        Compared::Read => (" until then", format!(", and each read there costs {} more", dollars(saves))),
    };
    // A rule that doesn't ask for prices may decide for what costs more by them.
    let money = if saves > 0.0 || decision.reason == TierReason::Capacity { money } else { String::new() };
    format!("{words} (in {from} it had been idle for {idle}{until}{money})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_metadata::record::TierBasis;

    #[test]
    fn a_past_decision_is_told_with_the_figures_it_was_based_on() {
        let basis = TierBasis { from: Tier::Hot, idle: Day::REAL.days(9.0), saves: 19_000_000 };
        let decision =
            TierDecision { basis: Some(basis), ..TierDecision::new(Tier::Cold, 5, TierReason::Model) };
        assert_eq!(
            sentence(Tier::Cold, Some(&decision), None, Day::REAL),
            "It lies in the cold tier, because it is expected to cost least there (in hot it had been idle for 9 days, and \
             $0.019 a month of storage were to be saved)."
        );
        // A rule that doesn't ask for prices may go to what costs more.
        let dearer = TierDecision { basis: Some(TierBasis { saves: -5, ..basis }), ..decision };
        assert_eq!(
            because(&dearer, Day::REAL),
            "it is expected to cost least there (in hot it had been idle for 9 days)"
        );
        let full = TierDecision { reason: TierReason::Capacity, ..dearer };
        let full = because(&full, Day::REAL);
        assert!(full.ends_with("9 days, and it was to cost $0.0000000050 a month more)"), "{full}");
        let back = TierBasis { from: Tier::Cold, idle: Day::REAL.days(32.0), saves: 240_000 };
        let read = TierDecision { basis: Some(back), ..TierDecision::new(Tier::Hot, 6, TierReason::Model) };
        assert_eq!(
            because(&read, Day::REAL),
            "it was read again (in cold it had been idle for 32 days until then, and each read there costs $0.00024 more)"
        );
        let dearer = TierDecision { basis: Some(TierBasis { saves: -45_000, ..basis }), ..decision };
        assert_eq!(
            sentence(Tier::Cold, Some(&dearer), None, Day::REAL),
            "It lies in the cold tier, because it is expected to cost least there (in hot it had been idle for 9 days)."
        );
    }
}
