//! STS: sessions, and who the caller is.

use super::answer::{Reply, result};
use super::call::{Call, Known};
use super::edit::{Edit, salt};
use super::error::{Fault, IamError};
use super::session_tags::{self, SessionTags};
use super::{managed, valid};
use crate::context::Caller;
use crate::identities::{Arn, Member, MemberKind, Session, Subject, access_key_id, secret_key};
use crate::number;
use crate::rights::Resource;
use crate::text::Timestamp;
use serde::Serialize;
use stratum_metadata::record::{IdentityDetail, IdentityKind};
use stratum_policy::Policy;

/// How many managed policies may bound the rights of a session.
const MOST_POLICIES: usize = 10;

/// How long sessions last, in seconds.
const LEAST_SECONDS: u32 = 900;
const USUAL_SECONDS_OF_ROLE: u32 = 3_600;
const USUAL_SECONDS_OF_USER: u32 = 43_200;
const MOST_SECONDS_OF_USER: u32 = 129_600;
/// Amazon bounds the sessions of an account's root user to an hour, too.
const MOST_SECONDS_OF_OWNER: u32 = 3_600;
/// Of a role that is assumed with a session of a user, an owner or a role, which Amazon calls role chaining and bounds as
/// well, whatever the role says: what somebody does with a stolen session ends soon after the session.
const MOST_SECONDS_OF_CHAINED: u32 = 3_600;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Identity<'a> {
    user_id: &'a str,
    account: &'a str,
    arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Credentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Token {
    credentials: Credentials,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Assumed {
    credentials: Credentials,
    assumed_role_user: RoleUser,
    #[serde(skip_serializing_if = "Option::is_none")]
    packed_policy_size: Option<usize>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RoleUser {
    assumed_role_id: String,
    arn: String,
}

/// Says who the caller is. This takes no right: whoever signs a request may know who they are.
pub async fn get_caller_identity(call: &Call) -> Result<Reply, IamError> {
    let account = call.account_id();
    match &call.caller {
        Caller::Member(member) => {
            result(&Identity { user_id: &member.id, account, arn: member.arn.to_string() })
        }
        Caller::User(..) | Caller::Nobody => {
            result(&Identity { user_id: account, account, arn: Arn::root(account).to_string() })
        }
    }
}

/// Begins a session of the caller's own, which takes no right. A session can't begin another, so that it can't be
/// renewed without end.
pub async fn get_session_token(call: &Call) -> Result<Reply, IamError> {
    let caller = Some(&call.caller).filter(|caller| caller.session_began().is_none());
    let begun = match caller {
        Some(Caller::User(owner, _)) => {
            Subject::owner(&call.store.identities, owner).map(|subject| (subject, MOST_SECONDS_OF_OWNER))
        }
        Some(Caller::Member(member)) => user(member).map(|subject| (subject, MOST_SECONDS_OF_USER)),
        Some(Caller::Nobody) | None => None,
    };
    let (subject, most) = begun
        .ok_or_else(|| Fault::AccessDenied.because("Cannot call GetSessionToken with session credentials"))?;
    let seconds = seconds(call, USUAL_SECONDS_OF_USER.min(most), most)?;
    let (credentials, _) = begin(call, subject, Given::default(), seconds).await?;
    result(&Token { credentials })
}

/// The user that a session of the member's own is of; `None` for a role, which only sessions have.
fn user(member: &Member) -> Option<Subject> {
    let MemberKind::User(name) = &member.kind else { return None };
    let (account, name) = (member.account.id.clone(), name.to_ascii_lowercase());
    Some(Subject::User { account, name, id: member.id.clone() })
}

/// Begins a session of a role whose trust policy lets the caller assume it.
pub async fn assume_role(call: &Call) -> Result<Reply, IamError> {
    let (arn, called) = (call.required("RoleArn")?, call.required("RoleSessionName")?);
    valid::name("roleSessionName", called, 64)?;
    if called.len() < 2 {
        return Err(Fault::ValidationError.because("roleSessionName must have at least 2 characters."));
    }
    let given = Given::of(call)?;
    // Whether a role exists is told only to those who may assume it: a role that doesn't exist is refused in the same
    // words.
    let words = || {
        let who = call.caller.id().unwrap_or_default();
        format!("User: {who} is not authorized to perform: sts:AssumeRole on resource: {arn:.2048}")
    };
    let denied = || Fault::AccessDenied.because(words());
    let known = call.known(IdentityKind::Role, arn)?.ok_or_else(denied)?;
    let Known { at, record: role, arn: spelt } = known;
    let IdentityDetail::Role { session_seconds: most, trust, .. } = &role.detail else {
        return Err(denied());
    };
    let trust = Policy::parse_trust(trust.as_bytes())?;
    let resource = Resource::Role { arn: spelt.as_str(), account: at.account(), trust: &trust };
    call.may(&resource).map_err(|error| match error.code() {
        "AccessDenied" => error.saying(words()),
        _ => error,
    })?;
    if !given.tags.is_empty() {
        call.may_do(session_tags::RIGHT, &resource)?;
    }
    for arn in &given.policy_arns {
        managed::must_be(call, at.account(), arn)?;
    }
    let seconds = seconds(call, USUAL_SECONDS_OF_ROLE, *most)?;
    if call.caller.session_began().is_some() && seconds > MOST_SECONDS_OF_CHAINED {
        return Err(Fault::ValidationError.because(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
        ));
    }
    let subject = Subject::Role {
        account: at.account().to_owned(),
        name: at.folded().to_owned(),
        id: role.id.clone(),
        session: called.to_owned(),
    };
    let is_packed = given.policy.is_some() || !given.tags.is_empty();
    let (credentials, hundredths) = begin(call, subject, given, seconds).await?;
    result(&Assumed {
        credentials,
        assumed_role_user: RoleUser {
            assumed_role_id: format!("{}:{called}", role.id),
            arn: Arn::session(at.account(), &role.name, called).to_string(),
        },
        packed_policy_size: is_packed.then_some(hundredths),
    })
}

/// What whoever begins a session gives it: the policies that it must stay within, and its tags.
#[derive(Default)]
struct Given {
    policy: Option<String>,
    policy_arns: Vec<String>,
    tags: SessionTags,
}

impl Given {
    /// What the form gives. Nothing of it depends on the role, so that an error doesn't tell whether the role exists.
    ///
    /// # Errors
    /// `LimitExceeded` and `MalformedPolicyDocument` for the policy; `ValidationError` for too many managed policies; as
    /// [`SessionTags::of`].
    fn of(call: &Call) -> Result<Given, IamError> {
        let policy = call.form.get("Policy");
        if let Some(text) = policy {
            valid::document(text, valid::MOST_SESSION_POLICY_CHARS, "SessionPolicySize")?;
            Policy::parse_identity(text.as_bytes())?.check_sids()?;
        }
        let policy_arns: Vec<_> = call.form.iter().filter_map(of_policy).map(str::to_owned).collect();
        if policy_arns.len() > MOST_POLICIES {
            return Err(Fault::ValidationError
                .because(format!("policyArns must have length less than or equal to {MOST_POLICIES}.")));
        }
        Ok(Given { policy: policy.map(str::to_owned), policy_arns, tags: SessionTags::of(call)? })
    }
}

/// The ARN that a parameter `PolicyArns.member.N.arn` gives.
fn of_policy<'f>((name, arn): (&str, &'f str)) -> Option<&'f str> {
    name.strip_prefix("PolicyArns.member.")?.ends_with(".arn").then_some(arn)
}

/// Makes a session's credentials, and says how many hundredths of a token's room they take. Everything that is known of
/// a session is sealed in its token, and the state keeps nothing.
///
/// # Errors
/// `PackedPolicyTooLarge` where the token has no room for it.
async fn begin(
    call: &Call,
    subject: Subject,
    given: Given,
    seconds: u32,
) -> Result<(Credentials, usize), IamError> {
    let sealing = match call.store.members.sealing() {
        Some(sealing) => sealing,
        // No secret and no session was sealed before: the key for that is made now.
        None => {
            let mut edit = Edit::begin(call).await?;
            let sealing = edit.sealing().await?;
            edit.commit().await?;
            sealing
        }
    };
    let entropy = call.store.entropy.as_ref();
    let session = Session {
        access_key: access_key_id(entropy, "ASIA"),
        secret: secret_key(entropy),
        subject,
        policy: given.policy,
        policy_arns: given.policy_arns,
        tags: given.tags.all,
        transitive: given.tags.transitive,
        issued: call.now,
        ends: call.now.saturating_add(u64::from(seconds) * 1_000),
    };
    let sealed = sealing.seal_session(salt(entropy), &session);
    let (session_token, hundredths) = sealed.ok_or(Fault::PackedPolicyTooLarge)?;
    let credentials = Credentials {
        session_token,
        access_key_id: session.access_key,
        secret_access_key: session.secret,
        expiration: Timestamp(session.ends),
    };
    Ok((credentials, hundredths))
}

fn seconds(call: &Call, usual: u32, most: u32) -> Result<u32, IamError> {
    let Some(text) = call.form.get("DurationSeconds") else { return Ok(usual.min(most)) };
    let seconds = number::parse(text).filter(|seconds| (LEAST_SECONDS..=most).contains(seconds));
    seconds.ok_or_else(|| {
        Fault::ValidationError.because(format!(
            "The requested DurationSeconds must be a number of seconds from {LEAST_SECONDS} to {most}."
        ))
    })
}
