//! What can be wrong with a policy. All of it is S3's `MalformedPolicy`, or IAM's `MalformedPolicyDocument`; each
//! message says which part of the policy is wrong.

/// How much of a wrong text a message repeats, at most, in characters.
const QUOTED_CHARS: usize = 200;

/// Why a policy was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("Policies must be valid JSON and the first byte must be '{{'")]
    NotJson,
    #[error("A policy has no two elements of one name, and this one has \"{0}\" twice")]
    Twice(String),
    #[error("Missing required field {0}")]
    Missing(&'static str),
    #[error("Unknown field {0}")]
    UnknownField(String),
    #[error("{0} can't be empty")]
    Empty(&'static str),
    #[error("{element} must be {expected}")]
    Kind { element: &'static str, expected: &'static str },
    #[error("The policy must contain a valid version string, 2012-10-17 or 2008-10-17, and not {0}")]
    Version(String),
    #[error("Statement IDs (SID) in a single policy must be unique, and {0} stands twice")]
    SidTwice(String),
    #[error(
        "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*"
    )]
    Sid,
    #[error("Invalid effect: {0}")]
    Effect(String),
    #[error("{0} and {1} can't stand in one statement")]
    Both(&'static str, &'static str),
    #[error("Policy document should not specify a {0}")]
    NotIn(&'static str),
    #[error("Invalid principal in policy: {0}")]
    Principal(String),
    #[error("Allow with NotPrincipal is not allowed: it would let in all others, whoever comes")]
    AllowsOthers,
    #[error("Policy has invalid action: {0}")]
    Action(String),
    #[error("Policy has invalid resource: {0}")]
    Resource(String),
    #[error("Invalid Condition type: {0}")]
    Operator(String),
    #[error("Policy has an invalid condition key: {0}")]
    Key(String),
    #[error("Conditions do not apply to combination of actions and resources in statement")]
    Conditions,
    #[error("Invalid value for the condition {operator}: {value}")]
    Value { operator: String, value: String },
    #[error(
        "A policy has at most {most} wildcards '?', texts between two '*' and variables in its resources and conditions, and this one has {found}"
    )]
    Searches { found: usize, most: usize },
    #[error("Policy has an invalid variable: {0}")]
    Variable(String),
}

/// A part of the policy as a message repeats it: cut if it is long.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
