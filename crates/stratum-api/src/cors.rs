//! Cross-origin requests: which pages of a browser may send a request to a bucket and read its answer.
//!
//! A preflight is sent and answered without a signature. The answer costs a lookup of the bucket's record and of rules
//! that are kept parsed, and it tells a stranger nothing but what the rule for their page allows.
//!
//! Sources: Amazon S3 User Guide, "Using cross-origin resource sharing (CORS)" and "Testing CORS"; the Fetch Standard,
//! "CORS protocol".

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue};

/// The methods that a rule may allow.
pub const METHODS: [&str; 5] = ["GET", "PUT", "POST", "DELETE", "HEAD"];

/// The headers on which an answer depends, so that a cache doesn't give one page what another page was answered.
const VARIES: HeaderValue =
    HeaderValue::from_static("Origin, Access-Control-Request-Headers, Access-Control-Request-Method");

/// The CORS rules of a bucket. The first rule that fits counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsRules(pub Vec<CorsRule>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CorsRule {
    pub id: Option<String>,
    /// Each with one `*` at most, which stands for anything.
    pub origins: Vec<String>,
    /// Each is one of [`METHODS`].
    pub methods: Vec<String>,
    /// Each with one `*` at most; compared without regard to case.
    pub headers: Vec<String>,
    pub exposed: Vec<String>,
    pub max_age_seconds: Option<u32>,
}

/// What a cross-origin request asks for, by its headers.
#[derive(Clone, Debug)]
pub struct CrossOrigin {
    origin: HeaderValue,
    /// The method that a preflight asks about. The request that follows may repeat it.
    method: Option<HeaderValue>,
    headers: Vec<String>,
}

impl CrossOrigin {
    /// `None` for a request that isn't cross-origin.
    pub fn of(headers: &HeaderMap) -> Option<CrossOrigin> {
        let origin = headers.get(ORIGIN)?.clone();
        let method = headers.get(ACCESS_CONTROL_REQUEST_METHOD).cloned();
        let named = headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
        let named = named.flat_map(|value| value.to_str().unwrap_or("\0").split(','));
        let named = named.map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty());
        Some(CrossOrigin { origin, method, headers: named.collect() })
    }

    /// Whether the request names the method that it asks about, as a preflight must.
    pub fn names_method(&self) -> bool {
        self.method.is_some()
    }
}

impl CorsRules {
    /// The headers of the answer to a preflight; `None` where no rule allows what the preflight asks about.
    pub fn preflight(&self, asked: &CrossOrigin) -> Option<HeaderMap> {
        let method = asked.method.as_ref()?;
        let allows = |rule: &&CorsRule| {
            rule.fits(&asked.origin, method.as_bytes())
                && asked.headers.iter().all(|name| rule.allows_header(name))
        };
        let rule = self.0.iter().find(allows)?;
        let mut out = rule.answer(&asked.origin);
        if !asked.headers.is_empty() {
            insert(&mut out, ACCESS_CONTROL_ALLOW_HEADERS, &asked.headers.join(", "));
        }
        if let Some(seconds) = rule.max_age_seconds {
            out.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(seconds));
        }
        Some(out)
    }

    /// The headers of the answer to the request itself. The rule must fit the method that the request repeats of its
    /// preflight, or else its own.
    pub fn answer(&self, asked: &CrossOrigin, method: &http::Method) -> Option<HeaderMap> {
        let method = asked.method.as_ref().map_or(method.as_str().as_bytes(), |method| method.as_bytes());
        let rule = self.0.iter().find(|rule| rule.fits(&asked.origin, method))?;
        Some(rule.answer(&asked.origin))
    }
}

impl CorsRule {
    fn fits(&self, origin: &HeaderValue, method: &[u8]) -> bool {
        self.origins.iter().any(|pattern| matches(pattern.as_bytes(), origin.as_bytes()))
            && self.methods.iter().any(|allowed| allowed.as_bytes() == method)
    }

    fn allows_header(&self, name: &str) -> bool {
        self.headers.iter().any(|pattern| matches(pattern.to_ascii_lowercase().as_bytes(), name.as_bytes()))
    }

    fn answer(&self, origin: &HeaderValue) -> HeaderMap {
        let mut out = HeaderMap::new();
        // Every page may read this answer, so it allows no credentials.
        if self.origins.iter().any(|pattern| pattern == "*") {
            out.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        } else {
            out.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            out.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        insert(&mut out, ACCESS_CONTROL_ALLOW_METHODS, &self.methods.join(", "));
        if !self.exposed.is_empty() {
            insert(&mut out, ACCESS_CONTROL_EXPOSE_HEADERS, &self.exposed.join(", "));
        }
        out.insert(VARY, VARIES);
        out
    }
}

fn insert(out: &mut HeaderMap, name: http::HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        out.insert(name, value);
    }
}

/// Whether a text fits a pattern with at most one `*`.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let Some(star) = pattern.iter().position(|byte| *byte == b'*') else { return pattern == text };
    let (start, end) = (&pattern[..star], &pattern[star + 1..]);
    text.len() + 1 >= pattern.len() && text.starts_with(start) && text.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(origins: &[&str], methods: &[&str], headers: &[&str]) -> CorsRule {
        let owned = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect();
        CorsRule {
            origins: owned(origins),
            methods: owned(methods),
            headers: owned(headers),
            exposed: vec!["ETag".into()],
            max_age_seconds: Some(60),
            id: None,
        }
    }

    fn asked(origin: &str, method: Option<&str>, headers: &str) -> CrossOrigin {
        let mut map = HeaderMap::new();
        map.insert(ORIGIN, origin.parse().unwrap());
        if let Some(method) = method {
            map.insert(ACCESS_CONTROL_REQUEST_METHOD, method.parse().unwrap());
        }
        if !headers.is_empty() {
            map.insert(ACCESS_CONTROL_REQUEST_HEADERS, headers.parse().unwrap());
        }
        CrossOrigin::of(&map).unwrap()
    }

    fn value(headers: &HeaderMap, name: http::HeaderName) -> Option<&str> {
        headers.get(name).map(|value| value.to_str().unwrap())
    }

    #[test]
    fn one_star_stands_for_anything() {
        for (pattern, text, fits) in [
            ("*suffix", "foo.suffix", true),
            ("*suffix", "foo.suffix.get", false),
            ("start*end", "startend", true),
            ("start*end", "start12end", true),
            ("start*end", "startnd", false),
            ("aba*aba", "aba", false),
            ("aba*aba", "ababa", false),
            ("prefix*", "prefix", true),
            ("*", "", true),
            ("exact", "exact", true),
            ("exact", "exactly", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn a_preflight_is_answered_by_the_first_rule_that_allows_all_of_it() {
        let rules = CorsRules(vec![
            rule(&["https://a.example"], &["GET", "HEAD"], &[]),
            rule(&["https://*.example"], &["PUT"], &["x-amz-*", "Content-Type"]),
        ]);
        let put =
            rules.preflight(&asked("https://a.example", Some("PUT"), "X-Amz-Date, content-type")).unwrap();
        assert_eq!(value(&put, ACCESS_CONTROL_ALLOW_ORIGIN), Some("https://a.example"));
        assert_eq!(value(&put, ACCESS_CONTROL_ALLOW_HEADERS), Some("x-amz-date, content-type"));
        assert_eq!(value(&put, ACCESS_CONTROL_ALLOW_METHODS), Some("PUT"));
        assert_eq!(value(&put, ACCESS_CONTROL_MAX_AGE), Some("60"));
        let get = rules.preflight(&asked("https://a.example", Some("GET"), "")).unwrap();
        assert_eq!(value(&get, ACCESS_CONTROL_ALLOW_METHODS), Some("GET, HEAD"));
        for (origin, method, headers) in [
            ("https://b.example", Some("GET"), ""),
            ("https://a.example", Some("GET"), "x-amz-date"),
            ("https://a.example", Some("PUT"), "x-other"),
            ("https://a.example", Some("put"), ""),
            ("https://a.example", None, ""),
        ] {
            assert!(rules.preflight(&asked(origin, method, headers)).is_none(), "{origin} {method:?}");
        }
    }

    #[test]
    fn an_answer_that_every_page_may_read_allows_no_credentials() {
        let rules = CorsRules(vec![rule(&["*"], &["GET"], &[])]);
        let out = rules.answer(&asked("https://a.example", None, ""), &http::Method::GET).unwrap();
        assert_eq!(value(&out, ACCESS_CONTROL_ALLOW_ORIGIN), Some("*"));
        assert_eq!(value(&out, ACCESS_CONTROL_ALLOW_CREDENTIALS), None);
        assert_eq!(value(&out, ACCESS_CONTROL_EXPOSE_HEADERS), Some("ETag"));
        assert!(value(&out, VARY).unwrap().starts_with("Origin"));
        assert!(rules.answer(&asked("https://a.example", None, ""), &http::Method::PUT).is_none());
        assert!(rules.answer(&asked("https://a.example", Some("GET"), ""), &http::Method::PUT).is_some());
    }
}
