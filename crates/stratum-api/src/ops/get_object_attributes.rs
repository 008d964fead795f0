//! GetObjectAttributes: a document with those attributes of an object that the request asks for, its parts among
//! them.

use crate::checksum;
use crate::conditions;
use crate::context::Context;
use crate::encryption::Opening;
use crate::error::{Code, S3Error, S3Result};
use crate::headers;
use crate::key::ObjectKey;
use crate::listing;
use crate::multipart;
use crate::version::Target;
use crate::xml;
use crate::xml::Namespace;
use crate::xml::attributes::{Checksum, GetObjectAttributesResponse, ObjectPart, ObjectParts};
use crate::xml::multipart::ChecksumElement;
use http::header::LAST_MODIFIED;
use stratum_metadata::record::{Body, BucketRecord, ObjectRecord, PartSummary};

const ATTRIBUTES: &str = "x-amz-object-attributes";
const MAX_PARTS: &str = "x-amz-max-parts";
const MARKER: &str = "x-amz-part-number-marker";

pub async fn handle(ctx: &Context, bucket: &BucketRecord, key: &ObjectKey) -> S3Result {
    let wanted = Wanted::read(ctx)?;
    let target = Target::of(bucket, key, &ctx.query, ctx.operation.method)?;
    let opening = Opening::of_read(ctx)?;
    let mut object = target.look_up(&ctx.view)?.object;
    conditions::check_read(&ctx.headers, &object)?;
    opening.unlock(ctx, &target, &mut object).await?;
    let mut response = xml::answer(&wanted.of(&object))?;
    response.headers_mut().insert(LAST_MODIFIED, headers::http_date(object.modified));
    target.describe(&object, response.headers_mut());
    Ok(response)
}

/// The attributes that a request asks for, and which page of the parts.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    etag: bool,
    checksum: bool,
    object_parts: bool,
    storage_class: bool,
    object_size: bool,
    max_parts: usize,
    marker: u16,
}

impl Wanted {
    fn read(ctx: &Context) -> Result<Self, S3Error> {
        let mut names = Vec::new();
        for value in ctx.headers.get_all(ATTRIBUTES) {
            names.extend(value.to_str().unwrap_or_default().split(',').map(str::trim));
        }
        let wanted = Self::named(&names)?;
        let max_parts = listing::most(MAX_PARTS, ctx.header(MAX_PARTS))?;
        Ok(Self { max_parts, marker: multipart::marker(MARKER, ctx.header(MARKER))?, ..wanted })
    }

    fn named(names: &[&str]) -> Result<Self, S3Error> {
        let mut wanted = Self::default();
        for name in names.iter().filter(|name| !name.is_empty()) {
            let flag = match *name {
                "ETag" => &mut wanted.etag,
                "Checksum" => &mut wanted.checksum,
                "ObjectParts" => &mut wanted.object_parts,
                "StorageClass" => &mut wanted.storage_class,
                "ObjectSize" => &mut wanted.object_size,
                other => {
                    return Err(S3Error::invalid_argument(
                        ATTRIBUTES,
                        other,
                        "Invalid attribute name specified.",
                    ));
                }
            };
            *flag = true;
        }
        if wanted == Self::default() {
            let message = "The x-amz-object-attributes header specifying the attributes to be retrieved is either \
                 missing or empty";
            return Err(S3Error::new(Code::InvalidRequest).message(message));
        }
        Ok(wanted)
    }

    fn of(&self, object: &ObjectRecord) -> GetObjectAttributesResponse {
        GetObjectAttributesResponse {
            xmlns: Namespace,
            etag: self.etag.then(|| object.etag.to_string()),
            checksum: object.checksum.as_ref().filter(|_| self.checksum).map(|checksum| Checksum {
                value: ChecksumElement::new(
                    checksum.algorithm,
                    multipart::checksum_text(checksum, multipart::parts_of(&object.etag)),
                ),
                checksum_type: checksum::type_name(checksum.kind),
            }),
            object_parts: match &object.body {
                Body::Parts { parts, .. } if self.object_parts => Some(self.page(parts)),
                _ => None,
            },
            storage_class: self.storage_class.then(|| headers::storage_class_name(object.storage_class)),
            object_size: self.object_size.then_some(object.size),
        }
    }

    /// The page of the parts that follow the marker.
    fn page(&self, all: &[PartSummary]) -> ObjectParts {
        let after = all.iter().filter(|part| part.number > self.marker);
        let parts: Vec<_> = after.clone().take(self.max_parts).map(line).collect();
        ObjectParts {
            parts_count: all.len(),
            part_number_marker: self.marker,
            next_part_number_marker: parts.last().map_or(self.marker, |last| last.part_number),
            max_parts: self.max_parts,
            // Whoever asks for no part can't go on from here: there is no next page, as with all of S3's lists.
            is_truncated: self.max_parts > 0 && after.count() > parts.len(),
            parts,
        }
    }
}

/// A part with the checksum that it was stored with.
fn line(part: &PartSummary) -> ObjectPart {
    ObjectPart {
        part_number: part.number,
        size: part.size,
        checksum: part
            .checksum
            .as_ref()
            .map(|checksum| ChecksumElement::new(checksum.algorithm, checksum::encode(&checksum.value))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_metadata::record::{
        self, Attributes, ChecksumAlgorithm, ChecksumType, ETag, ObjectHeaders, StorageClass, UploadId,
        VersionId,
    };

    fn object(parts: u16) -> ObjectRecord {
        let sha256 =
            |kind| record::Checksum { algorithm: ChecksumAlgorithm::Sha256, kind, value: vec![0; 32] };
        let part = |number| PartSummary { number, size: 5, checksum: Some(sha256(ChecksumType::FullObject)) };
        ObjectRecord {
            version: VersionId::NULL,
            modified: 0,
            size: 5 * u64::from(parts),
            etag: ETag::Multipart { md5: [0; 16], parts },
            storage_class: StorageClass::Standard,
            checksum: Some(sha256(ChecksumType::Composite)),
            headers: ObjectHeaders::default(),
            body: Body::Parts { upload: UploadId(1), parts: (1..=parts).map(part).collect() },
            committed: 0,
            attributes: Attributes::default(),
        }
    }

    #[test]
    fn an_answer_has_only_the_attributes_that_were_asked_for() {
        let told = Wanted::named(&["ETag", "ObjectSize"]).unwrap().of(&object(2));
        assert_eq!(told.etag.as_deref(), Some("00000000000000000000000000000000-2"));
        assert_eq!(told.object_size, Some(10));
        assert!(told.checksum.is_none() && told.object_parts.is_none() && told.storage_class.is_none());
        assert_eq!(Wanted::named(&[""]).unwrap_err().code(), Code::InvalidRequest);
        assert_eq!(Wanted::named(&["Size"]).unwrap_err().code(), Code::InvalidArgument);
    }

    #[test]
    fn parts_come_in_pages() {
        let page = |max_parts, marker| {
            let wanted = Wanted { max_parts, marker, object_parts: true, ..Wanted::default() };
            wanted.of(&object(6)).object_parts.unwrap()
        };
        let first = page(1, 3);
        let numbers = |page: &ObjectParts| page.parts.iter().map(|part| part.part_number).collect::<Vec<_>>();
        assert_eq!((first.parts_count, first.next_part_number_marker, first.is_truncated), (6, 4, true));
        assert_eq!(numbers(&first), [4]);
        let last = page(10, 4);
        assert_eq!((numbers(&last), last.is_truncated), (vec![5, 6], false));
        let none = page(0, 4);
        assert_eq!((none.next_part_number_marker, none.is_truncated), (4, false));
    }

    #[test]
    fn the_document_has_the_checksum_and_the_parts_in_the_order_of_s3() {
        let wanted = Wanted { checksum: true, object_parts: true, max_parts: 1, ..Wanted::default() };
        let text = xml::write(&wanted.of(&object(1))).unwrap();
        let text = String::from_utf8(text.to_vec()).unwrap();
        let zeros = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let expected = format!(
            "<Checksum><ChecksumSHA256>{zeros}-1</ChecksumSHA256><ChecksumType>COMPOSITE</ChecksumType></Checksum>\
             <ObjectParts><PartsCount>1</PartsCount><PartNumberMarker>0</PartNumberMarker>\
             <NextPartNumberMarker>1</NextPartNumberMarker><MaxParts>1</MaxParts><IsTruncated>false</IsTruncated>\
             <Part><PartNumber>1</PartNumber><Size>5</Size><ChecksumSHA256>{zeros}</ChecksumSHA256></Part>\
             </ObjectParts></GetObjectAttributesResponse>"
        );
        assert!(text.ends_with(&expected), "{text}");
    }
}
