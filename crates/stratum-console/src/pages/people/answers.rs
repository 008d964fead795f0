//! What IAM answers, as far as it is shown.

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// IAM wraps each answer in an element named for its action, and each list in `member`s.
#[derive(Deserialize, Default)]
#[serde(bound = "T: DeserializeOwned + Default", default)]
pub struct Members<T> {
    pub member: Vec<T>,
}

/// What an action answers, around its result.
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
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct UsersResult {
    pub users: Members<User>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct GroupsResult {
    pub groups: Members<Group>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct SimulatedResult {
    pub evaluation_results: Members<Evaluation>,
}

/// What a question of rights comes to.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct Evaluation {
    pub eval_decision: String,
    pub matched_statements: Members<Statement>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct Statement {
    /// What decided it, in words.
    pub source_policy_id: String,
}

/// With the users in it.
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
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct KeysResult {
    pub access_key_metadata: Members<AccessKey>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct AttachedResult {
    pub attached_policies: Members<Managed>,
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
