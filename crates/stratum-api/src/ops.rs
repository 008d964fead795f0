//! The handlers of S3's operations: one file per operation, or per configuration that several operations read and
//! write. A file's first line has the operations' names in S3's API reference, whose page for each is
//! `https://docs.aws.amazon.com/AmazonS3/latest/API/API_NAME.html`.
//!
//! A file has a function `handle`, or one for each of its operations. It takes the
//! [`Context`](crate::context::Context), the bucket (which exists, and to which the caller has the operation's
//! rights), the key, and the request's body where the operation takes one; of the body nothing has been read yet.

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

/// The answer `204 No Content`.
fn no_content() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
