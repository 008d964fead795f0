//! Documents about buckets: those of ListBuckets and CreateBucket, and the configurations that are a single setting.

use crate::text::Timestamp;
use crate::xml::Namespace;
use crate::xml::read::{self, Malformed};
use crate::xml::tagging;
use serde::Serialize;
use stratum_auth::{Identities, User};
use stratum_metadata::record::Versioning;

/// The owner of a bucket or object, or the initiator of an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Owner {
    #[serde(rename = "ID")]
    pub id: String,
    pub display_name: String,
}

impl Owner {
    pub fn of(user: &User) -> Self {
        Self { id: user.id.clone(), display_name: user.display_name.clone() }
    }

    /// The owner with that canonical id. One who is no longer a user has an empty name.
    pub fn by_id(identities: &Identities, id: &str) -> Self {
        match identities.by_id(id) {
            Some(user) => Self::of(user),
            None => Self { id: id.to_owned(), display_name: String::new() },
        }
    }
}

/// The answer to ListBuckets.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListAllMyBucketsResult {
    #[serde(rename = "@xmlns")]
    pub xmlns: Namespace,
    pub owner: Owner,
    pub buckets: Buckets,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub continuation_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

/// The list inside [`ListAllMyBucketsResult`].
#[derive(Debug, Default, Serialize)]
pub struct Buckets {
    #[serde(rename = "Bucket")]
    pub buckets: Vec<Bucket>,
}

/// A bucket in a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Bucket {
    pub name: String,
    pub creation_date: Timestamp,
    pub bucket_region: String,
}

/// The answer to GetBucketLocation: the region, or an empty element for us-east-1.
#[derive(Debug, Serialize)]
pub struct LocationConstraint {
    #[serde(rename = "@xmlns")]
    pub xmlns: Namespace,
    #[serde(rename = "$text", skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// The answer to GetBucketVersioning, and the body of PutBucketVersioning. For a bucket that was never versioned the
/// answer has no status.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct VersioningConfiguration {
    #[serde(rename = "@xmlns")]
    pub xmlns: Namespace,
    #[serde(rename = "Status", skip_serializing_if = "Option::is_none", serialize_with = "status")]
    pub versioning: Option<Versioning>,
    /// Whether a request asks for MFA delete. An answer never mentions it, since it is always off.
    #[serde(skip)]
    pub mfa_delete: bool,
}

fn status<S: serde::Serializer>(versioning: &Option<Versioning>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match versioning {
        Some(Versioning::Enabled) => "Enabled",
        Some(Versioning::Suspended) => "Suspended",
        None => "",
    })
}

impl VersioningConfiguration {
    pub fn of(versioning: Option<Versioning>) -> Self {
        Self { xmlns: Namespace, versioning, mfa_delete: false }
    }

    /// Reads the request's body.
    pub fn read(body: &[u8]) -> Result<Self, Malformed> {
        let root = read::document(body, "VersioningConfiguration")?;
        root.only(&["Status", "MfaDelete"])?;
        let versioning = match root.trimmed("Status")? {
            None => None,
            Some("Enabled") => Some(Versioning::Enabled),
            Some("Suspended") => Some(Versioning::Suspended),
            Some(_) => return Err(Malformed::WrongText),
        };
        let mfa_delete = match root.trimmed("MfaDelete")? {
            None | Some("Disabled") => false,
            Some("Enabled") => true,
            Some(_) => return Err(Malformed::WrongText),
        };
        Ok(Self { mfa_delete, ..Self::of(versioning) })
    }
}

/// Who pays for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Payer {
    BucketOwner,
    Requester,
}

/// The answer to GetBucketRequestPayment, and the body of PutBucketRequestPayment.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RequestPaymentConfiguration {
    #[serde(rename = "@xmlns")]
    pub xmlns: Namespace,
    pub payer: Payer,
}

impl RequestPaymentConfiguration {
    pub fn of(payer: Payer) -> Self {
        Self { xmlns: Namespace, payer }
    }

    /// Reads the request's body.
    pub fn read(body: &[u8]) -> Result<Self, Malformed> {
        let root = read::document(body, "RequestPaymentConfiguration")?;
        root.only(&["Payer"])?;
        match root.trimmed("Payer")? {
            Some("BucketOwner") => Ok(Self::of(Payer::BucketOwner)),
            Some("Requester") => Ok(Self::of(Payer::Requester)),
            _ => Err(Malformed::WrongDocument),
        }
    }
}

/// The body of CreateBucket.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct CreateBucketConfiguration {
    pub location_constraint: Option<String>,
    /// The keys and values of the tags, unchecked.
    pub tags: Vec<(String, String)>,
    /// Whether the request asks for a directory bucket (`Location` or `Bucket`), which isn't implemented.
    pub asks_for_more: bool,
}

impl CreateBucketConfiguration {
    /// Reads the request's body. An empty one is as good as none.
    pub fn read(body: &[u8]) -> Result<Self, Malformed> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        let root = read::document(body, "CreateBucketConfiguration")?;
        let location_constraint = root.trimmed("LocationConstraint")?.filter(|text| !text.is_empty());
        root.only(&["LocationConstraint", "Tags", "Location", "Bucket"])?;
        Ok(Self {
            location_constraint: location_constraint.map(str::to_owned),
            tags: root.at_most_one("Tags")?.map_or(Ok(Vec::new()), tagging::pairs)?,
            asks_for_more: root.children.iter().any(|child| matches!(&*child.name, "Location" | "Bucket")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text<T: Serialize>(document: &T) -> String {
        String::from_utf8(crate::xml::write(document).expect("serialises").to_vec()).expect("UTF-8")
    }

    #[test]
    fn a_list_of_buckets_has_its_elements_in_the_order_of_s3() {
        let owner = Owner { id: "o1".into(), display_name: "Olga & co".into() };
        let bucket =
            Bucket { name: "b".into(), creation_date: Timestamp(0), bucket_region: "us-east-1".into() };
        let answer = ListAllMyBucketsResult {
            xmlns: Namespace,
            owner,
            buckets: Buckets { buckets: vec![bucket] },
            continuation_token: Some("t".into()),
            prefix: None,
        };
        let expected = "<ListAllMyBucketsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
            <Owner><ID>o1</ID><DisplayName>Olga &amp; co</DisplayName></Owner>\
            <Buckets><Bucket><Name>b</Name><CreationDate>1970-01-01T00:00:00.000Z</CreationDate>\
            <BucketRegion>us-east-1</BucketRegion></Bucket></Buckets>\
            <ContinuationToken>t</ContinuationToken></ListAllMyBucketsResult>";
        assert!(text(&answer).ends_with(expected), "{}", text(&answer));
    }

    #[test]
    fn no_buckets_are_an_empty_list() {
        let owner = Owner { id: "o".into(), display_name: "o".into() };
        let answer = ListAllMyBucketsResult {
            xmlns: Namespace,
            owner,
            buckets: Buckets::default(),
            continuation_token: None,
            prefix: Some("p".into()),
        };
        assert!(text(&answer).contains("<Buckets/><Prefix>p</Prefix>"), "{}", text(&answer));
    }

    #[test]
    fn location_is_text_or_nothing() {
        let of =
            |region: Option<&str>| LocationConstraint { xmlns: Namespace, region: region.map(str::to_owned) };
        let root = "<LocationConstraint xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";
        assert!(text(&of(Some("eu-west-1"))).ends_with(&format!("{root}>eu-west-1</LocationConstraint>")));
        assert!(text(&of(None)).ends_with(&format!("{root}/>")));
    }

    #[test]
    fn a_versioning_configuration_says_its_status_or_none() {
        let root = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";
        let written = |versioning| text(&VersioningConfiguration::of(versioning));
        assert!(written(None).ends_with(&format!("{root}/>")));
        let suspended = format!("{root}><Status>Suspended</Status></VersioningConfiguration>");
        assert!(written(Some(Versioning::Suspended)).ends_with(&suspended));
        let read = |inside: &str| {
            let xml = format!("<VersioningConfiguration>{inside}</VersioningConfiguration>");
            VersioningConfiguration::read(xml.as_bytes()).map(|read| (read.versioning, read.mfa_delete))
        };
        assert_eq!(read(""), Ok((None, false)));
        assert_eq!(read("<Status> Enabled </Status>"), Ok((Some(Versioning::Enabled), false)));
        let with_mfa = "<MfaDelete>Enabled</MfaDelete><Status>Suspended</Status>";
        assert_eq!(read(with_mfa), Ok((Some(Versioning::Suspended), true)));
        assert_eq!(read("<MfaDelete>Disabled</MfaDelete>"), Ok((None, false)));
        for wrong in ["<Status>On</Status>", "<Status/>", "<MfaDelete>enabled</MfaDelete>"] {
            assert_eq!(read(wrong), Err(Malformed::WrongText), "{wrong}");
        }
        assert!(read("<Status>Enabled</Status><Status>Suspended</Status>").is_err());
    }

    #[test]
    fn a_bucket_is_created_with_a_location_constraint_or_none() {
        let read = |xml: &str| CreateBucketConfiguration::read(xml.as_bytes());
        assert_eq!(read(""), Ok(CreateBucketConfiguration::default()));
        let with = read(
            "<CreateBucketConfiguration xmlns=\"u\"><LocationConstraint> eu-west-1 </LocationConstraint></CreateBucketConfiguration>",
        );
        assert_eq!(with.expect("parses").location_constraint.as_deref(), Some("eu-west-1"));
        let directory = read(
            "<CreateBucketConfiguration><Bucket><Type>Directory</Type></Bucket></CreateBucketConfiguration>",
        );
        assert!(directory.expect("parses").asks_for_more);
        assert_eq!(read("<Other/>"), Err(Malformed::WrongDocument));
    }
}
