//! The documents of access control lists, of the public access block, and of object ownership, written and read.

use crate::acl;
use crate::error::{Code, S3Error};
use crate::xml::Namespace;
use crate::xml::buckets::Owner;
use crate::xml::read::{self, Element, Malformed};
use serde::Serialize;
use stratum_auth::Identities;
use stratum_metadata::record::{self, Grantee};

/// The answer to GetBucketAcl and GetObjectAcl.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AccessControlPolicy {
    #[serde(rename = "@xmlns")]
    xmlns: Namespace,
    owner: Owner,
    access_control_list: AccessControlList,
}

#[derive(Debug, Serialize)]
struct AccessControlList {
    #[serde(rename = "Grant")]
    grants: Vec<Grant>,
}

/// A grant, in an access control list or in the configuration of a bucket's logging.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Grant {
    grantee: GranteeElement,
    permission: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct GranteeElement {
    #[serde(rename = "@xmlns:xsi")]
    schema: &'static str,
    #[serde(rename = "@xsi:type")]
    kind: &'static str,
    #[serde(rename = "ID", skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    #[serde(rename = "URI", skip_serializing_if = "Option::is_none")]
    uri: Option<&'static str>,
}

impl AccessControlPolicy {
    /// The access control list of a bucket or object with this owner. Grants to groups come first, then those to
    /// users.
    pub fn new(owner: Owner, grants: &[record::Grant], identities: &Identities) -> Self {
        let element = |grant: &record::Grant| Grant::of(grant, identities);
        let is_user = |grant: &&record::Grant| matches!(grant.grantee, Grantee::User(_));
        let groups = grants.iter().filter(|grant| !is_user(grant));
        let grants = groups.chain(grants.iter().filter(is_user)).map(element).collect();
        Self { xmlns: Namespace, owner, access_control_list: AccessControlList { grants } }
    }
}

impl Grant {
    pub(super) fn of(grant: &record::Grant, identities: &Identities) -> Grant {
        Grant {
            grantee: GranteeElement::of(&grant.grantee, identities),
            permission: acl::permission_name(grant.permission),
        }
    }
}

impl GranteeElement {
    fn of(grantee: &Grantee, identities: &Identities) -> Self {
        let schema = "http://www.w3.org/2001/XMLSchema-instance";
        match grantee {
            Grantee::User(id) => {
                let Owner { id, display_name } = Owner::by_id(identities, id);
                Self {
                    schema,
                    kind: "CanonicalUser",
                    id: Some(id),
                    display_name: Some(display_name),
                    uri: None,
                }
            }
            group => Self { schema, kind: "Group", id: None, display_name: None, uri: acl::uri(group) },
        }
    }
}

/// Reads the access control list of a bucket or object that `owner` owns.
///
/// # Errors
/// `MalformedXML`, `MalformedACLError`, `AccessDenied` for a list that names another owner; for grantees those of
/// [`acl`].
pub fn read(body: &[u8], owner: &str, identities: &Identities) -> Result<Vec<record::Grant>, S3Error> {
    let root = read::document(body, "AccessControlPolicy")?;
    let missing = || S3Error::new(Code::MalformedACLError);
    root.only(&["Owner", "AccessControlList"])?;
    let told = root.at_most_one("Owner")?.ok_or_else(missing)?;
    told.only(&["ID", "DisplayName"])?;
    if told.trimmed("ID")?.is_some_and(|id| id != owner) {
        return Err(S3Error::new(Code::AccessDenied).because("the list names another owner"));
    }
    let list = root.at_most_one("AccessControlList")?.ok_or_else(missing)?;
    list.only(&["Grant"])?;
    let grants = list.all("Grant").map(|grant| self::grant(grant, &Grantees::Asked(identities)));
    acl::bounded(grants.collect::<Result<_, _>>()?)
}

/// Where the grants come from that are read.
#[derive(Clone, Copy)]
pub enum Grantees<'a> {
    /// A request: the users that it names must exist.
    Asked(&'a Identities),
    /// A stored document, which names users by their ids. They existed when it was put.
    Kept,
}

/// Reads a grant.
pub(super) fn grant(grant: &Element, grantees: &Grantees<'_>) -> Result<record::Grant, S3Error> {
    grant.only(&["Grantee", "Permission"])?;
    let missing = || S3Error::new(Code::MalformedACLError);
    let permission =
        acl::permission(grant.trimmed("Permission")?.ok_or_else(missing)?).ok_or_else(missing)?;
    let grantee = grant.at_most_one("Grantee")?.ok_or_else(missing)?;
    grantee.only(&["ID", "DisplayName", "EmailAddress", "URI"])?;
    let kinds = (grantee.trimmed("ID")?, grantee.trimmed("EmailAddress")?, grantee.trimmed("URI")?);
    let grantee = match (kinds, grantees) {
        ((Some(id), None, None), Grantees::Asked(identities)) => acl::user(id, identities)?,
        ((Some(id), None, None), Grantees::Kept) => Grantee::User(id.to_owned()),
        ((None, Some(email), None), Grantees::Asked(identities)) => acl::user_by_email(email, identities)?,
        ((None, None, Some(uri)), _) => acl::group(uri)?,
        _ => return Err(missing()),
    };
    Ok(record::Grant { grantee, permission })
}

/// The answer to GetBucketPolicyStatus.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyStatus {
    #[serde(rename = "@xmlns")]
    pub xmlns: Namespace,
    pub is_public: bool,
}

/// What GetPublicAccessBlock answers and PutPublicAccessBlock takes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PublicAccessBlockConfiguration {
    #[serde(rename = "@xmlns")]
    xmlns: Namespace,
    block_public_acls: bool,
    ignore_public_acls: bool,
    block_public_policy: bool,
    restrict_public_buckets: bool,
}

impl PublicAccessBlockConfiguration {
    pub fn of(block: record::PublicAccessBlock) -> Self {
        let record::PublicAccessBlock {
            block_public_acls,
            ignore_public_acls,
            block_public_policy,
            restrict_public_buckets,
        } = block;
        let xmlns = Namespace;
        Self { xmlns, block_public_acls, ignore_public_acls, block_public_policy, restrict_public_buckets }
    }

    /// Reads the request's body. A switch that it doesn't have is off.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn read(body: &[u8]) -> Result<record::PublicAccessBlock, Malformed> {
        let root = read::document(body, "PublicAccessBlockConfiguration")?;
        root.only(&["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"])?;
        let switch = |name| match root.trimmed(name)? {
            None => Ok(false),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(_) => Err(Malformed::WrongText),
        };
        Ok(record::PublicAccessBlock {
            block_public_acls: switch("BlockPublicAcls")?,
            ignore_public_acls: switch("IgnorePublicAcls")?,
            block_public_policy: switch("BlockPublicPolicy")?,
            restrict_public_buckets: switch("RestrictPublicBuckets")?,
        })
    }
}

/// What GetBucketOwnershipControls answers and PutBucketOwnershipControls takes: one rule.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct OwnershipControls {
    #[serde(rename = "@xmlns")]
    xmlns: Namespace,
    rule: OwnershipRule,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct OwnershipRule {
    object_ownership: &'static str,
}

impl OwnershipControls {
    pub fn of(ownership: record::ObjectOwnership) -> Self {
        let rule = OwnershipRule { object_ownership: ownership.name() };
        Self { xmlns: Namespace, rule }
    }

    /// Reads the request's body.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn read(body: &[u8]) -> Result<record::ObjectOwnership, Malformed> {
        let root = read::document(body, "OwnershipControls")?;
        root.only(&["Rule"])?;
        let rule = root.at_most_one("Rule")?.ok_or(Malformed::WrongElements)?;
        rule.only(&["ObjectOwnership"])?;
        let name = rule.trimmed("ObjectOwnership")?.ok_or(Malformed::WrongElements)?;
        record::ObjectOwnership::named(name).ok_or(Malformed::WrongText)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_auth::{AccessKey, SecretKey, User};
    use stratum_metadata::record::Permission;

    fn identities() -> Identities {
        let access_key = AccessKey::new("AK").unwrap();
        let user =
            User { id: "o".into(), display_name: "O".into(), email: "o@x".into(), access_key, root: false };
        Identities::new([(user, SecretKey::new("a secret of somebody").unwrap())]).unwrap()
    }

    #[test]
    fn a_list_is_written_and_read() {
        let owner = Owner { id: "o".into(), display_name: "O".into() };
        let grants =
            [acl::usual("o"), record::Grant { grantee: Grantee::AllUsers, permission: Permission::Read }];
        let text = crate::xml::write(&AccessControlPolicy::new(owner, &grants, &identities())).unwrap();
        let expected = "<Owner><ID>o</ID><DisplayName>O</DisplayName></Owner><AccessControlList><Grant>\
            <Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"Group\">\
            <URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee><Permission>READ</Permission></Grant><Grant>\
            <Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\">\
            <ID>o</ID><DisplayName>O</DisplayName></Grantee><Permission>FULL_CONTROL</Permission></Grant>\
            </AccessControlList></AccessControlPolicy>";
        assert!(String::from_utf8(text.to_vec()).unwrap().ends_with(expected), "{text:?}");
        let [one, other] = grants;
        assert_eq!(read(&text, "o", &identities()).unwrap(), [other, one]);
    }

    #[test]
    fn a_malformed_list_is_refused() {
        let code = |owner: &str, list: &str| {
            let text =
                format!("<AccessControlPolicy><Owner><ID>{owner}</ID></Owner>{list}</AccessControlPolicy>");
            read(text.as_bytes(), "o", &identities()).map_err(|error| error.code())
        };
        let list = |grantee: &str, permission: &str| {
            format!(
                "<AccessControlList><Grant><Grantee>{grantee}</Grantee><Permission>{permission}</Permission></Grant></AccessControlList>"
            )
        };
        assert_eq!(code("o", "<AccessControlList/>"), Ok(Vec::new()));
        assert_eq!(
            code("o", &list("<EmailAddress>o@x</EmailAddress>", "FULL_CONTROL")),
            Ok(vec![acl::usual("o")])
        );
        assert_eq!(code("p", "<AccessControlList/>"), Err(Code::AccessDenied));
        let more = b"<AccessControlPolicy><Owner><ID>o</ID><Except/></Owner><AccessControlList/></AccessControlPolicy>";
        assert_eq!(read(more, "o", &identities()).unwrap_err().code(), Code::MalformedXML);
        for (list, refused) in [
            (String::new(), Code::MalformedACLError),
            (list("<ID>o</ID>", "ALL"), Code::MalformedACLError),
            (list("<ID>o</ID><URI>x</URI>", "READ"), Code::MalformedACLError),
            (list("", "READ"), Code::MalformedACLError),
            (list("<ID>p</ID>", "READ"), Code::InvalidArgument),
            (list("<URI>x</URI>", "READ"), Code::InvalidArgument),
            (list("<EmailAddress>p@x</EmailAddress>", "READ"), Code::UnresolvableGrantByEmailAddress),
            ("<AccessControlList/><Other/>".to_owned(), Code::MalformedXML),
            (list("<ID>o</ID>", "READ").repeat(2), Code::MalformedXML),
        ] {
            assert_eq!(code("o", &list), Err(refused), "{list}");
        }
    }

    #[test]
    fn a_public_access_block_and_ownership_controls_are_written_and_read() {
        let block = record::PublicAccessBlock {
            block_public_acls: true,
            restrict_public_buckets: true,
            ..Default::default()
        };
        let text = crate::xml::write(&PublicAccessBlockConfiguration::of(block)).unwrap();
        assert_eq!(PublicAccessBlockConfiguration::read(&text), Ok(block));
        let wrong = b"<PublicAccessBlockConfiguration><BlockPublicAcls>yes</BlockPublicAcls></PublicAccessBlockConfiguration>";
        assert_eq!(PublicAccessBlockConfiguration::read(wrong), Err(Malformed::WrongText));
        let unknown =
            b"<PublicAccessBlockConfiguration><BlockAll>true</BlockAll></PublicAccessBlockConfiguration>";
        assert_eq!(PublicAccessBlockConfiguration::read(unknown), Err(Malformed::Unknown("BlockAll".into())));

        let text = crate::xml::write(&OwnershipControls::of(record::ObjectOwnership::ObjectWriter)).unwrap();
        assert_eq!(OwnershipControls::read(&text), Ok(record::ObjectOwnership::ObjectWriter));
        assert_eq!(OwnershipControls::read(b"<OwnershipControls/>"), Err(Malformed::WrongElements));
        let twice = b"<OwnershipControls><Rule/><Rule/></OwnershipControls>";
        assert_eq!(OwnershipControls::read(twice), Err(Malformed::Twice("Rule".into())));
    }
}
