//! Access control lists as requests give them: a canned ACL by its name, or single grants in headers.
//!
//! Every bucket and object begins with a list that gives its owner full control, and nobody else anything. A record
//! stores a list only where it differs from that one.
//!
//! Source: S3 User Guide, "Access control list (ACL) overview".

use crate::error::{Code, S3Error};
use crate::headers::has_family;
use http::HeaderMap;
use stratum_auth::Identities;
use stratum_metadata::record::{BucketRecord, Grant, Grantee, Permission};

const CANNED: &str = "x-amz-acl";
/// How the names of the headers begin that give an access control list.
const FAMILIES: [&str; 2] = [CANNED, "x-amz-grant-"];

/// The most grants in one list.
const MAX_GRANTS: usize = 100;

/// S3's groups, each with the URI that names it.
const GROUPS: [(Grantee, &str); 3] = [
    (Grantee::AllUsers, "http://acs.amazonaws.com/groups/global/AllUsers"),
    (Grantee::AuthenticatedUsers, "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"),
    (Grantee::LogDelivery, "http://acs.amazonaws.com/groups/s3/LogDelivery"),
];

/// The permissions, each with its name in documents and its header, in S3's order.
const PERMISSIONS: [(Permission, &str, &str); 5] = [
    (Permission::Read, "READ", "x-amz-grant-read"),
    (Permission::Write, "WRITE", "x-amz-grant-write"),
    (Permission::ReadAcp, "READ_ACP", "x-amz-grant-read-acp"),
    (Permission::WriteAcp, "WRITE_ACP", "x-amz-grant-write-acp"),
    (Permission::FullControl, "FULL_CONTROL", "x-amz-grant-full-control"),
];

/// The access control list that the headers of a request ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lists {
    Canned(Canned),
    Grants(Vec<Grant>),
}

/// S3's canned ACLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canned {
    Private,
    PublicRead,
    PublicReadWrite,
    AuthenticatedRead,
    BucketOwnerRead,
    BucketOwnerFullControl,
    LogDeliveryWrite,
}

impl Lists {
    /// The list of a bucket or an object that `owner` owns, in a bucket that `bucket_owner` owns; `None` for the usual
    /// list, which isn't stored.
    pub fn grants(self, owner: &str, bucket_owner: &str) -> Option<Vec<Grant>> {
        let grants = match self {
            Lists::Canned(canned) => canned.grants(owner, bucket_owner),
            Lists::Grants(grants) => grants,
        };
        unusual(grants, owner)
    }
}

impl Canned {
    fn parse(text: &str) -> Result<Canned, S3Error> {
        Ok(match text {
            "private" => Canned::Private,
            "public-read" => Canned::PublicRead,
            "public-read-write" => Canned::PublicReadWrite,
            "authenticated-read" => Canned::AuthenticatedRead,
            "bucket-owner-read" => Canned::BucketOwnerRead,
            "bucket-owner-full-control" => Canned::BucketOwnerFullControl,
            "log-delivery-write" => Canned::LogDeliveryWrite,
            // This ACL lets Amazon EC2 read the object, and there is no EC2 here.
            "aws-exec-read" => return Err(S3Error::not_implemented("The ACL aws-exec-read")),
            other => return Err(S3Error::invalid_argument(CANNED, other, "Invalid ACL")),
        })
    }

    fn grants(self, owner: &str, bucket_owner: &str) -> Vec<Grant> {
        let grant = |grantee, permission| Grant { grantee, permission };
        let to_bucket_owner = |permission| {
            let apart = owner != bucket_owner;
            apart.then(|| grant(Grantee::User(bucket_owner.to_owned()), permission))
        };
        let mut all = match self {
            Canned::Private => Vec::new(),
            Canned::PublicRead => vec![grant(Grantee::AllUsers, Permission::Read)],
            Canned::PublicReadWrite => {
                vec![grant(Grantee::AllUsers, Permission::Read), grant(Grantee::AllUsers, Permission::Write)]
            }
            Canned::AuthenticatedRead => vec![grant(Grantee::AuthenticatedUsers, Permission::Read)],
            Canned::BucketOwnerRead => to_bucket_owner(Permission::Read).into_iter().collect(),
            Canned::BucketOwnerFullControl => to_bucket_owner(Permission::FullControl).into_iter().collect(),
            Canned::LogDeliveryWrite => {
                vec![
                    grant(Grantee::LogDelivery, Permission::Write),
                    grant(Grantee::LogDelivery, Permission::ReadAcp),
                ]
            }
        };
        all.push(usual(owner));
        all
    }
}

/// The one grant of the usual list, with which every bucket and object begins: full control for its owner.
pub fn usual(owner: &str) -> Grant {
    Grant { grantee: Grantee::User(owner.to_owned()), permission: Permission::FullControl }
}

/// The list; `None` for the usual one, which isn't stored.
pub fn unusual(grants: Vec<Grant>, owner: &str) -> Option<Vec<Grant>> {
    (grants != [usual(owner)]).then_some(grants)
}

/// The list that the headers ask for; `None` if no header speaks of a list.
///
/// # Errors
/// `InvalidArgument` for an unknown canned ACL, for a grantee that can't be read, and for a user or a group that the
/// server doesn't know; `UnresolvableGrantByEmailAddress`; `InvalidRequest` for a canned ACL and grants beside it; what
/// [`bounded`] refuses.
pub fn asked(headers: &HeaderMap, identities: &Identities) -> Result<Option<Lists>, S3Error> {
    if !FAMILIES.iter().any(|begin| has_family(headers, begin)) {
        return Ok(None);
    }
    let text = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let canned = text(CANNED).map(|text| Canned::parse(&text)).transpose()?;
    let mut grants = Vec::new();
    for (permission, _, header) in PERMISSIONS {
        let Some(text) = text(header) else { continue };
        for grantee in text.split(',') {
            let grantee = grantee_of_header(header, grantee.trim(), identities)?;
            grants.push(Grant { grantee, permission });
        }
    }
    match canned {
        Some(_) if !grants.is_empty() => {
            let message = "Specifying both Canned ACLs and Header Grants is not allowed";
            Err(S3Error::new(Code::InvalidRequest).message(message))
        }
        Some(canned) => Ok(Some(Lists::Canned(canned))),
        None if grants.is_empty() => Ok(None),
        None => bounded(grants).map(|grants| Some(Lists::Grants(grants))),
    }
}

/// Reads the grantee in a header: `id=...`, `emailAddress=...` or `uri=...`, with the value in quotation marks or
/// without.
fn grantee_of_header(header: &'static str, text: &str, identities: &Identities) -> Result<Grantee, S3Error> {
    let wrong = || S3Error::invalid_argument(header, text, "Argument format not recognized");
    let (kind, value) = text.split_once('=').ok_or_else(wrong)?;
    let value = value.trim().trim_matches('"');
    match kind.trim() {
        "id" => user(value, identities),
        "emailAddress" => user_by_email(value, identities),
        "uri" => group(value),
        _ => Err(wrong()),
    }
}

/// The user with that canonical id, as a grantee.
///
/// # Errors
/// `InvalidArgument` where the server knows no such user.
pub fn user(id: &str, identities: &Identities) -> Result<Grantee, S3Error> {
    let known = identities
        .by_id(id)
        .ok_or_else(|| S3Error::invalid_argument("CanonicalUser/ID", id, "Invalid id"))?;
    Ok(Grantee::User(known.id.clone()))
}

/// The user with that e-mail address, as a grantee.
///
/// # Errors
/// `UnresolvableGrantByEmailAddress`.
pub fn user_by_email(email: &str, identities: &Identities) -> Result<Grantee, S3Error> {
    let known = identities.by_email(email).ok_or(Code::UnresolvableGrantByEmailAddress)?;
    Ok(Grantee::User(known.id.clone()))
}

/// The group that a URI names.
///
/// # Errors
/// `InvalidArgument`.
pub fn group(uri: &str) -> Result<Grantee, S3Error> {
    let known = GROUPS.into_iter().find(|(_, known)| *known == uri);
    known
        .map(|(group, _)| group)
        .ok_or_else(|| S3Error::invalid_argument("Group/URI", uri, "Invalid group uri"))
}

/// The URI of a group; `None` for a user.
pub fn uri(grantee: &Grantee) -> Option<&'static str> {
    GROUPS.iter().find(|(group, _)| group == grantee).map(|(_, uri)| *uri)
}

pub fn permission(name: &str) -> Option<Permission> {
    PERMISSIONS.into_iter().find(|(_, known, _)| *known == name).map(|(permission, ..)| permission)
}

pub fn permission_name(permission: Permission) -> &'static str {
    PERMISSIONS.into_iter().find(|(known, ..)| *known == permission).map_or("", |(_, name, _)| name)
}

/// Passes a list on that isn't too long.
///
/// # Errors
/// `MalformedACLError` for more than [`MAX_GRANTS`] grants.
pub fn bounded(grants: Vec<Grant>) -> Result<Vec<Grant>, S3Error> {
    if grants.len() <= MAX_GRANTS {
        return Ok(grants);
    }
    let message = format!("An access control list has at most {MAX_GRANTS} grants.");
    Err(S3Error::new(Code::MalformedACLError).message(message))
}

/// Whether a list gives something to all users, or to all who are authenticated.
pub fn is_public(grants: &[Grant]) -> bool {
    grants.iter().any(|grant| matches!(grant.grantee, Grantee::AllUsers | Grantee::AuthenticatedUsers))
}

/// Refuses a public list in a bucket whose public access block forbids public lists.
///
/// # Errors
/// `AccessDenied`.
pub fn check_public(bucket: &BucketRecord, grants: Option<&[Grant]>) -> Result<(), S3Error> {
    let is_blocked = bucket.configuration.public_access.is_some_and(|block| block.block_public_acls);
    match is_blocked && grants.is_some_and(is_public) {
        true => {
            Err(S3Error::new(Code::AccessDenied)
                .because("the bucket's public access block refuses public ACLs"))
        }
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};
    use stratum_auth::{AccessKey, SecretKey, User};

    fn identities() -> Identities {
        let user = |id: &str| {
            let (display_name, email) = (id.to_uppercase(), format!("{id}@x"));
            let access_key = AccessKey::new(id).unwrap();
            let user = User { id: id.to_owned(), display_name, email, access_key, root: false };
            (user, SecretKey::new("a secret of somebody").unwrap())
        };
        Identities::new([user("ann"), user("bob")]).unwrap()
    }

    fn of(headers: &[(&'static str, &'static str)]) -> Result<Option<Lists>, Code> {
        let header = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        asked(&headers.iter().map(header).collect(), &identities()).map_err(|error| error.code())
    }

    fn to(grantee: Grantee, permission: Permission) -> Grant {
        Grant { grantee, permission }
    }

    #[test]
    fn a_canned_list_is_what_its_name_says() {
        let grants = |name| of(&[(CANNED, name)]).unwrap().unwrap().grants("ann", "bob");
        let ann = || usual("ann");
        assert_eq!(grants("private"), None);
        assert_eq!(grants("public-read"), Some(vec![to(Grantee::AllUsers, Permission::Read), ann()]));
        let bob = |permission| to(Grantee::User("bob".into()), permission);
        assert_eq!(grants("bucket-owner-read"), Some(vec![bob(Permission::Read), ann()]));
        assert_eq!(grants("bucket-owner-full-control"), Some(vec![bob(Permission::FullControl), ann()]));
        assert_eq!(Lists::Canned(Canned::BucketOwnerRead).grants("ann", "ann"), None);
        assert!(
            is_public(&grants("authenticated-read").unwrap())
                && !is_public(&grants("bucket-owner-read").unwrap())
        );
        assert_eq!(of(&[(CANNED, "mine")]), Err(Code::InvalidArgument));
        assert_eq!(of(&[(CANNED, "aws-exec-read")]), Err(Code::NotImplemented));
    }

    #[test]
    fn grants_are_read_from_headers() {
        let all = of(&[
            ("x-amz-grant-full-control", "id=\"ann\""),
            (
                "x-amz-grant-read",
                "id=bob, emailAddress=\"ann@x\" ,uri=http://acs.amazonaws.com/groups/global/AllUsers",
            ),
        ]);
        let user = |id: &str| Grantee::User(id.into());
        assert_eq!(
            all,
            Ok(Some(Lists::Grants(vec![
                to(user("bob"), Permission::Read),
                to(user("ann"), Permission::Read),
                to(Grantee::AllUsers, Permission::Read),
                to(user("ann"), Permission::FullControl),
            ])))
        );
        for (value, code) in [
            ("id=eve", Code::InvalidArgument),
            ("emailAddress=eve@x", Code::UnresolvableGrantByEmailAddress),
            ("uri=http://x", Code::InvalidArgument),
            ("name=ann", Code::InvalidArgument),
            ("", Code::InvalidArgument),
        ] {
            assert_eq!(of(&[("x-amz-grant-write", value)]), Err(code), "{value}");
        }
        assert_eq!(of(&[(CANNED, "private"), ("x-amz-grant-read", "id=ann")]), Err(Code::InvalidRequest));
        assert_eq!(of(&[]), Ok(None));
    }
}
