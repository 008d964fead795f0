//! Carries out buckets' lifecycle rules: what is due expires, is deleted for good, changes its class, or is aborted.
//!
//! Several times a day it goes over the buckets that have rules: a page of their objects, then of their versions,
//! then of their uploads, with a rest after each page. Every change is a command of its own, on the condition that
//! nothing has changed since the look, so what is written meanwhile is left alone, and a restart costs no more than
//! another pass. The rules are part of that condition: what a rule asked for that was removed or replaced since is not
//! done. Object lock is checked in the state, where every deletion passes.

mod act;
mod pages;
mod progress;

pub use progress::{LastPass, LifecycleStatus};

use act::Turn;
use futures_util::{StreamExt, stream};
use pages::Judge;
use progress::Progress;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use stratum_lifecycle::{Days, Rules};
use stratum_metadata::command::{Match, WriteCondition};
use stratum_metadata::listing::{UploadPosition, VersionPosition};
use stratum_metadata::record::{
    BucketId, BucketRecord, DocumentKind, ObjectRecord, StorageClass, UploadId, VersionId,
};
use stratum_metadata::{Metadata, ReadError, Time, Walk};
use stratum_storage::ambient::{Clock, UnixMillis};
use stratum_storage::blob::Index;
use stratum_storage::task::{Executor, Next, Role, Row, Stop, Task, Work};
use stratum_tiering::usage::Usage;
use tracing_mutex::parkinglot::Mutex;

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
    bucket: BucketId,
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
        let behind = at.and_then(|at| Some(At { stage: at.stage.behind()?, ..at }));
        if let Some(at) = behind {
            self.left.push_front(Underway { bucket, at: Some(at), failures: 0 });
        }
        PutOff::UntilNextPass
    }
}

#[derive(Clone)]
struct At {
    /// The entry that put the lifecycle with these rules.
    put: Index,
    rules: Arc<Rules>,
    told: Told,
    stage: Stage,
}

/// A bucket's notification rules, by which changes are reported.
#[derive(Clone, Default)]
struct Told {
    /// The entry that put them; `None` if there are none.
    put: Option<Index>,
    rules: Arc<stratum_events::Rules>,
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
                let bucket = self.name_of(underway.bucket);
                tracing::warn!(bucket, %error, "lifecycle can't read a page of a bucket; it goes on from there later");
                if pass.put_off(underway) == PutOff::UntilNextPass {
                    self.progress.lock().left_out(&bucket, error.to_string());
                }
                Ok(Next::After(RETRY_DELAY))
            }
        }
    }

    /// What people call a bucket, even if its record can't be read.
    fn name_of(&self, bucket: BucketId) -> String {
        let record = self.metadata.local().bucket_of(bucket).ok().flatten();
        record.map_or_else(|| format!("no. {}", bucket.0), |record| record.name)
    }

    /// Reads a bucket's rules, or does a page of it; returns where the bucket goes on, or `None` at its end. A bucket
    /// whose lifecycle has changed meanwhile has come to its end: the next pass follows the new rules.
    async fn go_on(&self, underway: &Underway, now: UnixMillis) -> Result<Option<At>, ReadError> {
        let Some(bucket) = self.metadata.local().bucket_of(underway.bucket)? else { return Ok(None) };
        let Some(put) = document_of(&bucket, DocumentKind::Lifecycle) else { return Ok(None) };
        match &underway.at {
            None => self.begin(&bucket, put),
            Some(at) if at.put != put => Ok(None),
            Some(at) => {
                let told = match document_of(&bucket, DocumentKind::Notification) == at.told.put {
                    true => at.told.clone(),
                    false => self.told(&bucket)?,
                };
                self.page(&bucket, At { told, ..at.clone() }, now).await
            }
        }
    }

    /// The record, which says that entry `put` put the lifecycle, was read before. If the document has been replaced
    /// since, every command that follows it is refused.
    fn begin(&self, bucket: &BucketRecord, put: Index) -> Result<Option<At>, ReadError> {
        let Some(text) = self.metadata.local().document(bucket.id, DocumentKind::Lifecycle)? else {
            return Ok(None);
        };
        match Rules::from_document(&text) {
            Ok(rules) if rules.enabled().next().is_some() => {
                let stage = Stage::Objects(Walk::under(bucket.id, rules.common_prefix()));
                let told = self.told(bucket)?;
                self.progress.lock().bucket();
                Ok(Some(At { put, rules: Arc::new(rules), told, stage }))
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
    fn told(&self, bucket: &BucketRecord) -> Result<Told, ReadError> {
        let put = document_of(bucket, DocumentKind::Notification);
        let Some(text) = self.metadata.local().document(bucket.id, DocumentKind::Notification)? else {
            return Ok(Told { put, ..Told::default() });
        };
        let rules = stratum_events::Rules::from_document(&text).unwrap_or_else(|error| {
            tracing::warn!(bucket = bucket.name, %error, "the notifications of a bucket can't be read: nobody is notified of what its lifecycle does");
            self.progress.lock().untold(&bucket.name);
            stratum_events::Rules::default()
        });
        Ok(Told { put, rules: Arc::new(rules) })
    }

    async fn page(&self, bucket: &BucketRecord, at: At, now: UnixMillis) -> Result<Option<At>, ReadError> {
        let At { put, rules, told, stage } = at;
        let judge = Judge { rules: rules.clone(), now, days: self.days };
        let (actions, next) = judge.page(&self.metadata.local(), bucket, stage).await?;
        let turn = Turn { bucket, put, told: &told.rules, now };
        let done =
            stream::iter(actions).map(|action| self.act(turn, action)).buffer_unordered(COMMANDS_AT_ONCE);
        done.collect::<Vec<()>>().await;
        Ok(next.map(|stage| At { put, rules, told, stage }))
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
    fn behind(&self) -> Option<Stage> {
        match self {
            Stage::Objects(_) => Some(Stage::Versions(VersionPosition::Start, Lately::default())),
            Stage::Versions(..) => Some(Stage::Uploads(UploadPosition::default())),
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

/// The entry that put a bucket's document of that kind.
fn document_of(bucket: &BucketRecord, kind: DocumentKind) -> Option<Index> {
    bucket.configuration.documents.get(&kind).copied()
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

    const BAD: BucketId = BucketId(1);
    const GOOD: BucketId = BucketId(2);

    fn underway(bucket: BucketId, stage: Option<Stage>) -> Underway {
        let at = stage.map(|stage| At { put: 7, rules: Arc::default(), told: Told::default(), stage });
        Underway { bucket, at, failures: 0 }
    }

    /// Fails the bucket that is next; says which that was.
    fn fail(pass: &mut Pass) -> (BucketId, PutOff) {
        let next = pass.left.pop_front().unwrap();
        (next.bucket, pass.put_off(next))
    }

    #[test]
    fn a_page_that_cannot_be_read_is_tried_after_the_other_buckets_and_then_left_out() {
        let objects = Stage::Objects(Walk::all());
        let left = [underway(BAD, Some(objects)), underway(GOOD, None)].into();
        let mut pass = Pass { left, is_begun: true };
        assert_eq!(fail(&mut pass), (BAD, PutOff::UntilOthersAreDone));
        let next = pass.left.pop_front().unwrap();
        assert_eq!(next.bucket, GOOD);
        let at = pass.left[0].at.as_ref();
        assert!(matches!(at, Some(At { stage: Stage::Objects(_), .. })), "from the page that failed");
        assert_eq!(fail(&mut pass).1, PutOff::UntilOthersAreDone);
        assert_eq!(fail(&mut pass).1, PutOff::UntilNextPass);
        // What is not behind that page is gone over all the same, with as many tries.
        for is_next in [
            |stage: &Stage| matches!(stage, Stage::Versions(..)),
            |stage: &Stage| matches!(stage, Stage::Uploads(_)),
        ] {
            assert!(pass.left[0].at.as_ref().is_some_and(|at| is_next(&at.stage)));
            let outcomes = [(); PAGE_ATTEMPTS as usize].map(|()| fail(&mut pass).1);
            assert_eq!(outcomes.last(), Some(&PutOff::UntilNextPass));
        }
        assert!(pass.left.is_empty());
    }
}
