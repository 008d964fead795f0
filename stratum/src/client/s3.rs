//! A remote S3 endpoint, as far as backups need one: an object is written as a stream whose length isn't known
//! beforehand, and read as a stream.
//!
//! Uploads and downloads run on a thread of their own, so that the caller writes and reads them like files. At most
//! three parts of an upload are in memory. Parts are short, and grow only where an object would need too many of them.
//! The object appears only when the upload is finished; an upload that isn't is aborted, so that no parts are left at
//! the endpoint.

use super::connection::{Answer, Connection, Endpoint, Expected, Failure, NoEndpoint};
use super::sign::{Credentials, Request, Signer, hash};
use super::signing::Signing;
use super::trust::TrustArgs;
use super::{ENDPOINT_VARIABLES, escape};
use crate::credentials::{CredentialsError, variable};
use clap::Args;
use std::io::{self, ErrorKind, PipeReader, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use stratum_storage::ambient::{Clock, System};

/// The length of the first parts. Some stores want all parts but the last to be of one length, so parts don't grow
/// before an object is rather long.
const PART_BYTES: usize = 16 << 20;
/// How many parts have that length. After them the length doubles every [`GROWTH_PARTS`], so that an object can have
/// more than 1 TiB.
const EQUAL_PARTS: usize = 5_000;
const GROWTH_PARTS: usize = 1_000;
/// The most parts that S3 takes for one upload.
const MAX_PARTS: usize = 10_000;
/// How often a part is sent before the upload fails.
const PART_ATTEMPTS: usize = 3;

/// The endpoint that an `s3://` URL refers to.
#[derive(Args, Clone, Debug)]
pub struct S3Args {
    /// The endpoint of s3://BUCKET/KEY. The credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or from
    /// the profile of ~/.aws that AWS_PROFILE names; AWS_CA_BUNDLE names certificates to trust instead of the
    /// machine's. [env: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL] [default: AWS]
    #[arg(long)]
    s3_endpoint: Option<String>,
    /// The region of that endpoint. [env: AWS_REGION, AWS_DEFAULT_REGION] [default: the profile's, or us-east-1]
    #[arg(long)]
    s3_region: Option<String>,
}

/// Why an object was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum S3Error {
    #[error("--s3-endpoint: {0}")]
    Endpoint(#[from] NoEndpoint),
    #[error("the S3 endpoint: {0}")]
    Credentials(#[from] CredentialsError),
    #[error("{url}: {failure}")]
    Failed {
        url: String,
        #[source]
        failure: Failure,
    },
    #[error("{url}: the endpoint answered {status}: {problem}")]
    Refused { url: String, status: u16, problem: String },
    #[error("{0}: the answer makes no sense")]
    Nonsense(String),
    #[error("the object is longer than {MAX_PARTS} parts can hold")]
    TooLong,
    #[error("the upload was given up")]
    GivenUp,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// An object at an endpoint.
#[derive(Clone)]
pub struct Remote {
    endpoint: Endpoint,
    /// The object and its endpoint, as errors name them.
    url: String,
    /// The path of the request, escaped.
    path: String,
    credentials: Credentials,
}

impl Remote {
    /// The object, with the credentials that the environment or a profile gives.
    pub fn new(args: &S3Args, bucket: &str, key: &str) -> Result<Remote, S3Error> {
        let credentials = Signing { region: args.s3_region.clone(), profile: None }.of_a_client()?;
        let region = &credentials.region;
        let named = args.s3_endpoint.clone().or_else(|| ENDPOINT_VARIABLES.into_iter().find_map(variable));
        let url = named.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let endpoint = Endpoint::parse(&url)?.trusting(TrustArgs::default().trust());
        let key: Vec<String> = key.split('/').map(escape).collect();
        Ok(Remote {
            endpoint,
            url: format!("s3://{bucket}/{} at {url}", key.join("/")),
            path: format!("/{bucket}/{}", key.join("/")),
            credentials,
        })
    }

    /// Begins to write the object.
    pub fn upload(&self) -> Upload {
        let (parts, received) = sync_channel(1);
        let remote = self.clone();
        let worker = std::thread::spawn(move || remote.connect()?.receive(received));
        Upload { parts, worker, buffer: Vec::new(), number: 1, bytes: 0 }
    }

    /// Begins to read the object.
    pub fn download(&self) -> io::Result<Download> {
        let (reader, mut writer) = io::pipe()?;
        let remote = self.clone();
        let worker = std::thread::spawn(move || {
            let mut session = remote.connect()?;
            session.send("GET", "", b"", &mut writer).map(drop)
        });
        Ok(Download { reader, worker: Some(worker) })
    }

    fn connect(&self) -> Result<Session, S3Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let signer = Signer::new(&self.credentials, System.now());
        Ok(Session { remote: self.clone(), runtime, connection: Connection::new(&self.endpoint), signer })
    }
}

/// An object that is being written.
pub struct Upload {
    parts: SyncSender<Piece>,
    worker: JoinHandle<Result<(), S3Error>>,
    /// The part that is being filled, and its number.
    buffer: Vec<u8>,
    number: usize,
    bytes: u64,
}

/// The length of a part. Numbers begin at 1.
fn part_bytes(number: usize) -> usize {
    let doublings = number.clamp(EQUAL_PARTS, MAX_PARTS).saturating_sub(EQUAL_PARTS).div_ceil(GROWTH_PARTS);
    PART_BYTES << doublings
}

/// What the caller's thread hands to the thread that uploads.
enum Piece {
    Part(Vec<u8>),
    /// All parts were sent: the object is to be made of them. A channel that closes without this aborts the upload.
    End,
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = part_bytes(self.number);
        // Reserved at once, since a vector that grows by itself takes up to twice the length of a part.
        self.buffer.reserve_exact(length - self.buffer.len());
        let taken = bytes.len().min(length - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        self.bytes += taken as u64;
        if self.buffer.len() == length {
            self.number += 1;
            let part = std::mem::take(&mut self.buffer);
            self.parts.send(Piece::Part(part)).map_err(|_| io::Error::from(ErrorKind::BrokenPipe))?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload {
    /// Finishes the upload: when this succeeds, the object exists. Gives its length in bytes.
    pub fn finish(self) -> Result<u64, S3Error> {
        // Sending fails only when the worker has ended, and then its own result says why.
        let _ = self.parts.send(Piece::Part(self.buffer)).and_then(|()| self.parts.send(Piece::End));
        joined(self.worker).map(|()| self.bytes)
    }

    /// Aborts the upload. Gives the error that the upload itself had met before, if any.
    pub fn give_up(self) -> Option<S3Error> {
        drop(self.parts);
        joined(self.worker).err().filter(|error| !matches!(error, S3Error::GivenUp))
    }
}

/// An object that is being read.
pub struct Download {
    reader: PipeReader,
    worker: Option<JoinHandle<Result<(), S3Error>>>,
}

impl Read for Download {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buf)?;
        if read == 0
            && !buf.is_empty()
            && let Some(worker) = self.worker.take()
        {
            joined(worker).map_err(io::Error::other)?;
        }
        Ok(read)
    }
}

fn joined(worker: JoinHandle<Result<(), S3Error>>) -> Result<(), S3Error> {
    worker.join().unwrap_or(Err(S3Error::GivenUp))
}

/// A connection to the endpoint.
struct Session {
    remote: Remote,
    runtime: tokio::runtime::Runtime,
    connection: Connection,
    signer: Signer,
}

impl Session {
    /// Uploads the parts that are received, and makes an object of them. On an error the upload is aborted.
    fn receive(mut self, parts: Receiver<Piece>) -> Result<(), S3Error> {
        let mut answer = Vec::new();
        self.send("POST", "uploads=", b"", &mut answer)?;
        let answer = String::from_utf8_lossy(&answer);
        let id = between(&answer, "UploadId").ok_or_else(|| S3Error::Nonsense(self.remote.url.clone()))?;
        let id = escape(id);
        let outcome = self.receive_parts(&id, parts);
        if outcome.is_err() {
            let _ = self.send("DELETE", &format!("uploadId={id}"), b"", &mut Vec::new());
        }
        outcome
    }

    fn receive_parts(&mut self, id: &str, parts: Receiver<Piece>) -> Result<(), S3Error> {
        let mut list = String::new();
        for number in 1.. {
            match parts.recv() {
                Ok(Piece::Part(_)) if number > MAX_PARTS => return Err(S3Error::TooLong),
                Ok(Piece::Part(bytes)) => {
                    let etag = self.send_part(id, number, &bytes)?;
                    list += &format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>");
                }
                Ok(Piece::End) => break,
                Err(_) => return Err(S3Error::GivenUp),
            }
        }
        let list = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
        let mut answer = Vec::new();
        self.send("POST", &format!("uploadId={id}"), list.as_bytes(), &mut answer)?;
        // S3 answers CompleteMultipartUpload with 200 before it knows the outcome, and tells of an error in the body.
        let answer = String::from_utf8_lossy(&answer);
        match answer.contains("<Error>") {
            true => Err(self.refused(200, answer.as_bytes())),
            false => Ok(()),
        }
    }

    fn send_part(&mut self, id: &str, number: usize, bytes: &[u8]) -> Result<String, S3Error> {
        let query = format!("partNumber={number}&uploadId={id}");
        let mut tries = 1;
        loop {
            match self.send("PUT", &query, bytes, &mut io::sink()) {
                Ok(answer) => return answer.etag.ok_or_else(|| S3Error::Nonsense(self.remote.url.clone())),
                Err(error) if tries == PART_ATTEMPTS || !error.may_pass() => return Err(error),
                Err(error) => tracing::debug!(%error, number, "a part is sent again"),
            }
            tries += 1;
        }
    }

    fn send(
        &mut self,
        method: &'static str,
        query: &str,
        body: &[u8],
        into: &mut (dyn Write + Send),
    ) -> Result<Answer, S3Error> {
        let Remote { endpoint, path, url, .. } = &self.remote;
        let (payload, length) = (hash(body), matches!(method, "PUT" | "POST").then_some(body.len()));
        let (host, content_type) = (&endpoint.host, None);
        let request = Request { method, host, path, query, payload: &payload, length, content_type };
        let mut head = Vec::new();
        self.signer.write_head(request, System.now(), &mut head);
        let answer = self.runtime.block_on(self.connection.exchange(&head, body, Expected::Collected(into)));
        let answer = answer.map_err(|failure| S3Error::Failed { url: url.clone(), failure })?;
        match answer.status {
            200..=299 => Ok(answer),
            status => Err(self.refused(status, &answer.error)),
        }
    }

    fn refused(&self, status: u16, body: &[u8]) -> S3Error {
        let text = String::from_utf8_lossy(body);
        let said: Vec<&str> = ["Code", "Message"].iter().filter_map(|name| between(&text, name)).collect();
        let problem = if said.is_empty() { text.trim().to_owned() } else { said.join(": ") };
        S3Error::Refused { url: self.remote.url.clone(), status, problem }
    }
}

impl S3Error {
    /// Whether the same request may succeed if it is sent again.
    fn may_pass(&self) -> bool {
        matches!(self, S3Error::Failed { .. } | S3Error::Refused { status: 500.., .. })
    }
}

/// The text of the first XML element of this name.
fn between<'a>(document: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = document.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_of_one_length_at_first_and_grow_so_that_all_of_them_hold_more_than_a_terabyte() {
        assert!((1..=EQUAL_PARTS).all(|number| part_bytes(number) == PART_BYTES));
        assert_eq!(
            [5_001, 6_000, 6_001, 9_001].map(part_bytes),
            [2, 2, 4, 32].map(|times| times * PART_BYTES)
        );
        let (all, longest) = ((1..=MAX_PARTS).map(|number| part_bytes(number) as u64), 512 << 20);
        assert!(all.clone().all(|bytes| bytes <= longest) && all.sum::<u64>() > 1 << 40);
        assert_eq!(part_bytes(MAX_PARTS + 1) as u64, longest);
    }

    #[test]
    fn an_element_is_found_by_its_name() {
        let document = "<R><Bucket>b</Bucket><UploadId>a-1</UploadId></R>";
        assert_eq!(between(document, "UploadId"), Some("a-1"));
        assert_eq!(between(document, "Code"), None);
    }
}
