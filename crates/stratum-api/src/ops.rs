//! One file per operation, or per document that several read and write, named as S3's API reference names it: its page there is
//! `https://docs.aws.amazon.com/AmazonS3/latest/API/API_NAME.html`, with the name in the file's first line.
//!
//! Each has a `handle` that takes the [`Context`](crate::context::Context), what the operation is about (a bucket
//! that exists and belongs to the caller, a key) and, where it has one, the request's body, not yet polled.

pub mod abort_multipart_upload;
pub mod acl;
pub mod bucket_cors;
pub mod bucket_encryption;
pub mod bucket_lifecycle;
pub mod bucket_logging;
pub mod bucket_notification;
pub mod bucket_policy;
pub mod bucket_tagging;
pub mod bucket_versioning;
pub mod bucket_website;
pub mod complete_multipart_upload;
pub mod configure;
pub mod copy_object;
pub mod create_bucket;
pub mod create_multipart_upload;
pub mod delete_bucket;
pub mod delete_object;
pub mod delete_objects;
pub mod get_bucket_location;
pub mod get_object;
pub mod get_object_attributes;
pub mod head_bucket;
pub mod head_object;
pub mod list_buckets;
pub mod list_multipart_uploads;
pub mod list_object_versions;
pub mod list_objects;
pub mod list_objects_v2;
pub mod list_parts;
pub mod notices;
pub mod object_lock;
pub mod object_tagging;
pub mod ownership_controls;
pub mod post_object;
pub mod public_access_block;
pub mod put_object;
pub mod quotas;
pub mod request_payment;
pub mod restore_object;
pub mod unconfigured;
pub mod upload_part;
pub mod upload_part_copy;

use axum::body::Body;
use http::{Response, StatusCode};

/// A `204`: it is done, and there is nothing to tell of it.
fn no_content() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
