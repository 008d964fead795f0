//! The policy of a bucket, an identity or a role: its statements, and how they answer a question.

use crate::action::{Action, Actions, Services};
use crate::condition::Condition;
use crate::error::{Malformed, quoted};
use crate::json::Json;
use crate::key::{Key, Keys};
use crate::pattern::{Pattern, Reading, Wildcards};
use crate::principal::{Principals, Requester};
use crate::value::Facts;

/// What stands before the bucket's name in the ARN of a resource.
const RESOURCE_PREFIX: &str = "arn:aws:s3:::";

/// How many [`Pattern::searches`] the resources and conditions of a policy may have: each goes through the whole of a
/// text that a request brings, such as a `User-Agent` of some KiB, and is done for each object of a DeleteObjects.
const MAX_SEARCHES: usize = 256;

/// A parsed policy, ready to be judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    id: Option<String>,
    statements: Vec<Statement>,
}

/// One statement of a policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    pub(crate) sid: Option<String>,
    /// Its position in the policy, counted from 1.
    number: usize,
    pub(crate) effect: Effect,
    pub(crate) principals: Principals,
    pub(crate) actions: Actions,
    resources: Resources,
    pub(crate) conditions: Vec<Condition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Allow,
    Deny,
}

/// The resources of a statement, by the patterns of their ARNs.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Resources {
    These(Vec<Pattern>),
    AllBut(Vec<Pattern>),
}

/// The question whether somebody may do something.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    pub who: Requester<'a>,
    pub action: Action,
    /// The ARN of the resource: `arn:aws:s3:::bucket`, or `arn:aws:s3:::bucket/key`.
    pub resource: &'a str,
    pub facts: &'a dyn Facts,
}

/// What a policy belongs to, which decides what elements it may have.
#[derive(Clone, Copy)]
enum Holder<'a> {
    /// The bucket with this name. Its policy names principals, and speaks of the bucket and its objects.
    Bucket(&'a str),
    /// A user, a group, a role or a session. Its policy applies to whomever it is attached to, and names no
    /// principals.
    Identity,
    /// A role: its trust policy says who may assume it.
    Trust,
}

/// What a policy answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decision<'a> {
    /// This statement denies the action, whatever others say.
    Denied(&'a Statement),
    /// This statement allows the action, and none denies it. It is the first one that names the requester or
    /// everybody, if there is such a one, else the first that allows.
    Allowed(&'a Statement),
    /// No statement applies.
    Silent,
}

impl Policy {
    /// Reads the policy of a bucket.
    ///
    /// # Errors
    /// For anything that is wrong with it, or not understood.
    pub fn parse(text: &[u8], bucket: &str) -> Result<Policy, Malformed> {
        Policy::of(text, Holder::Bucket(bucket))
    }

    /// What replaces an identity's policy that can't be read, so that nothing is allowed that it might have denied.
    pub fn denying_all() -> Policy {
        let statement = Statement {
            sid: None,
            number: 1,
            effect: Effect::Deny,
            principals: Principals::AllBut(Vec::new()),
            actions: Actions::all(),
            resources: Resources::AllBut(Vec::new()),
            conditions: Vec::new(),
        };
        Policy { id: None, statements: vec![statement] }
    }

    /// Reads the policy of a user, a group, a role or a session.
    ///
    /// # Errors
    /// For anything that is wrong with it, or not understood.
    pub fn parse_identity(text: &[u8]) -> Result<Policy, Malformed> {
        Policy::of(text, Holder::Identity)
    }

    /// Reads the policy that says who may assume a role.
    ///
    /// # Errors
    /// For anything that is wrong with it, or not understood.
    pub fn parse_trust(text: &[u8]) -> Result<Policy, Malformed> {
        Policy::of(text, Holder::Trust)
    }

    fn of(text: &[u8], holder: Holder<'_>) -> Result<Policy, Malformed> {
        let Json::Object(members) = Json::parse(text)? else { return Err(Malformed::NotJson) };
        let (mut id, mut variables, mut list) = (None, false, None);
        for (name, value) in &members {
            match name.as_str() {
                "Version" => variables = has_variables(value)?,
                "Id" => id = Some(text_of(value, "Id")?.to_owned()),
                "Statement" => list = Some(value.one_or_many()),
                other => return Err(Malformed::UnknownField(quoted(other))),
            }
        }
        let list = list.ok_or(Malformed::Missing("Statement"))?;
        if list.is_empty() {
            return Err(Malformed::Empty("Statement"));
        }
        let mut statements: Vec<Statement> = Vec::with_capacity(list.len());
        for (value, number) in list.iter().zip(1..) {
            let statement = Statement::parse(value, number, holder, variables)?;
            let sid = statement.sid.as_ref().filter(|_| holder.tells_statements_apart());
            if let Some(sid) =
                sid.filter(|sid| statements.iter().any(|other| other.sid.as_ref() == Some(sid)))
            {
                return Err(Malformed::SidTwice(quoted(sid)));
            }
            statements.push(statement);
        }
        let found = statements.iter().flat_map(Statement::patterns).map(Pattern::searches).sum();
        if found > MAX_SEARCHES {
            return Err(Malformed::Searches { found, most: MAX_SEARCHES });
        }
        Ok(Policy { id, statements })
    }

    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// Answers a question.
    pub fn decide(&self, question: &Question<'_>) -> Decision<'_> {
        let mut decision = Decision::Silent;
        for statement in &self.statements {
            let is_news = match decision {
                _ if statement.effect == Effect::Deny => true,
                Decision::Allowed(known) => !known.names(&question.who) && statement.names(&question.who),
                Decision::Silent | Decision::Denied(_) => true,
            };
            if !is_news || !statement.speaks_of(question) {
                continue;
            }
            match statement.effect {
                Effect::Deny => return Decision::Denied(statement),
                Effect::Allow => decision = Decision::Allowed(statement),
            }
        }
        decision
    }

    /// Whether a condition or a variable asks for a key that is `wanted`: the caller may have to look its value up
    /// before it can answer.
    pub fn asks(&self, wanted: impl Fn(&Key) -> bool) -> bool {
        self.statements.iter().any(|statement| {
            let of_resources = statement.resources.patterns().iter().flat_map(Pattern::keys);
            of_resources.chain(statement.conditions.iter().flat_map(Condition::keys)).any(&wanted)
        })
    }
}

impl Statement {
    fn parse(
        value: &Json,
        number: usize,
        holder: Holder<'_>,
        variables: bool,
    ) -> Result<Statement, Malformed> {
        let Json::Object(members) = value else {
            return Err(Malformed::Kind { element: "Statement", expected: "an object or a list of objects" });
        };
        let (mut sid, mut effect, mut block) = (None, None, None);
        let (mut principals, mut actions, mut resources) = (None, None, None);
        let services = holder.services();
        if let Some(element) =
            holder.elements_without().iter().find(|name| members.iter().any(|(has, _)| has == *name))
        {
            return Err(Malformed::NotIn(element));
        }
        for (name, value) in members {
            match name.as_str() {
                "Sid" => sid = Some(text_of(value, "Sid")?.to_owned()),
                "Effect" => effect = Some(Effect::parse(text_of(value, "Effect")?)?),
                "Principal" => once(
                    &mut principals,
                    Principals::parse(value, "Principal")?,
                    ["Principal", "NotPrincipal"],
                )?,
                "NotPrincipal" => {
                    once(
                        &mut principals,
                        Principals::parse(value, "NotPrincipal")?,
                        ["Principal", "NotPrincipal"],
                    )?;
                }
                "Action" => {
                    once(&mut actions, Actions::parse(value, "Action", services)?, ["Action", "NotAction"])?
                }
                "NotAction" => once(
                    &mut actions,
                    Actions::parse(value, "NotAction", services)?,
                    ["Action", "NotAction"],
                )?,
                "Resource" => {
                    let these = Resources::parse(value, "Resource", holder, variables)?;
                    once(&mut resources, Resources::These(these), ["Resource", "NotResource"])?;
                }
                "NotResource" => {
                    let those = Resources::parse(value, "NotResource", holder, variables)?;
                    once(&mut resources, Resources::AllBut(those), ["Resource", "NotResource"])?;
                }
                "Condition" => block = Some(value),
                other => return Err(Malformed::UnknownField(quoted(other))),
            }
        }
        match holder {
            Holder::Identity => principals = Some(Principals::AllBut(Vec::new())),
            Holder::Trust => resources = Some(Resources::AllBut(Vec::new())),
            Holder::Bucket(_) => {}
        }
        let actions = actions.ok_or(Malformed::Missing("Action"))?;
        let known = holder.keys(&actions);
        let conditions = block.map(|block| Condition::parse_block(block, variables, known)).transpose()?;
        let statement = Statement {
            sid,
            number,
            effect: effect.ok_or(Malformed::Missing("Effect"))?,
            principals: principals.ok_or(Malformed::Missing("Principal"))?,
            actions,
            resources: resources.ok_or(Malformed::Missing("Resource"))?,
            conditions: conditions.unwrap_or_default(),
        };
        match (statement.effect, &statement.principals) {
            (Effect::Allow, Principals::AllBut(_)) if !matches!(holder, Holder::Identity) => {
                Err(Malformed::AllowsOthers)
            }
            _ => Ok(statement),
        }
    }

    fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.resources.patterns().iter().chain(self.conditions.iter().flat_map(Condition::patterns))
    }

    /// The statement's `Sid`, or its position.
    pub fn name(&self) -> String {
        match self.sid.as_deref().filter(|sid| !sid.is_empty()) {
            Some(sid) => sid.to_owned(),
            None => format!("statement {}", self.number),
        }
    }

    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Whether the statement names the requester, or everybody, and not only the requester's account.
    pub fn names(&self, who: &Requester<'_>) -> bool {
        self.principals.name(who)
    }

    /// Whether the statement applies. The cheapest check comes first.
    fn speaks_of(&self, question: &Question<'_>) -> bool {
        self.actions.contains(question.action)
            && self.principals.include(&question.who)
            && self.resources.include(question)
            && self.conditions.iter().all(|condition| condition.holds(question.facts))
    }
}

impl Holder<'_> {
    fn services(self) -> Services {
        match self {
            Holder::Bucket(_) => Services::S3,
            Holder::Identity => Services::All,
            Holder::Trust => Services::Sts,
        }
    }

    /// The keys that the conditions of a statement about these actions may ask about.
    fn keys(self, actions: &Actions) -> Keys {
        match self {
            Holder::Identity if *actions == Actions::default() => Keys::Any,
            Holder::Identity => Keys::AlsoOfOtherServices,
            Holder::Bucket(_) | Holder::Trust => Keys::Here,
        }
    }

    /// The elements that this kind of policy must not have, since what it belongs to already says them.
    fn elements_without(self) -> &'static [&'static str] {
        match self {
            Holder::Bucket(_) => &[],
            Holder::Identity => &["Principal", "NotPrincipal"],
            Holder::Trust => &["Resource", "NotResource"],
        }
    }

    /// Whether every `Sid` must be unique. IAM demands that of its policies; S3 doesn't of a bucket's.
    fn tells_statements_apart(self) -> bool {
        !matches!(self, Holder::Bucket(_))
    }

    /// Whether the policy may speak of the resource with this ARN.
    fn has(self, name: &str) -> bool {
        match self {
            Holder::Bucket(bucket) => {
                let path = name.strip_prefix(RESOURCE_PREFIX);
                let of = path.and_then(|path| path.split('/').next());
                of.is_some_and(|of| Wildcards::parse(of).matches(bucket))
            }
            Holder::Identity => name == "*" || name.splitn(6, ':').count() == 6 && name.starts_with("arn:"),
            Holder::Trust => true,
        }
    }
}

impl Effect {
    fn parse(text: &str) -> Result<Effect, Malformed> {
        match text {
            "Allow" => Ok(Effect::Allow),
            "Deny" => Ok(Effect::Deny),
            other => Err(Malformed::Effect(quoted(other))),
        }
    }
}

impl Resources {
    fn parse(
        value: &Json,
        element: &'static str,
        holder: Holder<'_>,
        variables: bool,
    ) -> Result<Vec<Pattern>, Malformed> {
        let reading = Reading { wildcards: true, variables, folded: false };
        let one = |name: &Json| {
            let name =
                name.text().ok_or(Malformed::Kind { element, expected: "a string or a list of strings" })?;
            if !holder.has(name) {
                return Err(Malformed::Resource(quoted(name)));
            }
            Pattern::parse(name, reading)
        };
        let all = value.one_or_many().iter().map(one).collect::<Result<Vec<_>, _>>()?;
        if all.is_empty() {
            return Err(Malformed::Empty(element));
        }
        Ok(all)
    }

    fn patterns(&self) -> &[Pattern] {
        match self {
            Resources::These(all) | Resources::AllBut(all) => all,
        }
    }

    fn include(&self, question: &Question<'_>) -> bool {
        let any = |all: &[Pattern]| all.iter().any(|one| one.matches(question.resource, question.facts));
        match self {
            Resources::These(all) => any(all),
            Resources::AllBut(all) => !any(all),
        }
    }
}

/// Sets what an element says; a statement has at most one element of the two `names`.
fn once<T>(place: &mut Option<T>, value: T, names: [&'static str; 2]) -> Result<(), Malformed> {
    let [one, other] = names;
    match place.replace(value) {
        Some(_) => Err(Malformed::Both(one, other)),
        None => Ok(()),
    }
}

fn text_of<'j>(value: &'j Json, element: &'static str) -> Result<&'j str, Malformed> {
    value.text().ok_or(Malformed::Kind { element, expected: "a string" })
}

/// Policy variables came with the second version of the language; in the first one they are plain text.
fn has_variables(version: &Json) -> Result<bool, Malformed> {
    match text_of(version, "Version")? {
        "2012-10-17" => Ok(true),
        "2008-10-17" => Ok(false),
        other => Err(Malformed::Version(quoted(other))),
    }
}
