//! CompleteMultipartUpload without the store: the parts that the client names are compared with the parts that were
//! stored.

use crate::checksum;
use crate::error::{Code, S3Error};
use crate::multipart::{MIN_PART_BYTES, checksum_of_parts, etag};
use crate::xml::multipart::CompletedPart as Named;
use stratum_metadata::record::{
    Checksum, ChecksumAlgorithm, ChecksumType, ETag, PartRecord, PartSummary, UploadRecord,
};

/// The object that the named parts make.
#[derive(Debug, PartialEq, Eq)]
pub struct Assembled {
    pub parts: Vec<PartSummary>,
    /// Whether the upload has parts that the client doesn't name.
    pub has_spare: bool,
    /// The sum of the parts' sizes, in bytes.
    pub size: u64,
    pub etag: ETag,
    pub checksum: Option<Checksum>,
}

/// Checks the client's list against the upload's parts (`stored`, in the order of their numbers) and puts the object
/// together. Where the client gives no checksum of a part, the stored one counts: it was verified when the part was
/// uploaded.
///
/// # Errors
/// `InvalidArgument`, `InvalidPartOrder`, `InvalidPart`, `EntityTooSmall`, `InvalidRequest`.
pub fn assemble(upload: &UploadRecord, named: &[Named], stored: &[PartRecord]) -> Result<Assembled, S3Error> {
    if !named.is_sorted_by_key(|part| part.number) {
        return Err(Code::InvalidPartOrder.into());
    }
    if let Some(first) = named.first().filter(|first| first.number < 1) {
        let number = first.number.to_string();
        return Err(S3Error::invalid_argument("PartNumber", number, "PartNumber must be >= 1"));
    }
    // A part that was sent again may be named again: as it was sent last.
    let named: Vec<&Named> =
        named.chunk_by(|one, next| one.number == next.number).filter_map(<[_]>::last).collect();
    let parts = named.iter().map(|part| find(part, stored)).collect::<Result<Vec<_>, _>>()?;
    check_checksums_of_all(upload, &named)?;
    if let Some((_, all_but_last)) = parts.split_last() {
        all_but_last.iter().try_for_each(|part| large_enough(part))?;
    }
    let sized: Vec<_> = parts.iter().map(|part| (part.size, part.checksum.as_ref())).collect();
    Ok(Assembled {
        has_spare: stored.len() > parts.len(),
        parts: parts.iter().map(|part| summary(part)).collect(),
        size: parts.iter().map(|part| part.size).sum(),
        etag: etag(parts.iter().map(|part| part.md5)),
        checksum: kind_of(upload, &parts)
            .and_then(|(algorithm, kind)| checksum_of_parts(algorithm, kind, &sized)),
    })
}

/// Which checksum the object gets: the one that the upload was created with. Without one it is of the parts'
/// algorithm, if they all have the same.
fn kind_of(upload: &UploadRecord, parts: &[&PartRecord]) -> Option<(ChecksumAlgorithm, ChecksumType)> {
    if upload.checksum.is_some() {
        return upload.checksum;
    }
    let mut algorithms = parts.iter().map(|part| part.checksum.as_ref().map(|checksum| checksum.algorithm));
    let first = algorithms.next()??;
    // A checksum of the full object is preferred: it doesn't depend on how the object was cut into parts.
    let kind = match checksum::types(first) {
        (ChecksumType::FullObject, _) | (_, Some(ChecksumType::FullObject)) => ChecksumType::FullObject,
        (kind @ ChecksumType::Composite, _) => kind,
    };
    algorithms.all(|other| other == Some(first)).then_some((first, kind))
}

fn find<'a>(named: &Named, stored: &'a [PartRecord]) -> Result<&'a PartRecord, S3Error> {
    let refused = || {
        S3Error::new(Code::InvalidPart)
            .with("PartNumber", named.number.to_string())
            .with("ETag", named.etag.clone())
    };
    let at =
        stored.binary_search_by_key(&named.number, |part| i32::from(part.number)).map_err(|_| refused())?;
    let part = stored.get(at).ok_or_else(refused)?;
    if !ETag::Md5(part.md5).to_string().eq_ignore_ascii_case(&named.etag) {
        return Err(refused());
    }
    for (algorithm, value) in &named.checksums {
        match part.checksum.as_ref().filter(|checksum| checksum.algorithm == *algorithm) {
            Some(checksum) if checksum::encode(&checksum.value) != *value => return Err(refused()),
            Some(_) => {}
            // There is nothing to compare the client's with, so that nobody knows whether it is right.
            None => {
                let message = "A part's checksum is of another algorithm than the part was stored with.";
                return Err(S3Error::new(Code::InvalidRequest).message(message));
            }
        }
    }
    Ok(part)
}

/// A composite checksum is made of what the client says of its parts. S3 wants it said of each of them again; that a client says it
/// of none is taken, which a case of ceph's suite asks for.
fn check_checksums_of_all(upload: &UploadRecord, named: &[&Named]) -> Result<(), S3Error> {
    let Some((algorithm, ChecksumType::Composite)) = upload.checksum else { return Ok(()) };
    let missing = named.iter().find(|part| part.checksums.is_empty());
    let Some(missing) = missing.filter(|_| named.iter().any(|part| !part.checksums.is_empty())) else {
        return Ok(());
    };
    Err(S3Error::new(Code::InvalidRequest).message(format!(
        "The upload was created using a {} checksum. The complete request must include the checksum for each part. It was missing \
         for part {} in the request.",
        checksum::name(algorithm).to_ascii_lowercase(),
        missing.number
    )))
}

fn large_enough(part: &PartRecord) -> Result<(), S3Error> {
    if part.size >= MIN_PART_BYTES {
        return Ok(());
    }
    Err(S3Error::new(Code::EntityTooSmall)
        .with("ProposedSize", part.size.to_string())
        .with("MinSizeAllowed", MIN_PART_BYTES.to_string())
        .with("PartNumber", part.number.to_string())
        .with("ETag", ETag::Md5(part.md5).to_string()))
}

fn summary(part: &PartRecord) -> PartSummary {
    PartSummary { number: part.number, size: part.size, checksum: part.checksum.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_metadata::record::{Attributes, BucketId, ObjectHeaders, StorageClass};
    use stratum_storage::blob::{BlobRef, Place};

    fn upload(checksum: Option<(ChecksumAlgorithm, ChecksumType)>) -> UploadRecord {
        UploadRecord {
            bucket: BucketId(1),
            key: b"k".to_vec(),
            initiated: 0,
            initiator: "o".into(),
            storage_class: StorageClass::Standard,
            headers: ObjectHeaders::default(),
            checksum,
            attributes: Attributes::default(),
        }
    }

    fn crc(value: u64) -> Checksum {
        let value = value.to_be_bytes().to_vec();
        Checksum { algorithm: ChecksumAlgorithm::Crc64Nvme, kind: ChecksumType::FullObject, value }
    }

    fn part(number: u16, size: u64) -> PartRecord {
        PartRecord {
            number,
            modified: 0,
            size,
            md5: [number as u8; 16],
            checksum: Some(crc(number.into())),
            blob: BlobRef::plain(Place::Empty),
        }
    }

    fn named(number: i32) -> Named {
        Named { number, etag: hex::encode([number as u8; 16]), checksums: Vec::new() }
    }

    fn refusal(named: &[Named], stored: &[PartRecord]) -> Code {
        assemble(&upload(None), named, stored).unwrap_err().code()
    }

    #[test]
    fn a_subset_of_the_parts_makes_an_object() {
        let stored = [part(1, MIN_PART_BYTES), part(2, 9), part(7, 3)];
        let made = assemble(&upload(None), &[named(1), named(7)], &stored).unwrap();
        assert_eq!(made.size, MIN_PART_BYTES + 3);
        assert_eq!(made.parts.iter().map(|part| part.number).collect::<Vec<_>>(), [1, 7]);
        assert_eq!(made.parts.iter().map(|part| part.size).collect::<Vec<_>>(), [MIN_PART_BYTES, 3]);
        assert!(made.has_spare);
        assert!(made.etag.to_string().ends_with("-2"));
        assert_eq!(made.checksum.unwrap().algorithm, ChecksumAlgorithm::Crc64Nvme);
    }

    #[test]
    fn without_an_algorithm_of_the_upload_the_object_gets_that_of_the_parts_if_they_agree() {
        let with = |algorithm, number| {
            let value = vec![1; checksum::length(algorithm)];
            let checksum = Checksum { algorithm, kind: ChecksumType::FullObject, value };
            PartRecord { checksum: Some(checksum), ..part(number, MIN_PART_BYTES) }
        };
        let made = |one, two| {
            let stored = [with(one, 1), with(two, 2)];
            let made = assemble(&upload(None), &[named(1), named(2)], &stored).unwrap();
            made.checksum.map(|checksum| (checksum.algorithm, checksum.kind))
        };
        use ChecksumAlgorithm::{Crc32, Sha1};
        assert_eq!(made(Crc32, Crc32), Some((Crc32, ChecksumType::FullObject)));
        assert_eq!(made(Sha1, Sha1), Some((Sha1, ChecksumType::Composite)));
        assert_eq!(made(Crc32, Sha1), None);
    }

    #[test]
    fn order_existence_and_size_are_checked() {
        let stored = [part(1, MIN_PART_BYTES - 1), part(2, MIN_PART_BYTES), part(3, 1)];
        assert_eq!(refusal(&[named(2), named(1)], &stored), Code::InvalidPartOrder);
        let stale = Named { etag: "stale".into(), ..named(3) };
        assert_eq!(assemble(&upload(None), &[stale, named(3)], &stored).unwrap().parts.len(), 1);
        assert_eq!(refusal(&[named(4)], &stored), Code::InvalidPart);
        assert_eq!(refusal(&[named(0)], &stored), Code::InvalidArgument);
        assert_eq!(refusal(&[named(-1)], &stored), Code::InvalidArgument);
        assert_eq!(refusal(&[named(70_000)], &stored), Code::InvalidPart);
        assert_eq!(refusal(&[named(1), named(3)], &stored), Code::EntityTooSmall);
        assert!(assemble(&upload(None), &[named(2), named(3)], &stored).is_ok());
        assert!(assemble(&upload(None), &[named(1)], &stored).is_ok());
    }

    #[test]
    fn etags_must_match_in_any_case() {
        let stored = [part(0xab, 1)];
        let with = |etag: &str| Named { etag: etag.into(), ..named(0xab) };
        assert!(assemble(&upload(None), &[with(&"AB".repeat(16))], &stored).is_ok());
        assert_eq!(refusal(&[with(&"ff".repeat(16))], &stored), Code::InvalidPart);
        assert_eq!(refusal(&[with("")], &stored), Code::InvalidPart);
    }

    #[test]
    fn part_checksums_must_match_those_stored() {
        let stored = [part(1, 1)];
        let with = |algorithm, value: &Checksum| {
            [Named { checksums: vec![(algorithm, checksum::encode(&value.value))], ..named(1) }]
        };
        let created = upload(Some((ChecksumAlgorithm::Crc64Nvme, ChecksumType::FullObject)));
        let right = with(ChecksumAlgorithm::Crc64Nvme, &crc(1));
        assert!(assemble(&created, &right, &stored).is_ok());
        let wrong = with(ChecksumAlgorithm::Crc64Nvme, &crc(2));
        assert_eq!(assemble(&created, &wrong, &stored).unwrap_err().code(), Code::InvalidPart);
        let other = with(ChecksumAlgorithm::Sha256, &crc(1));
        assert_eq!(assemble(&created, &other, &stored).unwrap_err().code(), Code::InvalidRequest);
        assert_eq!(refusal(&other, &stored), Code::InvalidRequest);
    }

    #[test]
    fn a_composite_checksum_takes_the_checksums_of_all_parts_or_of_none() {
        let algorithm = ChecksumAlgorithm::Sha256;
        let value = vec![7; checksum::length(algorithm)];
        let text = checksum::encode(&value);
        let checksum = Checksum { algorithm, kind: ChecksumType::FullObject, value };
        let stored = [1, 2, 3]
            .map(|number| PartRecord { checksum: Some(checksum.clone()), ..part(number, MIN_PART_BYTES) });
        let with = |number| Named { checksums: vec![(algorithm, text.clone())], ..named(number) };
        let created = upload(Some((algorithm, ChecksumType::Composite)));
        let made = |parts: [Named; 3]| assemble(&created, &parts, &stored).map_err(|error| error.code());
        assert!(made([with(1), with(2), with(3)]).is_ok());
        assert!(made([named(1), named(2), named(3)]).is_ok());
        assert_eq!(made([named(1), with(2), with(3)]), Err(Code::InvalidRequest));
        assert_eq!(made([with(1), with(2), named(3)]), Err(Code::InvalidRequest));
        // Of a part that is named twice the last counts.
        assert!(made([with(1), named(2), with(2)]).is_ok());
        assert_eq!(made([with(1), with(2), named(2)]), Err(Code::InvalidRequest));
        let mixed = [with(1), named(2)];
        assert!(assemble(&upload(None), &mixed, &stored).is_ok());
        let full = upload(Some((algorithm, ChecksumType::FullObject)));
        assert!(assemble(&full, &mixed, &stored).is_ok());
    }
}
