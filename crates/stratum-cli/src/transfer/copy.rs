//! Copies objects to objects: the endpoint does it where source and target are asked in the same way, else the bytes
//! come through this process.

use super::download::verify;
use super::pieces::{AT_ONCE, Body, WHOLE_BYTES, cut, piece_bytes};
use super::upload::{Making, is_summed};
use super::{Ended, Engine, RemoteObject};
use crate::place::Url;
use crate::problem::{Outcome, Problem};
use crate::s3::{Attributes, Client, Part, Upload};
use futures_util::{StreamExt, TryStreamExt, stream};
use std::collections::HashMap;
use std::sync::Arc;

/// The largest object that S3 copies by one request.
const COPIED_WHOLE_BYTES: u64 = 5 << 30;
/// The length of the ranges in which larger objects are copied.
const COPIED_BYTES: u64 = 512 << 20;

impl Engine {
    pub(super) async fn copy(&self, from: &RemoteObject, to: &Url) -> Result<Ended, Problem> {
        let (source, target) = (self.sessions.client(&from.url.site)?, self.sessions.client(&to.site)?);
        let is_one = self.sessions.are_one(&source, &target);
        let is_itself = (&from.url.bucket, &from.url.key, &from.version) == (&to.bucket, &to.key, &None);
        // Copying an object onto itself changes its attributes, which is allowed. Moving it onto itself would delete
        // it.
        let changes = !self.options.attributes.is_empty() && !self.options.moves;
        if is_itself && is_one && !changes {
            return Err(Problem::at(to, SAME));
        }
        if is_itself && !is_one && self.options.moves && is_same(&source, &target, to).await? {
            return Err(Problem::at(to, SAME_ELSEWHERE));
        }
        if !self.options.clobbers && self.is_there(&target, to).await? {
            return Ok(Ended::Skipped);
        }
        let copied = if is_one {
            self.copy_within(&source, from, to).await
        } else {
            self.copy_through(&source, from, &target, to).await
        };
        self.unless_there(copied)
    }

    async fn is_there(&self, client: &Client, url: &Url) -> Result<bool, Problem> {
        match client.head(&url.bucket, &url.key, None).await.map_err(Problem::s3(url)) {
            Ok(_) => Ok(true),
            Err(problem) if problem.outcome() == Outcome::Missing => Ok(false),
            Err(problem) => Err(problem),
        }
    }

    /// The attributes of a copy: those that the command names, and otherwise those of the source.
    async fn attributes(&self, client: &Client, from: &RemoteObject) -> Result<Attributes, Problem> {
        let head = client.head(&from.url.bucket, &from.url.key, from.version.as_deref());
        let info = head.await.map_err(Problem::s3(&from.url))?;
        // A storage class says where one store keeps an object, so the copy doesn't take it over.
        let said = info.attributes.map_err(|problem| Problem::at(&from.url, problem))?;
        let of_source = Attributes { storage_class: None, ..said };
        Ok(self.options.attributes.or(&of_source))
    }

    async fn copy_within(&self, client: &Arc<Client>, from: &RemoteObject, to: &Url) -> Result<(), Problem> {
        if from.size > COPIED_WHOLE_BYTES {
            return self.copy_ranges(client, from, to).await;
        }
        let said = match self.options.attributes.is_empty() {
            true => None,
            false => Some(self.attributes(client, from).await?),
        };
        let copied = client.copy(named(from), &from.etag, (&to.bucket, &to.key), said.as_ref()).await;
        copied.map_err(Problem::s3(&from.url))?;
        self.output.advance(from.size);
        Ok(())
    }

    async fn copy_ranges(&self, client: &Arc<Client>, from: &RemoteObject, to: &Url) -> Result<(), Problem> {
        let attributes = self.attributes(client, from).await?;
        let bytes = COPIED_BYTES.max(piece_bytes(from.size));
        let upload = client.begin(&to.bucket, &to.key, false, &attributes).await.map_err(Problem::s3(to))?;
        let upload = &upload;
        let parts = stream::iter(cut(from.size, bytes)).map(|piece| async move {
            let copied =
                client.copy_part(upload, piece.number, named(from), &from.etag, piece.range.clone()).await;
            let part = copied.map_err(Problem::s3(&from.url))?;
            self.output.advance(piece.length());
            Ok::<_, Problem>(part)
        });
        let parts = async {
            let mut parts: Vec<Part> = parts.buffer_unordered(AT_ONCE).try_collect().await?;
            parts.sort_by_key(|part| part.number);
            Ok(parts)
        };
        self.made(client, upload, to, from.size, parts).await
    }

    /// Copies an object by reading it from one endpoint and writing it to another.
    async fn copy_through(
        &self,
        source: &Arc<Client>,
        from: &RemoteObject,
        target: &Arc<Client>,
        to: &Url,
    ) -> Result<(), Problem> {
        let attributes = self.attributes(source, from).await?;
        if from.size <= WHOLE_BYTES {
            let _memory = self.memory(from.size).await;
            let url = &from.url;
            let found = source.get(&url.bucket, &url.key, from.version.as_deref(), WHOLE_BYTES).await;
            let found = found.map_err(Problem::s3(url))?;
            verify(&found.bytes, &found.info.verify).map_err(|problem| Problem::at(url, problem))?;
            self.put(target, to, found.bytes, &attributes).await?;
            self.output.advance(from.size);
            return Ok(());
        }
        let upload = target.begin(&to.bucket, &to.key, is_summed(target), &attributes).await;
        let upload = upload.map_err(Problem::s3(to))?;
        let making = Making { client: target, upload: &upload, before: HashMap::new() };
        let body = Body::Object(source.clone(), from.clone());
        let parts = self.put_pieces(&making, &body, from.size, piece_bytes(from.size));
        self.made(target, &upload, to, from.size, parts).await
    }

    /// Waits for all parts and completes the upload. If anything fails, the upload is aborted.
    async fn made(
        &self,
        client: &Arc<Client>,
        upload: &Upload,
        to: &Url,
        size: u64,
        parts: impl Future<Output = Result<Vec<Part>, Problem>>,
    ) -> Result<(), Problem> {
        self.open.add(client, upload, false);
        let made = async { self.complete(client, upload, to, parts.await?, size).await };
        let made = made.await;
        self.open.remove(upload);
        if made.is_err() {
            let _ = client.abort(upload).await;
        }
        made
    }
}

const SAME: &str = "source and target are the same object. `stratum cp` with --storage-class, --content-type or the like changes \
                    what is said of it where it is";
const SAME_ELSEWHERE: &str =
    "source and target are the same object, by two names of one endpoint: to move it would be to delete it";

/// Whether an object has the same size, ETag and time at two endpoints. Then they count as one endpoint with two names.
pub async fn is_same(source: &Client, target: &Client, url: &Url) -> Result<bool, Problem> {
    let there = match target.head(&url.bucket, &url.key, None).await.map_err(Problem::s3(url)) {
        Err(problem) if problem.outcome() == Outcome::Missing => return Ok(false),
        there => there?,
    };
    let here = source.head(&url.bucket, &url.key, None).await.map_err(Problem::s3(url))?;
    Ok((here.size, here.etag, here.modified) == (there.size, there.etag, there.modified))
}

fn named(object: &RemoteObject) -> (&str, &str, Option<&str>) {
    (&object.url.bucket, &object.url.key, object.version.as_deref())
}
