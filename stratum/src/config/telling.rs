//! The sections about where the server reports what happens: `[[webhook]]`, `[audit]`, `[metrics]` and `[otlp]`.

use super::paths::some_file;
use super::{Secret, size};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use std::collections::BTreeSet;
use std::path::PathBuf;
use stratum_api::traces::Share;
use stratum_metadata::record::BucketName;
use toml::Spanned;

/// The longest name of a webhook.
const MAX_NAME_CHARS: usize = 64;
/// The most former audit files that are kept.
const MOST_FORMER_FILES: u32 = 10_000;
/// The smallest size at which a file of the audit may be rotated.
const LEAST_FILE_BYTES: u64 = 64 << 10;
/// How many buckets may have metrics of their own. Each bucket makes up to some hundred time series.
const MAX_METERED_BUCKETS: usize = 100;

/// `[[webhook]]`: a receiver of events or of the audit. The users of buckets choose a webhook by its name and can't
/// give a URL, so they can't have the server send requests to addresses of their choice.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookEntry {
    #[serde(deserialize_with = "name")]
    pub name: Spanned<String>,
    pub url: HttpUrl,
    /// A file with the token that is sent as `Authorization: Bearer TOKEN`.
    #[serde(default, deserialize_with = "some_file")]
    pub token_file: Option<PathBuf>,
}

/// `http://host:port/path` or `https://...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl {
    /// `host:port`, as the `Host` header has it.
    pub authority: String,
    /// Path and query.
    pub target: String,
    pub is_tls: bool,
}

impl<'de> Deserialize<'de> for HttpUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // What was written isn't shown, since a URL may hold a password.
        HttpUrl::parse(&text).ok_or_else(|| {
            D::Error::custom("is no URL such as https://host:port/path, without user, password and fragment")
        })
    }
}

impl HttpUrl {
    fn parse(text: &str) -> Option<HttpUrl> {
        let uri: http::Uri = text.parse().ok().filter(|_| !text.contains('#'))?;
        let authority = uri.authority()?.as_str();
        let is_tls = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let (authority, target) = (authority.to_owned(), target.to_owned());
        (!authority.contains('@') && uri.host().is_some_and(|host| !host.is_empty())).then_some(HttpUrl {
            authority,
            target,
            is_tls,
        })
    }

    /// The URL of a path below this URL.
    pub fn below(&self, path: &str) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        let (authority, target) = (&self.authority, self.target.trim_end_matches('/'));
        format!("{scheme}://{authority}{target}/{path}")
    }

    /// The host without brackets and port, and `host:port` with the scheme's port if none is written.
    pub fn host_and_address(&self) -> (String, String) {
        let (host, port) = match self.authority.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => (host, port),
            _ => (self.authority.as_str(), if self.is_tls { "443" } else { "80" }),
        };
        (host.trim_matches(['[', ']']).to_owned(), format!("{host}:{port}"))
    }
}

/// The name of a webhook: letters, digits, `-` and `_`, since it becomes a part of an ARN.
fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Spanned<String>, D::Error> {
    let text = Spanned::<String>::deserialize(deserializer)?;
    let fits = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_');
    let name = text.get_ref();
    if !name.is_empty() && name.len() <= MAX_NAME_CHARS && name.chars().all(fits) {
        return Ok(text);
    }
    Err(D::Error::custom(format!(
        "\"{name}\" can't be the name of a webhook, which is 1 to {MAX_NAME_CHARS} letters, digits, '-' and '_'"
    )))
}

/// `[audit]`: where the records of requests that changed something or were refused are kept. Without a file and a
/// webhook, none are made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditSection {
    #[serde(deserialize_with = "some_file")]
    pub file: Option<PathBuf>,
    /// The size in bytes at which a file is rotated.
    #[serde(deserialize_with = "file_bytes")]
    pub file_size: u64,
    /// How many former files are kept.
    #[serde(deserialize_with = "former_files")]
    pub keep: u32,
    pub webhook: Option<Spanned<String>>,
}

impl Default for AuditSection {
    fn default() -> Self {
        Self { file: None, file_size: 64 << 20, keep: 10, webhook: None }
    }
}

/// Each file that is rotated has all former ones renamed, so their number is bounded.
fn former_files<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        files if files <= MOST_FORMER_FILES => Ok(files),
        _ => {
            Err(D::Error::custom(format!("is over {MOST_FORMER_FILES}: write less, and a larger file_size")))
        }
    }
}

fn file_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match size(deserializer)? {
        bytes if bytes >= LEAST_FILE_BYTES => Ok(bytes),
        _ => Err(D::Error::custom("is less than 64KiB")),
    }
}

/// `[metrics]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// The token that a scraper must send as `Authorization: Bearer TOKEN`. Without a token, only scrapers on the
    /// loopback interface are answered.
    #[serde(deserialize_with = "token")]
    pub token: Option<Secret>,
    /// Buckets that have metrics of their own. The operator names them, so that users can't make metrics by making
    /// buckets.
    #[serde(deserialize_with = "buckets")]
    pub buckets: BTreeSet<String>,
}

/// A token that can follow `Bearer` in a header.
fn token<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    let token = Secret::deserialize(deserializer)?;
    match can_be_sent(&token.0) {
        true => Ok(Some(token)),
        false => Err(D::Error::custom(format!("can't be sent in a header: {SENDABLE}"))),
    }
}

/// What a token must be.
pub const SENDABLE: &str = "write visible ASCII characters without spaces";

/// Whether a token can follow `Bearer` in a header.
pub fn can_be_sent(token: &str) -> bool {
    token.bytes().all(|byte| byte.is_ascii_graphic())
}

fn buckets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<String>, D::Error> {
    let all = BTreeSet::<String>::deserialize(deserializer)?;
    for name in &all {
        BucketName::parse(name).map_err(|wrong| D::Error::custom(format!("\"{name}\": {wrong}")))?;
    }
    match all.len() {
        ..=MAX_METERED_BUCKETS => Ok(all),
        more => Err(D::Error::custom(format!(
            "{more} buckets are named, and at most {MAX_METERED_BUCKETS} may have metrics of their own"
        ))),
    }
}

/// `[otlp]`: an OpenTelemetry collector that gets traces of requests and lines of the log. There is none by default.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OtlpSection {
    /// The collector's base URL, below which are `/v1/traces` and `/v1/logs`.
    #[serde(deserialize_with = "collector")]
    pub endpoint: Option<HttpUrl>,
    /// Which share of all requests is traced.
    #[serde(deserialize_with = "share")]
    pub traces: Share,
    /// Whether the collector gets the lines of the log.
    pub logs: bool,
}

impl Default for OtlpSection {
    fn default() -> Self {
        Self { endpoint: None, traces: Share::ALL, logs: true }
    }
}

fn collector<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<HttpUrl>, D::Error> {
    let url = HttpUrl::deserialize(deserializer)?;
    match url.target.contains('?') {
        false => Ok(Some(url)),
        true => Err(D::Error::custom("has a query: it is the base below which are v1/traces and v1/logs")),
    }
}

fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Share, D::Error> {
    let share = f64::deserialize(deserializer)?;
    Share::new(share)
        .ok_or_else(|| D::Error::custom(format!("{share} is not a share from 0.0 (none) to 1.0 (all)")))
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use std::path::Path;

    #[test]
    fn a_webhook_has_a_name_and_a_url() {
        let text =
            "[[webhook]]\nname = \"a-1\"\nurl = \"https://[::1]:8443/x?y\"\n[audit]\nwebhook = \"a-1\"\n";
        let config = Config::parse(Path::new("x"), text).unwrap();
        let url = &config.webhooks[0].url;
        assert_eq!((url.target.as_str(), url.is_tls), ("/x?y", true));
        assert_eq!(url.host_and_address(), ("::1".into(), "[::1]:8443".into()));
        let plain = HttpUrl::parse("http://hooks.example.com").unwrap();
        assert_eq!((plain.target.as_str(), plain.is_tls), ("/", false));
        assert_eq!(plain.host_and_address(), ("hooks.example.com".into(), "hooks.example.com:80".into()));
        for wrong in ["", "hooks", "/path", "ftp://a", "http://", "http://u:p@h/", "http://h/#f", "http:///x"]
        {
            assert_eq!(HttpUrl::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn there_is_no_collector_by_default_and_signals_have_paths_below_its_url() {
        let of = |text: &str| Config::parse(Path::new("x"), text);
        assert!(of("").unwrap().otlp.endpoint.is_none());
        let below = |base: &str| {
            let config = of(&format!("[otlp]\nendpoint = {base:?}\n")).unwrap();
            config.otlp.endpoint.unwrap().below("v1/traces")
        };
        assert_eq!(below("http://127.0.0.1:4318"), "http://127.0.0.1:4318/v1/traces");
        assert_eq!(below("https://otel.example.com/in/"), "https://otel.example.com/in/v1/traces");
        let refusal = |text: &str| of(text).unwrap_err().to_string();
        assert!(refusal("[otlp]\ntraces = 1.5\n").contains("line 2, otlp.traces: 1.5 is not a share"));
        assert!(refusal("[otlp]\nendpoint = \"http://h/?a\"\n").contains("otlp.endpoint: has a query"));
        assert!(refusal("[otlp]\nendpoint = \"grpc://h\"\n").contains("otlp.endpoint: "));
        let refused = refusal("[otlp]\nendpoint = \"https://user:hush@h/\"\n");
        assert!(
            refused.contains("otlp.endpoint: is no URL such as") && !refused.contains("hush"),
            "{refused}"
        );
    }

    #[test]
    fn a_webhook_that_is_named_twice_or_nowhere_is_refused() {
        let refusal = |text: &str| Config::parse(Path::new("x"), text).unwrap_err().to_string();
        let hook = "[[webhook]]\nname = \"a\"\nurl = \"http://h/\"\n";
        assert!(refusal(&format!("{hook}{hook}")).contains("line 5, webhook.name: \"a\" is taken"));
        assert!(
            refusal(&format!("{hook}[audit]\nwebhook = \"b\"\n"))
                .contains("line 5, audit.webhook: \"b\" is no webhook")
        );
        assert!(refusal("[[webhook]]\nname = \"a b\"\nurl = \"http://h/\"\n").contains("webhook.name: "));
        assert!(refusal("[audit]\nfile_size = \"1KiB\"\n").contains("audit.file_size: is less than 64KiB"));
    }
}
