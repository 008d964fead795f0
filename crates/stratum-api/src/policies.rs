//! The policies of buckets, as documents that are kept.

use crate::documents::Document;
use crate::error::{Code, S3Error};
use stratum_metadata::record::{BucketRecord, DocumentKind};
use stratum_policy::Policy;

impl Document for Policy {
    const KIND: DocumentKind = DocumentKind::Policy;

    /// # Errors
    /// `AccessDenied` where it can't be judged, having been put by a server that knew more: nobody is let in by what is left of it.
    fn parse(text: &str, bucket: &BucketRecord) -> Result<Policy, S3Error> {
        Policy::parse(text.as_bytes(), &bucket.name).map_err(|error| {
            let cause = format!("the policy of the bucket {} can't be judged: {error}", bucket.name);
            S3Error::new(Code::AccessDenied).because(cause)
        })
    }
}
