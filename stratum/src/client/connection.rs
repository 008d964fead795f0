//! One kept-alive HTTP/1.1 connection, on which a request costs little more than two system calls.
//!
//! A general HTTP client allocates, moves between tasks and copies bodies, which `stratum bench` would measure. This
//! one writes a head and a borrowed body in one vectored write, and compares an answer's bytes with the expected ones
//! as they arrive.

use super::stream::{Peer, Stream};
use std::io::{self, IoSlice, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use stratum_cli::Trust;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The most bytes read by one system call: the answer to a small GET fits, and a large one takes few calls.
const READ_BYTES: usize = 128 << 10;
/// The longest head of an answer that is accepted.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// How much of the body of an error is read.
const MAX_ERROR_BYTES: u64 = 4 << 10;
/// The end of a line after a chunk.
const CHUNK_END_BYTES: u64 = 2;

/// Why a text is no address of a server. What was written isn't shown, since it may hold a password.
#[derive(Debug, thiserror::Error)]
#[error("it must be http://host:port or https://host:port, without a user and a path")]
pub(crate) struct NoEndpoint;

/// The address of a server.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// `host:port`, as the `Host` header has it.
    pub host: String,
    address: String,
    /// What the address stands for, where only this machine may be connected to.
    on_this_machine: Option<Vec<SocketAddr>>,
    /// The server's name and whom to trust that it has it, if the URL is `https`.
    tls: Option<Peer>,
}

impl Endpoint {
    /// Reads `http://host:port` or `https://host:port`; the port may be absent, a path may not follow.
    pub fn parse(url: &str) -> Result<Endpoint, NoEndpoint> {
        let plain = url.strip_prefix("http://");
        let host = plain.or_else(|| url.strip_prefix("https://")).ok_or(NoEndpoint)?.trim_end_matches('/');
        if host.is_empty() || host.contains(['/', '?', '@']) {
            return Err(NoEndpoint);
        }
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let port = if plain.is_some() { 80 } else { 443 };
        let address = if has_port { host.to_owned() } else { format!("{host}:{port}") };
        let name = address.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
        let tls = plain.is_none().then(|| Peer::new(name.to_owned(), Trust::Machine));
        Ok(Endpoint { host: host.to_owned(), address, on_this_machine: None, tls })
    }

    /// The same address, if it is of this machine alone. What its name stands for isn't looked up again, as it may be
    /// something else then.
    pub fn on_this_machine(&self) -> Option<Endpoint> {
        let found: Vec<SocketAddr> = self.address.to_socket_addrs().ok()?.collect();
        let is_here =
            !found.is_empty() && found.iter().all(|found| stratum_cli::is_of_this_machine(found.ip()));
        is_here.then(|| Endpoint { on_this_machine: Some(found), ..self.clone() })
    }

    /// The same address, whose certificate is verified against `trust` instead of the machine's authorities.
    pub fn trusting(self, trust: Trust) -> Endpoint {
        Endpoint { tls: self.tls.map(|peer| peer.trusted(trust)), ..self }
    }
}

/// What is done with an answer's body.
pub(crate) enum Expected<'a> {
    /// No body follows, whatever `Content-Length` says: the answer to a HEAD.
    Nothing,
    /// The body must equal these bytes.
    Exactly(&'a [u8]),
    /// The body is written to this.
    Collected(&'a mut (dyn Write + Send)),
}

/// An answer that was read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub length: Option<u64>,
    pub etag: Option<String>,
    /// At most the first [`MAX_ERROR_BYTES`] of the body, where the status is no success.
    pub error: Vec<u8>,
}

/// Why a request has no usable answer. The connection is closed, and the next request opens another.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("connection: {0}")]
    Io(#[from] io::Error),
    #[error("the answer is not HTTP/1.1")]
    NotHttp,
    #[error("the body differs from what was written")]
    WrongBody,
}

impl Failure {
    /// What whoever typed the command can do about the failure; empty if nothing is known. It continues the failure's
    /// text.
    pub fn advice(&self) -> &'static str {
        let Failure::Io(error) = self else { return "" };
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls {
            Some(rustls::Error::InvalidCertificate(_)) => {
                "; name its authority, or the certificate itself, by --ca-bundle FILE or AWS_CA_BUNDLE"
            }
            _ => "",
        }
    }
}

/// A connection, which is opened by the first request.
#[derive(Debug)]
pub(crate) struct Connection {
    endpoint: Endpoint,
    stream: Option<Stream>,
    inbox: Inbox,
}

impl Connection {
    pub fn new(endpoint: &Endpoint) -> Connection {
        Connection { endpoint: endpoint.clone(), stream: None, inbox: Inbox::default() }
    }

    /// Sends a request and reads its whole answer.
    pub async fn exchange(
        &mut self,
        head: &[u8],
        body: &[u8],
        expected: Expected<'_>,
    ) -> Result<Answer, Failure> {
        // The stream is put back only after the whole answer was read, so any failure closes it.
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                self.inbox.clear();
                let Endpoint { address, on_this_machine, tls, .. } = &self.endpoint;
                match on_this_machine {
                    Some(found) => Stream::connect(found.as_slice(), tls.as_ref()).await?,
                    None => Stream::connect(address.as_str(), tls.as_ref()).await?,
                }
            }
        };
        send(&mut stream, head, body).await?;
        let Head { status, body, etag, close } = self.inbox.read_head(&mut stream).await?;
        let (mut error, mut is_read) = (Vec::new(), true);
        let length = body.length();
        match (status, expected) {
            (_, Expected::Nothing) | (204 | 304, _) => {}
            (200..=299, expected) => self.inbox.read_body(&mut stream, body, expected).await?,
            _ => is_read &= self.inbox.read_front(&mut stream, body, &mut error).await?,
        }
        if is_read && !close {
            self.stream = Some(stream);
        }
        Ok(Answer { status, length, etag, error })
    }
}

async fn send(stream: &mut Stream, head: &[u8], body: &[u8]) -> io::Result<()> {
    let mut sent = 0;
    while sent < head.len() {
        let slices = [IoSlice::new(&head[sent..]), IoSlice::new(body)];
        match stream.write_vectored(&slices).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            more => sent += more,
        }
    }
    stream.write_all(&body[sent - head.len()..]).await?;
    stream.flush().await
}

/// An answer's head.
struct Head {
    status: u16,
    body: Framing,
    etag: Option<String>,
    close: bool,
}

/// How the end of a body is known (RFC 9112, section 6).
#[derive(Clone, Copy)]
enum Framing {
    Length(u64),
    Chunked,
}

impl Framing {
    fn length(self) -> Option<u64> {
        match self {
            Framing::Length(bytes) => Some(bytes),
            Framing::Chunked => None,
        }
    }
}

/// A buffer of bytes that were read from the stream and not yet consumed.
#[derive(Debug, Default)]
struct Inbox {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Inbox {
    fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    fn consume(&mut self, bytes: usize) {
        self.start += bytes;
        if self.start == self.end {
            self.clear();
        }
    }

    /// Reads more bytes. The end of the stream is an error, since the answer isn't complete yet.
    async fn fill(&mut self, stream: &mut Stream) -> Result<(), Failure> {
        if self.buffer.is_empty() {
            self.buffer.resize(READ_BYTES, 0);
        }
        if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        match stream.read(&mut self.buffer[self.end..]).await? {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            more => {
                self.end += more;
                Ok(())
            }
        }
    }

    async fn read_head(&mut self, stream: &mut Stream) -> Result<Head, Failure> {
        loop {
            if let Some((head, bytes)) = parse_head(self.unread())? {
                self.consume(bytes);
                // An interim answer comes before the one that counts (RFC 9110, section 15.2).
                if !matches!(head.status, 100..200) {
                    return Ok(head);
                }
                continue;
            }
            if self.unread().len() >= MAX_HEAD_BYTES {
                return Err(Failure::NotHttp);
            }
            self.fill(stream).await?;
        }
    }

    async fn read_body(
        &mut self,
        stream: &mut Stream,
        framing: Framing,
        expected: Expected<'_>,
    ) -> Result<(), Failure> {
        match (framing, expected) {
            (_, Expected::Nothing) => Ok(()),
            (Framing::Length(length), Expected::Exactly(wanted)) => {
                self.compare(stream, length, wanted).await
            }
            (Framing::Chunked, Expected::Exactly(wanted)) => {
                let mut body = Vec::with_capacity(wanted.len());
                self.collect_chunks(stream, &mut body).await?;
                if body == wanted { Ok(()) } else { Err(Failure::WrongBody) }
            }
            (Framing::Length(length), Expected::Collected(body)) => self.collect(stream, length, body).await,
            (Framing::Chunked, Expected::Collected(body)) => self.collect_chunks(stream, body).await,
        }
    }

    async fn compare(&mut self, stream: &mut Stream, length: u64, wanted: &[u8]) -> Result<(), Failure> {
        if length != wanted.len() as u64 {
            return Err(Failure::WrongBody);
        }
        let mut rest = wanted;
        while !rest.is_empty() {
            if self.unread().is_empty() {
                self.fill(stream).await?;
            }
            let piece = self.unread().len().min(rest.len());
            let (now, later) = rest.split_at(piece);
            if self.unread()[..piece] != *now {
                return Err(Failure::WrongBody);
            }
            self.consume(piece);
            rest = later;
        }
        Ok(())
    }

    async fn collect(
        &mut self,
        stream: &mut Stream,
        length: u64,
        body: &mut (dyn Write + Send),
    ) -> Result<(), Failure> {
        let mut rest = length;
        while rest > 0 {
            if self.unread().is_empty() {
                self.fill(stream).await?;
            }
            let piece = (self.unread().len() as u64).min(rest) as usize;
            body.write_all(&self.unread()[..piece])?;
            self.consume(piece);
            rest -= piece as u64;
        }
        Ok(())
    }

    /// Reads a chunked body and writes it to `body`. Trailers are not supported: no server sends them to a request that
    /// doesn't announce that it takes them.
    async fn collect_chunks(
        &mut self,
        stream: &mut Stream,
        body: &mut (dyn Write + Send),
    ) -> Result<(), Failure> {
        loop {
            let size = self.chunk_size(stream).await?;
            self.collect(stream, size, body).await?;
            self.collect(stream, CHUNK_END_BYTES, &mut Vec::new()).await?;
            if size == 0 {
                return Ok(());
            }
        }
    }

    /// Reads the size of the next chunk; 0 is the last one's.
    async fn chunk_size(&mut self, stream: &mut Stream) -> Result<u64, Failure> {
        loop {
            match httparse::parse_chunk_size(self.unread()) {
                Ok(httparse::Status::Complete((bytes, size))) => {
                    self.consume(bytes);
                    return Ok(size);
                }
                Ok(httparse::Status::Partial) if self.unread().len() < MAX_HEAD_BYTES => {
                    self.fill(stream).await?
                }
                _ => return Err(Failure::NotHttp),
            }
        }
    }

    /// Reads at most the first [`MAX_ERROR_BYTES`] of a body; gives whether that was all of it. What is longer isn't
    /// read, since it may have no end.
    async fn read_front(
        &mut self,
        stream: &mut Stream,
        framing: Framing,
        front: &mut Vec<u8>,
    ) -> Result<bool, Failure> {
        if let Framing::Length(length) = framing {
            self.collect(stream, length.min(MAX_ERROR_BYTES), front).await?;
            return Ok(length <= MAX_ERROR_BYTES);
        }
        loop {
            let (size, room) = (self.chunk_size(stream).await?, MAX_ERROR_BYTES - front.len() as u64);
            self.collect(stream, size.min(room), front).await?;
            if size > room {
                return Ok(false);
            }
            self.collect(stream, CHUNK_END_BYTES, &mut Vec::new()).await?;
            if size == 0 {
                return Ok(true);
            }
        }
    }
}

/// Parses a head, and gives how many bytes it has; nothing if it isn't complete yet.
fn parse_head(bytes: &[u8]) -> Result<Option<(Head, usize)>, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let taken = match response.parse(bytes).map_err(|_| Failure::NotHttp)? {
        httparse::Status::Complete(taken) => taken,
        httparse::Status::Partial => return Ok(None),
    };
    let status = response.code.unwrap_or(0);
    let mut head = Head { status, body: Framing::Length(0), etag: None, close: false };
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            let text = std::str::from_utf8(header.value).unwrap_or_default();
            head.body = Framing::Length(text.trim().parse().map_err(|_| Failure::NotHttp)?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            head.body = Framing::Chunked;
        } else if header.name.eq_ignore_ascii_case("etag") {
            head.etag = std::str::from_utf8(header.value).ok().map(str::to_owned);
        } else if header.name.eq_ignore_ascii_case("connection") {
            head.close = header.value.eq_ignore_ascii_case(b"close");
        }
    }
    Ok(Some((head, taken)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// Answers each request of one connection with the next of the given answers, then closes it.
    async fn served(answers: Vec<&'static str>) -> Connection {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = [0; 64];
            for answer in answers {
                let _ = stream.read(&mut request).await;
                stream.write_all(answer.as_bytes()).await.expect("a reader");
            }
        });
        Connection::new(&Endpoint::parse(&url).expect("a URL"))
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_body_that_differs_from_the_expected_one_is_a_failure() {
        let ok = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";
        let mut connection = served(vec![ok, chunked, ok]).await;
        for _ in 0..2 {
            let answer =
                connection.exchange(b"x", b"", Expected::Exactly(b"hello")).await.expect("an answer");
            assert_eq!(answer.status, 200);
        }
        let wrong = connection.exchange(b"x", b"", Expected::Exactly(b"hellO")).await;
        assert!(matches!(wrong, Err(Failure::WrongBody)), "{wrong:?}");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_body_of_an_error_is_kept_and_the_connection_is_used_again() {
        let error = "HTTP/1.1 503 Slow\r\ncontent-length: 21\r\n\r\n<Code>SlowDown</Code>";
        let head = concat!(
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 4096\r\n\r\n",
        );
        let mut connection = served(vec![error, head]).await;
        let answer = connection.exchange(b"x", b"", Expected::Exactly(b"hello")).await.expect("an answer");
        assert_eq!((answer.status, answer.error.as_slice()), (503, b"<Code>SlowDown</Code>".as_slice()));
        // Interim answers are skipped, and no body is awaited after a HEAD, whatever its length says.
        let answer = connection.exchange(b"x", b"y", Expected::Nothing).await.expect("an answer");
        assert_eq!((answer.status, answer.length), (200, Some(4096)));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn of_a_long_error_only_the_front_is_read_and_its_connection_is_not_used_again() {
        let long = MAX_ERROR_BYTES as usize + 1;
        let (sized, chunked) =
            ("content-length: 1000000000000\r\n\r\n", "transfer-encoding: chunked\r\n\r\n2000\r\n");
        for framing in [sized, chunked] {
            let answer: &'static str = format!("HTTP/1.1 500 Oh\r\n{framing}{}", "x".repeat(long)).leak();
            let mut connection = served(vec![answer]).await;
            let answer =
                connection.exchange(b"x", b"", Expected::Exactly(b"hello")).await.expect("an answer");
            assert_eq!((answer.status, answer.error.len()), (500, MAX_ERROR_BYTES as usize));
            assert!(connection.stream.is_none());
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_cut_answer_is_a_failure() {
        let mut connection = served(vec!["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhell"]).await;
        let cut = connection.exchange(b"x", b"", Expected::Collected(&mut Vec::new())).await;
        assert!(matches!(cut, Err(Failure::Io(_))), "{cut:?}");
    }

    #[test]
    fn endpoints_are_urls_without_a_path() {
        assert_eq!(Endpoint::parse("http://h:9000/").expect("valid").address, "h:9000");
        assert_eq!(Endpoint::parse("http://h").expect("valid").address, "h:80");
        let encrypted = Endpoint::parse("https://[::1]:9443").expect("valid");
        let peer = encrypted.tls.as_ref().map(|peer| peer.name.as_str());
        assert_eq!((encrypted.address.as_str(), peer), ("[::1]:9443", Some("::1")));
        assert_eq!(Endpoint::parse("https://h").expect("valid").address, "h:443");
        for url in ["ftp://h", "h:9000", "http://", "http://h/path", "http://a:hush@h"] {
            let refused = Endpoint::parse(url).expect_err(url).to_string();
            assert!(refused.starts_with("it must be http://") && !refused.contains("hush"), "{refused}");
        }
    }
}
