//! Operations on the service itself, and the one whose path names nothing of it.

use super::Handler::Service;
use super::Need::Here;
use super::{Method, Need, Operation, Place, Qualifier};
use crate::ops;

pub const ROWS: &[Operation] = &[
    get("ListBuckets", &[Here("s3:ListAllMyBuckets")])
        .takes(&["max-buckets", "continuation-token", "prefix", "bucket-region"])
        .does(Service(|ctx| Box::pin(ops::list_buckets::handle(ctx)))),
    get("ListDirectoryBuckets", &[Here("s3express:ListAllMyDirectoryBuckets")])
        .when(&[Qualifier::Parameter("max-directory-buckets")])
        .takes(&["continuation-token"]),
    Operation::new(
        Method::Post,
        Place::ObjectResponse,
        "WriteGetObjectResponse",
        &[Here("s3-object-lambda:WriteGetObjectResponse")],
    )
    .payload(),
];

const fn get(name: &'static str, needs: &'static [Need]) -> Operation {
    Operation::new(Method::Get, Place::Service, name, needs)
}
