//! `stratum user`, `stratum group`, `stratum policy`: manage who besides root may do what in root's account.
//!
//! The commands call IAM's API of a running server. That API is the only way to change users and policies, so these
//! commands can do nothing that any IAM client can't.

mod told;

use crate::client::{CallError, Operator, ServerArg};
use crate::control::ended;
use crate::output;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use told::{
    AccessKey, AttachedPolicies, CreatedKey, Done, FoundUser, Groups, Keys, Names, Policies, PolicyVersion,
    Users,
};

/// The arguments of `stratum user`.
#[derive(Args)]
pub struct UserArgs {
    #[command(subcommand)]
    action: UserAction,
}

#[derive(Subcommand)]
enum UserAction {
    /// Show all users, including those that the configuration names.
    List(ServerArg),
    /// Make a user with an access key. Its secret key is shown only this once.
    Create {
        /// The user's name.
        name: String,
        /// A policy to give to the user, by its name or its ARN: readonly, readwrite, writeonly, admin, or one made
        /// with `stratum policy create`. May be given several times.
        #[arg(long)]
        policy: Vec<String>,
        #[command(flatten)]
        server: ServerArg,
    },
    /// Delete a user with all its access keys and policies, and take it out of its groups.
    Delete(UserArg),
    /// Show a user's access keys, groups and policies.
    Show(UserArg),
    /// Make another access key for a user. Its secret key is shown only this once.
    AddKey(UserArg),
    /// Delete an access key of a user.
    DeleteKey {
        /// The user's name.
        name: String,
        /// The key's id, which `stratum user show` prints.
        access_key: String,
        #[command(flatten)]
        server: ServerArg,
    },
    /// Give a user a policy.
    Attach(PolicyOf),
    /// Take a policy from a user.
    Detach(PolicyOf),
}

/// The arguments of `stratum group`.
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

/// The arguments of `stratum policy`.
#[derive(Args)]
pub struct PolicyArgs {
    #[command(subcommand)]
    action: PolicyAction,
}

#[derive(Subcommand)]
enum PolicyAction {
    /// Show all policies that may be attached.
    List(ServerArg),
    /// Print the JSON document of a policy.
    Show {
        /// The policy's name or its ARN.
        policy: String,
        #[command(flatten)]
        server: ServerArg,
    },
    /// Make a policy from a JSON file.
    Create {
        /// The policy's name.
        name: String,
        /// The file with the policy's document, in JSON as IAM defines it.
        file: PathBuf,
        #[command(flatten)]
        server: ServerArg,
    },
    /// Delete a policy that is attached to no user and no group.
    Delete {
        /// The policy's name or its ARN.
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
    /// The name of the user or the group.
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
    // Names are looked up first, so that a policy that doesn't exist is refused before the user is made.
    let arns = policies.iter().map(|policy| arn_of(operator, policy)).collect::<Result<Vec<_>, _>>()?;
    done(operator, "CreateUser", &[("UserName", name)])?;
    let equipped = equip(operator, name, &arns);
    // The command is run again when what failed is mended, and then finds no user of that name.
    if equipped.is_err()
        && let Err(error) = delete_user(operator, name)
    {
        eprintln!(
            "stratum: the user {name} is left behind ({error}): `stratum user delete {name}` deletes it"
        );
    }
    equipped
}

/// Attaches the policies to a user, and makes a key for it.
fn equip(operator: &Operator, name: &str, arns: &[String]) -> Result<bool, CallError> {
    for arn in arns {
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
    let FoundUser { user } = operator.iam("GetUser", &of)?;
    if let Some(boundary) = user.permissions_boundary {
        output::line(format_args!("bound   {}", boundary.permissions_boundary_arn));
    }
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

/// The ARN of a policy that is given by its name or its ARN. If the account and IAM itself have a policy of the same
/// name, the account's is taken.
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

/// Calls an action that has no result.
fn done(operator: &Operator, action: &str, parameters: &[(&str, &str)]) -> Result<bool, CallError> {
    operator.iam::<Done>(action, parameters).map(|Done {}| true)
}

/// All items of a list action, page by page; `page` takes a page apart into its items and the marker of the next page.
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
