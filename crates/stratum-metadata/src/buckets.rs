//! How a bucket's record is found. It lies under the bucket's id, which commands and other keys hold; under the
//! bucket's name lies the id.
//!
//! A state of level 1 has the record under the name and the name under the id; what it wrote stays so until the
//! bucket is changed or deleted.

use crate::keys;
use crate::record::{
    BucketConfiguration, BucketId, BucketRecord, BucketSummary, DecodeError, Level, Migrate, decode, level_of,
};
use crate::tree::Value;

/// The bucket's id, from the value under its name.
pub(crate) fn id_of(under_name: &[u8]) -> Result<BucketId, DecodeError> {
    match level_of(under_name)? {
        Level::FIRST => Ok(decode::<BucketRecord>(under_name)?.id),
        _ => decode(under_name),
    }
}

/// The bucket's name, from the value under its id.
pub(crate) fn name_of(under_id: &[u8]) -> Result<String, DecodeError> {
    match level_of(under_id)? {
        Level::FIRST => decode(under_id),
        _ => Ok(decode::<BucketSummary>(under_id)?.name),
    }
}

/// The bucket's configuration, from the value under its id: empty in a state of level 1.
pub(crate) fn configuration_of(under_id: &[u8]) -> Result<BucketConfiguration, DecodeError> {
    match level_of(under_id)? {
        Level::FIRST => Ok(BucketConfiguration::default()),
        _ => Ok(decode::<BucketRecord>(under_id)?.configuration),
    }
}

/// The bucket with that name.
pub(crate) fn by_name<E: From<DecodeError>>(
    name: &[u8],
    get: impl FnMut(&[u8]) -> Result<Option<Value>, E>,
) -> Result<Option<BucketRecord>, E> {
    read_by_name(name, get)
}

/// What a list shows of the bucket with that name.
pub(crate) fn summary_by_name<E: From<DecodeError>>(
    name: &[u8],
    get: impl FnMut(&[u8]) -> Result<Option<Value>, E>,
) -> Result<Option<BucketSummary>, E> {
    read_by_name(name, get)
}

/// The bucket with that id.
pub(crate) fn by_id<E: From<DecodeError>>(
    id: BucketId,
    get: impl FnMut(&[u8]) -> Result<Option<Value>, E>,
) -> Result<Option<BucketRecord>, E> {
    read_by_id(id, get)
}

/// What a list shows of the bucket with that id.
pub(crate) fn summary_by_id<E: From<DecodeError>>(
    id: BucketId,
    get: impl FnMut(&[u8]) -> Result<Option<Value>, E>,
) -> Result<Option<BucketSummary>, E> {
    read_by_id(id, get)
}

fn read_by_name<T: Migrate, E: From<DecodeError>>(
    name: &[u8],
    mut get: impl FnMut(&[u8]) -> Result<Option<Value>, E>,
) -> Result<Option<T>, E> {
    let Some(under_name) = get(&keys::bucket_by_name(name))? else { return Ok(None) };
    let record = match level_of(&under_name)? {
        Level::FIRST => Some(under_name),
        _ => get(&keys::bucket_by_id(decode(&under_name)?))?,
    };
    record.map(|record| Ok(decode(&record)?)).transpose()
}

fn read_by_id<T: Migrate, E: From<DecodeError>>(
    id: BucketId,
    mut get: impl FnMut(&[u8]) -> Result<Option<Value>, E>,
) -> Result<Option<T>, E> {
    let Some(under_id) = get(&keys::bucket_by_id(id))? else { return Ok(None) };
    let record = match level_of(&under_id)? {
        Level::FIRST => get(&keys::bucket_by_name(decode::<String>(&under_id)?.as_bytes()))?,
        _ => Some(under_id),
    };
    record.map(|record| Ok(decode(&record)?)).transpose()
}
