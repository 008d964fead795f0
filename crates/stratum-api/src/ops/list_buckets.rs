//! ListBuckets: the buckets that the caller's account owns, in the order of their names, page by page.

use crate::context::Context;
use crate::error::{S3Error, S3Result};
use crate::listing;
use crate::number;
use crate::text::Timestamp;
use crate::xml;
use crate::xml::Namespace;
use crate::xml::buckets::{Bucket, Buckets, ListAllMyBucketsResult, Owner};
use stratum_metadata::listing::Position;
use stratum_metadata::record::BucketSummary;

/// How many buckets a page has at most, and where the request doesn't say.
const MAX_BUCKETS: usize = 10_000;

pub async fn handle(ctx: &Context) -> S3Result {
    let max = max_buckets(ctx)?;
    let prefix = ctx.query.get("prefix").filter(|prefix| !prefix.is_empty());
    let after = match ctx.query.get("continuation-token").filter(|token| !token.is_empty()) {
        Some(token) => listing::from_token(token)?,
        None => Position::Start,
    };
    let (owner, echoed) = (Owner::by_id(&ctx.store.identities, ctx.account.id()), prefix.map(str::to_owned));
    let region = ctx.store.settings.region.clone();
    let write = move |(buckets, next): &Owned| {
        xml::text(&ListAllMyBucketsResult {
            xmlns: Namespace,
            owner,
            buckets: Buckets { buckets: buckets.iter().map(|bucket| entry(bucket, &region)).collect() },
            continuation_token: next.as_ref().map(listing::token),
            prefix: echoed,
        })
    };
    listing::answer(ctx, max, page(ctx, prefix, &after, max), write).await
}

/// A page of an owner's buckets, and the position at which the next page begins, if there is one.
type Owned = (Vec<BucketSummary>, Option<Position>);

/// Whether the request asks for buckets of the server's region. All buckets are in that region, so that any other
/// `bucket-region` has none.
fn in_this_region(ctx: &Context) -> bool {
    let region = ctx.query.get("bucket-region").filter(|region| !region.is_empty());
    region.is_none_or(|region| region == ctx.store.settings.region)
}

async fn page(ctx: &Context, prefix: Option<&str>, after: &Position, max: usize) -> Result<Owned, S3Error> {
    if !in_this_region(ctx) {
        return Ok((Vec::new(), None));
    }
    let start = match after {
        Position::Start => "",
        Position::After(name) | Position::Past(name) => std::str::from_utf8(name).unwrap_or_default(),
    };
    // One more bucket than the page holds is looked for: it tells whether there is another page.
    let mut found = ctx.view.buckets_of(ctx.account.id(), prefix.unwrap_or_default(), start, max + 1).await?;
    let more = found.len() > max;
    found.truncate(max);
    let next = found.last().filter(|_| more).map(|last| Position::After(last.name.clone().into_bytes()));
    Ok((found, next))
}

fn entry(bucket: &BucketSummary, region: &str) -> Bucket {
    let name = bucket.name.clone();
    Bucket { name, creation_date: Timestamp(bucket.created), bucket_region: region.to_owned() }
}

fn max_buckets(ctx: &Context) -> Result<usize, S3Error> {
    match ctx.query.get("max-buckets") {
        None | Some("") => Ok(MAX_BUCKETS),
        Some(text) => match number::parse(text) {
            Some(max @ 1..=MAX_BUCKETS) => Ok(max),
            _ => {
                let message = "Argument max-buckets must be an integer between 1 and 10000";
                Err(S3Error::invalid_argument("max-buckets", text, message))
            }
        },
    }
}
