//! An object on its way to the remote store: cut into parts, and summed so that what comes back can be compared.

use super::{Operation, PartialObject, Remote, RemoteError};
use crate::format::remote::PART_BYTES;
use bytes::BytesMut;
use std::ops::Range;

/// How much one checksum covers, and one request reads again.
const SUM_BYTES: usize = 1 << 20;

/// Checksums of an object, one for each [`SUM_BYTES`] of it.
#[derive(Debug, Default)]
struct Sums {
    whole: Vec<u32>,
    /// Of the bytes since the last whole one.
    rest: u32,
    rest_bytes: usize,
}

impl Sums {
    fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(SUM_BYTES - self.rest_bytes));
            self.rest = crc32c::crc32c_append(self.rest, now);
            self.rest_bytes += now.len();
            if self.rest_bytes == SUM_BYTES {
                self.whole.push(std::mem::take(&mut self.rest));
                self.rest_bytes = 0;
            }
            bytes = later;
        }
    }

    /// How long the object is.
    fn length(&self) -> u64 {
        (self.whole.len() * SUM_BYTES + self.rest_bytes) as u64
    }

    /// Each range with its checksum.
    fn ranges(&self) -> impl Iterator<Item = (Range<u64>, u32)> {
        let rest = (self.rest_bytes > 0).then_some(self.rest);
        self.whole.iter().copied().chain(rest).enumerate().map(|(number, sum)| {
            let start = (number * SUM_BYTES) as u64;
            (start..(start + SUM_BYTES as u64).min(self.length()), sum)
        })
    }
}

/// An object that is being sent, in parts of [`PART_BYTES`].
pub(crate) struct Sending<'a> {
    remote: &'a Remote,
    name: String,
    parts: Box<dyn PartialObject>,
    part: BytesMut,
    sums: Sums,
}

/// An object that was sent, of which nobody knows yet whether it is there.
pub(crate) struct Sent<'a> {
    remote: &'a Remote,
    name: String,
    sums: Sums,
}

impl Remote {
    /// Begins to send an object.
    pub(crate) async fn send(&self, name: String) -> Result<Sending<'_>, RemoteError> {
        self.ensure_held().await?;
        let parts = self.ask(Operation::Write, self.store.upload(&name)).await?;
        let (part, sums) = (BytesMut::with_capacity(PART_BYTES), Sums::default());
        Ok(Sending { remote: self, name, parts, part, sums })
    }
}

impl<'a> Sending<'a> {
    pub async fn push(&mut self, mut bytes: &[u8]) -> Result<(), RemoteError> {
        self.sums.add(bytes);
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PART_BYTES - self.part.len()));
            self.part.extend_from_slice(now);
            if self.part.len() == PART_BYTES {
                self.send_part().await?;
            }
            bytes = later;
        }
        Ok(())
    }

    /// Zeros up to that offset of the object.
    pub async fn pad(&mut self, to: u64) -> Result<(), RemoteError> {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        while self.sums.length() < to {
            let length = (to - self.sums.length()).min(ZEROS.len() as u64) as usize;
            self.push(ZEROS.get(..length).unwrap_or(&ZEROS)).await?;
        }
        Ok(())
    }

    async fn send_part(&mut self) -> Result<(), RemoteError> {
        let part = std::mem::replace(&mut self.part, BytesMut::with_capacity(PART_BYTES));
        let length = part.len() as u64;
        self.remote.ask(Operation::Write, self.parts.part(part.freeze())).await?;
        metrics::counter!("stratum_remote_written_bytes_total").increment(length);
        Ok(())
    }

    /// Makes the object of what was pushed.
    pub async fn finish(mut self) -> Result<Sent<'a>, RemoteError> {
        let outcome = self.try_finish().await;
        if let Err(error) = outcome {
            self.give_up().await;
            return Err(error);
        }
        let Sending { remote, name, sums, .. } = self;
        Ok(Sent { remote, name, sums })
    }

    async fn try_finish(&mut self) -> Result<(), RemoteError> {
        if !self.part.is_empty() {
            self.send_part().await?;
        }
        self.remote.ask(Operation::Write, self.parts.finish()).await
    }

    /// What can't be undone now is garbage that the remote's own rules remove.
    pub async fn give_up(mut self) {
        if let Err(error) = self.remote.ask(Operation::Write, self.parts.give_up()).await {
            tracing::debug!(%error, "parts of an upload stay at the remote store");
        }
    }
}

impl Sent<'_> {
    /// How long the object is.
    pub fn length(&self) -> u64 {
        self.sums.length()
    }

    /// Reads the object again and compares it with what was sent.
    pub async fn compare(&self) -> Result<(), RemoteError> {
        let found = self.remote.length_of(&self.name).await?;
        if found != self.length() {
            return Err(RemoteError::Altered(format!("{found} bytes of {}", self.length())));
        }
        for (range, sum) in self.sums.ranges() {
            let bytes = self.remote.read_range(&self.name, range.clone()).await?;
            if bytes.len() as u64 != range.end - range.start || crc32c::crc32c(&bytes) != sum {
                return Err(RemoteError::Altered(format!("other bytes from {} on", range.start)));
            }
        }
        Ok(())
    }

    /// Removes it: nobody names it.
    pub async fn take_back(&self) {
        if let Err(error) = self.remote.remove(&self.name).await {
            tracing::debug!(name = self.name, %error, "an object that nobody names stays for now");
        }
    }
}
