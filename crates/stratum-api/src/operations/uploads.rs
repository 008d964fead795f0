//! Operations on multipart uploads.

use super::Handler::{Object, ObjectBody};
use super::Need::{Here, OfSource};
use super::{Method, Need, Operation, Place, Qualifier};
use crate::ops;

pub const ROWS: &[Operation] = &[
    delete("AbortMultipartUpload", &[Here("s3:AbortMultipartUpload")])
        .at("uploadId")
        .does(Object(|ctx, bucket, key| Box::pin(ops::abort_multipart_upload::handle(ctx, bucket, key)))),
    post("CompleteMultipartUpload", &[Here("s3:PutObject")]).at("uploadId").document().does(ObjectBody(
        |ctx, bucket, key, body| Box::pin(ops::complete_multipart_upload::handle(ctx, bucket, key, body)),
    )),
    post("CreateMultipartUpload", &[Here("s3:PutObject")])
        .at("uploads")
        .does(Object(|ctx, bucket, key| Box::pin(ops::create_multipart_upload::handle(ctx, bucket, key)))),
    get("ListParts", &[Here("s3:ListMultipartUploadParts")])
        .at("uploadId")
        .takes(&["max-parts", "part-number-marker"])
        .does(Object(|ctx, bucket, key| Box::pin(ops::list_parts::handle(ctx, bucket, key)))),
    put("UploadPart", &[Here("s3:PutObject")]).at("uploadId").takes(&["partNumber"]).payload().does(
        ObjectBody(|ctx, bucket, key, body| Box::pin(ops::upload_part::handle(ctx, bucket, key, body))),
    ),
    put("UploadPartCopy", &[Here("s3:PutObject"), OfSource("s3:GetObject")])
        .at("uploadId")
        .when(&[Qualifier::Header("x-amz-copy-source")])
        .takes(&["partNumber"])
        .does(Object(|ctx, bucket, key| Box::pin(ops::upload_part_copy::handle(ctx, bucket, key)))),
];

const fn get(name: &'static str, needs: &'static [Need]) -> Operation {
    Operation::new(Method::Get, Place::Object, name, needs)
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
