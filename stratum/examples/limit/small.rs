//! Small objects over axum: hashed, committed in groups to three files, found through sled.

use super::{Answer, Hashes, Job, LimitError, commit, create, plain, refuse, start_lane, tagged};
use axum::extract::State;
use axum::routing::put;
use axum::serve::ListenerExt;
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, unbounded};
use http_body_util::Full;
use hyper::header::CONTENT_LENGTH;
use hyper::{HeaderMap, StatusCode, Uri};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// How long each file is; older bodies are written over.
const LOG: u64 = 512 << 20;
/// How many changes are committed together at most.
const GROUP: usize = 1024;

/// Where a body lies in the files, and what it should be.
struct Place {
    offset: u64,
    length: u32,
    crc: u32,
    md5: [u8; 16],
}

impl Place {
    fn encode(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.offset.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.length.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.crc.to_le_bytes());
        bytes[16..].copy_from_slice(&self.md5);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Place> {
        let (offset, rest) = bytes.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (crc, rest) = rest.split_first_chunk()?;
        Some(Place {
            offset: u64::from_le_bytes(*offset),
            length: u32::from_le_bytes(*length),
            crc: u32::from_le_bytes(*crc),
            md5: rest.try_into().ok()?,
        })
    }
}

/// A PUT, or a DELETE where there is no body, that waits for its group.
struct Change {
    key: String,
    body: Option<(Bytes, [u8; 16])>,
    done: oneshot::Sender<()>,
}

#[derive(Clone)]
struct Small {
    index: sled::Db,
    log: Arc<File>,
    committer: Sender<Change>,
}

impl Small {
    fn open(data: &Path) -> Result<Small, LimitError> {
        // Its own flushing is off: the three files are what is durable.
        let index = sled::Config::new().path(data.join("sled")).flush_every_ms(None).open()?;
        let logs = ["a", "b", "c"].map(|name| create(&data.join(name), LOG));
        let logs: Vec<Arc<File>> = logs.into_iter().collect::<io::Result<_>>()?;
        let lanes = logs.iter().map(|file| start_lane(file.clone())).collect();
        let (committer, changes) = unbounded();
        let tree = index.clone();
        std::thread::spawn(move || {
            if let Err(error) = commit_groups(changes, lanes, &tree) {
                eprintln!("limit: {error}");
                std::process::exit(1);
            }
        });
        Ok(Small { index, log: logs[0].clone(), committer })
    }

    async fn change(&self, key: String, body: Option<(Bytes, [u8; 16])>) -> Result<(), LimitError> {
        let (done, committed) = oneshot::channel();
        self.committer.send(Change { key, body, done }).map_err(|_| LimitError::Ended)?;
        committed.await.map_err(|_| LimitError::Ended)
    }

    fn find(&self, key: &str) -> Result<Option<Place>, LimitError> {
        Ok(self.index.get(key)?.and_then(|bytes| Place::decode(&bytes)))
    }
}

/// The committer: takes all that wait, appends them as one write, and answers when all lanes have synced it.
fn commit_groups(
    changes: Receiver<Change>,
    lanes: Vec<Sender<Job>>,
    index: &sled::Db,
) -> Result<(), LimitError> {
    let mut end = 0;
    while let Ok(first) = changes.recv() {
        let group: Vec<Change> = std::iter::once(first).chain(changes.try_iter()).take(GROUP).collect();
        let length =
            group.iter().filter_map(|change| change.body.as_ref()).map(|(body, _)| body.len() as u64);
        let length: u64 =
            length.sum::<u64>() + group.iter().map(|change| change.key.len() as u64 + 32).sum::<u64>();
        if end + length > LOG {
            end = 0;
        }
        let (mut entry, mut batch) = (Vec::with_capacity(length as usize), sled::Batch::default());
        for Change { key, body, .. } in &group {
            entry.extend_from_slice(key.as_bytes());
            let Some((body, md5)) = body else {
                entry.extend_from_slice(&[0; 32]);
                batch.remove(key.as_bytes());
                continue;
            };
            let offset = end + entry.len() as u64 + 32;
            let place = Place { offset, length: body.len() as u32, crc: crc32c::crc32c(body), md5: *md5 };
            entry.extend_from_slice(&place.encode());
            entry.extend_from_slice(body);
            batch.insert(key.as_bytes(), &place.encode());
        }
        commit(&lanes, Some((end, entry.into())))?;
        end += length;
        index.apply_batch(batch)?;
        for change in group {
            let _ = change.done.send(()); // who no longer waits needs no answer
        }
    }
    Ok(())
}

pub async fn serve(listener: TcpListener, data: &Path) -> Result<(), LimitError> {
    let object = put(small_put).get(small_get).head(small_head).delete(small_delete);
    let router = axum::Router::new()
        .route("/{bucket}", put(async || StatusCode::OK))
        .route("/{bucket}/{key}", object)
        .with_state(Small::open(data)?);
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true); // slower without, not wrong
    });
    Ok(axum::serve(listener, router).await?)
}

async fn small_put(State(small): State<Small>, uri: Uri, headers: HeaderMap, body: Bytes) -> AxumAnswer {
    let mut hashes = Hashes::default();
    hashes.update(&body);
    let stored = async {
        let md5 = hashes.finish(&headers)?;
        small.change(uri.path().to_owned(), Some((body, md5))).await?;
        Ok(md5)
    };
    AxumAnswer(stored.await.map(|md5| tagged(&md5, Full::default())))
}

async fn small_get(State(small): State<Small>, uri: Uri) -> AxumAnswer {
    let found = small.find(uri.path()).and_then(|found| {
        let Some(place) = found else { return Ok(plain(StatusCode::NOT_FOUND)) };
        let mut body = vec![0; place.length as usize];
        small.log.read_exact_at(&mut body, place.offset)?;
        if crc32c::crc32c(&body) != place.crc {
            return Err(LimitError::WrittenOver);
        }
        Ok(tagged(&place.md5, Full::new(body.into())))
    });
    AxumAnswer(found)
}

async fn small_head(State(small): State<Small>, uri: Uri) -> AxumAnswer {
    AxumAnswer(small.find(uri.path()).map(|found| {
        let Some(place) = found else { return plain(StatusCode::NOT_FOUND) };
        let mut answer = tagged(&place.md5, Full::default());
        answer.headers_mut().insert(CONTENT_LENGTH, place.length.into());
        answer
    }))
}

async fn small_delete(State(small): State<Small>, uri: Uri) -> AxumAnswer {
    AxumAnswer(small.change(uri.path().to_owned(), None).await.map(|()| plain(StatusCode::NO_CONTENT)))
}

/// An answer in the form that axum takes.
struct AxumAnswer(Result<Answer, LimitError>);

impl axum::response::IntoResponse for AxumAnswer {
    fn into_response(self) -> axum::response::Response {
        self.0.unwrap_or_else(|error| refuse(&error)).map(axum::body::Body::new)
    }
}
