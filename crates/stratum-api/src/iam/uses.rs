//! What managed policies are used for: to give users, groups and roles rights, and to bound the rights of users and
//! roles.

use super::call::Call;
use super::error::{Fault, IamError};
use std::collections::HashMap;
use std::ops::ControlFlow;
use stratum_metadata::record::{IdentityKind, IdentityRecord};

/// How many users, groups and roles use a managed policy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Uses {
    /// To how many it is attached.
    pub attached: usize,
    /// Of how many it is the permissions boundary.
    pub bounding: usize,
}

impl Uses {
    /// The uses that one identity makes of the policy with this ARN.
    pub fn by(record: &IdentityRecord, arn: &str) -> Uses {
        Uses {
            attached: usize::from(record.attached.contains(arn)),
            bounding: usize::from(record.boundary() == Some(arn)),
        }
    }

    /// The uses that the account makes of the policy with this ARN.
    ///
    /// # Errors
    /// Failures of the store.
    pub async fn of(call: &Call, arn: &str) -> Result<Uses, IamError> {
        let mut uses = Uses::default();
        for kind in IdentityKind::ALL {
            let arn = arn.to_owned();
            let count = move |uses: &mut Uses, record: IdentityRecord| {
                let more = Uses::by(&record, &arn);
                uses.attached += more.attached;
                uses.bounding += more.bounding;
                ControlFlow::Continue(())
            };
            uses = call.view.visit_identities(kind, call.account_id(), "", uses, count).await?;
        }
        Ok(uses)
    }

    /// The uses that the account makes of each policy, by the policy's ARN. A policy that isn't used is not among them.
    ///
    /// # Errors
    /// Failures of the store.
    pub async fn of_all(call: &Call) -> Result<HashMap<String, Uses>, IamError> {
        let mut all: HashMap<String, Uses> = HashMap::new();
        for kind in IdentityKind::ALL {
            let count = |all: &mut HashMap<String, Uses>, record: IdentityRecord| {
                if let Some(arn) = record.boundary() {
                    all.entry(arn.to_owned()).or_default().bounding += 1;
                }
                for arn in record.attached {
                    all.entry(arn).or_default().attached += 1;
                }
                ControlFlow::Continue(())
            };
            all = call.view.visit_identities(kind, call.account_id(), "", all, count).await?;
        }
        Ok(all)
    }
}

/// Which uses of a policy a list counts, as `PolicyUsageFilter` says: one of them, or both.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    attached: bool,
    bounding: bool,
}

impl Counted {
    /// # Errors
    /// `ValidationError`.
    pub fn of(call: &Call) -> Result<Self, IamError> {
        let (attached, bounding) = match call.form.get("PolicyUsageFilter") {
            None => (true, true),
            Some("PermissionsPolicy") => (true, false),
            Some("PermissionsBoundary") => (false, true),
            Some(_) => {
                return Err(Fault::ValidationError
                    .because("PolicyUsageFilter must be PermissionsPolicy or PermissionsBoundary."));
            }
        };
        Ok(Self { attached, bounding })
    }

    /// Whether any of the uses counts.
    pub fn any(self, uses: Uses) -> bool {
        (self.attached && uses.attached > 0) || (self.bounding && uses.bounding > 0)
    }
}
