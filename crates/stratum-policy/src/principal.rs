//! Who makes a request, and whom a statement of a policy is about.
//!
//! An account is identified by the canonical user id of its owner. The owner is the user whom the configuration
//! names, and stands for the whole account: its `:root` and `:user/NAME` mean the same person. The account's members
//! are the users that were created in it, and their sessions.

use crate::error::{Malformed, quoted};
use crate::json::Json;

/// Who makes a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requester<'a> {
    /// A request without a signature.
    Nobody,
    User {
        account: &'a str,
        name: &'a str,
    },
    /// A user or a session of an account, but not its owner.
    Member {
        account: &'a str,
        /// The names as they stand in ARNs after the account: `user/PATH/NAME`; for the session of a role, the role's
        /// and the session's.
        names: &'a [String],
    },
    /// A service, such as the one that delivers logs. A statement about everybody is not about services.
    Service(&'a str),
}

/// Whom a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principals {
    These(Vec<Principal>),
    AllBut(Vec<Principal>),
}

/// One principal of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// `*`: everybody, also requests without a signature.
    Everybody,
    /// Everybody of an account.
    Account(String),
    /// One user or session of an account: `user/PATH/NAME`, `role/PATH/NAME` or `assumed-role/NAME/SESSION`.
    Named { account: String, name: String },
    /// A service, such as the one that delivers logs.
    Service(String),
}

const FORMS: &str = "\"*\", or an object of AWS, CanonicalUser and Service";

impl Principals {
    /// # Errors
    /// [`Malformed::Principal`], [`Malformed::Kind`] or [`Malformed::Empty`].
    pub(crate) fn parse(value: &Json, element: &'static str) -> Result<Principals, Malformed> {
        let of_kind = |(kind, names): &(String, Json)| -> Result<Vec<Principal>, Malformed> {
            let one = |name: &Json| match name.text() {
                Some(name) => Principal::parse(kind, name),
                None => Err(Malformed::Kind { element, expected: FORMS }),
            };
            names.one_or_many().iter().map(one).collect()
        };
        let all = match value {
            Json::Text(text) if text == "*" => vec![Principal::Everybody],
            Json::Text(text) => return Err(Malformed::Principal(quoted(text))),
            Json::Object(kinds) => kinds.iter().map(of_kind).collect::<Result<Vec<_>, _>>()?.concat(),
            _ => return Err(Malformed::Kind { element, expected: FORMS }),
        };
        match element {
            _ if all.is_empty() => Err(Malformed::Empty(element)),
            "NotPrincipal" => Ok(Principals::AllBut(all)),
            _ => Ok(Principals::These(all)),
        }
    }

    pub(crate) fn include(&self, who: &Requester<'_>) -> bool {
        match self {
            Principals::These(all) => all.iter().any(|one| one.is(who)),
            // The list of `NotPrincipal` names a user or a session beside its account, and exempts only those whom it
            // names. So an account in it exempts the account's owner, and no member of the account.
            Principals::AllBut(all) => !all.iter().any(|one| one.names(who)),
        }
    }

    /// Whether the requester is named, or everybody is, and not only the requester's account.
    pub(crate) fn name(&self, who: &Requester<'_>) -> bool {
        match self {
            Principals::These(all) => all.iter().any(|one| one.names(who)),
            Principals::AllBut(_) => self.include(who),
        }
    }

    /// Whether people are included who aren't named.
    pub(crate) fn include_the_public(&self) -> bool {
        match self {
            Principals::These(all) => all.contains(&Principal::Everybody),
            Principals::AllBut(_) => true,
        }
    }
}

impl Principal {
    fn parse(kind: &str, name: &str) -> Result<Principal, Malformed> {
        let wrong = || Malformed::Principal(quoted(&format!("{kind}: {name}")));
        match kind {
            "AWS" if name == "*" => Ok(Principal::Everybody),
            "AWS" => Principal::of_account(name).ok_or_else(wrong),
            "CanonicalUser" if is_name(name) => Ok(Principal::Account(name.to_owned())),
            "Service" if name.ends_with(".amazonaws.com") => Ok(Principal::Service(name.to_owned())),
            _ => Err(wrong()),
        }
    }

    /// `ID`, `arn:aws:iam::ID:root`, `arn:aws:iam::ID:user/NAME`, `...:role/NAME` or
    /// `arn:aws:sts::ID:assumed-role/NAME/SESSION`.
    fn of_account(name: &str) -> Option<Principal> {
        if let Some(session) = name.strip_prefix("arn:aws:sts::") {
            return Principal::of_kind(session.split_once(':')?, &["assumed-role/"]);
        }
        let Some(arn) = name.strip_prefix("arn:aws:iam::") else {
            return is_name(name).then(|| Principal::Account(name.to_owned()));
        };
        match arn.split_once(':')? {
            (account, "root") => is_name(account).then(|| Principal::Account(account.to_owned())),
            whom => Principal::of_kind(whom, &["user/", "role/"]),
        }
    }

    fn of_kind((account, name): (&str, &str), kinds: &[&str]) -> Option<Principal> {
        let named = kinds.iter().find_map(|kind| name.strip_prefix(kind))?;
        let is_whole = is_name(account) && !named.is_empty() && !named.contains(['*', '?', ':']);
        is_whole.then(|| Principal::Named { account: account.to_owned(), name: name.to_owned() })
    }

    /// Whether this is the requester, or everybody, and not only the requester's account.
    fn names(&self, who: &Requester<'_>) -> bool {
        self.is(who) && !matches!((self, who), (Principal::Account(_), Requester::Member { .. }))
    }

    fn is(&self, who: &Requester<'_>) -> bool {
        match (self, who) {
            (Principal::Service(service), Requester::Service(who)) => service == who,
            (_, Requester::Service(_)) => false,
            (Principal::Everybody, _) => true,
            (
                Principal::Account(account),
                Requester::User { account: of, .. } | Requester::Member { account: of, .. },
            ) => account == of,
            (Principal::Named { account, name }, Requester::User { account: of, name: called }) => {
                account == of && name.strip_prefix("user/") == Some(called)
            }
            (Principal::Named { account, name }, Requester::Member { account: of, names }) => {
                account == of && names.contains(name)
            }
            (_, Requester::Nobody) | (Principal::Service(_), _) => false,
        }
    }
}

/// Whether the text may be a canonical user id: it holds no wildcard and nothing that separates the parts of an ARN.
fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(['*', '?', ':', '/', '$']) && !text.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Principals, Malformed> {
        let Json::Object(members) = Json::parse(format!("{{\"P\":{text}}}").as_bytes()).unwrap() else {
            panic!()
        };
        Principals::parse(&members[0].1, "Principal")
    }

    #[test]
    fn principals_are_people_by_any_of_their_names() {
        let ann = Requester::User { account: "123", name: "ann" };
        let bob = Requester::User { account: "456", name: "bob" };
        for text in [
            r#"{"AWS":"123"}"#,
            r#"{"AWS":["456x","arn:aws:iam::123:root"]}"#,
            r#"{"AWS":"arn:aws:iam::123:user/ann"}"#,
            r#"{"Service":"logging.s3.amazonaws.com","CanonicalUser":"123"}"#,
        ] {
            let all = parsed(text).unwrap();
            assert!(all.include(&ann) && !all.include(&bob) && !all.include(&Requester::Nobody), "{text}");
        }
        for text in [r#""*""#, r#"{"AWS":"*"}"#, r#"{"AWS":["123","*"]}"#] {
            let all = parsed(text).unwrap();
            assert!(
                all.include(&bob) && all.include(&Requester::Nobody) && all.include_the_public(),
                "{text}"
            );
        }
    }

    #[test]
    fn a_member_is_meant_by_name_or_with_the_account() {
        let names = ["role/films/reader".to_owned(), "assumed-role/reader/monday".to_owned()];
        let session = Requester::Member { account: "123", names: &names };
        for (text, by_name) in [
            (r#"{"AWS":"arn:aws:iam::123:role/films/reader"}"#, true),
            (r#"{"AWS":"arn:aws:sts::123:assumed-role/reader/monday"}"#, true),
            (r#""*""#, true),
            (r#"{"AWS":"123"}"#, false),
            (r#"{"AWS":"arn:aws:iam::123:root"}"#, false),
        ] {
            let all = parsed(text).unwrap();
            assert_eq!((all.include(&session), all.name(&session)), (true, by_name), "{text}");
        }
        for text in [
            r#"{"AWS":"arn:aws:iam::123:role/reader"}"#,
            r#"{"AWS":"arn:aws:sts::123:assumed-role/reader/sunday"}"#,
            r#"{"AWS":"arn:aws:iam::456:role/films/reader"}"#,
        ] {
            assert!(!parsed(text).unwrap().include(&session), "{text}");
        }
    }

    #[test]
    fn a_service_must_be_named_and_is_not_part_of_everybody() {
        let logging = Requester::Service("logging.s3.amazonaws.com");
        assert!(parsed(r#"{"Service":"logging.s3.amazonaws.com"}"#).unwrap().include(&logging));
        for text in [r#""*""#, r#"{"AWS":"*"}"#, r#"{"Service":"logs.amazonaws.com"}"#] {
            assert!(!parsed(text).unwrap().include(&logging), "{text}");
        }
    }

    #[test]
    fn what_is_no_principal_is_refused() {
        for text in [
            r#""123""#,
            r#"{"AWS":"arn:aws:iam::123:user/*"}"#,
            r#"{"AWS":"arn:aws:iam::*:root"}"#,
            r#"{"AWS":""}"#,
            r#"{"AWS":"arn:aws:iam::123:group/a"}"#,
            r#"{"AWS":"arn:aws:sts::123:role/a"}"#,
            r#"{"AWS":"12*"}"#,
            r#"{"Federated":"a"}"#,
            r#"{"aws":"123"}"#,
            r#"{"Service":"*"}"#,
            r#"{"CanonicalUser":"*"}"#,
            r#"{"AWS":"arn:aws:iam:us-east-1:123:root"}"#,
        ] {
            assert!(matches!(parsed(text), Err(Malformed::Principal(_))), "{text}");
        }
        for text in ["{}", r#"{"AWS":[]}"#] {
            assert_eq!(parsed(text), Err(Malformed::Empty("Principal")), "{text}");
        }
        for text in ["[]", "1", "null", r#"{"AWS":1}"#, r#"{"AWS":[[]]}"#] {
            assert!(matches!(parsed(text), Err(Malformed::Kind { .. })), "{text}");
        }
    }
}
