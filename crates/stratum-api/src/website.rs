//! A bucket as a website: what its configuration makes of a path, and of an error.
//!
//! Source: Amazon S3 User Guide, "Hosting a static website" and "(Optional) Configuring a webpage redirect"; API Reference,
//! `WebsiteConfiguration`.

use http::StatusCode;
use http::uri::Scheme;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays as it is in a path.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// A bucket's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Website {
    /// Whatever is asked for is elsewhere.
    RedirectAll {
        host: String,
        protocol: Option<Protocol>,
    },
    Serves(Serves),
}

/// What is served, and what leads elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serves {
    /// What follows a path that ends with `/`, or is empty.
    pub index_suffix: String,
    /// The key of the page that errors have.
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

/// Where what fits leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutingRule {
    pub condition: Option<Condition>,
    pub redirect: Redirect,
}

/// All of it must hold; at least one of it is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    pub key_prefix: Option<String>,
    /// The status that would else be answered.
    pub error_code: Option<u16>,
}

/// What becomes of the request's address; what isn't there stays as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redirect {
    pub protocol: Option<Protocol>,
    pub host: Option<String>,
    pub replace: Option<Replace>,
    pub status: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replace {
    /// What the condition's prefix was.
    Prefix(String),
    Key(String),
}

/// How somebody came.
#[derive(Clone, Copy, Debug)]
pub struct Came<'a> {
    pub scheme: &'a Scheme,
    pub host: &'a str,
}

/// Where somebody is sent.
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

    /// Where the path leads before anything is looked up, or after an error of that status.
    pub fn elsewhere(&self, path: &str, error: Option<StatusCode>, came: Came<'_>) -> Option<Elsewhere> {
        let rule = self.rules.iter().find(|rule| rule.fits(path, error))?;
        Some(rule.leads(path, came))
    }
}

impl RoutingRule {
    /// A rule about an error holds when there is that error; any other before one can be.
    fn fits(&self, path: &str, error: Option<StatusCode>) -> bool {
        let Some(condition) = &self.condition else { return error.is_none() };
        condition.error_code == error.map(|status| status.as_u16())
            && condition.key_prefix.as_ref().is_none_or(|prefix| path.starts_with(prefix))
    }

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

/// The same path at another host.
pub fn everything(host: &str, protocol: Option<Protocol>, path: &str, came: Came<'_>) -> Elsewhere {
    Elsewhere { status: StatusCode::MOVED_PERMANENTLY, location: address(protocol, Some(host), path, came) }
}

/// Where an object leads that says so itself.
pub fn of_object(location: &str) -> Elsewhere {
    Elsewhere { status: StatusCode::MOVED_PERMANENTLY, location: location.to_owned() }
}

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
    fn a_folder_is_its_index() {
        let site = serves(Vec::new());
        for (path, key) in [("", "index.html"), ("a/", "a/index.html"), ("a", "a")] {
            assert_eq!(site.key(path), key);
        }
    }

    #[test]
    fn rules_lead_elsewhere_by_prefix_and_by_error() {
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
    fn everything_leads_elsewhere_with_its_path() {
        let all = everything("example.com", Some(Protocol::Https), "a/b", CAME);
        assert_eq!(all.location, "https://example.com/a/b");
    }
}
