//! Delivers access logs: the waiting lines about a bucket become an object in the target bucket that the owner named,
//! if that bucket still lets logs in.

use crate::access_log::{self, Log, Logging};
use crate::acl;
use crate::admission::Party;
use crate::audit::Trail;
use crate::body::RequestBody;
use crate::context::{Account, Caller, Context, Store};
use crate::error::{Code, S3Error};
use crate::key::ObjectKey;
use crate::late::Late;
use crate::lock::Lock;
use crate::new_version::NewVersion;
use crate::operations;
use crate::ops::put_object;
use crate::ownership::{self, Owned};
use crate::query::Query;
use crate::request_id::RequestId;
use crate::rights;
use crate::traces::Trace;
use axum::body::Body;
use http::HeaderMap;
use http::uri::Scheme;
use std::slice;
use std::sync::Arc;
use std::time::Duration;
use stratum_metadata::record::{
    BucketId, BucketRecord, EventKind, Grant, ObjectHeaders, ObjectOwnership, StorageClass,
};
use stratum_storage::task::{Executor, Next, Role, Row, Stop, Task, Work};

/// How often the task looks for logs that are to be delivered.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The party on which a delivery's memory counts: S3's own name for its log delivery.
const SERVICE: &str = "logging.s3.amazonaws.com";

/// The task that delivers access logs. A server has one.
#[derive(Debug)]
pub struct AccessLogTask(Arc<Store>);

impl AccessLogTask {
    pub fn new(store: Arc<Store>) -> AccessLogTask {
        AccessLogTask(store)
    }

    async fn deliver_due(&self, all: bool) {
        let store = &self.0;
        for (bucket, log) in store.access_logs.due(store.clock.monotonic(), all) {
            if let Err(error) = deliver(store, bucket, &log).await {
                access_log::dropped(log.count);
                let cause = error.cause().unwrap_or(error.text());
                tracing::info!(
                    bucket = bucket.0,
                    lines = log.count,
                    cause,
                    "lines of an access log could not be delivered"
                );
            }
        }
    }
}

async fn deliver(store: &Arc<Store>, bucket: BucketId, log: &Log) -> Result<(), S3Error> {
    let view = store.metadata.fresh().await?;
    let gone = |what| S3Error::new(Code::NoSuchBucket).because(what);
    let source =
        view.bucket_of(bucket)?.ok_or_else(|| gone("the bucket is gone that the lines are about"))?;
    let logging = store.logging.of(&view, &source)?;
    let logging = logging.ok_or_else(|| gone("the bucket's requests are no longer logged"))?;
    let Logging { target, prefix, .. } = &*logging;
    let target = view.bucket(target)?.ok_or(Code::NoSuchBucket)?;
    if !rights::may_deliver_logs(store, &view, &source, &target, prefix)? {
        return Err(S3Error::new(Code::AccessDenied).because("the target bucket no longer lets logs in"));
    }
    let (now, unique) = (store.clock.now(), store.entropy.next_u64());
    let whose = (source.owner.as_str(), source.region.as_str(), source.name.as_str());
    let key = ObjectKey::parse(logging.key(log, now, whose, unique).into_bytes())?;
    let operation = operations::all().find(|row| row.name == "PutObject").map(|row| &row.operation);
    let ctx = Context {
        store: store.clone(),
        caller: Caller::Nobody,
        mechanism: None,
        account: Account::Nobody,
        memory: store.admission.enter(Party::User(SERVICE.into()))?,
        view,
        operation: operation.ok_or(Code::InternalError)?,
        request_id: RequestId::from_u64(unique),
        query: Arc::new(Query::default()),
        headers: HeaderMap::new(),
        scheme: Scheme::HTTP,
        tls: None,
        peer: None,
        trail: Trail::of(store.audit.is_kept()),
        trace: Trace::OFF,
        late: Late::default(),
        now,
    };
    let headers = ObjectHeaders { content_type: Some("text/plain".into()), ..ObjectHeaders::default() };
    let new = NewVersion {
        headers,
        class: StorageClass::Standard,
        tags: None,
        owned: owned(store, &source, &target, &logging.grants),
        lock: Lock::default(),
        made: EventKind::ObjectCreatedPut,
    };
    let body = Body::from(log.lines.clone());
    let body = RequestBody::of_file(&ctx.headers, body, ctx.memory.clone(), store.clock.clone())?;
    put_object::put(&ctx, &target, &key, body, new, 0).await.map(drop)
}

/// The owner and the list of a delivered object. The list gives others the configured grants, where the target bucket
/// uses lists and its public access block allows the grant. It gives none where the target belongs to somebody else,
/// who may have made a bucket of that name since.
fn owned(store: &Store, source: &BucketRecord, target: &BucketRecord, grants: &[Grant]) -> Owned {
    let mut given = Vec::new();
    let has_lists = ownership::of(target, &store.settings) != ObjectOwnership::BucketOwnerEnforced;
    if has_lists && source.owner == target.owner {
        let may_give = |grant: &&Grant| acl::check_public(target, Some(slice::from_ref(*grant))).is_ok();
        given.extend(grants.iter().filter(may_give).cloned());
    }
    given.push(acl::usual(&target.owner));
    Owned { owner: None, acl: acl::unusual(given, &target.owner) }
}

impl Task for AccessLogTask {
    fn row(&self) -> Row {
        Row {
            name: "access logs",
            role: Role::Host,
            class: None,
            executor: Executor::Runtime,
            delay: Duration::ZERO,
        }
    }

    fn step<'a>(&'a self, _: &'a Stop) -> Work<'a, Next> {
        Box::pin(async {
            self.deliver_due(false).await;
            Next::After(POLL_INTERVAL)
        })
    }

    /// Delivers everything that still waits when the server stops.
    fn ended(&self) -> Work<'_, ()> {
        Box::pin(self.deliver_due(true))
    }
}
