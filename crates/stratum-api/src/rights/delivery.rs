//! Whether a bucket lets S3's log delivery service, as which this server delivers access logs, put objects.

use super::Store;
use crate::error::S3Error;
use crate::ownership;
use stratum_metadata::ReadView;
use stratum_metadata::record::{BucketRecord, Grantee, ObjectOwnership, Permission};
use stratum_policy::{Action, Decision, Facts, Key, Question, Requester, Value, Values};

/// The name of the service in policies.
const SERVICE: &str = "logging.s3.amazonaws.com";

/// Whether logs of `source` may become objects of `target` under that prefix. The target's policy may allow it; where
/// access control lists are in use, grants to the log delivery group may, too.
///
/// # Errors
/// `AccessDenied` where the target's policy can't be read; failures of the store.
pub fn may_deliver_logs(
    store: &Store,
    view: &ReadView,
    source: &BucketRecord,
    target: &BucketRecord,
    prefix: &str,
) -> Result<bool, S3Error> {
    let policy = store.policies.of(view, target)?;
    let resource = format!("arn:aws:s3:::{}/{prefix}", target.name);
    let facts = OfDelivery { source, target };
    let decision = match (&policy, Action::named("s3:PutObject")) {
        (Some(policy), Some(action)) => {
            let who = Requester::Service(SERVICE);
            policy.decide(&Question { who, action, resource: &resource, facts: &facts })
        }
        _ => Decision::Silent,
    };
    Ok(match decision {
        Decision::Allowed(_) => true,
        Decision::Denied(_) => false,
        Decision::Silent => {
            let grants = target.configuration.acl.as_deref().unwrap_or_default();
            let has = |permission| {
                let gives = |given| given == permission || given == Permission::FullControl;
                grants.iter().any(|grant| grant.grantee == Grantee::LogDelivery && gives(grant.permission))
            };
            ownership::of(target, &store.settings) != ObjectOwnership::BucketOwnerEnforced
                && has(Permission::Write)
                && has(Permission::ReadAcp)
        }
    })
}

/// The values of the condition keys in a policy that a delivery has.
struct OfDelivery<'a> {
    source: &'a BucketRecord,
    target: &'a BucketRecord,
}

impl Facts for OfDelivery<'_> {
    fn values(&self, key: &Key) -> Values<'_> {
        match key {
            Key::SourceArn => Values::One(Value::Text(format!("arn:aws:s3:::{}", self.source.name).into())),
            Key::SourceAccount => Values::from(Some(self.source.owner.as_str())),
            Key::ResourceAccount => Values::from(Some(self.target.owner.as_str())),
            _ => Values::None,
        }
    }
}
