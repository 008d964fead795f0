//! Operations on the service itself, and WriteGetObjectResponse, whose path names no bucket and no object.

use super::Handler::Service;
use super::Need::Here;
use super::{Qualifier, Row, Scope};
use crate::ops;

const SERVICE: Scope = Scope::Service;

pub const ROWS: &[Row] = &[
    SERVICE
        .get("ListBuckets", &[Here("s3:ListAllMyBuckets")])
        .takes(&["max-buckets", "continuation-token", "prefix", "bucket-region"])
        .does(Service(|ctx| Box::pin(ops::list_buckets::handle(ctx)))),
    SERVICE
        .get("ListDirectoryBuckets", &[Here("s3express:ListAllMyDirectoryBuckets")])
        .when(&[Qualifier::Parameter("max-directory-buckets")])
        .takes(&["continuation-token"]),
    Scope::ObjectResponse
        .post("WriteGetObjectResponse", &[Here("s3-object-lambda:WriteGetObjectResponse")])
        .payload(),
];
