//! What a member's own policies say: those of a user and of the user's groups, or of a role, within the permissions
//! boundary that the user or the role has, and the policies that bound a session's rights.
//!
//! Source: IAM User Guide, "Policy evaluation logic" and "Permissions boundaries for IAM entities": an explicit deny of
//! any of them wins; policies don't give what the boundary doesn't allow; a session may what both its role and its own
//! policy allow.

use super::facts::{Asker, Facts};
use crate::identities::{Member, MemberKind};
use std::sync::Arc;
use stratum_policy::{Action, Decision, Key, Policy, Question};

/// The decision of a member's own policies on an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Own {
    /// This statement denies it.
    Denied(String),
    /// This statement allows it.
    Allowed(String),
    /// No statement is about it.
    Silent,
    /// What bounds the rights of a session doesn't allow it: the policies that it was given, or its role's boundary.
    Beyond,
}

impl Member {
    /// Whether any of the member's policies has a condition or a variable with a key that `wanted` chooses.
    pub(super) fn asks(&self, wanted: impl Fn(&Key) -> bool + Copy) -> bool {
        let bounds = self.boundary.iter().chain(&self.within).flatten();
        self.policies.iter().chain(bounds).any(|policy| policy.asks(wanted))
    }

    /// Decides by the member's own policies whether the member may do an action to the resource with this ARN.
    pub(super) fn may(&self, asker: &Asker<'_>, action: Action, resource: &str, facts: &Facts<'_>) -> Own {
        let question = Question { who: asker.requester(), action, resource, facts };
        // A boundary takes from a user what the user's own policies would give, and not what a bucket's policy gives
        // the user by name. From a session of a role it takes both.
        let beyond = match self.kind {
            MemberKind::User(_) => Own::Silent,
            MemberKind::Role => Own::Beyond,
        };
        let own = decided(&self.policies, &question);
        let own = bounded(own, self.boundary.as_deref(), beyond, &question);
        bounded(own, self.within.as_deref(), Own::Beyond, &question)
    }
}

/// A decision within the policies that bound it, if there are any; `beyond` is the decision where those don't allow the
/// action.
fn bounded(own: Own, bound: Option<&[Arc<Policy>]>, beyond: Own, question: &Question<'_>) -> Own {
    let Some(bound) = bound else { return own };
    match (own, decided(bound, question)) {
        (denied @ Own::Denied(_), _) | (_, denied @ Own::Denied(_)) => denied,
        (own, Own::Allowed(_)) => own,
        (Own::Beyond, _) => Own::Beyond,
        (Own::Allowed(_) | Own::Silent, _) => beyond,
    }
}

fn decided(policies: &[Arc<Policy>], question: &Question<'_>) -> Own {
    let mut own = Own::Silent;
    for policy in policies {
        match policy.decide(question) {
            Decision::Denied(statement) => return Own::Denied(statement.name()),
            Decision::Allowed(statement) if own == Own::Silent => own = Own::Allowed(statement.name()),
            Decision::Allowed(_) | Decision::Silent => {}
        }
    }
    own
}
