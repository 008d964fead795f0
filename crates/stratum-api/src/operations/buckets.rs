//! Operations on buckets, and those on the objects and uploads in a bucket whose path names the bucket alone.

use super::Handler::{Bucket, BucketBody, NewBucket};
use super::Need::{Here, OfEach};
use super::brought::{BYPASSING, CONDITIONS_ON_EACH, OF_A_NEW_BUCKET};
use super::objects::PUT_OBJECT;
use super::{Qualifier, Row, Scope};
use crate::ops;

const BUCKET: Scope = Scope::Bucket;

pub const ROWS: &[Row] = &[
    BUCKET
        .put("CreateBucket", &[Here("s3:CreateBucket")])
        .bringing(&[OF_A_NEW_BUCKET])
        .document()
        .does(NewBucket(|ctx, name, body| Box::pin(ops::create_bucket::handle(ctx, name, body)))),
    BUCKET.get("CreateSession", &[Here("s3express:CreateSession")]).at("session"),
    BUCKET
        .delete("DeleteBucket", &[Here("s3:DeleteBucket")])
        .does(Bucket(|ctx, bucket| Box::pin(ops::delete_bucket::handle(ctx, bucket)))),
    BUCKET
        .post("DeleteObjects", &[OfEach("s3:DeleteObject")])
        .bringing(&[CONDITIONS_ON_EACH, BYPASSING])
        .at("delete")
        .document()
        .does(BucketBody(|ctx, bucket, body| Box::pin(ops::delete_objects::handle(ctx, bucket, body)))),
    BUCKET
        .get("GetBucketAcl", &[Here("s3:GetBucketAcl")])
        .at("acl")
        .does(Bucket(|ctx, bucket| Box::pin(async { ops::acl::get_bucket(ctx, bucket) }))),
    BUCKET
        .get("GetBucketLocation", &[Here("s3:GetBucketLocation")])
        .at("location")
        .does(Bucket(|ctx, bucket| Box::pin(ops::get_bucket_location::handle(ctx, bucket)))),
    BUCKET
        .get("GetBucketVersioning", &[Here("s3:GetBucketVersioning")])
        .at("versioning")
        .does(Bucket(|ctx, bucket| Box::pin(ops::bucket_versioning::get(ctx, bucket)))),
    BUCKET
        .head("HeadBucket", &[Here("s3:ListBucket")])
        .does(Bucket(|ctx, bucket| Box::pin(ops::head_bucket::handle(ctx, bucket)))),
    BUCKET
        .get("ListObjectVersions", &[Here("s3:ListBucketVersions")])
        .at("versions")
        .takes(&["delimiter", "encoding-type", "key-marker", "max-keys", "prefix", "version-id-marker"])
        .does(Bucket(|ctx, bucket| Box::pin(ops::list_object_versions::handle(ctx, bucket)))),
    BUCKET
        .get("ListObjects", &[Here("s3:ListBucket")])
        .takes(&["delimiter", "encoding-type", "marker", "max-keys", "prefix", "list-type"])
        .does(Bucket(|ctx, bucket| Box::pin(ops::list_objects::handle(ctx, bucket)))),
    BUCKET
        .get("ListObjectsV2", &[Here("s3:ListBucket")])
        .at("list-type")
        .when(&[Qualifier::Value("list-type", "2")])
        .takes(&[
            "delimiter",
            "encoding-type",
            "max-keys",
            "prefix",
            "continuation-token",
            "fetch-owner",
            "start-after",
        ])
        .does(Bucket(|ctx, bucket| Box::pin(ops::list_objects_v2::handle(ctx, bucket)))),
    BUCKET
        .put("PutBucketAcl", &[Here("s3:PutBucketAcl")])
        .at("acl")
        .document()
        .does(BucketBody(|ctx, bucket, body| Box::pin(ops::acl::put_bucket(ctx, bucket, body)))),
    BUCKET.post("PostObject", &[OfEach("s3:PutObject")]).payload().does(BucketBody(|ctx, bucket, body| {
        Box::pin(ops::post_object::handle(ctx, bucket, body, &PUT_OBJECT.operation))
    })),
    BUCKET.options("Preflight", &[]),
    BUCKET
        .get("ListMultipartUploads", &[Here("s3:ListBucketMultipartUploads")])
        .at("uploads")
        .takes(&["delimiter", "encoding-type", "key-marker", "max-uploads", "prefix", "upload-id-marker"])
        .does(Bucket(|ctx, bucket| Box::pin(ops::list_multipart_uploads::handle(ctx, bucket)))),
];
