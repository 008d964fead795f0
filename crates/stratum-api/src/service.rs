//! One request, from its head to its answer.
//!
//! The order is what keeps strangers cheap: parse, authenticate, authorise, check headers, and only then hand over
//! to the operation, which admits its bytes before it polls the body.

use crate::admission::{LEAST_MEMORY, Memory, Origin, Party};
use crate::authenticate::{EXPECTED_OWNER, authenticate, authorised_bucket};
use crate::body::{Leftover, RequestBody};
use crate::context::{Caller, Context, RequestId, Store};
use crate::error::{Code, S3Error, S3Result};
use crate::key::ObjectKey;
use crate::operation::{Address, BucketOperation, ObjectOperation, Operation};
use crate::query::Query;
use crate::server::Connection;
use crate::telemetry::{self, Answered};
use crate::{headers, ops, preflight};
use axum::body::Body;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST};
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body::Body as _;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use stratum_auth::Payload;
use stratum_metadata::record::BucketRecord;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const HOST_ID: HeaderName = HeaderName::from_static("x-amz-id-2");

/// What is read and thrown away of a refused body, so that the answer reaches a client that is still sending.
const DRAIN_BYTES: usize = 16 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Answers one S3 request. Never fails: a failure is an answer.
pub async fn respond(store: &Arc<Store>, id: RequestId, request: Request<Body>) -> Response<Body> {
    let began = store.clock.monotonic();
    let (head, wire) = request.into_parts();
    let (method, uri) = (head.method.clone(), head.uri.clone());
    let connection = head.extensions.get::<Arc<Connection>>().cloned();
    let has_body = !wire.is_end_stream();
    // An operation that takes a body takes it from here, and leaves here what it didn't read.
    let leftover = Leftover::new(Mutex::new(Some(wire)));
    let expects_continue = head.headers.contains_key(EXPECT);

    let mut operation_name = "Unknown";
    let result = answer(store, id, head, &leftover, &mut operation_name).await;
    // Who asked for a `100 Continue` and got its answer without one can't tell whether a body is still awaited on
    // this connection (awscli takes the next answer on it for a body without end): RFC 9110, 10.1.1 says to close.
    let unasked = expects_continue && (result.is_err() || !has_body);
    if result.is_err() && !expects_continue {
        if let Some(connection) = &connection {
            connection.refuses();
        }
        drain(&leftover).await;
    }

    let (mut response, error) = match result {
        Ok(response) => (response, None),
        Err(error) => {
            let told = (error.code().name(), error.cause().map(str::to_owned));
            (error.respond(&id, uri.path(), method == Method::HEAD), Some(told))
        }
    };
    identify(&mut response, &id);
    if unasked {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    telemetry::answered(&Answered {
        id: id.as_str(),
        operation: operation_name,
        method: &method,
        path: uri.path(),
        status: response.status(),
        sent: response.body().size_hint().exact().or_else(|| announced(&response)).unwrap_or(0),
        took: store.clock.monotonic().saturating_sub(began),
        error: error.as_ref().map(|(code, cause)| (*code, cause.as_deref())),
    });
    response
}

/// Gives an answer its request's id.
pub(crate) fn identify(response: &mut Response<Body>, id: &RequestId) {
    let id = id.header_value();
    response.headers_mut().insert(REQUEST_ID, id.clone());
    response.headers_mut().insert(HOST_ID, id);
}

/// The length of a body that streams, as the head says it.
fn announced(response: &Response<Body>) -> Option<u64> {
    response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Everything up to the operation.
async fn answer(
    store: &Arc<Store>,
    id: RequestId,
    mut head: http::request::Parts,
    leftover: &Leftover,
    operation_name: &mut &'static str,
) -> S3Result {
    let host = head.headers.get(HOST).and_then(|host| host.to_str().ok());
    let address = Address::parse(head.uri.path(), host, &store.settings.domains);
    let query = Query::parse(head.uri.query().unwrap_or_default());
    let now = store.clock.now();
    preflight::check(&head, address.as_ref().ok())?;
    let (caller, payload) = authenticate(store, &head, (now / 1000) as i64)?;
    let memory = store.admission.enter(party(&caller, &head))?;

    let scheme = head.extensions.remove::<Scheme>().unwrap_or(Scheme::HTTP);
    let query = query?;
    hoist(&query, &mut head.headers)?;
    let operation = Operation::recognise(&head.method, address?, &query, &head.headers)?;
    *operation_name = operation.name();
    headers::refuse_unbuilt(&head.headers)?;
    let query = Arc::new(query);
    let headers = head.headers;
    let ctx = Context { store: store.clone(), caller, memory, request_id: id, query, headers, scheme, now };
    let incoming = Incoming { payload, leftover };
    let answer = dispatch(&ctx, operation, incoming).await?;
    counted(answer, ctx.memory)
}

/// Whom a request counts for.
fn party(caller: &Caller, head: &http::request::Parts) -> Party {
    let connection = head.extensions.get::<Arc<Connection>>();
    match (caller, connection) {
        (Caller::User(user), _) => Party::User(user.id.clone()),
        (Caller::Anonymous(_), Some(connection)) => Party::Address(connection.origin()),
        (Caller::Anonymous(_), None) => Party::Address(Origin::of(Ipv4Addr::UNSPECIFIED.into())),
    }
}

/// An answer that lies in memory is counted until it is sent, and so is the request.
fn counted(mut answer: Response<Body>, memory: Memory) -> S3Result {
    let size = answer.body().size_hint().exact().unwrap_or(0);
    let admitted = memory.admit(size.saturating_sub(LEAST_MEMORY))?;
    answer.extensions_mut().insert(Arc::new(admitted));
    Ok(answer)
}

/// A presigned URL may carry in its query what would else be a header (`x-amz-acl`, `x-amz-checksum-crc32`, ...).
fn hoist(query: &Query, headers: &mut HeaderMap) -> Result<(), S3Error> {
    if !query.has("X-Amz-Signature") {
        return Ok(());
    }
    for (name, value) in query.iter().filter(|(name, _)| name.starts_with("x-amz-")) {
        let name = HeaderName::try_from(name).map_err(|_| S3Error::new(Code::InvalidRequest))?;
        let value =
            HeaderValue::from_bytes(value.as_bytes()).map_err(|_| S3Error::new(Code::InvalidRequest))?;
        headers.entry(name).or_insert(value);
    }
    Ok(())
}

/// A body on its way to the operation that takes one.
struct Incoming<'a> {
    payload: Payload,
    leftover: &'a Leftover,
}

impl Incoming<'_> {
    fn body(self, ctx: &Context) -> Result<RequestBody, S3Error> {
        let clock = ctx.store.clock.clone();
        RequestBody::new(&ctx.headers, self.payload, self.leftover.clone(), ctx.memory.clone(), clock)
    }
}

async fn dispatch(ctx: &Context, operation: Operation, incoming: Incoming<'_>) -> S3Result {
    match operation {
        Operation::ListBuckets => ops::list_buckets::handle(ctx).await,
        Operation::CreateBucket(name) => ops::create_bucket::handle(ctx, &name, incoming.body(ctx)?).await,
        Operation::Bucket(name, operation) => {
            let bucket = authorised_bucket(ctx, &name, EXPECTED_OWNER)?;
            on_bucket(ctx, &bucket, operation, incoming).await
        }
        Operation::Object(name, key, operation) => {
            let bucket = authorised_bucket(ctx, &name, EXPECTED_OWNER)?;
            on_object(ctx, &bucket, &key, operation, incoming).await
        }
    }
}

async fn on_bucket(
    ctx: &Context,
    bucket: &BucketRecord,
    operation: BucketOperation,
    incoming: Incoming<'_>,
) -> S3Result {
    match operation {
        BucketOperation::Head => ops::head_bucket::handle(ctx, bucket).await,
        BucketOperation::Delete => ops::delete_bucket::handle(ctx, bucket).await,
        BucketOperation::GetLocation => ops::get_bucket_location::handle(ctx, bucket).await,
        BucketOperation::GetVersioning => ops::get_bucket_versioning::handle(ctx, bucket).await,
        BucketOperation::GetAcl => ops::acl::get(ctx, bucket, None),
        BucketOperation::PutAcl => ops::acl::put(ctx, bucket, None, incoming.body(ctx)?).await,
        BucketOperation::ListObjects => ops::list_objects::handle(ctx, bucket).await,
        BucketOperation::ListObjectsV2 => ops::list_objects_v2::handle(ctx, bucket).await,
        BucketOperation::ListObjectVersions => ops::list_object_versions::handle(ctx, bucket).await,
        BucketOperation::ListMultipartUploads => ops::list_multipart_uploads::handle(ctx, bucket).await,
        BucketOperation::DeleteObjects => ops::delete_objects::handle(ctx, bucket, incoming.body(ctx)?).await,
        BucketOperation::Unbuilt(what) => Err(S3Error::not_implemented(what)),
    }
}

async fn on_object(
    ctx: &Context,
    bucket: &BucketRecord,
    key: &ObjectKey,
    operation: ObjectOperation,
    incoming: Incoming<'_>,
) -> S3Result {
    match operation {
        ObjectOperation::Put => ops::put_object::handle(ctx, bucket, key, incoming.body(ctx)?).await,
        ObjectOperation::Copy => ops::copy_object::handle(ctx, bucket, key).await,
        ObjectOperation::Get => ops::get_object::handle(ctx, bucket, key).await,
        ObjectOperation::Head => ops::head_object::handle(ctx, bucket, key).await,
        ObjectOperation::GetAcl => ops::acl::get(ctx, bucket, Some(key)),
        ObjectOperation::PutAcl => ops::acl::put(ctx, bucket, Some(key), incoming.body(ctx)?).await,
        ObjectOperation::GetAttributes => ops::get_object_attributes::handle(ctx, bucket, key).await,
        ObjectOperation::Delete => ops::delete_object::handle(ctx, bucket, key).await,
        ObjectOperation::CreateMultipartUpload => {
            ops::create_multipart_upload::handle(ctx, bucket, key).await
        }
        ObjectOperation::UploadPart => ops::upload_part::handle(ctx, bucket, key, incoming.body(ctx)?).await,
        ObjectOperation::UploadPartCopy => ops::upload_part_copy::handle(ctx, bucket, key).await,
        ObjectOperation::CompleteMultipartUpload => {
            ops::complete_multipart_upload::handle(ctx, bucket, key, incoming.body(ctx)?).await
        }
        ObjectOperation::AbortMultipartUpload => ops::abort_multipart_upload::handle(ctx, bucket, key).await,
        ObjectOperation::ListParts => ops::list_parts::handle(ctx, bucket, key).await,
        ObjectOperation::Unbuilt(what) => Err(S3Error::not_implemented(what)),
    }
}

/// Reads a bounded amount of what a refused request is still sending. What is left then costs the connection.
async fn drain(leftover: &Leftover) {
    let wire = leftover.lock().take();
    let Some(mut wire) = wire else { return };
    let read = async {
        let mut left = DRAIN_BYTES;
        while let Some(Ok(frame)) = wire.frame().await {
            let size = frame.data_ref().map_or(0, |data| data.len());
            let Some(rest) = left.checked_sub(size) else { return };
            left = rest;
        }
    };
    let _ = tokio::time::timeout(DRAIN_TIME, read).await;
}
