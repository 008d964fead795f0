//! A request: built, signed, sent, repeated where that may help, and answered.
//!
//! A request whose answer was lost is sent again, so it may be carried out twice. Mostly that changes nothing. But of
//! an upload that is begun twice one stays without parts until a rule of the bucket's lifecycle aborts it, and a bucket
//! with versions has one more version or delete marker. A request on a condition, or about what is gone once it was
//! carried out, is refused the second time. Such a refusal says that it is one of a repeat, and whoever sent the
//! request looks whether the first one did it.

use super::documents;
use super::refusal::Refusal;
use super::sign::{SignError, Signer};
use super::transport::{Http, Trouble, http, words};
use crate::connection::{Connection, Endpoint};
use crate::machine::Machine;
use crate::trust::TrustError;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How often a request is sent again at most.
const MOST_REPEATS: u32 = 9;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// How long an answer may take to begin, beside the time that a slow line takes to send the request's body.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
const SLOW_BYTES_PER_SECOND: u64 = 32 << 10;
/// How long no byte of a body may come.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest XML document that is read.
const MAX_DOCUMENT_BYTES: usize = 32 << 20;
/// The shortest body whose buffer is used again.
const REUSED_BYTES: usize = 1 << 20;
/// The shortest body that is hashed on a thread of its own, and not on those that send and receive.
const HASHED_APART_BYTES: usize = 128 << 10;

/// RFC 3986's unreserved characters.
pub(super) const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The unreserved characters and the slash.
pub(super) const ESCAPED_IN_KEYS: &AsciiSet = &ESCAPED.remove(b'/');

/// Why a request has no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum S3Error {
    /// The endpoint answered with an error.
    #[error(transparent)]
    Refused(#[from] Box<Refusal>),
    #[error("{0}")]
    Trust(#[from] TrustError),
    #[error("{}", told(.endpoint, *.trouble, .problem))]
    Unreachable { endpoint: Endpoint, trouble: Trouble, problem: String },
    #[error("{0}")]
    Sign(#[from] SignError),
    #[error("{endpoint}: the answer makes no sense: {problem}")]
    Nonsense { endpoint: Endpoint, problem: String },
}

fn told(endpoint: &Endpoint, trouble: Trouble, problem: &str) -> String {
    match trouble {
        Trouble::Refused => format!(
            "nothing listens at {endpoint}: is the server running, and is that its address? (--endpoint, AWS_ENDPOINT_URL)"
        ),
        Trouble::Unresolved => {
            format!("{endpoint}: there is no host of that name: see --endpoint and AWS_ENDPOINT_URL")
        }
        Trouble::Untrusted => format!(
            "{endpoint}: its certificate isn't trusted here ({problem}): name its authority by --ca-bundle FILE or AWS_CA_BUNDLE"
        ),
        Trouble::NotTls => {
            format!("{endpoint}: it doesn't speak TLS: is it http://{} ?", endpoint.authority())
        }
        Trouble::NotHttp => {
            format!("{endpoint}: it doesn't speak HTTP: is it https://{} ?", endpoint.authority())
        }
        Trouble::Late => format!("{endpoint}: no answer in time"),
        Trouble::Other => format!("{endpoint}: {problem}"),
    }
}

/// A request, before it is signed.
pub(super) struct Call<'a> {
    method: Method,
    bucket: &'a str,
    key: &'a str,
    query: Vec<(&'static str, String)>,
    headers: HeaderMap,
    body: Bytes,
    is_sendable: bool,
}

impl<'a> Call<'a> {
    pub fn new(method: Method, bucket: &'a str, key: &'a str) -> Call<'a> {
        let (query, headers) = (Vec::new(), HeaderMap::new());
        Call { method, bucket, key, query, headers, body: Bytes::new(), is_sendable: true }
    }

    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    pub fn query_if(self, name: &'static str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// Sets a header. A value that no header can have is refused when the request is sent.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        match HeaderValue::from_bytes(value.as_bytes()) {
            Ok(value) => drop(self.headers.insert(name, value)),
            Err(_) => return self.unsendable(),
        }
        self
    }

    /// Marks a request that asks for what no header can say.
    pub fn unsendable(mut self) -> Self {
        self.is_sendable = false;
        self
    }

    /// Sets a header whose name isn't a constant.
    pub fn named_header(mut self, name: http::HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub fn body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }
}

/// The answer to a request, with its body not yet read.
pub(super) struct Answer {
    pub headers: HeaderMap,
    pub body: Incoming,
}

/// A client of one endpoint.
pub struct Client {
    connection: Connection,
    signer: Signer,
    http: Http,
    machine: Machine,
    /// Whether the endpoint has answered once. Only then is it worth trying again when it doesn't answer.
    was_reached: AtomicBool,
    /// Buffers of bodies that aren't needed any more, to be used again. There are never more than were in use at once.
    buffers: Mutex<Vec<BytesMut>>,
}

impl Client {
    pub fn new(connection: Connection, machine: Machine) -> Result<Client, S3Error> {
        let (signer, http) = (Signer::new(&connection), http(&connection)?);
        Ok(Client {
            connection,
            signer,
            http,
            machine,
            was_reached: AtomicBool::new(false),
            buffers: Mutex::default(),
        })
    }

    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Sends a request until it is answered, or until sending it again doesn't help.
    pub(super) async fn send(&self, call: Call<'_>) -> Result<Answer, S3Error> {
        let payload = self.payload(&call.body).await?;
        let mut repeats = 0;
        loop {
            match self.try_send(&call, payload.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => self.wait_to_repeat(&mut repeats, failure).await?,
            }
        }
    }

    /// Sends a request and reads the document that answers it, until there is one or sending the request again doesn't
    /// help.
    pub(super) async fn ask<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, S3Error> {
        let payload = self.payload(&call.body).await?;
        let mut repeats = 0;
        loop {
            let failure = match self.try_send(&call, payload.clone()).await {
                Ok(Answer { headers, body }) => {
                    let document = self.document(body).await?;
                    // A request that takes long is answered with status 200 at once, so an error may stand in the body.
                    let Some(said) = documents::error_within(&document) else {
                        return documents::read(&document).map_err(|problem| self.nonsense(problem));
                    };
                    let refusal = Refusal::of(&self.connection, StatusCode::OK, &headers, said, self.now());
                    (Box::new(refusal).into(), None)
                }
                Err(failure) => failure,
            };
            self.wait_to_repeat(&mut repeats, failure).await?;
        }
    }

    /// Waits until a request that failed may be sent again: for at least as long as the server asked for.
    ///
    /// # Errors
    /// The request's own, where sending it again doesn't help.
    async fn wait_to_repeat(
        &self,
        repeats: &mut u32,
        (error, wait): (S3Error, Option<Duration>),
    ) -> Result<(), S3Error> {
        if *repeats == MOST_REPEATS || !self.helps(&error) {
            return Err(match error {
                S3Error::Refused(mut refusal) => {
                    refusal.is_of_repeat = *repeats > 0;
                    S3Error::Refused(refusal)
                }
                error => error,
            });
        }
        // Many clients that the server asks for the same come back apart.
        tokio::time::sleep(wait.unwrap_or_default() + pause(*repeats)).await;
        *repeats += 1;
        Ok(())
    }

    /// Sends a request whose answer has no body that matters.
    pub(super) async fn tell(&self, call: Call<'_>) -> Result<HeaderMap, S3Error> {
        let Answer { headers, body } = self.send(call).await?;
        self.document(body).await?;
        Ok(headers)
    }

    /// Reads a body that may have up to `length` bytes.
    pub(super) async fn read(&self, mut body: Incoming, length: usize) -> Result<Bytes, S3Error> {
        let mut collected = self.buffer(length);
        while let Some(frame) = self.frame(&mut body).await? {
            if collected.len() + frame.len() > length {
                return Err(self.nonsense("it is longer than it says".into()));
            }
            collected.extend_from_slice(&frame);
        }
        Ok(collected.freeze())
    }

    /// A buffer for a body. A large one is one that was given back, if there is any, which costs the system less than
    /// new pages do.
    fn buffer(&self, length: usize) -> BytesMut {
        if length < REUSED_BYTES {
            return BytesMut::with_capacity(length);
        }
        let mut buffer =
            self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        buffer.reserve(length);
        buffer
    }

    /// Takes back the buffer of a body that nobody needs any more.
    pub fn give_back(&self, body: Bytes) {
        if body.len() >= REUSED_BYTES
            && let Ok(mut buffer) = body.try_into_mut()
        {
            buffer.clear();
            self.buffers.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
        }
    }

    /// The next bytes of a body.
    pub(super) async fn frame(&self, body: &mut Incoming) -> Result<Option<Bytes>, S3Error> {
        loop {
            let frame = tokio::time::timeout(STALL_TIMEOUT, body.frame()).await;
            match frame.map_err(|_| self.unreachable(Trouble::Late, String::new()))? {
                None => return Ok(None),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => return Ok(Some(data)),
                    Err(_) => {}
                },
                Some(Err(error)) => return Err(self.unreachable(Trouble::Other, words(&error))),
            }
        }
    }

    /// The URL by which anybody may send a request until it expires.
    pub(super) fn presigned(&self, call: &Call<'_>, expires: Duration) -> Result<String, S3Error> {
        let mut request = self.request(call)?;
        self.signer.presign(&mut request, expires, self.now())?;
        Ok(request.uri().to_string())
    }

    /// Whether a request that failed with this error may succeed when it is sent again.
    fn helps(&self, error: &S3Error) -> bool {
        match error {
            S3Error::Refused(refusal) => refusal.passes(),
            S3Error::Unreachable {
                trouble: Trouble::Untrusted | Trouble::NotTls | Trouble::NotHttp, ..
            } => false,
            S3Error::Unreachable { .. } => self.was_reached.load(Ordering::Relaxed),
            S3Error::Trust(_) | S3Error::Sign(_) | S3Error::Nonsense { .. } => false,
        }
    }

    async fn try_send(
        &self,
        call: &Call<'_>,
        payload: Option<String>,
    ) -> Result<Answer, (S3Error, Option<Duration>)> {
        let sent = async {
            let mut request = self.request(call)?;
            self.signer.sign(&mut request, payload, self.now())?;
            if call.method == Method::PUT || call.method == Method::POST {
                // The length of an empty body is sent, too.
                request.headers_mut().insert(http::header::CONTENT_LENGTH, call.body.len().into());
            }
            let patience =
                ANSWER_TIMEOUT + Duration::from_secs(call.body.len() as u64 / SLOW_BYTES_PER_SECOND);
            let answer = tokio::time::timeout(patience, self.http.request(request)).await;
            let answer = answer.map_err(|_| self.unreachable(Trouble::Late, String::new()))?;
            answer.map_err(|error| self.unreachable(Trouble::of(&error), words(&error)))
        };
        let answer: http::Response<Incoming> = sent.await.map_err(|error| (error, None))?;
        self.was_reached.store(true, Ordering::Relaxed);
        let (parts, body) = answer.into_parts();
        if parts.status.is_success() {
            return Ok(Answer { headers: parts.headers, body });
        }
        let wait = parts.headers.get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let document = self.document(body).await.unwrap_or_default();
        let said = documents::error_within(&document).unwrap_or_default();
        let refusal = Refusal::of(&self.connection, parts.status, &parts.headers, said, self.now());
        Err((Box::new(refusal).into(), wait.map(Duration::from_secs).filter(|wait| *wait <= LONGEST_PAUSE)))
    }

    fn request(&self, call: &Call<'_>) -> Result<http::Request<Full<Bytes>>, S3Error> {
        let nonsense = |error: http::Error| self.nonsense(error.to_string());
        if !call.is_sendable {
            return Err(self.nonsense("a value can't be sent: it holds control characters".into()));
        }
        let mut request = http::Request::builder()
            .method(call.method.clone())
            .uri(self.uri(call)?)
            .body(Full::new(call.body.clone()))
            .map_err(nonsense)?;
        *request.headers_mut() = call.headers.clone();
        let host = HeaderValue::from_str(self.connection.endpoint.authority());
        request.headers_mut().insert(http::header::HOST, host.map_err(|error| nonsense(error.into()))?);
        Ok(request)
    }

    fn uri(&self, call: &Call<'_>) -> Result<Uri, S3Error> {
        let mut uri = format!("{}/", self.connection.endpoint);
        if !call.bucket.is_empty() {
            uri.extend(utf8_percent_encode(call.bucket, ESCAPED));
        }
        if !call.key.is_empty() {
            uri.push('/');
            uri.extend(utf8_percent_encode(call.key, ESCAPED_IN_KEYS));
        }
        for (at, (name, value)) in call.query.iter().enumerate() {
            uri.push(if at == 0 { '?' } else { '&' });
            uri.push_str(name);
            uri.push('=');
            uri.extend(utf8_percent_encode(value, ESCAPED));
        }
        uri.parse().map_err(|error: http::uri::InvalidUri| self.nonsense(error.to_string()))
    }

    /// The body's hash, which the signature covers. Over TLS nobody can change a body on its way, so a non-empty one
    /// isn't hashed.
    async fn payload(&self, body: &Bytes) -> Result<Option<String>, S3Error> {
        if self.connection.endpoint.is_tls() && !body.is_empty() || self.connection.keys.is_none() {
            return Ok(None);
        }
        let hash = |body: &[u8]| hex::encode(Sha256::digest(body));
        if body.len() < HASHED_APART_BYTES {
            return Ok(Some(hash(body)));
        }
        let body = body.clone();
        let hashed = tokio::task::spawn_blocking(move || hash(&body)).await;
        hashed.map(Some).map_err(|error| self.nonsense(error.to_string()))
    }

    /// Reads a document. An endpoint that works long sends white space until there is one, so there is no bound on how
    /// long it may take in all.
    async fn document(&self, mut body: Incoming) -> Result<Bytes, S3Error> {
        let mut document = BytesMut::new();
        while let Some(frame) = self.frame(&mut body).await? {
            if document.len() + frame.len() > MAX_DOCUMENT_BYTES {
                return Err(self.nonsense("it is too long".into()));
            }
            document.extend_from_slice(&frame);
        }
        Ok(document.freeze())
    }

    fn now(&self) -> std::time::SystemTime {
        (self.machine.now)()
    }

    pub(super) fn nonsense(&self, problem: String) -> S3Error {
        S3Error::Nonsense { endpoint: self.connection.endpoint.clone(), problem }
    }

    fn unreachable(&self, trouble: Trouble, problem: String) -> S3Error {
        S3Error::Unreachable { endpoint: self.connection.endpoint.clone(), trouble, problem }
    }
}

/// The pause before a request is sent again. Its longest length doubles each time, and a random share of half of it
/// is taken off, so that many clients don't come back at once.
fn pause(repeats: u32) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << repeats.min(20)).min(LONGEST_PAUSE);
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}
