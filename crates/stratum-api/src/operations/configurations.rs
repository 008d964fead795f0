//! Operations on the configurations of a bucket, each of which has a subresource. A row without a handler isn't
//! implemented.

use super::Handler::{Bucket, BucketBody};
use super::Need::Here;
use super::{Qualifier, Row, Scope};
use crate::error::Code;
use crate::ops;

const BUCKET: Scope = Scope::Bucket;

pub const ROWS: &[Row] = &[
    BUCKET.get("GetBucketAbac", &[Here("s3:GetBucketAbac")]).at("abac"),
    BUCKET.put("PutBucketAbac", &[Here("s3:PutBucketAbac")]).at("abac").document(),
    BUCKET
        .get("GetBucketAccelerateConfiguration", &[Here("s3:GetAccelerateConfiguration")])
        .at("accelerate")
        .does(Bucket(|_, _| Box::pin(async { ops::unconfigured::empty("AccelerateConfiguration") }))),
    BUCKET
        .put("PutBucketAccelerateConfiguration", &[Here("s3:PutAccelerateConfiguration")])
        .at("accelerate")
        .document()
        .does(BucketBody(|ctx, bucket, body| {
            Box::pin(ops::unconfigured::put(
                ctx,
                bucket,
                body,
                "AccelerateConfiguration",
                "Transfer acceleration",
            ))
        })),
    BUCKET
        .delete("DeleteBucketAnalyticsConfiguration", &[Here("s3:PutAnalyticsConfiguration")])
        .at("analytics")
        .takes(&["id"])
        .does(Bucket(|_, _| Box::pin(async { ops::unconfigured::absent(Code::NoSuchConfiguration) }))),
    BUCKET
        .get("GetBucketAnalyticsConfiguration", &[Here("s3:GetAnalyticsConfiguration")])
        .at("analytics")
        .when(&[Qualifier::Parameter("id")])
        .does(Bucket(|_, _| Box::pin(async { ops::unconfigured::absent(Code::NoSuchConfiguration) }))),
    BUCKET
        .get("ListBucketAnalyticsConfigurations", &[Here("s3:GetAnalyticsConfiguration")])
        .at("analytics")
        .takes(&["continuation-token"])
        .does(Bucket(|_, _| {
            Box::pin(async { ops::unconfigured::none("ListBucketAnalyticsConfigurationsResult") })
        })),
    BUCKET
        .put("PutBucketAnalyticsConfiguration", &[Here("s3:PutAnalyticsConfiguration")])
        .at("analytics")
        .takes(&["id"])
        .document(),
    BUCKET
        .delete("DeleteBucketCors", &[Here("s3:PutBucketCORS")])
        .at("cors")
        .does(Bucket(|ctx, bucket| Box::pin(ops::bucket_cors::delete(ctx, bucket)))),
    BUCKET
        .get("GetBucketCors", &[Here("s3:GetBucketCORS")])
        .at("cors")
        .does(Bucket(|ctx, bucket| Box::pin(ops::bucket_cors::get(ctx, bucket)))),
    BUCKET
        .put("PutBucketCors", &[Here("s3:PutBucketCORS")])
        .at("cors")
        .document()
        .does(BucketBody(|ctx, bucket, body| Box::pin(ops::bucket_cors::put(ctx, bucket, body)))),
    BUCKET
        .delete("DeleteBucketEncryption", &[Here("s3:PutEncryptionConfiguration")])
        .at("encryption")
        .does(Bucket(|ctx, bucket| Box::pin(ops::bucket_encryption::delete(ctx, bucket)))),
    BUCKET
        .get("GetBucketEncryption", &[Here("s3:GetEncryptionConfiguration")])
        .at("encryption")
        .does(Bucket(|ctx, bucket| Box::pin(ops::bucket_encryption::get(ctx, bucket)))),
    BUCKET
        .put("PutBucketEncryption", &[Here("s3:PutEncryptionConfiguration")])
        .at("encryption")
        .document()
        .does(BucketBody(|ctx, bucket, body| Box::pin(ops::bucket_encryption::put(ctx, bucket, body)))),
    BUCKET
        .delete(
            "DeleteBucketIntelligentTieringConfiguration",
            &[Here("s3:PutIntelligentTieringConfiguration")],
        )
        .at("intelligent-tiering")
        .takes(&["id"])
        .does(Bucket(|_, _| Box::pin(async { ops::unconfigured::absent(Code::NoSuchConfiguration) }))),
    BUCKET
        .get("GetBucketIntelligentTieringConfiguration", &[Here("s3:GetIntelligentTieringConfiguration")])
        .at("intelligent-tiering")
        .when(&[Qualifier::Parameter("id")])
        .does(Bucket(|_, _| Box::pin(async { ops::unconfigured::absent(Code::NoSuchConfiguration) }))),
    BUCKET
        .get("ListBucketIntelligentTieringConfigurations", &[Here("s3:GetIntelligentTieringConfiguration")])
        .at("intelligent-tiering")
        .takes(&["continuation-token"])
        .does(Bucket(|_, _| {
            Box::pin(async { ops::unconfigured::none("ListBucketIntelligentTieringConfigurationsOutput") })
        })),
    BUCKET
        .put("PutBucketIntelligentTieringConfiguration", &[Here("s3:PutIntelligentTieringConfiguration")])
        .at("intelligent-tiering")
        .takes(&["id"])
        .document(),
    BUCKET
        .delete("DeleteBucketInventoryConfiguration", &[Here("s3:PutInventoryConfiguration")])
        .at("inventory")
        .takes(&["id"])
        .does(Bucket(|_, _| Box::pin(async { ops::unconfigured::absent(Code::NoSuchConfiguration) }))),
    BUCKET
        .get("GetBucketInventoryConfiguration", &[Here("s3:GetInventoryConfiguration")])
        .at("inventory")
        .when(&[Qualifier::Parameter("id")])
        .does(Bucket(|_, _| Box::pin(async { ops::unconfigured::absent(Code::NoSuchConfiguration) }))),
    BUCKET
        .get("ListBucketInventoryConfigurations", &[Here("s3:GetInventoryConfiguration")])
        .at("inventory")
        .takes(&["continuation-token"])
        .does(Bucket(|_, _| {
            Box::pin(async { ops::unconfigured::none("ListInventoryConfigurationsResult") })
        })),
    BUCKET
        .put("PutBucketInventoryConfiguration", &[Here("s3:PutInventoryConfiguration")])
        .at("inventory")
        .takes(&["id"])
        .document(),
    BUCKET
        .delete("DeleteBucketLifecycle", &[Here("s3:PutLifecycleConfiguration")])
        .at("lifecycle")
        .does(Bucket(|ctx, bucket| Box::pin(ops::bucket_lifecycle::delete(ctx, bucket)))),
    BUCKET
        .get("GetBucketLifecycleConfiguration", &[Here("s3:GetLifecycleConfiguration")])
        .at("lifecycle")
        .formerly("GetBucketLifecycle")
        .does(Bucket(|ctx, bucket| Box::pin(ops::bucket_lifecycle::get(ctx, bucket)))),
    BUCKET
        .put("PutBucketLifecycleConfiguration", &[Here("s3:PutLifecycleConfiguration")])
        .at("lifecycle")
        .document()
        .formerly("PutBucketLifecycle")
        .does(BucketBody(|ctx, bucket, body| Box::pin(ops::bucket_lifecycle::put(ctx, bucket, body)))),
    BUCKET
        .get("GetBucketLogging", &[Here("s3:GetBucketLogging")])
        .at("logging")
        .does(Bucket(|ctx, bucket| Box::pin(ops::bucket_logging::get(ctx, bucket)))),
    BUCKET
        .put("PutBucketLogging", &[Here("s3:PutBucketLogging")])
        .at("logging")
        .document()
        .does(BucketBody(|ctx, bucket, body| Box::pin(ops::bucket_logging::put(ctx, bucket, body)))),
    BUCKET
        .put(
            "UpdateBucketMetadataAnnotationTableConfiguration",
            &[Here("s3:UpdateBucketMetadataAnnotationTableConfiguration")],
        )
        .at("metadataAnnotationTable")
        .document(),
    BUCKET
        .post("CreateBucketMetadataConfiguration", &[Here("s3:CreateBucketMetadataTableConfiguration")])
        .at("metadataConfiguration")
        .document(),
    BUCKET
        .delete("DeleteBucketMetadataConfiguration", &[Here("s3:DeleteBucketMetadataTableConfiguration")])
        .at("metadataConfiguration"),
    BUCKET
        .get("GetBucketMetadataConfiguration", &[Here("s3:GetBucketMetadataTableConfiguration")])
        .at("metadataConfiguration"),
    BUCKET
        .put(
            "UpdateBucketMetadataInventoryTableConfiguration",
            &[Here("s3:UpdateBucketMetadataInventoryTableConfiguration")],
        )
        .at("metadataInventoryTable")
        .document(),
    BUCKET
        .put(
            "UpdateBucketMetadataJournalTableConfiguration",
            &[Here("s3:UpdateBucketMetadataJournalTableConfiguration")],
        )
        .at("metadataJournalTable")
        .document(),
    BUCKET
        .post("CreateBucketMetadataTableConfiguration", &[Here("s3:CreateBucketMetadataTableConfiguration")])
        .at("metadataTable")
        .document(),
    BUCKET
        .delete(
            "DeleteBucketMetadataTableConfiguration",
            &[Here("s3:DeleteBucketMetadataTableConfiguration")],
        )
        .at("metadataTable"),
    BUCKET
        .get("GetBucketMetadataTableConfiguration", &[Here("s3:GetBucketMetadataTableConfiguration")])
        .at("metadataTable"),
    BUCKET
        .delete("DeleteBucketMetricsConfiguration", &[Here("s3:PutMetricsConfiguration")])
        .at("metrics")
        .takes(&["id"])
        .does(Bucket(|_, _| Box::pin(async { ops::unconfigured::absent(Code::NoSuchConfiguration) }))),
    BUCKET
        .get("GetBucketMetricsConfiguration", &[Here("s3:GetMetricsConfiguration")])
        .at("metrics")
        .when(&[Qualifier::Parameter("id")])
        .does(Bucket(|_, _| Box::pin(async { ops::unconfigured::absent(Code::NoSuchConfiguration) }))),
    BUCKET
        .get("ListBucketMetricsConfigurations", &[Here("s3:GetMetricsConfiguration")])
        .at("metrics")
        .takes(&["continuation-token"])
        .does(Bucket(|_, _| Box::pin(async { ops::unconfigured::none("ListMetricsConfigurationsResult") }))),
    BUCKET
        .put("PutBucketMetricsConfiguration", &[Here("s3:PutMetricsConfiguration")])
        .at("metrics")
        .takes(&["id"])
        .document(),
    BUCKET
        .get("GetBucketNotificationConfiguration", &[Here("s3:GetBucketNotification")])
        .at("notification")
        .formerly("GetBucketNotification")
        .does(Bucket(|ctx, bucket| Box::pin(ops::bucket_notification::get(ctx, bucket)))),
    BUCKET
        .put("PutBucketNotificationConfiguration", &[Here("s3:PutBucketNotification")])
        .at("notification")
        .document()
        .formerly("PutBucketNotification")
        .does(BucketBody(|ctx, bucket, body| Box::pin(ops::bucket_notification::put(ctx, bucket, body)))),
    BUCKET
        .get("GetObjectLockConfiguration", &[Here("s3:GetBucketObjectLockConfiguration")])
        .at("object-lock")
        .does(Bucket(|ctx, bucket| Box::pin(ops::object_lock::get_configuration(ctx, bucket)))),
    BUCKET
        .put("PutObjectLockConfiguration", &[Here("s3:PutBucketObjectLockConfiguration")])
        .at("object-lock")
        .document()
        .does(BucketBody(|ctx, bucket, body| {
            Box::pin(ops::object_lock::put_configuration(ctx, bucket, body))
        })),
    BUCKET
        .delete("DeleteBucketOwnershipControls", &[Here("s3:PutBucketOwnershipControls")])
        .at("ownershipControls")
        .does(Bucket(|ctx, bucket| Box::pin(ops::ownership_controls::delete(ctx, bucket)))),
    BUCKET
        .get("GetBucketOwnershipControls", &[Here("s3:GetBucketOwnershipControls")])
        .at("ownershipControls")
        .does(Bucket(|ctx, bucket| Box::pin(ops::ownership_controls::get(ctx, bucket)))),
    BUCKET
        .put("PutBucketOwnershipControls", &[Here("s3:PutBucketOwnershipControls")])
        .at("ownershipControls")
        .document()
        .does(BucketBody(|ctx, bucket, body| Box::pin(ops::ownership_controls::put(ctx, bucket, body)))),
    BUCKET
        .delete("DeleteBucketPolicy", &[Here("s3:DeleteBucketPolicy")])
        .at("policy")
        .does(Bucket(|ctx, bucket| Box::pin(ops::bucket_policy::delete(ctx, bucket)))),
    BUCKET
        .get("GetBucketPolicy", &[Here("s3:GetBucketPolicy")])
        .at("policy")
        .does(Bucket(|ctx, bucket| Box::pin(ops::bucket_policy::get(ctx, bucket)))),
    BUCKET
        .put("PutBucketPolicy", &[Here("s3:PutBucketPolicy")])
        .at("policy")
        .document()
        .does(BucketBody(|ctx, bucket, body| Box::pin(ops::bucket_policy::put(ctx, bucket, body)))),
    BUCKET
        .get("GetBucketPolicyStatus", &[Here("s3:GetBucketPolicyStatus")])
        .at("policyStatus")
        .does(Bucket(|ctx, bucket| Box::pin(ops::bucket_policy::status(ctx, bucket)))),
    BUCKET
        .delete("DeletePublicAccessBlock", &[Here("s3:PutBucketPublicAccessBlock")])
        .at("publicAccessBlock")
        .does(Bucket(|ctx, bucket| Box::pin(ops::public_access_block::delete(ctx, bucket)))),
    BUCKET
        .get("GetPublicAccessBlock", &[Here("s3:GetBucketPublicAccessBlock")])
        .at("publicAccessBlock")
        .does(Bucket(|ctx, bucket| Box::pin(ops::public_access_block::get(ctx, bucket)))),
    BUCKET
        .put("PutPublicAccessBlock", &[Here("s3:PutBucketPublicAccessBlock")])
        .at("publicAccessBlock")
        .document()
        .does(BucketBody(|ctx, bucket, body| Box::pin(ops::public_access_block::put(ctx, bucket, body)))),
    BUCKET
        .delete("DeleteBucketReplication", &[Here("s3:PutReplicationConfiguration")])
        .at("replication")
        .does(Bucket(|_, _| Box::pin(async { ops::unconfigured::deleted() }))),
    BUCKET.get("GetBucketReplication", &[Here("s3:GetReplicationConfiguration")]).at("replication").does(
        Bucket(|_, _| {
            Box::pin(async { ops::unconfigured::absent(Code::ReplicationConfigurationNotFoundError) })
        }),
    ),
    BUCKET
        .put("PutBucketReplication", &[Here("s3:PutReplicationConfiguration")])
        .at("replication")
        .document(),
    BUCKET
        .get("GetBucketRequestPayment", &[Here("s3:GetBucketRequestPayment")])
        .at("requestPayment")
        .does(Bucket(|ctx, bucket| Box::pin(ops::request_payment::get(ctx, bucket)))),
    BUCKET
        .put("PutBucketRequestPayment", &[Here("s3:PutBucketRequestPayment")])
        .at("requestPayment")
        .document()
        .does(BucketBody(|ctx, bucket, body| Box::pin(ops::request_payment::put(ctx, bucket, body)))),
    BUCKET
        .delete("DeleteBucketTagging", &[Here("s3:PutBucketTagging")])
        .at("tagging")
        .does(Bucket(|ctx, bucket| Box::pin(ops::bucket_tagging::delete(ctx, bucket)))),
    BUCKET
        .get("GetBucketTagging", &[Here("s3:GetBucketTagging")])
        .at("tagging")
        .does(Bucket(|ctx, bucket| Box::pin(ops::bucket_tagging::get(ctx, bucket)))),
    BUCKET
        .put("PutBucketTagging", &[Here("s3:PutBucketTagging")])
        .at("tagging")
        .document()
        .does(BucketBody(|ctx, bucket, body| Box::pin(ops::bucket_tagging::put(ctx, bucket, body)))),
    BUCKET
        .put("PutBucketVersioning", &[Here("s3:PutBucketVersioning")])
        .at("versioning")
        .document()
        .does(BucketBody(|ctx, bucket, body| Box::pin(ops::bucket_versioning::put(ctx, bucket, body)))),
    BUCKET
        .delete("DeleteBucketWebsite", &[Here("s3:DeleteBucketWebsite")])
        .at("website")
        .does(Bucket(|ctx, bucket| Box::pin(ops::bucket_website::delete(ctx, bucket)))),
    BUCKET
        .get("GetBucketWebsite", &[Here("s3:GetBucketWebsite")])
        .at("website")
        .does(Bucket(|ctx, bucket| Box::pin(ops::bucket_website::get(ctx, bucket)))),
    BUCKET
        .put("PutBucketWebsite", &[Here("s3:PutBucketWebsite")])
        .at("website")
        .document()
        .does(BucketBody(|ctx, bucket, body| Box::pin(ops::bucket_website::put(ctx, bucket, body)))),
];
