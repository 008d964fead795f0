//! What buckets' notifications are made of: who is to be told of what a command does, and what waits to be told.
//!
//! A notice goes into the journal with its command, and `apply` makes an event of it as it carries the command out: either
//! both come to be, or neither. An event waits for its target until a command says that it was delivered.

use super::level::{Level, same_since};
use super::{ObjectRecord, VersionId};
use serde::{Deserialize, Serialize};
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::Index;

/// What happened, in S3's terms. New ones stand at the end: the number of a variant is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EventKind {
    ObjectCreatedPut,
    ObjectCreatedPost,
    ObjectCreatedCopy,
    ObjectCreatedCompleteMultipartUpload,
    ObjectRemovedDelete,
    ObjectRemovedDeleteMarkerCreated,
    ObjectTaggingPut,
    ObjectTaggingDelete,
    ObjectAclPut,
    LifecycleExpirationDelete,
    LifecycleExpirationDeleteMarkerCreated,
    LifecycleTransition,
    /// A bucket's notifications were configured.
    TestEvent,
}

impl EventKind {
    pub const ALL: [EventKind; 13] = [
        EventKind::ObjectCreatedPut,
        EventKind::ObjectCreatedPost,
        EventKind::ObjectCreatedCopy,
        EventKind::ObjectCreatedCompleteMultipartUpload,
        EventKind::ObjectRemovedDelete,
        EventKind::ObjectRemovedDeleteMarkerCreated,
        EventKind::ObjectTaggingPut,
        EventKind::ObjectTaggingDelete,
        EventKind::ObjectAclPut,
        EventKind::LifecycleExpirationDelete,
        EventKind::LifecycleExpirationDeleteMarkerCreated,
        EventKind::LifecycleTransition,
        EventKind::TestEvent,
    ];

    /// As a record of S3's has it.
    pub fn name(self) -> &'static str {
        match self {
            EventKind::ObjectCreatedPut => "ObjectCreated:Put",
            EventKind::ObjectCreatedPost => "ObjectCreated:Post",
            EventKind::ObjectCreatedCopy => "ObjectCreated:Copy",
            EventKind::ObjectCreatedCompleteMultipartUpload => "ObjectCreated:CompleteMultipartUpload",
            EventKind::ObjectRemovedDelete => "ObjectRemoved:Delete",
            EventKind::ObjectRemovedDeleteMarkerCreated => "ObjectRemoved:DeleteMarkerCreated",
            EventKind::ObjectTaggingPut => "ObjectTagging:Put",
            EventKind::ObjectTaggingDelete => "ObjectTagging:Delete",
            EventKind::ObjectAclPut => "ObjectAcl:Put",
            EventKind::LifecycleExpirationDelete => "LifecycleExpiration:Delete",
            EventKind::LifecycleExpirationDeleteMarkerCreated => "LifecycleExpiration:DeleteMarkerCreated",
            EventKind::LifecycleTransition => "LifecycleTransition",
            EventKind::TestEvent => "TestEvent",
        }
    }

    /// Whether it is one of a delete marker that came.
    pub fn is_of_a_marker(self) -> bool {
        matches!(
            self,
            EventKind::ObjectRemovedDeleteMarkerCreated | EventKind::LifecycleExpirationDeleteMarkerCreated
        )
    }
}

/// Who is to be told of what a command does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What it may come to. Of a deletion `apply` alone knows which.
    pub to: Vec<Addressee>,
    pub about: Happening,
}

/// Who is told, if it is that which happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addressee {
    pub kind: EventKind,
    /// The webhook's name.
    pub target: String,
    /// The id of the rule that says so.
    pub rule: String,
}

/// What is known of it before it happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happening {
    pub bucket: String,
    /// The bucket's owner.
    pub owner: String,
    pub region: String,
    /// Empty, where it is about the bucket.
    pub key: Vec<u8>,
    /// The version that was named.
    pub version: Option<VersionId>,
    pub time: UnixMillis,
    /// Who asked for it: a canonical user id, or the store's own.
    pub by: String,
    /// Where that came from.
    pub source: String,
    /// The request's id.
    pub request: String,
}

/// What waits to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRecord {
    pub kind: EventKind,
    pub rule: String,
    pub about: Happening,
    /// Of an object that is there.
    pub object: Option<EventObject>,
    /// The entry that made it happen: of one key the later one has the greater.
    pub sequencer: Index,
}

/// What is told of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventObject {
    pub size: u64,
    pub etag: String,
}

impl EventObject {
    pub(crate) fn of(record: &ObjectRecord) -> EventObject {
        EventObject { size: record.size, etag: record.etag.to_string() }
    }
}

/// How much waits for a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventQueue {
    pub waiting: u64,
    /// Events that found no room since something waits.
    pub lost: u64,
}

same_since!(Level::SECOND; EventRecord, EventQueue);
