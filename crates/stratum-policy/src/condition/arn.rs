//! ARNs as the Arn operators compare them: each of the six parts by itself, so that a wildcard doesn't reach over a
//! colon.

use crate::error::Malformed;
use crate::pattern::{Pattern, Reading};
use crate::value::Facts;

/// `arn:partition:service:region:account:resource`; the last part may hold colons.
const ARN_PARTS: usize = 6;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ArnPattern(Vec<Pattern>);

impl ArnPattern {
    /// `None` if the text has fewer parts than an ARN.
    ///
    /// # Errors
    /// As [`Pattern::parse`].
    pub fn parse(text: &str, variables: bool) -> Result<Option<Self>, Malformed> {
        let parts = split(text, variables);
        if parts.len() < ARN_PARTS {
            return Ok(None);
        }
        let reading = Reading { wildcards: true, variables, folded: false };
        let patterns = parts.into_iter().map(|part| Pattern::parse(part, reading));
        Ok(Some(Self(patterns.collect::<Result<_, _>>()?)))
    }

    pub fn matches(&self, text: &str, facts: &dyn Facts) -> bool {
        let parts: Vec<_> = text.splitn(ARN_PARTS, ':').collect();
        parts.len() == self.0.len()
            && self.0.iter().zip(parts).all(|(pattern, part)| pattern.matches(part, facts))
    }

    pub fn parts(&self) -> &[Pattern] {
        &self.0
    }

    pub fn is_fixed(&self) -> bool {
        self.0.iter().all(Pattern::is_fixed)
    }
}

/// Splits at colons, except at those in a variable's name.
fn split(text: &str, variables: bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut begin, mut in_variable) = (0, false);
    for (at, char) in text.char_indices() {
        match char {
            '{' if variables && text[..at].ends_with('$') => in_variable = true,
            '}' => in_variable = false,
            ':' if !in_variable && parts.len() + 1 < ARN_PARTS => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;
    use crate::value::Values;

    struct Ann;

    impl Facts for Ann {
        fn values(&self, _: &Key) -> Values<'_> {
            Values::from(Some("ann"))
        }
    }

    #[test]
    fn a_wildcard_stays_in_its_part() {
        let arn = |text: &str| ArnPattern::parse(text, true).unwrap().unwrap();
        assert!(arn("arn:aws:s3:::a*").matches("arn:aws:s3:::a:b", &Ann));
        assert!(!arn("arn:*:s3:::a").matches("arn:aws:x:s3:::a", &Ann));
        assert!(arn("arn:aws:iam::*:user/${aws:username}").matches("arn:aws:iam::1:user/ann", &Ann));
        assert!(!arn("arn:aws:iam::1:user/*").matches("ann", &Ann));
        assert_eq!(ArnPattern::parse("arn:aws:s3", true).unwrap(), None);
    }
}
