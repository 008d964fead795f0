//! What a member's own policies say: those of a user and of the user's groups, or of a role, and the policies that
//! bound a session's rights.
//!
//! Source: IAM User Guide, "Policy evaluation logic": an explicit deny of any of them wins; a session may what both
//! its role and its own policy allow.

use super::facts::{Asker, Facts};
use crate::identities::Member;
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
    /// The policies that bound the session's rights don't allow it.
    Beyond,
}

impl Member {
    /// Whether any of the member's policies has a condition or a variable with a key that `wanted` chooses.
    pub(super) fn asks(&self, wanted: impl Fn(&Key) -> bool + Copy) -> bool {
        self.policies.iter().chain(self.within.iter().flatten()).any(|policy| policy.asks(wanted))
    }

    /// Decides by the member's own policies whether the member may do an action to the resource with this ARN.
    pub(super) fn may(&self, asker: &Asker<'_>, action: Action, resource: &str, facts: &Facts<'_>) -> Own {
        let question = Question { who: asker.requester(), action, resource, facts };
        let own = decided(&self.policies, &question);
        match (own, &self.within) {
            (denied @ Own::Denied(_), _) => denied,
            (own, None) => own,
            (own, Some(within)) => match decided(within, &question) {
                denied @ Own::Denied(_) => denied,
                Own::Allowed(_) => own,
                Own::Silent | Own::Beyond => Own::Beyond,
            },
        }
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
