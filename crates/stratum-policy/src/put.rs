//! What is refused of a policy when it is put, and not of one that is stored. These mistakes let nobody in and keep
//! nobody out, and this server took such policies once: to read them no more would shut everybody out.

use crate::action::Action;
use crate::error::Malformed;
use crate::key::Key;
use crate::policy::{Policy, Statement};

impl Policy {
    /// Checks the policy of a bucket as S3 does: a condition must be able to say something of the actions of its
    /// statement. It is refused only if it surely can't, whichever actions S3 has its key for.
    ///
    /// # Errors
    /// [`Malformed::Conditions`].
    pub fn check_conditions(&self) -> Result<(), Malformed> {
        let is_of_none = |statement: &Statement| {
            statement.conditions.iter().any(|condition| !statement.may_have(&condition.key))
        };
        match self.statements().iter().any(is_of_none) {
            true => Err(Malformed::Conditions),
            false => Ok(()),
        }
    }

    /// Checks a policy that is put by IAM's or STS's actions: a `Sid` has letters and digits alone.
    ///
    /// # Errors
    /// [`Malformed::Sid`].
    pub fn check_sids(&self) -> Result<(), Malformed> {
        let mut sids = self.statements().iter().filter_map(|statement| statement.sid.as_deref());
        match sids.all(|sid| sid.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
            true => Ok(()),
            false => Err(Malformed::Sid),
        }
    }
}

impl Statement {
    /// Whether a request for one of the actions may have a value under the key.
    fn may_have(&self, key: &Key) -> bool {
        let any = |is_it: fn(&str) -> bool| {
            Action::all().any(|action| self.actions.contains(action) && is_it(action.name()))
        };
        match key {
            Key::Prefix | Key::Delimiter | Key::MaxKeys => any(|name| !is_surely_of_objects(name)),
            Key::ExistingObjectTag(_) | Key::RequestObjectTag(_) | Key::RequestObjectTagKeys => {
                any(|name| !is_surely_of_buckets(name))
            }
            _ => true,
        }
    }
}

fn is_surely_of_objects(name: &str) -> bool {
    name.contains("Object") && !name.contains("Bucket") && !name.contains("List")
}

fn is_surely_of_buckets(name: &str) -> bool {
    name.contains("Bucket") && !name.contains("Object") || name.ends_with("Configuration")
}
