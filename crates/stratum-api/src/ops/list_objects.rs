//! ListObjects, the first version: markers are names, and every object comes with its owner.

use crate::context::Context;
use crate::error::{S3Error, S3Result};
use crate::listing::{self, Parameters};
use crate::query::Query;
use crate::xml;
use crate::xml::Namespace;
use crate::xml::buckets::Owner;
use crate::xml::listing::ListObjectsResult;
use crate::xml::text::Name;
use bytes::Bytes;
use stratum_metadata::listing::{ListedObject, Page};
use stratum_metadata::record::BucketRecord;

pub async fn handle(ctx: &Context, bucket: &BucketRecord) -> S3Result {
    let parameters = Parameters::read(&ctx.query, "max-keys")?;
    let marker = ctx.query.get("marker").unwrap_or_default();
    let from = listing::from_marker(marker, parameters.prefix, parameters.delimiter);
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
    let marker = query.get("marker").unwrap_or_default();
    xml::list(parameters.encoding, |encoding| {
        let parameters = parameters.encoded(encoding);
        let (contents, common_prefixes) = listing::lines(page, parameters.encoding, Some(owner));
        // Without a delimiter the last key is the next marker, and S3 leaves it to the client to see that.
        let next = page.next.as_ref().filter(|_| parameters.delimiter.is_some()).and_then(listing::name);
        ListObjectsResult {
            xmlns: Namespace,
            name: &bucket.name,
            prefix: prefix(&parameters),
            marker: parameters.name(marker),
            next_marker: next.map(|name| Name::new(name, parameters.encoding)),
            max_keys: parameters.max,
            delimiter: parameters.delimiter.map(|delimiter| parameters.name(delimiter)),
            encoding_type: parameters.encoding,
            is_truncated: page.next.is_some(),
            contents,
            common_prefixes,
        }
    })
}

/// The prefix stays as it was sent, as far as XML can hold it: clients of this version decode everything but it.
fn prefix<'a>(parameters: &Parameters<'a>) -> Name<'a> {
    let unheld = |char: char| !xml::is_char(char);
    let encoding = parameters.encoding.filter(|_| parameters.prefix.contains(unheld));
    Name::new(parameters.prefix.as_bytes(), encoding)
}
