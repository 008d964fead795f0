//! Whole policies: what is refused, how questions are answered, and that a deny always wins.

use proptest::prelude::*;
use std::collections::BTreeMap;
use stratum_policy::{
    Action, Decision, Effect, Facts, Key, Malformed, Policy, Question, Requester, Value, Values,
};

/// A request that has values under a few keys.
#[derive(Default)]
struct Known(BTreeMap<&'static str, &'static str>);

impl Facts for Known {
    fn values(&self, key: &Key) -> Values<'_> {
        let known = self.0.iter().find(|(name, _)| Key::named(name).as_ref() == Some(key));
        Values::from(known.map(|(_, value)| *value))
    }
}

const ANN: Requester<'static> = Requester::User { account: "1", name: "ann" };
const BOB: Requester<'static> = Requester::User { account: "2", name: "bob" };

fn parsed(statements: &str) -> Result<Policy, Malformed> {
    Policy::parse(format!(r#"{{"Version":"2012-10-17","Statement":{statements}}}"#).as_bytes(), "b")
}

/// Which statement decided, and whether it allows or denies.
fn decided(
    policy: &Policy,
    who: Requester<'_>,
    action: &str,
    resource: &str,
    facts: &dyn Facts,
) -> Option<(Effect, String)> {
    let action = Action::named(action).expect("an action of S3");
    let resource = &format!("arn:aws:s3:::{resource}");
    match policy.decide(&Question { who, action, resource, facts }) {
        Decision::Silent => None,
        Decision::Allowed(by) | Decision::Denied(by) => Some((by.effect(), by.name())),
    }
}

/// A requester who is neither an account's owner nor anonymous.
fn member(names: &[String]) -> Requester<'_> {
    Requester::Member { account: "1", names }
}

#[test]
fn an_identity_s_policy_says_what_and_where_and_not_who() {
    let identity = |statement: &str| {
        let text = format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#);
        Policy::parse_identity(text.as_bytes())
    };
    let policy = identity(
        r#"[{"Effect":"Allow","Action":["s3:Get*","iam:GetUser","ec2:*"],"Resource":["arn:aws:s3:::b/*","arn:aws:iam::*:user/${aws:username}"]},
            {"Effect":"Deny","NotAction":"s3:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}]"#,
    );
    let policy = policy.unwrap();
    let names = ["user/ann".to_owned()];
    let asked = |action: &str, resource: &str, secure: &'static str| {
        let facts = Known([("aws:username", "ann"), ("aws:SecureTransport", secure)].into());
        let action = Action::named(action).unwrap();
        match policy.decide(&Question { who: member(&names), action, resource, facts: &facts }) {
            Decision::Silent => None,
            Decision::Allowed(by) | Decision::Denied(by) => Some(by.effect()),
        }
    };
    assert_eq!(asked("s3:GetObject", "arn:aws:s3:::b/k", "true"), Some(Effect::Allow));
    assert_eq!(asked("s3:GetObject", "arn:aws:s3:::c/k", "true"), None);
    assert_eq!(asked("iam:GetUser", "arn:aws:iam::1:user/ann", "true"), Some(Effect::Allow));
    assert_eq!(asked("iam:GetUser", "arn:aws:iam::1:user/bob", "true"), None);
    assert_eq!(asked("iam:GetUser", "arn:aws:iam::1:user/ann", "false"), Some(Effect::Deny));
    assert_eq!(asked("sts:AssumeRole", "arn:aws:iam::1:role/r", "false"), Some(Effect::Deny));
    for (statement, refused) in [
        (
            r#"{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}"#,
            Malformed::NotIn("Principal"),
        ),
        (r#"{"Effect":"Allow","Action":"s3:*"}"#, Malformed::Missing("Resource")),
        (r#"{"Effect":"Allow","Action":"s3:*","Resource":"b"}"#, Malformed::Resource("b".into())),
        (r#"{"Effect":"Allow","Action":"iam:Fly","Resource":"*"}"#, Malformed::Action("iam:Fly".into())),
    ] {
        assert_eq!(identity(statement), Err(refused));
    }
    let (all, facts) = (Policy::denying_all(), Known::default());
    for action in Action::all() {
        let question = Question { who: BOB, action, resource: "arn:aws:s3:::b", facts: &facts };
        assert!(matches!(all.decide(&question), Decision::Denied(_)));
    }
}

#[test]
fn a_trust_policy_says_who_may_assume_and_no_more() {
    let trust = |statement: &str| Policy::parse_trust(format!(r#"{{"Statement":{statement}}}"#).as_bytes());
    let policy = trust(
        r#"{"Effect":"Allow","Principal":{"AWS":["2","arn:aws:iam::1:user/ann"]},"Action":"sts:AssumeRole"}"#,
    );
    let policy = policy.unwrap();
    let (ann, bob) = (["user/ann".to_owned()], ["user/bob".to_owned()]);
    let lets = |who| {
        let action = Action::named("sts:AssumeRole").unwrap();
        let facts = Known::default();
        let question = Question { who, action, resource: "arn:aws:iam::1:role/r", facts: &facts };
        matches!(policy.decide(&question), Decision::Allowed(_))
    };
    assert_eq!((lets(member(&ann)), lets(member(&bob)), lets(BOB)), (true, false, true));
    let everything = r#"{"Effect":"Allow","Principal":"*","Action":"s3:*"}"#;
    assert_eq!(trust(everything), Err(Malformed::Action("s3:*".into())));
    let somewhere = r#"{"Effect":"Allow","Principal":"*","Action":"sts:*","Resource":"*"}"#;
    assert_eq!(trust(somewhere), Err(Malformed::NotIn("Resource")));
}

#[test]
fn a_statement_that_names_a_member_goes_before_one_for_the_account() {
    let policy = parsed(
        r#"[{"Sid":"all","Effect":"Allow","Principal":{"AWS":"1"},"Action":"s3:*","Resource":"arn:aws:s3:::b"},
            {"Sid":"ann","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::1:user/ann"},"Action":"s3:*","Resource":"arn:aws:s3:::b"}]"#,
    );
    let policy = policy.unwrap();
    for (name, sid) in [("user/ann", "ann"), ("user/bob", "all")] {
        let by = decided(&policy, member(&[name.to_owned()]), "s3:ListBucket", "b", &Known::default());
        assert_eq!(by, Some((Effect::Allow, sid.to_owned())));
    }
}

#[test]
fn a_statement_applies_to_its_principals_actions_and_resources_only() {
    let policy = parsed(
        r#"[{"Sid":"read","Effect":"Allow","Principal":{"AWS":"1"},"Action":["s3:GetObject","s3:List*"],
             "Resource":["arn:aws:s3:::b","arn:aws:s3:::b/a/*"]},
            {"Effect":"Deny","NotPrincipal":{"AWS":["1","2"]},"NotAction":"s3:ListBucket","NotResource":"arn:aws:s3:::b/open"}]"#,
    );
    let policy = policy.unwrap();
    let asked = |who, action, resource| decided(&policy, who, action, resource, &Known::default());
    let read = Some((Effect::Allow, "read".to_owned()));
    let denied = Some((Effect::Deny, "statement 2".to_owned()));
    assert_eq!(asked(ANN, "s3:GetObject", "b/a/x"), read);
    assert_eq!(asked(ANN, "s3:ListBucketVersions", "b"), read);
    assert_eq!(asked(ANN, "s3:GetObject", "b/b"), None);
    assert_eq!(asked(ANN, "s3:PutObject", "b/a/x"), None);
    assert_eq!(asked(BOB, "s3:GetObject", "b/a/x"), None);
    assert_eq!(asked(Requester::Nobody, "s3:GetObject", "b/a/x"), denied);
    assert_eq!(asked(Requester::Nobody, "s3:ListBucket", "b"), None);
    assert_eq!(asked(Requester::Nobody, "s3:GetObject", "b/open"), None);
}

#[test]
fn all_conditions_must_hold() {
    let policy = parsed(
        r#"{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:username}/*",
            "Condition":{"StringLike":{"aws:Referer":["https://a/*","https://b/*"],"aws:UserAgent":"x*"},"Bool":{"aws:SecureTransport":true}}}"#,
    );
    let policy = policy.unwrap();
    let asked = |referer, agent, secure| {
        let known = [
            ("aws:Referer", referer),
            ("aws:UserAgent", agent),
            ("aws:SecureTransport", secure),
            ("aws:username", "ann"),
        ];
        decided(&policy, ANN, "s3:GetObject", "b/ann/x", &Known(known.into())).is_some()
    };
    assert!(asked("https://b/1", "xy", "true"));
    assert!(
        !asked("https://c/1", "xy", "true")
            && !asked("https://b/1", "y", "true")
            && !asked("https://b/1", "xy", "false")
    );
    let wants = |name: &str| policy.asks(|key| Key::named(name).as_ref() == Some(key));
    assert!(wants("aws:username") && wants("aws:Referer") && !wants("s3:prefix"));
}

#[test]
fn in_the_first_version_of_the_language_variables_are_text() {
    let of = |version: &str| {
        let text = format!(
            r#"{{{version}"Statement":{{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::b/${{aws:username}}"}}}}"#
        );
        let policy = Policy::parse(text.as_bytes(), "b").unwrap();
        let facts = Known([("aws:username", "ann")].into());
        decided(&policy, ANN, "s3:GetObject", "b/${aws:username}", &facts).is_some()
    };
    assert!(of("") && of(r#""Version":"2008-10-17","#) && !of(r#""Version":"2012-10-17","#));
}

#[test]
fn what_is_not_understood_is_refused_and_named() {
    let with = |from: &str, to: &str| {
        let good = r#"{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*","Condition":{"Bool":{"aws:SecureTransport":"true"}}}"#;
        let statement = good.replace(from, to);
        assert!(from.is_empty() || statement != good, "{from}");
        parsed(&statement).map(drop)
    };
    assert_eq!(with("", ""), Ok(()));
    use Malformed::{
        Action, AllowsOthers, Both, Empty, Key, Missing, Operator, Principal, Resource, Twice, UnknownField,
    };
    let text = str::to_owned;
    for (from, to, error) in [
        (r#""Effect":"Allow","#, "", Missing("Effect")),
        (r#""Principal":"*","#, "", Missing("Principal")),
        (r#""Action":"s3:GetObject","#, "", Missing("Action")),
        (r#""Resource":"arn:aws:s3:::b/*","#, "", Missing("Resource")),
        ("Allow", "allow", Malformed::Effect(text("allow"))),
        (r#""Principal":"*""#, r#""NotPrincipal":{"AWS":"1"}"#, AllowsOthers),
        (r#""Principal":"*""#, r#""Principal":"*","NotPrincipal":"*""#, Both("Principal", "NotPrincipal")),
        (r#""Principal":"*""#, r#""Principal":"*","Principal":"*""#, Twice(text("Principal"))),
        (r#""Principal":"*""#, r#""Principal":"1""#, Principal(text("1"))),
        ("s3:GetObject", "s3:GetObjekt", Action(text("s3:GetObjekt"))),
        ("s3:GetObject", "iam:*", Action(text("iam:*"))),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::c/*", Resource(text("arn:aws:s3:::c/*"))),
        ("arn:aws:s3:::b/*", "*", Resource(text("*"))),
        (
            "arn:aws:s3:::b/*",
            "arn:aws:s3:::${aws:username}/*",
            Resource(text("arn:aws:s3:::${aws:username}/*")),
        ),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b/${aws:moon}", Malformed::Variable(text("aws:moon"))),
        ("Bool", "Boolean", Operator(text("Boolean"))),
        ("aws:SecureTransport", "aws:Moon", Key(text("aws:Moon"))),
        (r#""true""#, "[]", Empty("The values of a condition")),
        ("Condition", "Conditions", UnknownField(text("Conditions"))),
        ("Effect", "Sid\":\"1\",\"sid\":\"2\",\"Effect", UnknownField(text("sid"))),
    ] {
        assert_eq!(with(from, to), Err(error), "{to}");
    }
    for resource in
        ["arn:aws:s3:::*", "arn:aws:s3:::*/*", "arn:aws:s3:::b*", "arn:aws:s3:::?", "arn:aws:s3:::b"]
    {
        assert_eq!(with("arn:aws:s3:::b/*", resource), Ok(()), "{resource}");
    }
    assert_eq!(with("b/*", &format!("b/{}", "?".repeat(256))), Ok(()));
    let most = Malformed::Searches { found: 257, most: 256 };
    assert_eq!(with("b/*", &format!("b/{}", "?".repeat(257))), Err(most));
    let searching = format!(r#"{{"StringLike":{{"aws:UserAgent":[{}]}}}}"#, vec![r#""*a*""#; 300].join(","));
    let one = r#"{"StringLike":{"aws:UserAgent":"*a*"}}"#;
    let of = |condition: &str| {
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::b/*","Condition":{condition}}}]}}"#
        );
        Policy::parse(text.as_bytes(), "b").map(drop)
    };
    assert_eq!(of(one), Ok(()));
    assert_eq!(of(&searching), Err(Malformed::Searches { found: 300, most: 256 }));
    let whole = |text: &str| Policy::parse(text.as_bytes(), "b").map(drop);
    assert_eq!(whole("{}"), Err(Missing("Statement")));
    assert_eq!(whole(r#"{"Statement":[]}"#), Err(Empty("Statement")));
    assert_eq!(whole(r#"{"Version":"2012","Statement":[]}"#), Err(Malformed::Version(text("2012"))));
    assert_eq!(whole(r#"{"Statements":[]}"#), Err(UnknownField(text("Statements"))));
}

#[test]
fn one_sid_may_stand_twice_in_a_bucket_s_policy_alone() {
    let deny = r#"{"Sid":"a","Effect":"Deny","Action":"*","Resource":"arn:aws:s3:::b"}"#;
    let allow = deny.replace("Deny", "Allow").replace(r#""*""#, r#""s3:GetObject""#);
    let of_bucket = |one: &str| one.replace(r#""Effect""#, r#""Principal":"*","Effect""#);
    let policy = parsed(&format!("[{},{}]", of_bucket(&allow), of_bucket(deny))).expect("S3 takes it");
    let said = decided(&policy, ANN, "s3:GetObject", "b", &Known::default());
    assert_eq!(said, Some((Effect::Deny, "a".to_owned())), "both statements count");
    let of_identity = Policy::parse_identity(format!(r#"{{"Statement":[{allow},{deny}]}}"#).as_bytes());
    assert_eq!(of_identity.map(drop), Err(Malformed::SidTwice("a".to_owned())));
}

/// What is refused of a policy that is put, and still read where it is stored.
#[test]
fn a_condition_that_says_nothing_of_any_action_isn_t_put() {
    let check = |action: &str, key: &str| {
        let text = format!(
            r#"{{"Effect":"Allow","Principal":"*","Action":{action},"Resource":["arn:aws:s3:::b","arn:aws:s3:::b/*"],"Condition":{{"StringEquals":{{"{key}":"a"}}}}}}"#
        );
        parsed(&text).expect("it is read").check_conditions()
    };
    for (action, key) in [
        (r#""s3:GetObject""#, "s3:prefix"),
        (r#"["s3:PutObject","s3:DeleteObjectVersion"]"#, "s3:max-keys"),
        (r#""s3:ListBucket""#, "s3:ExistingObjectTag/a"),
        (r#"["s3:ListBucketVersions","s3:PutLifecycleConfiguration"]"#, "s3:RequestObjectTag/a"),
    ] {
        assert_eq!(check(action, key), Err(Malformed::Conditions), "{action} {key}");
    }
    for (action, key) in [
        (r#""s3:ListBucket""#, "s3:prefix"),
        (r#"["s3:GetObject","s3:ListBucketVersions"]"#, "s3:delimiter"),
        (r#""s3:ListBucketMultipartUploads""#, "s3:prefix"),
        (r#""s3:*""#, "s3:prefix"),
        (r#""s3:*""#, "s3:ExistingObjectTag/a"),
        (r#"["s3:ListBucket","s3:GetObjectVersion"]"#, "s3:ExistingObjectTag/a"),
        (r#""s3:ReplicateTags""#, "s3:RequestObjectTag/a"),
        (r#""s3:GetObject""#, "s3:x-amz-acl"),
        (r#""s3:ListBucket""#, "aws:Referer"),
    ] {
        assert_eq!(check(action, key), Ok(()), "{action} {key}");
    }
}

#[test]
fn a_sid_of_iam_s_has_letters_and_digits_alone() {
    let check = |sid: &str| {
        let text =
            format!(r#"{{"Statement":{{"Sid":"{sid}","Effect":"Allow","Action":"s3:*","Resource":"*"}}}}"#);
        Policy::parse_identity(text.as_bytes()).expect("it is read").check_sids()
    };
    for (sid, fits) in [("", true), ("Read1", true), ("a b", false), ("a-b", false), ("\u{e9}", false)] {
        assert_eq!(check(sid), if fits { Ok(()) } else { Err(Malformed::Sid) }, "{sid}");
    }
}

/// The conditions of other services' actions are taken, and hold for no request. A key that the requests of an action
/// here may have, and to which the server has no answer, is refused.
#[test]
fn an_identity_s_policy_may_ask_about_other_services_keys() {
    let read = |effect: &str, action: &str, operator: &str, key: &str| {
        let text = format!(
            r#"{{"Statement":{{"Effect":"{effect}","Action":{action},"Resource":"*","Condition":{{"{operator}":{{"{key}":"true"}}}}}}}}"#
        );
        Policy::parse_identity(text.as_bytes())
    };
    for (action, key) in [
        (r#""kms:Decrypt""#, "kms:ViaService"),
        (r#""iam:PassRole""#, "iam:PassedToService"),
        (r#""ec2:*""#, "aws:ResourceTag/x"),
    ] {
        assert!(read("Allow", action, "StringEquals", key).is_ok(), "{action} {key}");
    }
    let holds = |effect, operator| {
        let policy = read(effect, r#"["s3:*","kms:*"]"#, operator, "kms:ViaService").expect("it is read");
        decided(&policy, ANN, "s3:GetObject", "b/k", &Known::default()).is_some()
    };
    assert!(
        !holds("Allow", "StringEquals") && holds("Allow", "Null") && holds("Deny", "StringEqualsIfExists")
    );
    for (action, key) in [(r#"["s3:*","ec2:*"]"#, "aws:ResourceTag/x"), (r#""iam:*""#, "iam:PolicyARN")] {
        assert_eq!(read("Deny", action, "StringEquals", key), Err(Malformed::Key(key.into())), "{action}");
    }
    let of_bucket = r#"{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::b","Condition":{"Null":{"kms:ViaService":"true"}}}"#;
    assert_eq!(parsed(of_bucket), Err(Malformed::Key("kms:ViaService".into())));
}

#[test]
fn public_is_what_lets_in_whom_it_does_not_name() {
    let is_public = |principal: &str, condition: &str| {
        let text = format!(
            r#"{{"Effect":"Allow","Principal":{principal},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*","Condition":{condition}}}"#
        );
        parsed(&text).unwrap().is_public()
    };
    assert!(is_public("\"*\"", "{}") && !is_public(r#"{"AWS":"1"}"#, "{}"));
    for (condition, public) in [
        (r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/32"}}"#, false),
        (r#"{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","0.0.0.0/1"]}}"#, true),
        (r#"{"IpAddressIfExists":{"aws:SourceIp":"10.0.0.0/32"}}"#, true),
        (r#"{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/32"}}"#, true),
        (r#"{"StringEquals":{"aws:Referer":"https://a"}}"#, true),
        (r#"{"StringEquals":{"aws:userid":"1"}}"#, false),
        (r#"{"StringLike":{"aws:userid":"1*"}}"#, true),
        (r#"{"StringEquals":{"aws:userid":"${aws:username}"}}"#, true),
        (r#"{"ForAllValues:StringEquals":{"aws:userid":"1"}}"#, true),
        (r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::1:root"}}"#, false),
    ] {
        assert_eq!(is_public("\"*\"", condition), public, "{condition}");
    }
}

/// A simple statement, as JSON and as what it obviously means.
#[derive(Clone, Debug)]
struct Plain {
    deny: bool,
    principal: Option<u8>,
    action: &'static str,
    key: &'static str,
    secure: Option<bool>,
}

impl Plain {
    fn text(&self) -> String {
        let effect = if self.deny { "Deny" } else { "Allow" };
        let principal = self.principal.map_or("\"*\"".to_owned(), |id| format!(r#"{{"AWS":"{id}"}}"#));
        let condition = self
            .secure
            .map_or("{}".to_owned(), |secure| format!(r#"{{"Bool":{{"aws:SecureTransport":{secure}}}}}"#));
        let (action, key) = (self.action, self.key);
        format!(
            r#"{{"Effect":"{effect}","Principal":{principal},"Action":"{action}","Resource":"arn:aws:s3:::b/{key}","Condition":{condition}}}"#
        )
    }

    fn applies(&self, account: u8, action: &str, key: &str, secure: bool) -> bool {
        self.principal.is_none_or(|id| id == account)
            && (self.action == "s3:*" || self.action == action)
            && (self.key == "*" || self.key == key)
            && self.secure.is_none_or(|wanted| wanted == secure)
    }
}

fn statements() -> impl Strategy<Value = Vec<Plain>> {
    let one = (
        any::<bool>(),
        proptest::option::of(1..3u8),
        proptest::sample::select(vec!["s3:*", "s3:GetObject", "s3:PutObject"]),
        proptest::sample::select(vec!["*", "x", "y"]),
        proptest::option::of(any::<bool>()),
    );
    let one =
        one.prop_map(|(deny, principal, action, key, secure)| Plain { deny, principal, action, key, secure });
    proptest::collection::vec(one, 1..8)
}

/// Principals of `NotPrincipal`, and whether each exempts the owner of account 1, the user `ann` in it, and a session of
/// its role `reader`.
const EXEMPTED: [(&str, [bool; 3]); 8] = [
    ("1", [true, false, false]),
    ("arn:aws:iam::1:root", [true, false, false]),
    ("arn:aws:iam::1:user/ann", [true, false, false]),
    ("arn:aws:iam::1:user/staff/ann", [false, true, false]),
    ("arn:aws:iam::1:role/reader", [false, false, true]),
    ("arn:aws:sts::1:assumed-role/reader/monday", [false, false, true]),
    ("arn:aws:sts::1:assumed-role/reader/sunday", [false, false, false]),
    ("arn:aws:iam::2:root", [false, false, false]),
];

proptest! {
    /// A deny that applies wins wherever it stands; without one the first allow that applies is named.
    #[test]
    fn a_deny_always_wins(statements in statements(), account in 1..3u8, put in any::<bool>(), y in any::<bool>(), secure in any::<bool>()) {
        let texts: Vec<_> = statements.iter().map(Plain::text).collect();
        let policy = parsed(&format!("[{}]", texts.join(","))).unwrap();
        let (action, key) = (if put { "s3:PutObject" } else { "s3:GetObject" }, if y { "y" } else { "x" });
        let facts = Known([("aws:SecureTransport", if secure { "true" } else { "false" })].into());
        let id = account.to_string();
        let who = Requester::User { account: &id, name: "ann" };
        let decided = decided(&policy, who, action, &format!("b/{key}"), &facts);

        let applies = |deny: bool| {
            let at = statements.iter().position(|one| one.deny == deny && one.applies(account, action, key, secure))?;
            Some((if deny { Effect::Deny } else { Effect::Allow }, format!("statement {}", at + 1)))
        };
        prop_assert_eq!(decided, applies(true).or_else(|| applies(false)));
    }

    /// A deny for all but a list of principals applies to every member whom the list doesn't name, though the list has
    /// the member's account. The account's owner is exempted by the account as well.
    #[test]
    fn not_principal_exempts_whom_it_names(listed in proptest::collection::vec(0..EXEMPTED.len(), 1..5), asking in 0..3usize) {
        let listed: Vec<_> = listed.into_iter().map(|at| EXEMPTED[at]).collect();
        let arns: Vec<_> = listed.iter().map(|(arn, _)| format!("\"{arn}\"")).collect();
        let policy = parsed(&format!(
            r#"{{"Effect":"Deny","NotPrincipal":{{"AWS":[{}]}},"Action":"s3:*","Resource":"arn:aws:s3:::b/*"}}"#,
            arns.join(",")
        ));
        let user = ["user/staff/ann".to_owned()];
        let session = ["role/reader".to_owned(), "assumed-role/reader/monday".to_owned()];
        let who = [ANN, member(&user), member(&session)][asking];
        let denied = decided(&policy.unwrap(), who, "s3:GetObject", "b/k", &Known::default()).is_some();
        prop_assert_eq!(denied, !listed.iter().any(|(_, exempts)| exempts[asking]));
    }

    #[test]
    fn nothing_panics(text in "\\PC{0,200}") {
        let _ = Policy::parse(text.as_bytes(), "b");
        let _ = parsed(&text);
    }
}

/// A bucket whose policy has twenty statements, of which only the last one lets the request in.
#[test]
#[allow(clippy::disallowed_methods, reason = "it measures")]
fn twenty_statements_are_judged_in_microseconds() {
    let conditions = [
        r#"{"StringLike":{"aws:Referer":["https://a.example/*","https://b.example/*"]}}"#,
        r#"{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","192.168.0.0/16"]},"Bool":{"aws:SecureTransport":"false"}}"#,
        r#"{"DateLessThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}"#,
        r#"{"StringNotEqualsIfExists":{"s3:x-amz-acl":["private","bucket-owner-full-control"]},"Null":{"aws:Referer":"false"}}"#,
    ];
    let statement = |number: usize| {
        let (effect, condition) =
            (if number.is_multiple_of(2) { "Deny" } else { "Allow" }, conditions[number % conditions.len()]);
        format!(
            r#"{{"Effect":"{effect}","Principal":"*","Action":["s3:Get*","s3:PutObject"],"Resource":["arn:aws:s3:::b/logs/*/{number}","arn:aws:s3:::b/*"],"Condition":{condition}}}"#
        )
    };
    let mut all: Vec<_> = (0..19).map(statement).collect();
    all.push(
        r#"{"Effect":"Allow","Principal":{"AWS":"1"},"Action":"s3:*","Resource":"arn:aws:s3:::b/*"}"#
            .to_owned(),
    );
    let policy = parsed(&format!("[{}]", all.join(","))).unwrap();

    struct Request;
    impl Facts for Request {
        fn values(&self, key: &Key) -> Values<'_> {
            match key {
                Key::Referer => Values::from(Some("https://c.example/a/page")),
                Key::SourceIp => Values::One(Value::Address([172, 16, 0, 1].into())),
                Key::SecureTransport => Values::One(Value::Flag(true)),
                Key::CurrentTime => Values::One(Value::Time(1_735_689_600_000)),
                Key::Header("x-amz-acl") => Values::from(Some("private")),
                _ => Values::None,
            }
        }
    }
    const ROUNDS: u32 = 2_000;
    let round = || {
        let began = std::time::Instant::now();
        for _ in 0..ROUNDS {
            let decided =
                decided(&policy, ANN, "s3:GetObject", "b/logs/2025/a-key-of-usual-length.parquet", &Request);
            assert_eq!(decided, Some((Effect::Allow, "statement 20".to_owned())));
        }
        began.elapsed() / ROUNDS
    };
    // On a busy machine most rounds are interrupted: one that isn't interrupted is enough.
    let rounds: Vec<_> = (0..10).map(|_| round()).collect();
    let more = (0..200).map(|_| round());
    let quick = rounds.iter().copied().chain(more).find(|took| took.as_nanos() < 5_000);
    println!("20 statements take {:?}", rounds.iter().min());
    assert!(quick.is_some(), "{rounds:?}");
}
