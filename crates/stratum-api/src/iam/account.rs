//! GetAccountSummary: how many users, groups, roles and policies an account has, and its quotas.

use super::answer::{Reply, result};
use super::call::Call;
use super::error::IamError;
use super::valid;
use serde::Serialize;
use stratum_metadata::record::IdentityKind;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Summary {
    summary_map: Entries,
}

#[derive(Serialize)]
struct Entries {
    entry: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    key: &'static str,
    value: usize,
}

pub async fn summary(call: &Call) -> Result<Reply, IamError> {
    let mut counts = [0; 3];
    for (count, kind) in counts.iter_mut().zip(IdentityKind::ALL) {
        *count = call.view.count_identities(kind, call.account_id()).await?;
    }
    let [users, groups, roles] = counts;
    let policies = call.view.count_managed_policies(call.account_id()).await?;
    let entries = [
        ("Users", users),
        ("UsersQuota", valid::MOST_USERS),
        ("Groups", groups),
        ("GroupsQuota", valid::MOST_GROUPS),
        ("Roles", roles),
        ("RolesQuota", valid::MOST_ROLES),
        ("Policies", policies),
        ("PoliciesQuota", valid::MOST_POLICIES),
        ("GroupsPerUserQuota", valid::MOST_GROUPS_OF_USER),
        ("AccessKeysPerUserQuota", valid::MOST_ACCESS_KEYS),
        ("AttachedPoliciesPerUserQuota", valid::MOST_ATTACHED_POLICIES),
        ("AttachedPoliciesPerGroupQuota", valid::MOST_ATTACHED_POLICIES),
        ("AttachedPoliciesPerRoleQuota", valid::MOST_ATTACHED_POLICIES),
        ("UserPolicySizeQuota", valid::MOST_INLINE_CHARS_OF_USER),
        ("GroupPolicySizeQuota", valid::MOST_INLINE_CHARS_OF_GROUP),
        ("RolePolicySizeQuota", valid::MOST_INLINE_CHARS_OF_ROLE),
        ("PolicySizeQuota", valid::MOST_MANAGED_POLICY_CHARS),
        ("VersionsPerPolicyQuota", valid::MOST_VERSIONS),
    ];
    let entry = entries.into_iter().map(|(key, value)| Entry { key, value }).collect();
    result(&Summary { summary_map: Entries { entry } })
}
