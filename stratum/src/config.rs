//! The configuration file, and what it means together with the command line.
//!
//! A mistake is told with the file, the line and the field, and the process ends with 2: a server that guessed what
//! was meant would be worse than one that does not start. Everything has a default, so that the file may be empty.

// Each module names its path because the fuzz targets include this file from another folder.
#[path = "config/paths.rs"]
mod paths;
#[path = "config/remote.rs"]
mod remote;
#[path = "config/telling.rs"]
mod telling;
#[path = "config/tiering.rs"]
mod tiering;
#[path = "config/values.rs"]
mod values;

use remote::RefusedSecret;
use serde::Deserialize;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use stratum_auth::{AccessKey, SecretKey};
use stratum_bodies::Codecs;
use stratum_frames::{Compression, ZstdLevel};
use stratum_metadata::record::ObjectOwnership;
use stratum_storage::blob::Tier;
use stratum_storage::pace::Budget;
use stratum_tiering::prices::TierPrices;
pub use telling::{AuditSection, HttpUrl, Metrics, OtlpSection, SENDABLE, WebhookEntry, can_be_sent};
use tiering::{ClockSection, LifecycleSection, TieringSection};
use toml::Spanned;
use values::{
    CodecName, GeometryText, Secret, address, bytes_per_second, domains, duration, filter, narrow_after,
    operations_per_second, ownership, region, size, website_domain,
};

/// Why a configuration cannot be used. The text says where the mistake is.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{path}: {source}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{path}, line {line}{field}: {problem}")]
    Wrong { path: PathBuf, line: usize, field: String, problem: String },
}

/// The configuration file, field by field as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    pub server: ServerSection,
    #[serde(default)]
    pub tiers: Tiers,
    pub tls: Option<Tls>,
    #[serde(default, rename = "user")]
    pub users: Vec<UserEntry>,
    #[serde(default)]
    pub metrics: Metrics,
    #[serde(default)]
    pub background: Background,
    #[serde(default)]
    pub heal: Heal,
    #[serde(default)]
    pub encryption: Encryption,
    #[serde(default)]
    pub tiering: TieringSection,
    #[serde(default)]
    pub clock: ClockSection,
    #[serde(default)]
    pub lifecycle: LifecycleSection,
    #[serde(default, rename = "webhook")]
    pub webhooks: Vec<WebhookEntry>,
    #[serde(default)]
    pub audit: AuditSection,
    #[serde(default)]
    pub otlp: OtlpSection,
    #[serde(default)]
    pub log: Log,
    #[serde(skip)]
    source: Option<Source>,
}

/// The file that a configuration was read from, to say where a field stands whose value proves wrong when it is used.
#[derive(Debug)]
struct Source {
    path: PathBuf,
    /// The offsets of the ends of its lines, in bytes.
    line_ends: Vec<usize>,
}

/// `[server]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSection {
    #[serde(deserialize_with = "address")]
    pub address: SocketAddr,
    #[serde(deserialize_with = "region")]
    pub region: String,
    /// Suffixes of virtual hosts: with `s3.example.com`, `photos.s3.example.com` is the bucket `photos`.
    #[serde(deserialize_with = "domains")]
    pub domains: Vec<String>,
    /// The suffix of hosts that serve websites: with `web.example.com`, `photos.web.example.com` is the website of the
    /// bucket `photos`.
    #[serde(deserialize_with = "website_domain")]
    pub website_domain: Option<Spanned<String>>,
    /// Data folders, used when the command line names none. A list that is written must name at least one.
    #[serde(deserialize_with = "paths::folders")]
    pub data: Vec<PathBuf>,
    /// Serve the console below `/_stratum/console/`.
    pub console: bool,
    /// Serve requests without a signature.
    pub anonymous: bool,
    /// Accept requests signed with Signature Version 2, too.
    pub signature_v2: bool,
    /// The object ownership of a bucket that sets none, under its name in S3.
    #[serde(deserialize_with = "ownership")]
    pub object_ownership: ObjectOwnership,
    /// How long requests in flight may go on after a signal to stop, in seconds.
    pub grace_seconds: u64,
    /// The most connections at a time; by default as many as the limit of file descriptors allows.
    pub connections: Option<Spanned<usize>>,
}

impl Default for ServerSection {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 9000)),
            region: "us-east-1".into(),
            domains: Vec::new(),
            website_domain: None,
            data: Vec::new(),
            console: true,
            anonymous: false,
            signature_v2: false,
            object_ownership: ObjectOwnership::BucketOwnerEnforced,
            grace_seconds: 30,
            connections: None,
        }
    }
}

/// `[tiers.hot]`, `[tiers.warm]`, `[tiers.cold]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tiers {
    pub hot: TierSection,
    pub warm: TierSection,
    pub cold: TierSection,
}

impl Tiers {
    pub fn get(&self, tier: Tier) -> &TierSection {
        match tier {
            Tier::Hot => &self.hot,
            Tier::Warm => &self.warm,
            Tier::Cold => &self.cold,
        }
    }
}

/// The level of zstd for the cold tier, where bytes are kept for long and seldom read: slow to compress, and small.
const COLD_ZSTD_LEVEL: i32 = 19;

impl Tiers {
    /// How the bodies that are written to each tier are compressed. By default, bodies on the hot tier are stored as
    /// they are, and those on the warm and the cold tier are compressed with zstd.
    pub fn codecs(&self) -> Codecs {
        let codec = |tier: &TierSection, usual, level: ZstdLevel| match tier
            .codec
            .as_ref()
            .map_or(usual, |codec| *codec.get_ref())
        {
            CodecName::None => None,
            CodecName::Lz4 => Some(Compression::Lz4),
            CodecName::Zstd => Some(Compression::Zstd(level)),
        };
        let slow = ZstdLevel::new(COLD_ZSTD_LEVEL).unwrap_or_default();
        Codecs {
            hot: codec(&self.hot, CodecName::None, ZstdLevel::default()),
            warm: codec(&self.warm, CodecName::Zstd, ZstdLevel::default()),
            cold: codec(&self.cold, CodecName::Zstd, slow),
        }
    }
}

/// One tier's drives, geometry, codec and prices. Drives and geometry that are absent follow from `--data`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TierSection {
    #[serde(deserialize_with = "paths::folders")]
    pub drives: Vec<PathBuf>,
    pub geometry: Option<Spanned<GeometryText>>,
    /// The codec of bodies that are written to the tier.
    pub codec: Option<Spanned<CodecName>>,
    /// What it costs to store, read and write objects on the tier.
    pub prices: Option<TierPrices>,
    /// The remote store that the cold tier's volumes go to: `s3://BUCKET/PREFIX`, `gs://...` or `az://...`.
    pub remote: Option<Spanned<String>>,
    /// The URL of the remote store, where it doesn't follow from the scheme of `remote`.
    pub endpoint: Option<Spanned<String>>,
    pub region: Option<Spanned<String>>,
    /// The file with the credentials for the remote store. Without it they are taken from the environment.
    #[serde(deserialize_with = "paths::some_file_there")]
    pub credentials_file: Option<Spanned<PathBuf>>,
    #[serde(
        rename = "access_key",
        alias = "access_key_id",
        alias = "secret_key",
        alias = "secret_access_key",
        alias = "password"
    )]
    _credentials: Option<RefusedSecret>,
}

/// `[tls]`: the files of the server's certificate and its key, in PEM.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    #[serde(deserialize_with = "paths::file_there")]
    pub certificate: Spanned<PathBuf>,
    #[serde(deserialize_with = "paths::file_there")]
    pub key: Spanned<PathBuf>,
}

/// `[[user]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserEntry {
    pub access_key: Spanned<String>,
    pub secret_key: Spanned<Secret>,
    /// The canonical user id.
    pub id: Spanned<String>,
    #[serde(default)]
    pub display_name: String,
    #[serde(default)]
    pub email: String,
}

/// `[background]`: the most that heal, compaction, scrub, drains and balancing together may read and write in a second.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Background {
    #[serde(deserialize_with = "bytes_per_second")]
    pub bytes_per_second: u64,
    #[serde(deserialize_with = "operations_per_second")]
    pub operations_per_second: u64,
}

impl Default for Background {
    fn default() -> Self {
        let Budget { bytes_per_second, operations_per_second } = Budget::default();
        Self { bytes_per_second, operations_per_second }
    }
}

/// `[heal]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Heal {
    /// How long bodies that lost redundancy wait for a missing drive before they are written anew over the drives that
    /// are left, and how long all drives must be healthy before such bodies are spread over all of them again.
    #[serde(deserialize_with = "narrow_after")]
    pub narrow_after: Duration,
}

impl Default for Heal {
    fn default() -> Self {
        Self { narrow_after: Duration::from_secs(30 * 60) }
    }
}

/// `[encryption]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Encryption {
    /// The file of the master keys. Only its owner may have the right to read it.
    #[serde(deserialize_with = "paths::some_file_there")]
    pub master_keys: Option<Spanned<PathBuf>>,
}

/// `[log]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    pub format: LogFormat,
    /// A tracing filter, such as `info` or `stratum_storage=debug,info`.
    #[serde(deserialize_with = "filter")]
    pub filter: Option<String>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

impl Config {
    /// Reads and checks a file.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        Config::parse(path, &text)
    }

    pub fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
        let mut config: Config = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            wrong(path, text, at, field_at(text, at), error.message().to_owned())
        })?;
        config.check(path, text)?;
        let line_ends = text.match_indices('\n').map(|(at, _)| at).collect();
        config.source = Some(Source { path: path.to_owned(), line_ends });
        Ok(config)
    }

    /// Where a field stands, for a value that proves wrong only when it is used: its name, with the file and the line.
    pub fn place<T>(&self, field: &str, value: &Spanned<T>) -> String {
        let Some(Source { path, line_ends }) = &self.source else { return field.to_owned() };
        let line = line_ends.partition_point(|end| *end < value.span().start) + 1;
        format!("{}, line {line}, {field}", path.display())
    }

    /// Checks what can't be checked field by field: fields that must fit to others, and users.
    fn check(&self, path: &Path, text: &str) -> Result<(), ConfigError> {
        for tier in Tier::ALL {
            let section = self.tiers.get(tier);
            if let Some((at, field, problem)) = section.remote_problem(tier) {
                return Err(wrong(path, text, at, format!(", tiers.{}.{field}", tier.name()), problem));
            }
            let Some(geometry) = &section.geometry else { continue };
            let (shards, drives) = (geometry.get_ref().0.shards(), section.drives.len());
            if drives != 0 && shards > drives {
                let problem =
                    format!("geometry {} needs {shards} drives, {drives} are named", geometry.get_ref().0);
                let field = format!(", tiers.{}.geometry", tier.name());
                return Err(wrong(path, text, geometry.span().start, field, problem));
            }
        }
        let (mut keys, mut ids) = (HashSet::new(), HashSet::new());
        for user in &self.users {
            if let Err(error) = AccessKey::new(user.access_key.get_ref()) {
                let at = user.access_key.span().start;
                return Err(wrong(path, text, at, ", user.access_key".into(), error.to_string()));
            }
            if let Err(error) = SecretKey::new(&user.secret_key.get_ref().0) {
                let at = user.secret_key.span().start;
                return Err(wrong(path, text, at, ", user.secret_key".into(), error.to_string()));
            }
            let fields = [("access_key", &user.access_key, &mut keys), ("id", &user.id, &mut ids)];
            for (name, value, seen) in fields {
                let problem = match value.get_ref().as_str() {
                    "" => "is empty".to_owned(),
                    taken if !seen.insert(taken.to_owned()) => {
                        format!("\"{taken}\" is taken by another user")
                    }
                    _ => continue,
                };
                return Err(wrong(path, text, value.span().start, format!(", user.{name}"), problem));
            }
        }
        let is_taken =
            |domain: &str| self.server.domains.iter().any(|other| other.eq_ignore_ascii_case(domain));
        if let Some(website) = self.server.website_domain.as_ref().filter(|domain| is_taken(domain.get_ref()))
        {
            let problem = format!(
                "\"{}\" is one of server.domains: websites take a domain of their own",
                website.get_ref()
            );
            let at = website.span().start;
            return Err(wrong(path, text, at, ", server.website_domain".into(), problem));
        }
        let mut names = HashSet::new();
        for webhook in &self.webhooks {
            let name = &webhook.name;
            if !names.insert(name.get_ref().as_str()) {
                let problem = format!("\"{}\" is taken by another webhook", name.get_ref());
                return Err(wrong(path, text, name.span().start, ", webhook.name".into(), problem));
            }
        }
        if let Some(webhook) = &self.audit.webhook
            && !names.contains(webhook.get_ref().as_str())
        {
            let problem =
                format!("\"{}\" is no webhook: there is no [[webhook]] of that name", webhook.get_ref());
            return Err(wrong(path, text, webhook.span().start, ", audit.webhook".into(), problem));
        }
        Ok(())
    }
}

fn wrong(path: &Path, text: &str, at: usize, field: String, problem: String) -> ConfigError {
    let line = text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
    ConfigError::Wrong { path: path.to_owned(), line, field, problem }
}

/// The name of the field that is set on the line of this offset, as `, section.name`, or that of the section that begins
/// there; empty if the line is neither.
fn field_at(text: &str, at: usize) -> String {
    let start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
    let line = text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    if let Some(section) = line.trim().strip_prefix('[') {
        let name = section.split(']').next().unwrap_or_default();
        return format!(", {}", name.trim_start_matches('['));
    }
    let section = text
        .get(..start)
        .and_then(|before| before.lines().rev().find(|line| line.trim_start().starts_with('[')))
        .map(|line| line.trim().trim_matches(['[', ']']).to_owned());
    match (section, line.split_once('=')) {
        (Some(section), Some((name, _))) => format!(", {section}.{}", name.trim()),
        (None, Some((name, _))) => format!(", {}", name.trim()),
        (_, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Config::parse(Path::new("stratum.toml"), text).expect_err("a refusal").to_string()
    }

    #[test]
    fn an_empty_file_gives_the_defaults() {
        let config = Config::parse(Path::new("x"), "").unwrap();
        assert_eq!(config.server.region, "us-east-1");
        assert_eq!(config.server.address.to_string(), "127.0.0.1:9000");
    }

    #[test]
    fn the_example_configuration_is_valid() {
        let text = include_str!("../../stratum.example.toml");
        Config::parse(Path::new("stratum.example.toml"), text).unwrap();
    }

    #[test]
    fn a_mistake_is_told_with_its_file_line_and_field() {
        let text = refusal("[server]\nregion = \"x\"\naddress = \"nowhere\"\n");
        assert!(text.starts_with("stratum.toml, line 3, server.address: "), "{text}");
        let text = refusal("[server]\nregoin = \"x\"\n");
        assert!(text.starts_with("stratum.toml, line 2, server.regoin: "), "{text}");
        let text = refusal("[tiers.hot]\ngeometry = \"9+2\"\n");
        assert!(text.starts_with("stratum.toml, line 2, tiers.hot.geometry: "), "{text}");
        let text = refusal("[tiers.hot]\ndrives = [\"a\", \"b\"]\ngeometry = \"4+2\"\n");
        assert!(
            text.contains("line 3, tiers.hot.geometry: geometry 4+2 needs 6 drives, 2 are named"),
            "{text}"
        );
    }

    #[test]
    fn only_the_cold_tier_takes_a_remote_store_and_credentials_are_refused() {
        let text = "[tiers.cold]\nremote = \"s3://cold/here\"\nendpoint = \"http://127.0.0.1:1\"\nregion = \"eu-1\"\n";
        let config = Config::parse(Path::new("x"), text).unwrap();
        let address = config.tiers.cold.remote_address().unwrap().unwrap();
        assert_eq!(address.to_string(), "s3://cold/here at http://127.0.0.1:1");
        for (text, told) in [
            (
                "[tiers.hot]\nremote = \"s3://x\"\n",
                "line 2, tiers.hot.remote: only the cold tier may be remote",
            ),
            ("[tiers.cold]\nremote = \"cold\"\n", "line 2, tiers.cold.remote: \"cold\" is no remote store"),
            ("[tiers.cold]\nregion = \"eu-1\"\n", "line 2, tiers.cold.region: only a remote store has"),
            (
                "[tiers.cold]\ncredentials_file = \"x\"\n",
                "line 2, tiers.cold.credentials_file: only a remote store has",
            ),
            (
                "[tiers.warm]\ncredentials_file = \"x\"\n",
                "line 2, tiers.warm.credentials_file: only a remote store has",
            ),
            (
                "[tiers.cold]\nremote = \"gs://x\"\nregion = \"eu-1\"\n",
                "line 3, tiers.cold.region: only an s3:// address has a region",
            ),
            (
                "[tiers.cold]\nremote = \"s3://a:hush@x\"\n",
                "line 2, tiers.cold.remote: an address holds no credentials",
            ),
            ("[tiers.cold]\nsecret_access_key = \"hush\"\n", "line 2, tiers.cold.secret_access_key: "),
        ] {
            let error = refusal(text);
            assert!(error.contains(told) && !error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn two_users_cannot_have_the_same_access_key() {
        let user = "[[user]]\naccess_key = \"A\"\nsecret_key = \"secret key\"\nid = \"1\"\n";
        let text = refusal(&format!("{user}{}", user.replace("\"1\"", "\"2\"")));
        assert!(text.contains("line 6, user.access_key: \"A\" is taken by another user"), "{text}");
    }

    #[test]
    fn sizes_and_durations_are_written_with_units() {
        let text = "[background]\nbytes_per_second = \"64MiB\"\n[heal]\nnarrow_after = \"2m\"\n";
        let config = Config::parse(Path::new("x"), text).unwrap();
        assert_eq!(config.background.bytes_per_second, 64 << 20);
        assert_eq!(config.background.operations_per_second, Budget::default().operations_per_second);
        assert_eq!(config.heal.narrow_after, Duration::from_secs(120));
        // No size here is that of a PUT, so none is held to what one may carry.
        let text = "[background]\nbytes_per_second = \"6GiB\"\n[tiering]\nmemory = \"8GiB\"\n";
        let config = Config::parse(Path::new("x"), text).unwrap();
        assert_eq!((config.background.bytes_per_second, config.tiering.memory), (6 << 30, 8 << 30));
        let text = refusal("[heal]\nnarrow_after = \"soon\"\n");
        assert!(text.contains("line 2, heal.narrow_after: \"soon\" is not a duration"), "{text}");
    }

    #[test]
    fn a_domain_of_websites_that_is_taken_is_told_with_its_own_line() {
        let text = "# website_domain = \"web.example.com\"\n[server]\ndomains = [\"S3.example.com\"]\n";
        let text = refusal(&format!("{text}website_domain = \"s3.example.com\"\n"));
        assert!(text.contains("line 4, server.website_domain: \"s3.example.com\" is one of"), "{text}");
        let text = refusal("[server]\nwebsite_domain = \"http://x\"\n");
        assert!(text.contains("line 2, server.website_domain: \"http://x\" is no domain"), "{text}");
    }

    #[test]
    fn where_a_field_stands_is_known_later_too() {
        let text = "[server]\nregion = \"x\"\nconnections = 5\n[tls]\ncertificate = \"c\"\nkey = \"k\"\n";
        let config = Config::parse(Path::new("stratum.toml"), text).unwrap();
        let connections = config.server.connections.as_ref().unwrap();
        assert_eq!(
            config.place("server.connections", connections),
            "stratum.toml, line 3, server.connections"
        );
        let tls = config.tls.as_ref().unwrap();
        assert_eq!(
            config.place("tls.certificate", &tls.certificate),
            "stratum.toml, line 5, tls.certificate"
        );
        assert_eq!(config.place("tls.key", &tls.key), "stratum.toml, line 6, tls.key");
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let text = "[[user]]\naccess_key = \"A\"\nsecret_key = \"hush-hush\"\nid = \"1\"\n";
        let config = Config::parse(Path::new("x"), text).unwrap();
        assert!(!format!("{config:?}").contains("hush"));
    }

    #[test]
    fn no_error_of_parsing_shows_a_secret() {
        for secret in [
            "12345678",
            "\"12345\"",
            "[\"12345678\"]",
            "12345678.5",
            "{ a = \"12345678\" }",
            "12345-678",
            "\"12345678\\q\"",
        ] {
            for (section, field) in
                [("[[user]]\naccess_key = \"A\"\nid = \"1\"", "secret_key"), ("[metrics]", "token")]
            {
                let told = Config::parse(Path::new("x"), &format!("{section}\n{field} = {secret}\n"));
                let told = told.map_or_else(|error| error.to_string(), |config| format!("{config:?}"));
                assert!(!told.contains("12345"), "{told}");
            }
        }
    }

    #[test]
    fn values_without_a_meaning_are_refused_with_line_and_field() {
        for (text, told) in [
            ("[server]\nregion = \"US East\"", "line 2, server.region: \"US East\" is no region"),
            ("[server]\nregion = \"\"", "line 2, server.region: "),
            ("[server]\ndomains = [\"http://x/\"]", "line 2, server.domains: \"http://x/\" is no domain"),
            ("[tiers.hot]\ncodec = \"gzip\"", "line 2, tiers.hot.codec: "),
            ("[server]\ndata = []", "line 2, server.data: names no folder"),
            ("[server]\naddress = \"9000\"", "line 2, server.address: "),
            ("[server]\ndata = [\"a\", \"\"]", "line 2, server.data: names no folder"),
            ("[tiers.warm]\ndrives = []", "line 2, tiers.warm.drives: names no folder"),
            ("[tls]\ncertificate = \"\"\nkey = \"k\"", "line 2, tls.certificate: names no file"),
            ("[encryption]\nmaster_keys = \"\"", "line 2, encryption.master_keys: names no file"),
            ("[audit]\nfile = \"\"", "line 2, audit.file: names no file"),
            ("[tiers.cold]\ncredentials_file = \"\"", "line 2, tiers.cold.credentials_file: names no file"),
            ("[background]\nbytes_per_second = \"0\"", "line 2, background.bytes_per_second: is too little"),
            ("[background]\noperations_per_second = 0", "line 2, background.operations_per_second: is too"),
            ("[log]\nfilter = \"\"", "line 2, log.filter: is empty"),
            ("[tiers.cold]\nremote = \"s3://b\"\nregion = \"US East\"", "line 3, tiers.cold.region: "),
            ("[metrics]\ntoken = \"\"", "line 2, metrics.token: is empty"),
            ("[metrics]\ntoken = \"a b\"", "line 2, metrics.token: can't be sent in a header"),
            (
                "[metrics]\nbuckets = [\"Photos\"]",
                "line 2, metrics.buckets: \"Photos\": a bucket's name has ",
            ),
            ("[heal]\nnarrow_after = \"30\"", "line 2, heal.narrow_after: \"30\" has no unit"),
            ("[heal]\nnarrow_after = \"0s\"", "line 2, heal.narrow_after: is no time"),
            ("[server]\ndomains = [\"1.2.3.4\"]", "line 2, server.domains: \"1.2.3.4\" is no domain"),
            ("[server]\ndomains = [\"[::1]\"]", "line 2, server.domains: \"[::1]\" is no domain"),
            ("[server]\nwebsite_domain = \"1.2.3.4\"", "line 2, server.website_domain: \"1.2.3.4\" is no"),
            ("[server]\ndomains = [\"a.b\", \"A.b\"]", "line 2, server.domains: \"A.b\" is named twice"),
            ("[log]\nfilter = \"=,=\"", "line 2, log.filter: "),
            ("[audit]\nkeep = 4294967295", "line 2, audit.keep: is over 10000"),
            ("[log]\nfilter = \"warning\"", "line 2, log.filter: \"warning\" is no level"),
            ("[log]\nfilter = \"info,stratum\"", "line 2, log.filter: \"stratum\" is no level"),
            ("[[user]]\naccess_key = \"A\"\nsecret_key = \"short\"\nid = \"1\"", "line 3, user.secret_key: "),
            (
                "[[user]]\naccess_key = \"a/b\"\nsecret_key = \"long enough\"\nid = \"1\"",
                "line 2, user.access_key: ",
            ),
        ] {
            let refused = refusal(&format!("{text}\n"));
            assert!(refused.contains(told), "{refused}");
        }
    }
}
