//! Requests about buckets.

use super::client::{Call, Client, S3Error};
use super::documents::moment;
use super::refusal::Kind;
use http::Method;
use serde::Deserialize;
use time::OffsetDateTime;

/// A bucket in the list of all.
#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "PascalCase")]
pub struct Bucket {
    pub name: String,
    #[serde(deserialize_with = "moment")]
    pub creation_date: OffsetDateTime,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AllBuckets {
    #[serde(default)]
    buckets: Buckets,
}

#[derive(Deserialize, Default)]
struct Buckets {
    #[serde(rename = "Bucket", default)]
    buckets: Vec<Bucket>,
}

impl Client {
    /// All buckets of the key's owner.
    pub async fn buckets(&self) -> Result<Vec<Bucket>, S3Error> {
        let all: AllBuckets = self.ask(Call::new(Method::GET, "", "")).await?;
        Ok(all.buckets.buckets)
    }

    /// Makes a bucket in the connection's region.
    pub async fn make_bucket(&self, bucket: &str, is_locked: bool) -> Result<(), S3Error> {
        let region = &self.connection().region;
        let mut call = Call::new(Method::PUT, bucket, "");
        // S3 refuses `us-east-1` as a location constraint.
        if region != "us-east-1" {
            let region = super::documents::escaped(region);
            let document = format!(
                "<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
            );
            call = call.body(document.into());
        }
        if is_locked {
            call = call.header("x-amz-bucket-object-lock-enabled", "true");
        }
        self.tell(call).await.map(drop)
    }

    /// Enables versioning of a bucket.
    pub async fn version_bucket(&self, bucket: &str) -> Result<(), S3Error> {
        let document = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
        let call = Call::new(Method::PUT, bucket, "").query("versioning", "").body(document.into());
        self.tell(call).await.map(drop)
    }

    /// Removes an empty bucket.
    pub async fn remove_bucket(&self, bucket: &str) -> Result<(), S3Error> {
        match self.tell(Call::new(Method::DELETE, bucket, "")).await {
            // The request before it, whose answer was lost, removed it.
            Err(S3Error::Refused(refusal)) if refusal.is_of_repeat && refusal.kind == Kind::NoBucket => {
                Ok(())
            }
            told => told.map(drop),
        }
    }

    /// Succeeds if the bucket is there and may be read.
    pub async fn look_at_bucket(&self, bucket: &str) -> Result<(), S3Error> {
        self.tell(Call::new(Method::HEAD, bucket, "")).await.map(drop)
    }
}
