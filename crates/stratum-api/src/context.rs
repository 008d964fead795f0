//! What an operation gets: the store's layers, who asks, and the request's head.

use crate::access_log::{AccessLogs, Logging};
use crate::admission::{Admission, Memory};
use crate::audit::{Audit, Trail};
use crate::bodies::{Bodies, Ends};
use crate::channel::Tls;
use crate::cors::CorsRules;
use crate::documents::Documents;
use crate::error::{Code, S3Error};
pub use crate::identities::Caller;
use crate::identities::{Keys, Members};
use crate::key::ObjectKey;
use crate::operation::Operation;
use crate::query::Query;
use crate::request_id::RequestId;
use crate::selection::Selection;
use crate::traces::{Trace, Traces};
use crate::want_of_space::WantOfSpace;
use crate::website::Website;
use bytes::Bytes;
use http::HeaderMap;
use http::uri::Scheme;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use stratum_auth::{Identities, Mechanism, User, Verifier};
use stratum_cipher::KeyService;
pub use stratum_console::SessionKeeper;
use stratum_lifecycle::{Days, Rules};
use stratum_metadata::command::{Outcome, Proposed};
use stratum_metadata::record::{BucketId, BucketRecord, ObjectOwnership, ObjectRecord};
use stratum_metadata::{CommitError, Metadata, ReadView};
use stratum_policy::Policy;
use stratum_storage::ambient::{Clock, Entropy, UnixMillis};
use stratum_storage::blob::Tier;
use stratum_storage::pace::Pace;
use stratum_tiering::content::{Samples, Waiting, What};
use stratum_tiering::signals::Read;
use stratum_tiering::usage::Usage;

/// What the operator chose.
#[derive(Clone, Debug)]
pub struct Settings {
    pub region: String,
    /// Suffixes of virtual hosts, that of websites among them.
    pub domains: Vec<String>,
    /// The suffix of hosts below which buckets are websites.
    pub website_domain: Option<String>,
    /// Serve the console.
    pub console: bool,
    /// Serve requests that carry no signature: they may use what root owns, and nothing else.
    pub anonymous: bool,
    /// Who owns the objects in a bucket that doesn't say it.
    pub object_ownership: ObjectOwnership,
    /// How long an abandoned upload is kept, and how long a Complete is remembered, in milliseconds.
    pub upload_lifetime: u64,
    pub completion_memory: u64,
    /// The webhooks that buckets may tell something, by name.
    pub webhooks: BTreeSet<String>,
    /// How long a day is to buckets' lifecycle.
    pub lifecycle_days: Days,
    /// The buckets that have metrics of their own, by name.
    pub metered: BTreeSet<String>,
}

impl Default for Settings {
    fn default() -> Self {
        const DAY: u64 = 24 * 3_600 * 1_000;
        Self {
            region: "us-east-1".into(),
            domains: Vec::new(),
            website_domain: None,
            console: true,
            anonymous: false,
            object_ownership: ObjectOwnership::BucketOwnerEnforced,
            upload_lifetime: 7 * DAY,
            completion_memory: DAY,
            webhooks: BTreeSet::new(),
            lifecycle_days: Days::default(),
            metered: BTreeSet::new(),
        }
    }
}

/// The layers below, shared by all requests.
#[derive(Debug)]
pub struct Store {
    pub metadata: Metadata,
    pub bodies: Bodies,
    /// The owners of accounts, whom the configuration names.
    pub identities: Identities,
    /// Whoever else was made in an account.
    pub members: Members,
    pub verifier: Verifier,
    /// The policies of buckets.
    pub policies: Documents<Policy>,
    /// The rules of buckets for cross-origin requests.
    pub cors: Documents<CorsRules>,
    /// The lifecycle of buckets.
    pub lifecycle: Documents<Rules>,
    /// Whom buckets tell what.
    pub notifications: Documents<stratum_events::Rules>,
    /// What buckets are as websites.
    pub websites: Documents<Website>,
    /// Which buckets have their requests logged, and what was logged and isn't delivered yet.
    pub logging: Documents<Logging>,
    pub access_logs: AccessLogs,
    pub settings: Settings,
    pub admission: Admission,
    /// Is told of every answer.
    pub want_of_space: WantOfSpace,
    /// Is told of every read and of what is deleted; the tiers learn from it.
    pub usage: Arc<Usage>,
    /// Is told of every request that changes something or is refused.
    pub audit: Audit,
    /// Is told of the requests that are traced.
    pub traces: Traces,
    /// What was written, for who looks at what it is.
    pub samples: Arc<Samples>,
    /// Is told of every request, so that background work gives way.
    pub pace: Arc<Pace>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// The keys above those of encrypted objects.
    pub keys: Arc<dyn KeyService>,
    /// What is kept of the console's sessions.
    pub console_sessions: Arc<dyn SessionKeeper>,
}

/// In whose name a request works: whose buckets it lists, and who owns what it creates.
#[derive(Clone, Debug)]
pub enum Account {
    User(Arc<User>),
    /// Nobody's.
    Nobody,
}

/// The canonical user id that S3 gives to whoever signs nothing.
pub const NOBODY: &str = "65a011a29cdf8ec533ec3d1ccaae921c";

impl Account {
    /// Its canonical user id.
    pub fn id(&self) -> &str {
        match self {
            Account::User(user) => &user.id,
            Account::Nobody => NOBODY,
        }
    }
}

impl Store {
    /// All keys that a request may be signed with.
    pub fn access_keys(&self) -> Keys<'_> {
        Keys {
            configured: &self.identities,
            members: &self.members,
            view: self.metadata.local(),
            now: self.clock.now(),
        }
    }

    /// The user who operates the server.
    pub fn root(&self) -> Option<&Arc<User>> {
        self.identities.users().find(|user| user.root)
    }
}

/// One request's head and surroundings, as an operation sees them.
#[derive(Debug)]
pub struct Context {
    pub store: Arc<Store>,
    pub caller: Caller,
    /// How it was signed, if it was.
    pub mechanism: Option<Mechanism>,
    pub account: Account,
    /// What the request may hold, on its caller's account.
    pub memory: Memory,
    /// What the request reads: all that was acknowledged before it came.
    pub view: ReadView,
    pub operation: &'static Operation,
    pub request_id: RequestId,
    pub query: Arc<Query>,
    /// Each name once: see [`headers::hoist`](crate::headers::hoist).
    pub headers: HeaderMap,
    /// How the client reached the server.
    pub scheme: Scheme,
    /// What was agreed on with it, over TLS.
    pub tls: Option<Tls>,
    /// Where it came from.
    pub peer: Option<IpAddr>,
    /// What is decided of it, for its audit.
    pub trail: Arc<Trail>,
    /// Which parts of its work took how long, if it is traced.
    pub trace: Trace,
    /// When the request arrived; what an operation stores as "now".
    pub now: UnixMillis,
}

impl Context {
    /// Changes the state, with nothing that is stored.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub async fn commit(&self, proposed: impl Into<Proposed>) -> Result<Outcome, CommitError> {
        let _committing = self.trace.stage("commit");
        self.store.metadata.commit(proposed, Bytes::new()).await
    }

    /// A header's text; `None` when it is absent or isn't visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Counts a read that succeeded: these bytes of an object that lies in that tier.
    pub fn count_read(
        &self,
        bucket: BucketId,
        key: &ObjectKey,
        object: &ObjectRecord,
        selection: &Selection,
        tier: Tier,
    ) {
        let std::ops::Range { start, end } = selection.bytes;
        let read = Read { bytes: end - start, offset: start, size: object.size };
        self.store.usage.record(bucket.0, key.as_str(), read, tier != Tier::Hot, self.now);
        let slow = match tier {
            Tier::Hot => return,
            Tier::Warm => stratum_tiering::tier::Tier::Warm,
            Tier::Cold => stratum_tiering::tier::Tier::Cold,
        };
        self.store.usage.record_slow(bucket.0, slow, read.bytes);
    }

    /// Has an object that was written be looked at, as soon as somebody has time: by what was kept of its body.
    pub fn offer_kept(&self, bucket: BucketId, key: &ObjectKey, object: &ObjectRecord, ends: Ends) {
        if ends.is_none() || object.size == 0 {
            return;
        }
        self.store.samples.offer(bucket.0, || {
            let what = ends.into_sample().map_or(What::Stored, What::Kept);
            Waiting { bucket: bucket.0, key: key.as_str().to_owned(), written: object.modified, what }
        });
    }

    /// As [`Context::offer_kept`], where the body came in several requests: it is read again.
    pub fn offer_stored(&self, bucket: BucketId, key: &ObjectKey, written: UnixMillis) {
        self.store.samples.offer(bucket.0, || Waiting {
            bucket: bucket.0,
            key: key.as_str().to_owned(),
            written,
            what: What::Stored,
        });
    }

    /// A bucket by its name. Whether the caller may touch it is another question.
    ///
    /// # Errors
    /// `NoSuchBucket`, or `InvalidBucketName` when it can't exist.
    pub fn bucket(&self, name: &str) -> Result<Arc<BucketRecord>, S3Error> {
        match self.view.bucket(name)? {
            Some(bucket) => Ok(bucket),
            None => Err(S3Error::new(Code::NoSuchBucket).with("BucketName", name)),
        }
    }
}
