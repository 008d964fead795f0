//! What buckets hold to which a quota applies: how it is read, and the task that has it counted.
//!
//! `apply` keeps each count (`state/usage.rs`). The task proposes what the quotas need: the next page of a count or
//! of a user's total that isn't complete, a count for each bucket of a user with a quota, and the end of counts that
//! no quota needs any more. A count is begun and ended by the very command that sets and removes a bucket's quota, so
//! whoever proposes that command looks first whether it is still right, and meanwhile nobody else proposes it
//! (`Metadata::quota_turn`): a quota that an operator sets would be lost otherwise.

use crate::command::{Command, Outcome, QuotaOf};
use crate::keys::{self, Tag};
use crate::machine::ReadError;
use crate::record::{BucketId, BucketUsage, Counted, Level, Quota, SummedBelow, UserTotal, decode};
use crate::store::{Metadata, ReadView};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;
use stratum_storage::task::{Executor, Next, Role, Row, Stop, Task, Work};
use tracing_mutex::parkinglot::Mutex;

/// The first level that can have quotas.
pub const QUOTAS_SINCE: Level = Level::SECOND;

/// The pause between two looks for something to count.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// The pause between two pages, so that requests come first.
const PAGE_PAUSE: Duration = Duration::from_millis(2);
/// How many commands the request that sets a quota waits for, so that what it bounds is counted.
const COMMANDS_AT_ONCE: usize = 64;
/// How many of an owner's buckets are looked at together.
const BUCKETS_A_LOOK: usize = 256;

/// What all buckets of a user hold together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserUsage {
    pub bytes: u64,
    pub objects: u64,
    /// Whether everything has been counted and counts for the quota; if not, the figures are too low.
    pub is_whole: bool,
}

impl ReadView {
    /// A bucket's usage, if it is counted.
    pub fn usage(&self, bucket: BucketId) -> Result<Option<BucketUsage>, ReadError> {
        self.get(&keys::bucket_usage(bucket))
    }

    /// The quota for all buckets of an owner together.
    pub fn user_quota(&self, owner: &str) -> Result<Option<Quota>, ReadError> {
        self.get(&keys::user_quota(owner))
    }

    /// The total of an owner's counted buckets, as the state keeps it; `None` without a quota.
    pub fn user_total(&self, owner: &str) -> Result<Option<UserTotal>, ReadError> {
        self.get(&keys::user_total(owner))
    }

    /// Whether all buckets of an owner have been added to the total.
    fn is_summed(&self, owner: &str) -> Result<bool, ReadError> {
        let below: Option<SummedBelow> = self.get(&keys::user_summed(owner))?;
        Ok(below.is_none() && self.user_total(owner)?.is_some())
    }

    /// All buckets that are counted.
    pub async fn usages(&self) -> Result<Vec<(BucketId, BucketUsage)>, ReadError> {
        self.scanning(|view| view.pairs(Tag::BucketUsage, keys::parse_bucket_by_id)).await
    }

    /// All users with a quota.
    pub async fn user_quotas(&self) -> Result<BTreeMap<String, Quota>, ReadError> {
        self.scanning(|view| Ok(view.pairs(Tag::UserQuota, keys::parse_name)?.into_iter().collect())).await
    }

    /// What all buckets of an owner with a quota hold together, by their counts.
    pub async fn usage_of(&self, owner: &str) -> Result<UserUsage, ReadError> {
        let mut all = UserUsage { is_whole: self.is_summed(owner)?, ..UserUsage::default() };
        let mut after = String::new();
        loop {
            let buckets = self.buckets_of(owner, "", &after, BUCKETS_A_LOOK).await?;
            for bucket in &buckets {
                let Some(usage) = self.usage(bucket.id)? else {
                    all.is_whole = false;
                    continue;
                };
                all.bytes = all.bytes.saturating_add(usage.bytes);
                all.objects = all.objects.saturating_add(usage.objects);
                all.is_whole &= usage.counted == Counted::All;
            }
            match buckets.last().filter(|_| buckets.len() == BUCKETS_A_LOOK) {
                Some(last) => after.clone_from(&last.name),
                None => return Ok(all),
            }
        }
    }

    /// All records of a kind, with what their keys say.
    pub(crate) fn pairs<K, T: crate::record::Migrate>(
        &self,
        tag: Tag,
        parse: impl Fn(&[u8]) -> Option<K>,
    ) -> Result<Vec<(K, T)>, ReadError> {
        let (mut pairs, mut failed) = (Vec::new(), None);
        self.scan(&keys::start_of(tag), &keys::end_of(tag), |key, value| match decode(value) {
            Ok(record) => {
                pairs.extend(parse(key).map(|key| (key, record)));
                ControlFlow::Continue(())
            }
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })?;
        failed.map_or(Ok(pairs), |error| Err(error.into()))
    }
}

/// Has buckets counted to which a quota applies; one for a store.
pub struct Counter {
    metadata: Metadata,
    settled: Mutex<Option<Settled>>,
}

/// What was there when every count had been begun that is needed, and every other ended. As long as it is the same, no
/// bucket needs to be looked at.
#[derive(PartialEq, Eq)]
struct Settled {
    bucket_changes: u64,
    users: Vec<String>,
    counted: Vec<BucketId>,
    /// The counted buckets that have no quota of their own.
    unbounded: Vec<BucketId>,
}

impl Counter {
    pub fn new(metadata: Metadata) -> Counter {
        Counter { metadata, settled: Mutex::new(None) }
    }

    /// Sets or removes a quota, as an operator asks for. A bucket that loses its own stays counted if its owner has one.
    ///
    /// # Errors
    /// When the store can't be read or written, in words.
    pub async fn change(&self, of: QuotaOf, quota: Option<Quota>) -> Result<Outcome, String> {
        let _turn = self.metadata.quota_turn().await;
        let quota = match &of {
            QuotaOf::Bucket(bucket) if quota.is_none() && self.is_owner_bounded(*bucket)? => {
                Some(Quota::default())
            }
            QuotaOf::Bucket(_) | QuotaOf::User(_) => quota,
        };
        self.propose(Command::SetQuota { of, quota }).await
    }

    /// Counts what a quota bounds that was just set, so that it is exact as soon as whoever set it is told. What takes more
    /// than [`COMMANDS_AT_ONCE`] commands is left to the task.
    ///
    /// This isn't done by the command that sets the quota: a replay of one that is older than this would count more than
    /// was counted then, and would refuse writes that were taken.
    ///
    /// # Errors
    /// When the store can't be read or written, in words.
    pub async fn count_at_once(&self, of: &QuotaOf) -> Result<(), String> {
        let buckets = match of {
            QuotaOf::Bucket(bucket) => vec![*bucket],
            QuotaOf::User(owner) => {
                let buckets = self.metadata.local().buckets_of(owner, "", "", COMMANDS_AT_ONCE).await;
                buckets.map_err(text)?.iter().map(|bucket| bucket.id).collect()
            }
        };
        let mut commands = 0;
        for bucket in buckets {
            while commands < COMMANDS_AT_ONCE {
                let is_counted = match self.metadata.local().usage(bucket).map_err(text)? {
                    Some(usage) if usage.counted == Counted::All => break,
                    Some(_) => is_done(&self.propose(Command::CountUsage { bucket }).await?),
                    None => matches!(of, QuotaOf::User(_)) && self.begin_count(bucket).await?,
                };
                // The bucket is gone, or its quota is.
                if !is_counted {
                    break;
                }
                commands += 1;
            }
        }
        Ok(())
    }

    /// Does one step: a page of the first count that isn't complete, else the start or end of a count.
    async fn step_once(&self) -> Result<Next, String> {
        if self.metadata.level() < QUOTAS_SINCE {
            return Ok(Next::After(POLL_INTERVAL));
        }
        let view = self.metadata.local();
        let bucket_changes = view.bucket_changes().map_err(text)?;
        let (usages, users) = (view.usages().await.map_err(text)?, view.user_quotas().await.map_err(text)?);
        let is_under_way = |usage: &BucketUsage| usage.counted != Counted::All;
        for owner in users.keys() {
            if !view.is_summed(owner).map_err(text)? {
                self.propose(Command::SumUsage { owner: owner.clone() }).await?;
                return Ok(Next::After(PAGE_PAUSE));
            }
        }
        if let Some((bucket, _)) = usages.iter().find(|(_, usage)| is_under_way(usage)) {
            self.propose(Command::CountUsage { bucket: *bucket }).await?;
            return Ok(Next::After(PAGE_PAUSE));
        }
        let unbounded = usages.iter().filter(|(_, usage)| usage.quota.is_unbounded());
        let now = Settled {
            bucket_changes,
            users: users.keys().cloned().collect(),
            counted: usages.iter().map(|(bucket, _)| *bucket).collect(),
            unbounded: unbounded.map(|(bucket, _)| *bucket).collect(),
        };
        if self.settled.lock().as_ref() != Some(&now) {
            // What is proposed here shows in the next look, which then finds nothing more to propose.
            self.settle(&view, &users, &now.unbounded).await?;
            *self.settled.lock() = Some(now);
        }
        Ok(Next::After(POLL_INTERVAL))
    }

    /// Begins the counts that are needed, and ends those of these buckets that aren't.
    pub(crate) async fn settle(
        &self,
        view: &ReadView,
        users: &BTreeMap<String, Quota>,
        unbounded: &[BucketId],
    ) -> Result<(), String> {
        for owner in users.keys() {
            self.begin(view, owner).await?;
        }
        for bucket in unbounded {
            self.end_count(*bucket).await?;
        }
        Ok(())
    }

    /// Begins the counts of an owner's buckets that have none.
    async fn begin(&self, view: &ReadView, owner: &str) -> Result<(), String> {
        let mut after = String::new();
        loop {
            let buckets = view.buckets_of(owner, "", &after, BUCKETS_A_LOOK).await.map_err(text)?;
            for bucket in &buckets {
                if view.usage(bucket.id).map_err(text)?.is_none() {
                    self.begin_count(bucket.id).await?;
                }
            }
            match buckets.last().filter(|_| buckets.len() == BUCKETS_A_LOOK) {
                Some(last) => after.clone_from(&last.name),
                None => return Ok(()),
            }
        }
    }

    /// Begins the count of a bucket if it still has none. Returns whether it has one then.
    async fn begin_count(&self, bucket: BucketId) -> Result<bool, String> {
        let _turn = self.metadata.quota_turn().await;
        if self.metadata.local().usage(bucket).map_err(text)?.is_some() {
            return Ok(true);
        }
        let (of, quota) = (QuotaOf::Bucket(bucket), Some(Quota::default()));
        Ok(is_done(&self.propose(Command::SetQuota { of, quota }).await?))
    }

    /// Ends the count of a bucket if still no quota needs it.
    async fn end_count(&self, bucket: BucketId) -> Result<(), String> {
        let _turn = self.metadata.quota_turn().await;
        let usage = self.metadata.local().usage(bucket).map_err(text)?;
        if usage.is_some_and(|usage| usage.quota.is_unbounded()) && !self.is_owner_bounded(bucket)? {
            self.propose(Command::SetQuota { of: QuotaOf::Bucket(bucket), quota: None }).await?;
        }
        Ok(())
    }

    /// Whether there is a quota for all buckets together of a bucket's owner.
    fn is_owner_bounded(&self, bucket: BucketId) -> Result<bool, String> {
        let view = self.metadata.local();
        let Some(bucket) = view.bucket_summary(bucket).map_err(text)? else { return Ok(false) };
        Ok(view.user_quota(&bucket.owner).map_err(text)?.is_some())
    }

    async fn propose(&self, command: Command) -> Result<Outcome, String> {
        self.metadata.commit(command, Bytes::new()).await.map_err(text)
    }
}

impl Task for Counter {
    fn row(&self) -> Row {
        Row {
            name: "quotas",
            role: Role::Leader,
            class: None,
            executor: Executor::Runtime,
            delay: Duration::ZERO,
        }
    }

    fn step<'a>(&'a self, _: &'a Stop) -> Work<'a, Next> {
        Box::pin(async {
            self.step_once().await.unwrap_or_else(|problem| {
                tracing::warn!(problem, "buckets with a quota could not be counted; it is tried again");
                Next::After(POLL_INTERVAL)
            })
        })
    }
}

fn is_done(outcome: &Outcome) -> bool {
    !matches!(outcome, Outcome::Refused(_))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
