//! The documents that IAM answers with, as far as pages read them.

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A list, whose items IAM writes as `member` elements.
#[derive(Deserialize, Default)]
#[serde(bound = "T: DeserializeOwned + Default", default)]
pub struct Members<T> {
    pub member: Vec<T>,
}

/// The answers of actions. IAM wraps each result in an element that is named for its action.
macro_rules! answers {
    ($($answer:ident, $result:literal, $member:ident;)*) => {$(
        #[derive(Deserialize, Default)]
        #[serde(default)]
        pub struct $answer {
            #[serde(rename = $result)]
            pub result: $member,
        }
    )*};
}

answers! {
    UsersAnswer, "ListUsersResult", UsersResult;
    GroupsAnswer, "ListGroupsResult", GroupsResult;
    PoliciesAnswer, "ListPoliciesResult", PoliciesResult;
    KeysAnswer, "ListAccessKeysResult", KeysResult;
    AttachedAnswer, "ListAttachedUserPoliciesResult", AttachedResult;
    AttachedGroupAnswer, "ListAttachedGroupPoliciesResult", AttachedResult;
    AttachedRoleAnswer, "ListAttachedRolePoliciesResult", AttachedResult;
    GroupAnswer, "GetGroupResult", GroupResult;
    SimulatedAnswer, "SimulatePrincipalPolicyResult", SimulatedResult;
    RolesAnswer, "ListRolesResult", RolesResult;
    RoleAnswer, "GetRoleResult", RoleResult;
    GroupsOfAnswer, "ListGroupsForUserResult", GroupsResult;
    NewKeyAnswer, "CreateAccessKeyResult", NewKeyResult;
    OwnAnswer, "ListUserPoliciesResult", OwnResult;
    OwnGroupAnswer, "ListGroupPoliciesResult", OwnResult;
    OwnRoleAnswer, "ListRolePoliciesResult", OwnResult;
    OwnPolicyAnswer, "GetUserPolicyResult", OwnPolicy;
    OwnGroupPolicyAnswer, "GetGroupPolicyResult", OwnPolicy;
    OwnRolePolicyAnswer, "GetRolePolicyResult", OwnPolicy;
    PolicyAnswer, "GetPolicyResult", PolicyResult;
    VersionAnswer, "GetPolicyVersionResult", VersionResult;
    VersionsAnswer, "ListPolicyVersionsResult", VersionsResult;
    EntitiesAnswer, "ListEntitiesForPolicyResult", EntitiesResult;
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct UsersResult {
    pub users: Members<User>,
    pub is_truncated: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct GroupsResult {
    pub groups: Members<Group>,
    pub is_truncated: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct SimulatedResult {
    pub evaluation_results: Members<Evaluation>,
}

/// IAM's decision about one action.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct Evaluation {
    pub eval_decision: String,
    pub matched_statements: Members<Statement>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct Statement {
    /// The policy that decided, in words.
    pub source_policy_id: String,
}

/// A group's users.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct GroupResult {
    pub users: Members<User>,
    pub is_truncated: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct RolesResult {
    pub roles: Members<Role>,
    pub is_truncated: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct RoleResult {
    pub role: Role,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct PoliciesResult {
    pub policies: Members<Managed>,
    pub is_truncated: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct KeysResult {
    pub access_key_metadata: Members<AccessKey>,
    pub is_truncated: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct AttachedResult {
    pub attached_policies: Members<Managed>,
    pub is_truncated: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct NewKeyResult {
    pub access_key: NewKey,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct User {
    pub user_name: String,
    pub arn: String,
    pub create_date: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct Group {
    pub group_name: String,
    pub create_date: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct Role {
    pub role_name: String,
    pub arn: String,
    pub create_date: String,
    /// Percent-encoded.
    pub assume_role_policy_document: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct Managed {
    pub policy_name: String,
    #[serde(alias = "PolicyArn")]
    pub arn: String,
    pub attachment_count: u64,
    pub default_version_id: String,
}

/// The names of the policies that stand in a user, a group or a role itself.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct OwnResult {
    pub policy_names: Members<String>,
    pub is_truncated: bool,
}

/// Such a policy.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct OwnPolicy {
    /// Percent-encoded.
    pub policy_document: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct PolicyResult {
    pub policy: Managed,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct VersionResult {
    pub policy_version: Version,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct VersionsResult {
    pub versions: Members<Version>,
}

/// A version of a managed policy.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct Version {
    /// Percent-encoded. A list leaves it out.
    pub document: String,
    pub version_id: String,
    pub is_default_version: bool,
    pub create_date: String,
}

/// Who has a managed policy.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct EntitiesResult {
    pub policy_users: Members<Entity>,
    pub policy_groups: Members<Entity>,
    pub policy_roles: Members<Entity>,
}

/// One of them, named by the element of its kind.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Entity {
    #[serde(alias = "UserName", alias = "GroupName", alias = "RoleName")]
    pub name: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct AccessKey {
    pub access_key_id: String,
    pub status: String,
    pub create_date: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct NewKey {
    pub access_key_id: String,
    pub secret_access_key: String,
}
