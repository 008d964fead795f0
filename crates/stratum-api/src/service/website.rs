//! The website endpoint: serves a bucket, whose host is below `[server] website_domain`, as its website configuration
//! says.
//!
//! Nobody signs a browser's requests. Each object that is served is a GetObject of an anonymous caller, which is
//! authorised as any other. Errors are answered with HTML pages.

use super::{Incoming, Seen, counted, dispatch, party};
use crate::address::{Address, bucket_of_host};
use crate::admission::Memory;
use crate::body::Leftover;
use crate::context::{Caller, Context, Store};
use crate::error::{Code, S3Error, S3Result};
use crate::headers;
use crate::key::ObjectKey;
use crate::late::Late;
use crate::operations;
use crate::query::Query;
use crate::request_id::RequestId;
use crate::rights;
use crate::website::{self, Came, Elsewhere, Serves, Website};
use axum::body::Body;
use http::header::{
    CONTENT_RANGE, CONTENT_TYPE, HOST, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, LOCATION, RANGE,
};
use http::request::Parts;
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use percent_encoding::percent_decode_str;
use std::net::SocketAddr;
use std::slice;
use std::sync::Arc;
use stratum_auth::Payload;
use stratum_metadata::ReadView;
use stratum_metadata::record::BucketRecord;

const ERROR_CODE: HeaderName = HeaderName::from_static("x-amz-error-code");
const ERROR_MESSAGE: HeaderName = HeaderName::from_static("x-amz-error-message");
const REDIRECT: HeaderName = HeaderName::from_static("x-amz-website-redirect-location");

/// The headers of a browser's request that are heeded; all others are ignored.
const HEEDED: [HeaderName; 6] =
    [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE, RANGE];

/// The bucket whose website a host serves, if it serves one.
pub(super) fn bucket_of<'a>(store: &Store, host: Option<&'a str>) -> Option<&'a str> {
    let (domain, host) = (store.settings.website_domain.as_ref()?, host?);
    let site = bucket_of_host(host, slice::from_ref(domain))?;
    // A domain of S3's own may end with that of websites: its hosts belong to S3.
    (bucket_of_host(host, &store.settings.domains) == Some(site)).then_some(site)
}

/// Answers a browser's request; an error is answered with a page.
pub(super) async fn answer(
    store: &Arc<Store>,
    id: RequestId,
    head: &Parts,
    bucket: &str,
    leftover: &Leftover,
    seen: &mut Seen,
) -> S3Result {
    match visit(store, id, head, bucket, leftover, seen).await {
        Err(error) if error.code() != Code::NotModified => Ok(page(id, &error, head.method == Method::HEAD)),
        answered => answered,
    }
}

async fn visit(
    store: &Arc<Store>,
    id: RequestId,
    head: &Parts,
    bucket: &str,
    leftover: &Leftover,
    seen: &mut Seen,
) -> S3Result {
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return Err(Code::MethodNotAllowed.into());
    }
    let memory = store.admission.enter(party(&Caller::Nobody, head))?;
    let path = head.uri.path().strip_prefix('/').unwrap_or(head.uri.path());
    let path = percent_decode_str(path).decode_utf8().map_err(|_| S3Error::new(Code::InvalidURI))?;
    let view = store.metadata.fresh().await?;
    let record = view.bucket(&bucket.to_ascii_lowercase())?.ok_or(Code::NoSuchBucket)?;
    let website = store.websites.of(&view, &record)?.ok_or(Code::NoSuchWebsiteConfiguration)?;
    let came = Came {
        scheme: head.extensions.get().unwrap_or(&Scheme::HTTP),
        host: head.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default(),
    };
    let visit = Visit { store, id, head, record: &record, memory: &memory, view: &view, leftover };
    let answer = match &*website {
        Website::RedirectAll { host, protocol } => {
            elsewhere(&website::everything(host, *protocol, &path, came))?
        }
        Website::Serves(site) => visit.serve(site, &path, came, seen).await?,
    };
    counted(answer, memory)
}

/// A browser's request, and what it takes to answer it.
struct Visit<'a> {
    store: &'a Arc<Store>,
    id: RequestId,
    head: &'a Parts,
    record: &'a BucketRecord,
    memory: &'a Memory,
    view: &'a ReadView,
    leftover: &'a Leftover,
}

impl Visit<'_> {
    async fn serve(&self, site: &Serves, path: &str, came: Came<'_>, seen: &mut Seen) -> S3Result {
        if let Some(to) = site.elsewhere(path, None, came) {
            return elsewhere(&to);
        }
        let error = match self.object(&site.key(path), &self.head.method, true, seen).await {
            Ok(found) => return self.found(found),
            Err(error) => error,
        };
        let status = error.code().status();
        if !matches!(status, StatusCode::NOT_FOUND | StatusCode::FORBIDDEN) {
            return Err(error);
        }
        // The path may be that of a folder without the slash at its end: then the browser is redirected to the
        // folder.
        let is_folder = !path.is_empty() && !path.ends_with('/');
        let index = format!("{path}/{}", site.index_suffix);
        if is_folder && self.object(&index, &Method::HEAD, false, seen).await.is_ok() {
            return elsewhere(&website::folder(self.head.uri.path()));
        }
        if let Some(to) = site.elsewhere(path, Some(status), came) {
            return elsewhere(&to);
        }
        let Some(key) = &site.error_key else { return Err(error) };
        match self.object(key, &self.head.method, false, seen).await {
            Ok(mut shown) => {
                *shown.status_mut() = status;
                describe(&error, shown.headers_mut());
                Ok(shown)
            }
            Err(_) => Err(error),
        }
    }

    /// The answer with an object, or a redirect where the object's metadata says so.
    fn found(&self, found: Response<Body>) -> S3Result {
        match found.headers().get(REDIRECT).and_then(|location| location.to_str().ok()) {
            Some(location) => elsewhere(&website::of_object(location)),
            None => Ok(found),
        }
    }

    /// Gets an object as an anonymous caller. The request's headers are heeded only for the object that the browser
    /// asked for.
    async fn object(&self, key: &str, method: &Method, is_asked_for: bool, seen: &mut Seen) -> S3Result {
        let key = ObjectKey::parse(key.as_bytes().to_vec())?;
        let mut headers = HeaderMap::new();
        if is_asked_for {
            for (name, value) in self.head.headers.iter().filter(|(name, _)| HEEDED.contains(name)) {
                headers.append(name, value.clone());
            }
            headers::hoist(&Query::default(), None, &mut headers)?;
        }
        let address = Address::Object(self.record.name.clone(), key);
        let row = operations::recognise(method, &address, &Query::default(), &headers)?;
        seen.operation = row.operation.name;
        let caller = Caller::Nobody;
        let ctx = Context {
            account: rights::account(&caller, self.store),
            caller,
            mechanism: None,
            store: self.store.clone(),
            memory: self.memory.clone(),
            view: self.view.clone(),
            operation: &row.operation,
            request_id: self.id,
            query: Arc::new(Query::default()),
            headers,
            scheme: self.head.extensions.get().cloned().unwrap_or(Scheme::HTTP),
            tls: self.head.extensions.get().copied(),
            peer: self.head.extensions.get::<SocketAddr>().map(SocketAddr::ip),
            trail: seen.trail.clone(),
            trace: seen.trace.clone(),
            late: Late::default(),
            now: self.store.clock.now(),
        };
        dispatch(&ctx, row.handler, address, Incoming { payload: Payload::Unsigned, leftover: self.leftover })
            .await
    }
}

/// A redirect.
fn elsewhere(to: &Elsewhere) -> S3Result {
    let location =
        HeaderValue::try_from(&to.location).map_err(|_| S3Error::new(Code::InvalidRedirectLocation))?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = to.status;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// Writes the headers that tell a browser's user of an error.
fn describe(error: &S3Error, out: &mut HeaderMap) {
    out.remove(CONTENT_RANGE);
    out.insert(ERROR_CODE, HeaderValue::from_static(error.code().name()));
    out.extend(HeaderValue::try_from(error.text()).ok().map(|text| (ERROR_MESSAGE, text)));
}

/// An error as an HTML page. Its message is escaped, in case it repeats something of the request.
fn page(id: RequestId, error: &S3Error, head_only: bool) -> Response<Body> {
    let (code, status) = (error.code().name(), error.code().status());
    let message = error.text().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let text = format!(
        "<!DOCTYPE html>\n<html><head><title>{status}</title></head><body><h1>{status}</h1><ul><li>Code: {code}</li>\
         <li>Message: {message}</li><li>RequestId: {id}</li></ul></body></html>\n",
        id = id.as_str(),
    );
    let mut response = Response::new(if head_only { Body::empty() } else { Body::from(text) });
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    describe(error, headers);
    response
}
