//! Connections: accepting them, bounding what a peer may do with one, and stopping without cutting anybody off.
//!
//! A connection is HTTP/1.1 over TCP or TLS. Requests for `/_stratum/` go to [`admin`], unless the host is a
//! bucket's; everything else is S3's. Head and first bytes of an answer leave in one write, and Nagle's algorithm
//! is off: with it a lone small GET waits for the peer's delayed acknowledgement.

pub mod admin;
mod stall;
pub mod tls;

use crate::context::{RequestIds, Store};
use crate::operation::bucket_of_host;
use crate::service;
use admin::Admin;
use axum::body::Body;
use http::header::HOST;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use stall::Unstalled;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

/// What a peer may do.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at once; more wait in the listener's backlog.
    pub connections: usize,
    /// From the first byte to the last of a request's head, and the longest a connection may idle.
    pub head: Duration,
    /// TLS handshakes.
    pub handshake: Duration,
    /// What a connection buffers in each direction, in bytes: the longest head of a request, and the most that is
    /// read or written at once.
    pub buffer: usize,
    /// Headers of one request.
    pub headers: usize,
    /// How long requests in flight may go on after the signal to stop.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 2048,
            head: Duration::from_secs(60),
            handshake: Duration::from_secs(10),
            buffer: 128 << 10,
            headers: 128,
            grace: Duration::from_secs(30),
        }
    }
}

/// Serves S3 and the administrative endpoints.
#[derive(Debug)]
pub struct Server {
    store: Arc<Store>,
    admin: Admin,
    ids: RequestIds,
    limits: Limits,
}

impl Server {
    pub fn new(store: Arc<Store>, admin: Admin, limits: Limits) -> Arc<Self> {
        let ids = RequestIds::new(store.entropy.as_ref());
        Arc::new(Self { store, admin, ids, limits })
    }

    /// Accepts connections until `stop` ends; then lets requests in flight finish within the grace time.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        tls: Option<Arc<ServerConfig>>,
        stop: impl Future<Output = ()>,
    ) {
        let (stopping, stopped) = watch::channel(false);
        let slots = Arc::new(Semaphore::new(self.limits.connections));
        let acceptor = tls.map(TlsAcceptor::from);
        tokio::select! {
            () = self.accept(&listener, acceptor, &slots, &stopped) => {}
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
        slots: &Arc<Semaphore>,
        stopped: &watch::Receiver<bool>,
    ) {
        // Closed never, so an error can't happen; it would end the loop.
        while let Ok(slot) = slots.clone().acquire_owned().await {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, or the peer has gone: the next one may do better.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            };
            let (server, tls, stopped) = (self.clone(), tls.clone(), stopped.clone());
            tokio::spawn(async move {
                server.connection(stream, peer, tls, stopped).await;
                drop(slot);
            });
        }
    }

    async fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        tls: Option<TlsAcceptor>,
        stopped: watch::Receiver<bool>,
    ) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "the connection is gone already");
            return;
        }
        let Some(tls) = tls else { return self.http(Unstalled::new(stream), peer, stopped).await };
        match tokio::time::timeout(self.limits.handshake, tls.accept(Unstalled::new(stream))).await {
            Ok(Ok(stream)) => self.http(stream, peer, stopped).await,
            Ok(Err(error)) => tracing::debug!(%peer, %error, "the TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "the TLS handshake took too long"),
        }
    }

    async fn http(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        peer: SocketAddr,
        mut stopped: watch::Receiver<bool>,
    ) {
        let service = service_fn(|request| {
            let server = self.clone();
            async move { Ok::<_, Infallible>(server.respond(peer, request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head)
            .max_buf_size(self.limits.buffer)
            .max_headers(self.limits.headers)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = signalled(&mut stopped) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "a connection ended early");
        }
    }

    async fn respond(&self, peer: SocketAddr, request: Request<Incoming>) -> Response<Body> {
        if self.is_administrative(&request) {
            let (head, body) = request.into_parts();
            if let Some(refusal) = admin::refused(&self.store, &head) {
                return refusal;
            }
            let body = Body::new(body.map_err(axum::Error::new));
            return self.admin.respond(peer, Request::from_parts(head, body)).await;
        }
        self.store.pace.request_began();
        let id = self.ids.next();
        service::respond(&self.store, id, request.map(Body::new)).await
    }

    /// `/_stratum/` is ours, except on a bucket's virtual host, where it is a key like any other.
    fn is_administrative(&self, request: &Request<Incoming>) -> bool {
        let reserved = request.uri().path().strip_prefix("/_stratum");
        let host = || request.headers().get(HOST).and_then(|host| host.to_str().ok());
        reserved.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            && host().is_none_or(|host| bucket_of_host(host, &self.store.settings.domains).is_none())
    }
}

/// Ends when the server is stopping.
async fn signalled(stopped: &mut watch::Receiver<bool>) {
    // An error says that the sender is gone, which is the end as well.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
