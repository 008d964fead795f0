//! Uploads files and the standard input into objects.

use super::ledger::{Ledger, Subject};
use super::pieces::{AT_ONCE, Body, MOST_PIECE_BYTES, Piece, WHOLE_BYTES, cut, growing, piece_bytes};
use super::{Ended, Engine, apart};
use crate::checksum::{Crc, Sum};
use crate::connection::Checksums;
use crate::local::LocalFile;
use crate::place::Url;
use crate::problem::Problem;
use crate::quantity::shown_bytes;
use crate::s3::{Attributes, Client, Condition, Kind, Part, S3Error, Upload};
use bytes::Bytes;
use futures_util::stream::{self, FuturesUnordered};
use futures_util::{StreamExt, TryStreamExt};
use md5::{Digest, Md5};
use serde_json::json;
use std::collections::HashMap;
use std::io::{Read, stdin};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// A multipart upload whose pieces are being sent.
pub(super) struct Making<'a> {
    pub client: &'a Arc<Client>,
    pub upload: &'a Upload,
    /// Parts that an earlier process sent, as the endpoint lists them.
    pub before: HashMap<u32, Part>,
}

impl Engine {
    /// Uploads a file.
    pub(super) async fn upload(&self, file: &LocalFile, to: &Url) -> Result<Ended, Problem> {
        let client = self.sessions.client(&to.site)?;
        let attributes = self.attributes_of(&file.path);
        let uploaded = if file.size <= WHOLE_BYTES {
            self.upload_whole(&client, file, to, &attributes).await
        } else {
            self.upload_in_pieces(&client, file, to, &attributes).await
        };
        self.unless_there(uploaded)
    }

    /// Uploads the standard input.
    pub(super) async fn upload_pipe(&self, to: &Url) -> Result<Ended, Problem> {
        let client = self.sessions.client(&to.site)?;
        let attributes = self.attributes_of(Path::new(&to.key));
        let first = apart(|| read_pipe(WHOLE_BYTES)).await??;
        let uploaded = if (first.len() as u64) < WHOLE_BYTES {
            self.put(&client, to, first, &attributes).await
        } else {
            self.upload_growing(&client, first, to, &attributes).await
        };
        self.unless_there(uploaded)
    }

    async fn upload_whole(
        &self,
        client: &Client,
        file: &LocalFile,
        to: &Url,
        attributes: &Attributes,
    ) -> Result<(), Problem> {
        let _memory = self.memory(file.size).await;
        let found = file.clone();
        let bytes = apart(move || read_whole(&found))
            .await?
            .map_err(|problem| Problem::of_path(&file.path, problem))?;
        self.put(client, to, bytes, attributes).await?;
        self.output.advance(file.size);
        Ok(())
    }

    /// Writes an object in one request.
    pub(super) async fn put(
        &self,
        client: &Client,
        to: &Url,
        bytes: Bytes,
        attributes: &Attributes,
    ) -> Result<(), Problem> {
        let sum = is_summed(client).then(|| Sum::of(Crc::Crc64Nvme, &bytes));
        let put = client.put(&to.bucket, &to.key, bytes, sum, attributes, self.condition());
        put.await.map(drop).map_err(Problem::s3(to))
    }

    async fn upload_in_pieces(
        &self,
        client: &Arc<Client>,
        file: &LocalFile,
        to: &Url,
        attributes: &Attributes,
    ) -> Result<(), Problem> {
        let subject = subject(client, file, to, attributes)?;
        let mut ledger = Ledger::open(self.sessions.machine(), &subject)?;
        let open = file.open().map_err(|problem| Problem::of_path(&file.path, problem))?;
        let body = Body::File(Arc::new(open), file.path.clone());
        let is_new = ledger.as_ref().is_some_and(|ledger| ledger.before.is_none());
        let begun = self.begin_or_go_on(client, &subject, to, attributes, ledger.as_mut()).await;
        let (upload, before) = match begun {
            Ok(begun) => begun,
            Err(problem) => {
                ledger.filter(|_| is_new).into_iter().for_each(Ledger::close);
                return Err(problem);
            }
        };
        self.open.add(client, &upload, ledger.is_some());
        let making = Making { client, upload: &upload, before };
        let made = async {
            let parts = self.put_pieces(&making, &body, file.size, subject.piece_bytes).await?;
            unchanged(file)?;
            self.complete(client, &upload, to, parts, file.size).await
        };
        let made = made.await;
        self.open.remove(&upload);
        match (&made, ledger) {
            (Ok(()), ledger) => ledger.into_iter().for_each(Ledger::close),
            // The upload stays, since the same command may succeed later.
            (Err(problem), Some(_)) if problem.may_pass() => {}
            (Err(_), ledger) => {
                ledger.into_iter().for_each(Ledger::close);
                let _ = client.abort(&upload).await;
            }
        }
        made
    }

    /// The upload that an earlier process left, with its parts, or a new one.
    async fn begin_or_go_on(
        &self,
        client: &Arc<Client>,
        subject: &Subject,
        to: &Url,
        attributes: &Attributes,
        mut ledger: Option<&mut Ledger>,
    ) -> Result<(Upload, HashMap<u32, Part>), Problem> {
        let before = ledger.as_mut().and_then(|ledger| ledger.before.take());
        if let Some((id, is_same)) = before.and_then(|before| Some((before.upload?, before.is_same))) {
            let upload = Upload { bucket: to.bucket.clone(), key: to.key.clone(), id };
            match (is_same, client.parts(&upload).await) {
                (true, Ok(parts)) => {
                    return Ok((upload, parts.into_iter().map(|part| (part.number, part)).collect()));
                }
                // The upload was of a file that has changed since, or had other attributes.
                (false, Ok(_)) => drop(client.abort(&upload).await),
                (_, Err(S3Error::Refused(refusal))) if refusal.kind == Kind::NoUpload => {}
                (_, Err(error)) => return Err(Problem::s3(to)(error)),
            }
        }
        let upload = client.begin(&to.bucket, &to.key, is_summed(client), attributes).await;
        let upload = upload.map_err(Problem::s3(to))?;
        if let Some(ledger) = ledger {
            ledger.begin(subject, Some(upload.id.clone()));
        }
        Ok((upload, HashMap::new()))
    }

    /// Sends all pieces of a body, a few at a time.
    pub(super) async fn put_pieces(
        &self,
        making: &Making<'_>,
        body: &Body,
        size: u64,
        piece_bytes: u64,
    ) -> Result<Vec<Part>, Problem> {
        if piece_bytes > MOST_PIECE_BYTES {
            let problem = format!("{} are more than an object can have", shown_bytes(size));
            return Err(Problem::at(&making.upload.key, problem));
        }
        let parts = stream::iter(cut(size, piece_bytes)).map(|piece| async move {
            let _memory = self.memory(piece.length()).await;
            let bytes = body.read(piece.range.clone()).await?;
            self.put_piece(making, &piece, bytes).await
        });
        let mut parts: Vec<Part> = parts.buffer_unordered(AT_ONCE).try_collect().await?;
        parts.sort_by_key(|part| part.number);
        Ok(parts)
    }

    /// Sends a piece, unless the endpoint has a part of the same bytes already.
    async fn put_piece(&self, making: &Making<'_>, piece: &Piece, bytes: Bytes) -> Result<Part, Problem> {
        let Making { client, upload, before } = making;
        let length = piece.length();
        let known = before.get(&piece.number).filter(|part| part.size == Some(length)).cloned();
        let (sum, known) = {
            let bytes = bytes.clone();
            let compared = apart(move || {
                let sum = Sum::of(Crc::Crc64Nvme, &bytes);
                let known = known.filter(|part| match part.sum {
                    Some(listed) => listed == sum,
                    None => part.etag.trim_matches('"') == hex::encode(Md5::digest(&bytes)),
                });
                (sum, known)
            });
            compared.await?
        };
        let sum = is_summed(client).then_some(sum);
        let part = match known {
            Some(part) => Part { sum, ..part },
            None => {
                let put = client.put_part(upload, piece.number, bytes, sum).await;
                put.map_err(Problem::s3(format_args!("part {} of {}", piece.number, upload.key)))?
            }
        };
        self.output.advance(length);
        Ok(part)
    }

    /// Sends the standard input in parts, each as soon as it is full.
    async fn upload_growing(
        &self,
        client: &Arc<Client>,
        first: Bytes,
        to: &Url,
        attributes: &Attributes,
    ) -> Result<(), Problem> {
        let upload = client.begin(&to.bucket, &to.key, is_summed(client), attributes).await;
        let upload = upload.map_err(Problem::s3(to))?;
        self.open.add(client, &upload, false);
        let making = Making { client, upload: &upload, before: HashMap::new() };
        let made = async {
            let (parts, size) = self.put_pipe(&making, first).await?;
            self.complete(client, &upload, to, parts, size).await
        };
        let made = made.await;
        self.open.remove(&upload);
        if made.is_err() {
            let _ = client.abort(&upload).await;
        }
        made
    }

    async fn put_pipe(&self, making: &Making<'_>, first: Bytes) -> Result<(Vec<Part>, u64), Problem> {
        let (mut parts, mut sending) = (Vec::new(), FuturesUnordered::new());
        let (mut number, mut size, mut next) = (1, 0, Some(first));
        loop {
            let (first, room) = (next.take(), growing(number));
            let read = async {
                let memory = self.memory(room).await;
                let bytes = match first {
                    Some(first) => first,
                    None => apart(move || read_pipe(room)).await??,
                };
                Ok::<_, Problem>((bytes, memory))
            };
            let mut read = std::pin::pin!(read);
            // Parts are sent while the next one is read, since they may hold the memory that it waits for.
            let (bytes, memory) = loop {
                tokio::select! {
                    read = &mut read, if sending.len() < AT_ONCE => break read?,
                    part = sending.try_next(), if !sending.is_empty() => parts.extend(part?),
                }
            };
            if bytes.is_empty() {
                break;
            }
            let piece = Piece { number, range: size..size + bytes.len() as u64 };
            (number, size) = (number + 1, piece.range.end);
            self.output.expect(piece.length());
            sending.push(async move {
                let _memory = memory;
                self.put_piece(making, &piece, bytes).await
            });
        }
        while let Some(part) = sending.try_next().await? {
            parts.push(part);
        }
        parts.sort_by_key(|part: &Part| part.number);
        Ok((parts, size))
    }

    /// Completes an upload. If the endpoint doesn't know the upload any more, an earlier answer may have been lost,
    /// so it counts as done if the object is there with the same checksum.
    pub(super) async fn complete(
        &self,
        client: &Client,
        upload: &Upload,
        to: &Url,
        parts: Vec<Part>,
        size: u64,
    ) -> Result<(), Problem> {
        let sums: Option<Vec<(Sum, u64)>> = parts.iter().map(|part| Some((part.sum?, part.size?))).collect();
        let sum = sums.map(|sums| Sum::of_pieces(Crc::Crc64Nvme, sums));
        match client.complete(upload, &parts, sum, self.condition()).await {
            Ok(_) => Ok(()),
            Err(S3Error::Refused(refusal))
                if refusal.kind == Kind::NoUpload
                    || refusal.is_of_repeat && refusal.kind == Kind::Changed =>
            {
                let there = client.head(&to.bucket, &to.key, None).await.map_err(Problem::s3(to))?;
                let is_it = there.size == size
                    && sum.is_some_and(|sum| there.verify == crate::checksum::Verify::Sum(sum));
                if is_it { Ok(()) } else { Err(Problem::s3(to)(S3Error::Refused(refusal))) }
            }
            Err(error) => Err(Problem::s3(to)(error)),
        }
    }

    /// With `--no-clobber`, a write that was refused because the key has an object counts as skipped.
    pub(super) fn unless_there(&self, written: Result<(), Problem>) -> Result<Ended, Problem> {
        match written {
            Ok(()) => Ok(Ended::Done),
            Err(problem) if !self.options.clobbers && problem.kind() == Some(Kind::Changed) => {
                Ok(Ended::Skipped)
            }
            Err(problem) => Err(problem),
        }
    }

    pub(super) fn condition(&self) -> Condition {
        if self.options.clobbers { Condition::None } else { Condition::Absent }
    }

    /// The attributes of an object that is made of a file: those that the command names, and a type guessed by the
    /// file's name.
    fn attributes_of(&self, path: &Path) -> Attributes {
        let guessed = mime_guess::from_path(path).first_raw().map(str::to_owned);
        self.options.attributes.or(&Attributes { content_type: guessed, ..Attributes::default() })
    }
}

/// Whether uploads carry checksums.
pub(super) fn is_summed(client: &Client) -> bool {
    client.connection().checksums == Checksums::Sent
}

fn subject(client: &Client, file: &LocalFile, to: &Url, said: &Attributes) -> Result<Subject, Problem> {
    let from = std::path::absolute(&file.path).map_err(|error| Problem::of_path(&file.path, error))?;
    let since = file.modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok(Subject {
        endpoint: client.connection().endpoint.to_string(),
        from: from.to_string_lossy().into_owned(),
        to: format!("s3://{}/{}", to.bucket, to.key),
        size: file.size,
        // The attributes are sent when an upload begins, so one with other attributes can't be gone on with.
        edition: format!("{}.{:09} {}", since.as_secs(), since.subsec_nanos(), json!(said)),
        piece_bytes: piece_bytes(file.size),
    })
}

/// Fails if a file has changed since it was found.
fn unchanged(file: &LocalFile) -> Result<(), Problem> {
    let now = file.again().map_err(|problem| Problem::of_path(&file.path, problem))?;
    match (now.size, now.modified) == (file.size, file.modified) {
        true => Ok(()),
        false => Err(Problem::of_path(&file.path, "it changed while it was read: nothing was uploaded")),
    }
}

fn read_whole(found: &LocalFile) -> Result<Bytes, String> {
    let (file, size) = (found.open()?, found.size);
    let mut bytes = Vec::with_capacity(size as usize + 1);
    file.take(size + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    match bytes.len() as u64 == size {
        true => Ok(bytes.into()),
        false => Err("it changed while it was read: nothing was uploaded".into()),
    }
}

/// Reads `at_most` bytes of the standard input, or fewer if it ends before.
fn read_pipe(at_most: u64) -> Result<Bytes, Problem> {
    // As much as may come, since a buffer that grows as it is filled may become twice as large.
    let mut bytes = Vec::with_capacity(at_most as usize);
    let read = stdin().lock().take(at_most).read_to_end(&mut bytes);
    read.map(|_| bytes.into()).map_err(|error| Problem::at("-", error))
}
