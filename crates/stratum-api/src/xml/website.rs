//! The document of a bucket's website, written and read.

use crate::error::{Code, S3Error};
use crate::number;
use crate::website::{Condition, Protocol, Redirect, Replace, RoutingRule, Serves, Website};
use crate::xml::Namespace;
use crate::xml::read::{self, Element, Malformed};
use serde::Serialize;

/// How many routing rules a document may have, as at S3.
const MOST_RULES: usize = 50;

#[derive(Debug, Default, Serialize)]
#[serde(rename = "WebsiteConfiguration", rename_all = "PascalCase")]
struct Configuration<'a> {
    #[serde(rename = "@xmlns")]
    xmlns: Option<Namespace>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redirect_all_requests_to: Option<RedirectAll<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index_document: Option<IndexDocument<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_document: Option<ErrorDocument<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    routing_rules: Option<RoutingRules<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RedirectAll<'a> {
    host_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct IndexDocument<'a> {
    suffix: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorDocument<'a> {
    key: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RoutingRules<'a> {
    routing_rule: Vec<Rule<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Rule<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<ConditionElement<'a>>,
    redirect: RedirectElement<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ConditionElement<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    http_error_code_returned_equals: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_prefix_equals: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RedirectElement<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replace_key_prefix_with: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replace_key_with: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_redirect_code: Option<u16>,
}

/// Writes the document.
///
/// # Errors
/// As [`xml::text`](crate::xml::text).
pub fn text(website: &Website) -> Result<String, S3Error> {
    let configuration = match website {
        Website::RedirectAll { host, protocol } => Configuration {
            xmlns: Some(Namespace),
            redirect_all_requests_to: Some(RedirectAll {
                host_name: host,
                protocol: protocol.map(Protocol::name),
            }),
            ..Configuration::default()
        },
        Website::Serves(Serves { index_suffix, error_key, rules }) => Configuration {
            xmlns: Some(Namespace),
            index_document: Some(IndexDocument { suffix: index_suffix }),
            error_document: error_key.as_deref().map(|key| ErrorDocument { key }),
            routing_rules: (!rules.is_empty())
                .then(|| RoutingRules { routing_rule: rules.iter().map(written).collect() }),
            ..Configuration::default()
        },
    };
    let bytes = crate::xml::text(&configuration)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A routing rule as its element.
fn written(rule: &RoutingRule) -> Rule<'_> {
    let Redirect { protocol, host, replace, status } = &rule.redirect;
    let (prefix, key) = match replace {
        Some(Replace::Prefix(prefix)) => (Some(prefix.as_str()), None),
        Some(Replace::Key(key)) => (None, Some(key.as_str())),
        None => (None, None),
    };
    Rule {
        condition: rule.condition.as_ref().map(|condition| ConditionElement {
            http_error_code_returned_equals: condition.error_code,
            key_prefix_equals: condition.key_prefix.as_deref(),
        }),
        redirect: RedirectElement {
            protocol: protocol.map(Protocol::name),
            host_name: host.as_deref(),
            replace_key_prefix_with: prefix,
            replace_key_with: key,
            http_redirect_code: *status,
        },
    }
}

/// Reads and checks a document.
///
/// # Errors
/// `MalformedXML`; `InvalidArgument` for a value that S3 doesn't allow; `InvalidRequest` for elements that don't go
/// together, an unknown protocol, and more rules than S3 takes.
pub fn read(body: &[u8]) -> Result<Website, S3Error> {
    let root = read::document(body, "WebsiteConfiguration")?;
    root.only(&["RedirectAllRequestsTo", "IndexDocument", "ErrorDocument", "RoutingRules"])?;
    if let Some(all) = root.at_most_one("RedirectAllRequestsTo")? {
        if root.children.len() > 1 {
            let message = "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules.";
            return Err(S3Error::new(Code::InvalidRequest).message(message));
        }
        all.only(&["HostName", "Protocol"])?;
        let host = all.trimmed("HostName")?.ok_or(Malformed::WrongElements)?;
        return Ok(Website::RedirectAll { host: host_name(host)?, protocol: protocol(all)? });
    }
    let Some(index) = root.at_most_one("IndexDocument")? else {
        let message = "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty";
        return Err(S3Error::invalid_argument("IndexDocument", "null", message));
    };
    index.only(&["Suffix"])?;
    let suffix = index.trimmed("Suffix")?.unwrap_or_default();
    if suffix.is_empty() || suffix.contains('/') {
        let message = "The IndexDocument Suffix is not well formed";
        return Err(S3Error::invalid_argument("IndexDocument", suffix.to_owned(), message));
    }
    let error_key = match root.at_most_one("ErrorDocument")? {
        None => None,
        Some(error) => {
            error.only(&["Key"])?;
            Some(error.text_of("Key")?.filter(|key| !key.is_empty()).ok_or(Malformed::WrongElements)?)
        }
    };
    let rules = match root.at_most_one("RoutingRules")? {
        None => Vec::new(),
        Some(rules) => {
            rules.only(&["RoutingRule"])?;
            rules.children.iter().map(rule).collect::<Result<_, _>>()?
        }
    };
    if rules.len() > MOST_RULES {
        let message = format!("The website configuration has more than {MOST_RULES} routing rules.");
        return Err(S3Error::new(Code::InvalidRequest).message(message));
    }
    let (index_suffix, error_key) = (suffix.to_owned(), error_key.map(str::to_owned));
    Ok(Website::Serves(Serves { index_suffix, error_key, rules }))
}

fn rule(element: &Element) -> Result<RoutingRule, S3Error> {
    element.only(&["Condition", "Redirect"])?;
    let condition = element.at_most_one("Condition")?.map(condition).transpose()?;
    let redirect = redirect(element.at_most_one("Redirect")?.ok_or(Malformed::WrongElements)?)?;
    Ok(RoutingRule { condition, redirect })
}

fn condition(element: &Element) -> Result<Condition, S3Error> {
    element.only(&["HttpErrorCodeReturnedEquals", "KeyPrefixEquals"])?;
    let error_code = match element.trimmed("HttpErrorCodeReturnedEquals")? {
        None => None,
        Some(text) => {
            let code = number::parse(text).filter(|code| (400..600).contains(code));
            let message = "The provided HTTP error code is not valid. Valid codes are 4XX or 5XX.";
            Some(code.ok_or_else(|| {
                S3Error::invalid_argument("HttpErrorCodeReturnedEquals", text.to_owned(), message)
            })?)
        }
    };
    let key_prefix = element.text_of("KeyPrefixEquals")?.map(str::to_owned);
    let condition = Condition { key_prefix, error_code };
    if condition == Condition::default() {
        return Err(Malformed::WrongElements.into());
    }
    Ok(condition)
}

fn redirect(element: &Element) -> Result<Redirect, S3Error> {
    element.only(&["Protocol", "HostName", "ReplaceKeyPrefixWith", "ReplaceKeyWith", "HttpRedirectCode"])?;
    let text = |name| Ok::<_, Malformed>(element.text_of(name)?.map(str::to_owned));
    let replace = match (text("ReplaceKeyPrefixWith")?, text("ReplaceKeyWith")?) {
        (Some(_), Some(_)) => {
            let message = "You can only define ReplaceKeyPrefix or ReplaceKey but not both.";
            return Err(S3Error::new(Code::InvalidRequest).message(message));
        }
        (prefix, key) => prefix.map(Replace::Prefix).or(key.map(Replace::Key)),
    };
    let status = match element.trimmed("HttpRedirectCode")? {
        None => None,
        Some(text) => {
            let status = number::parse(text).filter(|status| (301..400).contains(status) && *status != 304);
            let message =
                "The provided HTTP redirect code is not valid. Valid codes are 3XX except 300 and 304.";
            Some(
                status
                    .ok_or_else(|| S3Error::invalid_argument("HttpRedirectCode", text.to_owned(), message))?,
            )
        }
    };
    let host = element.trimmed("HostName")?.map(host_name).transpose()?;
    let redirect = Redirect { protocol: protocol(element)?, host, replace, status };
    if redirect == Redirect::default() {
        return Err(Malformed::WrongElements.into());
    }
    Ok(redirect)
}

fn protocol(element: &Element) -> Result<Option<Protocol>, S3Error> {
    let named = |name: &str| {
        let message = "Invalid protocol, protocol can be http or https. If not defined the protocol will be selected automatically.";
        Protocol::named(name).ok_or_else(|| S3Error::new(Code::InvalidRequest).message(message))
    };
    element.trimmed("Protocol")?.map(named).transpose()
}

/// A host name, which may have a port and the beginning of a path, as S3 takes it. Its characters must fit into a
/// header.
fn host_name(text: &str) -> Result<String, S3Error> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(S3Error::invalid_argument(
            "HostName",
            text.to_owned(),
            "The host name is not well formed",
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(inside: &str) -> Result<Website, Code> {
        let text = format!("<WebsiteConfiguration>{inside}</WebsiteConfiguration>");
        read(text.as_bytes()).map_err(|error| error.code())
    }

    fn ruled(rule: &str) -> Result<Website, Code> {
        of(&format!(
            "<IndexDocument><Suffix>i</Suffix></IndexDocument><RoutingRules><RoutingRule>{rule}</RoutingRule></RoutingRules>"
        ))
    }

    #[test]
    fn a_document_is_written_and_read() {
        let rule = "<Condition><KeyPrefixEquals>a/</KeyPrefixEquals><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals>\
            </Condition><Redirect><Protocol>https</Protocol><HostName>h</HostName><ReplaceKeyPrefixWith/>\
            <HttpRedirectCode>307</HttpRedirectCode></Redirect>";
        for website in [
            ruled(rule).unwrap(),
            of("<IndexDocument><Suffix>i</Suffix></IndexDocument><ErrorDocument><Key>e e</Key></ErrorDocument>").unwrap(),
            of("<RedirectAllRequestsTo><HostName>h</HostName></RedirectAllRequestsTo>").unwrap(),
        ] {
            assert_eq!(read(text(&website).unwrap().as_bytes()).unwrap(), website);
        }
    }

    #[test]
    fn a_document_that_isn_t_allowed_is_refused() {
        assert_eq!(of(""), Err(Code::InvalidArgument));
        assert_eq!(of("<IndexDocument><Suffix>a/b</Suffix></IndexDocument>"), Err(Code::InvalidArgument));
        assert_eq!(of("<IndexDocument><Suffix/></IndexDocument>"), Err(Code::InvalidArgument));
        let all = "<RedirectAllRequestsTo><HostName>h</HostName></RedirectAllRequestsTo>";
        assert_eq!(
            of(&format!("{all}<IndexDocument><Suffix>i</Suffix></IndexDocument>")),
            Err(Code::InvalidRequest)
        );
        assert_eq!(of("<RedirectAllRequestsTo/>"), Err(Code::MalformedXML));
        assert_eq!(
            of("<RedirectAllRequestsTo><HostName>a&#13;b</HostName></RedirectAllRequestsTo>"),
            Err(Code::InvalidArgument)
        );
        for (rule, code) in [
            ("", Code::MalformedXML),
            ("<Redirect/>", Code::MalformedXML),
            ("<Condition/><Redirect><HostName>h</HostName></Redirect>", Code::MalformedXML),
            ("<Redirect><Protocol>ftp</Protocol></Redirect>", Code::InvalidRequest),
            ("<Redirect><HttpRedirectCode>200</HttpRedirectCode></Redirect>", Code::InvalidArgument),
            ("<Redirect><HttpRedirectCode>304</HttpRedirectCode></Redirect>", Code::InvalidArgument),
            ("<Redirect><HttpRedirectCode>+302</HttpRedirectCode></Redirect>", Code::InvalidArgument),
            (
                "<Condition><HttpErrorCodeReturnedEquals>+404</HttpErrorCodeReturnedEquals></Condition><Redirect><HostName>h</HostName></Redirect>",
                Code::InvalidArgument,
            ),
            (
                "<Redirect><ReplaceKeyWith>a</ReplaceKeyWith><ReplaceKeyPrefixWith>b</ReplaceKeyPrefixWith></Redirect>",
                Code::InvalidRequest,
            ),
            (
                "<Condition><HttpErrorCodeReturnedEquals>200</HttpErrorCodeReturnedEquals></Condition><Redirect><HostName>h</HostName></Redirect>",
                Code::InvalidArgument,
            ),
        ] {
            assert_eq!(ruled(rule), Err(code), "{rule}");
        }
    }
}
