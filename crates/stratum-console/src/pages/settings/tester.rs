//! Tests whether somebody may do something, and says which statement decides it.
//!
//! About a user of the signed-in account the server is asked (SimulatePrincipalPolicy), which judges as it would
//! judge the user's request: by their own policies, their groups' and the bucket's. About everybody else only the
//! bucket's policy is asked, by the same function that judges requests. Others may count, too: an owner needs no
//! policy, and a user of another account has policies there. So where the bucket's policy is silent, the request may
//! still be allowed.

use crate::ask::if_there;
use crate::form::Fields;
use crate::frame::{Part, Tone, crumbs, field, notice, text_field, token};
use crate::names;
use crate::pages::people::SimulatedAnswer;
use crate::trouble::Trouble;
use crate::visit::{Page, Visit, shown};
use http::{Method, StatusCode};
use maud::{Markup, html};
use std::net::IpAddr;
use stratum_policy::{Action, Decision, Facts, Key, Policy, Question, Requester, Value, Values};

/// The conditions that are assumed of the request in question.
struct Assumed {
    source: Option<IpAddr>,
    now: i64,
}

impl Facts for Assumed {
    fn values(&self, key: &Key) -> Values<'_> {
        match key {
            Key::SourceIp => self.source.map_or(Values::None, |source| Values::One(Value::Address(source))),
            Key::SecureTransport => Values::One(Value::Flag(true)),
            Key::CurrentTime => Values::One(Value::Time(self.now)),
            Key::EpochTime => Values::One(Value::Number(self.now / 1000)),
            _ => Values::None,
        }
    }
}

/// The form that asks the question.
pub fn form(visit: &Visit, asked: Option<&Fields>) -> Markup {
    let value = |name: &str, usual: &str| {
        asked.map(|asked| asked.get(name)).filter(|value| !value.is_empty()).unwrap_or(usual).to_owned()
    };
    let chosen = value("action", "s3:GetObject");
    html! {
        form method="post" action=(names::of_bucket(&visit.bucket, "/test-policy")) {
            (token(&visit.session))
            div.pair {
                (text_field("who", "Who", "* for whoever signs nothing, an account's id, or a user's ARN.", &value("who", "*")))
                (field("action", "Does what", "", html! {
                    select id="action" name="action" {
                        @for action in Action::all() {
                            @let name = action.name();
                            option value=(name) selected[name == chosen] { (name) }
                        }
                    }
                }))
            }
            div.pair {
                (text_field("key", "To which object", "Nothing for the bucket itself.", &value("key", "")))
                (text_field("source", "From which address", "If the policy asks.", &value("source", "")))
            }
            button type="submit" { "May they?" }
        }
    }
}

/// `POST /b/{bucket}/test-policy`: `who`, `action`, `key`, `source`.
pub async fn test(visit: Visit, fields: Fields) -> Page {
    let answer = match of_a_user(&visit, &fields).await? {
        Some(answer) => answer,
        None => of_the_policy(&visit, &fields).await?,
    };
    let settings = names::of_bucket(&visit.bucket, "/settings");
    let edit = names::of_bucket(&visit.bucket, "/settings/policy");
    let way = [
        ("Buckets".into(), crate::HOME.into()),
        (visit.bucket.clone(), names::of_bucket(&visit.bucket, "")),
        ("Settings".into(), settings),
        ("Policy".into(), edit.clone()),
    ];
    let content = html! {
        (crumbs(&way, "Who may do what?"))
        div.narrow {
            h1 { "Who may do what?" }
            (answer)
            section.card { (form(&visit, Some(&fields))) }
            p { a.button href=(edit) { "The policy" } }
        }
    };
    shown(visit.frame().page(Part::Buckets, "Who may do what?", content))
}

/// The server's answer about a user of the account. None if the question is about somebody else, or the key may not
/// ask it.
async fn of_a_user(visit: &Visit, fields: &Fields) -> Result<Option<Markup>, Trouble> {
    let (who, action) = (fields.get("who").trim(), fields.get("action"));
    if !who.starts_with("arn:aws:iam::") {
        return Ok(None);
    }
    let resource = resource(visit, fields);
    let mut of = vec![
        ("PolicySourceArn", who),
        ("ActionNames.member.1", action),
        ("ResourceArns.member.1", resource.as_str()),
    ];
    let source = fields.get("source").trim();
    if !source.is_empty() {
        of.push(("ContextEntries.member.1.ContextKeyName", "aws:SourceIp"));
        of.push(("ContextEntries.member.1.ContextKeyValues.member.1", source));
    }
    let simulated = visit.ask().iam("SimulatePrincipalPolicy", &of).xml::<SimulatedAnswer>().await;
    let decided = match simulated {
        Ok(answer) => answer.result.evaluation_results.member.into_iter().next(),
        Err(Trouble::SignedOut) => return Err(Trouble::SignedOut),
        // The user is of another account, or the key may not ask. The bucket's policy can still be asked.
        Err(Trouble::Refused(refusal))
            if matches!(refusal.status, StatusCode::FORBIDDEN | StatusCode::NOT_IMPLEMENTED) =>
        {
            return Ok(None);
        }
        Err(trouble) => return Err(trouble),
    };
    let Some(decided) = decided else { return Ok(None) };
    let by: Vec<String> =
        decided.matched_statements.member.into_iter().map(|statement| statement.source_policy_id).collect();
    let what = html! { code { (action) } " to " code.wrap { (resource) } };
    Ok(Some(match decided.eval_decision.as_str() {
        "allowed" => notice(
            Tone::Good,
            html! { p { strong { "Yes. " } (who) " may do " (what) ": " (by.join("; ")) "." } },
        ),
        "explicitDeny" => notice(
            Tone::Bad,
            html! { p { strong { "No. " } (who) " may not do " (what) ": " (by.join("; ")) ", whatever else allows it." } },
        ),
        _ => notice(
            Tone::Careful,
            html! { p { strong { "No. " } "Nothing allows " (who) " to do " (what) ": no policy of their own or of their groups, nor the bucket's." } },
        ),
    }))
}

async fn of_the_policy(visit: &Visit, fields: &Fields) -> Result<Markup, Trouble> {
    let asked = visit.ask().bucket(Method::GET, &visit.bucket).query("policy");
    let text = if_there(asked.text().await)?.ok_or_else(|| Trouble::wrong("This bucket has no policy."))?;
    let policy =
        Policy::parse(text.as_bytes(), &visit.bucket).map_err(|error| Trouble::wrong(error.to_string()))?;
    judge(visit, &policy, fields)
}

/// The ARN of the bucket or object that the question is about.
fn resource(visit: &Visit, fields: &Fields) -> String {
    match fields.get("key") {
        "" => format!("arn:aws:s3:::{}", visit.bucket),
        key => format!("arn:aws:s3:::{}/{key}", visit.bucket),
    }
}

fn judge(visit: &Visit, policy: &Policy, fields: &Fields) -> Result<Markup, Trouble> {
    let action =
        Action::named(fields.get("action")).ok_or_else(|| Trouble::wrong("There is no such action."))?;
    let resource = resource(visit, fields);
    let source = fields.get("source").trim();
    let source = match source.is_empty() {
        true => None,
        false => Some(source.parse().map_err(|_| Trouble::wrong("The address is an IP address."))?),
    };
    let who = fields.get("who").trim();
    let names: Vec<String>;
    let requester = match who.strip_prefix("arn:aws:iam::") {
        _ if who.is_empty() || who == "*" => Requester::Nobody,
        Some(arn) => match arn.split_once(':') {
            Some((account, "root")) => Requester::User { account, name: account },
            Some((account, name)) => {
                names = vec![name.to_owned()];
                Requester::Member { account, names: &names }
            }
            None => return Err(Trouble::wrong("An ARN is written arn:aws:iam::ACCOUNT:user/NAME.")),
        },
        None => Requester::User { account: who, name: who },
    };
    let facts = Assumed { source, now: visit.now().cast_signed() };
    let question = Question { who: requester, action, resource: &resource, facts: &facts };
    let what = html! { code { (action.name()) } " to " code.wrap { (resource) } };
    let who = if who.is_empty() || who == "*" { "Whoever signs nothing" } else { who };
    Ok(match policy.decide(&question) {
        Decision::Allowed(statement) => notice(
            Tone::Good,
            html! { p { strong { "Yes. " } (who) " may do " (what) ", by " (statement.name()) "." } },
        ),
        Decision::Denied(statement) => notice(
            Tone::Bad,
            html! { p { strong { "No. " } (who) " may not do " (what) ": it is denied by " (statement.name()) ", whatever else allows it." } },
        ),
        Decision::Silent => notice(
            Tone::Careful,
            html! { p { strong { "The policy says nothing of it. " } (who) " may do " (what) " only if they own the bucket, or a policy of their own allows it." } },
        ),
    })
}
