//! When a policy is public: if it lets in people whom it doesn't name.
//!
//! Source: S3 User Guide, "Blocking public access to your Amazon S3 storage", "The meaning of public": an allow for
//! everybody is public, unless a condition restricts it to fixed values of one of the keys that say who makes the
//! request or where it comes from.

use crate::key::Key;
use crate::policy::{Effect, Policy, Statement};

impl Policy {
    pub fn is_public(&self) -> bool {
        self.statements().iter().any(Statement::is_public)
    }
}

impl Statement {
    /// Whether it allows something to the public.
    pub fn is_public(&self) -> bool {
        self.effect == Effect::Allow
            && self.principals.include_the_public()
            && !self.conditions.iter().any(|condition| tells_who(&condition.key) && condition.is_narrow())
    }
}

fn tells_who(key: &Key) -> bool {
    matches!(
        key,
        Key::SourceIp
            | Key::SourceArn
            | Key::SourceAccount
            | Key::UserId
            | Key::PrincipalArn
            | Key::PrincipalAccount
            | Key::Elsewhere
            | Key::Header("x-amz-server-side-encryption-aws-kms-key-id")
    )
}
