//! A range of an object, handed on in the stretches in which the network brings it, so that a reader can write each
//! one while it is still in the processor's cache.

use super::client::{Answer, Call, Client, S3Error};
use super::objects::{BODY_REPEATS, Range};
use bytes::Bytes;
use http::Method;
use hyper::body::Incoming;
use std::time::Duration;

/// An object as its ETag names it: reads fail once the object has another one.
#[derive(Clone, Copy, Debug)]
pub struct Same<'a> {
    pub bucket: &'a str,
    pub key: &'a str,
    pub version: Option<&'a str>,
    pub etag: &'a str,
}

/// The stretches of a range that are still to come. A body that breaks off is asked for again from there on.
pub struct Stretches<'a> {
    client: &'a Client,
    of: Same<'a>,
    left: Range,
    body: Option<Incoming>,
    repeats: u32,
}

impl Client {
    pub fn stretches<'a>(&'a self, of: Same<'a>, range: Range) -> Stretches<'a> {
        Stretches { client: self, of, left: range, body: None, repeats: 0 }
    }
}

impl Stretches<'_> {
    /// The next bytes and their offset in the object; none at the range's end.
    ///
    /// # Errors
    /// The object has another ETag by now, can't be read, or its body broke off too often.
    pub async fn next(&mut self) -> Result<Option<(u64, Bytes)>, S3Error> {
        while !self.left.is_empty() {
            let mut body = match self.body.take() {
                Some(body) => body,
                None => self.ask().await?,
            };
            let broken = match self.client.frame(&mut body).await {
                Ok(Some(bytes)) if bytes.len() as u64 <= self.left.end - self.left.start => {
                    let at = self.left.start;
                    self.left.start += bytes.len() as u64;
                    self.body = Some(body);
                    return Ok(Some((at, bytes)));
                }
                Ok(Some(_)) => return Err(self.client.nonsense("it is longer than it says".into())),
                Ok(None) => self.client.nonsense("it broke off".into()),
                Err(error) => error,
            };
            if self.repeats == BODY_REPEATS {
                return Err(broken);
            }
            self.repeats += 1;
            tokio::time::sleep(Duration::from_millis(200 << self.repeats)).await;
        }
        Ok(None)
    }

    async fn ask(&self) -> Result<Incoming, S3Error> {
        let Same { bucket, key, version, etag } = self.of;
        let call = Call::new(Method::GET, bucket, key)
            .query_if("versionId", version)
            .header("range", &format!("bytes={}-{}", self.left.start, self.left.end - 1))
            .header("if-match", etag);
        let Answer { headers, body } = self.client.send(call).await?;
        match self.client.length(&headers)? {
            length if length == self.left.end - self.left.start => Ok(body),
            length => Err(self.client.nonsense(format!("{length} bytes came: the object was written anew"))),
        }
    }
}
