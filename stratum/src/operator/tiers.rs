//! The routes by which an operator moves objects between tiers and pins them, and the status of tiering.
//!
//! A move is a decision that is kept in the state; the task *transition* carries it out later. So the answer says what
//! was decided, and `GET /objects/...` says where an object lies by now.

use super::kept::{Kept, Walks};
use super::{Operator, Refused};
use crate::fullness::of_refusal;
use crate::shown::duration;
use axum::Json;
use axum::extract::{Path, Query, State as Shared};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use stratum_engine::tiering::{Standing, TieringStatus};
use stratum_engine::{Engine, StateCopyStatus};
use stratum_metadata::listing::{ListRequest, Listed, Position};
use stratum_metadata::record::{BucketId, BucketRecord, ObjectRecord, TierPin, Version, VersionId};
use stratum_metadata::{
    CommitError, KeyVersion, NotWritten, ReadError, ReadView, TierWish, TransitionStatus,
};
use stratum_storage::ambient::{Clock, System, UnixMillis};
use stratum_storage::blob::Tier;
use stratum_storage::remote::RemoteUse;
use stratum_storage::upload::UploadStatus;
use stratum_storage::writepath::Fullness;
use stratum_tiering::tier::PerTier;

/// The most objects that one request decides about, since one command holds them all.
const OBJECTS_A_COMMAND: usize = 256;

/// The parameters of a decision: what is decided, and about which objects.
#[derive(Deserialize)]
pub(super) struct TierRequest {
    bucket: String,
    /// The key of one object. Either this or `prefix` must be given.
    key: Option<String>,
    /// A version of that object. Without it the current version is meant.
    #[serde(rename = "versionId")]
    version_id: Option<String>,
    /// The beginning of the keys of many objects.
    prefix: Option<String>,
    /// With a prefix, the `after` of the page before.
    after: Option<String>,
    /// The tier to move the objects to or pin them on; nothing to unpin them.
    tier: Option<String>,
}

/// About how many objects a request has decided.
#[derive(Debug, Serialize, Deserialize)]
pub struct Decided {
    pub objects: u64,
    /// How many more objects of the page weren't moved, since they are pinned, or since their storage class or metadata
    /// would take them back.
    #[serde(default)]
    pub pinned: u64,
    #[serde(default)]
    pub declared: u64,
    /// The `after` with which to ask for the next page; nothing on the last page.
    pub after: Option<String>,
}

/// The status of tiering.
#[derive(Debug, Serialize, Deserialize)]
pub struct TierStatus {
    pub deciding: TieringStatus,
    pub moving: TransitionStatus,
    /// How much lies in the remote store and how much is being uploaded, if there is a remote store.
    pub remote: Option<UploadStatus>,
    /// The status of the copies of the state in the remote store.
    pub state_copy: Option<StateCopyStatus>,
    /// The tiers that take nothing, and what follows from that.
    #[serde(default)]
    pub refusing: BTreeMap<String, String>,
}

/// `GET /tier`: answers with the status of tiering.
pub(super) async fn status(Shared(operator): Shared<Arc<Operator>>) -> Json<TierStatus> {
    let Engine { tiering, reviews, uploader, state_copies, .. } = &operator.engine;
    let (remote, state_copy) = (uploader.status(), state_copies.status());
    // The drives are asked for their space, which may block.
    let writer = operator.engine.volumes.writer.clone();
    let fullness = tokio::task::spawn_blocking(move || writer.fullness()).await.unwrap_or_default();
    let refusing = |tier: Fullness| Some((name(tier.tier), of_refusal(tier.tier, tier.refusal()?)));
    let refusing = fullness.into_iter().filter_map(refusing).collect();
    Json(TierStatus { deciding: tiering.status(), moving: reviews.status(), remote, state_copy, refusing })
}

/// `POST /tier/upload`: uploads what waits on the cold tier's drives to the remote store now, without waiting until
/// there is more of it, and then a copy of the state.
pub(super) async fn upload(Shared(operator): Shared<Arc<Operator>>) -> Result<Json<UploadStatus>, Refused> {
    let uploader = &operator.engine.uploader;
    uploader.hurry();
    operator.engine.state_copies.ask();
    uploader.status().map(Json).ok_or_else(no_remote_store)
}

/// `POST /tier/claim`: claims the remote store for this server because the operator says that it is this server's.
pub(super) async fn claim(Shared(operator): Shared<Arc<Operator>>) -> Result<Json<UploadStatus>, Refused> {
    let uploader = &operator.engine.uploader;
    uploader.claim().await.map_err(|error| Refused(StatusCode::CONFLICT, error.to_string()))?;
    uploader.status().filter(|status| !status.place.is_empty()).map(Json).ok_or_else(no_remote_store)
}

fn no_remote_store() -> Refused {
    let problem = "the cold tier has no remote store: set `tiers.cold.remote` in the configuration";
    Refused(StatusCode::CONFLICT, problem.into())
}

/// `POST /tier/move|pin|unpin?bucket=...&key=...|prefix=...&tier=...`: decides about an object, or a page of them.
pub(super) async fn decide(
    Shared(operator): Shared<Arc<Operator>>,
    Path(action): Path<String>,
    Query(request): Query<TierRequest>,
) -> Result<Json<Decided>, Refused> {
    let now = System.now();
    let has_tier = |tier| operator.engine.set.geometry(tier).is_some();
    let wish = wish(&action, request.tier.as_deref(), has_tier, now)?;
    let which = request.which()?;
    let metadata = &operator.engine.metadata;
    let view = metadata.fresh().await.map_err(unread)?;
    let bucket = bucket(&view, &request.bucket)?;
    let walks = operator.walks();
    let kept = |record: &ObjectRecord, is_current| match &wish {
        TierWish::Move(to) => Kept::from(*to, record, is_current, walks, now).map(|kept| (kept, *to)),
        TierWish::Pin(_) | TierWish::Unpin => None,
    };
    let (mut pinned, mut declared) = (0, 0);
    let (objects, after) = match which {
        Which::Object { key, version } => {
            let (record, is_current) = object(&view, &bucket, key, version)?;
            if let Some((kept, to)) = kept(&record, is_current) {
                return Err(Refused(StatusCode::CONFLICT, kept.why(to)));
            }
            (vec![(key.into(), record)], None)
        }
        Which::Page { prefix, after } => {
            let (mut objects, after) = page(&view, bucket.id, prefix, after).await?;
            objects.retain(|(_, record)| match kept(record, true) {
                Some((Kept::Pin(_), _)) => {
                    pinned += 1;
                    false
                }
                Some((Kept::Hint(_) | Kept::Class(..), _)) => {
                    declared += 1;
                    false
                }
                None => true,
            });
            (objects, after)
        }
    };
    let objects = match objects.is_empty() {
        true => 0,
        false => metadata.decide_tiers(bucket.id, objects, &wish, now).await.map_err(uncommitted)?,
    };
    Ok(Json(Decided { objects, pinned, declared, after }))
}

impl Operator {
    fn walks(&self) -> Walks {
        let tiering = &self.engine.tiering;
        let has = PerTier::of(|tier| tiering.tiers().any(|there| there == tier));
        Walks { has, heed_declared: tiering.standing() != Standing::Off }
    }
}

/// Which objects a request is about.
#[derive(Debug, PartialEq, Eq)]
enum Which<'a> {
    Object { key: &'a str, version: Option<&'a str> },
    Page { prefix: &'a str, after: Option<&'a str> },
}

impl TierRequest {
    /// Which objects are meant; refuses parameters that don't go together.
    fn which(&self) -> Result<Which<'_>, Refused> {
        let (version, after) = (self.version_id.as_deref(), self.after.as_deref());
        match (self.key.as_deref(), self.prefix.as_deref()) {
            (Some(_), None) if after.is_some() => {
                Err(bad("a page can be named only with a prefix, not with a key".into()))
            }
            (Some(key), None) => Ok(Which::Object { key, version }),
            (None, Some(_)) if version.is_some() => {
                Err(bad("a version can be named only with a key, not with a prefix".into()))
            }
            (None, Some(prefix)) => Ok(Which::Page { prefix, after }),
            _ => Err(bad("name either a key or a prefix".into())),
        }
    }
}

/// What an action asks for; refuses an action that isn't known and a tier that the store doesn't have.
fn wish(
    action: &str,
    tier: Option<&str>,
    has_tier: impl Fn(Tier) -> bool,
    now: UnixMillis,
) -> Result<TierWish, Refused> {
    let wanted = || {
        let name = tier.ok_or_else(|| bad("say which tier: hot, warm or cold".into()))?;
        let tier = Tier::ALL.into_iter().find(|tier| tier.name() == name);
        let tier =
            tier.ok_or_else(|| bad(format!("\"{}\" is not one of hot, warm, cold", name.escape_debug())))?;
        match has_tier(tier) {
            true => Ok(tier),
            false => Err(Refused(StatusCode::CONFLICT, format!("the store has no {name} tier"))),
        }
    };
    match action {
        "move" => Ok(TierWish::Move(wanted()?)),
        "pin" => Ok(TierWish::Pin(TierPin { tier: wanted()?, by: "root".into(), since: now, until: None })),
        "unpin" if tier.is_some() => Err(bad("unpin takes no tier: an object has one pin at most".into())),
        "unpin" => Ok(TierWish::Unpin),
        other => {
            let problem = format!("\"{}\" is not one of move, pin, unpin", other.escape_debug());
            Err(Refused(StatusCode::NOT_FOUND, problem))
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
    let request = ListRequest {
        bucket,
        prefix: prefix.into(),
        delimiter: None,
        from,
        max: OBJECTS_A_COMMAND,
        owners: false,
    };
    let listed = view.list(request).await.map_err(unread)?;
    let mut objects = Vec::with_capacity(listed.entries.len());
    for entry in listed.entries {
        let Listed::Entry(entry) = entry else { continue };
        // An object that was deleted since the page was read is left out.
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

/// What the status tells the operator about tiering: moves that wait, tiers that are almost full, and trouble with the
/// remote store.
pub(super) fn notes(engine: &Engine) -> Vec<String> {
    let (deciding, moving) = (engine.tiering.status(), engine.reviews.status());
    let waits = moving.waiting.iter().map(|(tier, why)| format!("what belongs in {tier} waits: {why}"));
    let full = deciding.full.iter().map(|(tier, note)| format!("the {tier} tier: {note}"));
    let remote = engine.uploader.status().into_iter().flat_map(|remote| remote_notes(&remote));
    let copy = engine.state_copies.status().into_iter().flat_map(|copy| state_notes(&copy));
    waits.chain(full).chain(remote).chain(copy).collect()
}

fn remote_notes(remote: &UploadStatus) -> Vec<String> {
    let UploadStatus { place, volumes, missing, failed, last_error, .. } = remote;
    let mut notes = Vec::new();
    if let Some(why) = &remote.refusal {
        notes.push(match remote.away_since {
            None if remote.usable_for == RemoteUse::Unconfigured => format!(
                "{volumes} volumes lie in a remote store, the configuration names none, and they can't be read: write where they lie \
                 into `tiers.cold.remote`, with what else was in `[tiers.cold]`, and restart"
            ),
            Some(since) => {
                let for_seconds = System.now().saturating_sub(since) / 1000;
                format!(
                    "the remote store {place} can't be reached for {for_seconds} s, and what lies there in {volumes} volumes \
                     answers 503: {why}"
                )
            }
            None => format!("nothing goes to the remote store {place}: {why}"),
        });
    }
    if *missing > 0 {
        notes.push(format!(
            "the remote store {place} lost {missing} volumes; `stratum fsck` names whose bytes they are"
        ));
    }
    if let Some(error) = last_error.as_ref().filter(|_| *failed > 0 && remote.waiting > 0) {
        notes.push(format!("{failed} uploads to the remote store failed, last: {error}"));
    }
    notes
}

fn state_notes(copy: &StateCopyStatus) -> Vec<String> {
    let mut notes = Vec::new();
    let why = copy.last_error.clone().or_else(|| {
        let age = copy.age_seconds.filter(|_| copy.is_old())?;
        Some(match copy.at {
            Some(_) => format!("the newest is {} old", duration(age)),
            None => format!("none is known, and for {} one should come", duration(age)),
        })
    });
    notes.extend(why.map(|why| {
        format!(
            "no copy of the state comes to the remote store, so that whoever lost the drives couldn't say whose bytes it \
             holds: {why}"
        )
    }));
    if copy.found_bad > 0 {
        let left = match copy.bad {
            0 => "they were sent again".to_owned(),
            bad => format!("{bad} are still to be sent again"),
        };
        notes.push(format!(
            "the remote store lost or changed {} files of the copy of the state since the server started: {left}",
            copy.found_bad
        ));
    }
    notes.extend(copy.not_put_back.as_ref().map(|why| {
        format!("what is lost of the index can't be put back from the copy of the state in the remote store: {why}")
    }));
    notes
}

/// Whether volumes lie in a remote store that can't be read now.
pub(super) fn is_remote_unreadable(engine: &Engine) -> bool {
    let remote = engine.uploader.status();
    remote.is_some_and(|remote| !remote.usable_for.is_readable() && remote.volumes > 0)
}

pub(super) fn name(tier: Tier) -> String {
    tier.name().to_owned()
}

pub(super) fn bucket(view: &ReadView, name: &str) -> Result<Arc<BucketRecord>, Refused> {
    let found = view.bucket(name).map_err(unread)?;
    found.ok_or_else(|| {
        Refused(StatusCode::NOT_FOUND, format!("there is no bucket \"{}\"", name.escape_debug()))
    })
}

/// The current object of a key, or the version of it that is named; and whether it is the current one.
pub(super) fn object(
    view: &ReadView,
    bucket: &BucketRecord,
    key: &str,
    version: Option<&str>,
) -> Result<(ObjectRecord, bool), Refused> {
    let missing = |what: &str| {
        let (key, bucket) = (key.escape_debug(), &bucket.name);
        Refused(StatusCode::NOT_FOUND, format!("there is no {what} \"{key}\" in the bucket \"{bucket}\""))
    };
    let Some(version) = version else {
        let found = view.object(bucket.id, key.as_bytes()).map_err(unread)?;
        return found.map(|object| (object, true)).ok_or_else(|| missing("object"));
    };
    let id = VersionId::parse(version).ok_or_else(|| bad("that can't be the id of a version".into()))?;
    match view.version(bucket.id, key.as_bytes(), id).map_err(unread)? {
        Some(KeyVersion { version: Version::Object(object), is_current }) => Ok((*object, is_current)),
        Some(KeyVersion { version: Version::DeleteMarker(_), .. }) => {
            Err(bad("that version is a delete marker, which lies in no tier".into()))
        }
        None => Err(missing("such version of an object")),
    }
}

fn bad(problem: String) -> Refused {
    Refused(StatusCode::BAD_REQUEST, problem)
}

pub(super) fn unread(error: ReadError) -> Refused {
    Refused(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

fn uncommitted(error: CommitError) -> Refused {
    let status = match error {
        CommitError::NotWritten(NotWritten::Unavailable(_)) => StatusCode::CONFLICT,
        CommitError::NotWritten(_) | CommitError::Unknown(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    Refused(status, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_that_do_not_go_together_are_refused() {
        let asked = |names: &[&str]| {
            let given = |name: &str| names.contains(&name).then(|| name.to_owned());
            let request = TierRequest {
                bucket: "b".into(),
                key: given("key"),
                version_id: given("version"),
                prefix: given("prefix"),
                after: given("after"),
                tier: None,
            };
            request.which().map(|which| format!("{which:?}")).map_err(|refused| refused.1)
        };
        for names in [["key"].as_slice(), &["key", "version"], &["prefix"], &["prefix", "after"]] {
            let which = asked(names).unwrap();
            assert!(names.iter().all(|name| which.contains(name)), "{which}");
        }
        for (names, told) in [
            ([].as_slice(), "either a key or a prefix"),
            (&["key", "prefix"], "either a key or a prefix"),
            (&["key", "after"], "a page can be named only with a prefix"),
            (&["prefix", "version"], "a version can be named only with a key"),
        ] {
            let refused = asked(names).unwrap_err();
            assert!(refused.contains(told), "{names:?}: {refused}");
        }
    }

    #[test]
    fn a_wish_takes_a_tier_exactly_where_one_is_heeded() {
        let asked =
            |action, tier| wish(action, tier, |tier| tier == Tier::Cold, 7).map_err(|refused| refused.1);
        assert!(matches!(asked("move", Some("cold")), Ok(TierWish::Move(Tier::Cold))));
        assert!(matches!(asked("unpin", None), Ok(TierWish::Unpin)));
        for (action, tier, told) in [
            ("unpin", Some("cold"), "unpin takes no tier"),
            ("pin", None, "say which tier"),
            ("move", Some("warm"), "the store has no warm tier"),
            ("move", Some("tepid"), "\"tepid\" is not one of"),
            ("drop", None, "\"drop\" is not one of"),
        ] {
            let refused = asked(action, tier).err().unwrap();
            assert!(refused.contains(told), "{action}: {refused}");
        }
    }
}
