//! The HTTP client of `stratum bench` and of the operator's commands.
//!
//! An operator's call is `GET` or `POST` on `/_stratum/v1/...`. All its parameters are in the query, which the
//! signature covers, and its answer is a JSON document.

pub(crate) mod connection;
pub(crate) mod once;
pub(crate) mod s3;
pub(crate) mod sign;
pub(crate) mod signing;
pub(crate) mod stream;
pub(crate) mod trust;

use crate::credentials;
use clap::Args;
use connection::{Connection, Endpoint, Expected, Failure, NoEndpoint};
use serde::de::DeserializeOwned;
use sign::{Credentials, Request, Signer, hash};
use signing::Signing;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;
use stratum_storage::ambient::{Clock, System};
use trust::TrustArgs;

/// The address of a server that runs with the default configuration on this machine.
pub const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:9000";
/// The variables that name the endpoint of `s3://`, for the commands of people and of AWS, in the order in which they
/// count.
const ENDPOINT_VARIABLES: [&str; 2] = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
/// The version of IAM's API that requests name.
const IAM_VERSION: &str = "2010-05-08";
/// How long a server may take to answer an operator's call. Work that takes longer runs in the background of the
/// server, and its status is asked for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// The server that an operator's command calls.
#[derive(Args, Clone, Debug)]
pub struct ServerArg {
    /// The server's address. The command signs with the first of these that has credentials: --profile,
    /// STRATUM_ROOT_ACCESS_KEY and STRATUM_ROOT_SECRET_KEY, the folder --data, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,
    /// AWS_PROFILE, the folder ./data, the default profile of ~/.aws. The variables STRATUM_ROOT_... and what lies in a data
    /// folder sign for this machine alone. [env: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL] [default: http://127.0.0.1:9000]
    #[arg(long)]
    pub endpoint: Option<String>,
    /// A data folder of a server on this machine, to take the root credentials that the server keeps there. They sign for
    /// no other machine.
    #[arg(long)]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub signing: Signing,
    #[command(flatten)]
    pub trust: TrustArgs,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("{named_by}: {problem}")]
    Endpoint {
        named_by: &'static str,
        #[source]
        problem: NoEndpoint,
    },
    #[error("{0}")]
    Credentials(#[from] credentials::CredentialsError),
    #[error("{endpoint}: {failure}{}", failure.advice())]
    Failed {
        endpoint: String,
        #[source]
        failure: Failure,
    },
    #[error("{endpoint}: no answer within {} s", ANSWER_TIMEOUT.as_secs())]
    Late { endpoint: String },
    /// The server's own sentence says why.
    #[error("{problem}")]
    Refused { status: u16, problem: String },
    #[error("{}: {error}", file.display())]
    File {
        file: PathBuf,
        #[source]
        error: std::io::Error,
    },
    #[error("{}: a path that isn't UTF-8 can't be named to the server: rename the folder", .0.display())]
    NoText(PathBuf),
    #[error("the server was restarted before {what} was done: run it again")]
    Restarted { what: &'static str },
    #[error("{endpoint}: the answer makes no sense: {problem}")]
    Nonsense { endpoint: String, problem: String },
}

impl ServerArg {
    /// The same server, for a command in which the variables name the endpoint of something else.
    pub fn whatever_the_environment_says(&self) -> ServerArg {
        let endpoint = self.endpoint.clone().unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
        ServerArg { endpoint: Some(endpoint), ..self.clone() }
    }

    /// The server's address, and what named it. Where the command signs with root's own credentials, a variable counts
    /// only if it names this machine: it may be there for an endpoint of somebody else.
    fn address(&self) -> (String, &'static str) {
        if let Some(url) = &self.endpoint {
            return (url.clone(), "--endpoint");
        }
        let is_roots = self.data.is_some()
            || credentials::Credentials::from_environment().is_ok_and(|root| root.is_some());
        let is_here = |url: &str| Endpoint::parse(url).is_ok_and(|one| one.on_this_machine().is_some());
        let said = |name| credentials::variable(name).map(|url| (url, name));
        let named = ENDPOINT_VARIABLES.into_iter().find_map(said);
        named
            .filter(|(url, _)| !is_roots || is_here(url))
            .unwrap_or_else(|| (DEFAULT_ENDPOINT.to_owned(), "--endpoint"))
    }
}

/// Calls a server's operator endpoints and its IAM.
pub struct Operator {
    url: String,
    endpoint: Endpoint,
    credentials: Credentials,
}

impl Operator {
    /// A client for this server, with the credentials that [`Signing::of_an_operator`] finds.
    pub fn new(server: &ServerArg) -> Result<Operator, CallError> {
        let (url, named_by) = server.address();
        let endpoint = Endpoint::parse(&url).map_err(|problem| CallError::Endpoint { named_by, problem })?;
        let endpoint = endpoint.trusting(server.trust.trust());
        let (credentials, endpoint) = server.signing.of_an_operator(server.data.as_deref(), endpoint)?;
        Ok(Operator { url, endpoint, credentials })
    }

    /// Joins names into a path and escapes whatever else they hold; a slash within a name stays a slash.
    pub fn path(names: &[&str]) -> String {
        names
            .iter()
            .map(|name| name.split('/').map(escape).collect::<Vec<_>>().join("/"))
            .collect::<Vec<_>>()
            .join("/")
    }

    /// Sends a GET without parameters; `path` is what follows `/_stratum/v1/`.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.call("GET", path, &[])
    }

    /// Sends a GET with parameters.
    pub fn ask<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T, CallError> {
        self.call("GET", path, query)
    }

    /// Sends a POST with parameters.
    pub fn post<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T, CallError> {
        self.call("POST", path, query)
    }

    /// Sends a GET and writes the answer's body to `to` as it arrives, without a time limit. If this fails, what was
    /// written to `to` is incomplete.
    pub fn save(
        &self,
        path: &str,
        query: &[(&str, &str)],
        to: &mut (dyn Write + Send),
    ) -> Result<(), CallError> {
        self.exchange("GET", path, query, None, to)
    }

    /// Calls an IAM action in the account of the signer, and gives the action's result.
    pub fn iam<T: DeserializeOwned>(
        &self,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Result<T, CallError> {
        let named = [("Action", action), ("Version", IAM_VERSION)];
        let form = encode(&[&named, parameters].concat());
        let (payload, now) = (hash(form.as_bytes()), System.now());
        let request = Request {
            method: "POST",
            host: &self.endpoint.host,
            path: "/",
            query: "",
            payload: &payload,
            length: Some(form.len()),
            content_type: Some("application/x-www-form-urlencoded"),
        };
        let (mut head, mut body) = (Vec::new(), Vec::new());
        Signer::of_service(&self.credentials, "iam", now).write_head(request, now, &mut head);
        self.send(&head, form.as_bytes(), Some(ANSWER_TIMEOUT), &mut body)?;
        let nonsense = |problem: String| CallError::Nonsense { endpoint: self.url.clone(), problem };
        let text = String::from_utf8_lossy(&body);
        let (begin, end) = (format!("<{action}Result>"), format!("</{action}Result>"));
        // Actions that return nothing have no result element.
        let result = match text.split_once(&begin).and_then(|(_, rest)| rest.split_once(&end)) {
            Some((inner, _)) => format!("<Result>{inner}</Result>"),
            None => "<Result/>".to_owned(),
        };
        quick_xml::de::from_str(&result).map_err(|error| nonsense(error.to_string()))
    }

    fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, CallError> {
        let mut body = Vec::new();
        self.exchange(method, path, query, Some(ANSWER_TIMEOUT), &mut body)?;
        let nonsense = |problem: String| CallError::Nonsense { endpoint: self.url.clone(), problem };
        serde_json::from_slice(&body).map_err(|error| nonsense(error.to_string()))
    }

    /// Signs and sends a request, and writes the answer's body to `body`.
    fn exchange(
        &self,
        method: &'static str,
        path: &str,
        query: &[(&str, &str)],
        patience: Option<Duration>,
        body: &mut (dyn Write + Send),
    ) -> Result<(), CallError> {
        let (path, query, payload) = (format!("/_stratum/v1/{path}"), encode(query), hash(b""));
        let (length, content_type) = ((method == "POST").then_some(0), None);
        let host = &self.endpoint.host;
        let request =
            Request { method, host, path: &path, query: &query, payload: &payload, length, content_type };
        let mut head = Vec::new();
        let now = System.now();
        Signer::new(&self.credentials, now).write_head(request, now, &mut head);
        self.send(&head, b"", patience, body)
    }

    /// Sends a signed head and a body, and writes the answer's body to `answer`.
    fn send(
        &self,
        head: &[u8],
        body: &[u8],
        patience: Option<Duration>,
        answer: &mut (dyn Write + Send),
    ) -> Result<(), CallError> {
        let endpoint = || self.url.clone();
        let nonsense = |problem: String| CallError::Nonsense { endpoint: endpoint(), problem };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| nonsense(error.to_string()))?;
        let exchange = runtime.block_on(async {
            let mut connection = Connection::new(&self.endpoint);
            let asked = connection.exchange(head, body, Expected::Collected(answer));
            match patience {
                Some(patience) => tokio::time::timeout(patience, asked).await,
                None => Ok(asked.await),
            }
        });
        let answer = exchange
            .map_err(|_| CallError::Late { endpoint: endpoint() })?
            .map_err(|failure| CallError::Failed { endpoint: endpoint(), failure })?;
        match answer.status {
            200..=299 => Ok(()),
            status => Err(CallError::Refused { status, problem: problem(&answer.error, status) }),
        }
    }
}

/// The sentence in a refusal: the `{"error": "..."}` of an operator's endpoint, the `<Message>` of IAM, or else the
/// whole body, which something other than Stratum may have sent.
fn problem(body: &[u8], status: u16) -> String {
    let text = String::from_utf8_lossy(body);
    let message = text.split_once("<Message>").and_then(|(_, rest)| rest.split_once("</Message>"));
    if let Some((message, _)) = message {
        return quick_xml::escape::unescape(message).unwrap_or(message.into()).into_owned();
    }
    let said: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let error = said.as_ref().and_then(|said| said.get("error")?.as_str());
    match error {
        Some(error) => error.to_owned(),
        None if text.trim().is_empty() => {
            format!(
                "the server answered {status} without a word: is it of another version, or no Stratum server?"
            )
        }
        None => format!("the server answered {status}: {}", text.trim()),
    }
}

/// A query string, sorted and escaped as SigV4 demands.
fn encode(query: &[(&str, &str)]) -> String {
    let mut pairs: Vec<String> =
        query.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    pairs.sort();
    pairs.join("&")
}

/// Percent-encodes everything but the unreserved characters of RFC 3986.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => escaped.push(byte.into()),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_sorted_and_escaped() {
        assert_eq!(encode(&[("path", "/mnt/d 1+ü"), ("force", "")]), "force=&path=%2Fmnt%2Fd%201%2B%C3%BC");
    }

    #[test]
    fn a_refusal_says_why() {
        assert_eq!(problem(b"{\"error\":\"the drive is healthy\"}", 409), "the drive is healthy");
        assert_eq!(problem(b"<html>", 502), "the server answered 502: <html>");
        assert!(problem(b"", 404).starts_with("the server answered 404 without a word: "));
    }
}
