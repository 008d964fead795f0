//! The target for policies of buckets, identities and roles. Every policy that can be read must decide every
//! question, the same each time, and by a statement of the right effect.

use stratum_policy::{Action, Decision, Effect, Facts, Key, Policy, Question, Requester, Value, Values};

/// A request with a value for nearly every condition key.
struct Everything;

impl Facts for Everything {
    fn values(&self, key: &Key) -> Values<'_> {
        match key {
            Key::SourceIp => Values::One(Value::Address([10, 0, 0, 1].into())),
            Key::SecureTransport => Values::One(Value::Flag(true)),
            Key::CurrentTime => Values::One(Value::Time(1_369_353_600_000)),
            Key::MaxKeys => Values::One(Value::Number(1000)),
            Key::RequestObjectTagKeys => Values::Many(vec![Value::Text("a".into()), Value::Text("b".into())]),
            Key::VersionId => Values::None,
            _ => Values::from(Some("ann")),
        }
    }
}

pub fn policy(bytes: &[u8]) {
    let read = [Policy::parse(bytes, "bucket"), Policy::parse_identity(bytes), Policy::parse_trust(bytes)];
    read.into_iter().flatten().for_each(|policy| judge(&policy));
}

fn judge(policy: &Policy) {
    assert!(!policy.statements().is_empty());
    let _ = policy.is_public();
    let names = ["user/films/bob".to_owned()];
    let bob = Requester::Member { account: "1", names: &names };
    for who in [Requester::Nobody, Requester::User { account: "1", name: "ann" }, bob] {
        for resource in ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/a/key"] {
            for action in Action::all() {
                let question = Question { who, action, resource, facts: &Everything };
                let decision = policy.decide(&question);
                assert!(decision == policy.decide(&question));
                match decision {
                    Decision::Allowed(by) => assert!(by.effect() == Effect::Allow),
                    Decision::Denied(by) => assert!(by.effect() == Effect::Deny),
                    Decision::Silent => {}
                }
            }
        }
    }
}
