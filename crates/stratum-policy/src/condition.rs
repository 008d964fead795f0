//! Conditions: an operator, a key, and the values that the key's value is compared with.
//!
//! Every operator is one of a few tests of a value ([`Test`]), perhaps negated, with a rule for requests that have no
//! value under the key. The values in a policy are parsed when the policy is put.
//!
//! Source: IAM User Guide, "IAM JSON policy elements: Condition operators" and "Multivalued context keys".

mod address;
mod arn;

use crate::error::{Malformed, quoted};
use crate::json::Json;
use crate::key::{Key, Keys};
use crate::pattern::{Pattern, Reading};
use crate::value::{self, Facts, Value};
use address::Network;
use arn::ArnPattern;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// One key of a `Condition` block under its operator: what must hold of the request.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    pub(crate) key: Key,
    quantifier: Quantifier,
    if_exists: bool,
    negated: bool,
    pub(crate) test: Test,
}

/// How many of a key's values must pass the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantifier {
    /// The key has one value at most.
    Single,
    ForAnyValue,
    ForAllValues,
}

/// How a value is compared, and with what: it passes if it passes with any one of these.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Test {
    /// Whether the key has no value.
    Null(Vec<bool>),
    Texts(Vec<Pattern>),
    Numbers(Order, Vec<f64>),
    /// Milliseconds since the Unix epoch.
    Times(Order, Vec<i64>),
    Flags(Vec<bool>),
    Bytes(Vec<Vec<u8>>),
    Addresses(Vec<Network>),
    Arns(Vec<ArnPattern>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Equal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

impl Order {
    fn holds<T: PartialOrd>(self, value: &T, of: &T) -> bool {
        match self {
            Order::Equal => value == of,
            Order::Less => value < of,
            Order::AtMost => value <= of,
            Order::Greater => value > of,
            Order::AtLeast => value >= of,
        }
    }
}

impl Condition {
    /// Reads a `Condition` block, all of whose conditions must hold. `variables` says whether values may hold policy
    /// variables, and `known` which keys may stand there.
    ///
    /// # Errors
    /// For an unknown operator or key, and for a value that the operator can't compare.
    pub(crate) fn parse_block(
        block: &Json,
        variables: bool,
        known: Keys,
    ) -> Result<Vec<Condition>, Malformed> {
        let object = |json: &Json| match json {
            Json::Object(members) => Ok(members.clone()),
            _ => Err(Malformed::Kind {
                element: "Condition",
                expected: "an object of operators and their keys",
            }),
        };
        let mut all = Vec::new();
        for (operator, keys) in object(block)? {
            for (key, values) in object(&keys)? {
                let key = known.named(&key).ok_or_else(|| Malformed::Key(quoted(&key)))?;
                all.push(Condition::parse(&operator, key, &values, variables)?);
            }
        }
        Ok(all)
    }

    fn parse(operator: &str, key: Key, values: &Json, variables: bool) -> Result<Condition, Malformed> {
        let unknown = || Malformed::Operator(quoted(operator));
        let (quantifier, name) = match operator.split_once(':') {
            Some(("ForAnyValue", name)) => (Quantifier::ForAnyValue, name),
            Some(("ForAllValues", name)) => (Quantifier::ForAllValues, name),
            Some(_) => return Err(unknown()),
            None => (Quantifier::Single, operator),
        };
        let (name, if_exists) = match name.strip_suffix("IfExists") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let wrong = |value: &str| Malformed::Value { operator: operator.to_owned(), value: quoted(value) };
        let texts = values.one_or_many().iter().map(|value| match value {
            Json::Text(text) | Json::Bare(text) => Ok(text.as_str()),
            _ => Err(wrong("what is no string, number or truth value")),
        });
        let texts = texts.collect::<Result<Vec<_>, _>>()?;
        if texts.is_empty() {
            return Err(Malformed::Empty("The values of a condition"));
        }
        let (negated, kind) = kind(name).ok_or_else(unknown)?;
        // `Null` already asks whether the key has a value, so neither `IfExists` nor a quantifier makes sense with
        // it.
        if matches!(kind, Kind::Null) && (if_exists || quantifier != Quantifier::Single) {
            return Err(unknown());
        }
        let test = Test::parse(kind, &texts, variables, wrong)?;
        Ok(Condition { key, quantifier, if_exists, negated, test })
    }

    /// Whether the condition holds for the request.
    pub(crate) fn holds(&self, facts: &dyn Facts) -> bool {
        let values = facts.values(&self.key);
        let values = values.as_slice();
        if let Test::Null(wanted) = &self.test {
            return wanted.contains(&values.is_empty());
        }
        let passes = |value: &Value<'_>| self.test.passes(value, facts) != self.negated;
        match self.quantifier {
            _ if values.is_empty() && self.if_exists => true,
            Quantifier::ForAllValues => values.iter().all(passes),
            Quantifier::ForAnyValue => values.iter().any(passes),
            // Without a value the test fails, so the negated operator holds.
            Quantifier::Single if self.negated => values.iter().all(passes),
            Quantifier::Single => values.iter().any(passes),
        }
    }

    /// The keys that it asks for: its own, and those of policy variables in its values.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.key).chain(self.patterns().flat_map(Pattern::keys))
    }

    pub(crate) fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        let (texts, arns): (&[Pattern], &[ArnPattern]) = match &self.test {
            Test::Texts(patterns) => (patterns, &[]),
            Test::Arns(arns) => (&[], arns),
            _ => (&[], &[]),
        };
        texts.iter().chain(arns.iter().flat_map(ArnPattern::parts))
    }

    /// Whether only requests pass whose value is one of a few fixed ones.
    pub(crate) fn is_narrow(&self) -> bool {
        let needs_a_value = !self.negated && !self.if_exists && self.quantifier != Quantifier::ForAllValues;
        needs_a_value
            && match &self.test {
                Test::Texts(patterns) => patterns.iter().all(Pattern::is_fixed),
                Test::Arns(arns) => arns.iter().all(ArnPattern::is_fixed),
                Test::Addresses(networks) => networks.iter().all(Network::is_narrow),
                Test::Null(_) | Test::Numbers(..) | Test::Times(..) | Test::Flags(_) | Test::Bytes(_) => {
                    false
                }
            }
    }
}

/// How an operator's values are parsed.
#[derive(Clone, Copy)]
enum Kind {
    Null,
    Text { wildcards: bool, folded: bool },
    Number(Order),
    Time(Order),
    Flag,
    Bytes,
    Address,
    Arn,
}

/// Whether an operator is negated, and how its values are parsed; `None` for an unknown operator.
fn kind(name: &str) -> Option<(bool, Kind)> {
    let text = |wildcards, folded| Kind::Text { wildcards, folded };
    Some(match name {
        "StringEquals" => (false, text(false, false)),
        "StringNotEquals" => (true, text(false, false)),
        "StringEqualsIgnoreCase" => (false, text(false, true)),
        "StringNotEqualsIgnoreCase" => (true, text(false, true)),
        "StringLike" => (false, text(true, false)),
        "StringNotLike" => (true, text(true, false)),
        "Bool" => (false, Kind::Flag),
        "BinaryEquals" => (false, Kind::Bytes),
        "IpAddress" => (false, Kind::Address),
        "NotIpAddress" => (true, Kind::Address),
        // The two operators mean the same, as in IAM.
        "ArnEquals" | "ArnLike" => (false, Kind::Arn),
        "ArnNotEquals" | "ArnNotLike" => (true, Kind::Arn),
        "Null" => (false, Kind::Null),
        _ => {
            let kind = |prefix, of: fn(Order) -> Kind| {
                let (negated, order) = order(name.strip_prefix(prefix)?)?;
                Some((negated, of(order)))
            };
            return kind("Numeric", Kind::Number).or_else(|| kind("Date", Kind::Time));
        }
    })
}

fn order(name: &str) -> Option<(bool, Order)> {
    Some(match name {
        "Equals" => (false, Order::Equal),
        "NotEquals" => (true, Order::Equal),
        "LessThan" => (false, Order::Less),
        "LessThanEquals" => (false, Order::AtMost),
        "GreaterThan" => (false, Order::Greater),
        "GreaterThanEquals" => (false, Order::AtLeast),
        _ => return None,
    })
}

impl Test {
    fn parse(
        kind: Kind,
        texts: &[&str],
        variables: bool,
        wrong: impl Fn(&str) -> Malformed,
    ) -> Result<Test, Malformed> {
        fn each<T>(
            texts: &[&str],
            read: impl Fn(&str) -> Option<T>,
            wrong: impl Fn(&str) -> Malformed,
        ) -> Result<Vec<T>, Malformed> {
            texts.iter().map(|text| read(text).ok_or_else(|| wrong(text))).collect()
        }
        Ok(match kind {
            Kind::Null => Test::Null(each(texts, value::flag, wrong)?),
            Kind::Text { wildcards, folded } => {
                let reading = Reading { wildcards, variables, folded };
                Test::Texts(texts.iter().map(|text| Pattern::parse(text, reading)).collect::<Result<_, _>>()?)
            }
            Kind::Number(order) => Test::Numbers(order, each(texts, value::number, wrong)?),
            Kind::Time(order) => Test::Times(order, each(texts, value::time, wrong)?),
            Kind::Flag => Test::Flags(each(texts, value::flag, wrong)?),
            Kind::Bytes => Test::Bytes(each(texts, |text| BASE64_STANDARD.decode(text).ok(), wrong)?),
            Kind::Address => Test::Addresses(each(texts, Network::parse, wrong)?),
            Kind::Arn => {
                let arns =
                    texts.iter().map(|text| ArnPattern::parse(text, variables)?.ok_or_else(|| wrong(text)));
                Test::Arns(arns.collect::<Result<_, _>>()?)
            }
        })
    }

    fn passes(&self, value: &Value<'_>, facts: &dyn Facts) -> bool {
        match self {
            Test::Null(_) => false,
            Test::Texts(patterns) => Pattern::any_matches(patterns, &value.text(), facts),
            Test::Numbers(order, numbers) => {
                value.number().is_some_and(|value| numbers.iter().any(|number| order.holds(&value, number)))
            }
            Test::Times(order, times) => {
                value.time().is_some_and(|value| times.iter().any(|time| order.holds(&value, time)))
            }
            Test::Flags(flags) => value.flag().is_some_and(|value| flags.contains(&value)),
            Test::Bytes(all) => {
                let text = value.text();
                all.iter().any(|bytes| bytes == text.as_bytes())
            }
            Test::Addresses(networks) => {
                value.address().is_some_and(|value| networks.iter().any(|network| network.contains(value)))
            }
            Test::Arns(arns) => {
                let text = value.text();
                arns.iter().any(|arn| arn.matches(&text, facts))
            }
        }
    }
}

#[cfg(test)]
mod tests;
