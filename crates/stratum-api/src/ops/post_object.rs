//! PostObject: the file of a form that a browser sends becomes an object.
//!
//! The form's fields say who signed it and what the object is to have, so they are read before it is known who the
//! caller is. Their length is bounded, and their memory counts for the address that the request comes from. From then
//! on the request is handled as a PutObject whose headers are the form's fields.
//!
//! Source: Amazon S3 API Reference, "POST Object" and "Browser-based uploads using POST".

use crate::body::RequestBody;
use crate::context::{Caller, Context};
use crate::error::{Code, S3Error, S3Result};
use crate::form::{Form, MOST_AHEAD_BYTES};
use crate::headers;
use crate::key::ObjectKey;
use crate::late::Late;
use crate::new_version::NewVersion;
use crate::operation::Operation;
use crate::ops::put_object;
use crate::post_policy::PostPolicy;
use crate::query::Query;
use crate::rights::{self, Asker, EXPECTED_OWNER, Resource};
use crate::tags::{self, Tagged};
use crate::xml;
use crate::xml::object::PostResponse;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{ETAG, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::ops::RangeInclusive;
use std::sync::Arc;
use stratum_auth::{Mechanism, Place, PostForm, Version};
use stratum_metadata::record::{BucketRecord, EventKind};

/// In the key that a form gives, this stands for the name of the form's file.
const FILE_NAME: &str = "${filename}";

/// The fields, beside `x-amz-*`, that are headers of PutObject of the same name.
const HEADERS: [&str; 9] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-md5",
    "content-type",
    "expires",
    "if-match",
    "if-none-match",
];

/// Stores the form's file. `operation` is PutObject, whose rights the caller needs and whose headers the form may
/// have as fields.
pub async fn handle(
    ctx: &Context,
    bucket: &BucketRecord,
    body: RequestBody,
    operation: &'static Operation,
) -> S3Result {
    let ahead = ctx.memory.admit(MOST_AHEAD_BYTES)?;
    let form = Form::read(&ctx.headers, body).await?;
    drop(ahead);
    let key = key_of(&form)?;
    let signer = signer(ctx, &form)?;
    let length = match &signer {
        Some(_) => check_policy(ctx, bucket, &key, &form)?,
        None => 0..=u64::MAX,
    };
    let put = as_put(ctx, &form, signer, operation)?;
    rights::check_owner(&put.headers, bucket, EXPECTED_OWNER)?;
    let object = Resource::Object(bucket, &key, None);
    for action in put.operation.actions(false) {
        rights::authorise(&Asker::of(&put), action, &object)?;
    }
    rights::authorise_headers(&Asker::of(&put), put.operation, &object)?;
    let answer = Answer::asked(&form);
    let file = form.file.into_body(*length.end());
    let body = RequestBody::of_file(&put.headers, file, put.memory.clone(), put.store.clock.clone())?;
    let new = NewVersion { made: EventKind::ObjectCreatedPost, ..NewVersion::asked(&put, bucket)? };
    let (_, said) = put_object::put(&put, bucket, &key, body, new, *length.start()).await?;
    answer.respond(ctx, bucket, &key, said)
}

fn key_of(form: &Form) -> Result<ObjectKey, S3Error> {
    let missing = || {
        let message = "Bucket POST must contain a field named 'key'. If it is specified, please check the order of the fields.";
        S3Error::invalid_argument("key", "", message)
    };
    let key = form.get("key").filter(|key| !key.is_empty()).ok_or_else(missing)?;
    Ok(ObjectKey::parse(key.replace(FILE_NAME, &form.file.name).into_bytes())?)
}

/// Who signed the form's policy; none where the form has no policy.
fn signer(ctx: &Context, form: &Form) -> Result<Option<(Caller, Version)>, S3Error> {
    let Some(policy) = form.get("policy") else { return Ok(None) };
    let field = |name: &'static str| {
        form.get(name).ok_or_else(|| {
            let message = format!("Bucket POST must contain a field named '{name}'.");
            S3Error::invalid_argument(name, "", message)
        })
    };
    let (store, keys) = (&ctx.store, ctx.store.access_keys());
    let session_token = form.get("x-amz-security-token");
    if let Some(access_key) = form.get("awsaccesskeyid") {
        let signature = field("signature")?;
        let verifier = &store.verifier;
        let caller = verifier.verify_post_form_v2(policy, access_key, session_token, signature, &keys)?;
        return Ok(Some((caller, Version::V2)));
    }
    let signed = PostForm {
        policy,
        algorithm: field("x-amz-algorithm")?,
        credential: field("x-amz-credential")?,
        date: field("x-amz-date")?,
        signature: field("x-amz-signature")?,
        session_token,
    };
    Ok(Some((store.verifier.verify_post_form(&signed, &keys)?, Version::V4)))
}

/// Refuses a form that its policy doesn't allow. Gives the lengths that the policy allows the file to have.
fn check_policy(
    ctx: &Context,
    bucket: &BucketRecord,
    key: &ObjectKey,
    form: &Form,
) -> Result<RangeInclusive<u64>, S3Error> {
    let json = BASE64.decode(form.get("policy").unwrap_or_default().trim());
    let json = json
        .map_err(|_| S3Error::new(Code::InvalidPolicyDocument).message("Invalid Policy: Invalid Base64."))?;
    let field = |name: &str| match name {
        "bucket" => Some(bucket.name.as_str()),
        "key" => Some(key.as_str()),
        name => form.get(name),
    };
    // The bucket counts as a field of every form, though its name is in the address: so a policy must have a
    // condition on the bucket, and a policy that was signed for one bucket can't be used for another.
    let names = std::iter::once("bucket").chain(form.iter().map(|(name, _)| name));
    PostPolicy::parse(&json)?.judge(ctx.now, names, field)
}

/// The context of the PutObject that the form is handled as.
fn as_put(
    ctx: &Context,
    form: &Form,
    signer: Option<(Caller, Version)>,
    operation: &'static Operation,
) -> Result<Context, S3Error> {
    let (caller, mechanism) = match signer {
        Some((caller, version)) => (caller, Some(Mechanism { version, place: Place::Form })),
        None => (ctx.caller.clone(), ctx.mechanism),
    };
    let headers = headers_of(form)?;
    headers::refuse_unheeded(&headers, operation)?;
    Ok(Context {
        account: rights::account(&caller, &ctx.store),
        caller,
        mechanism,
        operation,
        headers,
        query: Arc::new(Query::default()),
        store: ctx.store.clone(),
        memory: ctx.memory.clone(),
        view: ctx.view.clone(),
        scheme: ctx.scheme.clone(),
        trail: ctx.trail.clone(),
        trace: ctx.trace.clone(),
        late: Late::default(),
        ..*ctx
    })
}

/// The form's fields as the headers of a PutObject.
fn headers_of(form: &Form) -> Result<HeaderMap, S3Error> {
    const OF_SIGNATURE: [&str; 5] =
        ["x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature", "x-amz-security-token"];
    let mut headers = HeaderMap::new();
    for (name, value) in form.iter() {
        let (name, value) = match name {
            "acl" => ("x-amz-acl", value.to_owned()),
            "tagging" => (tags::HEADER, tagging(value)?),
            name if OF_SIGNATURE.contains(&name) => continue,
            name if HEADERS.contains(&name) || name.starts_with("x-amz-") => (name, value.to_owned()),
            _ => continue,
        };
        let invalid = || {
            S3Error::invalid_argument(name.to_owned(), value.clone(), "The field can't be sent as a header.")
        };
        let header = HeaderName::try_from(name).map_err(|_| invalid())?;
        headers.insert(header, HeaderValue::from_bytes(value.as_bytes()).map_err(|_| invalid())?);
    }
    Ok(headers)
}

/// The tags of a form, which has them as an XML document, in the query form that the header of PutObject has.
fn tagging(document: &str) -> Result<String, S3Error> {
    let tags = xml::tagging::read(document.as_bytes(), Tagged::Object)?;
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    Ok(tags
        .iter()
        .map(|(key, value)| format!("{}={}", encoded(key), encoded(value)))
        .collect::<Vec<_>>()
        .join("&"))
}

/// The answer that the form asks for.
enum Answer {
    Empty(StatusCode),
    Document,
    /// A redirect to this page of the form's author.
    Redirect(String),
}

impl Answer {
    fn asked(form: &Form) -> Answer {
        let page = form.get("success_action_redirect").or(form.get("redirect"));
        match (page, form.get("success_action_status")) {
            (Some(page), _) if page.starts_with("http://") || page.starts_with("https://") => {
                Answer::Redirect(page.to_owned())
            }
            (_, Some("200")) => Answer::Empty(StatusCode::OK),
            (_, Some("201")) => Answer::Document,
            (_, _) => Answer::Empty(StatusCode::NO_CONTENT),
        }
    }

    fn respond(self, ctx: &Context, bucket: &BucketRecord, key: &ObjectKey, said: HeaderMap) -> S3Result {
        let etag = said.get(ETAG).and_then(|etag| etag.to_str().ok()).unwrap_or_default().to_owned();
        let host = ctx.header("host").unwrap_or_default();
        let location = put_object::location(&ctx.scheme, host, &bucket.name, key);
        let mut response = match &self {
            Answer::Empty(_) | Answer::Redirect(_) => Response::new(Body::empty()),
            Answer::Document => xml::answer(&PostResponse {
                location: &location,
                bucket: &bucket.name,
                key: key.as_str(),
                etag: &etag,
            })?,
        };
        *response.status_mut() = match &self {
            Answer::Empty(status) => *status,
            Answer::Document => StatusCode::CREATED,
            Answer::Redirect(_) => StatusCode::SEE_OTHER,
        };
        let location = match self {
            Answer::Redirect(page) => {
                let joint = if page.contains('?') { '&' } else { '?' };
                let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
                let etag = encoded(&etag);
                format!("{page}{joint}bucket={}&key={}&etag={etag}", bucket.name, encoded(key.as_str()))
            }
            Answer::Empty(_) | Answer::Document => location,
        };
        response.headers_mut().extend(said);
        response
            .headers_mut()
            .extend(HeaderValue::try_from(location).ok().map(|location| (LOCATION, location)));
        Ok(response)
    }
}
