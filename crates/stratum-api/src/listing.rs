//! What the listing operations share: their parameters, and the position where a page begins.
//!
//! A page begins after a key, or past everything under a common prefix. ListObjects gives that position as a marker,
//! which is the last key or common prefix of the page before. ListObjectsV2 gives it as a token, which is opaque to
//! clients and carries a checksum, so that a made-up token is refused and never read as a position.

use crate::checksum::{self, crc32c};
use crate::context::Context;
use crate::error::{S3Error, S3Result};
use crate::headers;
use crate::number;
use crate::ownership::Owners;
use crate::query::Query;
use crate::text::{EncodingType, Name, Quoted, Timestamp};
use crate::xml::listing::{CommonPrefix, Contents};
use crate::xml::long::{self, FEW_ENTRIES};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use bytes::Bytes;
use stratum_metadata::listing::{ListRequest, Listed, ListedObject, Page, Position};
use stratum_metadata::record::BucketRecord;

/// The most entries on a page, and the number of entries unless the client names one.
pub const MAX_ENTRIES: usize = 1000;

/// The bytes of memory that an entry of a page usually takes while the page is read and written. How long the keys are
/// shows only when they are read, so entries with long keys take more; turns keep the number of a party's long pages
/// low.
const ENTRY_MEMORY_BYTES: u64 = 1 << 10;

/// What was read for a list.
pub trait Entries: Send + 'static {
    /// How many entries the list has.
    fn count(&self) -> usize;
}

impl<T: Send + 'static, P: Send + 'static> Entries for Page<T, P> {
    fn count(&self) -> usize {
        self.entries.len()
    }
}

/// Entries, and the position where the next page begins if there is one.
impl<T: Send + 'static, P: Send + 'static> Entries for (Vec<T>, Option<P>) {
    fn count(&self) -> usize {
        self.0.len()
    }
}

/// Answers with a list of up to `max` entries, which `read` reads and `write` makes a document of. Memory for the list
/// is admitted first, and a list that may be long takes one of the party's turns.
///
/// # Errors
/// `SlowDown`, and what `read` and `write` say.
pub async fn answer<E: Entries>(
    ctx: &Context,
    max: usize,
    read: impl Future<Output = Result<E, S3Error>>,
    write: impl FnOnce(&E) -> Result<Bytes, S3Error> + Send + 'static,
) -> S3Result {
    let _admitted = ctx.memory.admit(max as u64 * ENTRY_MEMORY_BYTES)?;
    let _turn = if max > FEW_ENTRIES { Some(ctx.memory.turn().await) } else { None };
    let entries = read.await?;
    long::answer(entries.count(), move || write(&entries)).await
}

/// The position that a marker or start-after stands for. It is past a common prefix where the marker ends with the
/// first delimiter after the prefix, since ListObjects has then given the common prefix as `NextMarker`; otherwise it
/// is after a key.
fn from_marker(marker: &str, prefix: &str, delimiter: Option<&str>) -> Position {
    let place = marker.as_bytes().to_vec();
    match marker {
        "" => Position::Start,
        _ if is_common_prefix(marker, prefix, delimiter) => Position::Past(place),
        _ => Position::After(place),
    }
}

/// The opaque token of a position.
pub fn token(position: &Position) -> String {
    let (kind, name): (u8, &[u8]) = match position {
        Position::Start => (0, &[]),
        Position::After(key) => (1, key),
        Position::Past(prefix) => (2, prefix),
    };
    let place: Vec<u8> = std::iter::once(kind).chain(name.iter().copied()).collect();
    let checksum = crc32c(&place).to_be_bytes();
    BASE64.encode([checksum.as_slice(), &place].concat())
}

/// Reads a token back.
///
/// # Errors
/// `InvalidArgument` for anything that [`token`] didn't write.
pub fn from_token(token: &str) -> Result<Position, S3Error> {
    let refused = || {
        S3Error::invalid_argument("continuation-token", token, "The continuation token provided is incorrect")
    };
    let bytes = BASE64.decode(token).map_err(|_| refused())?;
    let (checksum, place) = bytes.split_first_chunk::<4>().ok_or_else(refused)?;
    if crc32c(place) != u32::from_be_bytes(*checksum) {
        return Err(refused());
    }
    match place.split_first() {
        Some((0, [])) => Ok(Position::Start),
        Some((1, key)) => Ok(Position::After(key.to_vec())),
        Some((2, prefix)) => Ok(Position::Past(prefix.to_vec())),
        _ => Err(refused()),
    }
}

fn is_common_prefix(marker: &str, prefix: &str, delimiter: Option<&str>) -> bool {
    let Some(delimiter) = delimiter else { return false };
    let Some(rest) = marker.strip_prefix(prefix) else { return false };
    rest.find(delimiter).is_some_and(|at| at + delimiter.len() == rest.len())
}

/// The parameters of every listing of keys. An empty value counts as an absent one, but `Prefix` is always in the
/// answer.
#[derive(Clone, Debug)]
pub struct Parameters {
    pub prefix: String,
    pub delimiter: Option<String>,
    pub encoding: Option<EncodingType>,
    /// The most entries of the page, at most [`MAX_ENTRIES`]; 0 is an empty page.
    pub max: usize,
}

impl Parameters {
    /// Reads the parameters. `max` is the name of the parameter that bounds the page, which differs between the
    /// operations.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub fn read(query: &Query, max: &'static str) -> Result<Self, S3Error> {
        let delimiter = query.get("delimiter").filter(|delimiter| !delimiter.is_empty());
        Ok(Self {
            prefix: query.get("prefix").unwrap_or_default().to_owned(),
            delimiter: delimiter.map(str::to_owned),
            encoding: encoding(query)?,
            max: max_entries(query, max)?,
        })
    }

    /// The position where the page begins that follows a marker or start-after.
    pub fn after(&self, marker: &str) -> Position {
        from_marker(marker, &self.prefix, self.delimiter.as_deref())
    }

    /// `Prefix` and `Delimiter` as a document has them.
    pub fn names(&self, encoding: Option<EncodingType>) -> (Name<'_>, Option<Name<'_>>) {
        let name = |text| Name::of(text, encoding);
        (name(&self.prefix), self.delimiter.as_deref().map(name))
    }
}

/// A page of a bucket's objects, with their owners if `owners`.
pub async fn objects(
    ctx: &Context,
    bucket: &BucketRecord,
    parameters: &Parameters,
    from: Position,
    owners: bool,
) -> Result<Page<ListedObject>, S3Error> {
    if parameters.max == 0 {
        return Ok(Page { entries: Vec::new(), next: None });
    }
    let request = ListRequest {
        bucket: bucket.id,
        prefix: parameters.prefix.clone().into_bytes(),
        delimiter: parameters.delimiter.clone().map(String::into_bytes),
        from,
        max: parameters.max,
        owners,
    };
    Ok(ctx.view.list(request).await?)
}

/// The entries of a page of ListObjects or ListObjectsV2, as their documents have them: objects and common prefixes.
pub fn lines<'a>(
    page: &'a Page<ListedObject>,
    encoding: Option<EncodingType>,
    owners: Option<&'a Owners>,
) -> (Vec<Contents<'a>>, Vec<CommonPrefix<'a>>) {
    let mut contents = Vec::with_capacity(page.entries.len());
    let mut prefixes = Vec::new();
    for line in &page.entries {
        match line {
            Listed::CommonPrefix(prefix) => {
                prefixes.push(CommonPrefix { prefix: Name::new(prefix, encoding) })
            }
            Listed::Entry(ListedObject { key, object, owner }) => {
                let checksum = object.checksum.as_ref();
                contents.push(Contents {
                    key: Name::new(key, encoding),
                    last_modified: Timestamp(object.modified),
                    etag: Quoted(object.etag),
                    checksum_algorithm: checksum.map(|checksum| checksum::name(checksum.algorithm)),
                    checksum_type: checksum.map(|checksum| checksum::type_name(checksum.kind)),
                    size: object.size,
                    owner: owners.map(|owners| owners.named(owner.as_deref())),
                    storage_class: headers::storage_class_name(object.storage_class),
                });
            }
        }
    }
    (contents, prefixes)
}

/// The key or common prefix that a position is after, as `NextMarker` and `NextKeyMarker` give it.
pub fn name(position: &Position) -> Option<&[u8]> {
    match position {
        Position::Start => None,
        Position::After(name) | Position::Past(name) => Some(name),
    }
}

/// Reads `encoding-type`, which is `url` or absent.
pub fn encoding(query: &Query) -> Result<Option<EncodingType>, S3Error> {
    match query.get("encoding-type") {
        None | Some("") => Ok(None),
        Some("url") => Ok(Some(EncodingType::Url)),
        Some(other) => Err(S3Error::invalid_argument(
            "encoding-type",
            other,
            "Invalid Encoding Method specified in Request",
        )),
    }
}

/// Reads `max-keys`, `max-parts` or `max-uploads`: a number from 0 to 2147483647, cut to [`MAX_ENTRIES`].
pub fn max_entries(query: &Query, name: &'static str) -> Result<usize, S3Error> {
    most(name, query.get(name))
}

/// As [`max_entries`], of a header or a parameter of that name.
///
/// # Errors
/// `InvalidArgument`.
pub fn most(name: &'static str, text: Option<&str>) -> Result<usize, S3Error> {
    match text {
        None | Some("") => Ok(MAX_ENTRIES),
        Some(text) => match number::parse::<i32>(text).and_then(|max| usize::try_from(max).ok()) {
            Some(max) => Ok(max.min(MAX_ENTRIES)),
            None => {
                let message = format!("Argument {name} must be an integer between 0 and 2147483647");
                Err(S3Error::invalid_argument(name, text, message))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use proptest::prelude::*;

    #[test]
    fn a_marker_is_a_common_prefix_only_if_it_ends_where_one_could() {
        let after = from_marker;
        let key = |key: &str| Position::After(key.into());
        let common = |prefix: &str| Position::Past(prefix.into());
        assert_eq!(after("", "", Some("/")), Position::Start);
        assert_eq!(after("boo/", "", Some("/")), common("boo/"));
        assert_eq!(after("boo/", "", None), key("boo/"));
        assert_eq!(after("boo/", "boo/", Some("/")), key("boo/"));
        assert_eq!(after("boo/baz/", "", Some("/")), key("boo/baz/"));
        assert_eq!(after("boo/baz/", "boo/", Some("/")), common("boo/baz/"));
        assert_eq!(after("boo/bar", "", Some("/")), key("boo/bar"));
        assert_eq!(after("other/", "boo/", Some("/")), key("other/"));
        assert_eq!(after("a--", "", Some("--")), common("a--"));
    }

    #[test]
    fn page_sizes_are_cut_and_those_that_are_no_number_are_refused() {
        let max = |text: &str| max_entries(&Query::parse(text).unwrap(), "max-keys");
        assert_eq!(max("").unwrap(), 1000);
        assert_eq!(max("max-keys=").unwrap(), 1000);
        assert_eq!(max("max-keys=0").unwrap(), 0);
        assert_eq!(max("max-keys=2147483647").unwrap(), 1000);
        for wrong in ["max-keys=-1", "max-keys=blah", "max-keys=2147483648", "max-keys=1.5", "max-keys=%2B5"]
        {
            assert_eq!(max(wrong).unwrap_err().code(), Code::InvalidArgument, "{wrong}");
        }
    }

    #[test]
    fn only_url_is_an_encoding() {
        let of = |text: &str| encoding(&Query::parse(text).unwrap());
        assert_eq!(of("encoding-type=url").unwrap(), Some(EncodingType::Url));
        assert_eq!(of("encoding-type=").unwrap(), None);
        assert_eq!(of("encoding-type=base64").unwrap_err().code(), Code::InvalidArgument);
    }

    #[test]
    fn made_up_tokens_are_refused() {
        for token in ["", "abc", "!", "AAAAAAA", "Zm9vYmFyYmF6"] {
            assert_eq!(from_token(token).unwrap_err().code(), Code::InvalidArgument, "{token}");
        }
    }

    proptest! {
        #[test]
        fn tokens_come_back(name in proptest::collection::vec(any::<u8>(), 0..50), prefix: bool) {
            let position = if prefix { Position::Past(name) } else { Position::After(name) };
            prop_assert_eq!(from_token(&token(&position)).unwrap(), position);
        }

        #[test]
        fn no_token_panics(token in "\\PC*") {
            let _ = from_token(&token);
        }
    }
}
