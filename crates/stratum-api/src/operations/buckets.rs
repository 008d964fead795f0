//! Operations on buckets and what they hold.

use super::Handler::{Bucket, BucketBody, NewBucket};
use super::Need::{Here, OfEach};
use super::{Method, Need, Operation, Place, Qualifier};
use crate::ops;

pub const ROWS: &[Operation] = &[
    put("CreateBucket", &[Here("s3:CreateBucket")])
        .document()
        .does(NewBucket(|ctx, name, body| Box::pin(ops::create_bucket::handle(ctx, name, body)))),
    get("CreateSession", &[Here("s3express:CreateSession")]).at("session"),
    delete("DeleteBucket", &[Here("s3:DeleteBucket")])
        .does(Bucket(|ctx, bucket| Box::pin(ops::delete_bucket::handle(ctx, bucket)))),
    post("DeleteObjects", &[OfEach("s3:DeleteObject")])
        .at("delete")
        .document()
        .does(BucketBody(|ctx, bucket, body| Box::pin(ops::delete_objects::handle(ctx, bucket, body)))),
    get("GetBucketAcl", &[Here("s3:GetBucketAcl")])
        .at("acl")
        .does(Bucket(|ctx, bucket| Box::pin(async { ops::acl::get(ctx, bucket, None) }))),
    get("GetBucketLocation", &[Here("s3:GetBucketLocation")])
        .at("location")
        .does(Bucket(|ctx, bucket| Box::pin(ops::get_bucket_location::handle(ctx, bucket)))),
    get("GetBucketVersioning", &[Here("s3:GetBucketVersioning")])
        .at("versioning")
        .does(Bucket(|ctx, bucket| Box::pin(ops::get_bucket_versioning::handle(ctx, bucket)))),
    head("HeadBucket", &[Here("s3:ListBucket")])
        .does(Bucket(|ctx, bucket| Box::pin(ops::head_bucket::handle(ctx, bucket)))),
    get("ListObjectVersions", &[Here("s3:ListBucketVersions")])
        .at("versions")
        .takes(&["delimiter", "encoding-type", "key-marker", "max-keys", "prefix", "version-id-marker"])
        .does(Bucket(|ctx, bucket| Box::pin(ops::list_object_versions::handle(ctx, bucket)))),
    get("ListObjects", &[Here("s3:ListBucket")])
        .takes(&["delimiter", "encoding-type", "marker", "max-keys", "prefix", "list-type"])
        .does(Bucket(|ctx, bucket| Box::pin(ops::list_objects::handle(ctx, bucket)))),
    get("ListObjectsV2", &[Here("s3:ListBucket")])
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
    put("PutBucketAcl", &[Here("s3:PutBucketAcl")])
        .at("acl")
        .document()
        .does(BucketBody(|ctx, bucket, body| Box::pin(ops::acl::put(ctx, bucket, None, body)))),
    post("PostObject", &[Here("s3:PutObject")]).payload(),
    options("Preflight", &[]),
    get("ListMultipartUploads", &[Here("s3:ListBucketMultipartUploads")])
        .at("uploads")
        .takes(&["delimiter", "encoding-type", "key-marker", "max-uploads", "prefix", "upload-id-marker"])
        .does(Bucket(|ctx, bucket| Box::pin(ops::list_multipart_uploads::handle(ctx, bucket)))),
];

const fn get(name: &'static str, needs: &'static [Need]) -> Operation {
    Operation::new(Method::Get, Place::Bucket, name, needs)
}

const fn head(name: &'static str, needs: &'static [Need]) -> Operation {
    Operation::new(Method::Head, Place::Bucket, name, needs)
}

const fn put(name: &'static str, needs: &'static [Need]) -> Operation {
    Operation::new(Method::Put, Place::Bucket, name, needs)
}

const fn post(name: &'static str, needs: &'static [Need]) -> Operation {
    Operation::new(Method::Post, Place::Bucket, name, needs)
}

const fn delete(name: &'static str, needs: &'static [Need]) -> Operation {
    Operation::new(Method::Delete, Place::Bucket, name, needs)
}

const fn options(name: &'static str, needs: &'static [Need]) -> Operation {
    Operation::new(Method::Options, Place::Bucket, name, needs)
}
