//! A second bucket, whose objects have versions: they are put, hidden by delete markers and deleted one by one, while
//! versioning is enabled and suspended in turn. Whatever happens to the store, each key has exactly the versions that
//! were acknowledged, in their order and with their bytes.
//!
//! A store of level 1 can't have versions, and gets the bucket when it is raised.

use crate::life::{Ended, Life};
use crate::model::{Content, Open};
use crate::run::{LOOKUPS, Run, Wrote, object};
use bytes::Bytes;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use stratum_metadata::KeyVersion;
use stratum_metadata::command::{
    BucketChange, Command, Deleted, Deletion, Match, Outcome, Refusal, WriteCondition,
};
use stratum_metadata::listing::{Listed, VersionPosition, VersionsRequest};
use stratum_metadata::record::{
    Body, BucketId, BucketRecord, ETag, Level, ObjectRecord, Version, VersionId, VersionSummary, Versioning,
};
use stratum_metadata::{CommitError, VERSIONS_SINCE};

const BUCKET: BucketId = BucketId(2);
const NAME: &str = "versioned";
/// Steps of a hundred that are about versions.
const OF_100_STEPS: u64 = 15;

/// What the bucket must hold.
#[derive(Clone, Debug)]
pub struct Versions {
    /// `None` while there is no bucket.
    versioning: Open<Option<Versioning>>,
    /// The versions of each key, the newest first.
    keys: BTreeMap<Vec<u8>, Open<Vec<Kept>>>,
}

/// A version, or a delete marker, which has no content. The id of a version whose write wasn't answered becomes known
/// when the version is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    id: Option<VersionId>,
    content: Option<Content>,
}

impl Default for Versions {
    fn default() -> Versions {
        Versions { versioning: Open::known(None), keys: BTreeMap::new() }
    }
}

impl Versions {
    fn of(&self, key: &[u8]) -> Open<Vec<Kept>> {
        self.keys.get(key).cloned().unwrap_or(Open::known(Vec::new()))
    }

    /// Records that a write wasn't answered so many times, and then was if `made` has its id.
    fn wrote(&mut self, key: &[u8], unanswered: u32, made: Option<VersionId>, content: Option<Content>) {
        let versioning = self.versioning.certain().copied().flatten();
        let id = (versioning == Some(Versioning::Suspended)).then_some(VersionId::NULL);
        let mut all = self.of(key).possibilities().to_vec();
        for _ in 0..unanswered {
            let more: Vec<_> =
                all.iter().map(|kept| with(kept, Kept { id, content: content.clone() })).collect();
            all.extend(more);
        }
        if made.is_some() {
            all = all.iter().map(|kept| with(kept, Kept { id: made, content: content.clone() })).collect();
        }
        self.keys.insert(key.to_vec(), Open::one_of(all));
    }

    fn deleted(&mut self, key: &[u8], id: VersionId, is_sure: bool) {
        let before = self.of(key).possibilities().to_vec();
        let without = |kept: &Vec<Kept>| kept.iter().filter(|kept| kept.id != Some(id)).cloned().collect();
        let gone: Vec<Vec<Kept>> = before.iter().map(without).collect();
        let all = if is_sure { gone } else { [before, gone].concat() };
        self.keys.insert(key.to_vec(), Open::one_of(all));
    }
}

/// Adds a version: a null version replaces the former null version, any other is put over what is there.
fn with(kept: &[Kept], new: Kept) -> Vec<Kept> {
    let is_replaced = |kept: &&Kept| new.id == Some(VersionId::NULL) && kept.id == new.id;
    let others = kept.iter().filter(|kept| !is_replaced(kept)).cloned();
    std::iter::once(new.clone()).chain(others).collect()
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Put,
    PutIfAbsent,
    Mark,
    DeleteVersion,
    Versioning,
    Get,
    List,
}

const STEPS: [(u64, Step); 7] = [
    (10, Step::Put),
    (2, Step::PutIfAbsent),
    (4, Step::Mark),
    (5, Step::DeleteVersion),
    (2, Step::Versioning),
    (5, Step::Get),
    (2, Step::List),
];

/// Sometimes a step that is about versions.
pub async fn perhaps_step(life: &mut Life<'_>) -> Option<String> {
    let can = life.model.level.certain().is_some_and(|level: &Level| *level >= VERSIONS_SINCE);
    if !can || !life.dice.percent(OF_100_STEPS) {
        return None;
    }
    match life.model.versions.versioning.certain() {
        // Until the next start nobody knows how the bucket is versioned.
        None => return None,
        Some(None) => return Some(begin(life).await),
        Some(Some(_)) => {}
    }
    let step = life.dice.weighted(&STEPS);
    let told = match step {
        Step::Put => put(life).await,
        Step::PutIfAbsent => put_if_absent(life).await,
        Step::Mark => mark(life).await,
        Step::DeleteVersion => delete_one(life).await,
        Step::Versioning => {
            let versioning = [Versioning::Enabled, Versioning::Suspended][life.dice.within(0..2) as usize];
            configure(life, versioning).await
        }
        Step::Get => get(life).await,
        Step::List => match list(life).await {
            Some(listed) => {
                check(life, &listed);
                listed.len().to_string()
            }
            None => String::new(),
        },
    };
    Some(format!("Versions {step:?} {told}"))
}

async fn begin(life: &mut Life<'_>) -> String {
    let create = async |run: &Run| {
        let (name, owner, region) = (NAME.into(), "owner".into(), "us-east-1".into());
        let record =
            BucketRecord { id: BUCKET, name, owner, created: 0, region, configuration: Default::default() };
        run.metadata.commit(Command::CreateBucket(record.into()), Bytes::new()).await.into()
    };
    match life.persist("a bucket for versions", create).await {
        Ended::Done | Ended::Refused(Refusal::BucketExists { .. }) => {
            configure(life, Versioning::Enabled).await
        }
        Ended::Refused(refusal) => panic!("a bucket is refused: {refusal:?}"),
        Ended::Down { .. } => "no bucket".into(),
    }
}

async fn configure(life: &mut Life<'_>, versioning: Versioning) -> String {
    let configure = async |run: &Run| {
        let change = BucketChange::Versioning(versioning);
        run.metadata.commit(Command::ConfigureBucket { bucket: BUCKET, change }, Bytes::new()).await.into()
    };
    match life.persist("versioning", configure).await {
        Ended::Done => life.model.versions.versioning.is(Some(versioning)),
        Ended::Refused(refusal) => panic!("versioning is refused: {refusal:?}"),
        Ended::Down { maybe: true } => life.model.versions.versioning.or(Some(versioning)),
        Ended::Down { maybe: false } => {}
    }
    format!("{versioning:?}")
}

/// Counts the tries that weren't answered, and keeps the answer that came at last.
#[derive(Default)]
struct Answers {
    unanswered: Cell<u32>,
    made: Cell<Option<VersionId>>,
}

impl Answers {
    fn take(&self, outcome: Result<Outcome, CommitError>) -> Wrote {
        match &outcome {
            Ok(Outcome::Object(object)) => self.made.set(Some(object.version)),
            Ok(Outcome::Deleted(Deleted::Marked(id))) => self.made.set(Some(*id)),
            Err(CommitError::Unknown(_)) => self.unanswered.set(self.unanswered.get() + 1),
            _ => {}
        }
        outcome.into()
    }
}

async fn put(life: &mut Life<'_>) -> String {
    let (key, piece, answers) = (life.key(), life.new_piece(), Answers::default());
    let content = Content::plain(piece);
    let put = async |run: &Run| answers.take(put_once(run, &key, &content, WriteCondition::default()).await);
    match life.persist("putting a version", put).await {
        Ended::Refused(refusal) => panic!("a version is refused: {refusal:?}"),
        Ended::Done | Ended::Down { .. } => {}
    }
    life.model.versions.wrote(&key, answers.unanswered.get(), answers.made.get(), Some(content));
    format!("{} of {} bytes", String::from_utf8_lossy(&key), piece.len)
}

async fn put_once(
    run: &Run,
    key: &[u8],
    content: &Content,
    condition: WriteCondition,
) -> Result<Outcome, CommitError> {
    let (modified, key) = (run.clock.now(), key.to_vec());
    run.with_body(content.pieces[0], |blob| {
        let record = object(content, modified, Body::Blob(blob));
        Command::PutObject { bucket: BUCKET, key, record, condition }
    })
    .await
}

/// Tried only once: a second try may meet its own effect. A delete marker doesn't count as an object.
async fn put_if_absent(life: &mut Life<'_>) -> String {
    let (key, piece, answers) = (life.key(), life.new_piece(), Answers::default());
    let open = life.model.versions.of(&key);
    let Some(kept) = open.certain() else { return String::new() };
    let is_absent = kept.first().is_none_or(|newest| newest.content.is_none());
    let (content, condition) =
        (Content::plain(piece), WriteCondition { if_none_match: Some(Match::Any), ..Default::default() });
    match answers.take(put_once(life.run, &key, &content, condition).await) {
        Wrote::Done | Wrote::Unknown(_) if is_absent => {
            life.model.versions.wrote(&key, answers.unanswered.get(), answers.made.get(), Some(content));
        }
        Wrote::Refused(Refusal::PreconditionFailed(_)) if !is_absent => {}
        Wrote::Unknown(_) | Wrote::Nothing(_) | Wrote::Refused(Refusal::VolumeGone) => {}
        other => panic!("a put if nothing is there, of {kept:?}, gives {other:?}"),
    }
    format!("{} {is_absent}", String::from_utf8_lossy(&key))
}

async fn mark(life: &mut Life<'_>) -> String {
    let (key, answers) = (life.key(), Answers::default());
    let mark = async |run: &Run| {
        let deletion = Deletion::of(BUCKET, key.clone(), run.clock.now());
        answers.take(run.metadata.commit(Command::DeleteObject(deletion), Bytes::new()).await)
    };
    if let Ended::Refused(refusal) = life.persist("a delete marker", mark).await {
        panic!("a delete marker is refused: {refusal:?}");
    }
    life.model.versions.wrote(&key, answers.unanswered.get(), answers.made.get(), None);
    String::from_utf8_lossy(&key).into_owned()
}

async fn delete_one(life: &mut Life<'_>) -> String {
    let Some((key, kept)) = some_version(life) else { return String::new() };
    let Some(id) = kept.id else { return String::new() };
    delete(life, &key, id).await;
    format!("{} {id}", String::from_utf8_lossy(&key))
}

async fn delete(life: &mut Life<'_>, key: &[u8], id: VersionId) {
    let delete = async |run: &Run| {
        let deletion = Deletion { version: Some(id), ..Deletion::of(BUCKET, key.to_vec(), run.clock.now()) };
        run.metadata.commit(Command::DeleteObject(deletion), Bytes::new()).await.into()
    };
    match life.persist("deleting a version", delete).await {
        Ended::Done => life.model.versions.deleted(key, id, true),
        Ended::Refused(refusal) => panic!("deleting a version is refused: {refusal:?}"),
        Ended::Down { maybe: true } => life.model.versions.deleted(key, id, false),
        Ended::Down { maybe: false } => {}
    }
}

/// A version of a key about which everything is known.
fn some_version(life: &Life<'_>) -> Option<(Vec<u8>, Kept)> {
    let keys = life.model.versions.keys.iter();
    let known = keys.filter_map(|(key, open)| Some((key, open.certain()?)));
    let all: Vec<(Vec<u8>, Kept)> =
        known.flat_map(|(key, kept)| kept.iter().map(|kept| (key.clone(), kept.clone()))).collect();
    life.dice.pick(&all).cloned()
}

/// Reads a version by its id.
async fn get(life: &mut Life<'_>) -> String {
    let Some((key, Kept { id: Some(id), content })) = some_version(life) else { return String::new() };
    let name = format!("{} {id}", String::from_utf8_lossy(&key));
    for _ in 0..LOOKUPS {
        let found = match life.run.metadata.local().version(BUCKET, &key, id) {
            Ok(found) => found,
            Err(_) if life.hardware.power.is_off() => return String::new(),
            Err(error) => panic!("{name} can't be looked up: {error}"),
        };
        let record = match (found.map(|KeyVersion { version, .. }| version), &content) {
            (Some(Version::DeleteMarker(_)), None) => return name,
            (Some(Version::Object(record)), Some(_)) => record,
            (found, content) => panic!("{name} is {found:?}, and should be {content:?}"),
        };
        let before = life.misled();
        match life.run.bytes_of(&record).await {
            Ok(Some(bytes)) => {
                let expected = content.as_ref().map(Content::bytes);
                assert!(expected.is_some_and(|expected| expected == bytes), "{name} has wrong bytes");
                return name;
            }
            Ok(None) => {}
            Err(_) if life.hardware.power.is_off() => return String::new(),
            Err(error) if life.is_remotes_doing(&record, &error, before) => return name,
            Err(error) => panic!("{name} can't be read: {error}"),
        }
    }
    panic!("the bytes of {name} moved again and again")
}

/// A version as a listing shows it: the id, and for an object its ETag and size.
type Shown = (VersionId, Option<(ETag, u64)>);

/// All versions by key; `None` once the power is off.
async fn list(life: &Life<'_>) -> Option<BTreeMap<Vec<u8>, Vec<Shown>>> {
    let max = life.dice.within(1..20) as usize;
    match list_of(life.run, max).await {
        Ok(listed) => Some(listed),
        Err(_) if life.hardware.power.is_off() => None,
        Err(error) => panic!("a list of versions fails: {error}"),
    }
}

async fn list_of(run: &Run, max: usize) -> Result<BTreeMap<Vec<u8>, Vec<Shown>>, String> {
    let (mut listed, mut from) = (BTreeMap::<_, Vec<Shown>>::new(), VersionPosition::Start);
    loop {
        let request =
            VersionsRequest { bucket: BUCKET, prefix: Vec::new(), delimiter: None, from, max, owners: false };
        let page = run.metadata.local().versions(request).await.map_err(|error| error.to_string())?;
        for entry in page.entries {
            let Listed::Entry(entry) = entry else { panic!("a common prefix without a delimiter") };
            let of_key = listed.entry(entry.key).or_default();
            assert_eq!(
                entry.is_latest,
                of_key.is_empty(),
                "the first of a key is its latest, and no other is"
            );
            of_key.push(match entry.version {
                VersionSummary::Object(object) => (object.version, Some((object.etag, object.size))),
                VersionSummary::DeleteMarker(marker) => (marker.version, None),
            });
        }
        match page.next {
            Some(next) => from = next,
            None => return Ok(listed),
        }
    }
}

/// Checks that each key has the versions of one of its possibilities. Returns them with their ids.
fn check(life: &Life<'_>, listed: &BTreeMap<Vec<u8>, Vec<Shown>>) -> BTreeMap<Vec<u8>, Vec<Kept>> {
    let versions = &life.model.versions;
    assert!(
        listed.keys().all(|key| versions.keys.contains_key(key)),
        "a key that was never written is listed"
    );
    let mut found = BTreeMap::new();
    for (key, open) in &versions.keys {
        let shown = listed.get(key).map(Vec::as_slice).unwrap_or_default();
        let is = |kept: &&Vec<Kept>| kept.len() == shown.len() && kept.iter().zip(shown).all(fits);
        let Some(kept) = open.possibilities().iter().find(is) else {
            panic!("{} has {shown:?}, and should have {open:?}", String::from_utf8_lossy(key))
        };
        let seen = kept.iter().zip(shown);
        let seen = seen.map(|(kept, (id, _))| Kept { id: Some(*id), content: kept.content.clone() });
        found.insert(key.clone(), seen.collect());
    }
    found
}

fn fits((kept, (id, shown)): (&Kept, &Shown)) -> bool {
    let content = kept.content.as_ref().map(|content| (content.etag, content.len()));
    // The id of a version whose write wasn't answered, from a time when versions had ids of their own.
    let may_be = kept.id.map_or(*id != VersionId::NULL, |known| known == *id);
    may_be && content == *shown
}

/// After a start: checks that everything is there; from then on what was open is known.
pub async fn settle(life: &mut Life<'_>) {
    let found = match life.run.metadata.local().bucket(NAME) {
        Ok(found) => found.and_then(|bucket| bucket.configuration.versioning),
        Err(_) => return,
    };
    let open = &life.model.versions.versioning;
    assert!(open.allows(&found), "versioning is {found:?}, and should be {open:?}");
    let Some(listed) = list(life).await else { return };
    let kept = check(life, &listed);
    life.model.versions.versioning.is(found);
    life.model.versions.keys = kept.into_iter().map(|(key, kept)| (key, Open::known(kept))).collect();
}

/// The versions that can't be looked up, since a part of the index is lost.
pub fn unknown(life: &Life<'_>) -> BTreeSet<(Vec<u8>, VersionId)> {
    let keys = life.model.versions.keys.iter();
    let ids = keys.flat_map(|(key, open)| {
        let kept = open.possibilities().iter().flatten();
        kept.filter_map(move |kept| Some((key.clone(), kept.id?)))
    });
    ids.filter(|(key, id)| life.run.metadata.local().version(BUCKET, key, *id).is_err()).collect()
}

/// Some of these were given up. All others are there, and where the newest is gone, a delete marker may be over what is left.
pub async fn are_gone(life: &mut Life<'_>, unknown: &BTreeSet<(Vec<u8>, VersionId)>) {
    let Some(listed) = list(life).await else { return };
    let mut left = BTreeMap::new();
    for (key, open) in &life.model.versions.keys {
        let (Some(kept), name) = (open.certain(), String::from_utf8_lossy(key)) else { continue };
        let shown = listed.get(key).map(Vec::as_slice).unwrap_or_default();
        let is_shown = |kept: &&Kept| shown.iter().any(|(id, _)| kept.id == Some(*id));
        let may_be_gone = |kept: &Kept| kept.id.is_some_and(|id| unknown.contains(&(key.clone(), id)));
        let mut gone = kept.iter().filter(|kept| !is_shown(kept));
        assert!(gone.all(may_be_gone), "{name} has {shown:?}, and should have {kept:?}");
        let stays: Vec<Kept> = kept.iter().filter(is_shown).cloned().collect();
        let is_new = |(id, _): &&Shown| !kept.iter().any(|kept| kept.id == Some(*id));
        let new: Vec<&Shown> = shown.iter().filter(is_new).collect();
        let is_covered =
            kept.first() != stays.first() && stays.first().is_some_and(|kept| kept.content.is_some());
        let expected = usize::from(is_covered);
        assert!(
            new.len() == expected && new.iter().all(|(_, content)| content.is_none()),
            "{name} has {shown:?} since {kept:?} was given up in part"
        );
        let cover = new.iter().map(|(id, _)| Kept { id: Some(*id), content: None });
        left.insert(key.clone(), Open::known(cover.chain(stays).collect()));
    }
    life.model.versions.keys.extend(left);
}

/// Deletes all versions, by their ids.
pub async fn delete_all(life: &mut Life<'_>) {
    let Some(listed) = list(life).await else { return };
    for (key, shown) in listed {
        for (id, _) in shown {
            delete(life, &key, id).await;
        }
    }
}

/// The records of all versions that have bytes.
pub async fn records(run: &Run) -> Result<Vec<ObjectRecord>, String> {
    let mut records = Vec::new();
    for (key, shown) in list_of(run, 1_000).await? {
        for (id, _) in shown {
            let found = run.metadata.local().version(BUCKET, &key, id).map_err(|error| error.to_string())?;
            if let Some(KeyVersion { version: Version::Object(record), .. }) = found {
                records.push(*record);
            }
        }
    }
    Ok(records)
}
