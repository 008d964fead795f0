//! Reads a page of a bucket and finds what is due on it.
//!
//! A bucket may have a thousand rules, each with ten tags, and a page a thousand objects: comparing them all takes long
//! enough to hold up requests. So all of it is done on the threads for long scans, at their low priority.

use super::{Action, Lately, Stage, unchanged};
use std::sync::Arc;
use stratum_lifecycle::{Current, Days, DeleteMarker, Noncurrent, Rules, Verdict};
use stratum_metadata::command::WriteCondition;
use stratum_metadata::listing::{
    Listed, ListedUpload, ListedVersion, UploadPosition, UploadsRequest, VersionPosition, VersionsRequest,
};
use stratum_metadata::record::{BucketId, BucketRecord, Version, VersionSummary};
use stratum_metadata::{ReadError, ReadView, Walk, Walked};
use stratum_storage::ambient::UnixMillis;

/// Versions or uploads that are looked at in one step.
const PAGE_ENTRIES: usize = 1_000;

/// What is due on a page, and where the bucket goes on; `None` at its end.
type Judged = (Vec<Action>, Option<Stage>);

/// The rules of a bucket, and the time by which they are followed.
pub(super) struct Judge {
    pub(super) rules: Arc<Rules>,
    pub(super) now: UnixMillis,
    pub(super) days: Days,
}

impl Judge {
    pub(super) async fn page(
        self,
        view: &ReadView,
        bucket: &BucketRecord,
        stage: Stage,
    ) -> Result<Judged, ReadError> {
        let next = stage.behind();
        match stage {
            Stage::Objects(walk) => self.objects(view, walk, next).await,
            // Without versioning all versions are current objects, which have been gone over.
            Stage::Versions(..) if bucket.configuration.versioning.is_none() => Ok((Vec::new(), next)),
            Stage::Versions(from, lately) => self.versions(view, bucket.id, from, lately, next).await,
            Stage::Uploads(from) => self.uploads(view, bucket.id, from).await,
        }
    }

    async fn objects(
        self,
        view: &ReadView,
        mut walk: Walk,
        behind: Option<Stage>,
    ) -> Result<Judged, ReadError> {
        view.scanning(move |view| {
            let page = view.walk(&mut walk)?;
            let actions = page.objects.into_iter().filter_map(|walked| self.object(walked)).collect();
            Ok((actions, if page.is_last { behind } else { Some(Stage::Objects(walk)) }))
        })
        .await
    }

    fn object(&self, walked: Walked) -> Option<Action> {
        let (key, object) = (walked.key, Box::new(walked.record));
        match self.rules.of_current(Current { key: &key, object: &object }, self.now, self.days) {
            Verdict::Expire => Some(Action::Expire { key, object }),
            Verdict::Transition(class) => Some(Action::Transition { key, object, class }),
            Verdict::Keep | Verdict::Delete => None,
        }
    }

    async fn versions(
        self,
        view: &ReadView,
        bucket: BucketId,
        from: VersionPosition,
        mut lately: Lately,
        behind: Option<Stage>,
    ) -> Result<Judged, ReadError> {
        let prefix = self.rules.common_prefix().to_vec();
        let request =
            VersionsRequest { bucket, prefix, delimiter: None, from, max: PAGE_ENTRIES, owners: false };
        let page = view.versions(request).await?;
        view.scanning(move |view| {
            let mut actions = Vec::new();
            for line in page.entries {
                let Listed::Entry(listed) = line else { continue };
                if listed.key != lately.key {
                    actions.extend(self.alone(&lately));
                    lately = Lately { key: listed.key.clone(), ..Lately::default() };
                }
                actions.extend(self.version(view, bucket, listed, &mut lately)?);
            }
            Ok(match page.next {
                Some(next) => (actions, Some(Stage::Versions(next, lately))),
                None => {
                    actions.extend(self.alone(&lately));
                    (actions, behind)
                }
            })
        })
        .await
    }

    /// The deletion of a delete marker, if a rule asks for it and no other version of its key was seen.
    fn alone(&self, lately: &Lately) -> Option<Action> {
        let (version, modified) = lately.marker?;
        let marker = DeleteMarker { key: &lately.key, modified, is_alone: true };
        let is_due = self.rules.of_delete_marker(marker, self.now, self.days) == Verdict::Delete;
        is_due.then(|| Action::Delete {
            key: lately.key.clone(),
            version,
            condition: WriteCondition { if_modified_at: Some(modified / 1_000), ..WriteCondition::default() },
        })
    }

    fn version(
        &self,
        view: &ReadView,
        bucket: BucketId,
        listed: ListedVersion,
        lately: &mut Lately,
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
        let found = view.version(bucket, &key, summary.version)?;
        let Some(Version::Object(object)) =
            found.filter(|found| !found.is_current).map(|found| found.version)
        else {
            return Ok(None);
        };
        let noncurrent = Noncurrent { key: &key, object: &object, since, newer };
        Ok(match self.rules.of_noncurrent(noncurrent, self.now, self.days) {
            Verdict::Delete => {
                let (version, condition) = (object.version, unchanged(&object));
                Some(Action::Delete { key, version, condition })
            }
            Verdict::Transition(class) => Some(Action::Transition { key, object, class }),
            Verdict::Keep | Verdict::Expire => None,
        })
    }

    async fn uploads(
        self,
        view: &ReadView,
        bucket: BucketId,
        from: UploadPosition,
    ) -> Result<Judged, ReadError> {
        let prefix = self.rules.common_prefix().to_vec();
        let request = UploadsRequest { bucket, prefix, delimiter: None, from, max: PAGE_ENTRIES };
        let page = view.uploads(request).await?;
        view.scanning(move |_| {
            let abort = |line| match line {
                Listed::Entry(ListedUpload { key, upload, record }) => {
                    let is_due = self.rules.aborts(&key, record.initiated, self.now, self.days);
                    is_due.then_some(Action::Abort { key, upload })
                }
                Listed::CommonPrefix(_) => None,
            };
            Ok((page.entries.into_iter().filter_map(abort).collect(), page.next.map(Stage::Uploads)))
        })
        .await
    }
}

fn modified(version: &VersionSummary) -> UnixMillis {
    match version {
        VersionSummary::Object(object) => object.modified,
        VersionSummary::DeleteMarker(marker) => marker.modified,
    }
}
