//! GetBucketNotificationConfiguration and PutBucketNotificationConfiguration.

use crate::body::RequestBody;
use crate::context::Context;
use crate::documents::Document;
use crate::error::{Code, S3Error, S3Result};
use crate::level;
use crate::ops::configure::configure_telling;
use crate::ops::notices;
use crate::xml;
use crate::xml::notification::NotificationConfiguration;
use axum::body::Body;
use http::Response;
use stratum_events::Rules;
use stratum_metadata::command::BucketChange;
use stratum_metadata::record::{BucketDocument, BucketRecord, DocumentKind};

/// The longest document that is read, in bytes: enough for a hundred rules.
const MAX_BODY_BYTES: u64 = 256 * 1024;

/// The header that says whether the destinations get no test event when they are configured.
const SKIP: &str = "x-amz-skip-destination-validation";

pub async fn get(ctx: &Context, bucket: &BucketRecord) -> S3Result {
    let rules = ctx.store.notifications.of(&ctx.view, bucket)?;
    xml::answer(&NotificationConfiguration::of(rules.as_deref().unwrap_or(&Rules::default())))
}

pub async fn put(ctx: &Context, bucket: &BucketRecord, body: RequestBody) -> S3Result {
    let is_skipped = match ctx.header(SKIP) {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => {
            return Err(S3Error::invalid_argument(SKIP, other, "The value must be true or false."));
        }
    };
    let entropy = ctx.store.entropy.clone();
    let new_id = move || format!("{:032x}", entropy.next_u128());
    let document = body.document(MAX_BODY_BYTES).await?;
    let rules = document.read(|bytes| xml::notification::read(bytes, new_id)).await?;
    let unknown =
        rules.0.iter().find(|rule| !ctx.store.settings.webhooks.contains(rule.destination.webhook()));
    if let Some(unknown) = unknown {
        let arn = unknown.destination.arn();
        let message = "Unable to validate the following destination configurations: the server's operator has \
                       declared no webhook of that name";
        return Err(S3Error::invalid_argument("Destination", arn, message));
    }
    if rules.0.is_empty() && !bucket.configuration.documents.contains_key(&DocumentKind::Notification) {
        return Ok(Response::new(Body::empty()));
    }
    level::require(ctx, "Notifications")?;
    let text = rules.to_document().map_err(|error| S3Error::new(Code::InternalError).because(error))?;
    let document = (!rules.0.is_empty()).then_some(BucketDocument(text));
    let told = if is_skipped { Vec::new() } else { rules.everybody() };
    let notice = notices::of_bucket(ctx, bucket, told);
    let change = BucketChange::Document { kind: DocumentKind::Notification, document };
    configure_telling(ctx, bucket, change, notice).await?;
    Ok(Response::new(Body::empty()))
}

impl Document for Rules {
    const KIND: DocumentKind = DocumentKind::Notification;

    fn parse(text: &str, bucket: &BucketRecord) -> Result<Self, S3Error> {
        Rules::from_document(text).map_err(|error| {
            let cause = format!("the notifications of the bucket {} can't be read: {error}", bucket.name);
            S3Error::new(Code::InternalError).because(cause)
        })
    }
}
