//! One call of an action: its caller, the account that it is about, and its parameters.

use super::error::{Fault, IamError};
use super::table::{About, Row};
use super::{boundary, managed, valid};
use crate::admission::Memory;
use crate::audit::Trail;
use crate::channel::Tls;
use crate::context::{Account, Caller, Store};
use crate::identities::{Arn, MemberKind};
use crate::query::Query;
use crate::rights::{self, Asker, IamSaid, Resource};
use http::HeaderMap;
use http::uri::Scheme;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use stratum_auth::{Mechanism, User};
use stratum_metadata::ReadView;
use stratum_metadata::record::{AccountName, IdentityKind, IdentityRecord};
use stratum_storage::ambient::UnixMillis;

/// The request that an action's handler gets.
#[derive(Debug)]
pub struct Call {
    pub store: Arc<Store>,
    pub caller: Caller,
    /// How the request was signed; none for one of the console's.
    pub mechanism: Option<Mechanism>,
    /// The owner of the caller's account. An action is about that account and no other.
    pub account: Arc<User>,
    pub view: ReadView,
    pub row: &'static Row,
    pub form: Query,
    pub headers: HeaderMap,
    pub scheme: Scheme,
    pub tls: Option<Tls>,
    pub peer: Option<IpAddr>,
    pub now: UnixMillis,
    /// What the request holds of the memory that all requests share.
    pub memory: Memory,
    /// Notes the decisions about the caller's rights, for the audit.
    pub trail: Arc<Trail>,
}

/// The user that an action is about.
#[derive(Debug)]
pub enum Named {
    /// The owner of an account, whom the configuration names.
    Owner(Arc<User>),
    /// A user who was created by IAM, or who doesn't exist.
    Made(AccountName),
}

/// A user, a group or a role that an ARN names.
#[derive(Debug)]
pub struct Known {
    pub at: AccountName,
    pub record: IdentityRecord,
    /// Its ARN as its record spells it.
    pub arn: Arn,
}

impl Call {
    pub fn account_id(&self) -> &str {
        &self.account.id
    }

    /// The value of a required parameter.
    ///
    /// # Errors
    /// `ValidationError`.
    pub fn required(&self, name: &str) -> Result<&str, IamError> {
        let missing = || {
            Fault::ValidationError.because(format!(
                "1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null"
            ))
        };
        self.form.get(name).ok_or_else(missing)
    }

    /// The parameter `Path`; `/` where the form has none.
    ///
    /// # Errors
    /// `ValidationError`.
    pub fn path(&self) -> Result<&str, IamError> {
        self.form.get("Path").map_or(Ok("/"), valid::path)
    }

    /// The tags of the form: `Tags.member.N.Key` and `Tags.member.N.Value`.
    ///
    /// # Errors
    /// `ValidationError` for a tag without a key or without a value; as [`valid::tags`].
    pub fn tags(&self) -> Result<BTreeMap<String, String>, IamError> {
        let fields = self.form.iter().filter_map(|(name, _)| name.strip_prefix("Tags.member."));
        let numbers: BTreeSet<&str> =
            fields.filter_map(|field| field.split_once('.').map(|(number, _)| number)).collect();
        let field = |number: &str, field: &str| {
            self.required(&format!("Tags.member.{number}.{field}")).map(str::to_owned)
        };
        let tags: Result<Vec<_>, IamError> =
            numbers.into_iter().map(|number| Ok((field(number, "Key")?, field(number, "Value")?))).collect();
        valid::tags(tags?.into_iter())
    }

    /// The keys of the tags that are to be taken away: `TagKeys.member.N`.
    ///
    /// # Errors
    /// As [`valid::tag_keys`].
    pub fn tag_keys(&self) -> Result<Vec<&str>, IamError> {
        valid::tag_keys(self.members("TagKeys"))
    }

    /// The values that the form lists as `NAME.member.N`.
    pub fn members<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.form.iter().filter_map(move |(parameter, value)| {
            let number = parameter.strip_prefix(name)?.strip_prefix(".member.")?;
            number.bytes().all(|byte| byte.is_ascii_digit()).then_some(value)
        })
    }

    /// The user whom the parameter `UserName` names, or else the caller.
    ///
    /// # Errors
    /// `ValidationError`: for a name that no user can have, and without a name for a session of a role, which is no
    /// user.
    pub fn user(&self) -> Result<Named, IamError> {
        match (self.form.get("UserName"), &self.caller) {
            (Some(name), _) => self.user_called(valid::name("userName", name, 128)?),
            (None, Caller::Member(member)) => match &member.kind {
                MemberKind::User(name) => Ok(Named::Made(AccountName::new(self.account_id(), name))),
                MemberKind::Role => Err(Fault::ValidationError
                    .because("Must specify userName when calling with non-User credentials")),
            },
            (None, _) => Ok(Named::Owner(self.account.clone())),
        }
    }

    /// The user of that name. A user that IAM created goes before an owner who was added to the configuration under the
    /// same name since: the user's keys count all the while, and whoever is to take them away must find the user.
    ///
    /// # Errors
    /// Failures of the store.
    pub fn user_called(&self, name: &str) -> Result<Named, IamError> {
        let at = AccountName::new(self.account_id(), name);
        let is_called = |user: &Arc<User>| user.display_name.eq_ignore_ascii_case(name);
        Ok(match self.owners().find(is_called) {
            Some(owner) if self.view.identity(IdentityKind::User, &at)?.is_none() => Named::Owner(owner),
            _ => Named::Made(at),
        })
    }

    /// The users of the configuration whom the account may see: root's account all of them, any other its owner
    /// alone.
    pub fn owners(&self) -> impl Iterator<Item = Arc<User>> {
        let all =
            self.store.identities.users().filter(|user| self.account.root || user.id == self.account.id);
        let mut all: Vec<Arc<User>> = all.cloned().collect();
        all.sort_by(|one, other| one.display_name.cmp(&other.display_name));
        all.into_iter()
    }

    /// The user, group or role that a parameter names.
    ///
    /// # Errors
    /// `NoSuchEntity`, `ValidationError`.
    pub fn identity(&self, kind: IdentityKind) -> Result<IdentityRecord, IamError> {
        let at = self.at(kind)?;
        self.view.identity(kind, &at)?.ok_or_else(|| Fault::no_such(kind.name(), at.folded()))
    }

    /// The user or the role that the action is about; none where it doesn't exist, and for an action that is about
    /// anything else.
    ///
    /// # Errors
    /// `ValidationError` for a name that no user or role can have.
    pub fn named_identity(&self) -> Result<Option<IdentityRecord>, IamError> {
        let (kind, at) = match self.row.about {
            About::Users => match self.user()? {
                Named::Made(at) => (IdentityKind::User, at),
                Named::Owner(_) => return Ok(None),
            },
            About::Roles => (IdentityKind::Role, self.at(IdentityKind::Role)?),
            _ => return Ok(None),
        };
        Ok(self.view.identity(kind, &at)?)
    }

    /// Under which name the state has the user, group or role that a parameter names.
    ///
    /// # Errors
    /// `UnmodifiableEntity` for a user of the configuration, of whom the state has nothing; `ValidationError`.
    pub fn at(&self, kind: IdentityKind) -> Result<AccountName, IamError> {
        let (parameter, most) = match kind {
            IdentityKind::User => match self.user()? {
                Named::Made(at) => return Ok(at),
                Named::Owner(owner) => return Err(of_the_configuration(&owner)),
            },
            IdentityKind::Group => ("GroupName", 128),
            IdentityKind::Role => ("RoleName", 64),
        };
        let name = valid::name(parameter, self.required(parameter)?, most)?;
        Ok(AccountName::new(self.account_id(), name))
    }

    /// The user, group or role, of any account, that an ARN names. A name finds its record whatever its capitals are; the
    /// path must be the record's.
    ///
    /// # Errors
    /// Failures of the store.
    pub fn known(&self, kind: IdentityKind, arn: &str) -> Result<Option<Known>, IamError> {
        let Some((at, path)) = Arn::parse(arn, kind.name()) else { return Ok(None) };
        let record = self.view.identity(kind, &at)?.filter(|record| record.path == path);
        Ok(record.map(|record| {
            let arn = Arn::new(at.account(), kind.name(), &record.path, &record.name);
            Known { at, record, arn }
        }))
    }

    /// The ARN of the resource that the action is about; none where it is about the caller. Of a resource that exists it
    /// is spelt as its record has it, and not as the form does: policies heed capitals, and a name in other capitals
    /// finds the same record.
    ///
    /// # Errors
    /// `ValidationError` for a name that no user, group or role can have.
    pub fn about(&self) -> Result<Option<String>, IamError> {
        Ok(match self.row.about {
            About::Caller => None,
            About::Trust => self.form.get("RoleArn").map(str::to_owned),
            About::Principal => {
                self.form.get("PolicySourceArn").map(|arn| self.arn_of_principal(arn)).transpose()?
            }
            About::Account => Some("*".to_owned()),
            About::Users => Some(self.arn_of_user()?),
            About::Groups => Some(self.arn_of("GroupName", IdentityKind::Group)?),
            About::Roles => Some(self.arn_of("RoleName", IdentityKind::Role)?),
            About::Policies => Some(self.arn_of_policy()?),
        })
    }

    /// Asks whether the caller has the action's right to the resource that the action is about.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub fn authorise(&self, about: Option<&str>) -> Result<(), IamError> {
        match (self.row.about, about) {
            (About::Caller | About::Trust, _) | (_, None) => Ok(()),
            (_, Some(arn)) => self.may(&Resource::Iam(arn)),
        }
    }

    /// Asks whether the caller has the action's right to the ARN that a user or group has after it is renamed: the
    /// right to its ARN before that isn't enough.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub fn may_call(&self, kind: IdentityKind, path: &str, name: &str) -> Result<(), IamError> {
        let arn = Arn::new(self.account_id(), kind.name(), path, name).to_string();
        self.may(&Resource::Iam(&arn))
    }

    /// Asks whether the caller has the action's right to a resource.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub fn may(&self, resource: &Resource<'_>) -> Result<(), IamError> {
        self.may_do(self.row.right, resource)
    }

    /// Asks whether the caller has a right to a resource that the request needs beside the action's own.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub fn may_do(&self, right: &'static str, resource: &Resource<'_>) -> Result<(), IamError> {
        let account = Account::User(self.account.clone());
        let said = self.said()?;
        let asker = Asker {
            store: &self.store,
            view: &self.view,
            caller: &self.caller,
            account: &account,
            mechanism: self.mechanism,
            query: &self.form,
            headers: &self.headers,
            scheme: &self.scheme,
            tls: self.tls,
            creates: None,
            peer: self.peer,
            now: self.now,
            trail: &self.trail,
            said: None,
            iam: Some(&said),
        };
        rights::authorise(&asker, right, resource).map_err(|error| {
            let denied = IamError::from(error);
            match denied.code() {
                "AccessDenied" => denied.saying(format!(
                    "User: {} is not authorized to perform: {right} on resource: {resource}",
                    self.caller.id().unwrap_or_default(),
                )),
                _ => denied,
            }
        })
    }

    /// What policies may ask about the form.
    fn said(&self) -> Result<IamSaid<'_>, IamError> {
        let (tags, taken) = (self.tags()?, self.tag_keys()?);
        Ok(IamSaid {
            form: &self.form,
            boundary: boundary::asked(self)?,
            tag_keys: tags.keys().map(String::as_str).chain(taken).map(str::to_owned).collect(),
            transitive_tag_keys: self.members("TransitiveTagKeys").map(str::to_owned).collect(),
            tags,
        })
    }

    fn arn_of_user(&self) -> Result<String, IamError> {
        if self.form.get("UserName").is_none() && self.row.lists {
            return Ok(Arn::new(self.account_id(), "user", "/", "*").to_string());
        }
        Ok(match self.user()? {
            Named::Owner(owner) => Arn::root(&owner.id).to_string(),
            Named::Made(at) => self.arn_at(IdentityKind::User, &at, self.form.get("UserName"))?,
        })
    }

    fn arn_of(&self, parameter: &str, kind: IdentityKind) -> Result<String, IamError> {
        match self.form.get(parameter) {
            Some(name) => self.arn_at(kind, &AccountName::new(self.account_id(), name), Some(name)),
            None => Ok(Arn::new(self.account_id(), kind.name(), "/", "*").to_string()),
        }
    }

    /// The ARN of an identity, with the path that its record has; of one that doesn't exist yet with the path that
    /// the form gives it.
    fn arn_at(&self, kind: IdentityKind, at: &AccountName, name: Option<&str>) -> Result<String, IamError> {
        Ok(match self.view.identity(kind, at)? {
            Some(record) => Arn::new(self.account_id(), kind.name(), &record.path, &record.name),
            None => Arn::new(self.account_id(), kind.name(), self.path()?, name.unwrap_or(at.folded())),
        }
        .to_string())
    }

    fn arn_of_principal(&self, arn: &str) -> Result<String, IamError> {
        let known = self.known(IdentityKind::User, arn)?;
        Ok(known.map_or_else(|| arn.to_owned(), |known| known.arn.to_string()))
    }

    fn arn_of_policy(&self) -> Result<String, IamError> {
        Ok(match (self.form.get("PolicyArn"), self.form.get("PolicyName")) {
            (Some(arn), _) => managed::known_as(self, arn)?.unwrap_or_else(|| arn.to_owned()),
            (None, Some(name)) => {
                Arn::new(self.account_id(), "policy", self.form.get("Path").unwrap_or("/"), name).to_string()
            }
            (None, None) => Arn::new(self.account_id(), "policy", "/", "*").to_string(),
        })
    }

    /// Whether a path begins with the parameter `PathPrefix`, where the form has one.
    pub fn is_below(&self) -> impl Fn(&str) -> bool + Clone + Send + use<> {
        let prefix = self.form.get("PathPrefix").map(str::to_owned);
        move |path| prefix.as_ref().is_none_or(|prefix| path.starts_with(prefix))
    }
}

/// The refusal to change a user of the configuration: `UnmodifiableEntity`.
pub fn of_the_configuration(owner: &User) -> IamError {
    Fault::UnmodifiableEntity.because(format!(
        "The user {} is kept in the server's configuration, and can only be changed there.",
        owner.display_name
    ))
}
