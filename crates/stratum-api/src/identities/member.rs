//! Somebody of an account who isn't its owner, with all that says what they may.

use super::arn::Arn;
use super::canned::Canned;
use super::session::{Session, Subject};
use std::collections::BTreeMap;
use std::sync::Arc;
use stratum_auth::User;
use stratum_metadata::record::{AccountName, IdentityKind, IdentityRecord};
use stratum_metadata::{ReadError, ReadView};
use stratum_policy::Policy;
use stratum_storage::ambient::UnixMillis;

/// A user that was made in an account, or a session.
#[derive(Debug)]
pub struct Member {
    /// The owner of their account.
    pub account: Arc<User>,
    /// The key that they sign with.
    pub access_key: String,
    /// As `aws:userid` has it.
    pub id: String,
    /// Who they are, of a session of a role the session.
    pub arn: Arn,
    /// As `aws:PrincipalArn` has it: of a session of a role the role's.
    pub principal: Arn,
    /// By which policies may mean them.
    pub names: Vec<String>,
    /// Of the user, or the role.
    pub tags: BTreeMap<String, String>,
    pub kind: MemberKind,
    /// Their own and those of their groups, or of their role.
    pub policies: Vec<Arc<Policy>>,
    /// What a session was given to stay within, if it was given anything.
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
    /// The user of that name, or a session of one, and how long its policies are; none if there is no such user any more.
    pub fn user(
        view: &ReadView,
        account: &Arc<User>,
        name: &str,
        access_key: &str,
        session: Option<&Session>,
    ) -> Result<Option<(Member, u64)>, ReadError> {
        let Some(record) = view.identity(IdentityKind::User, &AccountName::new(&account.id, name))? else {
            return Ok(None);
        };
        // A user of the same name who came later is another.
        if session.is_some_and(|session| session.subject.id() != Some(&record.id)) {
            return Ok(None);
        }
        let mut policies = Policies::default();
        policies.read(view, &record)?;
        for group in record.groups() {
            let group = view.identity(IdentityKind::Group, &AccountName::new(&account.id, group))?;
            if let Some(group) = group {
                policies.read(view, &group)?;
            }
        }
        let arn = Arn::new(&account.id, "user", &record.path, &record.name);
        let member = Member {
            account: account.clone(),
            access_key: access_key.to_owned(),
            id: record.id,
            names: vec![arn.name().to_owned()],
            tags: record.tags,
            principal: arn.clone(),
            arn,
            kind: MemberKind::User(record.name),
            policies: policies.all,
            within: None,
            issued: session.map(|session| session.issued),
        };
        Ok(Some((member, policies.text_bytes)))
    }

    /// A session of the role of that name.
    pub(super) fn role(
        view: &ReadView,
        account: &Arc<User>,
        name: &str,
        session: &Session,
    ) -> Result<Option<(Member, u64)>, ReadError> {
        let Subject::Role { session: called, .. } = &session.subject else { return Ok(None) };
        let record = view.identity(IdentityKind::Role, &AccountName::new(&account.id, name))?;
        let Some(record) = record.filter(|record| session.subject.id() == Some(&record.id)) else {
            return Ok(None);
        };
        let mut policies = Policies::default();
        policies.read(view, &record)?;
        let within = policies.within(view, session)?;
        let principal = Arn::new(&account.id, "role", &record.path, &record.name);
        let arn = Arn::session(&account.id, &record.name, called);
        let member = Member {
            account: account.clone(),
            access_key: session.access_key.clone(),
            id: format!("{}:{called}", record.id),
            names: vec![principal.name().to_owned(), arn.name().to_owned()],
            tags: record.tags,
            principal,
            arn,
            kind: MemberKind::Role,
            policies: policies.all,
            within,
            issued: Some(session.issued),
        };
        Ok(Some((member, policies.text_bytes)))
    }
}

/// Policies, and how much text they were.
#[derive(Default)]
struct Policies {
    all: Vec<Arc<Policy>>,
    text_bytes: u64,
}

impl Policies {
    /// Those of one identity: its own, and those that are attached to it.
    fn read(&mut self, view: &ReadView, of: &IdentityRecord) -> Result<(), ReadError> {
        self.text_bytes += of.tags.iter().map(|(name, value)| (name.len() + value.len()) as u64).sum::<u64>();
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

    /// What a session was given to stay within. A policy that is gone since allows nothing any more.
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
        self.text_bytes += text.len() as u64;
        // It was put by a server that knew more.
        let parsed = Policy::parse_identity(text.as_bytes()).unwrap_or_else(|error| {
            tracing::warn!(%error, "a policy can't be judged, so whoever has it may do nothing");
            Policy::denying_all()
        });
        Arc::new(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_t_be_judged_denies() {
        let policy = Policies::default().parse("{}");
        assert_eq!(policy.statements().len(), 1);
        assert_eq!(policy.statements()[0].effect(), stratum_policy::Effect::Deny);
    }
}
