//! The actions of S3, IAM and STS that a policy can speak of (`names`), and sets of them.
//!
//! A policy's wildcards are resolved when it is read: what is left is a set of bits, so asking whether an action is
//! meant costs the same whatever the policy says.
//!
//! Source: Service Authorization Reference, "Actions, resources, and condition keys for Amazon S3": those whose
//! resource is a bucket or an object, and `CreateBucket` and `ListAllMyBuckets`; those of "AWS Identity and Access
//! Management" and "AWS Security Token Service" that this server has.

mod names;

use crate::error::{Malformed, quoted};
use crate::json::Json;
use crate::pattern::Wildcards;
use names::NAMES;

/// How many words of 64 bits a set of all actions needs.
const SET_WORDS: usize = 3;

/// The actions of the three services that this server doesn't have. The policy of an identity may name them, as it
/// may name other services' actions; the policy of a bucket may not.
const ELSEWHERE: &str = include_str!("action/elsewhere.txt");

/// An action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Action(u8);

impl Action {
    /// The action with this name in a policy, such as `s3:GetObject`.
    pub fn named(name: &str) -> Option<Action> {
        let at = NAMES.binary_search(&name).ok()?;
        u8::try_from(at).ok().map(Action)
    }

    pub fn name(self) -> &'static str {
        NAMES.get(usize::from(self.0)).copied().unwrap_or_default()
    }

    pub fn all() -> impl Iterator<Item = Action> {
        (0..NAMES.len()).filter_map(|at| u8::try_from(at).ok()).map(Action)
    }
}

/// The services whose actions a policy may name, by the kind of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Services {
    /// S3 alone: for the policy of a bucket.
    S3,
    /// All services, also those that aren't here, whose actions have no effect: for the policy of an identity.
    All,
    /// STS alone: for the policy that says who may assume a role.
    Sts,
}

impl Services {
    /// The services whose actions this server knows.
    const HERE: [&str; 3] = ["s3", "iam", "sts"];

    fn have(self, action: Action) -> bool {
        match self {
            Services::S3 => action.name().starts_with("s3:"),
            Services::All => true,
            Services::Sts => action.name().starts_with("sts:"),
        }
    }

    /// Whether a name, in lower case, stands for actions that this server doesn't have: those of another service, or
    /// known ones of the three services. `wanted` is the same name as a pattern.
    fn take(self, name: &str, wanted: &Wildcards) -> bool {
        let Some((service, action)) = name.split_once(':') else { return false };
        let is_known = match self {
            Services::S3 => false,
            Services::All => true,
            Services::Sts => service == "sts",
        };
        if is_known && ELSEWHERE.lines().any(|name| wanted.matches(&name.to_ascii_lowercase())) {
            return true;
        }
        let is_name = !service.is_empty()
            && service.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        self == Services::All && is_name && !action.is_empty() && !Services::HERE.contains(&service)
    }
}

/// A set of actions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actions([u64; SET_WORDS]);

impl Actions {
    pub fn contains(&self, action: Action) -> bool {
        let (word, bit) = place(action);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    pub(crate) fn all() -> Actions {
        Actions::default().others(Services::All)
    }

    fn insert(&mut self, action: Action) {
        let (word, bit) = place(action);
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    fn others(&self, services: Services) -> Actions {
        let mut others = Actions::default();
        let all = Action::all().filter(|action| services.have(*action) && !self.contains(*action));
        all.for_each(|action| others.insert(action));
        others
    }

    /// Reads an `Action` or `NotAction` element. As in IAM, case doesn't matter in names.
    ///
    /// # Errors
    /// For a name or a wildcard that matches no action of these services.
    pub(crate) fn parse(
        value: &Json,
        element: &'static str,
        services: Services,
    ) -> Result<Actions, Malformed> {
        let mut actions = Actions::default();
        let mut has_any = false;
        for name in value.one_or_many() {
            let kind = Malformed::Kind { element, expected: "a string or a list of strings" };
            let name = name.text().ok_or(kind)?;
            let folded = name.to_ascii_lowercase();
            let wanted = Wildcards::parse(&folded);
            let mut meant = Action::all()
                .filter(|action| services.have(*action))
                .filter(|action| wanted.matches(&action.name().to_ascii_lowercase()))
                .peekable();
            has_any = true;
            if meant.peek().is_none() && !services.take(&folded, &wanted) {
                return Err(Malformed::Action(quoted(name)));
            }
            meant.for_each(|action| actions.insert(action));
        }
        match element {
            _ if !has_any => Err(Malformed::Empty(element)),
            "NotAction" => Ok(actions.others(services)),
            _ => Ok(actions),
        }
    }
}

fn place(action: Action) -> (usize, u64) {
    (usize::from(action.0 / 64), 1 << (action.0 % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Actions, Malformed> {
        Actions::parse(&Json::Text(text.into()), "Action", Services::S3)
    }

    fn names(actions: &Actions) -> Vec<&'static str> {
        Action::all().filter(|action| actions.contains(*action)).map(Action::name).collect()
    }

    #[test]
    fn the_names_are_in_order_and_fit() {
        assert!(NAMES.is_sorted_by(|one, next| one < next));
        assert!(NAMES.len() <= SET_WORDS * 64);
        assert!(Action::all().all(|action| Action::named(action.name()) == Some(action)));
        assert!(ELSEWHERE.lines().is_sorted_by(|one, next| one < next));
        assert!(ELSEWHERE.lines().all(|name| Action::named(name).is_none()));
    }

    #[test]
    fn wildcards_are_resolved_whatever_the_case() {
        assert_eq!(names(&parsed("S3:getobject").unwrap()), ["s3:GetObject"]);
        assert_eq!(
            names(&parsed("s3:GetObjectVersionT*").unwrap()),
            ["s3:GetObjectVersionTagging", "s3:GetObjectVersionTorrent"]
        );
        assert_eq!(names(&parsed("s3:?ist?ucket").unwrap()), ["s3:ListBucket"]);
        assert_eq!(names(&parsed("*").unwrap()).len(), 100);
        for none in ["s3:GetObjects", "ec2:*", "s3", "s3:", "", "s3:Foo*", "iam:GetUser"] {
            assert_eq!(parsed(none), Err(Malformed::Action(none.into())));
        }
    }

    #[test]
    fn not_action_is_all_others() {
        let others = Actions::parse(&Json::Text("s3:Put*".into()), "NotAction", Services::S3).unwrap();
        assert!(!others.contains(Action::named("s3:PutObject").unwrap()));
        assert!(others.contains(Action::named("s3:GetObject").unwrap()));
        let empty = Actions::parse(&Json::List(Vec::new()), "NotAction", Services::S3);
        assert_eq!(empty, Err(Malformed::Empty("NotAction")));
    }

    #[test]
    fn an_identity_s_policy_speaks_of_every_service() {
        let parsed = |text: &str| Actions::parse(&Json::Text(text.into()), "Action", Services::All);
        assert_eq!(names(&parsed("*").unwrap()).len(), NAMES.len());
        assert_eq!(names(&parsed("iam:CreateAcc*").unwrap()), ["iam:CreateAccessKey"]);
        for elsewhere in
            ["ec2:*", "sns:Publish", "s3express:CreateSession", "iam:PassRole", "s3:*AccountPublic*"]
        {
            assert_eq!(names(&parsed(elsewhere).unwrap()), [""; 0]);
        }
        for none in ["s3:GetObjects", "iam:Foo", "sts:Foo*", "ec2", ":a", "e*2:Run", "ec2:"] {
            assert_eq!(parsed(none), Err(Malformed::Action(none.into())));
        }
        let set_context = |services| Actions::parse(&Json::Text("sts:SetContext".into()), "Action", services);
        assert!(set_context(Services::Sts).is_ok() && set_context(Services::S3).is_err());
        let not_s3 = Actions::parse(&Json::Text("s3:*".into()), "NotAction", Services::All).unwrap();
        assert!(names(&not_s3).iter().all(|name| !name.starts_with("s3:")));
        assert_eq!(
            names(&Actions::parse(&Json::Text("*".into()), "Action", Services::Sts).unwrap()),
            ["sts:AssumeRole", "sts:GetCallerIdentity", "sts:GetSessionToken", "sts:TagSession"]
        );
    }
}
