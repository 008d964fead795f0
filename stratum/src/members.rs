//! `stratum user`, `stratum group`, `stratum policy`: who else than root may do what in root's account.
//!
//! A running server is asked by IAM's API, which is all that changes users and policies, so nothing here can do what programs can't.

mod told;

use crate::client::{CallError, Operator, ServerArg};
use crate::control::ended;
use crate::output;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use told::{
    AccessKey, AttachedPolicies, CreatedKey, Done, Groups, Keys, Names, Policies, PolicyVersion, Users,
};

/// What `stratum user` takes.
#[derive(Args)]
pub struct UserArgs {
    #[command(subcommand)]
    action: UserAction,
}

#[derive(Subcommand)]
enum UserAction {
    /// Show all users, those of the configuration included.
    List(ServerArg),
    /// Make a user with an access key, which is told this once.
    Create {
        /// The user's name.
        name: String,
        /// A policy that the user gets, by its name or its ARN: readonly, readwrite, writeonly, admin, or one that was made.
        #[arg(long)]
        policy: Vec<String>,
        #[command(flatten)]
        server: ServerArg,
    },
    /// Delete a user with all keys and policies.
    Delete(UserArg),
    /// Show a user's keys, groups and policies.
    Show(UserArg),
    /// Make another access key, which is told this once.
    AddKey(UserArg),
    /// Delete an access key.
    DeleteKey {
        /// The user's name.
        name: String,
        /// The key's id, which `stratum user show` tells.
        access_key: String,
        #[command(flatten)]
        server: ServerArg,
    },
    /// Give a user a policy.
    Attach(PolicyOf),
    /// Take a policy from a user.
    Detach(PolicyOf),
}

/// What `stratum group` takes.
#[derive(Args)]
pub struct GroupArgs {
    #[command(subcommand)]
    action: GroupAction,
}

#[derive(Subcommand)]
enum GroupAction {
    /// Show all groups.
    List(ServerArg),
    /// Make a group.
    Create(GroupArg),
    /// Delete a group with its policies, and take all users out of it.
    Delete(GroupArg),
    /// Put a user into a group.
    Add(UserOf),
    /// Take a user out of a group.
    Remove(UserOf),
    /// Give a group a policy.
    Attach(PolicyOf),
    /// Take a policy from a group.
    Detach(PolicyOf),
}

/// What `stratum policy` takes.
#[derive(Args)]
pub struct PolicyArgs {
    #[command(subcommand)]
    action: PolicyAction,
}

#[derive(Subcommand)]
enum PolicyAction {
    /// Show all policies that may be attached.
    List(ServerArg),
    /// Print what a policy says.
    Show {
        /// Its name or its ARN.
        policy: String,
        #[command(flatten)]
        server: ServerArg,
    },
    /// Make a policy of a JSON file.
    Create {
        /// Its name.
        name: String,
        /// The policy, as IAM writes it.
        file: PathBuf,
        #[command(flatten)]
        server: ServerArg,
    },
    /// Delete a policy that nobody has.
    Delete {
        /// Its name or its ARN.
        policy: String,
        #[command(flatten)]
        server: ServerArg,
    },
}

#[derive(Args)]
struct UserArg {
    /// The user's name.
    name: String,
    #[command(flatten)]
    server: ServerArg,
}

#[derive(Args)]
struct GroupArg {
    /// The group's name.
    name: String,
    #[command(flatten)]
    server: ServerArg,
}

#[derive(Args)]
struct UserOf {
    /// The group's name.
    group: String,
    /// The user's name.
    user: String,
    #[command(flatten)]
    server: ServerArg,
}

#[derive(Args)]
struct PolicyOf {
    /// The user or the group.
    name: String,
    /// The policy's name or its ARN.
    policy: String,
    #[command(flatten)]
    server: ServerArg,
}

pub fn user(args: &UserArgs) -> ExitCode {
    ended(|| match &args.action {
        UserAction::List(server) => list_users(&Operator::new(server)?),
        UserAction::Create { name, policy, server } => create_user(&Operator::new(server)?, name, policy),
        UserAction::Delete(UserArg { name, server }) => delete_user(&Operator::new(server)?, name),
        UserAction::Show(UserArg { name, server }) => show_user(&Operator::new(server)?, name),
        UserAction::AddKey(UserArg { name, server }) => add_key(&Operator::new(server)?, name),
        UserAction::DeleteKey { name, access_key, server } => {
            let of = [("UserName", name.as_str()), ("AccessKeyId", access_key)];
            done(&Operator::new(server)?, "DeleteAccessKey", &of)
        }
        UserAction::Attach(of) => attach(of, "AttachUserPolicy", "UserName"),
        UserAction::Detach(of) => attach(of, "DetachUserPolicy", "UserName"),
    })
}

pub fn group(args: &GroupArgs) -> ExitCode {
    ended(|| match &args.action {
        GroupAction::List(server) => {
            for group in all(&Operator::new(server)?, "ListGroups", &[], |page: Groups| page.into_page())? {
                output::line(group.group_name);
            }
            Ok(true)
        }
        GroupAction::Create(GroupArg { name, server }) => {
            done(&Operator::new(server)?, "CreateGroup", &[("GroupName", name)])
        }
        GroupAction::Delete(GroupArg { name, server }) => delete_group(&Operator::new(server)?, name),
        GroupAction::Add(UserOf { group, user, server }) => {
            done(&Operator::new(server)?, "AddUserToGroup", &[("GroupName", group), ("UserName", user)])
        }
        GroupAction::Remove(UserOf { group, user, server }) => {
            done(&Operator::new(server)?, "RemoveUserFromGroup", &[("GroupName", group), ("UserName", user)])
        }
        GroupAction::Attach(of) => attach(of, "AttachGroupPolicy", "GroupName"),
        GroupAction::Detach(of) => attach(of, "DetachGroupPolicy", "GroupName"),
    })
}

pub fn policy(args: &PolicyArgs) -> ExitCode {
    ended(|| match &args.action {
        PolicyAction::List(server) => {
            for policy in policies(&Operator::new(server)?)? {
                output::line(format_args!("{:32} {}", policy.policy_name, policy.arn));
            }
            Ok(true)
        }
        PolicyAction::Show { policy, server } => show_policy(&Operator::new(server)?, policy),
        PolicyAction::Create { name, file, server } => {
            let document = std::fs::read_to_string(file)
                .map_err(|error| CallError::File { file: file.clone(), error })?;
            let said = [("PolicyName", name.as_str()), ("PolicyDocument", &document)];
            done(&Operator::new(server)?, "CreatePolicy", &said)
        }
        PolicyAction::Delete { policy, server } => {
            let operator = Operator::new(server)?;
            let arn = arn_of(&operator, policy)?;
            done(&operator, "DeletePolicy", &[("PolicyArn", &arn)])
        }
    })
}

fn list_users(operator: &Operator) -> Result<bool, CallError> {
    for user in all(operator, "ListUsers", &[], |page: Users| page.into_page())? {
        output::line(format_args!("{:32} {}", user.user_name, user.arn));
    }
    Ok(true)
}

fn create_user(operator: &Operator, name: &str, policies: &[String]) -> Result<bool, CallError> {
    // Before anything is made.
    let arns = policies.iter().map(|policy| arn_of(operator, policy)).collect::<Result<Vec<_>, _>>()?;
    done(operator, "CreateUser", &[("UserName", name)])?;
    for arn in &arns {
        done(operator, "AttachUserPolicy", &[("UserName", name), ("PolicyArn", arn)])?;
    }
    if arns.is_empty() {
        output::line("The user may do nothing until a policy is attached.");
    }
    add_key(operator, name)
}

fn add_key(operator: &Operator, name: &str) -> Result<bool, CallError> {
    let CreatedKey { access_key: AccessKey { access_key_id, secret_access_key } } =
        operator.iam("CreateAccessKey", &[("UserName", name)])?;
    output::line(format_args!("access key  {access_key_id}\nsecret key  {secret_access_key}"));
    Ok(true)
}

fn show_user(operator: &Operator, name: &str) -> Result<bool, CallError> {
    let of = [("UserName", name)];
    for key in all(operator, "ListAccessKeys", &of, |page: Keys| page.into_page())? {
        output::line(format_args!("key     {} {}", key.access_key_id, key.status));
    }
    for group in all(operator, "ListGroupsForUser", &of, |page: Groups| page.into_page())? {
        output::line(format_args!("group   {}", group.group_name));
    }
    for policy in all(operator, "ListAttachedUserPolicies", &of, |page: AttachedPolicies| page.into_page())? {
        output::line(format_args!("policy  {}", policy.policy_arn));
    }
    for own in all(operator, "ListUserPolicies", &of, |page: Names| page.into_page())? {
        output::line(format_args!("own     {own}"));
    }
    Ok(true)
}

fn delete_user(operator: &Operator, name: &str) -> Result<bool, CallError> {
    let of = [("UserName", name)];
    let named = of[0];
    for key in all(operator, "ListAccessKeys", &of, |page: Keys| page.into_page())? {
        done(operator, "DeleteAccessKey", &[named, ("AccessKeyId", &key.access_key_id)])?;
    }
    for group in all(operator, "ListGroupsForUser", &of, |page: Groups| page.into_page())? {
        done(operator, "RemoveUserFromGroup", &[named, ("GroupName", &group.group_name)])?;
    }
    for policy in all(operator, "ListAttachedUserPolicies", &of, |page: AttachedPolicies| page.into_page())? {
        done(operator, "DetachUserPolicy", &[named, ("PolicyArn", &policy.policy_arn)])?;
    }
    for own in all(operator, "ListUserPolicies", &of, |page: Names| page.into_page())? {
        done(operator, "DeleteUserPolicy", &[named, ("PolicyName", &own)])?;
    }
    done(operator, "DeleteUser", &of)
}

fn delete_group(operator: &Operator, name: &str) -> Result<bool, CallError> {
    let of = [("GroupName", name)];
    let named = of[0];
    for user in all(operator, "GetGroup", &of, |page: Users| page.into_page())? {
        done(operator, "RemoveUserFromGroup", &[named, ("UserName", &user.user_name)])?;
    }
    for policy in all(operator, "ListAttachedGroupPolicies", &of, |page: AttachedPolicies| page.into_page())?
    {
        done(operator, "DetachGroupPolicy", &[named, ("PolicyArn", &policy.policy_arn)])?;
    }
    for own in all(operator, "ListGroupPolicies", &of, |page: Names| page.into_page())? {
        done(operator, "DeleteGroupPolicy", &[named, ("PolicyName", &own)])?;
    }
    done(operator, "DeleteGroup", &of)
}

fn show_policy(operator: &Operator, policy: &str) -> Result<bool, CallError> {
    let arn = arn_of(operator, policy)?;
    let version = policies(operator)?.into_iter().find(|policy| policy.arn == arn);
    let version = version.map_or_else(|| "v1".to_owned(), |policy| policy.default_version_id);
    let said: PolicyVersion =
        operator.iam("GetPolicyVersion", &[("PolicyArn", &arn), ("VersionId", &version)])?;
    output::line(said.document());
    Ok(true)
}

fn attach(of: &PolicyOf, action: &str, parameter: &str) -> Result<bool, CallError> {
    let operator = Operator::new(&of.server)?;
    let arn = arn_of(&operator, &of.policy)?;
    done(&operator, action, &[(parameter, &of.name), ("PolicyArn", &arn)])
}

/// The ARN of a policy that is named by it or by its name: one that was made goes before one that every account has.
fn arn_of(operator: &Operator, policy: &str) -> Result<String, CallError> {
    if policy.starts_with("arn:") {
        return Ok(policy.to_owned());
    }
    let mut named: Vec<_> =
        policies(operator)?.into_iter().filter(|known| known.policy_name == policy).collect();
    named.sort_by_key(|known| known.arn.starts_with("arn:aws:iam::aws:"));
    let found = named.into_iter().next().map(|known| known.arn);
    found.ok_or_else(|| CallError::Refused {
        status: 404,
        problem: format!("there is no policy \"{policy}\""),
    })
}

fn policies(operator: &Operator) -> Result<Vec<told::Policy>, CallError> {
    all(operator, "ListPolicies", &[], |page: Policies| page.into_page())
}

fn done(operator: &Operator, action: &str, parameters: &[(&str, &str)]) -> Result<bool, CallError> {
    operator.iam::<Done>(action, parameters).map(|Done {}| true)
}

/// All pages of a list.
fn all<P: serde::de::DeserializeOwned, T>(
    operator: &Operator,
    action: &str,
    of: &[(&str, &str)],
    page: impl Fn(P) -> (Vec<T>, Option<String>),
) -> Result<Vec<T>, CallError> {
    let (mut found, mut marker): (Vec<T>, Option<String>) = (Vec::new(), None);
    loop {
        let mut parameters = of.to_vec();
        if let Some(marker) = &marker {
            parameters.push(("Marker", marker));
        }
        let (items, next) = page(operator.iam(action, &parameters)?);
        found.extend(items);
        if next.is_none() {
            return Ok(found);
        }
        marker = next;
    }
}
