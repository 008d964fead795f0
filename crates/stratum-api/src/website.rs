//! The website configuration of a bucket: which key a path means, and where a path or an error is redirected to.
//!
//! Source: Amazon S3 User Guide, "Hosting a static website" and "(Optional) Configuring a webpage redirect"; API
//! Reference, `WebsiteConfiguration`.

use http::StatusCode;
use http::uri::Scheme;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The characters of a path that aren't percent-encoded in a redirect.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// The website configuration of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Website {
    /// Every request is redirected to another host.
    RedirectAll { host: String, protocol: Option<Protocol> },
    /// Objects of the bucket are served.
    Serves(Serves),
}

/// How a bucket's objects are served, and which requests are redirected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serves {
    /// What is appended to a path that ends with `/`, or is empty, to make a key.
    pub index_suffix: String,
    /// The key of the page that is served with an error.
    pub error_key: Option<String>,
    pub rules: Vec<RoutingRule>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http,
    Https,
}

impl Protocol {
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Http => "http",
            Protocol::Https => "https",
        }
    }

    pub fn named(name: &str) -> Option<Protocol> {
        [Protocol::Http, Protocol::Https].into_iter().find(|protocol| protocol.name() == name)
    }

    fn of(scheme: &Scheme) -> Protocol {
        if *scheme == Scheme::HTTPS { Protocol::Https } else { Protocol::Http }
    }
}

/// A rule that redirects the requests that fit its condition; without one it fits every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutingRule {
    pub condition: Option<Condition>,
    pub redirect: Redirect,
}

/// The condition of a rule. It has at least one of the two fields, and each that it has must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    pub key_prefix: Option<String>,
    /// The status of the error that would be answered without the rule.
    pub error_code: Option<u16>,
}

/// The parts of the request's URL that a redirect replaces, and the redirect's status. A part that is none stays as
/// it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redirect {
    pub protocol: Option<Protocol>,
    pub host: Option<String>,
    pub replace: Option<Replace>,
    pub status: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replace {
    /// This replaces the prefix of the rule's condition.
    Prefix(String),
    /// This replaces the whole key.
    Key(String),
}

/// The scheme and the host of a request.
#[derive(Clone, Copy, Debug)]
pub struct Came<'a> {
    pub scheme: &'a Scheme,
    pub host: &'a str,
}

/// A redirect of a browser: its status and its `Location`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    pub status: StatusCode,
    pub location: String,
}

impl Serves {
    /// The key that a path means.
    pub fn key(&self, path: &str) -> String {
        if path.is_empty() || path.ends_with('/') {
            format!("{path}{}", self.index_suffix)
        } else {
            path.to_owned()
        }
    }

    /// Where the rules redirect a path to. Without an `error` this is asked before an object is looked up, and with
    /// one after the lookup ended in that status.
    pub fn elsewhere(&self, path: &str, error: Option<StatusCode>, came: Came<'_>) -> Option<Elsewhere> {
        let rule = self.rules.iter().find(|rule| rule.fits(path, error))?;
        Some(rule.leads(path, came))
    }
}

impl RoutingRule {
    /// Whether a rule fits. A rule with an error code fits only when there is that error, and one without fits only
    /// before an object is looked up.
    fn fits(&self, path: &str, error: Option<StatusCode>) -> bool {
        let Some(condition) = &self.condition else { return error.is_none() };
        condition.error_code == error.map(|status| status.as_u16())
            && condition.key_prefix.as_ref().is_none_or(|prefix| path.starts_with(prefix))
    }

    /// The redirect of this rule.
    fn leads(&self, path: &str, came: Came<'_>) -> Elsewhere {
        let Redirect { protocol, host, replace, status } = &self.redirect;
        let key = match replace {
            None => path.to_owned(),
            Some(Replace::Key(key)) => key.clone(),
            Some(Replace::Prefix(with)) => {
                let prefix = self.condition.as_ref().and_then(|condition| condition.key_prefix.as_deref());
                let rest = prefix.and_then(|prefix| path.strip_prefix(prefix)).unwrap_or(path);
                format!("{with}{rest}")
            }
        };
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        Elsewhere {
            status: status.unwrap_or(StatusCode::MOVED_PERMANENTLY),
            location: address(*protocol, host.as_deref(), &key, came),
        }
    }
}

/// A redirect to the same path at another host.
pub fn everything(host: &str, protocol: Option<Protocol>, path: &str, came: Came<'_>) -> Elsewhere {
    Elsewhere { status: StatusCode::MOVED_PERMANENTLY, location: address(protocol, Some(host), path, came) }
}

/// The redirect from a folder's path without the slash at its end to the folder. Browsers take what begins with two
/// slashes, or with a slash and a backslash, for another host's; with a dot between the two it is a path of this host's.
pub fn folder(path: &str) -> Elsewhere {
    let names_a_host = path.starts_with("//") || path.starts_with("/\\");
    let location = format!("{}{path}/", if names_a_host { "/." } else { "" });
    Elsewhere { status: StatusCode::FOUND, location }
}

/// The redirect that an object's own metadata asks for.
pub fn of_object(location: &str) -> Elsewhere {
    Elsewhere { status: StatusCode::MOVED_PERMANENTLY, location: location.to_owned() }
}

/// A URL; without a protocol or a host it has the request's.
fn address(protocol: Option<Protocol>, host: Option<&str>, key: &str, came: Came<'_>) -> String {
    let protocol = protocol.unwrap_or(Protocol::of(came.scheme)).name();
    format!("{protocol}://{}/{}", host.unwrap_or(came.host), utf8_percent_encode(key, KEPT))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAME: Came<'_> = Came { scheme: &Scheme::HTTP, host: "b.web.example.com:9000" };

    fn rule(prefix: Option<&str>, error_code: Option<u16>, redirect: Redirect) -> RoutingRule {
        let condition = Condition { key_prefix: prefix.map(str::to_owned), error_code };
        RoutingRule { condition: (condition != Condition::default()).then_some(condition), redirect }
    }

    fn serves(rules: Vec<RoutingRule>) -> Serves {
        Serves { index_suffix: "index.html".into(), error_key: None, rules }
    }

    #[test]
    fn a_path_with_a_slash_at_its_end_means_the_index_document() {
        let site = serves(Vec::new());
        for (path, key) in [("", "index.html"), ("a/", "a/index.html"), ("a", "a")] {
            assert_eq!(site.key(path), key);
        }
    }

    #[test]
    fn rules_redirect_by_prefix_and_by_error() {
        let to = |replace| Redirect { replace: Some(replace), ..Redirect::default() };
        let found = Redirect {
            status: Some(302),
            protocol: Some(Protocol::Https),
            host: Some("h".into()),
            ..Redirect::default()
        };
        let site = serves(vec![
            rule(Some("docs/"), None, to(Replace::Prefix("documents/".into()))),
            rule(None, Some(404), found),
            rule(Some("old"), Some(403), to(Replace::Key("gone é.html".into()))),
        ]);
        let leads = |path: &str, error: Option<u16>| {
            let error = error.map(|status| StatusCode::from_u16(status).unwrap());
            site.elsewhere(path, error, CAME).map(|to| (to.status.as_u16(), to.location))
        };
        let here = "http://b.web.example.com:9000";
        assert_eq!(leads("docs/a", None), Some((301, format!("{here}/documents/a"))));
        assert_eq!(leads("a", None), None);
        assert_eq!(leads("a b", Some(404)), Some((302, "https://h/a%20b".into())));
        assert_eq!(leads("older", Some(403)), Some((301, format!("{here}/gone%20%C3%A9.html"))));
        assert_eq!(leads("new", Some(403)), None);
    }

    #[test]
    fn a_redirect_to_a_folder_stays_at_its_host() {
        let to = |path| folder(path).location;
        assert_eq!((to("/a"), to("/a//b%20c")), ("/a/".into(), "/a//b%20c/".into()));
        assert_eq!(
            (to("//example.com"), to("/\\example.com")),
            ("/.//example.com/".into(), "/./\\example.com/".into())
        );
    }

    #[test]
    fn a_redirect_of_all_requests_keeps_the_path() {
        let all = everything("example.com", Some(Protocol::Https), "a/b", CAME);
        assert_eq!(all.location, "https://example.com/a/b");
    }
}
