//! The actions that the permissions of access control lists allow, by their names in policies.
//!
//! Source: S3 User Guide, "Access control list (ACL) overview", "Mapping of ACL permissions and access policy
//! permissions".

use crate::context::Caller;
use stratum_metadata::record::{Grant, Grantee, Permission};

/// The permission that allows an action: of the object's list where the action is about an existing object, else of
/// the bucket's. Most actions can't be granted by a list.
pub fn permission(action: &str) -> Option<Permission> {
    Some(match action {
        "s3:ListBucket" | "s3:ListBucketVersions" | "s3:ListBucketMultipartUploads" => Permission::Read,
        "s3:PutObject" | "s3:DeleteObject" => Permission::Write,
        "s3:GetBucketAcl" | "s3:GetObjectAcl" | "s3:GetObjectVersionAcl" => Permission::ReadAcp,
        "s3:PutBucketAcl" | "s3:PutObjectAcl" | "s3:PutObjectVersionAcl" => Permission::WriteAcp,
        "s3:GetObject" | "s3:GetObjectVersion" => Permission::Read,
        "s3:GetObjectAttributes" | "s3:GetObjectVersionAttributes" => Permission::Read,
        _ => return None,
    })
}

/// Whether an action is about an existing object, so that the object's owner, access control list and tags count.
pub fn is_about_an_object(action: &str) -> bool {
    is_read_of_an_object(action)
        || matches!(
            action,
            "s3:PutObjectAcl"
                | "s3:PutObjectVersionAcl"
                | "s3:PutObjectTagging"
                | "s3:PutObjectVersionTagging"
                | "s3:DeleteObjectTagging"
                | "s3:DeleteObjectVersionTagging"
        )
}

/// Whether an action reads an object, or something that belongs to it.
pub fn is_read_of_an_object(action: &str) -> bool {
    matches!(
        action,
        "s3:GetObject"
            | "s3:GetObjectVersion"
            | "s3:GetObjectAcl"
            | "s3:GetObjectVersionAcl"
            | "s3:GetObjectAttributes"
            | "s3:GetObjectVersionAttributes"
            | "s3:GetObjectTagging"
            | "s3:GetObjectVersionTagging"
    )
}

/// Whether an action is about the bucket's policy itself. A policy can't deny these to the bucket's owner.
pub fn is_of_the_policy(action: &str) -> bool {
    matches!(action, "s3:GetBucketPolicy" | "s3:PutBucketPolicy" | "s3:DeleteBucketPolicy")
}

/// Whether a grant gives a permission.
pub fn gives(grant: &Grant, permission: Permission) -> bool {
    grant.permission == permission || grant.permission == Permission::FullControl
}

/// Whether a grant is to the caller's account, or to a group that it belongs to. A grant to the public counts only
/// with `counts_public`.
pub fn is_to(grant: &Grant, caller: &Caller, counts_public: bool) -> bool {
    match (&grant.grantee, caller.owner()) {
        (Grantee::User(id), Some(user)) => *id == user.id,
        (Grantee::AllUsers, _) | (Grantee::AuthenticatedUsers, Some(_)) => counts_public,
        _ => false,
    }
}
