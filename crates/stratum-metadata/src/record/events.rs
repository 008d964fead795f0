//! What event notifications are stored as: notices that go with commands, and events that wait to be delivered.
//!
//! A notice goes into the journal with its command, and `apply` makes an event of it as it carries the command out:
//! either both happen or neither. An event waits for its target until a command says that it was delivered.

use super::level::{Level, same_since};
use super::{ObjectRecord, VersionId};
use serde::{Deserialize, Serialize};
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::Index;

/// What happened, in S3's terms. New variants go at the end: the number of a variant is stored.
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

    /// The name in an event record of S3's.
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

    /// Whether a delete marker was created.
    pub fn is_of_a_marker(self) -> bool {
        matches!(
            self,
            EventKind::ObjectRemovedDeleteMarkerCreated | EventKind::LifecycleExpirationDeleteMarkerCreated
        )
    }
}

/// Whom to notify of what a command does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Whom to notify, for each event that the command may cause. Only `apply` knows what a deletion really does.
    pub to: Vec<Addressee>,
    pub about: Happening,
}

/// Whom to notify if this event happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addressee {
    pub kind: EventKind,
    /// The webhook's name.
    pub target: String,
    /// The id of the rule that says so.
    pub rule: String,
}

/// What is known of an event before it happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happening {
    pub bucket: String,
    /// The bucket's owner.
    pub owner: String,
    pub region: String,
    /// Empty if the event is about the bucket.
    pub key: Vec<u8>,
    /// The version that the request named.
    pub version: Option<VersionId>,
    pub time: UnixMillis,
    /// The canonical user id of whoever made the request, or the store's own.
    pub by: String,
    /// The network address that the request came from.
    pub source: String,
    /// The request's id.
    pub request: String,
}

/// An event that waits to be delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRecord {
    pub kind: EventKind,
    pub rule: String,
    pub about: Happening,
    /// Set if the event is about an object that exists.
    pub object: Option<EventObject>,
    /// The entry that caused it: of two events on one key, the later one has the greater number.
    pub sequencer: Index,
}

/// What an event says of its object.
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

/// How many events wait for a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventQueue {
    pub waiting: u64,
    /// Events that were dropped because the queue was full, as long as any events wait.
    pub lost: u64,
}

/// How many events of the buckets of one owner wait for a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventShare {
    pub waiting: u64,
}

same_since!(Level::SECOND; EventRecord, EventQueue, EventShare);
