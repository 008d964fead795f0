//! Connections: accepts them, bounds what a peer may do with one, and stops without cutting off requests that are
//! served.
//!
//! A connection is HTTP/1.1 over TCP or TLS. It has one of a bounded number of places ([`crate::connections`]). While
//! it waits it may lose its place to a connection that needs one. A peer that is served, and that reads or sends too
//! slowly, is cut off by the code that writes to it ([`stall`]) or reads from it ([`crate::body`]). Requests for
//! `/_stratum/` go to [`admin`] or to the [`console`], unless the host is a bucket's. All other requests are S3's.
//! The head and the first bytes of an answer leave in one write, and Nagle's algorithm is off: with it a lone small
//! GET would wait for the peer's delayed acknowledgement.

pub mod admin;
mod answer;
mod console;
mod heads;
mod stall;
pub mod tls;
mod wire;

pub use crate::connections::{Connections, ConnectionsStatus};

use crate::address::bucket_of_host;
use crate::admission::{Admitted, Party};
use crate::channel::{Channel, Tls};
use crate::connections::{Capacity, Connection, Phase};
use crate::context::Store;
use crate::error::{Code, S3Error};
use crate::in_flight::InFlight;
use crate::request_id::RequestIds;
use crate::service;
use admin::Admin;
use answer::Answer;
use axum::body::Body;
use bytes::Bytes;
use console::Console;
use futures_util::FutureExt;
use futures_util::future::Either;
use http::header::{CONNECTION, HOST};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use stall::Unstalled;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use stratum_storage::panics;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use wire::Wire;

/// The bounds on what a peer may do with a connection.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The longest time from the connection to the first byte of its first request. With TLS this bounds the
    /// handshake as well.
    pub silence: Duration,
    /// The longest time from the first byte to the last of a request's head.
    pub head: Duration,
    /// The longest time between two requests.
    pub idle: Duration,
    /// The longest head of a request, in bytes.
    pub head_bytes: usize,
    /// The most headers of one request: S3's own bound, 8 KiB of headers, has room for 480.
    pub headers: usize,
    /// The most that is read or written at once, in bytes.
    pub buffer: usize,
    /// How long requests in flight may go on after the signal to stop.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(10),
            head: Duration::from_secs(20),
            idle: Duration::from_secs(60),
            head_bytes: stratum_auth::Request::MAX_HEAD_BYTES,
            headers: 512,
            buffer: 128 << 10,
            grace: Duration::from_secs(30),
        }
    }
}

/// What is left of a connection that hyper ended: its stream, and the bytes that hyper has read from it but not taken
/// as part of a request.
struct Left<S> {
    wire: Wire<S>,
    unread: Bytes,
}

/// Serves S3 and the administrative endpoints.
#[derive(Debug)]
pub struct Server {
    store: Arc<Store>,
    admin: Admin,
    /// None where the console is switched off.
    console: Option<Console>,
    ids: Arc<RequestIds>,
    limits: Limits,
    connections: Arc<Connections>,
}

impl Server {
    pub fn new(store: Arc<Store>, admin: Admin, connections: Arc<Connections>, limits: Limits) -> Arc<Self> {
        let ids = Arc::new(RequestIds::new(store.entropy.as_ref()));
        let console = store.settings.console.then(|| Console::of(&store, &admin, &ids));
        Arc::new(Self { store, admin, console, ids, limits, connections })
    }

    /// Accepts connections until `stop` ends; then lets requests in flight finish within the grace time.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        tls: Option<Arc<ServerConfig>>,
        stop: impl Future<Output = ()>,
    ) {
        let (stopping, stopped) = watch::channel(false);
        let acceptor = tls.map(TlsAcceptor::from);
        tokio::select! {
            () = self.accept(&listener, acceptor, &stopped) => {}
            () = stop => {}
        }
        drop(listener);
        drop(stopped);
        stopping.send_replace(true);
        // Every connection holds a receiver: the channel closes when the last is gone.
        if tokio::time::timeout(self.limits.grace, stopping.closed()).await.is_err() {
            tracing::warn!("requests in flight outlasted the grace time and are cut off");
        }
    }

    async fn accept(
        self: &Arc<Self>,
        listener: &TcpListener,
        tls: Option<TlsAcceptor>,
        stopped: &watch::Receiver<bool>,
    ) {
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // The process has no file descriptors left, or the peer has gone. The next connection may be
                    // accepted.
                    tracing::warn!(%error, "a connection could not be accepted");
                    self.connections.make_room();
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            };
            let Some(slot) = self.connections.admit(peer.ip()) else { continue };
            let (server, tls, stopped) = (self.clone(), tls.clone(), stopped.clone());
            tokio::spawn(async move {
                server.connection(stream, peer, slot.connection.clone(), tls, stopped).await;
                drop(slot);
            });
        }
    }

    async fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        connection: Arc<Connection>,
        tls: Option<TlsAcceptor>,
        stopped: watch::Receiver<bool>,
    ) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "the connection is gone already");
            return;
        }
        let stream = Unstalled::new(stream, connection.clone());
        let Some(tls) = tls else {
            return self.http(stream, peer, connection, Channel::Plain, stopped).await;
        };
        let handshake = tokio::select! {
            handshake = tokio::time::timeout(self.limits.silence, tls.accept(stream)) => handshake,
            () = connection.displaced() => return,
        };
        match handshake {
            Ok(Ok(stream)) => {
                let channel = Channel::Tls(Tls::of(stream.get_ref().1));
                self.http(stream, peer, connection, channel, stopped).await;
            }
            Ok(Err(error)) => tracing::debug!(%peer, %error, "the TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "the TLS handshake took too long"),
        }
    }

    async fn http(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        peer: SocketAddr,
        connection: Arc<Connection>,
        channel: Channel,
        stopped: watch::Receiver<bool>,
    ) {
        let wire = Wire::new(stream, connection.clone(), self.ids.clone(), self.store.clock.clone());
        let builder = http1::Builder::new();
        let serving = self.converse(builder, wire, peer, &connection, channel, stopped.clone());
        let Some(Left { wire, unread }) = serving.await else { return };
        if wire.is_to_be_read_again() {
            let mut builder = http1::Builder::new();
            builder.max_headers(self.limits.headers);
            let wire = wire.read_again(unread);
            Box::pin(self.converse(builder, wire, peer, &connection, channel, stopped)).await;
        }
    }

    /// Serves requests until the connection ends. Gives back what is left of the connection where hyper ended it.
    async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
        self: &Arc<Self>,
        mut builder: http1::Builder,
        wire: Wire<S>,
        peer: SocketAddr,
        connection: &Arc<Connection>,
        channel: Channel,
        mut stopped: watch::Receiver<bool>,
    ) -> Option<Left<S>> {
        let waited_for = stopped.clone();
        let service = service_fn(|mut request: Request<Incoming>| {
            let (server, connection) = (self.clone(), connection.clone());
            let in_flight = InFlight::new(waited_for.clone());
            channel.tell(request.extensions_mut());
            let answer = server.answer(peer, connection, request, in_flight);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let mut serving = builder
            .timer(TokioTimer::new())
            // hyper has one time limit for waiting for a head and reading it: `overdue` has one for each.
            .header_read_timeout(None)
            .max_buf_size(self.limits.buffer)
            .max_header_size(self.limits.head_bytes)
            .serve_connection(TokioIo::new(wire), service);
        let mut is_ending = false;
        let ended = loop {
            tokio::select! {
                ended = &mut serving => break ended,
                () = signalled(&mut stopped), if !is_ending => {}
                () = connection.displaced(), if !is_ending => {
                    // A request that is being served by now is finished first. One whose head has only begun to
                    // arrive isn't.
                    if !matches!(connection.phase(), Phase::Busy | Phase::Sending) {
                        return None;
                    }
                }
                () = self.overdue(connection) => {
                    tracing::debug!(%peer, phase = %connection.phase(), "a connection waited too long");
                    if connection.phase() == Phase::Head {
                        let wire = serving.into_parts().io.into_inner();
                        tokio::select! {
                            () = wire.time_out() => {}
                            () = connection.displaced() => {}
                        }
                    }
                    return None;
                }
            }
            is_ending = true;
            Pin::new(&mut serving).graceful_shutdown();
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "a connection ended early");
        }
        let parts = serving.into_parts();
        Some(Left { wire: parts.io.into_inner(), unread: parts.read_buf })
    }

    /// Ends when the peer has let the server wait for longer than it may.
    async fn overdue(&self, connection: &Connection) {
        loop {
            let now = Instant::now();
            let patience = match connection.phase() {
                Phase::Silent => self.limits.silence,
                Phase::Head => self.limits.head,
                Phase::Idle => self.limits.idle,
                // The code that serves the request, or sends its answer, watches the peer meanwhile. Look again
                // later, since the connection may wait again then.
                Phase::Busy | Phase::Refusing | Phase::Sending => {
                    tokio::time::sleep_until(now + self.limits.silence).await;
                    continue;
                }
            };
            let due = connection.since() + patience;
            if due <= now {
                return;
            }
            // Meanwhile the connection may come to wait for something else, which has a shorter time limit.
            tokio::time::sleep_until(due.min(now + self.limits.silence)).await;
        }
    }

    /// Answers a request. If it may change something, that is begun at once and done to its end, though the peer be
    /// gone already.
    fn answer(
        self: Arc<Self>,
        peer: SocketAddr,
        connection: Arc<Connection>,
        request: Request<Incoming>,
        in_flight: InFlight,
    ) -> impl Future<Output = Response<Answer>> {
        let is_safe = request.method().is_safe();
        let of_work = in_flight.clone();
        let work = async move { self.respond(peer, connection, request, of_work).await };
        if is_safe { Either::Left(work) } else { Either::Right(in_flight.finish(work)) }
    }

    async fn respond(
        &self,
        peer: SocketAddr,
        connection: Arc<Connection>,
        mut request: Request<Incoming>,
        in_flight: InFlight,
    ) -> Response<Answer> {
        connection.serves();
        let pause = heads::pause(&request).map(tokio::time::sleep);
        let is_reserve = connection.capacity() == Capacity::Reserve;
        let mut response = if let Some(console) = self.console(&request).filter(|_| !is_reserve) {
            request.extensions_mut().insert(peer);
            let party = Party::Address(connection.origin());
            caught(console.respond(&self.store, party, request.map(Body::new))).await
        } else if self.is_administrative(&request) {
            let request = request.map(Body::new);
            caught(admin::administer(&self.admin, &self.store, &self.ids, peer, request)).await
        } else if is_reserve {
            self.refuse(&request)
        } else {
            self.store.pace.request_began();
            request.extensions_mut().insert(connection.clone());
            request.extensions_mut().insert(peer);
            let shares_origin = self.console.is_some() && !self.is_of_bucket(&request);
            let id = self.ids.next();
            let mut response = service::respond(&self.store, id, request.map(Body::new), in_flight).await;
            if shares_origin {
                console::shut_out(response.headers_mut());
            }
            response
        };
        if is_reserve {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(pause) = pause {
            pause.await;
        }
        connection.answers(response.extensions_mut().remove::<Arc<Admitted>>());
        response.map(|body| Answer::new(body, connection))
    }

    /// Refuses an S3 request on a connection that has no regular place, since there are more connections than places.
    fn refuse(&self, request: &Request<Incoming>) -> Response<Body> {
        let id = self.ids.next();
        let error = S3Error::new(Code::SlowDown);
        let mut response = error.respond(&id, request.uri().path(), request.method() == Method::HEAD);
        service::identify(response.headers_mut(), &id);
        response
    }

    /// The console, where it is on and the request is for it.
    fn console(&self, request: &Request<Incoming>) -> Option<&Console> {
        let console = self.console.as_ref().filter(|_| console::is_meant(request))?;
        self.is_administrative(request).then_some(console)
    }

    /// Whether the request is for `/_stratum/`, which is reserved for the server. On the virtual host of a bucket it
    /// is a key like any other.
    fn is_administrative(&self, request: &Request<Incoming>) -> bool {
        let reserved = request.uri().path().strip_prefix("/_stratum");
        reserved.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) && !self.is_of_bucket(request)
    }

    /// Whether the host is a bucket's.
    fn is_of_bucket(&self, request: &Request<Incoming>) -> bool {
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        host.is_some_and(|host| bucket_of_host(host, &self.store.settings.domains).is_some())
    }
}

/// Answers a request for `/_stratum/` whose handler panicked. Requests to S3 have a function of their own for that
/// (`service::caught`).
async fn caught(answered: impl Future<Output = Response<Body>>) -> Response<Body> {
    let outcome = AssertUnwindSafe(answered).catch_unwind().await;
    outcome.unwrap_or_else(|panic| {
        let problem = format!(
            "the server panicked over it: {}; please report it, with the log",
            panics::words(&*panic)
        );
        admin::refusal(StatusCode::INTERNAL_SERVER_ERROR, &problem)
    })
}

/// Ends when the server is stopping.
async fn signalled(stopped: &mut watch::Receiver<bool>) {
    // An error says that the sender is gone, which is the end as well.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
