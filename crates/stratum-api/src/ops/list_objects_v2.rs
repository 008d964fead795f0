//! ListObjectsV2: pages by opaque tokens, owners only on demand.

use crate::context::Context;
use crate::error::{S3Error, S3Result};
use crate::listing::{self, Parameters};
use crate::query::Query;
use crate::xml;
use crate::xml::Namespace;
use crate::xml::buckets::Owner;
use crate::xml::listing::ListObjectsV2Result;
use bytes::Bytes;
use stratum_metadata::listing::{ListedObject, Page};
use stratum_metadata::record::BucketRecord;

pub async fn handle(ctx: &Context, bucket: &BucketRecord) -> S3Result {
    let parameters = Parameters::read(&ctx.query, "max-keys")?;
    let start_after = ctx.query.get("start-after");
    let token = ctx.query.get("continuation-token");
    let from = match token.filter(|token| !token.is_empty()) {
        Some(token) => listing::from_token(token)?,
        None => {
            listing::from_marker(start_after.unwrap_or_default(), parameters.prefix, parameters.delimiter)
        }
    };
    let _effort = listing::effort(ctx, parameters.max).await?;
    let page = listing::objects(ctx, bucket, &parameters, from).await?;
    let owner = Owner::by_id(&ctx.store.identities, &bucket.owner);
    let (query, bucket) = (ctx.query.clone(), bucket.clone());
    xml::long::answer(page.entries.len(), move || document(&query, &bucket, &owner, &page)).await
}

fn document(
    query: &Query,
    bucket: &BucketRecord,
    owner: &Owner,
    page: &Page<ListedObject>,
) -> Result<Bytes, S3Error> {
    let parameters = Parameters::read(query, "max-keys")?;
    let fetch_owner = query.get("fetch-owner") == Some("true");
    xml::list(parameters.encoding, |encoding| {
        let parameters = parameters.encoded(encoding);
        let (contents, common_prefixes) =
            listing::lines(page, parameters.encoding, fetch_owner.then_some(owner));
        ListObjectsV2Result {
            xmlns: Namespace,
            name: &bucket.name,
            prefix: parameters.name(parameters.prefix),
            start_after: query.get("start-after").map(|start_after| parameters.name(start_after)),
            continuation_token: query.get("continuation-token"),
            next_continuation_token: page.next.as_ref().map(listing::token),
            key_count: contents.len() + common_prefixes.len(),
            max_keys: parameters.max,
            delimiter: parameters.delimiter.map(|delimiter| parameters.name(delimiter)),
            encoding_type: parameters.encoding,
            is_truncated: page.next.is_some(),
            contents,
            common_prefixes,
        }
    })
}
