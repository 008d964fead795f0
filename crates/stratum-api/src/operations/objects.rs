//! Operations on objects and what belongs to them.

use super::Handler::{Object, ObjectBody};
use super::Need::{Here, OfSource};
use super::{Method, Need, Operation, Place, Qualifier};
use crate::ops;

/// What GET and HEAD know.
const READ_PARAMETERS: &[&str] = &[
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "versionId",
    "partNumber",
];

pub const ROWS: &[Operation] = &[
    put("CopyObject", &[Here("s3:PutObject"), OfSource("s3:GetObject")])
        .when(&[Qualifier::Header("x-amz-copy-source")])
        .does(Object(|ctx, bucket, key| Box::pin(ops::copy_object::handle(ctx, bucket, key)))),
    delete("DeleteObject", &[Here("s3:DeleteObject")])
        .takes(&["versionId"])
        .does(Object(|ctx, bucket, key| Box::pin(ops::delete_object::handle(ctx, bucket, key)))),
    delete("DeleteObjectAnnotation", &[Here("s3:DeleteObjectAnnotation")])
        .at("annotation")
        .takes(&["annotationName", "versionId"]),
    delete("DeleteObjectTagging", &[Here("s3:DeleteObjectTagging")]).at("tagging").takes(&["versionId"]),
    get("GetObject", &[Here("s3:GetObject")])
        .takes(READ_PARAMETERS)
        .does(Object(|ctx, bucket, key| Box::pin(ops::get_object::handle(ctx, bucket, key)))),
    get("GetObjectAcl", &[Here("s3:GetObjectAcl")])
        .at("acl")
        .takes(&["versionId"])
        .does(Object(|ctx, bucket, key| Box::pin(async { ops::acl::get(ctx, bucket, Some(key)) }))),
    get("GetObjectAnnotation", &[Here("s3:GetObjectAnnotation")])
        .at("annotation")
        .when(&[Qualifier::Parameter("annotationName")])
        .takes(&["versionId"]),
    get("GetObjectAttributes", &[Here("s3:GetObject"), Here("s3:GetObjectAttributes")])
        .at("attributes")
        .takes(&["versionId"])
        .does(Object(|ctx, bucket, key| Box::pin(ops::get_object_attributes::handle(ctx, bucket, key)))),
    get("GetObjectLegalHold", &[Here("s3:GetObjectLegalHold")]).at("legal-hold").takes(&["versionId"]),
    get("GetObjectRetention", &[Here("s3:GetObjectRetention")]).at("retention").takes(&["versionId"]),
    get("GetObjectTagging", &[Here("s3:GetObjectTagging")]).at("tagging").takes(&["versionId"]),
    get("GetObjectTorrent", &[Here("s3:GetObjectTorrent")]).at("torrent"),
    head("HeadObject", &[Here("s3:GetObject")])
        .takes(READ_PARAMETERS)
        .does(Object(|ctx, bucket, key| Box::pin(ops::head_object::handle(ctx, bucket, key)))),
    get("ListObjectAnnotations", &[Here("s3:ListObjectAnnotations")]).at("annotation").takes(&[
        "versionId",
        "max-annotation-results",
        "annotation-prefix",
        "continuation-token",
    ]),
    put("PutObject", &[Here("s3:PutObject")])
        .payload()
        .does(ObjectBody(|ctx, bucket, key, body| Box::pin(ops::put_object::handle(ctx, bucket, key, body)))),
    put("PutObjectAcl", &[Here("s3:PutObjectAcl")])
        .at("acl")
        .takes(&["versionId"])
        .document()
        .does(ObjectBody(|ctx, bucket, key, body| Box::pin(ops::acl::put(ctx, bucket, Some(key), body)))),
    put("PutObjectAnnotation", &[Here("s3:PutObjectAnnotation")])
        .at("annotation")
        .takes(&["versionId", "annotationName"])
        .payload(),
    put("PutObjectLegalHold", &[Here("s3:PutObjectLegalHold")])
        .at("legal-hold")
        .takes(&["versionId"])
        .document(),
    put("PutObjectRetention", &[Here("s3:PutObjectRetention")])
        .at("retention")
        .takes(&["versionId"])
        .document(),
    put("PutObjectTagging", &[Here("s3:PutObjectTagging")]).at("tagging").takes(&["versionId"]).document(),
    put("RenameObject", &[Here("s3express:CreateSession")]).at("renameObject"),
    post("RestoreObject", &[Here("s3:RestoreObject")]).at("restore").takes(&["versionId"]).document(),
    post("SelectObjectContent", &[Here("s3:GetObject")]).at("select").takes(&["select-type"]).document(),
    put("UpdateObjectEncryption", &[Here("s3:UpdateObjectEncryption")])
        .at("encryption")
        .takes(&["versionId"])
        .document(),
    options("Preflight", &[]),
];

const fn get(name: &'static str, needs: &'static [Need]) -> Operation {
    Operation::new(Method::Get, Place::Object, name, needs)
}

const fn head(name: &'static str, needs: &'static [Need]) -> Operation {
    Operation::new(Method::Head, Place::Object, name, needs)
}

const fn put(name: &'static str, needs: &'static [Need]) -> Operation {
    Operation::new(Method::Put, Place::Object, name, needs)
}

const fn post(name: &'static str, needs: &'static [Need]) -> Operation {
    Operation::new(Method::Post, Place::Object, name, needs)
}

const fn delete(name: &'static str, needs: &'static [Need]) -> Operation {
    Operation::new(Method::Delete, Place::Object, name, needs)
}

const fn options(name: &'static str, needs: &'static [Need]) -> Operation {
    Operation::new(Method::Options, Place::Object, name, needs)
}
