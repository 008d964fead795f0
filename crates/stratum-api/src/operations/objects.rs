//! Operations on objects, and on their tags, access control lists and locks.

use super::Handler::{Object, ObjectBody};
use super::Need::{Here, OfSource};
use super::brought::{BYPASSING, CONDITIONS, CONDITIONS_OF_DELETION, OF_A_COPY, OF_A_VERSION};
use super::{Qualifier, Row, Scope};
use crate::ops;

/// The query parameters that GetObject and HeadObject take.
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

const OBJECT: Scope = Scope::Object;

/// Apart from the list, since PostObject is judged and carried out as a PutObject.
pub const PUT_OBJECT: Row = OBJECT
    .put("PutObject", &[Here("s3:PutObject")])
    .bringing(&[OF_A_VERSION, CONDITIONS])
    .payload()
    .does(ObjectBody(|ctx, bucket, key, body| Box::pin(ops::put_object::handle(ctx, bucket, key, body))));

pub const ROWS: &[Row] = &[
    OBJECT
        .put("CopyObject", &[Here("s3:PutObject"), OfSource("s3:GetObject")])
        .when(&[Qualifier::Header("x-amz-copy-source")])
        .bringing(&[OF_A_VERSION, OF_A_COPY, CONDITIONS])
        .does(Object(|ctx, bucket, key| Box::pin(ops::copy_object::handle(ctx, bucket, key)))),
    OBJECT
        .delete("DeleteObject", &[Here("s3:DeleteObject")])
        .bringing(&[CONDITIONS_OF_DELETION, BYPASSING])
        .takes(&["versionId"])
        .does(Object(|ctx, bucket, key| Box::pin(ops::delete_object::handle(ctx, bucket, key)))),
    OBJECT
        .delete("DeleteObjectAnnotation", &[Here("s3:DeleteObjectAnnotation")])
        .at("annotation")
        .takes(&["annotationName", "versionId"]),
    OBJECT
        .delete("DeleteObjectTagging", &[Here("s3:DeleteObjectTagging")])
        .at("tagging")
        .takes(&["versionId"])
        .does(Object(|ctx, bucket, key| Box::pin(ops::object_tagging::delete(ctx, bucket, key)))),
    OBJECT
        .get("GetObject", &[Here("s3:GetObject")])
        .takes(READ_PARAMETERS)
        .does(Object(|ctx, bucket, key| Box::pin(ops::get_object::handle(ctx, bucket, key)))),
    OBJECT
        .get("GetObjectAcl", &[Here("s3:GetObjectAcl")])
        .at("acl")
        .takes(&["versionId"])
        .does(Object(|ctx, bucket, key| Box::pin(async { ops::acl::get_object(ctx, bucket, key) }))),
    OBJECT
        .get("GetObjectAnnotation", &[Here("s3:GetObjectAnnotation")])
        .at("annotation")
        .when(&[Qualifier::Parameter("annotationName")])
        .takes(&["versionId"]),
    OBJECT
        .get("GetObjectAttributes", &[Here("s3:GetObject"), Here("s3:GetObjectAttributes")])
        .at("attributes")
        .takes(&["versionId"])
        .does(Object(|ctx, bucket, key| Box::pin(ops::get_object_attributes::handle(ctx, bucket, key)))),
    OBJECT
        .get("GetObjectLegalHold", &[Here("s3:GetObjectLegalHold")])
        .at("legal-hold")
        .takes(&["versionId"])
        .does(Object(|ctx, bucket, key| Box::pin(ops::object_lock::get_legal_hold(ctx, bucket, key)))),
    OBJECT
        .get("GetObjectRetention", &[Here("s3:GetObjectRetention")])
        .at("retention")
        .takes(&["versionId"])
        .does(Object(|ctx, bucket, key| Box::pin(ops::object_lock::get_retention(ctx, bucket, key)))),
    OBJECT
        .get("GetObjectTagging", &[Here("s3:GetObjectTagging")])
        .at("tagging")
        .takes(&["versionId"])
        .does(Object(|ctx, bucket, key| Box::pin(ops::object_tagging::get(ctx, bucket, key)))),
    OBJECT.get("GetObjectTorrent", &[Here("s3:GetObjectTorrent")]).at("torrent"),
    OBJECT
        .head("HeadObject", &[Here("s3:GetObject")])
        .takes(READ_PARAMETERS)
        .does(Object(|ctx, bucket, key| Box::pin(ops::head_object::handle(ctx, bucket, key)))),
    OBJECT.get("ListObjectAnnotations", &[Here("s3:ListObjectAnnotations")]).at("annotation").takes(&[
        "versionId",
        "max-annotation-results",
        "annotation-prefix",
        "continuation-token",
    ]),
    PUT_OBJECT,
    OBJECT
        .put("PutObjectAcl", &[Here("s3:PutObjectAcl")])
        .at("acl")
        .takes(&["versionId"])
        .document()
        .does(ObjectBody(|ctx, bucket, key, body| Box::pin(ops::acl::put_object(ctx, bucket, key, body)))),
    OBJECT
        .put("PutObjectAnnotation", &[Here("s3:PutObjectAnnotation")])
        .at("annotation")
        .takes(&["versionId", "annotationName"])
        .payload(),
    OBJECT
        .put("PutObjectLegalHold", &[Here("s3:PutObjectLegalHold")])
        .at("legal-hold")
        .takes(&["versionId"])
        .document()
        .does(ObjectBody(|ctx, bucket, key, body| {
            Box::pin(ops::object_lock::put_legal_hold(ctx, bucket, key, body))
        })),
    OBJECT
        .put("PutObjectRetention", &[Here("s3:PutObjectRetention")])
        .bringing(&[BYPASSING])
        .at("retention")
        .takes(&["versionId"])
        .document()
        .does(ObjectBody(|ctx, bucket, key, body| {
            Box::pin(ops::object_lock::put_retention(ctx, bucket, key, body))
        })),
    OBJECT
        .put("PutObjectTagging", &[Here("s3:PutObjectTagging")])
        .at("tagging")
        .takes(&["versionId"])
        .document()
        .does(ObjectBody(|ctx, bucket, key, body| {
            Box::pin(ops::object_tagging::put(ctx, bucket, key, body))
        })),
    OBJECT.put("RenameObject", &[Here("s3express:CreateSession")]).at("renameObject"),
    OBJECT
        .post("RestoreObject", &[Here("s3:RestoreObject")])
        .at("restore")
        .takes(&["versionId"])
        .document()
        .does(ObjectBody(|ctx, bucket, key, _| Box::pin(ops::restore_object::handle(ctx, bucket, key)))),
    OBJECT
        .post("SelectObjectContent", &[Here("s3:GetObject")])
        .at("select")
        .takes(&["select-type"])
        .document(),
    OBJECT
        .put("UpdateObjectEncryption", &[Here("s3:UpdateObjectEncryption")])
        .at("encryption")
        .takes(&["versionId"])
        .document(),
    OBJECT.options("Preflight", &[]),
];
