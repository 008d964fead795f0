//! `GET /objects/{bucket}/{key}?versionId=...`: where an object lies, why, and what would change that.
//!
//! What is decided is decided anew for the answer, by the function that the engine decides with, so that what is shown is what
//! counts now; what it was decided by before stands in the object's record.

use super::tiers::{bucket, name, object, unread};
use super::{Operator, Refused};
use axum::Json;
use axum::extract::{Path, Query, State as Shared};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use stratum_engine::tiering::{Explained, Tiering, in_words};
use stratum_metadata::record::{Body, BucketRecord, ObjectRecord, PartSummary, TierDecision};
use stratum_metadata::{ReadError, ReadView, tier_of};
use stratum_storage::ambient::{Clock, System, UnixMillis};
use stratum_storage::blob::{BlobRef, Tier};
use stratum_storage::volume::Table;
use stratum_tiering::content::Content;
use stratum_tiering::day::{Day, FORESEEN_DAYS, Lasting};

/// Why nothing is decided by use of a version that isn't current.
const NOT_CURRENT: &str = "it isn't its key's current object: its use isn't counted, and it stays where it is until somebody \
    moves it";

/// Which version is asked about.
#[derive(Deserialize)]
pub(super) struct ExplainRequest {
    #[serde(rename = "versionId")]
    version_id: Option<String>,
}

/// Where an object lies, and why. Times are milliseconds of Unix time, money is dollars.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Explanation {
    /// Where it lies; of an object of several parts, the coldest that a part of it lies in.
    pub tier: String,
    /// Since when it belongs where it belongs.
    pub since: UnixMillis,
    /// Why it lies there, and what is decided of it now.
    pub sentence: String,
    /// Bytes by tier.
    pub bytes: BTreeMap<String, u64>,
    /// Where it is to go, if it isn't there.
    pub moving_to: Option<String>,
    pub pin: Option<Pinned>,
    /// What is decided of it now: the tier, and which rule says so. Nothing where nothing is decided by use.
    pub decision: Option<Decision>,
    /// What each rule said, in order of precedence, and the figures that were compared: who follows them comes to the decision.
    pub rules: Option<Value>,
    pub terms: Option<Value>,
    /// How the object is used, and how its group is: the objects whose keys begin with `prefix`.
    pub signals: Option<Value>,
    pub group: Option<Group>,
    /// What its bytes are: how sure whoever looked at them is, 0 to 1, and which of all that is known of them counts.
    pub class: Option<String>,
    pub class_confidence: Option<f64>,
    pub class_because: Option<String>,
    /// What a month costs where it belongs, and in each tier, as it is used now; moves aside.
    pub costs: Option<Costs>,
    /// What would change the decision.
    pub changes: Vec<String>,
    /// When the decision may be another by the mere passing of time.
    pub next_review: Option<UnixMillis>,
    /// Since when the move of its bytes is due, if it isn't done.
    pub move_due: Option<UnixMillis>,
    /// Why nothing is decided by use, if so.
    pub not_deciding: Option<String>,
    /// What took it from tier to tier, the last one last.
    pub history: Vec<Moved>,
}

/// A pin.
#[derive(Debug, Serialize, Deserialize)]
pub struct Pinned {
    pub tier: String,
    pub by: String,
    pub since: UnixMillis,
    pub until: Option<UnixMillis>,
}

/// What is decided now.
#[derive(Debug, Serialize, Deserialize)]
pub struct Decision {
    pub tier: String,
    pub by: Value,
}

/// The objects that are in use together with this one.
#[derive(Debug, Serialize, Deserialize)]
pub struct Group {
    pub prefix: String,
    #[serde(rename = "use")]
    pub used: Option<Value>,
}

/// What a month costs.
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
        let not_deciding = tiering.standing().why_not().map(str::to_owned);
        Ok(match tiering.explain(bucket, key, record, now) {
            None => Explanation { not_deciding, ..of_place },
            Some(explained) => Explanation { not_deciding, ..of_place.with(explained, tiering) },
        })
    }
}

impl Operator {
    /// Of a version that isn't current there is its place, and what was decided while it was.
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
    /// When the decision may be another, if that is so near that a person is told of it.
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

    fn with(self, explained: Explained, tiering: &Tiering) -> Explanation {
        let Explained { decision, own, group, prefix, changes } = explained;
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
            signals: own.and_then(|own| serde_json::to_value(own).ok()),
            group: Some(Group { prefix, used: group.and_then(|group| serde_json::to_value(group).ok()) }),
            next_review: decision.next_review,
            changes,
            ..self
        }
    }
}

/// What the record says.
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

/// What is still in the journal is on the hot drives; what has no bytes lies nowhere.
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
    Moved {
        tier: name(decision.tier),
        since: decision.since,
        reason: in_words(decision.reason).into(),
        sentence,
    }
}

/// Where it is and why, in words.
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

/// A reason, with what it stood on.
fn because(decision: &TierDecision, day: Day) -> String {
    let words = in_words(decision.reason);
    let Some(basis) = decision.basis else { return words.to_owned() };
    let idle = Lasting(day.between(0, basis.idle));
    let saves = basis.saves as f64 / 1e9;
    let money = match saves >= 0.0 {
        true => format!("{} a month were to be saved", dollars(saves)),
        false => format!("it was to cost {} a month more", dollars(-saves)),
    };
    format!("{words} (in {} it had been idle for {idle}, and {money})", basis.from.name())
}

/// Dollars with two digits that count.
pub fn dollars(dollars: f64) -> String {
    match dollars {
        0.0 => "$0".to_owned(),
        some if some.abs() >= 0.1 => format!("${some:.2}"),
        little => {
            let digits = (1.0 - little.abs().log10().floor()).clamp(2.0, 12.0) as usize;
            format!("${little:.digits$}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_metadata::record::{TierBasis, TierReason};

    #[test]
    fn a_past_decision_says_what_it_stood_on() {
        let basis = TierBasis { from: Tier::Hot, idle: Day::REAL.days(9.0), saves: 19_000_000 };
        let decision =
            TierDecision { basis: Some(basis), ..TierDecision::new(Tier::Cold, 5, TierReason::Model) };
        assert_eq!(
            sentence(Tier::Cold, Some(&decision), None, Day::REAL),
            "It lies in the cold tier, because it is expected to cost least there (in hot it had been idle for 9 days, and \
             $0.019 a month were to be saved)."
        );
    }

    #[test]
    fn money_has_two_digits_that_count() {
        let told = [0.0, 12.345, 0.1, 0.0123, 0.000_045_6].map(dollars);
        assert_eq!(told, ["$0", "$12.35", "$0.10", "$0.012", "$0.000046"]);
    }
}
