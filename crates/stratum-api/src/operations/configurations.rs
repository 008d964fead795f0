//! The configurations of a bucket, each behind its subresource. None of them is built.

use super::Need::Here;
use super::{Method, Need, Operation, Place, Qualifier};

pub const ROWS: &[Operation] = &[
    get("GetBucketAbac", &[Here("s3:GetBucketAbac")]).at("abac"),
    put("PutBucketAbac", &[Here("s3:PutBucketAbac")]).at("abac").document(),
    get("GetBucketAccelerateConfiguration", &[Here("s3:GetAccelerateConfiguration")]).at("accelerate"),
    put("PutBucketAccelerateConfiguration", &[Here("s3:PutAccelerateConfiguration")])
        .at("accelerate")
        .document(),
    delete("DeleteBucketAnalyticsConfiguration", &[Here("s3:PutAnalyticsConfiguration")])
        .at("analytics")
        .takes(&["id"]),
    get("GetBucketAnalyticsConfiguration", &[Here("s3:GetAnalyticsConfiguration")])
        .at("analytics")
        .when(&[Qualifier::Parameter("id")]),
    get("ListBucketAnalyticsConfigurations", &[Here("s3:GetAnalyticsConfiguration")])
        .at("analytics")
        .takes(&["continuation-token"]),
    put("PutBucketAnalyticsConfiguration", &[Here("s3:PutAnalyticsConfiguration")])
        .at("analytics")
        .takes(&["id"])
        .document(),
    delete("DeleteBucketCors", &[Here("s3:PutBucketCORS")]).at("cors"),
    get("GetBucketCors", &[Here("s3:GetBucketCORS")]).at("cors"),
    put("PutBucketCors", &[Here("s3:PutBucketCORS")]).at("cors").document(),
    delete("DeleteBucketEncryption", &[Here("s3:PutEncryptionConfiguration")]).at("encryption"),
    get("GetBucketEncryption", &[Here("s3:GetEncryptionConfiguration")]).at("encryption"),
    put("PutBucketEncryption", &[Here("s3:PutEncryptionConfiguration")]).at("encryption").document(),
    delete("DeleteBucketIntelligentTieringConfiguration", &[Here("s3:PutIntelligentTieringConfiguration")])
        .at("intelligent-tiering")
        .takes(&["id"]),
    get("GetBucketIntelligentTieringConfiguration", &[Here("s3:GetIntelligentTieringConfiguration")])
        .at("intelligent-tiering")
        .when(&[Qualifier::Parameter("id")]),
    get("ListBucketIntelligentTieringConfigurations", &[Here("s3:GetIntelligentTieringConfiguration")])
        .at("intelligent-tiering")
        .takes(&["continuation-token"]),
    put("PutBucketIntelligentTieringConfiguration", &[Here("s3:PutIntelligentTieringConfiguration")])
        .at("intelligent-tiering")
        .takes(&["id"])
        .document(),
    delete("DeleteBucketInventoryConfiguration", &[Here("s3:PutInventoryConfiguration")])
        .at("inventory")
        .takes(&["id"]),
    get("GetBucketInventoryConfiguration", &[Here("s3:GetInventoryConfiguration")])
        .at("inventory")
        .when(&[Qualifier::Parameter("id")]),
    get("ListBucketInventoryConfigurations", &[Here("s3:GetInventoryConfiguration")])
        .at("inventory")
        .takes(&["continuation-token"]),
    put("PutBucketInventoryConfiguration", &[Here("s3:PutInventoryConfiguration")])
        .at("inventory")
        .takes(&["id"])
        .document(),
    delete("DeleteBucketLifecycle", &[Here("s3:PutLifecycleConfiguration")]).at("lifecycle"),
    get("GetBucketLifecycleConfiguration", &[Here("s3:GetLifecycleConfiguration")])
        .at("lifecycle")
        .formerly("GetBucketLifecycle"),
    put("PutBucketLifecycleConfiguration", &[Here("s3:PutLifecycleConfiguration")])
        .at("lifecycle")
        .document()
        .formerly("PutBucketLifecycle"),
    get("GetBucketLogging", &[Here("s3:GetBucketLogging")]).at("logging"),
    put("PutBucketLogging", &[Here("s3:PutBucketLogging")]).at("logging").document(),
    put(
        "UpdateBucketMetadataAnnotationTableConfiguration",
        &[Here("s3:UpdateBucketMetadataAnnotationTableConfiguration")],
    )
    .at("metadataAnnotationTable")
    .document(),
    post("CreateBucketMetadataConfiguration", &[Here("s3:CreateBucketMetadataTableConfiguration")])
        .at("metadataConfiguration")
        .document(),
    delete("DeleteBucketMetadataConfiguration", &[Here("s3:DeleteBucketMetadataTableConfiguration")])
        .at("metadataConfiguration"),
    get("GetBucketMetadataConfiguration", &[Here("s3:GetBucketMetadataTableConfiguration")])
        .at("metadataConfiguration"),
    put(
        "UpdateBucketMetadataInventoryTableConfiguration",
        &[Here("s3:UpdateBucketMetadataInventoryTableConfiguration")],
    )
    .at("metadataInventoryTable")
    .document(),
    put(
        "UpdateBucketMetadataJournalTableConfiguration",
        &[Here("s3:UpdateBucketMetadataJournalTableConfiguration")],
    )
    .at("metadataJournalTable")
    .document(),
    post("CreateBucketMetadataTableConfiguration", &[Here("s3:CreateBucketMetadataTableConfiguration")])
        .at("metadataTable")
        .document(),
    delete("DeleteBucketMetadataTableConfiguration", &[Here("s3:DeleteBucketMetadataTableConfiguration")])
        .at("metadataTable"),
    get("GetBucketMetadataTableConfiguration", &[Here("s3:GetBucketMetadataTableConfiguration")])
        .at("metadataTable"),
    delete("DeleteBucketMetricsConfiguration", &[Here("s3:PutMetricsConfiguration")])
        .at("metrics")
        .takes(&["id"]),
    get("GetBucketMetricsConfiguration", &[Here("s3:GetMetricsConfiguration")])
        .at("metrics")
        .when(&[Qualifier::Parameter("id")]),
    get("ListBucketMetricsConfigurations", &[Here("s3:GetMetricsConfiguration")])
        .at("metrics")
        .takes(&["continuation-token"]),
    put("PutBucketMetricsConfiguration", &[Here("s3:PutMetricsConfiguration")])
        .at("metrics")
        .takes(&["id"])
        .document(),
    get("GetBucketNotificationConfiguration", &[Here("s3:GetBucketNotification")])
        .at("notification")
        .formerly("GetBucketNotification"),
    put("PutBucketNotificationConfiguration", &[Here("s3:PutBucketNotification")])
        .at("notification")
        .document()
        .formerly("PutBucketNotification"),
    get("GetObjectLockConfiguration", &[Here("s3:GetBucketObjectLockConfiguration")]).at("object-lock"),
    put("PutObjectLockConfiguration", &[Here("s3:PutBucketObjectLockConfiguration")])
        .at("object-lock")
        .document(),
    delete("DeleteBucketOwnershipControls", &[Here("s3:PutBucketOwnershipControls")]).at("ownershipControls"),
    get("GetBucketOwnershipControls", &[Here("s3:GetBucketOwnershipControls")]).at("ownershipControls"),
    put("PutBucketOwnershipControls", &[Here("s3:PutBucketOwnershipControls")])
        .at("ownershipControls")
        .document(),
    delete("DeleteBucketPolicy", &[Here("s3:DeleteBucketPolicy")]).at("policy"),
    get("GetBucketPolicy", &[Here("s3:GetBucketPolicy")]).at("policy"),
    put("PutBucketPolicy", &[Here("s3:PutBucketPolicy")]).at("policy").document(),
    get("GetBucketPolicyStatus", &[Here("s3:GetBucketPolicyStatus")]).at("policyStatus"),
    delete("DeletePublicAccessBlock", &[Here("s3:PutBucketPublicAccessBlock")]).at("publicAccessBlock"),
    get("GetPublicAccessBlock", &[Here("s3:GetBucketPublicAccessBlock")]).at("publicAccessBlock"),
    put("PutPublicAccessBlock", &[Here("s3:PutBucketPublicAccessBlock")]).at("publicAccessBlock").document(),
    delete("DeleteBucketReplication", &[Here("s3:PutReplicationConfiguration")]).at("replication"),
    get("GetBucketReplication", &[Here("s3:GetReplicationConfiguration")]).at("replication"),
    put("PutBucketReplication", &[Here("s3:PutReplicationConfiguration")]).at("replication").document(),
    get("GetBucketRequestPayment", &[Here("s3:GetBucketRequestPayment")]).at("requestPayment"),
    put("PutBucketRequestPayment", &[Here("s3:PutBucketRequestPayment")]).at("requestPayment").document(),
    delete("DeleteBucketTagging", &[Here("s3:PutBucketTagging")]).at("tagging"),
    get("GetBucketTagging", &[Here("s3:GetBucketTagging")]).at("tagging"),
    put("PutBucketTagging", &[Here("s3:PutBucketTagging")]).at("tagging").document(),
    put("PutBucketVersioning", &[Here("s3:PutBucketVersioning")]).at("versioning").document(),
    delete("DeleteBucketWebsite", &[Here("s3:DeleteBucketWebsite")]).at("website"),
    get("GetBucketWebsite", &[Here("s3:GetBucketWebsite")]).at("website"),
    put("PutBucketWebsite", &[Here("s3:PutBucketWebsite")]).at("website").document(),
];

const fn get(name: &'static str, needs: &'static [Need]) -> Operation {
    Operation::new(Method::Get, Place::Bucket, name, needs)
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
