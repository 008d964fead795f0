//! Who asks, and who is meant by a policy.
//!
//! An account is its owner's canonical user id. Every user that the server knows has one of their own: `:root` and
//! `:user/NAME` of it mean the same person.

use crate::error::{Malformed, quoted};
use crate::json::Json;

/// Who wants to do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requester<'a> {
    /// Somebody who signed nothing.
    Nobody,
    User {
        account: &'a str,
        name: &'a str,
    },
}

/// Who a statement speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principals {
    These(Vec<Principal>),
    AllBut(Vec<Principal>),
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// `*`: also whoever signs nothing.
    Everybody,
    /// All of an account.
    Account(String),
    User {
        account: String,
        name: String,
    },
    /// A service, such as the one that delivers logs. None of them sends requests.
    Service(String),
}

const FORMS: &str = "\"*\", or an object of AWS, CanonicalUser and Service";

impl Principals {
    /// # Errors
    /// [`Malformed::Principal`], and what is of another shape.
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
        let any = |all: &[Principal]| all.iter().any(|one| one.is(who));
        match self {
            Principals::These(all) => any(all),
            Principals::AllBut(all) => !any(all),
        }
    }

    /// Whether it speaks of people whom it doesn't name.
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

    /// `ID`, `arn:aws:iam::ID:root` or `arn:aws:iam::ID:user/NAME`.
    fn of_account(name: &str) -> Option<Principal> {
        let Some(arn) = name.strip_prefix("arn:aws:iam::") else {
            return is_name(name).then(|| Principal::Account(name.to_owned()));
        };
        let (account, whom) = arn.split_once(':')?;
        let account = is_name(account).then(|| account.to_owned())?;
        if whom == "root" {
            return Some(Principal::Account(account));
        }
        let name =
            whom.strip_prefix("user/").filter(|name| !name.is_empty() && !name.contains(['*', '?', ':']))?;
        Some(Principal::User { account, name: name.to_owned() })
    }

    fn is(&self, who: &Requester<'_>) -> bool {
        match (self, who) {
            (Principal::Everybody, _) => true,
            (Principal::Account(account), Requester::User { account: of, .. }) => account == of,
            (Principal::User { account, name }, Requester::User { account: of, name: called }) => {
                account == of && name == called
            }
            (_, Requester::Nobody) | (Principal::Service(_), Requester::User { .. }) => false,
        }
    }
}

/// A canonical user id, or what may be one: no text with a wildcard or a part of an ARN in it.
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
    fn what_is_no_principal_is_refused() {
        for text in [
            r#""123""#,
            r#"{"AWS":"arn:aws:iam::123:user/*"}"#,
            r#"{"AWS":"arn:aws:iam::*:root"}"#,
            r#"{"AWS":""}"#,
            r#"{"AWS":"arn:aws:iam::123:role/a"}"#,
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
