//! A bucket's policy: its statements, and what they answer.

use crate::action::{Action, Actions};
use crate::condition::Condition;
use crate::error::{Malformed, quoted};
use crate::json::Json;
use crate::key::Key;
use crate::pattern::{Pattern, Reading, Wildcards};
use crate::principal::{Principals, Requester};
use crate::value::Facts;

/// What stands before the bucket in the name of a resource.
const RESOURCE_PREFIX: &str = "arn:aws:s3:::";

/// `?` in the resources and conditions of a policy, at most: more would take long to look for in a long text.
const MAX_QUESTION_MARKS: usize = 256;

/// A policy that can be judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    id: Option<String>,
    statements: Vec<Statement>,
}

/// One statement of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    sid: Option<String>,
    /// Counted from 1.
    number: usize,
    pub(crate) effect: Effect,
    pub(crate) principals: Principals,
    actions: Actions,
    resources: Resources,
    pub(crate) conditions: Vec<Condition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Allow,
    Deny,
}

/// Names of a bucket and its objects, without their prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Resources {
    These(Vec<Pattern>),
    AllBut(Vec<Pattern>),
}

/// Whether somebody may do something.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    pub who: Requester<'a>,
    pub action: Action,
    /// `bucket`, or `bucket/key`.
    pub resource: &'a str,
    pub facts: &'a dyn Facts,
}

/// What a policy answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decision<'a> {
    /// This statement denies it, whatever the others say.
    Denied(&'a Statement),
    /// This statement, the first that does, allows it, and none denies it.
    Allowed(&'a Statement),
    /// No statement speaks of it.
    Silent,
}

impl Policy {
    /// Reads the policy of a bucket.
    ///
    /// # Errors
    /// What is wrong with it, or not understood.
    pub fn parse(text: &[u8], bucket: &str) -> Result<Policy, Malformed> {
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
            let statement = Statement::parse(value, number, bucket, variables)?;
            let sid = statement.sid.as_ref();
            if let Some(sid) =
                sid.filter(|sid| statements.iter().any(|other| other.sid.as_ref() == Some(sid)))
            {
                return Err(Malformed::SidTwice(quoted(sid)));
            }
            statements.push(statement);
        }
        let found = statements.iter().flat_map(Statement::patterns).map(Pattern::question_marks).sum();
        if found > MAX_QUESTION_MARKS {
            return Err(Malformed::QuestionMarks { found, most: MAX_QUESTION_MARKS });
        }
        Ok(Policy { id, statements })
    }

    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// Judges a question.
    pub fn decide(&self, question: &Question<'_>) -> Decision<'_> {
        let mut decision = Decision::Silent;
        for statement in &self.statements {
            let is_news = statement.effect == Effect::Deny || decision == Decision::Silent;
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

    /// Whether a condition, or a variable, on something that `wanted` tells is in it: who answers its questions may have to look
    /// that up first.
    pub fn asks(&self, wanted: impl Fn(&Key) -> bool) -> bool {
        self.statements.iter().any(|statement| {
            let of_resources = statement.resources.patterns().iter().flat_map(Pattern::keys);
            of_resources.chain(statement.conditions.iter().flat_map(Condition::keys)).any(&wanted)
        })
    }
}

impl Statement {
    fn parse(value: &Json, number: usize, bucket: &str, variables: bool) -> Result<Statement, Malformed> {
        let Json::Object(members) = value else {
            return Err(Malformed::Kind { element: "Statement", expected: "an object or a list of objects" });
        };
        let (mut sid, mut effect, mut conditions) = (None, None, Vec::new());
        let (mut principals, mut actions, mut resources) = (None, None, None);
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
                "Action" => once(&mut actions, Actions::parse(value, "Action")?, ["Action", "NotAction"])?,
                "NotAction" => {
                    once(&mut actions, Actions::parse(value, "NotAction")?, ["Action", "NotAction"])?
                }
                "Resource" => {
                    let these = Resources::parse(value, "Resource", bucket, variables)?;
                    once(&mut resources, Resources::These(these), ["Resource", "NotResource"])?;
                }
                "NotResource" => {
                    let those = Resources::parse(value, "NotResource", bucket, variables)?;
                    once(&mut resources, Resources::AllBut(those), ["Resource", "NotResource"])?;
                }
                "Condition" => conditions = Condition::parse_block(value, variables)?,
                other => return Err(Malformed::UnknownField(quoted(other))),
            }
        }
        let statement = Statement {
            sid,
            number,
            effect: effect.ok_or(Malformed::Missing("Effect"))?,
            principals: principals.ok_or(Malformed::Missing("Principal"))?,
            actions: actions.ok_or(Malformed::Missing("Action"))?,
            resources: resources.ok_or(Malformed::Missing("Resource"))?,
            conditions,
        };
        match (statement.effect, &statement.principals) {
            (Effect::Allow, Principals::AllBut(_)) => Err(Malformed::AllowsOthers),
            _ => Ok(statement),
        }
    }

    fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.resources.patterns().iter().chain(self.conditions.iter().flat_map(Condition::patterns))
    }

    /// Its `Sid`, or which one it is.
    pub fn name(&self) -> String {
        match self.sid.as_deref().filter(|sid| !sid.is_empty()) {
            Some(sid) => sid.to_owned(),
            None => format!("statement {}", self.number),
        }
    }

    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// The cheapest is asked first.
    fn speaks_of(&self, question: &Question<'_>) -> bool {
        self.actions.contains(question.action)
            && self.principals.include(&question.who)
            && self.resources.include(question)
            && self.conditions.iter().all(|condition| condition.holds(question.facts))
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
        bucket: &str,
        variables: bool,
    ) -> Result<Vec<Pattern>, Malformed> {
        let reading = Reading { wildcards: true, variables, folded: false };
        let one = |name: &Json| {
            let name =
                name.text().ok_or(Malformed::Kind { element, expected: "a string or a list of strings" })?;
            let wrong = || Malformed::Resource(quoted(name));
            let path = name.strip_prefix(RESOURCE_PREFIX).ok_or_else(wrong)?;
            let of = path.split('/').next().unwrap_or_default();
            if !Wildcards::parse(of).matches(bucket) {
                return Err(wrong());
            }
            Pattern::parse(path, reading)
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

/// Puts what an element says; `names` are those of which a statement has one.
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

/// Policy variables came with the second version of the language; in the first they are text.
fn has_variables(version: &Json) -> Result<bool, Malformed> {
    match text_of(version, "Version")? {
        "2012-10-17" => Ok(true),
        "2008-10-17" => Ok(false),
        other => Err(Malformed::Version(quoted(other))),
    }
}
