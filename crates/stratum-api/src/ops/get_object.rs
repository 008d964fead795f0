//! GetObject: the bytes of an object, of a range of it, or of one part.

use crate::bodies::{BodyReader, Content};
use crate::context::Context;
use crate::encryption::{self, Opening};
use crate::error::S3Result;
use crate::headers;
use crate::key::ObjectKey;
use crate::ops::bucket_lifecycle::tell_expiration;
use crate::rights;
use crate::selection::{self, Selection};
use crate::version::Target;
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::Response;
use stratum_metadata::record::BucketRecord;

pub async fn handle(ctx: &Context, bucket: &BucketRecord, key: &ObjectKey) -> S3Result {
    selection::check_query(&ctx.query)?;
    rights::check_overrides(&ctx.caller, &ctx.query)?;
    let target = Target::of(bucket, key, &ctx.query, ctx.operation.method)?;
    let opening = Opening::of_read(ctx)?;
    let choose = |object: &_| Selection::of_read(&ctx.headers, &ctx.query, object);
    let looking = ctx.trace.stage("open");
    let opened = encryption::open(ctx, &target, None, &opening, choose).await?;
    drop(looking);
    let tier = ctx.store.bodies.tier_of(&ctx.view, &opened.object)?;
    let body = match opened.content {
        Content::Whole(bytes, _) => Body::from(bytes),
        Content::Stream(mut reader) => {
            // The first bytes are read before the head of the answer is sent: so an object that can't be read at all
            // is answered with an error, and not with a `200` whose body breaks off.
            let _reading = ctx.trace.stage("read");
            let first = reader.next().await?;
            streamed(first, reader)
        }
    };
    if opened.is_current {
        ctx.count_read(bucket.id, key, &opened.object, &opened.selection, tier);
    }
    let mut response = Response::new(body);
    *response.status_mut() = opened.selection.status();
    opened.selection.describe(&ctx.headers, &ctx.query, &opened.object, response.headers_mut());
    rights::withhold(ctx, bucket, key, response.headers_mut())?;
    target.describe(&opened.object, response.headers_mut());
    opening.describe(ctx, &opened.object, response.headers_mut());
    headers::write_tier(tier, response.headers_mut());
    if opened.is_current {
        tell_expiration(ctx, bucket, key, &opened.object, response.headers_mut())?;
    }
    Ok(response)
}

/// A body whose bytes are sent as they are read. Where a read fails the connection is cut: the answer's head, with
/// the status and the length, has been sent by then.
fn streamed(first: Option<Bytes>, reader: Box<BodyReader>) -> Body {
    Body::from_stream(stream::unfold((first, reader), |(first, mut reader)| async move {
        if let Some(first) = first {
            return Some((Ok(first), (None, reader)));
        }
        match reader.next().await {
            Ok(piece) => piece.map(|piece| (Ok(piece), (None, reader))),
            Err(error) => {
                let cause = error.cause().unwrap_or(error.text()).to_owned();
                tracing::error!(cause, "a body could not be read to its end");
                Some((Err(std::io::Error::other(cause)), (None, reader)))
            }
        }
    }))
}
