//! ListObjectsV2: a page begins where an opaque token says, and objects have their owners only if the request asks
//! for them.

use crate::context::Context;
use crate::error::{S3Error, S3Result};
use crate::listing::{self, Parameters};
use crate::ownership::Owners;
use crate::text::Name;
use crate::xml;
use crate::xml::Namespace;
use crate::xml::listing::ListObjectsV2Result;
use bytes::Bytes;
use stratum_metadata::listing::{ListedObject, Page};
use stratum_metadata::record::BucketRecord;

/// The list that a request asks for.
struct List {
    bucket: String,
    /// None where the request doesn't ask for owners.
    owners: Option<Owners>,
    parameters: Parameters,
    start_after: Option<String>,
    token: Option<String>,
}

pub async fn handle(ctx: &Context, bucket: &BucketRecord) -> S3Result {
    let asked = |name| ctx.query.get(name).map(str::to_owned);
    let parameters = Parameters::read(&ctx.query, "max-keys")?;
    let list = List {
        bucket: bucket.name.clone(),
        owners: (ctx.query.get("fetch-owner") == Some("true")).then(|| Owners::of(ctx, bucket)),
        parameters: parameters.clone(),
        start_after: asked("start-after"),
        token: asked("continuation-token"),
    };
    let from = match list.token.as_deref().filter(|token| !token.is_empty()) {
        Some(token) => listing::from_token(token)?,
        None => parameters.after(list.start_after.as_deref().unwrap_or_default()),
    };
    let several = list.owners.as_ref().is_some_and(Owners::are_several);
    let page = listing::objects(ctx, bucket, &parameters, from, several);
    listing::answer(ctx, parameters.max, page, move |page| list.document(page)).await
}

impl List {
    fn document(&self, page: &Page<ListedObject>) -> Result<Bytes, S3Error> {
        let Self { bucket, owners, parameters, start_after, token } = self;
        xml::list(parameters.encoding, |encoding| {
            let (contents, common_prefixes) = listing::lines(page, encoding, owners.as_ref());
            let (prefix, delimiter) = parameters.names(encoding);
            ListObjectsV2Result {
                xmlns: Namespace,
                name: bucket,
                prefix,
                start_after: start_after.as_deref().map(|start_after| Name::of(start_after, encoding)),
                continuation_token: token.as_deref(),
                next_continuation_token: page.next.as_ref().map(listing::token),
                key_count: contents.len() + common_prefixes.len(),
                max_keys: parameters.max,
                delimiter,
                encoding_type: encoding,
                is_truncated: page.next.is_some(),
                contents,
                common_prefixes,
            }
        })
    }
}
