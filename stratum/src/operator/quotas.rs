//! The routes of the quotas of buckets and users: showing them with what is used of each, and changing them.

use super::{Operator, Refused};
use axum::Json;
use axum::extract::{Path, Query, State as Shared};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use stratum_metadata::command::{Outcome, QuotaOf};
use stratum_metadata::record::{Counted, Quota};
use stratum_metadata::{Counter, QUOTAS_SINCE};

/// A quota, and what is used of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaStatus {
    /// A bucket's name, or a user's canonical id.
    pub of: String,
    /// The most bytes; nothing if they are not limited.
    pub bytes: Option<u64>,
    /// The most objects; nothing if they are not limited.
    pub objects: Option<u64>,
    pub used_bytes: u64,
    pub used_objects: u64,
    /// Whether the objects that existed when the quota was set are still being counted: more may be used then.
    pub counting: bool,
}

/// All quotas.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaList {
    pub buckets: Vec<QuotaStatus>,
    pub users: Vec<QuotaStatus>,
}

/// The parameters of a change: whose quota, and its limits.
#[derive(Debug, Deserialize)]
pub struct Wanted {
    bucket: Option<String>,
    user: Option<String>,
    bytes: Option<u64>,
    objects: Option<u64>,
}

/// `GET /quotas`
pub(super) async fn list(Shared(operator): Shared<Arc<Operator>>) -> Result<Json<QuotaList>, Refused> {
    let view = operator.engine.metadata.fresh().await.map_err(unavailable)?;
    let mut all = QuotaList::default();
    for (bucket, usage) in view.usages().await.map_err(unavailable)? {
        if usage.quota.is_unbounded() {
            continue;
        }
        let Some(record) = view.bucket_of(bucket).map_err(unavailable)? else { continue };
        all.buckets.push(QuotaStatus {
            of: record.name,
            bytes: usage.quota.bytes,
            objects: usage.quota.objects,
            used_bytes: usage.bytes,
            used_objects: usage.objects,
            counting: usage.counted != Counted::All,
        });
    }
    for (of, Quota { bytes, objects }) in view.user_quotas().await.map_err(unavailable)? {
        let used = view.usage_of(&of).await.map_err(unavailable)?;
        all.users.push(QuotaStatus {
            of,
            bytes,
            objects,
            used_bytes: used.bytes,
            used_objects: used.objects,
            counting: !used.is_whole,
        });
    }
    all.buckets.sort_by(|one, other| one.of.cmp(&other.of));
    Ok(Json(all))
}

/// `POST /quotas/set?bucket=...&bytes=...&objects=...`, or `?user=...`; `POST /quotas/unset?bucket=...`, or
/// `?user=...`. Answers with a sentence about the outcome.
pub(super) async fn change(
    Shared(operator): Shared<Arc<Operator>>,
    Path(action): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<String>, Refused> {
    let wrong = |problem: &str| Refused(StatusCode::BAD_REQUEST, problem.to_owned());
    let quota = Quota { bytes: wanted.bytes, objects: wanted.objects };
    let quota = match action.as_str() {
        "set" if quota.is_unbounded() => {
            return Err(wrong("a quota limits bytes, objects or both: give at least one of them"));
        }
        "set" => Some(quota),
        "unset" if quota.is_unbounded() => None,
        "unset" => return Err(wrong("`unset` takes no number of bytes or objects")),
        _ => {
            return Err(Refused(StatusCode::NOT_FOUND, format!("there is no action {action}: set or unset")));
        }
    };
    let metadata = &operator.engine.metadata;
    if metadata.level() < QUOTAS_SINCE {
        let problem = format!("quotas take a store of level {QUOTAS_SINCE}: run `stratum level raise`");
        return Err(Refused(StatusCode::CONFLICT, problem));
    }
    let (of, whose) = match (wanted.bucket, wanted.user) {
        (Some(name), None) => {
            let view = metadata.fresh().await.map_err(unavailable)?;
            let Some(bucket) = view.bucket(&name).map_err(unavailable)? else {
                return Err(Refused(StatusCode::NOT_FOUND, format!("there is no bucket {name}")));
            };
            (QuotaOf::Bucket(bucket.id), format!("the bucket {name}"))
        }
        (None, Some(user)) if user.is_empty() => return Err(wrong("the user's id is empty")),
        // Only setting a quota needs a known user. A quota of a user whom the configuration doesn't name any more can
        // still be removed.
        (None, Some(user)) if quota.is_some() && !operator.around.accounts.contains(&user) => {
            let known: Vec<&str> = operator.around.accounts.iter().map(String::as_str).collect();
            let (user, known) = (user.escape_debug(), known.join(", "));
            let problem = format!(
                "NoSuchEntity: there is no user with the canonical id \"{user}\" who could own a bucket: {known}"
            );
            return Err(Refused(StatusCode::NOT_FOUND, problem));
        }
        (None, Some(user)) => {
            let whose = format!("all buckets of {user}");
            (QuotaOf::User(user), whose)
        }
        _ => return Err(wrong("a quota is that of a bucket or that of a user: name one of them")),
    };
    let said = match &quota {
        Some(_) => format!("{whose}: the quota is set"),
        None => format!("{whose}: there is no quota"),
    };
    let is_set = quota.is_some();
    let counter = Counter::new(metadata.clone());
    match counter.change(of.clone(), quota).await {
        Ok(Outcome::Refused(refusal)) => Err(Refused(StatusCode::CONFLICT, refusal.to_string())),
        Ok(_) => {
            if is_set && let Err(problem) = counter.count_at_once(&of).await {
                tracing::warn!(problem, "a quota was set, and what it bounds is counted only later");
            }
            tracing::info!(quota = said, "an operator changed a quota");
            Ok(Json(said))
        }
        Err(error) => Err(unavailable(error)),
    }
}

fn unavailable(error: impl std::fmt::Display) -> Refused {
    Refused(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}
