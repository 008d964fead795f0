//! Which bytes of an object GetObject and HeadObject are about: all of them, a range, or a part.

use crate::conditions;
use crate::error::{Code, S3Error};
use crate::headers;
use crate::multipart;
use crate::query::Query;
use crate::range;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::ops::Range;
use stratum_metadata::record::{Body, Checksum, ChecksumType, ObjectRecord};

const PARTS_COUNT: HeaderName = HeaderName::from_static("x-amz-mp-parts-count");

/// What a read returns of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    pub bytes: Range<u64>,
    of: Of,
}

/// How the bytes were named, which decides the status and the headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Whole,
    Range,
    /// A part, by its position in the object's list of parts; `None` for an object that wasn't made of parts, all of
    /// which counts as part 1.
    Part(Option<usize>),
}

impl Selection {
    /// All of an object.
    pub fn whole(object: &ObjectRecord) -> Self {
        Self { bytes: 0..object.size, of: Of::Whole }
    }

    /// A selection of these bytes of an object.
    pub fn range(bytes: Range<u64>) -> Self {
        Self { bytes, of: Of::Range }
    }

    /// The bytes that a GET or HEAD asks for, if its conditions hold.
    ///
    /// # Errors
    /// `NotModified`, `PreconditionFailed`, `InvalidRange`, `InvalidPart`, `InvalidArgument`, and `InvalidRequest`
    /// for a range of a part.
    pub fn of_read(headers: &HeaderMap, query: &Query, object: &ObjectRecord) -> Result<Self, S3Error> {
        conditions::check_read(headers, object)?;
        let range = headers.get(RANGE).and_then(|range| range.to_str().ok());
        match (query.get("partNumber"), range) {
            (Some(_), Some(_)) => Err(S3Error::new(Code::InvalidRequest)
                .message("Cannot specify both Range header and partNumber query parameter")),
            (Some(number), None) => Self::part(object, number),
            (None, Some(range)) if conditions::range_counts(headers, object) => {
                Ok(match range::requested(range, object.size)? {
                    Some(bytes) => Self::range(bytes),
                    None => Self::whole(object),
                })
            }
            (None, _) => Ok(Self::whole(object)),
        }
    }

    fn part(object: &ObjectRecord, number: &str) -> Result<Self, S3Error> {
        let wanted = multipart::parse_part_number(number)?;
        match &object.body {
            Body::Blob(_) if wanted == 1 => Ok(Self { bytes: 0..object.size, of: Of::Part(None) }),
            Body::Blob(_) => Err(Code::InvalidPart.into()),
            Body::Parts { parts, .. } => {
                let at = parts.iter().position(|part| part.number == wanted);
                let at = at.ok_or(S3Error::new(Code::InvalidPart))?;
                let start = parts.iter().take(at).map(|part| part.size).sum::<u64>();
                let size = parts.get(at).map_or(0, |part| part.size);
                Ok(Self { bytes: start..start + size, of: Of::Part(Some(at)) })
            }
        }
    }

    /// `200` for a whole object, `206` for some of its bytes.
    pub fn status(&self) -> StatusCode {
        match self.of {
            Of::Range => StatusCode::PARTIAL_CONTENT,
            Of::Part(_) if !self.bytes.is_empty() => StatusCode::PARTIAL_CONTENT,
            Of::Whole | Of::Part(_) => StatusCode::OK,
        }
    }

    /// Writes the headers of the answer to a GET or HEAD, about the object and about the bytes that are returned.
    /// `asked` are the request's headers, and `query` is its query.
    pub fn describe(&self, asked: &HeaderMap, query: &Query, object: &ObjectRecord, out: &mut HeaderMap) {
        headers::describe(object, out);
        out.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        out.insert(CONTENT_LENGTH, HeaderValue::from(self.bytes.end - self.bytes.start));
        if self.status() == StatusCode::PARTIAL_CONTENT {
            out.insert(CONTENT_RANGE, range::content_range(&self.bytes, object.size));
        }
        if let (Of::Part(_), Body::Parts { parts, .. }) = (self.of, &object.body) {
            out.insert(PARTS_COUNT, HeaderValue::from(parts.len()));
        }
        let wanted = asked.get("x-amz-checksum-mode");
        if wanted.is_some_and(|mode| mode.as_bytes().eq_ignore_ascii_case(b"ENABLED")) {
            self.describe_checksum(object, out);
        }
        headers::override_from(query, out);
    }

    /// Writes the checksum of the bytes that are returned: the object's or the part's. A range has none.
    fn describe_checksum(&self, object: &ObjectRecord, out: &mut HeaderMap) {
        match (self.of, &object.body) {
            (Of::Range, _) => {}
            (Of::Part(Some(at)), Body::Parts { parts, .. }) => {
                let kind = object.checksum.as_ref().map(|checksum| checksum.kind);
                if let (Some(part), Some(kind)) =
                    (parts.get(at).and_then(|part| part.checksum.as_ref()), kind)
                {
                    // A part's own checksum covers its bytes; the type is the object's.
                    headers::write_checksum(&Checksum { kind, ..part.clone() }, None, out);
                }
            }
            (Of::Whole | Of::Part(_), body) => {
                let Some(checksum) = &object.checksum else { return };
                let parts = match body {
                    Body::Parts { parts, .. } if checksum.kind == ChecksumType::Composite => {
                        Some(parts.len())
                    }
                    _ => None,
                };
                headers::write_checksum(checksum, parts, out);
            }
        }
    }
}

/// Checks a read's query before the object is looked up, so that a wrong query gets the same error whether or not the
/// object exists.
///
/// # Errors
/// `InvalidArgument` for a `partNumber` that isn't a part number.
pub fn check_query(query: &Query) -> Result<(), S3Error> {
    query.get("partNumber").map_or(Ok(()), |number| multipart::parse_part_number(number).map(drop))
}
