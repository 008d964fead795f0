//! The policies of buckets, as one kind of the documents that buckets have.

use crate::documents::Document;
use crate::error::{Code, S3Error};
use stratum_metadata::record::{BucketRecord, DocumentKind};
use stratum_policy::Policy;

impl Document for Policy {
    const KIND: DocumentKind = DocumentKind::Policy;

    /// # Errors
    /// `AccessDenied` for a policy that this server can't read, because a newer server took it: to judge by the
    /// statements that are understood might let in somebody whom the others deny.
    fn parse(text: &str, bucket: &BucketRecord) -> Result<Policy, S3Error> {
        Policy::parse(text.as_bytes(), &bucket.name).map_err(|error| {
            let cause = format!("the policy of the bucket {} can't be judged: {error}", bucket.name);
            S3Error::new(Code::AccessDenied).because(cause)
        })
    }
}
