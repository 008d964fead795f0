//! The document of a bucket's logging, both ways.

use crate::access_log::{DateSource, KeyFormat, Logging};
use crate::error::S3Error;
use crate::xml::Namespace;
use crate::xml::read::{self, Element, Malformed};
use serde::Serialize;

#[derive(Debug, Serialize)]
#[serde(rename = "BucketLoggingStatus", rename_all = "PascalCase")]
struct Status<'a> {
    #[serde(rename = "@xmlns")]
    xmlns: Namespace,
    #[serde(skip_serializing_if = "Option::is_none")]
    logging_enabled: Option<Enabled<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Enabled<'a> {
    target_bucket: &'a str,
    target_prefix: &'a str,
    target_object_key_format: Format,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Format {
    #[serde(skip_serializing_if = "Option::is_none")]
    simple_prefix: Option<Simple>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partitioned_prefix: Option<Partitioned>,
}

#[derive(Debug, Serialize)]
struct Simple {}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Partitioned {
    partition_date_source: &'static str,
}

/// The document; of a bucket without logging an empty one.
///
/// # Errors
/// As [`xml::text`](crate::xml::text).
pub fn text(logging: Option<&Logging>) -> Result<String, S3Error> {
    let enabled = logging.map(|logging| Enabled {
        target_bucket: &logging.target,
        target_prefix: &logging.prefix,
        target_object_key_format: match logging.format {
            KeyFormat::Simple => Format { simple_prefix: Some(Simple {}), ..Format::default() },
            KeyFormat::Partitioned(source) => Format {
                partitioned_prefix: Some(Partitioned { partition_date_source: source.name() }),
                ..Format::default()
            },
        },
    });
    let bytes = crate::xml::text(&Status { xmlns: Namespace, logging_enabled: enabled })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What a document turns on; nothing where it turns logging off.
///
/// # Errors
/// `MalformedXML`; `NotImplemented` for grants to what is delivered.
pub fn read(body: &[u8]) -> Result<Option<Logging>, S3Error> {
    let root = read::document(body, "BucketLoggingStatus")?;
    root.only(&["LoggingEnabled"])?;
    let Some(enabled) = root.at_most_one("LoggingEnabled")? else { return Ok(None) };
    enabled.only(&["TargetBucket", "TargetPrefix", "TargetGrants", "TargetObjectKeyFormat"])?;
    if enabled.at_most_one("TargetGrants")?.is_some_and(|grants| !grants.children.is_empty()) {
        return Err(S3Error::not_implemented("Granting something to the objects of a log"));
    }
    let target = enabled.trimmed("TargetBucket")?.filter(|target| !target.is_empty());
    let prefix = enabled.at_most_one("TargetPrefix")?.ok_or(Malformed::WrongElements)?.text.clone();
    let format = enabled.at_most_one("TargetObjectKeyFormat")?.map(format).transpose()?.unwrap_or_default();
    let target = target.ok_or(Malformed::WrongElements)?.to_owned();
    Ok(Some(Logging { target, prefix, format }))
}

fn format(element: &Element) -> Result<KeyFormat, Malformed> {
    element.only(&["SimplePrefix", "PartitionedPrefix"])?;
    match (element.at_most_one("SimplePrefix")?, element.at_most_one("PartitionedPrefix")?) {
        (Some(_), None) => Ok(KeyFormat::Simple),
        (None, Some(partitioned)) => {
            partitioned.only(&["PartitionDateSource"])?;
            let source = partitioned.trimmed("PartitionDateSource")?.ok_or(Malformed::WrongElements)?;
            DateSource::named(source).map(KeyFormat::Partitioned).ok_or(Malformed::WrongText)
        }
        _ => Err(Malformed::WrongElements),
    }
}

impl DateSource {
    fn name(self) -> &'static str {
        match self {
            DateSource::EventTime => "EventTime",
            DateSource::DeliveryTime => "DeliveryTime",
        }
    }

    fn named(name: &str) -> Option<DateSource> {
        [DateSource::EventTime, DateSource::DeliveryTime].into_iter().find(|source| source.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn of(inside: &str) -> Result<Option<Logging>, Code> {
        let text = format!("<BucketLoggingStatus>{inside}</BucketLoggingStatus>");
        read(text.as_bytes()).map_err(|error| error.code())
    }

    fn enabled(inside: &str) -> Result<Option<Logging>, Code> {
        of(&format!(
            "<LoggingEnabled><TargetBucket>t</TargetBucket><TargetPrefix>log/</TargetPrefix>{inside}</LoggingEnabled>"
        ))
    }

    #[test]
    fn a_document_comes_back() {
        let source = "<TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>EventTime</PartitionDateSource>\
            </PartitionedPrefix></TargetObjectKeyFormat>";
        for logging in [enabled("").unwrap(), enabled(source).unwrap(), of("").unwrap()] {
            assert_eq!(read(text(logging.as_ref()).unwrap().as_bytes()).unwrap(), logging);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert_eq!(of("<LoggingEnabled/>"), Err(Code::MalformedXML));
        assert_eq!(enabled("<LoggingType>Journal</LoggingType>"), Err(Code::MalformedXML));
        assert_eq!(enabled("<TargetObjectKeyFormat/>"), Err(Code::MalformedXML));
        let grants = "<TargetGrants><Grant/></TargetGrants>";
        assert_eq!(enabled(grants), Err(Code::NotImplemented));
        let source = "<TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>kaboom</PartitionDateSource>\
            </PartitionedPrefix></TargetObjectKeyFormat>";
        assert_eq!(enabled(source), Err(Code::MalformedXML));
    }
}
