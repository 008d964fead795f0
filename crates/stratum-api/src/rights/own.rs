//! What a member's own policies say: those of a user and its groups, or of a role, and what a session was given to stay within.
//!
//! Source: IAM User Guide, "Policy evaluation logic": an explicit deny of any of them wins; a session may what both its role and
//! its own policy allow.

use super::facts::{Asker, Facts};
use crate::identities::Member;
use std::sync::Arc;
use stratum_policy::{Action, Decision, Key, Policy, Question};

/// What they answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Own {
    /// That statement denies it.
    Denied(String),
    /// That statement allows it.
    Allowed(String),
    /// None speaks of it.
    Silent,
    /// The session was given a policy that doesn't allow it.
    Beyond,
}

impl Member {
    /// Whether a condition, or a variable, on something that `wanted` tells is in any of their policies.
    pub(super) fn asks(&self, wanted: impl Fn(&Key) -> bool + Copy) -> bool {
        self.policies.iter().chain(self.within.iter().flatten()).any(|policy| policy.asks(wanted))
    }

    /// Whether their own policies let them do it to what has this ARN.
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
