//! Tiers by hand: objects are moved and pinned, and say where they are and why.
//!
//! A move is a decision that the state keeps; the task *transition* does it. So an answer says what was decided, and
//! where an object is by now is asked for, like all else.

use super::{Operator, Refused};
use axum::Json;
use axum::extract::{Path, Query, State as Shared};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use stratum_metadata::listing::{ListRequest, Listed, Position};
use stratum_metadata::record::{
    Body, BucketId, BucketRecord, ObjectRecord, PartSummary, TierDecision, TierPin, TierReason,
};
use stratum_metadata::{CommitError, NotWritten, ReadError, ReadView, TierWish, TransitionStatus, tier_of};
use stratum_storage::ambient::{Clock, System, UnixMillis};
use stratum_storage::blob::{BlobRef, Tier};
use stratum_storage::volume::Table;

/// Objects that one request decides about, at most: one command holds them.
const PAGE: usize = 256;

/// What is decided, and about which objects.
#[derive(Deserialize)]
pub(super) struct TierRequest {
    bucket: String,
    /// One object, or all whose keys begin with `prefix`.
    key: Option<String>,
    prefix: Option<String>,
    /// Of a prefix, where the page before this one ended.
    after: Option<String>,
    /// Where they go; not said when a pin is taken away.
    tier: Option<String>,
}

/// What was decided.
#[derive(Debug, Serialize, Deserialize)]
pub struct Decided {
    pub objects: u64,
    /// Where the next page begins; nothing at the end.
    pub after: Option<String>,
}

/// Where an object lies, and why. Times are milliseconds of Unix time.
#[derive(Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// Where it lies; of an object of several parts, the coldest that a part of it lies in.
    pub tier: String,
    /// Since when it belongs where it belongs.
    pub since: UnixMillis,
    pub sentence: String,
    /// Bytes by tier.
    pub bytes: BTreeMap<String, u64>,
    /// Where it is to go, if it isn't there.
    pub moving_to: Option<String>,
    pub pin: Option<Pinned>,
    /// When it is looked at next.
    pub next_review: Option<UnixMillis>,
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

/// A decision of the past.
#[derive(Debug, Serialize, Deserialize)]
pub struct Moved {
    pub tier: String,
    pub since: UnixMillis,
    pub reason: String,
}

/// `GET /tier`: how the moves are doing.
pub(super) async fn status(Shared(operator): Shared<Arc<Operator>>) -> Json<TransitionStatus> {
    Json(operator.engine.reviews.status())
}

/// `POST /tier/move|pin|unpin?bucket=...&key=...|prefix=...&tier=...`: decides about an object, or a page of them.
pub(super) async fn decide(
    Shared(operator): Shared<Arc<Operator>>,
    Path(action): Path<String>,
    Query(request): Query<TierRequest>,
) -> Result<Json<Decided>, Refused> {
    let now = System.now();
    let wish = operator.wish(&action, request.tier.as_deref(), now)?;
    let metadata = &operator.engine.metadata;
    let view = metadata.fresh().await.map_err(unread)?;
    let bucket = bucket(&view, &request.bucket)?;
    let (objects, after) = match (&request.key, &request.prefix) {
        (Some(key), None) => (vec![(key.clone().into_bytes(), object(&view, &bucket, key)?)], None),
        (None, Some(prefix)) => page(&view, bucket.id, prefix, request.after.as_deref()).await?,
        _ => return Err(bad("say either a key or a prefix".into())),
    };
    let objects = match objects.is_empty() {
        true => 0,
        false => metadata.decide_tiers(bucket.id, objects, &wish, now).await.map_err(uncommitted)?,
    };
    Ok(Json(Decided { objects, after }))
}

/// `GET /objects/{bucket}/{key}`: where an object lies, and why.
pub(super) async fn explain(
    Shared(operator): Shared<Arc<Operator>>,
    Path((name, key)): Path<(String, String)>,
) -> Result<Json<Explanation>, Refused> {
    let view = operator.engine.metadata.fresh().await.map_err(unread)?;
    let look = move || {
        let bucket = bucket(&view, &name)?;
        let record = object(&view, &bucket, &key)?;
        explanation(&view, &operator.engine.volumes.table, &record, System.now()).map_err(unread)
    };
    let looked = tokio::task::spawn_blocking(look).await;
    looked.map_err(|error| Refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?.map(Json)
}

impl Operator {
    /// What an action wants, if it can be had.
    fn wish(&self, action: &str, tier: Option<&str>, now: UnixMillis) -> Result<TierWish, Refused> {
        let wanted = || {
            let name = tier.ok_or_else(|| bad("say which tier: hot, warm or cold".into()))?;
            let tier = Tier::ALL.into_iter().find(|tier| tier.name() == name);
            let tier = tier
                .ok_or_else(|| bad(format!("\"{}\" is not one of hot, warm, cold", name.escape_debug())))?;
            match self.engine.set.geometry(tier) {
                Some(_) => Ok(tier),
                None => Err(Refused(StatusCode::CONFLICT, format!("the store has no {name} tier"))),
            }
        };
        match action {
            "move" => Ok(TierWish::Move(wanted()?)),
            "pin" => {
                Ok(TierWish::Pin(TierPin { tier: wanted()?, by: "root".into(), since: now, until: None }))
            }
            "unpin" => Ok(TierWish::Unpin),
            other => {
                let problem = format!("\"{}\" is not one of move, pin, unpin", other.escape_debug());
                Err(Refused(StatusCode::NOT_FOUND, problem))
            }
        }
    }
}

/// A page of the objects under a prefix, and the key after which the next one begins.
async fn page(
    view: &ReadView,
    bucket: BucketId,
    prefix: &str,
    after: Option<&str>,
) -> Result<(Vec<(Vec<u8>, ObjectRecord)>, Option<String>), Refused> {
    let from = after.map_or(Position::Start, |key| Position::After(key.into()));
    let request = ListRequest { bucket, prefix: prefix.into(), delimiter: None, from, max: PAGE };
    let listed = view.list(request).await.map_err(unread)?;
    let mut objects = Vec::with_capacity(listed.entries.len());
    for entry in listed.entries {
        let Listed::Entry(entry) = entry else { continue };
        // One that went since the page was read has nothing to move.
        if let Some(record) = view.object(bucket, &entry.key).map_err(unread)? {
            objects.push((entry.key, record));
        }
    }
    let after = match listed.next {
        Some(Position::After(key) | Position::Past(key)) => String::from_utf8(key).ok(),
        Some(Position::Start) | None => None,
    };
    Ok((objects, after))
}

fn explanation(
    view: &ReadView,
    table: &Table,
    record: &ObjectRecord,
    now: UnixMillis,
) -> Result<Explanation, ReadError> {
    let mut bytes = BTreeMap::<Tier, u64>::new();
    // What is still in the journal is on the hot drives; what has no bytes lies nowhere.
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
    let attributes = &record.attributes;
    let (decided, belongs) = (attributes.tiering.last(), attributes.belongs_in(now));
    let tier = bytes.keys().last().copied().or(belongs).unwrap_or(Tier::JOURNAL);
    let moving_to = belongs.filter(|belongs| bytes.keys().any(|tier| tier != belongs));
    let name = |tier: Tier| tier.name().to_owned();
    Ok(Explanation {
        tier: name(tier),
        since: decided.map_or(record.modified, |decision| decision.since),
        sentence: sentence(tier, decided, moving_to),
        bytes: bytes.into_iter().map(|(tier, bytes)| (name(tier), bytes)).collect(),
        moving_to: moving_to.map(name),
        pin: attributes.pinned(now).map(|pin| Pinned {
            tier: name(pin.tier),
            by: pin.by.clone(),
            since: pin.since,
            until: pin.until,
        }),
        next_review: attributes.review,
        history: attributes.tiering.all().iter().map(moved).collect(),
    })
}

fn moved(decision: &TierDecision) -> Moved {
    let TierDecision { tier, since, reason, .. } = *decision;
    Moved { tier: tier.name().into(), since, reason: words(reason).into() }
}

/// Where it is and why, in words.
fn sentence(tier: Tier, decided: Option<&TierDecision>, moving_to: Option<Tier>) -> String {
    let lies = format!("It lies in the {} tier", tier.name());
    match (decided, moving_to) {
        (None, _) => format!("{lies}, where it was put: nothing was decided of it since."),
        (Some(decision), None) => format!("{lies}, because {}.", words(decision.reason)),
        (Some(decision), Some(to)) => {
            format!("{lies} and is on its way to {}, because {}.", to.name(), words(decision.reason))
        }
    }
}

fn words(reason: TierReason) -> &'static str {
    match reason {
        TierReason::ByHand => "an operator moved it",
        TierReason::Pin => "it is pinned there",
        TierReason::Hint => "its metadata asks for that",
        TierReason::StorageClass => "its storage class asks for that",
        TierReason::Lifecycle => "a lifecycle rule asks for that",
        TierReason::Capacity => "the tier that it lay in was too full",
        TierReason::Spike => "it was suddenly read much",
        TierReason::Model => "it is expected to cost least there",
    }
}

fn bucket(view: &ReadView, name: &str) -> Result<BucketRecord, Refused> {
    let found = view.bucket(name).map_err(unread)?;
    found.ok_or_else(|| {
        Refused(StatusCode::NOT_FOUND, format!("there is no bucket \"{}\"", name.escape_debug()))
    })
}

fn object(view: &ReadView, bucket: &BucketRecord, key: &str) -> Result<ObjectRecord, Refused> {
    let found = view.object(bucket.id, key.as_bytes()).map_err(unread)?;
    let missing =
        || format!("there is no object \"{}\" in the bucket \"{}\"", key.escape_debug(), bucket.name);
    found.ok_or_else(|| Refused(StatusCode::NOT_FOUND, missing()))
}

fn bad(problem: String) -> Refused {
    Refused(StatusCode::BAD_REQUEST, problem)
}

fn unread(error: ReadError) -> Refused {
    Refused(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

fn uncommitted(error: CommitError) -> Refused {
    let status = match error {
        CommitError::NotWritten(NotWritten::Unavailable(_)) => StatusCode::CONFLICT,
        CommitError::NotWritten(_) | CommitError::Unknown(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    Refused(status, error.to_string())
}
