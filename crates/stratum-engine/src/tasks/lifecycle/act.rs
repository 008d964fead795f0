//! Does what is due, each time by a command on the condition that nothing has changed since the look.

use super::progress::Done;
use super::{Action, Lifecycle, unchanged};
use bytes::Bytes;
use stratum_metadata::command::{
    Command, Deletion, ObjectChange, Outcome, Pinning, Proposed, Refusal, TierChange, TierCondition,
};
use stratum_metadata::declared::Declared;
use stratum_metadata::record::{
    BucketRecord, EventKind, Happening, Notice, ObjectRecord, StorageClass, TierDecision, TierReason,
    VersionId,
};
use stratum_storage::ambient::UnixMillis;

impl Lifecycle {
    /// Does the action, if what was looked at is still there. What fails is due again in the next pass.
    pub(super) async fn act(
        &self,
        bucket: &BucketRecord,
        told: &stratum_events::Rules,
        action: Action,
        now: UnixMillis,
    ) {
        let done = match action {
            Action::Transition { key, object, class } => {
                self.transition(bucket, told, key, &object, class, now).await
            }
            Action::Abort { key, upload } => {
                let command = Command::AbortUpload { bucket: bucket.id, key, upload };
                self.commit(bucket, command, Done::Aborted).await
            }
            Action::Expire { key, object } => self.expire(bucket, told, key, &object, now).await,
            Action::Delete { key, version, condition } => {
                let kinds = [EventKind::LifecycleExpirationDelete];
                let notice = notice(bucket, told, &key, Some(version), &kinds, now);
                let deletion =
                    Deletion { version: Some(version), condition, ..Deletion::of(bucket.id, key, now) };
                let proposed = Proposed::telling(Command::DeleteObject(deletion), notice);
                self.commit(bucket, proposed, Done::Deleted).await
            }
        };
        self.progress.lock().add(done);
        self.count();
    }

    /// Deletes the current object, or puts a delete marker over it.
    async fn expire(
        &self,
        bucket: &BucketRecord,
        told: &stratum_events::Rules,
        key: Vec<u8>,
        object: &ObjectRecord,
        now: UnixMillis,
    ) -> Done {
        let deletion = Deletion { condition: unchanged(object), ..Deletion::of(bucket.id, key.clone(), now) };
        let kinds = [EventKind::LifecycleExpirationDelete, EventKind::LifecycleExpirationDeleteMarkerCreated];
        let notice = notice(bucket, told, &key, None, &kinds, now);
        let proposed = Proposed::telling(Command::DeleteObject(deletion), notice);
        let done = self.commit(bucket, proposed, Done::Expired).await;
        if matches!(done, Done::Expired) {
            self.usage.remove(bucket.id.0, &String::from_utf8_lossy(&key));
        }
        done
    }

    /// The class is changed first. If the second command fails, the next review of the object moves it to its class's
    /// tier.
    async fn transition(
        &self,
        bucket: &BucketRecord,
        told: &stratum_events::Rules,
        key: Vec<u8>,
        object: &ObjectRecord,
        class: StorageClass,
        now: UnixMillis,
    ) -> Done {
        let change = ObjectChange::StorageClass { class, modified: object.modified };
        let version = Some(object.version);
        let notice = notice(bucket, told, &key, version, &[EventKind::LifecycleTransition], now);
        let command = Command::ConfigureObject { bucket: bucket.id, key: key.clone(), version, change };
        let done = self.commit(bucket, Proposed::telling(command, notice), Done::Transitioned).await;
        let Done::Transitioned = done else { return done };
        if let Some((tier, _)) = Declared::of(&object.headers, class).tier(now) {
            let decided = object.attributes.tiering.last().map(|decision| decision.since);
            let change = TierChange {
                bucket: bucket.id,
                key,
                version: object.version,
                committed: object.committed,
                condition: TierCondition::Unchanged { modified: object.modified, decided },
                decision: Some(TierDecision::new(tier, now, TierReason::Lifecycle)),
                pinning: Pinning::Leave,
                review: Some(now),
            };
            self.commit(bucket, Command::DecideTiers(vec![change]), Done::Transitioned).await;
        }
        done
    }

    async fn commit(&self, bucket: &BucketRecord, proposed: impl Into<Proposed>, done: Done) -> Done {
        match self.metadata.commit(proposed, Bytes::new()).await {
            Ok(Outcome::Refused(refusal)) => refused(&refusal),
            Ok(_) => done,
            Err(error) => {
                tracing::debug!(bucket = bucket.name, %error, "a rule was not carried out; it is tried again");
                Done::Failed(error.to_string())
            }
        }
    }
}

/// What a refusal means for something that was due.
fn refused(refusal: &Refusal) -> Done {
    match refusal {
        Refusal::Locked => Done::Locked,
        Refusal::PreconditionFailed(_)
        | Refusal::NoSuchBucket
        | Refusal::NoSuchKey
        | Refusal::NoSuchVersion
        | Refusal::NoSuchUpload => Done::Changed,
        other => Done::Failed(other.to_string()),
    }
}

/// The notice for a change that no request asked for.
fn notice(
    bucket: &BucketRecord,
    told: &stratum_events::Rules,
    key: &[u8],
    version: Option<VersionId>,
    kinds: &[EventKind],
    time: UnixMillis,
) -> Option<Box<Notice>> {
    let to = told.addressees(kinds, key);
    if to.is_empty() {
        return None;
    }
    let about = Happening {
        bucket: bucket.name.clone(),
        owner: bucket.owner.clone(),
        region: bucket.region.clone(),
        key: key.to_vec(),
        version,
        time,
        by: "s3.amazonaws.com".into(),
        source: "s3.amazonaws.com".into(),
        request: String::new(),
    };
    Some(Box::new(Notice { to, about }))
}
