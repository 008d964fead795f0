//! The rig of these tests: a server on loopback over six temporary drives, and a client that can send any bytes and
//! shows the answer as it came.

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use axum::Router;
use axum::routing::get;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use stratum_api::admission::Admission;
use stratum_api::audit::{Audit, AuditLines};
use stratum_api::bodies::Bodies;
use stratum_api::context::{SessionKeeper, Settings, Store};
use stratum_api::server::admin::Admin;
use stratum_api::server::{Connections, Limits, Server};
use stratum_auth::{AccessKey, Identities, SecretKey, User, Verifier, Version2};
use stratum_bodies::{Codecs, Tables};
use stratum_cipher::{DataKey, KEY_BYTES, MasterKeys};
use stratum_engine::{Config, Engine, Foundation};
use stratum_frames::Compression;
use stratum_metadata::record::{Level, ObjectOwnership};
use stratum_storage::ambient::{Clock, Simulated, System, UnixMillis};
use stratum_storage::blob::{Geometry, Tier};
use stratum_storage::drive::Threads;
use stratum_storage::journal;
use stratum_storage::pace::Pace;
use stratum_storage::set::{Root, SetConfig, TierConfig};
use stratum_tiering::content::Samples;
use stratum_tiering::day::Day;
use stratum_tiering::usage::Usage;
use stratum_tiering::usage::name::Seed;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tracing_mutex::parkinglot::Mutex;

pub const ROOT: (&str, &str) = ("AKIAROOT", "root-secret");
pub const OTHER: (&str, &str) = ("AKIAOTHER", "other-secret");

/// Who signs a request, and for which service.
#[derive(Clone, Copy, Debug)]
pub struct Signer<'a> {
    pub key: (&'a str, &'a str),
    /// The session token, if the key is a session's.
    pub token: Option<&'a str>,
    pub service: &'a str,
}

impl<'a> From<(&'a str, &'a str)> for Signer<'a> {
    fn from(key: (&'a str, &'a str)) -> Self {
        Signer { key, token: None, service: "s3" }
    }
}

/// The server's clock: the machine's time and what a test adds to it.
#[derive(Debug, Default)]
pub struct Ahead {
    by: AtomicU64,
    /// The next call of `now` panics.
    is_tripped: AtomicBool,
}

impl Clock for Ahead {
    fn now(&self) -> UnixMillis {
        assert!(!self.is_tripped.swap(false, Ordering::Relaxed), "by plan");
        System.now() + self.by.load(Ordering::Relaxed)
    }

    fn monotonic(&self) -> Duration {
        System.monotonic() + Duration::from_millis(self.by.load(Ordering::Relaxed))
    }
}

/// A running server. A drop stops it and deletes its drives' folders.
pub struct Rig {
    pub address: std::net::SocketAddr,
    pub store: Arc<Store>,
    pub connections: Arc<Connections>,
    /// The audit lines that no test has taken yet.
    pub audit: Mutex<AuditLines>,
    _stop: oneshot::Sender<()>,
    ahead: Arc<Ahead>,
    /// Connects to the server over TLS; `None` if the server takes plain HTTP.
    tls: Option<TlsConnector>,
    folder: tempfile::TempDir,
}

/// The settings of the server that a test may choose.
pub struct Choices {
    pub anonymous: bool,
    pub object_ownership: ObjectOwnership,
    pub admission: u64,
    pub domains: Vec<String>,
    pub website_domain: Option<String>,
    pub region: String,
    /// The most connections that may be open at the same time.
    pub connections: usize,
    pub limits: Limits,
    /// The most bytes of journal on each drive.
    pub journal_cap: u64,
    /// How new bodies are compressed in the hot tier.
    pub compression: Option<Compression>,
    /// A test of what a level brought chooses the age that it needs. A server's other answers don't depend on the
    /// level, so any other test leaves the age to its binary.
    pub age: Age,
    /// The tiers that the store has, each of six drives.
    pub tiers: &'static [Tier],
    /// Whether to serve over TLS, without which requests with a client's own encryption keys (SSE-C) are refused.
    pub tls: bool,
    pub version_2: Version2,
    /// How long an answer may take before it is begun, where it may be begun before it is known.
    pub late_after: Duration,
}

/// The level at which a test's store is written, as if an older or the newest binary had created it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// The store is written at the newest level from the start.
    New,
    /// The store is written at the first level, and stays there.
    Old,
    /// The store begins at the first level and is raised to the newest while the test runs.
    Raised,
}

/// How long after its start a store of the age `Raised` is raised. By then most tests have written something, and have
/// more to do.
const RAISE_DELAY: Duration = Duration::from_millis(60);

impl Default for Choices {
    fn default() -> Self {
        Self {
            anonymous: true,
            object_ownership: Settings::default().object_ownership,
            admission: 256 << 20,
            domains: Vec::new(),
            website_domain: None,
            region: "us-east-1".into(),
            connections: Connections::USUAL_LIMIT,
            limits: Limits::default(),
            journal_cap: journal::Options::default().cap,
            compression: crate::compression(),
            age: crate::AGE,
            tiers: &[Tier::Hot],
            tls: false,
            version_2: Version2::Refused,
            late_after: Settings::default().late_after,
        }
    }
}

/// An answer, as it came over the wire.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The text inside the first element of that name.
    pub fn element(&self, name: &str) -> Option<String> {
        let text = self.text();
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(inside, _)| inside.to_owned())
    }

    pub fn code(&self) -> String {
        self.element("Code").unwrap_or_default()
    }
}

impl Rig {
    pub async fn start() -> Rig {
        Rig::with(Choices::default()).await
    }

    pub async fn with(choices: Choices) -> Rig {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (audit, lines) = Audit::open();
        let ahead = Arc::new(Ahead::default());
        let store = Arc::new(store(folder.path(), &choices, ahead.clone(), audit).await);
        let panics = async || -> &'static str { panic!("by plan") };
        let operator = Router::new().route("/status", get(async || "{}")).route("/panics", get(panics));
        let admin = Admin::new(Arc::new(|| Ok(())), Arc::new(|| "up 1\n".into()), None, operator);
        let connections = Connections::new(choices.connections);
        let server = Server::new(store.clone(), admin, connections.clone(), choices.limits);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let (tls, connector) = choices.tls.then(certified).unzip();
        tokio::spawn(server.serve(listener, tls, async move {
            let _ = stopped.await;
        }));
        let audit = Mutex::new(lines);
        Rig { address, store, connections, audit, _stop: stop, ahead, tls: connector, folder }
    }

    /// A server with a bucket `bucket` of the root user's.
    pub async fn with_bucket() -> Rig {
        let rig = Rig::start().await;
        assert_eq!(rig.send("PUT", "/bucket", &[], b"").await.status, 200);
        rig
    }

    /// Sets the server's clock forward.
    pub fn wait(&self, time: Duration) {
        self.ahead.by.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
    }

    /// Makes the server's code panic at its next look at the clock, which is in the next request.
    pub fn trip(&self) {
        self.ahead.is_tripped.store(true, Ordering::Relaxed);
    }

    /// The folder of everything that the server stores.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The folder of one of the six drives.
    #[allow(dead_code)] // only the tests of compressed bodies use it
    pub fn drive(&self, drive: usize) -> std::path::PathBuf {
        self.folder.path().join("hot").join(drive.to_string())
    }

    /// Sends an unsigned request on a new connection.
    pub async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.raw(&request(method, target, headers, body), method == "HEAD").await
    }

    /// Sends a request that is signed by a user, on a new connection.
    pub async fn signed<'a>(
        &self,
        user: impl Into<Signer<'a>>,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let bytes =
            [self.sign(user, method, target, headers, SignableBody::Bytes(body)).as_slice(), body].concat();
        self.raw(&bytes, method == "HEAD").await
    }

    /// The bytes of a request that is signed by a user.
    pub fn sign<'a>(
        &self,
        user: impl Into<Signer<'a>>,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        payload: SignableBody<'_>,
    ) -> Vec<u8> {
        let Signer { key, token, service } = user.into();
        let host = self.address.to_string();
        let mut all = vec![("host".to_owned(), host.clone())];
        if let SignableBody::Bytes(body) = &payload
            && !body.is_empty()
        {
            all.push(("content-length".to_owned(), body.len().to_string()));
        }
        all.extend(headers.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        if service == "s3" {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let token = token.map(str::to_owned);
        let identity = Credentials::new(key.0, key.1, token, None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name(service)
            .time(now())
            .settings(settings)
            .build()
            .expect("complete parameters")
            .into();
        let sent = all.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let url = format!("http://{host}{target}");
        let signable = SignableRequest::new(method, url, sent, payload).expect("a request");
        let (instructions, _) = sign(signable, &params).expect("a signature").into_parts();
        let (added, _) = instructions.into_parts();
        all.extend(added.iter().map(|header| (header.name().to_owned(), header.value().to_owned())));
        let all: Vec<(&str, &str)> =
            all.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        request(method, target, &all, b"")
    }

    /// Sends these bytes as they are on a new connection, and reads the first answer.
    pub async fn raw(&self, bytes: &[u8], head_only: bool) -> Answer {
        let mut connection = TcpStream::connect(self.address).await.expect("a connection");
        if let Some(tls) = &self.tls {
            let name = ServerName::try_from("localhost").expect("a name");
            let mut connection = tls.connect(name, connection).await.expect("TLS");
            connection.write_all(bytes).await.expect("the request goes out");
            connection.flush().await.expect("all of it goes out");
            return answer(&mut connection, head_only).await.expect("an answer");
        }
        connection.write_all(bytes).await.expect("the request goes out");
        answer(&mut connection, head_only).await.expect("an answer")
    }
}

/// A request's bytes; `content-length` is added unless the headers frame the body themselves.
pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let has = |name: &str| headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    let mut out = format!("{method} {target} HTTP/1.1\r\n");
    if !has("host") {
        out.push_str("host: localhost\r\n");
    }
    if !has("content-length") && !has("transfer-encoding") {
        out.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    for (name, value) in headers {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    out.push_str("\r\n");
    [out.as_bytes(), body].concat()
}

/// Reads one answer; `None` when the connection closed before one.
pub async fn answer(connection: &mut (impl AsyncRead + Unpin), head_only: bool) -> Option<Answer> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if connection.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let mut answer = Answer { status, head, body: bytes[end..].to_vec() };
    let length = answer.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let length = if head_only || status == 304 || status == 204 { 0 } else { length };
    while answer.body.len() < length {
        if connection.read_buf(&mut answer.body).await.ok()? == 0 {
            break;
        }
    }
    if answer.header("transfer-encoding") == Some("chunked") {
        while !answer.body.ends_with(b"\r\n0\r\n\r\n")
            && connection.read_buf(&mut answer.body).await.ok()? > 0
        {}
        answer.body = joined(&answer.body)?;
    }
    Some(answer)
}

/// The bytes of a body that came in chunks; `None` if it wasn't whole.
fn joined(mut chunks: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = chunks.windows(2).position(|window| window == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&chunks[..line]).ok()?, 16).ok()?;
        let start = line + 2;
        body.extend_from_slice(chunks.get(start..start + length)?);
        if length == 0 {
            return Some(body);
        }
        chunks = chunks.get(start + length + 2..)?;
    }
}

/// Bytes that differ from seed to seed. They can't be compressed, except in the tests of compressed bodies, where they
/// shrink to half.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = pure_noise(seed, length);
    if crate::compression().is_some() {
        bytes.iter_mut().for_each(|byte| *byte &= 0x0f);
    }
    bytes
}

/// Bytes that differ from seed to seed and can't be compressed.
pub fn pure_noise(seed: u64, length: usize) -> Vec<u8> {
    use stratum_storage::ambient::Entropy;
    let mut bytes = vec![0; length];
    Simulated::new(0, seed).fill(&mut bytes);
    bytes
}

#[allow(clippy::disallowed_methods)] // the signer wants the machine's time, which the server compares with its own
fn now() -> SystemTime {
    SystemTime::now()
}

async fn store(folder: &std::path::Path, choices: &Choices, clock: Arc<dyn Clock>, audit: Audit) -> Store {
    let geometry = Geometry { k: 4, m: 2 };
    let tier = |tier: Tier| {
        let roots = (0..6).map(|drive| folder.join(tier.name()).join(drive.to_string()));
        for root in roots.clone() {
            std::fs::create_dir_all(root).expect("a drive's folder");
        }
        TierConfig { tier, geometry, drives: roots.map(Root::Path).collect() }
    };
    let config =
        SetConfig { tiers: choices.tiers.iter().copied().map(tier).collect(), threads: Threads::Own };
    // The segments are small, since every test fills those of six drives' journals with zeros first.
    let options = journal::Options {
        segment_bytes: choices.journal_cap.min(4 << 20),
        cap: choices.journal_cap,
        ..journal::Options::default()
    };
    let foundation = Foundation::open(&config, options, clock.clone(), Arc::new(System));
    let foundation = foundation.expect("a set of drives, and a journal");
    let first_level = if choices.age == Age::New { Level::NEWEST } else { Level::FIRST };
    let config = Config { reserve: 0, first_level, ..Config::new(folder.join("meta").join("sled")) };
    let engine = Engine::open(foundation, config).await.expect("a store");
    let Engine { metadata, volumes, journal, .. } = engine;
    if choices.age == Age::Raised {
        let metadata = metadata.clone();
        tokio::spawn(async move {
            tokio::time::sleep(RAISE_DELAY).await;
            let _ = metadata.raise_level(Level::NEWEST).await;
        });
    }
    let admission = Admission::new(choices.admission);
    let codecs = Codecs { hot: choices.compression, warm: Some(Compression::default()), ..Codecs::NONE };
    Store {
        metadata: metadata.clone(),
        bodies: Bodies::new(metadata, volumes, journal, codecs, Tables::default()).sampling(true),
        members: Default::default(),
        identities: Identities::new([user("root", ROOT, true), user("other", OTHER, false)]).expect("users"),
        verifier: Verifier::new(&*choices.region).with_version_2(choices.version_2),
        policies: Default::default(),
        cors: Default::default(),
        lifecycle: Default::default(),
        websites: Default::default(),
        logging: Default::default(),
        access_logs: Default::default(),
        notifications: Default::default(),
        audit,
        traces: Default::default(),
        settings: Settings {
            anonymous: choices.anonymous,
            object_ownership: choices.object_ownership,
            domains: choices.domains.iter().chain(&choices.website_domain).cloned().collect(),
            website_domain: choices.website_domain.clone(),
            region: choices.region.clone(),
            webhooks: ["hook".to_owned(), "other".to_owned()].into(),
            late_after: choices.late_after,
            ..Settings::default()
        },
        admission,
        usage: Arc::new(Usage::new(1 << 20, Day::REAL, Seed([7; 16]))),
        samples: Arc::new(Samples::open()),
        pace: Pace::unbounded(Arc::new(System)),
        clock,
        entropy: Arc::new(System),
        keys: Arc::new(master_keys()),
        console_sessions: Arc::new(InMemory { key: DataKey::new(random()), ended: Mutex::default() }),
        want_of_space: Default::default(),
    }
}

/// A server with a new certificate of its own, and a client that trusts this certificate.
fn certified() -> (Arc<ServerConfig>, TlsConnector) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (certificate, key) = (made.cert.der().clone(), made.signing_key.serialize_der());
    let provider = || Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider());
    let server = server.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
    let key = PrivateKeyDer::try_from(key).expect("a key");
    let server = server.with_single_cert(vec![certificate.clone()], key).expect("a pair");
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a root");
    let client = ClientConfig::builder_with_provider(provider());
    let client = client.with_safe_default_protocol_versions().expect("versions");
    let client = client.with_root_certificates(roots).with_no_client_auth();
    (Arc::new(server), Arc::new(client).into())
}

/// A random key for a rig's console sessions, so that no other rig accepts them.
fn random() -> [u8; KEY_BYTES] {
    let mut bytes = [0; KEY_BYTES];
    stratum_storage::ambient::Entropy::fill(&System, &mut bytes);
    bytes
}

/// Keeps the console's key and its ended sessions in memory, so that no session outlives the rig.
#[derive(Debug)]
struct InMemory {
    key: DataKey,
    ended: Mutex<Vec<u8>>,
}

impl SessionKeeper for InMemory {
    fn key(&self) -> DataKey {
        self.key.clone()
    }

    fn ended(&self) -> Vec<u8> {
        self.ended.lock().clone()
    }

    fn keep(&self, ended: &[u8]) -> Result<(), String> {
        *self.ended.lock() = ended.to_vec();
        Ok(())
    }
}

/// The master keys of every rig: the first, `usual`, and another.
pub fn master_keys() -> MasterKeys {
    let lines = [("usual", [1; 32]), ("other", [2; 32])].map(|(name, key)| MasterKeys::line(name, &key));
    MasterKeys::parse(&lines.map(|line| line.expect("a name")).concat()).expect("keys")
}

fn user(id: &str, (access_key, secret): (&str, &str), root: bool) -> (User, SecretKey) {
    let user = User {
        id: id.into(),
        display_name: id.into(),
        email: String::new(),
        access_key: AccessKey::new(access_key).expect("an access key"),
        root,
    };
    (user, SecretKey::new(secret).expect("a secret key"))
}
