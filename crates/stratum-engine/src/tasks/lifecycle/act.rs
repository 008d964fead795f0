//! Does what is due, each time by a command on the condition that neither what it is about has changed since the look
//! nor the rules.

use super::progress::Done;
use super::{Action, Lifecycle, unchanged};
use bytes::Bytes;
use stratum_metadata::command::{
    Command, Deletion, LifecycleAction, Outcome, Pinning, Proposed, Refusal, TierChange, TierCondition,
};
use stratum_metadata::declared::Declared;
use stratum_metadata::record::{
    BucketRecord, EventKind, Happening, Notice, ObjectRecord, StorageClass, TierDecision, TierReason,
    VersionId,
};
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::Index;

/// In which bucket, by which rules and when something is done.
#[derive(Clone, Copy)]
pub(super) struct Turn<'a> {
    pub(super) bucket: &'a BucketRecord,
    /// The entry that put the lifecycle that is followed: if the bucket has another by then, nothing is done.
    pub(super) put: Index,
    /// The bucket's notification rules.
    pub(super) told: &'a stratum_events::Rules,
    pub(super) now: UnixMillis,
}

impl Lifecycle {
    /// Does the action, if what was looked at is still there. What fails is due again in the next pass.
    pub(super) async fn act(&self, turn: Turn<'_>, action: Action) {
        let (bucket, now) = (turn.bucket.id, turn.now);
        let done = match action {
            Action::Transition { key, object, class } => self.transition(turn, key, &object, class).await,
            Action::Abort { key, upload } => {
                let action = LifecycleAction::AbortUpload { bucket, key, upload };
                self.follow(turn, action, None, Done::Aborted).await
            }
            Action::Expire { key, object } => self.expire(turn, key, &object).await,
            Action::Delete { key, version, condition } => {
                let notice = turn.notice(&key, Some(version), &[EventKind::LifecycleExpirationDelete]);
                let deletion =
                    Deletion { version: Some(version), condition, ..Deletion::of(bucket, key, now) };
                self.follow(turn, LifecycleAction::Delete(deletion), notice, Done::Deleted).await
            }
        };
        self.progress.lock().add(done);
        self.count();
    }

    /// Deletes the current object, or puts a delete marker over it.
    async fn expire(&self, turn: Turn<'_>, key: Vec<u8>, object: &ObjectRecord) -> Done {
        let bucket = turn.bucket.id;
        let deletion =
            Deletion { condition: unchanged(object), ..Deletion::of(bucket, key.clone(), turn.now) };
        let kinds = [EventKind::LifecycleExpirationDelete, EventKind::LifecycleExpirationDeleteMarkerCreated];
        let notice = turn.notice(&key, None, &kinds);
        let done = self.follow(turn, LifecycleAction::Delete(deletion), notice, Done::Expired).await;
        if matches!(done, Done::Expired) {
            self.usage.remove(bucket.0, &String::from_utf8_lossy(&key));
        }
        done
    }

    /// The class is changed first. If the second command fails, the next review of the object moves it to its class's
    /// tier.
    async fn transition(
        &self,
        turn: Turn<'_>,
        key: Vec<u8>,
        object: &ObjectRecord,
        class: StorageClass,
    ) -> Done {
        let (bucket, now) = (turn.bucket.id, turn.now);
        let (version, modified) = (object.version, object.modified);
        let notice = turn.notice(&key, Some(version), &[EventKind::LifecycleTransition]);
        let action = LifecycleAction::Transition { bucket, key: key.clone(), version, class, modified };
        let done = self.follow(turn, action, notice, Done::Transitioned).await;
        let Done::Transitioned = done else { return done };
        if let Some((tier, _)) = Declared::of(&object.headers, class).tier(now) {
            let decided = object.attributes.tiering.last().map(|decision| decision.since);
            let change = TierChange {
                bucket,
                key,
                version,
                committed: object.committed,
                condition: TierCondition::Unchanged { modified, decided },
                decision: Some(TierDecision::new(tier, now, TierReason::Lifecycle)),
                pinning: Pinning::Leave,
                review: Some(now),
            };
            self.commit(turn, Command::DecideTiers(vec![change]), Done::Transitioned).await;
        }
        done
    }

    async fn follow(
        &self,
        turn: Turn<'_>,
        action: LifecycleAction,
        notice: Option<Box<Notice>>,
        done: Done,
    ) -> Done {
        let command = Command::FollowLifecycle { put: turn.put, action };
        self.commit(turn, Proposed::telling(command, notice), done).await
    }

    async fn commit(&self, turn: Turn<'_>, proposed: impl Into<Proposed>, done: Done) -> Done {
        match self.metadata.commit(proposed, Bytes::new()).await {
            Ok(Outcome::Refused(refusal)) => refused(&refusal),
            Ok(_) => done,
            Err(error) => {
                let bucket = &turn.bucket.name;
                tracing::debug!(bucket, %error, "a rule was not carried out; it is tried again");
                Done::Failed(error.to_string())
            }
        }
    }
}

impl Turn<'_> {
    /// The notice for a change that no request asked for.
    fn notice(&self, key: &[u8], version: Option<VersionId>, kinds: &[EventKind]) -> Option<Box<Notice>> {
        let to = self.told.addressees(kinds, key);
        if to.is_empty() {
            return None;
        }
        let about = Happening {
            bucket: self.bucket.name.clone(),
            owner: self.bucket.owner.clone(),
            region: self.bucket.region.clone(),
            key: key.to_vec(),
            version,
            time: self.now,
            by: "s3.amazonaws.com".into(),
            source: "s3.amazonaws.com".into(),
            request: String::new(),
        };
        Some(Box::new(Notice { to, about }))
    }
}

/// What a refusal means for something that was due.
fn refused(refusal: &Refusal) -> Done {
    match refusal {
        Refusal::Locked => Done::Locked,
        Refusal::PreconditionFailed(_)
        | Refusal::LifecycleChanged
        | Refusal::NoSuchBucket
        | Refusal::NoSuchKey
        | Refusal::NoSuchVersion
        | Refusal::NoSuchUpload => Done::Changed,
        other => Done::Failed(other.to_string()),
    }
}
