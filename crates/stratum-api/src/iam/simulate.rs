//! SimulatePrincipalPolicy: whether a user may do something, without a request that does it.
//!
//! Amazon judges by the user's own policies and by a bucket policy that the caller sends along, and by nothing else.
//! This server judges as it judges a request: the bucket's stored policy, its owner and its access control lists
//! count, so that the answer is what would happen.

use super::answer::{Members, Reply, result};
use super::call::{Call, Known};
use super::error::{Fault, IamError};
use crate::audit::Trail;
use crate::channel::Tls;
use crate::context::Caller;
use crate::identities::{Arn, Member};
use crate::key::ObjectKey;
use crate::query::Query;
use crate::rights::{self, Asker, By, Resource, Said, Verdict};
use http::HeaderMap;
use http::uri::Scheme;
use serde::Serialize;
use std::net::IpAddr;
use std::sync::Arc;
use stratum_auth::Mechanism;
use stratum_metadata::record::{IdentityDetail, IdentityKind};
use stratum_policy::{Action, Policy};

/// How many questions one call may ask: actions times resources.
const MOST_QUESTIONS: usize = 100;
const S3_ARN: &str = "arn:aws:s3:::";
/// What a question is about that names no resource.
const ALL: &str = "*";

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    evaluation_results: Members<Evaluation>,
    is_truncated: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Evaluation {
    eval_action_name: &'static str,
    eval_resource_name: String,
    eval_decision: &'static str,
    matched_statements: Members<Statement>,
}

/// What decided a question, in words. The words name the statement; which policy it stands in isn't known any more.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    source_policy_id: String,
}

pub async fn simulate(call: &Call) -> Result<Reply, IamError> {
    let arn = call.required("PolicySourceArn")?;
    let user = user(call, arn)?;
    let actions = actions(call)?;
    let mut resources: Vec<String> = call.members("ResourceArns").map(str::to_owned).collect();
    if resources.is_empty() {
        resources.push(ALL.to_owned());
    }
    if actions.len() * resources.len() > MOST_QUESTIONS {
        return Err(Fault::ValidationError.because(format!(
            "At most {MOST_QUESTIONS} questions are answered at once, and there is one for each action and resource."
        )));
    }
    let peer = source(call)?;
    let mut results = Vec::new();
    for resource in &resources {
        for action in &actions {
            let verdict = judged(call, &user, peer, *action, resource)?;
            results.push(Evaluation {
                eval_action_name: action.name(),
                eval_resource_name: resource.clone(),
                eval_decision: match &verdict {
                    Verdict::Allowed(_) => "allowed",
                    Verdict::Denied(_) => "explicitDeny",
                    Verdict::NotAllowed => "implicitDeny",
                },
                matched_statements: match &verdict {
                    Verdict::NotAllowed => Vec::new().into(),
                    decided => vec![Statement { source_policy_id: words(decided, &user) }].into(),
                },
            });
        }
    }
    result(&Page { evaluation_results: results.into(), is_truncated: false })
}

/// What decided a question about this user.
fn words(verdict: &Verdict, user: &Caller) -> String {
    match (verdict, user) {
        // A member may do what their account may only where one of their own policies allows it, too.
        (Verdict::Allowed(By::Owner), Caller::Member(_)) => {
            "a policy of their own or of their groups allows it, and their account owns it".to_owned()
        }
        (verdict, _) => verdict.to_string(),
    }
}

/// The user of the caller's account whom the ARN names, as the caller of a request that the user sends.
fn user(call: &Call, arn: &str) -> Result<Caller, IamError> {
    if arn == Arn::root(call.account_id()).as_str() {
        return Ok(Caller::User(call.account.clone(), None));
    }
    let named = Arn::parse(arn, "user").filter(|(at, _)| at.account() == call.account_id());
    let (at, _) = named.ok_or_else(|| {
        Fault::NotImplemented
            .because("PolicySourceArn must be the ARN of a user of the caller's own account.")
    })?;
    let missing = || Fault::no_such("user", at.folded());
    call.known(IdentityKind::User, arn)?.ok_or_else(missing)?;
    let (member, _) =
        Member::user(&call.view, &call.store.members.parsed, &call.account, at.folded(), "", None)?
            .ok_or_else(missing)?;
    Ok(Caller::Member(Arc::new(member)))
}

fn actions(call: &Call) -> Result<Vec<Action>, IamError> {
    let unknown = |name: &str| Fault::InvalidInput.because(format!("There is no action {name:.128}."));
    let named: Result<Vec<Action>, IamError> =
        call.members("ActionNames").map(|name| Action::named(name).ok_or_else(|| unknown(name))).collect();
    match named? {
        none if none.is_empty() => {
            Err(Fault::ValidationError.because("ActionNames must name at least one action."))
        }
        named => Ok(named),
    }
}

/// The address that the request would come from, where the form gives it. No other key of a policy's conditions can
/// be given a value here.
fn source(call: &Call) -> Result<Option<IpAddr>, IamError> {
    let said = |name: &str| call.form.get(&format!("ContextEntries.member.1.{name}"));
    let wrong = || Fault::InvalidInput.because("aws:SourceIp must be one IP address.");
    match (said("ContextKeyName"), said("ContextKeyType"), said("ContextKeyValues.member.1")) {
        (None, None, None) => Ok(None),
        (Some("aws:SourceIp"), None | Some("ip" | "ipList"), Some(address)) => {
            address.parse().map(Some).map_err(|_| wrong())
        }
        _ => Err(Fault::NotImplemented
            .because("Of the context keys only aws:SourceIp can be given, and only once.")),
    }
}

/// Judges one question, about a request that comes now, over TLS, with the usual signature, without any headers, and with
/// a body that gives neither tags nor a lock.
fn judged(
    call: &Call,
    who: &Caller,
    peer: Option<IpAddr>,
    action: Action,
    resource: &str,
) -> Result<Verdict, IamError> {
    let account = rights::account(who, &call.store);
    let (query, headers, said) = (Query::default(), HeaderMap::new(), Said::default());
    let asker = Asker {
        store: &call.store,
        view: &call.view,
        caller: who,
        account: &account,
        mechanism: Some(Mechanism::USUAL),
        query: &query,
        headers: &headers,
        scheme: &Scheme::HTTPS,
        tls: Some(Tls::USUAL),
        creates: (action.name() == "s3:PutObject").then_some(true),
        peer,
        now: call.now,
        trail: &Trail::OFF,
        said: Some(&said),
        iam: None,
    };
    let judge =
        |resource: &Resource<'_>| rights::judge(&asker, action.name(), resource).map_err(IamError::from);
    let wrong =
        |what: &str| Fault::InvalidInput.because(format!("{resource:.256} is not the ARN of {what}."));
    match action.name() {
        name if name.starts_with("s3:") && resource == ALL => return judge(&Resource::Service),
        name if name.starts_with("s3:") => {}
        "sts:AssumeRole" if resource != ALL => {
            let role = call
                .known(IdentityKind::Role, resource)?
                .filter(|role| role.at.account() == call.account_id());
            return role.map_or(Ok(Verdict::NotAllowed), |role| assumed(&role, judge));
        }
        _ if resource == ALL || resource.starts_with("arn:") => return judge(&Resource::Iam(resource)),
        _ => return Err(wrong("anything")),
    }
    let path = resource.strip_prefix(S3_ARN).ok_or_else(|| wrong("a bucket or an object"))?;
    let (name, key) = path.split_once('/').unwrap_or((path, ""));
    let Some(bucket) = call.view.bucket(name)? else { return judge(&Resource::NewBucket(name)) };
    match key {
        "" => judge(&Resource::Bucket(&bucket)),
        key => {
            let key = ObjectKey::parse(key.as_bytes().to_vec()).map_err(|_| wrong("an object"))?;
            judge(&Resource::Object(&bucket, &key, None))
        }
    }
}

/// Judges whether a role may be assumed, which its trust policy must allow. Nothing is told of roles of other accounts.
fn assumed(
    role: &Known,
    judge: impl Fn(&Resource<'_>) -> Result<Verdict, IamError>,
) -> Result<Verdict, IamError> {
    let IdentityDetail::Role { trust, .. } = &role.record.detail else { return Ok(Verdict::NotAllowed) };
    let trust = Policy::parse_trust(trust.as_bytes())?;
    judge(&Resource::Role { arn: role.arn.as_str(), account: role.at.account(), trust: &trust })
}
