//! Tests whether somebody may do something, and says which statement decides it.
//!
//! About a user of the signed-in account the server is asked (SimulatePrincipalPolicy), which judges as it would
//! judge the user's request: by their own policies, their groups' and the bucket's. About everybody else only the
//! bucket's policy is asked, by the same function that judges requests. Others may count, too: an owner needs no
//! policy, and a user of another account has policies there. So where the bucket's policy is silent, or there is none,
//! the request may still be allowed. A question that can't be answered stays in the form, with what is wrong with it
//! above.

use crate::ask::if_there;
use crate::form::Fields;
use crate::frame::{Part, Tone, crumbs, field, notice, text_field, token};
use crate::names;
use crate::pages::people::{SimulatedAnswer, User, users};
use crate::trouble::Trouble;
use crate::visit::{Page, Visit};
use axum::response::IntoResponse;
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

/// The values by which the form chooses whoever signs nothing, and somebody whose ARN is entered.
const EVERYBODY: &str = "*";
const ANOTHER: &str = "another";

/// The users among whom the form lets choose; none if the key may not list them.
pub async fn known(visit: &Visit) -> Result<Vec<User>, Trouble> {
    Ok(users(visit).await?.map(|users| users.users.member).unwrap_or_default())
}

/// The form that asks the question. It is filled with what was asked before.
pub fn form(visit: &Visit, known: &[User], asked: &Fields) -> Markup {
    let value = |name: &str, usual: &str| match asked.get(name) {
        "" => usual.to_owned(),
        value => value.to_owned(),
    };
    let (who, action) = (value("who", EVERYBODY), value("action", "s3:GetObject"));
    html! {
        form method="post" action=(names::of_bucket(&visit.bucket, "/test-policy")) {
            (token(&visit.session))
            div.pair {
                (field("who", "Who", "", html! {
                    select id="who" name="who" {
                        option value=(EVERYBODY) selected[who == EVERYBODY] { "Everybody, without signing in" }
                        @for user in known { option value=(user.arn) selected[who == user.arn] { (user.user_name) } }
                        option value=(ANOTHER) selected[who == ANOTHER] { "Somebody else, by their ARN" }
                    }
                }))
                (text_field("arn", "Their ARN", "Of somebody else: arn:aws:iam::ACCOUNT:user/NAME, or ACCOUNT:root.", &value("arn", "")))
            }
            div.pair {
                (field("action", "Does what", "", html! {
                    select id="action" name="action" {
                        @for name in Action::all().map(Action::name).filter(|name| name.starts_with("s3:")) {
                            option value=(name) selected[name == action] { (name) }
                        }
                    }
                }))
                (text_field("key", "To which object", "Nothing for the bucket itself.", &value("key", "")))
            }
            (text_field("source", "From which IP address", "If the policy asks.", &value("source", "")))
            button type="submit" { "May they?" }
        }
    }
}

/// `POST /b/{bucket}/test-policy`: `who` (and `arn`), `action`, `key`, `source`.
pub async fn test(visit: Visit, fields: Fields) -> Page {
    let known = known(&visit).await?;
    let (status, answer) = match answer(&visit, &fields).await {
        Ok(answer) => (StatusCode::OK, answer),
        Err(Trouble::SignedOut) => return Err(Trouble::SignedOut),
        Err(trouble) => (trouble.status(), notice(Tone::Bad, html! { p { (trouble.words()) } })),
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
            section.card { (form(&visit, &known, &fields)) }
            p { a.button href=(edit) { "The policy" } }
        }
    };
    Ok((status, visit.frame().page(Part::Buckets, "Who may do what?", content)).into_response())
}

/// Whom a question is about.
#[derive(Clone, Copy)]
enum Asked<'a> {
    /// Whoever signs nothing.
    Everybody,
    Named(Arn<'a>),
}

/// The ARN of a user, or of the owner of an account.
#[derive(Clone, Copy)]
struct Arn<'a> {
    text: &'a str,
    account: &'a str,
    /// What follows the account: `root`, or `user/NAME`.
    name: &'a str,
}

impl<'a> Asked<'a> {
    /// # Errors
    /// Somebody is named otherwise than by an ARN.
    fn of(fields: &'a Fields) -> Result<Asked<'a>, Trouble> {
        let text = match fields.get("who") {
            "" | EVERYBODY => return Ok(Asked::Everybody),
            ANOTHER => fields.get("arn").trim(),
            listed => listed,
        };
        let parts = text.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(':'));
        let Some((account, name)) = parts.filter(|(account, name)| !account.is_empty() && !name.is_empty())
        else {
            return Err(Trouble::wrong(
                "Somebody is named by an ARN: arn:aws:iam::ACCOUNT:user/NAME for a user, arn:aws:iam::ACCOUNT:root for the owner of an account.",
            ));
        };
        Ok(Asked::Named(Arn { text, account, name }))
    }

    fn words(self) -> &'a str {
        match self {
            Asked::Everybody => "Whoever signs nothing",
            Asked::Named(arn) => arn.text,
        }
    }
}

async fn answer(visit: &Visit, fields: &Fields) -> Result<Markup, Trouble> {
    let asked = Asked::of(fields)?;
    if let Asked::Named(arn) = asked
        && let Some(answer) = of_a_user(visit, arn.text, fields).await?
    {
        return Ok(answer);
    }
    of_the_policy(visit, asked, fields).await
}

/// The server's answer about a user of the account. None if it is a user of another one, or the key may not ask it.
async fn of_a_user(visit: &Visit, who: &str, fields: &Fields) -> Result<Option<Markup>, Trouble> {
    let action = fields.get("action");
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

async fn of_the_policy(visit: &Visit, asked: Asked<'_>, fields: &Fields) -> Result<Markup, Trouble> {
    let text = visit.ask().bucket(Method::GET, &visit.bucket).query("policy").text().await;
    let policy = match if_there(text)? {
        Some(text) => {
            let policy = Policy::parse(text.as_bytes(), &visit.bucket);
            Some(policy.map_err(|error| Trouble::wrong(error.to_string()))?)
        }
        None => None,
    };
    judge(visit, policy.as_ref(), asked, fields)
}

/// The ARN of the bucket or object that the question is about.
fn resource(visit: &Visit, fields: &Fields) -> String {
    match fields.get("key") {
        "" => format!("arn:aws:s3:::{}", visit.bucket),
        key => format!("arn:aws:s3:::{}/{key}", visit.bucket),
    }
}

/// Answers by the bucket's policy, if there is one.
fn judge(
    visit: &Visit,
    policy: Option<&Policy>,
    asked: Asked<'_>,
    fields: &Fields,
) -> Result<Markup, Trouble> {
    let action =
        Action::named(fields.get("action")).ok_or_else(|| Trouble::wrong("There is no such action."))?;
    let resource = resource(visit, fields);
    let source = fields.get("source").trim();
    let source = match source.is_empty() {
        true => None,
        false => Some(source.parse().map_err(|_| Trouble::wrong("The address is an IP address."))?),
    };
    let names: Vec<String>;
    let requester = match asked {
        Asked::Everybody => Requester::Nobody,
        Asked::Named(Arn { account, name: "root", .. }) => Requester::User { account, name: account },
        Asked::Named(Arn { account, name, .. }) => {
            names = vec![name.to_owned()];
            Requester::Member { account, names: &names }
        }
    };
    let facts = Assumed { source, now: visit.now().cast_signed() };
    let question = Question { who: requester, action, resource: &resource, facts: &facts };
    let what = html! { code { (action.name()) } " to " code.wrap { (resource) } };
    let who = asked.words();
    Ok(match policy.map_or(Decision::Silent, |policy| policy.decide(&question)) {
        Decision::Allowed(statement) => notice(
            Tone::Good,
            html! { p { strong { "Yes. " } (who) " may do " (what) ", by " (statement.name()) "." } },
        ),
        Decision::Denied(statement) => notice(
            Tone::Bad,
            html! { p { strong { "No. " } (who) " may not do " (what) ": it is denied by " (statement.name()) ", whatever else allows it." } },
        ),
        Decision::Silent => {
            let said =
                if policy.is_some() { "The policy says nothing of it" } else { "This bucket has no policy" };
            notice(
                Tone::Careful,
                html! { p { strong { "No. " } (said) ". " (who) " may do " (what) " only "
                    @match asked {
                        Asked::Everybody => "if an access control list lets everybody.",
                        Asked::Named(_) => "if they own the bucket, or a policy of their own or an access control list allows it.",
                    }
                } },
            )
        }
    })
}
