//! A stripe on its way to the drives.

use super::WriteError;
use crate::drive::FileIo;
use crate::drive::lane::{Done, Stream, Work, Write, promise};
use crate::volume::{AskedShard, StripeAddress, StripeBuffer, Volume, is_full, outcomes};
use bytes::Bytes;
use std::io;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Stripes up to this payload are encoded where they were filled: handing them to a thread would cost more.
const MAX_INLINE_PAYLOAD_BYTES: u32 = 64 * 1024;

/// What the caller of [`Flight::launch`] wants of its writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Through {
    /// The page cache, and written back from there step by step.
    Cache,
    /// The page cache; the lanes answer after a sync.
    CacheAndSync,
    /// Past the page cache: the body is long, and copying it there would cost more than the disk does.
    Drive,
}

/// Writeback of a shard file is started whenever this much of it was written.
const WRITEBACK_BYTES: u64 = 1 << 20;

/// A stripe that was handed over.
pub(super) struct Flight {
    /// Which of the writer's extents it belongs to.
    pub extent: usize,
    launched: oneshot::Receiver<Launched>,
}

/// What became of a stripe.
#[derive(Debug, Default)]
pub(super) struct Landing {
    /// Shards that it isn't on.
    pub failed: Vec<u8>,
    /// Whether one of these is missing for want of space.
    pub full: bool,
}

/// A stripe that was given to the lanes, whose answers are awaited.
struct Launched {
    /// Shards that couldn't even be asked.
    failed: Vec<u8>,
    asked: Vec<AskedShard>,
}

impl Flight {
    /// Encodes a full stripe on a blocking thread and gives its fragments to the lanes of the shards that aren't
    /// lost.
    pub fn launch(
        volume: Arc<Volume>,
        extent: usize,
        buffer: StripeBuffer,
        address: StripeAddress,
        through: Through,
    ) -> Flight {
        let (sender, launched) = oneshot::channel();
        let small = address.stripe.payload <= MAX_INLINE_PAYLOAD_BYTES;
        let work = move || match buffer.seal(&volume.codec, &address, &volume.generations()) {
            // The writer was dropped if nobody takes it.
            Ok(fragments) => drop(sender.send(submit(&volume, &address, fragments, through))),
            // The receiver learns it from the dropped sender.
            Err(error) => tracing::error!(volume = %volume.id, %error, "a stripe can't be encoded"),
        };
        match small {
            true => work(),
            false => drop(crate::blocking::spawn(work)),
        }
        Flight { extent, launched }
    }

    /// Waits until every lane has answered.
    pub async fn land(self) -> Result<Landing, WriteError> {
        let not_encoded = |_| WriteError::Unavailable("a stripe could not be encoded".into());
        let Launched { failed, asked } = self.launched.await.map_err(not_encoded)?;
        let mut landing = Landing { failed, full: false };
        for (shard, outcome) in outcomes(asked).await {
            if let Err(error) = outcome {
                landing.full |= is_full(&error);
                landing.failed.push(shard);
            }
        }
        Ok(landing)
    }
}

fn submit(volume: &Volume, address: &StripeAddress, fragments: Vec<Bytes>, through: Through) -> Launched {
    let mut launched = Launched { failed: Vec::new(), asked: Vec::with_capacity(fragments.len()) };
    for ((shard, current), fragment) in volume.shards().zip(fragments) {
        let (file, drive) = match (current.is_lost(), current.opened(), current.drive.clone()) {
            (true, _, _) => continue,
            (false, Some(file), Some(drive)) => (file, drive),
            _ => {
                launched.failed.push(shard);
                continue;
            }
        };
        let (answered, answer) = promise();
        let (written, offset, end) = (file.clone(), address.offset, address.offset + fragment.len() as u64);
        let done: Done = Box::new(move |outcome: io::Result<()>| {
            if outcome.is_ok() && through == Through::Cache {
                start_writeback(written.as_ref(), offset, end);
            }
            answered(outcome);
        });
        let sync = through == Through::CacheAndSync;
        let done = if sync { current.note_sync(done) } else { done };
        drive.volume_lane().submit(match through {
            Through::Drive => Work::Stream(Stream { file, offset, buf: fragment, done }),
            Through::Cache | Through::CacheAndSync => {
                Work::Write(Write { file, offset, bufs: vec![fragment], sync, done })
            }
        });
        launched.asked.push(AskedShard { shard, drive, answer });
    }
    launched
}

/// Lets the kernel begin with what was written, a piece at a time, so that the sync at the end finds little to do.
fn start_writeback(file: &dyn FileIo, offset: u64, end: u64) {
    let (before, now) = (offset / WRITEBACK_BYTES, end / WRITEBACK_BYTES);
    if before != now {
        file.start_writeback(before * WRITEBACK_BYTES, (now - before) * WRITEBACK_BYTES);
    }
}
