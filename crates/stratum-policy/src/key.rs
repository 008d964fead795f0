//! The keys by which a condition or a policy variable asks about a request.
//!
//! These are the keys for which the server has an answer. A policy that asks for another one is refused: else its
//! statement would be ignored, or would hold for every request, and nobody would notice.
//!
//! Source: Service Authorization Reference, "Condition keys for Amazon S3"; IAM User Guide, "AWS global condition
//! context keys".

/// A condition key. Case doesn't matter in its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    SourceIp,
    SecureTransport,
    CurrentTime,
    EpochTime,
    Referer,
    UserAgent,
    Username,
    UserId,
    PrincipalType,
    PrincipalArn,
    PrincipalAccount,
    /// A tag of the user, the role or the session.
    PrincipalTag(Box<str>),
    /// Whether a service sends the request, for itself or on behalf of a user.
    ViaService,
    /// A key about what only Amazon has: its networks, organisations, services and access points.
    Elsewhere,
    /// A key of a service that isn't here. No request to S3, IAM or STS has one, at Amazon neither.
    OfOtherService,
    RequestedRegion,
    MultiFactorAuthPresent,
    /// When a session began.
    TokenIssueTime,
    /// Of requests that give a user or a role rights, or take them away: the permissions boundary.
    PermissionsBoundary,
    /// A tag that a request to IAM or STS gives.
    RequestTag(Box<str>),
    /// The keys of the tags that a request to IAM or STS gives or takes away.
    TagKeys,
    /// Of requests to assume a role.
    ExternalId,
    RoleSessionName,
    TransitiveTagKeys,
    /// Of requests that a service makes on behalf of a resource.
    SourceArn,
    SourceAccount,
    /// Of requests that list objects.
    Prefix,
    Delimiter,
    MaxKeys,
    VersionId,
    LocationConstraint,
    /// A tag that the object had before the request.
    ExistingObjectTag(Box<str>),
    /// A tag that the request sets.
    RequestObjectTag(Box<str>),
    RequestObjectTagKeys,
    SignatureVersion,
    SignatureAge,
    AuthType,
    TlsVersion,
    /// Of requests that write an object: whether they create it.
    ObjectCreation,
    ResourceAccount,
    LockMode,
    LockRetainUntil,
    LockRemainingDays,
    LockLegalHold,
    /// The value of the request's header with this name.
    Header(&'static str),
}

/// The names of [`Key::Elsewhere`]. No request has a value under them, as at Amazon a request without such a value.
const ELSEWHERE: [&str; 22] = [
    "aws:calledvia",
    "aws:calledviafirst",
    "aws:calledvialast",
    "aws:federatedprovider",
    "aws:multifactorauthage",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:principalservicename",
    "aws:principalservicenameslist",
    "aws:resourceorgid",
    "aws:resourceorgpaths",
    "aws:sourceidentity",
    "aws:sourceorgid",
    "aws:sourceorgpaths",
    "aws:sourcevpc",
    "aws:sourcevpcarn",
    "aws:sourcevpce",
    "aws:vpcsourceip",
    "s3:accessgrantsinstancearn",
    "s3:accesspointnetworkorigin",
    "s3:dataaccesspointaccount",
    "s3:dataaccesspointarn",
];

/// The headers that are condition keys, without the `s3:` that stands before their names.
const HEADERS: [&str; 17] = [
    "x-amz-acl",
    "x-amz-content-sha256",
    "x-amz-copy-source",
    "x-amz-grant-full-control",
    "x-amz-grant-read",
    "x-amz-grant-read-acp",
    "x-amz-grant-write",
    "x-amz-grant-write-acp",
    "x-amz-metadata-directive",
    "x-amz-object-ownership",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
    "if-match",
    "if-none-match",
];

/// The names of [`Key::OfOtherService`] that begin as those of a service that is here. Only requests have them for whose
/// actions there is nothing here.
const OF_OTHER_SERVICES: [&str; 3] =
    ["iam:associatedresourcearn", "iam:awsservicename", "iam:passedtoservice"];

/// The keys that the conditions of a statement may ask about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    /// Those for which the server has an answer.
    Here,
    /// Those of services that aren't here as well.
    AlsoOfOtherServices,
    /// Any, since the statement is about no action of this server, and never applies.
    Any,
}

impl Keys {
    /// The key with this name; `None` if the conditions mustn't ask about it.
    pub(crate) fn named(self, name: &str) -> Option<Key> {
        let folded = name.to_ascii_lowercase();
        let other = || {
            let (service, key) = folded.split_once(':')?;
            let is_service =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
            let is_key = !service.is_empty() && service.bytes().all(is_service) && !key.is_empty();
            let is_of_others = match self {
                Keys::Here => false,
                Keys::AlsoOfOtherServices => {
                    !["aws", "s3", "iam", "sts"].contains(&service)
                        || OF_OTHER_SERVICES.contains(&folded.as_str())
                }
                Keys::Any => true,
            };
            (is_key && is_of_others).then_some(Key::OfOtherService)
        };
        Key::named(name).or_else(other)
    }
}

impl Key {
    /// The key with this name in a policy; `None` if the server has no answer for it.
    pub fn named(name: &str) -> Option<Key> {
        if let Some((family, tag)) = name.split_once('/') {
            return match family.to_ascii_lowercase().as_str() {
                _ if tag.is_empty() => None,
                "s3:existingobjecttag" => Some(Key::ExistingObjectTag(tag.into())),
                "s3:requestobjecttag" => Some(Key::RequestObjectTag(tag.into())),
                "aws:principaltag" => Some(Key::PrincipalTag(tag.into())),
                "aws:requesttag" => Some(Key::RequestTag(tag.into())),
                _ => None,
            };
        }
        Some(match name.to_ascii_lowercase().as_str() {
            "aws:sourceip" => Key::SourceIp,
            "aws:securetransport" => Key::SecureTransport,
            "aws:currenttime" => Key::CurrentTime,
            "aws:epochtime" => Key::EpochTime,
            "aws:referer" => Key::Referer,
            "aws:useragent" => Key::UserAgent,
            "aws:username" => Key::Username,
            "aws:userid" => Key::UserId,
            "aws:principaltype" => Key::PrincipalType,
            "aws:principalarn" => Key::PrincipalArn,
            "aws:principalaccount" => Key::PrincipalAccount,
            "aws:requestedregion" => Key::RequestedRegion,
            "aws:multifactorauthpresent" => Key::MultiFactorAuthPresent,
            "aws:tokenissuetime" => Key::TokenIssueTime,
            "iam:permissionsboundary" => Key::PermissionsBoundary,
            "sts:externalid" => Key::ExternalId,
            "sts:rolesessionname" => Key::RoleSessionName,
            "sts:transitivetagkeys" => Key::TransitiveTagKeys,
            "aws:tagkeys" => Key::TagKeys,
            "aws:sourcearn" => Key::SourceArn,
            "aws:sourceaccount" => Key::SourceAccount,
            "s3:prefix" => Key::Prefix,
            "s3:delimiter" => Key::Delimiter,
            "s3:max-keys" => Key::MaxKeys,
            "s3:versionid" => Key::VersionId,
            "s3:locationconstraint" => Key::LocationConstraint,
            "s3:requestobjecttagkeys" => Key::RequestObjectTagKeys,
            "s3:signatureversion" => Key::SignatureVersion,
            "s3:signatureage" => Key::SignatureAge,
            "s3:authtype" => Key::AuthType,
            "s3:resourceaccount" | "aws:resourceaccount" => Key::ResourceAccount,
            "s3:tlsversion" => Key::TlsVersion,
            "s3:objectcreationoperation" => Key::ObjectCreation,
            "aws:viaawsservice" | "aws:principalisawsservice" => Key::ViaService,
            name if ELSEWHERE.contains(&name) => Key::Elsewhere,
            "s3:object-lock-mode" => Key::LockMode,
            "s3:object-lock-retain-until-date" => Key::LockRetainUntil,
            "s3:object-lock-remaining-retention-days" => Key::LockRemainingDays,
            "s3:object-lock-legal-hold" => Key::LockLegalHold,
            other => {
                let header = other.strip_prefix("s3:")?;
                Key::Header(HEADERS.into_iter().find(|name| *name == header)?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_other_services_are_known_where_their_actions_are() {
        let named = |name| [Keys::Here, Keys::AlsoOfOtherServices, Keys::Any].map(|keys| keys.named(name));
        let other = Some(Key::OfOtherService);
        for name in ["kms:ViaService", "iam:PassedToService", "cognito-identity.amazonaws.com:sub"] {
            assert_eq!(named(name), [None, other.clone(), other.clone()], "{name}");
        }
        for name in ["aws:ResourceTag/team", "iam:PolicyARN", "s3:moon"] {
            assert_eq!(named(name), [None, None, other.clone()], "{name}");
        }
        for none in ["moon", "kms:", ":a", "k ms:a"] {
            assert_eq!(named(none), [None, None, None], "{none}");
        }
        assert_eq!(named("s3:prefix"), [Some(Key::Prefix), Some(Key::Prefix), Some(Key::Prefix)]);
    }

    #[test]
    fn keys_are_the_same_in_either_case_but_for_tags() {
        assert_eq!(Key::named("AWS:sourceip"), Some(Key::SourceIp));
        assert_eq!(Key::named("s3:X-Amz-Acl"), Some(Key::Header("x-amz-acl")));
        assert_eq!(Key::named("S3:ExistingObjectTag/Team"), Some(Key::ExistingObjectTag("Team".into())));
        assert_eq!(Key::named("aws:SourceVpce"), Some(Key::Elsewhere));
        assert_eq!(Key::named("aws:PrincipalTag/Team"), Some(Key::PrincipalTag("Team".into())));
        for none in [
            "aws:moon",
            "s3:x-amz-moon",
            "s3:ExistingObjectTag/",
            "s3:ExistingObjectTag",
            "SourceIp",
            "aws:sourceip/x",
        ] {
            assert_eq!(Key::named(none), None, "{none}");
        }
    }
}
