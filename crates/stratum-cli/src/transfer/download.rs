//! Downloads objects into files and pipes.

use super::ledger::{Before, Ledger, Subject};
use super::pieces::{AT_ONCE, Body, Piece, WHOLE_BYTES, cut, piece_bytes};
use super::{Ended, Engine, RemoteObject, apart};
use crate::checksum::{Crc, Sum, Summing, Verify};
use crate::local::{Landing, Root, make_way};
use crate::place::Url;
use crate::problem::Problem;
use crate::s3::{Client, Info, Range, Same};
use futures_util::{StreamExt, TryStreamExt, stream};
use md5::{Digest, Md5};
use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// How many pieces are read at once where they are passed on in order.
const PIECES_AHEAD: usize = 4;
/// The memory that is counted for a piece which is written as it comes: the bytes that are being written, those that
/// have come since, and those in the connection's buffers.
const STREAMED_BYTES: u64 = 2 << 20;
/// How much is read at a time to be hashed.
const HASHED_BYTES: u64 = 1 << 20;

impl Engine {
    /// Downloads an object to a name below a folder.
    pub(super) async fn download_below(
        &self,
        from: &RemoteObject,
        root: &Arc<Root>,
        name: &str,
    ) -> Result<Ended, Problem> {
        let (root, name) = (root.clone(), name.to_owned());
        if name.ends_with('/') {
            if from.size > 0 {
                return Err(Problem::at(
                    &from.url,
                    "its name ends in a slash, as a folder's, but it holds bytes",
                ));
            }
            let lasting = self.lasting.clone();
            let made = apart(move || -> Result<(), String> {
                root.make_folder(&name)?;
                let Some(lasting) = lasting else { return Ok(()) };
                lasting.keep(&root.path(&name)?).map_err(|error| error.to_string())
            });
            return made.await?.map(|()| Ended::Done).map_err(|problem| Problem::at(&from.url, problem));
        }
        let path =
            apart(move || root.prepare(&name)).await?.map_err(|problem| Problem::at(&from.url, problem))?;
        self.download(from, path).await
    }

    /// Downloads an object into a file.
    pub(super) async fn download(&self, from: &RemoteObject, to: PathBuf) -> Result<Ended, Problem> {
        if !self.options.clobbers && to.symlink_metadata().is_ok() {
            return Ok(Ended::Skipped);
        }
        make_way(&to).map_err(|problem| Problem::at(&from.url, problem))?;
        let client = self.sessions.client(&from.url.site)?;
        if from.size <= WHOLE_BYTES {
            self.download_whole(&client, from, to).await?;
        } else {
            self.download_in_pieces(&client, from, to).await?;
        }
        Ok(Ended::Done)
    }

    async fn download_whole(&self, client: &Client, from: &RemoteObject, to: PathBuf) -> Result<(), Problem> {
        let _memory = self.memory(from.size).await;
        let (url, version) = (&from.url, from.version.as_deref());
        let found =
            client.get(&url.bucket, &url.key, version, WHOLE_BYTES).await.map_err(Problem::s3(url))?;
        let (shown, clobbers, lasting) = (to.clone(), self.options.clobbers, self.lasting.clone());
        let landed = apart(move || -> Result<(), String> {
            verify(&found.bytes, &found.info.verify)?;
            let landing = Landing::new(to, clobbers).map_err(|error| error.to_string())?;
            let written = landing.write_at(&found.bytes, 0);
            let modified = found.info.modified.map(SystemTime::from);
            written
                .and_then(|()| landing.land(modified, lasting.as_deref()))
                .map_err(|error| error.to_string())
        });
        landed
            .await?
            .map_err(|problem| Problem::at(format_args!("{url} to {}", shown.display()), problem))?;
        self.output.advance(from.size);
        Ok(())
    }

    async fn download_in_pieces(
        &self,
        client: &Arc<Client>,
        from: &RemoteObject,
        to: PathBuf,
    ) -> Result<(), Problem> {
        let Looked { object: from, info } = look(client, from.named()).await?;
        let subject = subject(client, &from, &to)?;
        let mut ledger = Ledger::open(self.sessions.machine(), &subject)?;
        let before = ledger.as_mut().and_then(|ledger| ledger.before.take()).filter(|before| before.is_same);
        let landing = self.landing(&to, ledger.as_ref(), before.is_some());
        let landing = Arc::new(landing.map_err(|error| Problem::of_path(&to, error))?);
        if let (Some(ledger), None) = (&mut ledger, &before) {
            ledger.begin(&subject, None);
        }
        let ledger = Mutex::new(ledger);
        self.open.add_download();
        let sum = self.fetch_pieces((client, &from), &subject, &info, before, &landing, &ledger).await;
        let landed = match sum {
            Err(problem) => Err(problem),
            Ok(sum) => self.land(landing, &to, from.size, sum, info).await,
        };
        self.open.remove_download();
        let ledger = ledger.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(ledger) = ledger
            && !matches!(&landed, Err(problem) if problem.may_pass())
        {
            if landed.is_err() {
                let _ = std::fs::remove_file(ledger.partial(&to));
            }
            ledger.close();
        }
        landed
    }

    /// Opens the file under its temporary name: the one that an earlier process left, if that is to be gone on with.
    fn landing(&self, to: &Path, ledger: Option<&Ledger>, goes_on: bool) -> std::io::Result<Landing> {
        let Some(ledger) = ledger else { return Landing::new(to.to_owned(), self.options.clobbers) };
        let passing = ledger.partial(to);
        if !goes_on && passing.symlink_metadata().is_ok() {
            std::fs::remove_file(&passing)?;
        }
        Landing::kept(to.to_owned(), passing, self.options.clobbers)
    }

    /// Brings all pieces of an object into the file, and gives the checksum of the whole.
    async fn fetch_pieces(
        &self,
        (client, from): (&Client, &RemoteObject),
        subject: &Subject,
        info: &Info,
        before: Option<Before>,
        landing: &Arc<Landing>,
        ledger: &Mutex<Option<Ledger>>,
    ) -> Result<Sum, Problem> {
        let crc = match info.verify {
            Verify::Sum(sum) => sum.crc(),
            _ => Crc::Crc64Nvme,
        };
        let room = landing.clone();
        let (size, at) = (subject.size, &subject.to);
        apart(move || room.reserve(size)).await?.map_err(|error| Problem::at(at, error))?;
        let before = before.map(|before| before.done).unwrap_or_default();
        let before = &before;
        let pieces = stream::iter(cut(size, subject.piece_bytes)).map(|piece| async move {
            let _memory = self.memory(piece.length().min(STREAMED_BYTES)).await;
            let sum = match kept(&piece, crc, before, landing).await? {
                Some(sum) => sum,
                None => {
                    let sum = fetch(client, from, &piece, crc, landing, at).await?;
                    if let Some(ledger) = &mut *ledger.lock().unwrap_or_else(PoisonError::into_inner) {
                        ledger.note(piece.number, sum.to_string());
                    }
                    sum
                }
            };
            self.output.advance(piece.length());
            Ok::<_, Problem>((piece.number, sum, piece.length()))
        });
        let mut sums: Vec<(u32, Sum, u64)> = pieces.buffer_unordered(AT_ONCE).try_collect().await?;
        sums.sort_by_key(|(number, ..)| *number);
        Ok(Sum::of_pieces(crc, sums.into_iter().map(|(_, sum, length)| (sum, length))))
    }

    /// Puts the file in its place, if its checksum is the one that the endpoint gave.
    async fn land(
        &self,
        landing: Arc<Landing>,
        to: &Path,
        size: u64,
        sum: Sum,
        info: Info,
    ) -> Result<(), Problem> {
        let lasting = self.lasting.clone();
        let landed = apart(move || -> Result<(), String> {
            let is_right = match &info.verify {
                Verify::Sum(expected) => *expected == sum,
                Verify::Md5(digest) => hashed(&landing, size).map_err(|error| error.to_string())? == *digest,
                Verify::Length => true,
            };
            if !is_right {
                return Err(DIFFERS.into());
            }
            let landing = Arc::into_inner(landing).ok_or("it is still being written")?;
            let modified = info.modified.map(SystemTime::from);
            landing.land(modified, lasting.as_deref()).map_err(|error| error.to_string())
        });
        landed.await?.map_err(|problem| Problem::of_path(to, problem))
    }

    /// Writes an object to a device or a named pipe, which takes bytes one after the other.
    pub(super) async fn download_into(&self, from: &RemoteObject, to: &Path) -> Result<Ended, Problem> {
        let path = to.to_owned();
        let opened = apart(move || std::fs::OpenOptions::new().write(true).open(path)).await?;
        let mut file = opened.map_err(|error| Problem::of_path(to, error))?;
        let looked = self.look_again(from).await?;
        self.pass(&looked, 0..u64::MAX, |bytes| {
            file.write_all(bytes).map_err(|error| Problem::of_path(to, error))
        })
        .await?;
        Ok(Ended::Done)
    }

    /// Writes an object to the standard output.
    pub(super) async fn print(&self, from: &RemoteObject) -> Result<Ended, Problem> {
        let looked = self.look_again(from).await?;
        self.pass(&looked, 0..u64::MAX, |bytes| self.output.bytes(bytes)).await?;
        self.output.flush()?;
        Ok(Ended::Done)
    }

    /// Looks at an object, to pass it on.
    pub async fn look(&self, url: &Url, version: Option<&str>) -> Result<Looked, Problem> {
        let client = self.sessions.client(&url.site)?;
        look(&client, (url, version)).await
    }

    /// Looks at an object that was found before. One that was overwritten since isn't passed on in its place: whoever
    /// found it counts on the one that it found.
    async fn look_again(&self, from: &RemoteObject) -> Result<Looked, Problem> {
        let (url, version) = from.named();
        let looked = self.look(url, version).await?;
        match from.is_same_as(&looked.object.etag) {
            true => Ok(looked),
            false => Err(Problem::at(url, "it was overwritten meanwhile: nothing of it was written")),
        }
    }

    /// Hands a range of an object to `take`, in order. If the range is the whole object, its checksum is verified at
    /// the end.
    pub async fn pass(
        &self,
        Looked { object: from, info }: &Looked,
        range: Range,
        mut take: impl FnMut(&[u8]) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        let client = self.sessions.client(&from.url.site)?;
        let whole = 0..from.size;
        let range = range.start.min(from.size)..range.end.min(from.size);
        let crc = match info.verify {
            Verify::Sum(sum) => sum.crc(),
            _ => Crc::Crc64Nvme,
        };
        let body = Body::Object(client, from.clone());
        let body = &body;
        let pieces = cut(range.end.saturating_sub(range.start), piece_bytes(1)).map(|piece| {
            let (begin, end) = (piece.range.start + range.start, piece.range.end + range.start);
            async move {
                let memory = self.memory(end - begin).await;
                Ok::<_, Problem>((body.read(begin..end).await?, memory))
            }
        });
        let mut pieces = stream::iter(pieces).buffered(PIECES_AHEAD);
        let (mut sum, mut md5) = (Summing::new(crc), Md5::new());
        while let Some(piece) = pieces.next().await {
            let (bytes, _memory) = piece?;
            if range == whole {
                match info.verify {
                    Verify::Sum(_) => sum.add(&bytes),
                    Verify::Md5(_) => md5.update(&bytes),
                    Verify::Length => {}
                }
            }
            take(&bytes)?;
            self.output.advance(bytes.len() as u64);
            body.give_back(bytes);
        }
        let is_right = range != whole
            || match info.verify {
                Verify::Sum(expected) => expected == sum.sum(),
                Verify::Md5(digest) => <[u8; 16]>::from(md5.finalize()) == digest,
                Verify::Length => true,
            };
        if is_right { Ok(()) } else { Err(Problem::at(&from.url, DIFFERS)) }
    }
}

const DIFFERS: &str = "the bytes that came aren't the object's: their checksum differs from the endpoint's";

/// An object as it was when it was looked at, and what the endpoint said of it. Only that very object is read.
pub struct Looked {
    object: RemoteObject,
    info: Info,
}

async fn look(client: &Client, (url, version): (&Url, Option<&str>)) -> Result<Looked, Problem> {
    let info = client.head(&url.bucket, &url.key, version).await.map_err(Problem::s3(url))?;
    let object = RemoteObject {
        url: url.clone(),
        version: version.map(str::to_owned),
        size: info.size,
        etag: info.etag.clone(),
        modified: info.modified,
    };
    Ok(Looked { object, info })
}

fn subject(client: &Client, from: &RemoteObject, to: &Path) -> Result<Subject, Problem> {
    let to = std::path::absolute(to).map_err(|error| Problem::of_path(to, error))?;
    let version = from.version.as_ref().map(|id| format!("?versionId={id}")).unwrap_or_default();
    Ok(Subject {
        endpoint: client.connection().endpoint.to_string(),
        from: format!("s3://{}/{}{version}", from.url.bucket, from.url.key),
        to: to.to_string_lossy().into_owned(),
        size: from.size,
        edition: from.etag.clone(),
        piece_bytes: piece_bytes(from.size),
    })
}

/// The checksum of a piece that an earlier process wrote, if the file still has its bytes.
async fn kept(
    piece: &Piece,
    crc: Crc,
    before: &HashMap<u32, String>,
    landing: &Arc<Landing>,
) -> Result<Option<Sum>, Problem> {
    let Some(noted) = before.get(&piece.number).and_then(|text| Sum::parse(crc, text)) else {
        return Ok(None);
    };
    let (landing, range) = (landing.clone(), piece.range.clone());
    apart(move || {
        let (mut bytes, mut sum) = (vec![0; HASHED_BYTES as usize], Summing::new(crc));
        for stretch in cut(range.end - range.start, HASHED_BYTES) {
            let bytes = &mut bytes[..stretch.length() as usize];
            landing.read_at(bytes, range.start + stretch.range.start).ok()?;
            sum.add(bytes);
        }
        Some(sum.sum()).filter(|sum| *sum == noted)
    })
    .await
}

/// Brings a piece into the file and gives its checksum. It is written stretch by stretch as it comes, while the bytes
/// are still in the processor's cache.
async fn fetch(
    client: &Client,
    from: &RemoteObject,
    piece: &Piece,
    crc: Crc,
    landing: &Arc<Landing>,
    at: &str,
) -> Result<Sum, Problem> {
    let Url { bucket, key, .. } = &from.url;
    let same = Same { bucket, key, version: from.version.as_deref(), etag: &from.etag };
    let (mut coming, mut sum) = (client.stretches(same, piece.range.clone()), Summing::new(crc));
    while let Some((offset, bytes)) = coming.next().await.map_err(Problem::s3(&from.url))? {
        let landing = landing.clone();
        let write = move || {
            landing.write_at(&bytes, offset)?;
            sum.add(&bytes);
            Ok(sum)
        };
        sum = apart(write).await?.map_err(|error: std::io::Error| Problem::at(at, error))?;
    }
    Ok(sum.sum())
}

pub(super) fn verify(bytes: &[u8], verify: &Verify) -> Result<(), String> {
    let is_right = match verify {
        Verify::Sum(expected) => Sum::of(expected.crc(), bytes) == *expected,
        Verify::Md5(digest) => <[u8; 16]>::from(Md5::digest(bytes)) == *digest,
        Verify::Length => true,
    };
    if is_right { Ok(()) } else { Err(DIFFERS.into()) }
}

/// The MD5 of a file that is whole.
fn hashed(landing: &Landing, size: u64) -> std::io::Result<[u8; 16]> {
    let (mut md5, mut bytes) = (Md5::new(), vec![0; HASHED_BYTES as usize]);
    for piece in cut(size, HASHED_BYTES) {
        let bytes = &mut bytes[..piece.length() as usize];
        landing.read_at(bytes, piece.range.start)?;
        md5.update(bytes);
    }
    Ok(md5.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::ConnectArgs;
    use crate::output::{Output, OutputArgs};
    use crate::s3::Attributes;
    use crate::sessions::Sessions;
    use crate::staged::{Answer, Staged, machine};
    use crate::transfer::Options;

    /// What comes of an object that had another ETag when it was found.
    async fn passed_on(found: &str, there: &'static str) -> Result<Ended, Problem> {
        let staged =
            Staged::new(move |_, _| Answer::Said(200, format!("etag: {there}\r\n"), String::new())).await;
        let connect =
            ConnectArgs { endpoint: Some(staged.url.clone()), anonymous: true, ..ConnectArgs::default() };
        let options = Options {
            attributes: Attributes::default(),
            clobbers: true,
            moves: false,
            tells_each: false,
            is_dry_run: false,
            jobs: 1,
        };
        let output = Output::new(OutputArgs::default());
        let engine = Engine::new(Sessions::new(connect, machine()), output, options);
        let url = Url::parse("s3://b/k").unwrap();
        let from = RemoteObject { url, version: None, size: 0, etag: found.into(), modified: None };
        engine.download_into(&from, Path::new("/dev/null")).await
    }

    #[tokio::test]
    async fn an_object_that_was_overwritten_since_it_was_found_is_not_passed_on() {
        assert!(passed_on("\"one\"", "\"one\"").await.is_ok());
        assert!(passed_on("one", "\"one\"").await.is_ok());
        let problem = passed_on("\"one\"", "\"two\"").await.err().unwrap();
        assert!(problem.to_string().contains("overwritten"), "{problem}");
    }
}
