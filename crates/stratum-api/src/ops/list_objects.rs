//! ListObjects, the first version of the list: a page begins after a marker, which is a key or a common prefix, and
//! every object has its owner.

use crate::context::Context;
use crate::error::{S3Error, S3Result};
use crate::listing::{self, Parameters};
use crate::ownership::Owners;
use crate::text::{EncodingType, Name, is_char};
use crate::xml;
use crate::xml::Namespace;
use crate::xml::listing::ListObjectsResult;
use bytes::Bytes;
use stratum_metadata::listing::{ListedObject, Page};
use stratum_metadata::record::BucketRecord;

/// The list that a request asks for.
struct List {
    bucket: String,
    owners: Owners,
    parameters: Parameters,
    marker: String,
}

pub async fn handle(ctx: &Context, bucket: &BucketRecord) -> S3Result {
    let parameters = Parameters::read(&ctx.query, "max-keys")?;
    let list = List {
        bucket: bucket.name.clone(),
        owners: Owners::of(ctx, bucket),
        parameters: parameters.clone(),
        marker: ctx.query.get("marker").unwrap_or_default().to_owned(),
    };
    let several = list.owners.are_several();
    let page = listing::objects(ctx, bucket, &parameters, parameters.after(&list.marker), several);
    listing::answer(ctx, parameters.max, page, move |page| list.document(page)).await
}

impl List {
    fn document(&self, page: &Page<ListedObject>) -> Result<Bytes, S3Error> {
        let Self { bucket, owners, parameters, marker } = self;
        xml::list(parameters.encoding, |encoding| {
            let (contents, common_prefixes) = listing::lines(page, encoding, Some(owners));
            // Without a delimiter S3 gives no `NextMarker`: the client takes the last key of the page for it.
            let next = page.next.as_ref().filter(|_| parameters.delimiter.is_some()).and_then(listing::name);
            ListObjectsResult {
                xmlns: Namespace,
                name: bucket,
                prefix: prefix(&parameters.prefix, encoding),
                marker: Name::of(marker, encoding),
                next_marker: next.map(|name| Name::new(name, encoding)),
                max_keys: parameters.max,
                delimiter: parameters.names(encoding).1,
                encoding_type: encoding,
                is_truncated: page.next.is_some(),
                contents,
                common_prefixes,
            }
        })
    }
}

/// The prefix as an answer repeats it. It isn't url-encoded, since clients of ListObjects decode every name but the
/// prefix. One with characters that XML can't carry is encoded all the same.
fn prefix(prefix: &str, encoding: Option<EncodingType>) -> Name<'_> {
    let unheld = |char: char| !is_char(char);
    Name::of(prefix, encoding.filter(|_| prefix.contains(unheld)))
}
