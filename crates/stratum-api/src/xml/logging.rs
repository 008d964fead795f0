//! The document of a bucket's logging, written and read.

use crate::access_log::{DateSource, KeyFormat, Logging};
use crate::acl;
use crate::error::S3Error;
use crate::xml::Namespace;
use crate::xml::acl::{Grant, Grantees, grant};
use crate::xml::read::{self, Element, Malformed};
use serde::Serialize;
use stratum_auth::Identities;
use stratum_metadata::record::{self, Permission};

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
    #[serde(skip_serializing_if = "Option::is_none")]
    target_grants: Option<Grants>,
    target_prefix: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_object_key_format: Option<Format>,
}

#[derive(Debug, Serialize)]
struct Grants {
    #[serde(rename = "Grant")]
    grants: Vec<Grant>,
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

/// Writes the document, which is empty for a bucket without logging.
///
/// # Errors
/// As [`xml::text`](crate::xml::text).
pub fn text(logging: Option<&Logging>, identities: &Identities) -> Result<String, S3Error> {
    let grants = |grants: &[record::Grant]| Grants {
        grants: grants.iter().map(|grant| Grant::of(grant, identities)).collect(),
    };
    let enabled = logging.map(|logging| Enabled {
        target_bucket: &logging.target,
        target_grants: (!logging.grants.is_empty()).then(|| grants(&logging.grants)),
        target_prefix: &logging.prefix,
        target_object_key_format: logging.format.map(|format| match format {
            KeyFormat::Simple => Format { simple_prefix: Some(Simple {}), ..Format::default() },
            KeyFormat::Partitioned(source) => Format {
                partitioned_prefix: Some(Partitioned { partition_date_source: source.name() }),
                ..Format::default()
            },
        }),
    });
    let bytes = crate::xml::text(&Status { xmlns: Namespace, logging_enabled: enabled })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads a document; none where it turns logging off.
///
/// # Errors
/// `MalformedXML`; for grants those of [`acl`].
pub fn read(body: &[u8], grantees: Grantees<'_>) -> Result<Option<Logging>, S3Error> {
    let root = read::document(body, "BucketLoggingStatus")?;
    root.only(&["LoggingEnabled"])?;
    let Some(enabled) = root.at_most_one("LoggingEnabled")? else { return Ok(None) };
    enabled.only(&["TargetBucket", "TargetPrefix", "TargetGrants", "TargetObjectKeyFormat"])?;
    let grants = match enabled.at_most_one("TargetGrants")? {
        Some(list) => self::grants(list, grantees)?,
        None => Vec::new(),
    };
    let target = enabled.trimmed("TargetBucket")?.filter(|target| !target.is_empty());
    let prefix = enabled.text_of("TargetPrefix")?.ok_or(Malformed::WrongElements)?.to_owned();
    let format = enabled.at_most_one("TargetObjectKeyFormat")?.map(format).transpose()?;
    let target = target.ok_or(Malformed::WrongElements)?.to_owned();
    Ok(Some(Logging { target, prefix, format, grants }))
}

/// Reads the grants on the objects of a log. As at S3 they may give the permissions READ, WRITE and FULL_CONTROL.
fn grants(list: &Element, grantees: Grantees<'_>) -> Result<Vec<record::Grant>, S3Error> {
    list.only(&["Grant"])?;
    let grants: Vec<record::Grant> =
        list.all("Grant").map(|element| grant(element, &grantees)).collect::<Result<_, _>>()?;
    match grants.iter().any(|grant| matches!(grant.permission, Permission::ReadAcp | Permission::WriteAcp)) {
        true => Err(Malformed::WrongText.into()),
        false => acl::bounded(grants),
    }
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
        read(text.as_bytes(), Grantees::Kept).map_err(|error| error.code())
    }

    fn granting(permission: &str) -> Result<Option<Logging>, Code> {
        enabled(&format!(
            "<TargetGrants><Grant><Grantee xsi:type=\"CanonicalUser\"><ID>ann</ID></Grantee><Permission>{permission}\
             </Permission></Grant><Grant><Grantee xsi:type=\"Group\">\
             <URI>http://acs.amazonaws.com/groups/global/AuthenticatedUsers</URI></Grantee><Permission>READ</Permission>\
             </Grant></TargetGrants>"
        ))
    }

    fn enabled(inside: &str) -> Result<Option<Logging>, Code> {
        of(&format!(
            "<LoggingEnabled><TargetBucket>t</TargetBucket><TargetPrefix>log/</TargetPrefix>{inside}</LoggingEnabled>"
        ))
    }

    #[test]
    fn a_document_is_written_and_read() {
        let source = "<TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>EventTime</PartitionDateSource>\
            </PartitionedPrefix></TargetObjectKeyFormat>";
        let granting = granting("FULL_CONTROL").unwrap();
        assert_eq!(granting.as_ref().map(|logging| logging.grants.len()), Some(2));
        let simple = "<TargetObjectKeyFormat><SimplePrefix/></TargetObjectKeyFormat>";
        assert_ne!(enabled(simple), enabled(""), "only what was put is told");
        for logging in [
            enabled("").unwrap(),
            enabled(simple).unwrap(),
            enabled(source).unwrap(),
            of("").unwrap(),
            granting,
        ] {
            let text = text(logging.as_ref(), &Identities::default()).unwrap();
            assert_eq!(read(text.as_bytes(), Grantees::Kept).unwrap(), logging);
        }
    }

    #[test]
    fn a_document_that_isn_t_allowed_is_refused() {
        assert_eq!(of("<LoggingEnabled/>"), Err(Code::MalformedXML));
        assert_eq!(enabled("<LoggingType>Journal</LoggingType>"), Err(Code::MalformedXML));
        assert_eq!(enabled("<TargetObjectKeyFormat/>"), Err(Code::MalformedXML));
        assert_eq!(enabled("<TargetGrants><Grant/></TargetGrants>"), Err(Code::MalformedACLError));
        assert_eq!(granting("WRITE_ACP"), Err(Code::MalformedXML));
        let source = "<TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>kaboom</PartitionDateSource>\
            </PartitionedPrefix></TargetObjectKeyFormat>";
        assert_eq!(enabled(source), Err(Code::MalformedXML));
    }
}
