//! Requests about multipart uploads.

use super::attributes::{Attributes, attributed};
use super::client::{Call, Client, S3Error};
use super::documents::{Encoding, moment};
use super::lists::{Listed, next_page};
use super::objects::{Condition, Copied, Range, conditioned, source, summed, text};
use super::refusal::Kind;
use crate::checksum::{Crc, Sum};
use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use time::OffsetDateTime;

/// An upload that was begun.
#[derive(Clone, Debug)]
pub struct Upload {
    pub bucket: String,
    pub key: String,
    pub id: String,
}

/// A part that the endpoint has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub number: u32,
    pub etag: String,
    /// The size, where it is known.
    pub size: Option<u64>,
    pub sum: Option<Sum>,
}

/// An upload in a listing.
#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "PascalCase")]
pub struct OpenUpload {
    pub key: String,
    pub upload_id: String,
    #[serde(deserialize_with = "moment")]
    pub initiated: OffsetDateTime,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Begun {
    upload_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Completed {
    #[serde(rename = "ETag", default)]
    etag: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Parts {
    #[serde(default)]
    part: Vec<ListedPart>,
    #[serde(default)]
    is_truncated: bool,
    #[serde(default)]
    next_part_number_marker: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedPart {
    part_number: u32,
    #[serde(rename = "ETag")]
    etag: String,
    size: u64,
    #[serde(rename = "ChecksumCRC64NVME", default)]
    crc64nvme: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Uploads {
    #[serde(default)]
    upload: Vec<OpenUpload>,
    #[serde(default)]
    is_truncated: bool,
    #[serde(default)]
    encoding_type: String,
    #[serde(default)]
    next_key_marker: Option<String>,
    #[serde(default)]
    next_upload_id_marker: Option<String>,
}

impl Uploads {
    pub(super) fn listed(self, begun: Option<&(String, String)>) -> Result<Listed<OpenUpload>, String> {
        let encoding = Encoding::named(&self.encoding_type)?;
        let key =
            self.next_key_marker.filter(|key| !key.is_empty()).map(|key| encoding.read(key)).transpose()?;
        let next = key.map(|key| (key, self.next_upload_id_marker.unwrap_or_default()));
        let next = next_page(self.is_truncated, begun, next)?;
        let listed = Listed { entries: self.upload, prefixes: Vec::new(), next };
        listed.decoded(encoding, |upload| &mut upload.key)
    }
}

impl Client {
    /// Begins an upload. With `is_summed` the object is to have a CRC64NVME of the whole.
    pub async fn begin(
        &self,
        bucket: &str,
        key: &str,
        is_summed: bool,
        attributes: &Attributes,
    ) -> Result<Upload, S3Error> {
        let mut call = attributed(Call::new(Method::POST, bucket, key).query("uploads", ""), attributes);
        if is_summed {
            call = call
                .header("x-amz-checksum-algorithm", Crc::Crc64Nvme.name())
                .header("x-amz-checksum-type", "FULL_OBJECT");
        }
        let Begun { upload_id: id } = self.ask(call).await?;
        Ok(Upload { bucket: bucket.to_owned(), key: key.to_owned(), id })
    }

    /// Sends a part.
    pub async fn put_part(
        &self,
        upload: &Upload,
        number: u32,
        bytes: Bytes,
        sum: Option<Sum>,
    ) -> Result<Part, S3Error> {
        let size = Some(bytes.len() as u64);
        let call = summed(part(upload, number).body(bytes), sum);
        let headers = self.tell(call).await?;
        Ok(Part { number, etag: text(&headers, "etag").unwrap_or_default(), size, sum })
    }

    /// Has the endpoint copy a part from a range of an object, if the object still has that ETag.
    pub async fn copy_part(
        &self,
        upload: &Upload,
        number: u32,
        from: (&str, &str, Option<&str>),
        etag: &str,
        range: Range,
    ) -> Result<Part, S3Error> {
        let call = part(upload, number)
            .header("x-amz-copy-source", &source(from))
            .header("x-amz-copy-source-if-match", etag)
            .header(
                "x-amz-copy-source-range",
                &format!("bytes={}-{}", range.start, range.end.saturating_sub(1)),
            );
        let copied: Copied = self.ask(call).await?;
        Ok(Part { number, etag: copied.etag, size: Some(range.end - range.start), sum: None })
    }

    /// Completes an upload, and gives the object's ETag.
    pub async fn complete(
        &self,
        upload: &Upload,
        parts: &[Part],
        sum: Option<Sum>,
        condition: Condition,
    ) -> Result<String, S3Error> {
        let mut document = "<CompleteMultipartUpload>".to_owned();
        for Part { number, etag, sum, .. } in parts {
            let sum =
                sum.map(|sum| format!("<ChecksumCRC64NVME>{sum}</ChecksumCRC64NVME>")).unwrap_or_default();
            document += &format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag>{sum}</Part>");
        }
        document += "</CompleteMultipartUpload>";
        let mut call = Call::new(Method::POST, &upload.bucket, &upload.key)
            .query("uploadId", &upload.id)
            .header("content-type", "application/xml")
            .body(document.into());
        if sum.is_some() {
            call = summed(call, sum).header("x-amz-checksum-type", "FULL_OBJECT");
        }
        let completed: Completed = self.ask(conditioned(call, condition)).await?;
        Ok(completed.etag)
    }

    /// Aborts an upload, by which the endpoint drops its parts.
    pub async fn abort(&self, upload: &Upload) -> Result<(), S3Error> {
        let call = Call::new(Method::DELETE, &upload.bucket, &upload.key).query("uploadId", &upload.id);
        match self.tell(call).await {
            // The request before it, whose answer was lost, aborted it.
            Err(S3Error::Refused(refusal)) if refusal.is_of_repeat && refusal.kind == Kind::NoUpload => {
                Ok(())
            }
            told => told.map(drop),
        }
    }

    /// All parts that an upload has.
    pub async fn parts(&self, upload: &Upload) -> Result<Vec<Part>, S3Error> {
        let (mut parts, mut marker): (Vec<Part>, Option<String>) = (Vec::new(), None);
        loop {
            let call = Call::new(Method::GET, &upload.bucket, &upload.key)
                .query_if("part-number-marker", marker.as_deref())
                .query("uploadId", &upload.id);
            let page: Parts = self.ask(call).await?;
            parts.extend(page.part.into_iter().map(|part| Part {
                number: part.part_number,
                etag: part.etag,
                size: Some(part.size),
                sum: part.crc64nvme.and_then(|value| Sum::parse(Crc::Crc64Nvme, &value)),
            }));
            let next = next_page(page.is_truncated, marker.as_ref(), page.next_part_number_marker);
            marker = next.map_err(|problem| self.nonsense(problem))?;
            if marker.is_none() {
                return Ok(parts);
            }
        }
    }

    /// A page of the open uploads whose keys begin with `prefix`.
    pub async fn list_uploads(
        &self,
        bucket: &str,
        prefix: &str,
        next: Option<&(String, String)>,
    ) -> Result<Listed<OpenUpload>, S3Error> {
        let call = Call::new(Method::GET, bucket, "")
            .query("encoding-type", "url")
            .query_if("key-marker", next.map(|(key, _)| key.as_str()))
            .query("prefix", prefix)
            .query_if("upload-id-marker", next.map(|(_, id)| id.as_str()))
            .query("uploads", "");
        let page: Uploads = self.ask(call).await?;
        page.listed(next).map_err(|problem| self.nonsense(problem))
    }
}

fn part(upload: &Upload, number: u32) -> Call<'_> {
    Call::new(Method::PUT, &upload.bucket, &upload.key)
        .query("partNumber", number.to_string())
        .query("uploadId", &upload.id)
}
