//! Large objects over hyper: written to six files as they arrive, or kept in memory and sent from there.

use super::{Answer, Hashes, Job, LimitError, commit, create, plain, refuse, start_lane, tagged};
use bytes::Bytes;
use crossbeam_channel::Sender;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::{HeaderMap, Method, Request, StatusCode};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// How long each file may become before it is written over.
const SHARD: u64 = 1 << 30;
/// How many bytes are cut into shards at a time.
const STRIPE: usize = 1 << 20;
const DATA: usize = 4;
const PARITY: usize = 2;
/// How much is kept in memory at most.
pub const KEPT: u64 = 4 << 30;

pub enum Large {
    Shards(Shards),
    Memory(Memory),
}

impl Large {
    async fn answer(&self, request: Request<Incoming>) -> Result<Answer, LimitError> {
        let is_object = request.uri().path().matches('/').count() > 1;
        match (self, request.method()) {
            (_, &Method::PUT) if !is_object => Ok(plain(StatusCode::OK)),
            (Large::Shards(shards), &Method::PUT) => shards.put(request).await,
            (Large::Memory(memory), &Method::PUT) => memory.put(request).await,
            (Large::Memory(memory), &Method::GET | &Method::HEAD) => memory.get(request.uri().path()),
            _ => Ok(plain(StatusCode::NOT_IMPLEMENTED)),
        }
    }
}

pub async fn serve(listener: TcpListener, large: Large) -> Result<(), LimitError> {
    let large = Arc::new(large);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let large = large.clone();
        let service = hyper::service::service_fn(move |request| {
            let large = large.clone();
            async move { Ok::<_, LimitError>(large.answer(request).await.unwrap_or_else(|error| refuse(&error))) }
        });
        let connection = hyper_util::rt::TokioIo::new(stream);
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(connection, service));
    }
}

/// Six files that are shared by all PUTs, each writing at places of its own.
pub struct Shards {
    files: Arc<[Arc<File>]>,
    lanes: Arc<[Sender<Job>]>,
    next: AtomicU64,
}

impl Shards {
    pub fn create(data: &Path) -> Result<Shards, LimitError> {
        let files = (0..DATA + PARITY).map(|shard| create(&data.join(shard.to_string()), 0));
        let files: Arc<[Arc<File>]> = files.collect::<io::Result<_>>()?;
        let lanes = files.iter().map(|file| start_lane(file.clone())).collect();
        Ok(Shards { files, lanes, next: AtomicU64::new(0) })
    }

    async fn put(&self, request: Request<Incoming>) -> Result<Answer, LimitError> {
        let (head, mut body) = request.into_parts();
        let length = body.size_hint().exact().unwrap_or(SHARD / 2).next_multiple_of(STRIPE as u64);
        let share = length / DATA as u64;
        let at = self.next.fetch_add(share, Ordering::Relaxed) % (SHARD - SHARD / 4);
        let (files, lanes) = (self.files.clone(), self.lanes.clone());
        let (pieces, arriving) = mpsc::channel(64);
        let writer =
            tokio::task::spawn_blocking(move || write_shards(arriving, &files, &lanes, at, &head.headers));
        while let Some(frame) = body.frame().await {
            if let Ok(piece) = frame?.into_data()
                && pieces.send(piece).await.is_err()
            {
                break;
            }
        }
        drop(pieces);
        let md5 = writer.await.map_err(|_| LimitError::Ended)??;
        Ok(tagged(&md5, Full::default()))
    }
}

/// Hashes and writes a body as it arrives, and syncs it.
fn write_shards(
    mut arriving: mpsc::Receiver<Bytes>,
    files: &[Arc<File>],
    lanes: &[Sender<Job>],
    mut at: u64,
    headers: &HeaderMap,
) -> Result<[u8; 16], LimitError> {
    let (mut hashes, mut stripe) = (Hashes::default(), Vec::with_capacity(STRIPE));
    while let Some(mut piece) = arriving.blocking_recv() {
        hashes.update(&piece);
        while !piece.is_empty() {
            let room = STRIPE - stripe.len();
            stripe.extend_from_slice(&piece.split_to(room.min(piece.len())));
            if stripe.len() == STRIPE {
                write_stripe(files, &stripe, at)?;
                at += (STRIPE / DATA) as u64;
                stripe.clear();
            }
        }
    }
    write_stripe(files, &stripe, at)?;
    let md5 = hashes.finish(headers)?;
    commit(lanes, None)?;
    Ok(md5)
}

/// Writes a quarter of a stripe to each data file, the first two again where parity would go, and starts writeback.
fn write_stripe(files: &[Arc<File>], stripe: &[u8], at: u64) -> io::Result<()> {
    let quarters = stripe.chunks(stripe.len().div_ceil(DATA).max(1));
    for (file, quarter) in files.iter().zip(quarters.clone().chain(quarters)) {
        file.write_all_at(quarter, at)?;
        // SAFETY: the descriptor is open as long as `file` is borrowed, and the call takes no pointer.
        unsafe {
            libc::sync_file_range(
                file.as_raw_fd(),
                at as i64,
                quarter.len() as i64,
                libc::SYNC_FILE_RANGE_WRITE,
            );
        }
    }
    Ok(())
}

/// Bodies by path.
#[derive(Default)]
pub struct Memory {
    bodies: RwLock<HashMap<String, (Bytes, [u8; 16])>>,
    bytes: AtomicU64,
}

impl Memory {
    async fn put(&self, request: Request<Incoming>) -> Result<Answer, LimitError> {
        let (head, body) = request.into_parts();
        let length = body.size_hint().exact().unwrap_or(KEPT);
        if self.bytes.fetch_add(length, Ordering::Relaxed) + length > KEPT {
            return Err(LimitError::Full);
        }
        let body = body.collect().await?.to_bytes();
        let mut hashes = Hashes::default();
        hashes.update(&body);
        let md5 = hashes.finish(&head.headers)?;
        let mut bodies = self.bodies.write().map_err(|_| LimitError::Ended)?;
        bodies.insert(head.uri.path().to_owned(), (body, md5));
        Ok(tagged(&md5, Full::default()))
    }

    fn get(&self, path: &str) -> Result<Answer, LimitError> {
        let bodies = self.bodies.read().map_err(|_| LimitError::Ended)?;
        let Some((body, md5)) = bodies.get(path) else { return Ok(plain(StatusCode::NOT_FOUND)) };
        Ok(tagged(md5, Full::new(body.clone())))
    }
}
