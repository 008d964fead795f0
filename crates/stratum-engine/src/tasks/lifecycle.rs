//! Carries out buckets' lifecycle rules: what is due expires, is deleted for good, changes its class, or is aborted.
//!
//! Several times a day it goes over the buckets that have rules: a page of their objects, then of their versions,
//! then of their uploads, with a rest after each page. Every change is a command of its own, on the condition that
//! nothing has changed since the look, so what is written meanwhile is left alone, and a restart costs no more than
//! another pass. Object lock is checked in the state, where every deletion passes.

mod act;
mod progress;

pub use progress::{LastPass, LifecycleStatus};

use futures_util::{StreamExt, stream};
use progress::Progress;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use stratum_lifecycle::{Current, Days, DeleteMarker, Noncurrent, Rules, Verdict};
use stratum_metadata::command::{Match, WriteCondition};
use stratum_metadata::listing::{
    Listed, ListedVersion, UploadPosition, UploadsRequest, VersionPosition, VersionsRequest,
};
use stratum_metadata::record::{
    BucketRecord, DocumentKind, ObjectRecord, StorageClass, UploadId, Version, VersionId, VersionSummary,
};
use stratum_metadata::{Metadata, ReadError, Time, Walk};
use stratum_storage::ambient::{Clock, UnixMillis};
use stratum_storage::blocking;
use stratum_storage::task::{Executor, Next, Role, Row, Stop, Task, Work};
use stratum_tiering::usage::Usage;
use tracing_mutex::parkinglot::Mutex;

/// Versions or uploads that are looked at in one step.
const PAGE_ENTRIES: usize = 1_000;
/// Commands that are under way at the same time.
const COMMANDS_AT_ONCE: usize = 64;
/// The rest after a page, as a multiple of the time that the page took.
const REST_FACTOR: u32 = 2;
/// The pause after a failure.
const RETRY_DELAY: Duration = Duration::from_secs(10);
/// How often a page that can't be read is tried in a pass.
const PAGE_ATTEMPTS: u32 = 3;

/// The task, one for a store.
pub struct Lifecycle {
    metadata: Metadata,
    usage: Arc<Usage>,
    clock: Arc<dyn Clock>,
    days: Days,
    time: Mutex<Time>,
    pass: tokio::sync::Mutex<Pass>,
    progress: Mutex<Progress>,
}

/// How far a pass has come.
#[derive(Default)]
struct Pass {
    left: VecDeque<Underway>,
    /// Whether a pass is under way, for which the buckets with rules were listed.
    is_begun: bool,
}

/// A bucket with rules, and how far a pass has come in it.
struct Underway {
    bucket: BucketRecord,
    /// `None` before its rules are read.
    at: Option<At>,
    /// How often the page that comes next could not be read in this pass.
    failures: u32,
}

/// Until when a page is put off that can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PutOff {
    UntilOthersAreDone,
    UntilNextPass,
}

impl Pass {
    /// A page of a bucket can't be read: the other buckets go first, then it is tried again. A page that fails again and
    /// again is left out, and all behind it of its kind, since only it says where the next one begins.
    fn put_off(&mut self, underway: Underway) -> PutOff {
        let Underway { bucket, at, failures } = underway;
        let failures = failures + 1;
        if failures < PAGE_ATTEMPTS {
            self.left.push_back(Underway { bucket, at, failures });
            return PutOff::UntilOthersAreDone;
        }
        let behind = at.and_then(|at| Some(At { stage: at.stage.behind(&bucket)?, ..at }));
        if let Some(at) = behind {
            self.left.push_front(Underway { bucket, at: Some(at), failures: 0 });
        }
        PutOff::UntilNextPass
    }
}

#[derive(Clone)]
struct At {
    rules: Arc<Rules>,
    /// The bucket's notification rules, by which changes are reported.
    told: Arc<stratum_events::Rules>,
    stage: Stage,
}

/// Which of a bucket's entries are being gone over, and from where.
#[derive(Clone)]
enum Stage {
    Objects(Walk),
    Versions(VersionPosition, Lately),
    Uploads(UploadPosition),
}

/// The version that was looked at last, which is the next newer one of the next version if their keys are the same.
#[derive(Clone, Default)]
struct Lately {
    key: Vec<u8>,
    modified: UnixMillis,
    /// How many noncurrent versions of the key were seen so far, without delete markers.
    noncurrent: u32,
    /// A delete marker that is its key's newest version, as long as no other version of that key was seen.
    marker: Option<(VersionId, UnixMillis)>,
}

/// What is to be done, and with what.
enum Action {
    Expire { key: Vec<u8>, object: Box<ObjectRecord> },
    Delete { key: Vec<u8>, version: VersionId, condition: WriteCondition },
    Transition { key: Vec<u8>, object: Box<ObjectRecord>, class: StorageClass },
    Abort { key: Vec<u8>, upload: UploadId },
}

impl Lifecycle {
    pub fn new(metadata: Metadata, usage: Arc<Usage>, clock: Arc<dyn Clock>, days: Days) -> Lifecycle {
        let time = Mutex::new(Time::new(clock.clone()));
        Lifecycle {
            metadata,
            usage,
            clock,
            days,
            time,
            pass: Default::default(),
            progress: Default::default(),
        }
    }

    pub fn status(&self) -> LifecycleStatus {
        self.progress.lock().status.clone()
    }

    /// What an operator should know or do.
    pub fn notes(&self) -> Vec<String> {
        self.status().notes(self.time.lock().now(), self.days)
    }

    async fn walk_on(&self) -> Result<Next, ReadError> {
        let now = self.time.lock().now();
        // The clock can't be believed now.
        if now == 0 {
            return Ok(Next::After(self.days.interval()));
        }
        let mut pass = self.pass.lock().await;
        if !pass.is_begun {
            let with = self.metadata.local().buckets_with(DocumentKind::Lifecycle).await?;
            let left = with.into_iter().map(|bucket| Underway { bucket, at: None, failures: 0 }).collect();
            *pass = Pass { left, is_begun: true };
            self.progress.lock().begin(now);
        }
        let Some(mut underway) = pass.left.pop_front() else {
            pass.is_begun = false;
            self.progress.lock().end(now);
            return Ok(Next::After(self.days.interval()));
        };
        let began = self.clock.monotonic();
        match self.go_on(&underway, now).await {
            Ok(at) => {
                if at.is_some() {
                    (underway.at, underway.failures) = (at, 0);
                    pass.left.push_front(underway);
                }
                Ok(Next::After(self.clock.monotonic().saturating_sub(began) * REST_FACTOR))
            }
            // Nothing can be read now, of no bucket.
            Err(error @ ReadError::Unavailable(_)) => {
                pass.left.push_front(underway);
                Err(error)
            }
            Err(error) => {
                let bucket = underway.bucket.name.clone();
                tracing::warn!(bucket, %error, "lifecycle can't read a page of a bucket; it goes on from there later");
                if pass.put_off(underway) == PutOff::UntilNextPass {
                    self.progress.lock().left_out(&bucket, error.to_string());
                }
                Ok(Next::After(RETRY_DELAY))
            }
        }
    }

    /// Reads a bucket's rules, or does a page of it; returns where the bucket goes on, or `None` at its end.
    async fn go_on(&self, underway: &Underway, now: UnixMillis) -> Result<Option<At>, ReadError> {
        match &underway.at {
            None => self.begin(&underway.bucket),
            Some(at) => self.page(&underway.bucket, at.clone(), now).await,
        }
    }

    fn begin(&self, bucket: &BucketRecord) -> Result<Option<At>, ReadError> {
        let Some(text) = self.metadata.local().document(bucket.id, DocumentKind::Lifecycle)? else {
            return Ok(None);
        };
        match Rules::from_document(&text) {
            Ok(rules) if rules.enabled().next().is_some() => {
                let stage = Stage::Objects(Walk::under(bucket.id, rules.common_prefix()));
                let told = Arc::new(self.told(bucket)?);
                self.progress.lock().bucket();
                Ok(Some(At { rules: Arc::new(rules), told, stage }))
            }
            Ok(_) => Ok(None),
            Err(error) => {
                tracing::warn!(bucket = bucket.name, %error, "the lifecycle of a bucket can't be read: nothing of it is done");
                self.progress.lock().unreadable(&bucket.name);
                Ok(None)
            }
        }
    }

    /// The bucket's notification rules. If they can't be read what is due is done all the same, and nobody is notified.
    fn told(&self, bucket: &BucketRecord) -> Result<stratum_events::Rules, ReadError> {
        let Some(text) = self.metadata.local().document(bucket.id, DocumentKind::Notification)? else {
            return Ok(stratum_events::Rules::default());
        };
        Ok(stratum_events::Rules::from_document(&text).unwrap_or_else(|error| {
            tracing::warn!(bucket = bucket.name, %error, "the notifications of a bucket can't be read: nobody is notified of what its lifecycle does");
            self.progress.lock().untold(&bucket.name);
            stratum_events::Rules::default()
        }))
    }

    async fn page(&self, bucket: &BucketRecord, at: At, now: UnixMillis) -> Result<Option<At>, ReadError> {
        let At { rules, told, stage } = at;
        let (actions, next) = match stage {
            Stage::Objects(walk) => self.objects(bucket, &rules, walk, now).await?,
            Stage::Versions(from, lately) => self.versions(bucket, &rules, from, lately, now).await?,
            Stage::Uploads(from) => self.uploads(bucket, &rules, from, now).await?,
        };
        let done = stream::iter(actions)
            .map(|action| self.act(bucket, &told, action, now))
            .buffer_unordered(COMMANDS_AT_ONCE);
        done.collect::<Vec<()>>().await;
        Ok(next.map(|stage| At { rules, told, stage }))
    }

    async fn objects(
        &self,
        bucket: &BucketRecord,
        rules: &Rules,
        mut walk: Walk,
        now: UnixMillis,
    ) -> Result<(Vec<Action>, Option<Stage>), ReadError> {
        let view = self.metadata.local();
        let read = blocking::spawn(move || view.walk(&mut walk).map(|page| (page, walk)));
        let (page, walk) = read.await.map_err(|error| ReadError::Unavailable(error.to_string()))??;
        let judge = |walked: stratum_metadata::Walked| {
            let (key, object) = (walked.key, Box::new(walked.record));
            match rules.of_current(Current { key: &key, object: &object }, now, self.days) {
                Verdict::Expire => Some(Action::Expire { key, object }),
                Verdict::Transition(class) => Some(Action::Transition { key, object, class }),
                Verdict::Keep | Verdict::Delete => None,
            }
        };
        let actions = page.objects.into_iter().filter_map(judge).collect();
        let stage = Stage::Objects(walk);
        let next = if page.is_last { stage.behind(bucket) } else { Some(stage) };
        Ok((actions, next))
    }

    async fn versions(
        &self,
        bucket: &BucketRecord,
        rules: &Rules,
        from: VersionPosition,
        mut lately: Lately,
        now: UnixMillis,
    ) -> Result<(Vec<Action>, Option<Stage>), ReadError> {
        let request = VersionsRequest {
            bucket: bucket.id,
            prefix: rules.common_prefix().to_vec(),
            delimiter: None,
            from,
            max: PAGE_ENTRIES,
            owners: false,
        };
        let view = self.metadata.local();
        let page = view.versions(request).await?;
        let mut actions = Vec::new();
        for line in page.entries {
            let Listed::Entry(listed) = line else { continue };
            if listed.key != lately.key {
                actions.extend(self.alone(rules, &lately, now));
                lately = Lately { key: listed.key.clone(), ..Lately::default() };
            }
            actions.extend(self.version(bucket, rules, listed, &mut lately, now)?);
        }
        let next = match page.next {
            Some(next) => Stage::Versions(next, lately),
            None => {
                actions.extend(self.alone(rules, &lately, now));
                Stage::Uploads(UploadPosition::default())
            }
        };
        Ok((actions, Some(next)))
    }

    /// The deletion of a delete marker, if a rule asks for it and no other version of its key was seen.
    fn alone(&self, rules: &Rules, lately: &Lately, now: UnixMillis) -> Option<Action> {
        let (version, modified) = lately.marker?;
        let marker = DeleteMarker { key: &lately.key, modified, is_alone: true };
        (rules.of_delete_marker(marker, now, self.days) == Verdict::Delete).then(|| Action::Delete {
            key: lately.key.clone(),
            version,
            condition: WriteCondition { if_modified_at: Some(modified / 1_000), ..WriteCondition::default() },
        })
    }

    fn version(
        &self,
        bucket: &BucketRecord,
        rules: &Rules,
        listed: ListedVersion,
        lately: &mut Lately,
        now: UnixMillis,
    ) -> Result<Option<Action>, ReadError> {
        let ListedVersion { key, is_latest, version, .. } = listed;
        let since = std::mem::replace(&mut lately.modified, modified(&version));
        if is_latest {
            if let VersionSummary::DeleteMarker(marker) = &version {
                lately.marker = Some((marker.version, marker.modified));
            }
            return Ok(None);
        }
        lately.marker = None;
        let newer = lately.noncurrent;
        let VersionSummary::Object(summary) = version else { return Ok(None) };
        lately.noncurrent += 1;
        // The listing doesn't have the version's tags.
        let found = self.metadata.local().version(bucket.id, &key, summary.version)?;
        let Some(Version::Object(object)) =
            found.filter(|found| !found.is_current).map(|found| found.version)
        else {
            return Ok(None);
        };
        let noncurrent = Noncurrent { key: &key, object: &object, since, newer };
        Ok(match rules.of_noncurrent(noncurrent, now, self.days) {
            Verdict::Delete => {
                let (version, condition) = (object.version, unchanged(&object));
                Some(Action::Delete { key, version, condition })
            }
            Verdict::Transition(class) => Some(Action::Transition { key, object, class }),
            Verdict::Keep | Verdict::Expire => None,
        })
    }

    async fn uploads(
        &self,
        bucket: &BucketRecord,
        rules: &Rules,
        from: UploadPosition,
        now: UnixMillis,
    ) -> Result<(Vec<Action>, Option<Stage>), ReadError> {
        let request = UploadsRequest {
            bucket: bucket.id,
            prefix: rules.common_prefix().to_vec(),
            delimiter: None,
            from,
            max: PAGE_ENTRIES,
        };
        let page = self.metadata.local().uploads(request).await?;
        let abort = |line| match line {
            Listed::Entry(listed) => {
                let stratum_metadata::listing::ListedUpload { key, upload, record } = listed;
                let is_due = rules.aborts(&key, record.initiated, now, self.days);
                is_due.then_some(Action::Abort { key, upload })
            }
            Listed::CommonPrefix(_) => None,
        };
        let actions = page.entries.into_iter().filter_map(abort).collect();
        Ok((actions, page.next.map(Stage::Uploads)))
    }

    fn count(&self) {
        let LifecycleStatus { expired, deleted, transitioned, aborted, .. } = self.status();
        for (action, count) in
            [("expire", expired), ("delete", deleted), ("transition", transitioned), ("abort", aborted)]
        {
            metrics::counter!("stratum_lifecycle_actions_total", "action" => action).absolute(count);
        }
    }
}

impl Stage {
    /// What comes when this is done.
    fn behind(&self, bucket: &BucketRecord) -> Option<Stage> {
        match self {
            Stage::Objects(_) if bucket.configuration.versioning.is_some() => {
                Some(Stage::Versions(VersionPosition::Start, Lately::default()))
            }
            Stage::Objects(_) | Stage::Versions(..) => Some(Stage::Uploads(UploadPosition::default())),
            Stage::Uploads(_) => None,
        }
    }
}

impl Task for Lifecycle {
    fn row(&self) -> Row {
        Row {
            name: "lifecycle",
            role: Role::Leader,
            class: None,
            executor: Executor::Runtime,
            delay: Duration::ZERO,
        }
    }

    fn step<'a>(&'a self, _: &'a Stop) -> Work<'a, Next> {
        Box::pin(async {
            self.walk_on().await.unwrap_or_else(|error| {
                tracing::warn!(%error, "lifecycle can't go on; it is tried again");
                Next::After(RETRY_DELAY)
            })
        })
    }
}

fn modified(version: &VersionSummary) -> UnixMillis {
    match version {
        VersionSummary::Object(object) => object.modified,
        VersionSummary::DeleteMarker(marker) => marker.modified,
    }
}

/// The condition that a version is the one that was looked at: the id of a null version doesn't tell, since a later
/// object can have the same.
fn unchanged(object: &ObjectRecord) -> WriteCondition {
    WriteCondition {
        if_match: Some(Match::ETags(vec![object.etag.to_string()])),
        if_modified_at: Some(object.modified / 1_000),
        if_size: Some(object.size),
        ..WriteCondition::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_metadata::record::BucketId;

    fn underway(name: &str, stage: Option<Stage>) -> Underway {
        let bucket = BucketRecord {
            id: BucketId(1),
            name: name.into(),
            owner: "owner".into(),
            created: 0,
            region: "us-east-1".into(),
            configuration: Default::default(),
        };
        let at = stage.map(|stage| At { rules: Arc::default(), told: Arc::default(), stage });
        Underway { bucket, at, failures: 0 }
    }

    /// Fails the bucket that is next; says which that was.
    fn fail(pass: &mut Pass) -> (String, PutOff) {
        let next = pass.left.pop_front().unwrap();
        (next.bucket.name.clone(), pass.put_off(next))
    }

    #[test]
    fn a_page_that_cannot_be_read_is_tried_after_the_other_buckets_and_then_left_out() {
        let objects = Stage::Objects(Walk::all());
        let left = [underway("bad", Some(objects)), underway("good", None)].into();
        let mut pass = Pass { left, is_begun: true };
        assert_eq!(fail(&mut pass), ("bad".into(), PutOff::UntilOthersAreDone));
        let next = pass.left.pop_front().unwrap();
        assert_eq!(next.bucket.name, "good");
        let at = pass.left[0].at.as_ref();
        assert!(matches!(at, Some(At { stage: Stage::Objects(_), .. })), "from the page that failed");
        assert_eq!(fail(&mut pass).1, PutOff::UntilOthersAreDone);
        assert_eq!(fail(&mut pass).1, PutOff::UntilNextPass);
        // What is not behind that page is gone over all the same, with as many tries.
        let at = pass.left[0].at.as_ref();
        assert!(matches!(at, Some(At { stage: Stage::Uploads(_), .. })));
        let outcomes = [(); PAGE_ATTEMPTS as usize].map(|()| fail(&mut pass).1);
        assert_eq!(outcomes.last(), Some(&PutOff::UntilNextPass));
        assert!(pass.left.is_empty());
    }
}
