use super::*;
use crate::value::Values;
use proptest::prelude::*;
use std::borrow::Cow;

/// A request that has these values under every key.
struct Has(Vec<Value<'static>>);

impl Facts for Has {
    fn values(&self, _: &Key) -> Values<'_> {
        match self.0.as_slice() {
            [] => Values::None,
            all => Values::Many(all.to_vec()),
        }
    }
}

fn texts(values: &[&'static str]) -> Has {
    Has(values.iter().map(|text| Value::Text(Cow::Borrowed(text))).collect())
}

fn parsed(operator: &str, values: &[&str]) -> Result<Condition, Malformed> {
    let values = Json::List(values.iter().map(|text| Json::Text((*text).to_owned())).collect());
    Condition::parse(operator, Key::Referer, &values, true)
}

fn holds(operator: &str, values: &[&str], facts: &Has) -> bool {
    parsed(operator, values).unwrap().holds(facts)
}

/// For every operator: a value in the policy, a value that passes and one that doesn't. For numbers the policy's
/// value is `5`, and a number below and one above it are tried.
const OPERATORS: [(&str, &str, &str, &str); 28] = [
    ("StringEquals", "a*", "a*", "ab"),
    ("StringNotEquals", "a", "b", "a"),
    ("StringEqualsIgnoreCase", "A", "a", "b"),
    ("StringNotEqualsIgnoreCase", "A", "b", "a"),
    ("StringLike", "a*", "ab", "b"),
    ("StringNotLike", "a*", "b", "ab"),
    ("NumericEquals", "5", "5.0", "4"),
    ("NumericNotEquals", "5", "4", "5"),
    ("NumericLessThan", "5", "4", "5"),
    ("NumericLessThanEquals", "5", "5", "6"),
    ("NumericGreaterThan", "5", "6", "5"),
    ("NumericGreaterThanEquals", "5", "5", "4"),
    ("DateEquals", "2025-01-01", "2025-01-01T00:00:00Z", "2025-01-02"),
    ("DateNotEquals", "2025-01-01", "2025-01-02", "2025-01-01"),
    ("DateLessThan", "2025-01-01", "2024-12-31", "2025-01-01"),
    ("DateLessThanEquals", "2025-01-01", "2025-01-01", "2025-01-02"),
    ("DateGreaterThan", "2025-01-01", "2025-01-02", "2025-01-01"),
    ("DateGreaterThanEquals", "2025-01-01", "2025-01-01", "2024-12-31"),
    ("Bool", "true", "TRUE", "false"),
    ("BinaryEquals", "YQ==", "a", "b"),
    ("IpAddress", "10.0.0.0/8", "10.1.1.1", "11.1.1.1"),
    ("NotIpAddress", "10.0.0.0/8", "11.1.1.1", "10.1.1.1"),
    ("ArnEquals", "arn:aws:s3:::a*", "arn:aws:s3:::ab", "arn:aws:s3:::b"),
    ("ArnLike", "arn:aws:s3:::a*", "arn:aws:s3:::ab", "arn:aws:s3:::b"),
    ("ArnNotEquals", "arn:aws:s3:::a*", "arn:aws:s3:::b", "arn:aws:s3:::ab"),
    ("ArnNotLike", "arn:aws:s3:::a*", "arn:aws:s3:::b", "arn:aws:s3:::ab"),
    ("Null", "true", "", "there"),
    ("Null", "false", "there", ""),
];

#[test]
fn every_operator_tells_what_passes() {
    for (operator, value, passing, failing) in OPERATORS {
        let facts = |text: &'static str| if text.is_empty() { texts(&[]) } else { texts(&[text]) };
        assert!(holds(operator, &[value], &facts(passing)), "{operator} {value} {passing}");
        assert!(!holds(operator, &[value], &facts(failing)), "{operator} {value} {failing}");
    }
}

#[test]
fn without_a_value_negated_operators_and_for_all_values_hold() {
    for (operator, value, _, _) in OPERATORS.into_iter().filter(|of| of.0 != "Null") {
        let of_nothing = |operator: &str| holds(operator, &[value], &texts(&[]));
        assert_eq!(of_nothing(operator), operator.contains("Not"), "{operator}");
        assert!(of_nothing(&format!("{operator}IfExists")));
        assert!(of_nothing(&format!("ForAllValues:{operator}")));
        assert!(!of_nothing(&format!("ForAnyValue:{operator}")));
    }
}

#[test]
fn sets_are_asked_for_any_and_for_all() {
    let both = texts(&["a", "b"]);
    assert!(holds("ForAnyValue:StringEquals", &["b", "c"], &both));
    assert!(!holds("ForAllValues:StringEquals", &["b", "c"], &both));
    assert!(holds("ForAllValues:StringEquals", &["a", "b", "c"], &both));
    assert!(holds("ForAnyValue:StringNotEquals", &["a"], &both));
    assert!(!holds("ForAllValues:StringNotEquals", &["a"], &both));
}

#[test]
fn what_is_not_known_is_refused() {
    for operator in [
        "StringIs",
        "ForAnyOf:StringEquals",
        "stringequals",
        "NullIfExists",
        "ForAllValues:Null",
        "Numeric",
        "",
        "IfExists",
    ] {
        assert_eq!(parsed(operator, &["true"]), Err(Malformed::Operator(operator.into())), "{operator}");
    }
    for (operator, value) in [
        ("NumericEquals", "x"),
        ("DateEquals", "x"),
        ("Bool", "x"),
        ("BinaryEquals", "!"),
        ("IpAddress", "x"),
        ("ArnLike", "x"),
        ("Null", "x"),
    ] {
        assert!(matches!(parsed(operator, &[value]), Err(Malformed::Value { .. })), "{operator}");
    }
    assert_eq!(parsed("StringEquals", &[]), Err(Malformed::Empty("The values of a condition")));
    let block = Json::parse(br#"{"StringEquals":{"aws:moon":"a"}}"#).unwrap();
    assert_eq!(Condition::parse_block(&block, true, Keys::Here), Err(Malformed::Key("aws:moon".into())));
    assert!(Condition::parse_block(&block, true, Keys::Any).is_ok());
}

proptest! {
    /// An operator and its negation never both hold for one value, nor without a value.
    #[test]
    fn a_negation_is_the_contrary(value in "[a-c*5]{0,3}", found in proptest::option::of("[a-c5]{0,3}")) {
        let facts = Has(found.into_iter().map(|text| Value::Text(text.into())).collect());
        for (operator, contrary) in [
            ("StringEquals", "StringNotEquals"),
            ("StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"),
            ("StringLike", "StringNotLike"),
            ("NumericEquals", "NumericNotEquals"),
        ] {
            let (Ok(one), Ok(other)) = (parsed(operator, &[&value]), parsed(contrary, &[&value])) else { continue };
            prop_assert_ne!(one.holds(&facts), other.holds(&facts));
        }
    }
}
