//! The policy of a form: which uploads its signer allows.
//!
//! Every condition must hold, and every field of the form must be named by a condition. A document with anything in
//! it that isn't understood is refused as a whole.
//!
//! Source: Amazon S3 API Reference, "POST policy".

use crate::error::{Code, S3Error};
use crate::number;
use crate::text::parse_iso_8601;
use serde_json::Value;
use std::ops::RangeInclusive;
use stratum_storage::ambient::UnixMillis;

/// The fields that need no condition: the policy and its signature, and the file.
const UNCONDITIONED: [&str; 5] = ["x-amz-signature", "signature", "awsaccesskeyid", "policy", "file"];
/// How the names of fields begin that whoever fills in the form may add, and that are ignored.
const IGNORED: &str = "x-ignore-";

/// A policy that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostPolicy {
    expiration: UnixMillis,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    /// A field has this value. Its name is in lower case.
    Equal { field: String, value: String },
    /// A field's value begins with this prefix. Its name is in lower case.
    StartsWith { field: String, prefix: String },
    /// The file has a length in this range, in bytes.
    Length(RangeInclusive<u64>),
}

impl PostPolicy {
    /// Reads a policy's JSON.
    ///
    /// # Errors
    /// `InvalidPolicyDocument`, saying what is wrong.
    pub fn parse(json: &[u8]) -> Result<PostPolicy, S3Error> {
        let Ok(Value::Object(policy)) = serde_json::from_slice(json) else {
            return Err(invalid("Invalid JSON."));
        };
        if let Some(name) = policy.keys().find(|name| !matches!(name.as_str(), "expiration" | "conditions")) {
            return Err(invalid(&format!("Unexpected: '{name}'.")));
        }
        let expiration = policy.get("expiration").ok_or_else(|| invalid("Policy missing expiration."))?;
        let expiration = expiration.as_str().and_then(parse_iso_8601);
        let expiration = expiration.ok_or_else(|| invalid("Invalid 'expiration' value."))?;
        let conditions = policy.get("conditions").ok_or_else(|| invalid("Policy missing conditions."))?;
        let conditions = conditions.as_array().filter(|conditions| !conditions.is_empty());
        let conditions = conditions.ok_or_else(|| invalid("Invalid 'conditions' value: must be a List."))?;
        let conditions = conditions.iter().map(parse_condition).collect::<Result<Vec<_>, _>>()?;
        Ok(PostPolicy { expiration, conditions: conditions.concat() })
    }

    /// Refuses a form that the policy doesn't allow. `names` are the form's fields, and `field` gives the value of
    /// one, by its name in lower case. Gives the lengths that the file may have.
    ///
    /// # Errors
    /// `AccessDenied`, saying which condition doesn't hold, or which field no condition names.
    pub fn judge<'f>(
        &self,
        now: UnixMillis,
        names: impl Iterator<Item = &'f str>,
        field: impl Fn(&str) -> Option<&'f str>,
    ) -> Result<RangeInclusive<u64>, S3Error> {
        if self.expiration <= now {
            return Err(denied("Policy expired."));
        }
        let mut length = 0..=u64::MAX;
        for condition in &self.conditions {
            // A field that the form doesn't have has no value, not even an empty one. Ceph's suite wants a condition to
            // hold of it that allows all values.
            let holds = match condition {
                Condition::Equal { field: name, value } => field(name) == Some(value),
                Condition::StartsWith { field: name, prefix } => {
                    field(name).map_or(prefix.is_empty(), |value| value.starts_with(prefix))
                }
                Condition::Length(range) => {
                    length = *length.start().max(range.start())..=*length.end().min(range.end());
                    true
                }
            };
            if !holds {
                return Err(denied(&format!("Policy Condition failed: {condition}")));
            }
        }
        for name in names {
            let needs_none = UNCONDITIONED.contains(&name) || name.starts_with(IGNORED);
            if !needs_none && !self.conditions.iter().any(|condition| condition.field() == Some(name)) {
                return Err(denied(&format!("Extra input fields: {name}")));
            }
        }
        Ok(length)
    }
}

impl Condition {
    fn field(&self) -> Option<&str> {
        match self {
            Condition::Equal { field, .. } | Condition::StartsWith { field, .. } => Some(field),
            Condition::Length(_) => None,
        }
    }
}

impl std::fmt::Display for Condition {
    /// The condition in the form that it has in a policy.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Condition::Equal { field, value } => write!(f, "[\"eq\", \"${field}\", \"{value}\"]"),
            Condition::StartsWith { field, prefix } => {
                write!(f, "[\"starts-with\", \"${field}\", \"{prefix}\"]")
            }
            Condition::Length(range) => {
                write!(f, "[\"content-length-range\", {}, {}]", range.start(), range.end())
            }
        }
    }
}

/// Reads a condition; more than one, where it is an object with the exact values of several fields.
fn parse_condition(condition: &Value) -> Result<Vec<Condition>, S3Error> {
    match condition {
        Value::Object(exact) if !exact.is_empty() => exact
            .iter()
            .map(|(field, value)| {
                let value = value
                    .as_str()
                    .ok_or_else(|| invalid("Invalid Simple-Condition: value must be a string."))?;
                Ok(Condition::Equal { field: field.to_ascii_lowercase(), value: value.to_owned() })
            })
            .collect(),
        Value::Array(parts) => match parts.as_slice() {
            [Value::String(operator), Value::String(field), Value::String(text)] => {
                let field = field.strip_prefix('$').ok_or_else(|| invalid("A field begins with a $."))?;
                let (field, text) = (field.to_ascii_lowercase(), text.clone());
                match operator.to_ascii_lowercase().as_str() {
                    "eq" => Ok(vec![Condition::Equal { field, value: text }]),
                    "starts-with" => Ok(vec![Condition::StartsWith { field, prefix: text }]),
                    _ => Err(invalid(&format!("Invalid Condition: unknown operation '{operator}'."))),
                }
            }
            [Value::String(operator), least, most]
                if operator.eq_ignore_ascii_case("content-length-range") =>
            {
                match (bytes(least), bytes(most)) {
                    (Some(least), Some(most)) if least <= most => Ok(vec![Condition::Length(least..=most)]),
                    (_, _) => Err(invalid("Invalid content-length-range.")),
                }
            }
            _ => Err(invalid("Invalid Condition: wrong number or kind of arguments.")),
        },
        _ => Err(invalid("Invalid Condition: must be a List or an Object.")),
    }
}

/// A number of bytes. Some clients write it as a string.
fn bytes(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| number::parse(value.as_str()?))
}

fn invalid(problem: &str) -> S3Error {
    S3Error::new(Code::InvalidPolicyDocument).message(format!("Invalid Policy: {problem}"))
}

fn denied(problem: &str) -> S3Error {
    S3Error::new(Code::AccessDenied).message(format!("Invalid according to Policy: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = 1_795_000_000_000;

    fn policy(conditions: &str) -> Result<PostPolicy, Code> {
        let json = format!("{{\"expiration\": \"2030-01-01T00:00:00Z\", \"conditions\": {conditions}}}");
        PostPolicy::parse(json.as_bytes()).map_err(|error| error.code())
    }

    fn judge(conditions: &str, fields: &[(&str, &str)]) -> Result<RangeInclusive<u64>, Code> {
        let field = |name: &str| fields.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let names = fields.iter().map(|(name, _)| *name);
        policy(conditions)?.judge(NOW, names, field).map_err(|error| error.code())
    }

    #[test]
    fn a_form_is_allowed_if_all_conditions_hold_and_they_name_all_fields() {
        let conditions =
            "[{\"bucket\": \"b\"}, [\"starts-with\", \"$Key\", \"a/\"], [\"eq\", \"$acl\", \"private\"],
            [\"content-length-range\", 1, \"10\"], [\"content-length-range\", 0, 8]]";
        let fields =
            [("bucket", "b"), ("key", "a/1"), ("acl", "private"), ("policy", "x"), ("x-ignore-me", "1")];
        assert_eq!(judge(conditions, &fields), Ok(1..=8));
        for wrong in [("bucket", "c"), ("key", "b/1"), ("acl", "Private")] {
            let fields: Vec<_> =
                fields.iter().map(|field| if field.0 == wrong.0 { wrong } else { *field }).collect();
            assert_eq!(judge(conditions, &fields), Err(Code::AccessDenied), "{wrong:?}");
        }
        assert_eq!(judge(conditions, &fields[..2]), Err(Code::AccessDenied), "a field is missing");
        for (absent, judged) in [
            ("[\"starts-with\", \"$x-amz-meta-a\", \"\"]", Ok(0..=u64::MAX)),
            ("[\"eq\", \"$x-amz-meta-a\", \"\"]", Err(Code::AccessDenied)),
        ] {
            let conditions = format!("[{{\"bucket\": \"b\"}}, {absent}]");
            assert_eq!(judge(&conditions, &[("bucket", "b")]), judged, "{absent}");
            let empty = [("bucket", "b"), ("x-amz-meta-a", "")];
            assert_eq!(judge(&conditions, &empty), Ok(0..=u64::MAX), "{absent}");
        }
        let extra = [&fields[..], &[("x-amz-meta-a", "1")]].concat();
        assert_eq!(judge(conditions, &extra), Err(Code::AccessDenied));
    }

    #[test]
    fn a_policy_allows_nothing_once_it_has_expired() {
        let json = b"{\"expiration\": \"2001-01-01T00:00:00Z\", \"conditions\": [{\"a\": \"b\"}]}";
        let policy = PostPolicy::parse(json).unwrap();
        let judged = policy.judge(NOW, std::iter::empty(), |_| Some("b"));
        assert_eq!(judged.unwrap_err().code(), Code::AccessDenied);
    }

    #[test]
    fn a_policy_that_isn_t_understood_is_refused() {
        for wrong in [
            "[]",
            "{}",
            "1",
            "[[]]",
            "[{}]",
            "[{\"a\": 1}]",
            "[[\"eq\", \"key\", \"a\"]]",
            "[[\"like\", \"$key\", \"a\"]]",
            "[[\"eq\", \"$key\"]]",
            "[[\"content-length-range\", 0]]",
            "[[\"content-length-range\", -1, 0]]",
            "[[\"content-length-range\", 2, 1]]",
            "[\"key\"]",
        ] {
            assert_eq!(policy(wrong), Err(Code::InvalidPolicyDocument), "{wrong}");
        }
        for wrong in [
            "",
            "[]",
            "{\"conditions\": [{\"a\": \"b\"}]}",
            "{\"expiration\": \"2030-01-01T00:00:00Z\"}",
            "{\"EXPIRATION\": \"2030-01-01T00:00:00Z\", \"conditions\": [{\"a\": \"b\"}]}",
            "{\"expiration\": \"2030-01-01 00:00:00+00:00\", \"conditions\": [{\"a\": \"b\"}]}",
            "{\"expiration\": \"2030-01-01T00:00:00Z\", \"conditions\": [{\"a\": \"b\"}], \"more\": 1}",
        ] {
            let refused = PostPolicy::parse(wrong.as_bytes()).unwrap_err();
            assert_eq!(refused.code(), Code::InvalidPolicyDocument, "{wrong}");
        }
    }
}
