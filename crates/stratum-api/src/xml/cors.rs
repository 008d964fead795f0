//! The document of a bucket's rules for cross-origin requests, written and read.

use crate::cors::{CorsRule, CorsRules, METHODS};
use crate::error::{Code, S3Error};
use crate::number;
use crate::xml::Namespace;
use crate::xml::read::{self, Element, Malformed};
use serde::Serialize;

/// How many rules a document may have, as at S3.
const MOST_RULES: usize = 100;
/// How many characters a rule's id may have, as at S3.
const MOST_ID_CHARS: usize = 255;

#[derive(Debug, Serialize)]
#[serde(rename = "CORSConfiguration")]
struct Configuration<'a> {
    #[serde(rename = "@xmlns")]
    xmlns: Namespace,
    #[serde(rename = "CORSRule")]
    rules: Vec<Rule<'a>>,
}

#[derive(Debug, Serialize)]
struct Rule<'a> {
    #[serde(rename = "ID", skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "AllowedOrigin")]
    origins: &'a [String],
    #[serde(rename = "AllowedMethod")]
    methods: &'a [String],
    #[serde(rename = "AllowedHeader")]
    headers: &'a [String],
    #[serde(rename = "ExposeHeader")]
    exposed: &'a [String],
    #[serde(rename = "MaxAgeSeconds", skip_serializing_if = "Option::is_none")]
    max_age_seconds: Option<u32>,
}

/// Writes the document.
///
/// # Errors
/// As [`xml::text`](crate::xml::text).
pub fn text(rules: &CorsRules) -> Result<String, S3Error> {
    fn rule(rule: &CorsRule) -> Rule<'_> {
        Rule {
            id: rule.id.as_deref(),
            origins: &rule.origins,
            methods: &rule.methods,
            headers: &rule.headers,
            exposed: &rule.exposed,
            max_age_seconds: rule.max_age_seconds,
        }
    }
    let rules = rules.0.iter().map(rule).collect();
    let bytes = crate::xml::text(&Configuration { xmlns: Namespace, rules })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads and checks the rules of a document.
///
/// # Errors
/// `MalformedXML`; `InvalidRequest` for a method, an origin or a header that can't be allowed.
pub fn read(body: &[u8]) -> Result<CorsRules, S3Error> {
    let root = read::document(body, "CORSConfiguration")?;
    root.only(&["CORSRule"])?;
    if root.children.is_empty() || root.children.len() > MOST_RULES {
        return Err(Malformed::WrongCount.into());
    }
    root.children.iter().map(rule).collect::<Result<_, _>>().map(CorsRules)
}

fn rule(element: &Element) -> Result<CorsRule, S3Error> {
    element.only(&[
        "ID",
        "AllowedOrigin",
        "AllowedMethod",
        "AllowedHeader",
        "ExposeHeader",
        "MaxAgeSeconds",
    ])?;
    let text = |child: &Element| Ok(child.text()?.trim().to_owned());
    let texts = |name| element.all(name).map(text).collect::<Result<Vec<_>, Malformed>>();
    let id = element.trimmed("ID")?.map(str::to_owned);
    let max_age = element.trimmed("MaxAgeSeconds")?;
    let max_age_seconds = max_age.map(|text| number::parse(text).ok_or(Malformed::WrongText)).transpose()?;
    let rule = CorsRule {
        id,
        origins: texts("AllowedOrigin")?,
        methods: texts("AllowedMethod")?,
        headers: texts("AllowedHeader")?,
        exposed: texts("ExposeHeader")?,
        max_age_seconds,
    };
    check(&rule).map(|()| rule)
}

/// Refuses a rule that S3 doesn't allow.
fn check(rule: &CorsRule) -> Result<(), S3Error> {
    let invalid = |message: String| Err(S3Error::new(Code::InvalidRequest).message(message));
    if rule.origins.is_empty() || rule.methods.is_empty() {
        return Err(Malformed::WrongElements.into());
    }
    if rule.id.as_ref().is_some_and(|id| id.chars().count() > MOST_ID_CHARS) {
        return Err(Malformed::WrongText.into());
    }
    if let Some(method) = rule.methods.iter().find(|method| !METHODS.contains(&method.as_str())) {
        return invalid(format!(
            "Found unsupported HTTP method in CORS config. Unsupported method is {method}"
        ));
    }
    let has_two_stars = |text: &&String| text.bytes().filter(|byte| *byte == b'*').count() > 1;
    if let Some(origin) = rule.origins.iter().find(has_two_stars) {
        return invalid(format!("AllowedOrigin \"{origin}\" can not have more than one wildcard."));
    }
    if let Some(header) = rule.headers.iter().find(has_two_stars) {
        return invalid(format!("AllowedHeader \"{header}\" can not have more than one wildcard."));
    }
    let is_name = |text: &String| http::HeaderName::try_from(text.as_str()).is_ok() && !text.contains('*');
    if let Some(header) = rule.exposed.iter().find(|header| !is_name(header)) {
        return invalid(format!("ExposeHeader \"{header}\" contains what isn't the name of a header."));
    }
    let is_text = |text: &String| http::HeaderValue::from_str(text).is_ok();
    match rule.origins.iter().chain(&rule.headers).all(is_text) {
        true => Ok(()),
        false => Err(Malformed::WrongText.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(inside: &str) -> Result<CorsRules, Code> {
        let document = format!("<CORSConfiguration><CORSRule>{inside}</CORSRule></CORSConfiguration>");
        read(document.as_bytes()).map_err(|error| error.code())
    }

    const LEAST: &str = "<AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>";

    #[test]
    fn rules_are_written_and_read() {
        let all = "<ID>one &amp; only</ID><AllowedOrigin>https://*.a.example</AllowedOrigin>\
            <AllowedOrigin>http://b</AllowedOrigin><AllowedMethod>PUT</AllowedMethod>\
            <AllowedHeader>x-amz-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>3000</MaxAgeSeconds>";
        for inside in [LEAST, all] {
            let rules = of(inside).unwrap();
            assert_eq!(read(text(&rules).unwrap().as_bytes()).unwrap(), rules);
        }
        assert_eq!(of(all).unwrap().0[0].max_age_seconds, Some(3000));
    }

    #[test]
    fn a_rule_that_isn_t_allowed_is_refused() {
        use Code::{InvalidRequest, MalformedXML};
        for (wrong, code) in [
            ("", MalformedXML),
            ("<AllowedOrigin>*</AllowedOrigin>", MalformedXML),
            ("<AllowedMethod>GET</AllowedMethod>", MalformedXML),
            (&format!("{LEAST}<Other/>"), MalformedXML),
            (&format!("{LEAST}<MaxAgeSeconds>-1</MaxAgeSeconds>"), MalformedXML),
            (&format!("{LEAST}<ID>{}</ID>", "i".repeat(256)), MalformedXML),
            (&format!("{LEAST}<AllowedMethod>PATCH</AllowedMethod>"), InvalidRequest),
            (&format!("{LEAST}<AllowedMethod>get</AllowedMethod>"), InvalidRequest),
            (&format!("{LEAST}<AllowedOrigin>*.*</AllowedOrigin>"), InvalidRequest),
            (&format!("{LEAST}<AllowedHeader>**</AllowedHeader>"), InvalidRequest),
            (&format!("{LEAST}<ExposeHeader>*</ExposeHeader>"), InvalidRequest),
        ] {
            assert_eq!(of(wrong), Err(code), "{wrong}");
        }
        let many = format!("<CORSRule>{LEAST}</CORSRule>").repeat(101);
        assert!(read(format!("<CORSConfiguration>{many}</CORSConfiguration>").as_bytes()).is_err());
        assert!(read(b"<CORSConfiguration/>").is_err());
    }
}
