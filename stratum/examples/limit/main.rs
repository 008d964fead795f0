//! The limit that `bench/compare` puts beside every figure: the least that a durable store has to do, and no more.
//!
//! It is not a store: no signature is checked, nothing is recovered or listed, old data is written over. What it does
//! do is what physics and S3 ask for, so that the distance to it is what a real store adds.
//!
//! - `small`: axum. A PUT is hashed (MD5, SHA-256), joins the group that waits for the committer, is written to three
//!   files and synced in each, applied as part of one sled batch, and answered. A GET looks up sled, reads the file
//!   and checks a CRC-32C; a HEAD looks up sled; a DELETE is committed as a PUT is.
//! - `large-put`: hyper. A PUT is hashed off the async threads while it arrives, written to six files, (4+2)/4 times
//!   its bytes, and synced in each. Nothing is encoded.
//! - `large-get`: hyper. A PUT is kept in memory, a GET is answered from there.

mod large;
mod small;

use bytes::Bytes;
use clap::{Parser, ValueEnum};
use crossbeam_channel::{Sender, bounded, unbounded};
use http_body_util::Full;
use hyper::header::ETAG;
use hyper::{HeaderMap, Response, StatusCode};
use large::{Large, Memory, Shards};
use md5::Md5;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpListener;

#[derive(Parser)]
struct Args {
    #[arg(long, value_enum)]
    mode: Mode,
    #[arg(long, default_value = "127.0.0.1:9000")]
    address: SocketAddr,
    /// A folder for the files; made if it is absent.
    #[arg(long)]
    data: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    Small,
    LargePut,
    LargeGet,
}

#[derive(Debug, thiserror::Error)]
enum LimitError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("sled: {0}")]
    Sled(#[from] sled::Error),
    #[error("the request broke off: {0}")]
    Request(#[from] hyper::Error),
    #[error("the body is not the one that x-amz-content-sha256 names")]
    WrongHash,
    #[error("the file no longer holds the body")]
    WrittenOver,
    #[error("a thread ended early")]
    Ended,
    #[error("more than {} GiB to keep in memory", large::KEPT >> 30)]
    Full,
}

#[tokio::main]
async fn main() -> Result<(), LimitError> {
    let Args { mode, address, data } = Args::parse();
    std::fs::create_dir_all(&data)?;
    let listener = TcpListener::bind(address).await?;
    println!("Serving at http://{}", listener.local_addr()?);
    match mode {
        Mode::Small => small::serve(listener, &data).await,
        Mode::LargePut => large::serve(listener, Large::Shards(Shards::create(&data)?)).await,
        Mode::LargeGet => large::serve(listener, Large::Memory(Memory::default())).await,
    }
}

type Answer = Response<Full<Bytes>>;

/// The two hashes that every PUT costs.
#[derive(Default)]
struct Hashes {
    md5: Md5,
    sha256: Sha256,
}

impl Hashes {
    fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        self.sha256.update(bytes);
    }

    /// The MD5, if the SHA-256 is the one that the client announced.
    fn finish(self, headers: &HeaderMap) -> Result<[u8; 16], LimitError> {
        let sha256 = hex::encode(self.sha256.finalize());
        match headers.get("x-amz-content-sha256") {
            Some(announced) if announced.as_bytes() == sha256.as_bytes() => Ok(self.md5.finalize().into()),
            _ => Err(LimitError::WrongHash),
        }
    }
}

fn plain(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

fn tagged(md5: &[u8; 16], body: Full<Bytes>) -> Answer {
    let mut answer = Response::new(body);
    if let Ok(tag) = format!("\"{}\"", hex::encode(md5)).try_into() {
        answer.headers_mut().insert(ETAG, tag);
    }
    answer
}

fn refuse(error: &LimitError) -> Answer {
    let mut answer = Response::new(Full::new(error.to_string().into()));
    *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    answer
}

/// What one caller waits for: its bytes, if any, and all that was written to the file before, are synced.
struct Job {
    write: Option<(u64, Bytes)>,
    done: Sender<io::Result<()>>,
}

/// Starts the thread of a file: it takes everything queued, writes it, syncs once, and answers everybody.
fn start_lane(file: Arc<File>) -> Sender<Job> {
    let (sender, queue) = unbounded::<Job>();
    std::thread::spawn(move || {
        while let Ok(first) = queue.recv() {
            let jobs: Vec<Job> = std::iter::once(first).chain(queue.try_iter()).collect();
            let mut writes = jobs.iter().filter_map(|job| job.write.as_ref());
            let outcome = writes.try_for_each(|(at, bytes)| file.write_all_at(bytes, *at));
            let outcome = outcome.and_then(|()| file.sync_data());
            for job in jobs {
                let copy = outcome.as_ref().copied().map_err(|error| error.kind().into());
                let _ = job.done.send(copy); // who no longer waits needs no answer
            }
        }
    });
    sender
}

/// Has every lane write the same bytes, if any, and sync; returns when all have.
fn commit(lanes: &[Sender<Job>], write: Option<(u64, Bytes)>) -> Result<(), LimitError> {
    let (done, answers) = bounded(lanes.len());
    for lane in lanes {
        lane.send(Job { write: write.clone(), done: done.clone() }).map_err(|_| LimitError::Ended)?;
    }
    drop(done);
    for _ in lanes {
        answers.recv().map_err(|_| LimitError::Ended)??;
    }
    Ok(())
}

/// Makes a file and writes this many zeros, so that a sync of what is written over them changes nothing but bytes.
fn create(path: &Path, length: u64) -> io::Result<Arc<File>> {
    let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
    let zeros = vec![0; 4 << 20];
    for at in (0..length).step_by(zeros.len()) {
        file.write_all_at(&zeros, at)?;
    }
    file.sync_all()?;
    Ok(Arc::new(file))
}
