//! Operations on multipart uploads.

use super::Handler::{Object, ObjectBody};
use super::Need::{Here, OfSource};
use super::brought::{CONDITIONS, OF_A_VERSION};
use super::{Qualifier, Row, Scope};
use crate::ops;

const OBJECT: Scope = Scope::Object;

pub const ROWS: &[Row] = &[
    OBJECT
        .delete("AbortMultipartUpload", &[Here("s3:AbortMultipartUpload")])
        .at("uploadId")
        .does(Object(|ctx, bucket, key| Box::pin(ops::abort_multipart_upload::handle(ctx, bucket, key)))),
    OBJECT
        .post("CompleteMultipartUpload", &[Here("s3:PutObject")])
        .at("uploadId")
        .bringing(&[CONDITIONS])
        .document()
        .does(ObjectBody(|ctx, bucket, key, body| {
            Box::pin(ops::complete_multipart_upload::handle(ctx, bucket, key, body))
        })),
    OBJECT
        .post("CreateMultipartUpload", &[Here("s3:PutObject")])
        .at("uploads")
        .bringing(&[OF_A_VERSION])
        .does(Object(|ctx, bucket, key| Box::pin(ops::create_multipart_upload::handle(ctx, bucket, key)))),
    OBJECT
        .get("ListParts", &[Here("s3:ListMultipartUploadParts")])
        .at("uploadId")
        .takes(&["max-parts", "part-number-marker"])
        .does(Object(|ctx, bucket, key| Box::pin(ops::list_parts::handle(ctx, bucket, key)))),
    OBJECT.put("UploadPart", &[Here("s3:PutObject")]).at("uploadId").takes(&["partNumber"]).payload().does(
        ObjectBody(|ctx, bucket, key, body| Box::pin(ops::upload_part::handle(ctx, bucket, key, body))),
    ),
    OBJECT
        .put("UploadPartCopy", &[Here("s3:PutObject"), OfSource("s3:GetObject")])
        .at("uploadId")
        .when(&[Qualifier::Header("x-amz-copy-source")])
        .takes(&["partNumber"])
        .does(Object(|ctx, bucket, key| Box::pin(ops::upload_part_copy::handle(ctx, bucket, key)))),
];
