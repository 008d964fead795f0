//! The one table of the actions of IAM and STS.
//!
//! A row says which kind of resource the action is about, which parameters it takes, and which function handles it.
//! The right that the action needs has the action's name. A parameter that the row doesn't have is refused, so that
//! nothing that a caller asks for is ignored.

use super::answer::Reply;
use super::call::Call;
use super::error::{Fault, IamError};
use super::{
    absent, access_keys, account, attached, boundary, groups, inline, managed, roles, session, simulate,
    tagging, users,
};
use crate::number;
use crate::query::Query;
use About::{Account, Caller, Groups, Policies, Principal, Roles, Trust, Users};
use std::fmt;
use std::pin::Pin;
use stratum_metadata::record::IdentityKind;

/// The services that the credential scope of a signed request may name.
pub const SERVICES: [&str; 2] = ["iam", "sts"];

/// The API that an action belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    Iam,
    Sts,
}

impl Api {
    pub fn namespace(self) -> &'static str {
        match self {
            Api::Iam => "https://iam.amazonaws.com/doc/2010-05-08/",
            Api::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
        }
    }

    fn version(self) -> &'static str {
        match self {
            Api::Iam => "2010-05-08",
            Api::Sts => "2011-06-15",
        }
    }

    fn service(self) -> &'static str {
        match self {
            Api::Iam => "iam",
            Api::Sts => "sts",
        }
    }
}

/// The resource that an action is about, to which its caller needs the action's right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The account as a whole.
    Account,
    /// The user that `UserName` names, or else the caller; of an action that lists, all users.
    Users,
    Groups,
    Roles,
    Policies,
    /// The user that `PolicySourceArn` names.
    Principal,
    /// The caller, who needs no right.
    Caller,
    /// A role, whose trust policy says who may assume it. The handler asks that.
    Trust,
}

/// The future of an action's reply.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Reply, IamError>> + Send + 'a>>;

/// An action.
pub struct Row {
    pub name: &'static str,
    /// The action's name in policies.
    pub right: &'static str,
    pub api: Api,
    pub about: About,
    /// Whether the action lists all resources of the kind, instead of being about one.
    pub lists: bool,
    parameters: &'static [&'static str],
    pub handler: for<'a> fn(&'a Call) -> Answer<'a>,
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.right)
    }
}

macro_rules! iam {
    ($name:literal, $about:ident, [$($parameter:literal),*], $handler:expr) => {
        Row {
            name: $name,
            right: concat!("iam:", $name),
            api: Api::Iam,
            about: $about,
            lists: false,
            parameters: &[$($parameter),*],
            handler: $handler,
        }
    };
}

macro_rules! sts {
    ($name:literal, $about:ident, [$($parameter:literal),*], $handler:expr) => {
        Row {
            right: concat!("sts:", $name),
            api: Api::Sts,
            ..iam!($name, $about, [$($parameter),*], $handler)
        }
    };
}

/// All actions.
pub const ROWS: &[Row] = &[
    iam!("CreateUser", Users, ["UserName", "Path", "PermissionsBoundary", "Tags"], |call| Box::pin(
        users::create(call)
    )),
    iam!("GetUser", Users, ["UserName"], |call| Box::pin(users::get(call))),
    iam!("ListUsers", Users, ["PathPrefix", "Marker", "MaxItems"], |call| Box::pin(users::list(call)))
        .lists(),
    iam!("UpdateUser", Users, ["UserName", "NewUserName", "NewPath"], |call| Box::pin(users::update(call))),
    iam!("DeleteUser", Users, ["UserName"], |call| Box::pin(users::delete(call))),
    iam!("CreateAccessKey", Users, ["UserName"], |call| Box::pin(access_keys::create(call))),
    iam!("ListAccessKeys", Users, ["UserName", "Marker", "MaxItems"], |call| Box::pin(access_keys::list(
        call
    ))),
    iam!("UpdateAccessKey", Users, ["UserName", "AccessKeyId", "Status"], |call| Box::pin(
        access_keys::update(call)
    )),
    iam!("DeleteAccessKey", Users, ["UserName", "AccessKeyId"], |call| Box::pin(access_keys::delete(call))),
    iam!("CreateGroup", Groups, ["GroupName", "Path"], |call| Box::pin(groups::create(call))),
    iam!("GetGroup", Groups, ["GroupName", "Marker", "MaxItems"], |call| Box::pin(groups::get(call))),
    iam!("ListGroups", Groups, ["PathPrefix", "Marker", "MaxItems"], |call| Box::pin(groups::list(call)))
        .lists(),
    iam!("UpdateGroup", Groups, ["GroupName", "NewGroupName", "NewPath"], |call| Box::pin(groups::update(
        call
    ))),
    iam!("DeleteGroup", Groups, ["GroupName"], |call| Box::pin(groups::delete(call))),
    iam!("AddUserToGroup", Groups, ["GroupName", "UserName"], |call| Box::pin(groups::add(call))),
    iam!("RemoveUserFromGroup", Groups, ["GroupName", "UserName"], |call| Box::pin(groups::remove(call))),
    iam!("ListGroupsForUser", Users, ["UserName", "Marker", "MaxItems"], |call| Box::pin(groups::of_user(
        call
    ))),
    iam!(
        "CreateRole",
        Roles,
        [
            "RoleName",
            "Path",
            "AssumeRolePolicyDocument",
            "Description",
            "MaxSessionDuration",
            "PermissionsBoundary",
            "Tags"
        ],
        |call| Box::pin(roles::create(call))
    ),
    iam!("GetRole", Roles, ["RoleName"], |call| Box::pin(roles::get(call))),
    iam!("ListRoles", Roles, ["PathPrefix", "Marker", "MaxItems"], |call| Box::pin(roles::list(call)))
        .lists(),
    iam!("UpdateRole", Roles, ["RoleName", "Description", "MaxSessionDuration"], |call| Box::pin(
        roles::update(call)
    )),
    iam!("UpdateRoleDescription", Roles, ["RoleName", "Description"], |call| Box::pin(
        roles::update_description(call)
    )),
    iam!("UpdateAssumeRolePolicy", Roles, ["RoleName", "PolicyDocument"], |call| Box::pin(
        roles::update_trust(call)
    )),
    iam!("DeleteRole", Roles, ["RoleName"], |call| Box::pin(roles::delete(call))),
    iam!("ListInstanceProfilesForRole", Roles, ["RoleName", "Marker", "MaxItems"], |call| Box::pin(
        absent::of_role(call, "InstanceProfiles")
    )),
    iam!("PutUserPolicy", Users, ["UserName", "PolicyName", "PolicyDocument"], |call| Box::pin(inline::put(
        call,
        IdentityKind::User
    ))),
    iam!("GetUserPolicy", Users, ["UserName", "PolicyName"], |call| Box::pin(inline::get(
        call,
        IdentityKind::User
    ))),
    iam!("DeleteUserPolicy", Users, ["UserName", "PolicyName"], |call| Box::pin(inline::delete(
        call,
        IdentityKind::User
    ))),
    iam!("ListUserPolicies", Users, ["UserName", "Marker", "MaxItems"], |call| Box::pin(inline::list(
        call,
        IdentityKind::User
    ))),
    iam!("AttachUserPolicy", Users, ["UserName", "PolicyArn"], |call| Box::pin(attached::attach(
        call,
        IdentityKind::User
    ))),
    iam!("DetachUserPolicy", Users, ["UserName", "PolicyArn"], |call| Box::pin(attached::detach(
        call,
        IdentityKind::User
    ))),
    iam!("ListAttachedUserPolicies", Users, ["UserName", "PathPrefix", "Marker", "MaxItems"], |call| {
        Box::pin(attached::list(call, IdentityKind::User))
    }),
    iam!("PutUserPermissionsBoundary", Users, ["UserName", "PermissionsBoundary"], |call| Box::pin(
        boundary::put(call, IdentityKind::User)
    )),
    iam!("DeleteUserPermissionsBoundary", Users, ["UserName"], |call| Box::pin(boundary::delete(
        call,
        IdentityKind::User
    ))),
    iam!("TagUser", Users, ["UserName", "Tags"], |call| Box::pin(tagging::tag(call, IdentityKind::User))),
    iam!("UntagUser", Users, ["UserName", "TagKeys"], |call| Box::pin(tagging::untag(
        call,
        IdentityKind::User
    ))),
    iam!("ListUserTags", Users, ["UserName", "Marker", "MaxItems"], |call| Box::pin(tagging::list(
        call,
        IdentityKind::User
    ))),
    iam!("PutGroupPolicy", Groups, ["GroupName", "PolicyName", "PolicyDocument"], |call| Box::pin(
        inline::put(call, IdentityKind::Group)
    )),
    iam!("GetGroupPolicy", Groups, ["GroupName", "PolicyName"], |call| Box::pin(inline::get(
        call,
        IdentityKind::Group
    ))),
    iam!("DeleteGroupPolicy", Groups, ["GroupName", "PolicyName"], |call| Box::pin(inline::delete(
        call,
        IdentityKind::Group
    ))),
    iam!("ListGroupPolicies", Groups, ["GroupName", "Marker", "MaxItems"], |call| Box::pin(inline::list(
        call,
        IdentityKind::Group
    ))),
    iam!("AttachGroupPolicy", Groups, ["GroupName", "PolicyArn"], |call| Box::pin(attached::attach(
        call,
        IdentityKind::Group
    ))),
    iam!("DetachGroupPolicy", Groups, ["GroupName", "PolicyArn"], |call| Box::pin(attached::detach(
        call,
        IdentityKind::Group
    ))),
    iam!("ListAttachedGroupPolicies", Groups, ["GroupName", "PathPrefix", "Marker", "MaxItems"], |call| {
        Box::pin(attached::list(call, IdentityKind::Group))
    }),
    iam!("PutRolePolicy", Roles, ["RoleName", "PolicyName", "PolicyDocument"], |call| Box::pin(inline::put(
        call,
        IdentityKind::Role
    ))),
    iam!("GetRolePolicy", Roles, ["RoleName", "PolicyName"], |call| Box::pin(inline::get(
        call,
        IdentityKind::Role
    ))),
    iam!("DeleteRolePolicy", Roles, ["RoleName", "PolicyName"], |call| Box::pin(inline::delete(
        call,
        IdentityKind::Role
    ))),
    iam!("ListRolePolicies", Roles, ["RoleName", "Marker", "MaxItems"], |call| Box::pin(inline::list(
        call,
        IdentityKind::Role
    ))),
    iam!("AttachRolePolicy", Roles, ["RoleName", "PolicyArn"], |call| Box::pin(attached::attach(
        call,
        IdentityKind::Role
    ))),
    iam!("DetachRolePolicy", Roles, ["RoleName", "PolicyArn"], |call| Box::pin(attached::detach(
        call,
        IdentityKind::Role
    ))),
    iam!("ListAttachedRolePolicies", Roles, ["RoleName", "PathPrefix", "Marker", "MaxItems"], |call| {
        Box::pin(attached::list(call, IdentityKind::Role))
    }),
    iam!("PutRolePermissionsBoundary", Roles, ["RoleName", "PermissionsBoundary"], |call| Box::pin(
        boundary::put(call, IdentityKind::Role)
    )),
    iam!("DeleteRolePermissionsBoundary", Roles, ["RoleName"], |call| Box::pin(boundary::delete(
        call,
        IdentityKind::Role
    ))),
    iam!("TagRole", Roles, ["RoleName", "Tags"], |call| Box::pin(tagging::tag(call, IdentityKind::Role))),
    iam!("UntagRole", Roles, ["RoleName", "TagKeys"], |call| Box::pin(tagging::untag(
        call,
        IdentityKind::Role
    ))),
    iam!("ListRoleTags", Roles, ["RoleName", "Marker", "MaxItems"], |call| Box::pin(tagging::list(
        call,
        IdentityKind::Role
    ))),
    iam!("CreatePolicy", Policies, ["PolicyName", "Path", "PolicyDocument", "Description", "Tags"], |call| {
        Box::pin(managed::create(call))
    }),
    iam!("GetPolicy", Policies, ["PolicyArn"], |call| Box::pin(managed::get(call))),
    iam!(
        "ListPolicies",
        Policies,
        ["Scope", "OnlyAttached", "PolicyUsageFilter", "PathPrefix", "Marker", "MaxItems"],
        |call| Box::pin(managed::list(call))
    )
    .lists(),
    iam!("DeletePolicy", Policies, ["PolicyArn"], |call| Box::pin(managed::delete(call))),
    iam!("CreatePolicyVersion", Policies, ["PolicyArn", "PolicyDocument", "SetAsDefault"], |call| Box::pin(
        managed::create_version(call)
    )),
    iam!("GetPolicyVersion", Policies, ["PolicyArn", "VersionId"], |call| Box::pin(managed::get_version(
        call
    ))),
    iam!("ListPolicyVersions", Policies, ["PolicyArn", "Marker", "MaxItems"], |call| Box::pin(
        managed::list_versions(call)
    )),
    iam!("DeletePolicyVersion", Policies, ["PolicyArn", "VersionId"], |call| Box::pin(
        managed::delete_version(call)
    )),
    iam!("SetDefaultPolicyVersion", Policies, ["PolicyArn", "VersionId"], |call| Box::pin(
        managed::set_default(call)
    )),
    iam!(
        "ListEntitiesForPolicy",
        Policies,
        ["PolicyArn", "EntityFilter", "PolicyUsageFilter", "PathPrefix", "Marker", "MaxItems"],
        |call| Box::pin(managed::entities(call))
    ),
    iam!(
        "SimulatePrincipalPolicy",
        Principal,
        ["PolicySourceArn", "ActionNames", "ResourceArns", "ContextEntries"],
        |call| Box::pin(simulate::simulate(call))
    ),
    iam!("TagPolicy", Policies, ["PolicyArn", "Tags"], |call| Box::pin(tagging::tag_policy(call))),
    iam!("UntagPolicy", Policies, ["PolicyArn", "TagKeys"], |call| Box::pin(tagging::untag_policy(call))),
    iam!("ListPolicyTags", Policies, ["PolicyArn", "Marker", "MaxItems"], |call| Box::pin(
        tagging::list_of_policy(call)
    )),
    iam!("ListMFADevices", Users, ["UserName", "Marker", "MaxItems"], |call| Box::pin(absent::of_user(
        call,
        "MFADevices"
    ))),
    iam!("ListSSHPublicKeys", Users, ["UserName", "Marker", "MaxItems"], |call| Box::pin(absent::of_user(
        call,
        "SSHPublicKeys"
    ))),
    iam!("ListSigningCertificates", Users, ["UserName", "Marker", "MaxItems"], |call| Box::pin(
        absent::of_user(call, "Certificates")
    )),
    iam!(
        "ListServiceSpecificCredentials",
        Users,
        ["UserName", "ServiceName", "Marker", "MaxItems"],
        |call| Box::pin(absent::of_user(call, "ServiceSpecificCredentials"))
    ),
    iam!("GetLoginProfile", Users, ["UserName"], |call| Box::pin(absent::login_profile(call))),
    iam!("DeleteLoginProfile", Users, ["UserName"], |call| Box::pin(absent::login_profile(call))),
    iam!("ListVirtualMFADevices", Account, ["AssignmentStatus", "Marker", "MaxItems"], |call| Box::pin(
        absent::list(call, "VirtualMFADevices")
    )),
    iam!("ListAccountAliases", Account, ["Marker", "MaxItems"], |call| Box::pin(absent::list(
        call,
        "AccountAliases"
    ))),
    iam!("GetAccountPasswordPolicy", Account, [], |call| Box::pin(absent::password_policy(call))),
    iam!("ListInstanceProfiles", Account, ["PathPrefix", "Marker", "MaxItems"], |call| Box::pin(
        absent::list(call, "InstanceProfiles")
    )),
    iam!("ListServerCertificates", Account, ["PathPrefix", "Marker", "MaxItems"], |call| Box::pin(
        absent::list(call, "ServerCertificateMetadataList")
    )),
    iam!("ListSAMLProviders", Account, [], |call| Box::pin(absent::list(call, "SAMLProviderList"))),
    iam!("ListOpenIDConnectProviders", Account, [], |call| Box::pin(absent::list(
        call,
        "OpenIDConnectProviderList"
    ))),
    iam!("GetAccountSummary", Account, [], |call| Box::pin(account::summary(call))),
    sts!(
        "AssumeRole",
        Trust,
        [
            "RoleArn",
            "RoleSessionName",
            "Policy",
            "PolicyArns",
            "DurationSeconds",
            "ExternalId",
            "Tags",
            "TransitiveTagKeys"
        ],
        |call| Box::pin(session::assume_role(call))
    ),
    sts!("GetSessionToken", Caller, ["DurationSeconds"], |call| Box::pin(session::get_session_token(call))),
    sts!("GetCallerIdentity", Caller, [], |call| Box::pin(session::get_caller_identity(call))),
];

/// The parameters that are lists, each with what a form has of an entry. `N` stands for the entry's number.
const LISTS: [(&str, &[&str]); 7] = [
    ("Tags", &["Tags.member.N.Key", "Tags.member.N.Value"]),
    ("TagKeys", &["TagKeys.member.N"]),
    ("TransitiveTagKeys", &["TransitiveTagKeys.member.N"]),
    ("ActionNames", &["ActionNames.member.N"]),
    ("ResourceArns", &["ResourceArns.member.N"]),
    ("PolicyArns", &["PolicyArns.member.N.arn"]),
    // A question can be given one context key, with one value.
    (
        "ContextEntries",
        &[
            "ContextEntries.member.1.ContextKeyName",
            "ContextEntries.member.1.ContextKeyType",
            "ContextEntries.member.1.ContextKeyValues.member.1",
        ],
    ),
];

/// Whether a form's parameter belongs to a list whose entries have `field`.
fn is_field(name: &str, field: &str) -> bool {
    let is_number = |text: &str| !text.starts_with('0') && number::parse::<u32>(text).is_some();
    let fits = |(known, given): (&str, &str)| if known == "N" { is_number(given) } else { known == given };
    name.split('.').count() == field.split('.').count() && field.split('.').zip(name.split('.')).all(fits)
}

/// The row of the action that a form names. A request that is signed for a `service` must name one of its actions.
///
/// # Errors
/// `InvalidAction`, `SignatureDoesNotMatch` where it was signed for the other service.
pub fn recognise(form: &Query, service: Option<&str>) -> Result<&'static Row, IamError> {
    let (action, version) = (form.get("Action").unwrap_or_default(), form.get("Version").unwrap_or_default());
    let meant = ROWS.iter().find(|row| row.name == action && row.api.version() == version);
    let row = meant.ok_or_else(|| {
        let quoted: String = action.chars().take(128).collect();
        Fault::InvalidAction.because(format!("Could not find operation {quoted} for version {version:.16}"))
    })?;
    if service.is_none_or(|service| row.api.service() == service) {
        return Ok(row);
    }
    Err(Fault::SignatureDoesNotMatch
        .because(format!("Credential should be scoped to correct service: '{}'.", row.api.service())))
}

impl Row {
    /// Whether the action may change something, by its name. GetSessionToken changes nothing, but counts as a write
    /// since it gives out a secret.
    pub fn is_write(&self) -> bool {
        let only_tells = ["Get", "List", "Simulate"].iter().any(|verb| self.name.starts_with(verb));
        !only_tells || self.name == "GetSessionToken"
    }

    const fn lists(self) -> Row {
        Row { lists: true, ..self }
    }

    /// Refuses a form with a parameter that the action doesn't take, or with one that is there twice.
    ///
    /// # Errors
    /// `InvalidInput` for a parameter that is there twice; `NotImplemented` for one that the action doesn't take.
    pub fn check_parameters(&self, form: &Query) -> Result<(), IamError> {
        let mut seen = std::collections::HashSet::new();
        for (name, value) in form.iter() {
            if !seen.insert(name) {
                return Err(Fault::InvalidInput.because(format!("The parameter {name:.128} is there twice.")));
            }
            if !self.takes(name, value) {
                return Err(Fault::NotImplemented
                    .because(format!("The parameter {name:.128} of {} is not implemented.", self.name)));
            }
        }
        Ok(())
    }

    fn takes(&self, name: &str, value: &str) -> bool {
        let is_of = |known: &&str| match LISTS.iter().find(|(list, _)| list == known) {
            None => *known == name,
            // Clients write a list without entries as its bare name.
            Some(_) if *known == name => value.is_empty(),
            Some((_, fields)) => fields.iter().any(|field| is_field(name, field)),
        };
        ["Action", "Version"].contains(&name) || self.parameters.iter().any(is_of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iam::session_tags;
    use stratum_policy::Action;

    fn form(text: &str) -> Query {
        Query::parse(text).unwrap()
    }

    #[test]
    fn every_action_is_one_that_policies_know_and_none_has_two_rows() {
        let mut names: Vec<&str> = ROWS.iter().map(|row| row.right).chain([session_tags::RIGHT]).collect();
        names.sort_unstable();
        let known = Action::all().map(Action::name).filter(|name| !name.starts_with("s3:"));
        assert_eq!(names, known.collect::<Vec<_>>());
    }

    #[test]
    fn the_documentation_has_every_action() {
        let text = include_str!("../../../../docs/IAM.md");
        let listed: Vec<&str> = text.split(['|', ',', ' ', '\n']).collect();
        for row in ROWS {
            assert!(listed.contains(&row.name), "{}", row.name);
        }
    }

    #[test]
    fn an_action_is_known_by_name_version_and_service() {
        let named = |text: &str, service| {
            recognise(&form(text), Some(service)).map(|row| row.name).map_err(|error| error.code())
        };
        assert_eq!(named("Action=GetUser&Version=2010-05-08", "iam"), Ok("GetUser"));
        assert_eq!(named("Action=AssumeRole&Version=2011-06-15", "sts"), Ok("AssumeRole"));
        assert_eq!(named("Action=GetUser&Version=2010-05-08", "sts"), Err("SignatureDoesNotMatch"));
        for none in
            ["", "Action=GetUser", "Action=GetUser&Version=2011-06-15", "Action=getuser&Version=2010-05-08"]
        {
            assert_eq!(named(none, "iam"), Err("InvalidAction"), "{none}");
        }
    }

    #[test]
    fn a_parameter_is_taken_or_refused() {
        let check = |text: &str| {
            let form = form(text);
            let row = recognise(&form, None).unwrap();
            row.check_parameters(&form).map_err(|error| error.code())
        };
        let create = "Action=CreateUser&Version=2010-05-08&UserName=a";
        for taken in [
            "",
            "&Path=/&Tags.member.1.Key=a&Tags.member.1.Value=b&Tags.member.22.Key=c",
            "&Tags=",
            "&PermissionsBoundary=arn",
        ] {
            assert_eq!(check(&format!("{create}{taken}")), Ok(()), "{taken}");
        }
        assert_eq!(check(&format!("{create}&UserName=b")), Err("InvalidInput"));
        for refused in [
            "&Password=a",
            "&PermissionsBoundary.member.1=arn",
            "&Tags=a",
            "&Tags.member=a",
            "&Tags.member.1=a",
            "&Tags.member.1.Valu=a",
            "&Tags.member.1.Key.x=a",
            "&Tags.member.0.Key=a",
            "&Tags.member.01.Key=a",
            "&Tags.member.x.Key=a",
            "&Tags.memberx.1.Key=a",
            "&TagKeys.member.1=a",
        ] {
            assert_eq!(check(&format!("{create}{refused}")), Err("NotImplemented"), "{refused}");
        }
        let assume = "Action=AssumeRole&Version=2011-06-15&PolicyArns.member.1";
        assert_eq!(check(&format!("{assume}.arn=a")), Ok(()));
        for refused in [".Arn=a", "=a", ".arn.member.1=a"] {
            assert_eq!(check(&format!("{assume}{refused}")), Err("NotImplemented"), "{refused}");
        }
        assert_eq!(check(&format!("{assume}.arn=a&TransitiveTagKeys.member.1=a")), Ok(()));
        for refused in ["&TransitiveTagKeys.member.1.Key=a", "&TagKeys.member.1=a", "&Path.member.1=a"] {
            assert_eq!(check(&format!("{assume}.arn=a{refused}")), Err("NotImplemented"), "{refused}");
        }
        let simulate = "Action=SimulatePrincipalPolicy&Version=2010-05-08&ContextEntries.member";
        assert_eq!(check(&format!("{simulate}.1.ContextKeyValues.member.1=a")), Ok(()));
        for refused in [".2.ContextKeyName=a", ".1.ContextKeyValues.member.2=a", ".1.ContextKeyValues=a"] {
            assert_eq!(check(&format!("{simulate}{refused}")), Err("NotImplemented"), "{refused}");
        }
    }
}
