//! A member of an account: somebody who isn't its owner, with all that says what they may do.

use super::arn::Arn;
use super::canned::Canned;
use super::session::{Session, Subject};
use crate::kept::{Kept, Parsed, kept};
use std::collections::BTreeMap;
use std::sync::Arc;
use stratum_auth::User;
use stratum_metadata::record::{AccountName, IdentityKind, IdentityRecord};
use stratum_metadata::{ReadError, ReadView};
use stratum_policy::Policy;
use stratum_storage::ambient::UnixMillis;
use tracing_mutex::parkinglot::Mutex;

/// The most bytes of text that kept policies were parsed from.
const MOST_POLICY_BYTES: u64 = 2 << 20;
/// No policy of an identity or a session is longer.
const LONGEST_POLICY_BYTES: u64 = 64 << 10;

/// A user that was made in an account, or a session of such a user or of a role.
#[derive(Debug)]
pub struct Member {
    /// The owner of the account that the member belongs to.
    pub account: Arc<User>,
    /// The access key that the member signs with.
    pub access_key: String,
    /// The value of `aws:userid`.
    pub id: String,
    /// The ARN of the user, or of the session of a role.
    pub arn: Arn,
    /// The value of `aws:PrincipalArn`: the ARN of the user, or of the role that a session is of.
    pub principal: Arn,
    /// The names by which the principals of policies can mean the member.
    pub names: Vec<String>,
    /// The tags of the user, or those of the session and of its role.
    pub tags: BTreeMap<String, String>,
    /// The tags that the sessions that are begun from this session have, too.
    pub transitive: BTreeMap<String, String>,
    pub kind: MemberKind,
    /// The policies of the user and of their groups, or those of the role.
    pub policies: Vec<Arc<Policy>>,
    /// The permissions boundary, within which what those policies allow stays; `None` if there is no such boundary.
    pub boundary: Option<Vec<Arc<Policy>>>,
    /// The policies that a session must stay within, too; `None` if it was given none.
    pub within: Option<Vec<Arc<Policy>>>,
    /// When the session began.
    pub issued: Option<UnixMillis>,
}

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberKind {
    /// A user of that name, or a session of one.
    User(String),
    /// A session of a role.
    Role,
}

impl Member {
    /// The user of that name, or a session of that user, and how many bytes of text their policies are; `None` if there
    /// is no such user any more.
    pub fn user(
        view: &ReadView,
        parsed: &ParsedPolicies,
        account: &Arc<User>,
        name: &str,
        access_key: &str,
        session: Option<&Session>,
    ) -> Result<Option<(Member, u64)>, ReadError> {
        let Some(record) = view.identity(IdentityKind::User, &AccountName::new(&account.id, name))? else {
            return Ok(None);
        };
        // A later user of the same name isn't the one that the session is of.
        if session.is_some_and(|session| session.subject.id() != Some(&record.id)) {
            return Ok(None);
        }
        let mut policies = Policies::of(parsed);
        policies.read(view, &record)?;
        for group in record.groups() {
            let group = view.identity(IdentityKind::Group, &AccountName::new(&account.id, group))?;
            if let Some(group) = group {
                policies.read(view, &group)?;
            }
        }
        let boundary = policies.boundary(view, &record)?;
        let arn = Arn::new(&account.id, "user", &record.path, &record.name);
        let member = Member {
            account: account.clone(),
            access_key: access_key.to_owned(),
            id: record.id,
            names: vec![arn.name().to_owned()],
            tags: record.tags,
            transitive: BTreeMap::new(),
            principal: arn.clone(),
            arn,
            kind: MemberKind::User(record.name),
            policies: policies.all,
            boundary,
            within: None,
            issued: session.map(|session| session.issued),
        };
        Ok(Some((member, policies.text_bytes)))
    }

    /// A session of the role of that name, and how many bytes of text its policies are; `None` if there is no such role
    /// any more.
    pub(super) fn role(
        view: &ReadView,
        parsed: &ParsedPolicies,
        account: &Arc<User>,
        name: &str,
        session: &Session,
    ) -> Result<Option<(Member, u64)>, ReadError> {
        let Subject::Role { session: called, .. } = &session.subject else { return Ok(None) };
        let record = view.identity(IdentityKind::Role, &AccountName::new(&account.id, name))?;
        let Some(record) = record.filter(|record| session.subject.id() == Some(&record.id)) else {
            return Ok(None);
        };
        let mut policies = Policies::of(parsed);
        policies.read(view, &record)?;
        policies.text_bytes += tag_bytes(&session.tags);
        let (boundary, within) = (policies.boundary(view, &record)?, policies.within(view, session)?);
        let principal = Arn::new(&account.id, "role", &record.path, &record.name);
        let arn = Arn::session(&account.id, &record.name, called);
        let member = Member {
            account: account.clone(),
            access_key: session.access_key.clone(),
            id: format!("{}:{called}", record.id),
            names: vec![principal.name().to_owned(), arn.name().to_owned()],
            tags: tags_of(session, record.tags),
            transitive: session
                .tags
                .iter()
                .filter(|(key, _)| session.transitive.contains(*key))
                .map(owned)
                .collect(),
            principal,
            arn,
            kind: MemberKind::Role,
            policies: policies.all,
            boundary,
            within,
            issued: Some(session.issued),
        };
        Ok(Some((member, policies.text_bytes)))
    }
}

/// The tags of a session: its own, and those of its role with other keys. Case doesn't matter in keys.
fn tags_of(session: &Session, of_role: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let is_own = |key: &str| session.tags.keys().any(|own| own.eq_ignore_ascii_case(key));
    let of_role = of_role.into_iter().filter(|(key, _)| !is_own(key));
    session.tags.iter().map(owned).chain(of_role).collect()
}

fn tag_bytes(tags: &BTreeMap<String, String>) -> u64 {
    tags.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum()
}

fn owned((key, value): (&String, &String)) -> (String, String) {
    (key.clone(), value.clone())
}

/// The policies that were parsed last, by their texts. The same policy may be attached to many groups, users and roles,
/// and members are read anew whenever an identity changes.
#[derive(Debug)]
pub struct ParsedPolicies {
    kept: Kept<String, ParsedPolicy>,
    /// Held while a policy is parsed: of many requests that need the same one, one parses it.
    parsing: Mutex<()>,
}

#[derive(Clone, Debug)]
struct ParsedPolicy {
    text_bytes: u64,
    policy: Arc<Policy>,
}

impl Parsed for ParsedPolicy {
    fn text_bytes(&self) -> u64 {
        self.text_bytes
    }
}

impl Default for ParsedPolicies {
    fn default() -> Self {
        Self { kept: kept(MOST_POLICY_BYTES, LONGEST_POLICY_BYTES), parsing: Mutex::new(()) }
    }
}

impl ParsedPolicies {
    fn parse(&self, text: &str) -> Arc<Policy> {
        if let Some(parsed) = self.kept.get(text) {
            return parsed.policy;
        }
        let _parsing = self.parsing.lock();
        if let Some(parsed) = self.kept.get(text) {
            return parsed.policy;
        }
        // A server of a later version put this policy.
        let parsed = Policy::parse_identity(text.as_bytes()).unwrap_or_else(|error| {
            tracing::warn!(%error, "a policy can't be judged, so whoever has it may do nothing");
            Policy::denying_all()
        });
        let parsed = ParsedPolicy { text_bytes: text.len() as u64, policy: Arc::new(parsed) };
        self.kept.insert(text.to_owned(), parsed.clone());
        parsed.policy
    }
}

/// Policies, and how many bytes of text they were parsed from, white space not counted.
struct Policies<'a> {
    parsed: &'a ParsedPolicies,
    all: Vec<Arc<Policy>>,
    text_bytes: u64,
}

impl<'a> Policies<'a> {
    fn of(parsed: &'a ParsedPolicies) -> Self {
        Self { parsed, all: Vec::new(), text_bytes: 0 }
    }

    /// Adds the policies of one identity: its inline policies, and those that are attached to it.
    fn read(&mut self, view: &ReadView, of: &IdentityRecord) -> Result<(), ReadError> {
        self.text_bytes += tag_bytes(&of.tags);
        for text in of.inline.values() {
            let policy = self.parse(text);
            self.all.push(policy);
        }
        for arn in &of.attached {
            let policy = self.managed(view, arn)?;
            self.all.extend(policy);
        }
        Ok(())
    }

    /// The managed policy of that ARN, if there still is one.
    fn managed(&mut self, view: &ReadView, arn: &str) -> Result<Option<Arc<Policy>>, ReadError> {
        if let Some(canned) = Canned::by_arn(arn) {
            return Ok(canned.policy());
        }
        let Some((at, _)) = Arn::parse(arn, "policy") else { return Ok(None) };
        let record = view.managed_policy(&at)?;
        let version = record.as_ref().and_then(|record| record.versions.get(&record.default));
        Ok(version.map(|version| self.parse(&version.document)))
    }

    /// The permissions boundary of a user or a role. One that was deleted since allows nothing any more.
    fn boundary(
        &mut self,
        view: &ReadView,
        of: &IdentityRecord,
    ) -> Result<Option<Vec<Arc<Policy>>>, ReadError> {
        of.boundary().map(|arn| Ok(self.managed(view, arn)?.into_iter().collect())).transpose()
    }

    /// The policies that a session must stay within. One that was deleted since allows nothing any more.
    fn within(&mut self, view: &ReadView, session: &Session) -> Result<Option<Vec<Arc<Policy>>>, ReadError> {
        if session.policy.is_none() && session.policy_arns.is_empty() {
            return Ok(None);
        }
        let mut within: Vec<_> = session.policy.as_deref().map(|text| self.parse(text)).into_iter().collect();
        for arn in &session.policy_arns {
            within.extend(self.managed(view, arn)?);
        }
        Ok(Some(within))
    }

    fn parse(&mut self, text: &str) -> Arc<Policy> {
        self.text_bytes += text.bytes().filter(|byte| !byte.is_ascii_whitespace()).count() as u64;
        self.parsed.parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_cannot_be_judged_denies_everything() {
        let policy = ParsedPolicies::default().parse("{}");
        assert_eq!(policy.statements().len(), 1);
        assert_eq!(policy.statements()[0].effect(), stratum_policy::Effect::Deny);
    }

    #[test]
    fn a_policy_is_parsed_once_however_often_it_is_attached() {
        let parsed = ParsedPolicies::default();
        let text = |resource: &str| {
            format!(
                r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"s3:*","Resource":"{resource}"}}}}"#
            )
        };
        let of_two = [parsed.parse(&text("*")), parsed.parse(&text("*"))];
        assert!(Arc::ptr_eq(&of_two[0], &of_two[1]));
        assert!(!Arc::ptr_eq(&of_two[0], &parsed.parse(&text("arn:aws:s3:::a/*"))));
    }
}
