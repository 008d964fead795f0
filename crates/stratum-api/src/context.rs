//! What an operation works with: the layers of the store, the caller, and the head of the request.

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
use crate::late::Late;
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
use std::time::Duration;
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

/// The operator's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    pub region: String,
    /// Suffixes of virtual hosts, among them the suffix of websites.
    pub domains: Vec<String>,
    /// The suffix of the hosts under which buckets are served as websites.
    pub website_domain: Option<String>,
    /// Whether the console is served.
    pub console: bool,
    /// Whether requests without a signature have the rights of root's account. Otherwise only ACLs and policies let
    /// them in.
    pub anonymous: bool,
    /// Who owns the objects in a bucket that doesn't say so itself.
    pub object_ownership: ObjectOwnership,
    /// How long an abandoned upload is kept, in milliseconds.
    pub upload_lifetime: u64,
    /// How long a CompleteMultipartUpload is remembered, so that its repetition gets the same answer, in milliseconds.
    pub completion_memory: u64,
    /// The names of the webhooks that buckets may send notifications to.
    pub webhooks: BTreeSet<String>,
    /// How long a day is in the lifecycle rules of buckets.
    pub lifecycle_days: Days,
    /// How long an answer may take before it is begun, where it may be begun before it is known.
    pub late_after: Duration,
    /// The names of the buckets that have metrics of their own.
    pub metered: BTreeSet<String>,
}

impl Default for Settings {
    fn default() -> Self {
        const DAY_MILLIS: u64 = 24 * 3_600 * 1_000;
        Self {
            region: "us-east-1".into(),
            domains: Vec::new(),
            website_domain: None,
            console: true,
            anonymous: false,
            object_ownership: ObjectOwnership::BucketOwnerEnforced,
            upload_lifetime: 7 * DAY_MILLIS,
            completion_memory: DAY_MILLIS,
            webhooks: BTreeSet::new(),
            lifecycle_days: Days::default(),
            // Clients wait for half a minute at least.
            late_after: Duration::from_secs(20),
            metered: BTreeSet::new(),
        }
    }
}

/// The layers below the operations, shared by all requests.
#[derive(Debug)]
pub struct Store {
    pub metadata: Metadata,
    pub bodies: Bodies,
    /// The owners of accounts, whom the configuration names.
    pub identities: Identities,
    /// The users and roles that were made in accounts.
    pub members: Members,
    pub verifier: Verifier,
    /// The policies of buckets.
    pub policies: Documents<Policy>,
    /// The CORS rules of buckets.
    pub cors: Documents<CorsRules>,
    /// The lifecycle rules of buckets.
    pub lifecycle: Documents<Rules>,
    /// The notification rules of buckets.
    pub notifications: Documents<stratum_events::Rules>,
    /// The website configurations of buckets.
    pub websites: Documents<Website>,
    /// The logging configurations of buckets.
    pub logging: Documents<Logging>,
    /// The lines of access logs that aren't delivered yet.
    pub access_logs: AccessLogs,
    pub settings: Settings,
    pub admission: Admission,
    /// Is told of every answer, to know when a client was last refused for want of space.
    pub want_of_space: WantOfSpace,
    /// Is told of every read and every deletion; objects are placed in tiers by what it learns.
    pub usage: Arc<Usage>,
    /// Is told of every request that changes something or is refused.
    pub audit: Audit,
    /// Is told of the requests that are traced.
    pub traces: Traces,
    /// The samples of new bodies that wait for the classifier.
    pub samples: Arc<Samples>,
    /// Is told of every request, so that background work lets requests go first.
    pub pace: Arc<Pace>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// The key service, whose keys wrap the data keys of encrypted objects.
    pub keys: Arc<dyn KeyService>,
    /// Keeps the console's sessions.
    pub console_sessions: Arc<dyn SessionKeeper>,
}

/// In whose name a request works: whose buckets it lists, and who owns what it creates.
#[derive(Clone, Debug)]
pub enum Account {
    User(Arc<User>),
    /// Of a request that nobody signed.
    Nobody,
}

/// The canonical user id that S3 gives to whoever signs nothing.
pub const NOBODY: &str = "65a011a29cdf8ec533ec3d1ccaae921c";

impl Account {
    /// The account's canonical user id.
    pub fn id(&self) -> &str {
        match self {
            Account::User(user) => &user.id,
            Account::Nobody => NOBODY,
        }
    }
}

impl Store {
    /// All access keys that a request may be signed with.
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
    /// How the request was signed; `None` if it wasn't.
    pub mechanism: Option<Mechanism>,
    pub account: Account,
    /// The account on which the memory of the request is counted.
    pub memory: Memory,
    /// The state that the request reads, which holds everything that was acknowledged before the request came.
    pub view: ReadView,
    pub operation: &'static Operation,
    pub request_id: RequestId,
    pub query: Arc<Query>,
    /// The headers, each name once: see [`headers::hoist`](crate::headers::hoist).
    pub headers: HeaderMap,
    /// Whether the client came over HTTP or HTTPS.
    pub scheme: Scheme,
    /// What the TLS handshake agreed on; `None` over plain HTTP.
    pub tls: Option<Tls>,
    /// The address that the request came from.
    pub peer: Option<IpAddr>,
    /// Takes down the decisions about the request, for the audit and the access log.
    pub trail: Arc<Trail>,
    /// Takes down how long the stages of the request took, if it is traced.
    pub trace: Trace,
    /// Is told when the answer may be begun before it is known.
    pub late: Late,
    /// When the request arrived. Operations store this as the current time.
    pub now: UnixMillis,
}

impl Context {
    /// Proposes a command that brings no body.
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

    /// Counts a read that succeeded, of the selected bytes of an object that lies in `tier`.
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

    /// Offers a new object to the classifier, with what was kept of its body.
    pub fn offer_kept(&self, bucket: BucketId, key: &ObjectKey, object: &ObjectRecord, ends: Ends) {
        if ends.is_none() || object.size == 0 {
            return;
        }
        self.store.samples.offer(bucket.0, || {
            let what = ends.into_sample().map_or(What::Stored, What::Kept);
            Waiting { bucket: bucket.0, key: key.as_str().to_owned(), written: object.modified, what }
        });
    }

    /// As [`Context::offer_kept`], where the body came in several requests and nothing was kept: the classifier reads
    /// the object.
    pub fn offer_stored(&self, bucket: BucketId, key: &ObjectKey, written: UnixMillis) {
        self.store.samples.offer(bucket.0, || Waiting {
            bucket: bucket.0,
            key: key.as_str().to_owned(),
            written,
            what: What::Stored,
        });
    }

    /// A bucket by its name. Whether the caller may use the bucket isn't checked here.
    ///
    /// # Errors
    /// `NoSuchBucket`, and failures of the store.
    pub fn bucket(&self, name: &str) -> Result<Arc<BucketRecord>, S3Error> {
        match self.view.bucket(name)? {
            Some(bucket) => Ok(bucket),
            None => Err(S3Error::new(Code::NoSuchBucket).with("BucketName", name)),
        }
    }
}
