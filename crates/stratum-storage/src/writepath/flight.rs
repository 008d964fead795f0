//! A stripe on its way to the drives.

use super::WriteError;
use crate::drive::FileIo;
use crate::drive::lane::{Stream, Work, Write};
use crate::volume::{StripeAddress, StripeBuffer, Volume, is_full};
use bytes::Bytes;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Stripes up to this payload are encoded where they were filled: handing them to a thread would cost more.
const INLINE_PAYLOAD: u32 = 64 * 1024;
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
const WRITEBACK: u64 = 1 << 20;

/// A stripe that was handed over.
pub(super) struct Flight {
    /// Which of the writer's extents it belongs to.
    pub extent: usize,
    landed: oneshot::Receiver<Landing>,
}

/// What became of a stripe.
#[derive(Debug, Default)]
pub(super) struct Landing {
    /// Shards that it isn't on.
    pub failed: Vec<u8>,
    /// A device was full.
    pub full: bool,
}

/// Counts the answers of the lanes; the last one tells the writer.
struct Tally {
    state: Mutex<TallyState>,
}

struct TallyState {
    waiting: usize,
    landing: Landing,
    sender: Option<oneshot::Sender<Landing>>,
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
        let (sender, landed) = oneshot::channel();
        let small = address.stripe.payload <= INLINE_PAYLOAD;
        let work = move || match buffer.seal(&volume.codec, &address, &volume.generations()) {
            Ok(fragments) => submit(&volume, &address, fragments, through, sender),
            // The receiver learns it from the dropped sender.
            Err(error) => tracing::error!(volume = %volume.id, %error, "a stripe can't be encoded"),
        };
        match small {
            true => work(),
            false => drop(crate::blocking::spawn(work)),
        }
        Flight { extent, landed }
    }

    /// Waits until every lane has answered.
    pub async fn land(self) -> Result<Landing, WriteError> {
        self.landed.await.map_err(|_| WriteError::Unavailable("a stripe could not be encoded".into()))
    }
}

fn submit(
    volume: &Volume,
    address: &StripeAddress,
    fragments: Vec<Bytes>,
    through: Through,
    sender: oneshot::Sender<Landing>,
) {
    let mut targets = Vec::with_capacity(fragments.len());
    let mut landing = Landing::default();
    for ((shard, current), fragment) in volume.shards().zip(fragments) {
        match (current.is_lost(), current.opened(), current.drive.clone()) {
            (true, _, _) => {}
            (false, Some(file), Some(drive)) => targets.push((shard, file, drive, fragment)),
            _ => landing.failed.push(shard),
        }
    }
    if targets.is_empty() {
        // Nobody waits any more when this fails: the writer was dropped.
        let _ = sender.send(landing);
        return;
    }
    let state = TallyState { waiting: targets.len(), landing, sender: Some(sender) };
    let tally = Arc::new(Tally { state: Mutex::new(state) });
    for (shard, file, drive, fragment) in targets {
        let (tally, offset, end) = (tally.clone(), address.offset, address.offset + fragment.len() as u64);
        let written = file.clone();
        let done = Box::new(move |outcome: io::Result<()>| {
            if outcome.is_ok() && through == Through::Cache {
                start_writeback(written.as_ref(), offset, end);
            }
            tally.count(shard, outcome);
        });
        let sync = through == Through::CacheAndSync;
        drive.volume_lane().submit(match through {
            Through::Drive => Work::Stream(Stream { file, offset, buf: fragment, done }),
            Through::Cache | Through::CacheAndSync => {
                Work::Write(Write { file, offset, bufs: vec![fragment], sync, done })
            }
        });
    }
}

impl Tally {
    fn count(&self, shard: u8, outcome: io::Result<()>) {
        let mut state = self.state.lock();
        if let Err(error) = outcome {
            state.landing.full |= is_full(&error);
            state.landing.failed.push(shard);
        }
        state.waiting -= 1;
        if state.waiting == 0
            && let Some(sender) = state.sender.take()
        {
            let _ = sender.send(std::mem::take(&mut state.landing));
        }
    }
}

/// Lets the kernel begin with what was written, a piece at a time, so that the sync at the end finds little to do.
fn start_writeback(file: &dyn FileIo, offset: u64, end: u64) {
    let (before, now) = (offset / WRITEBACK, end / WRITEBACK);
    if before != now {
        file.start_writeback(before * WRITEBACK, (now - before) * WRITEBACK);
    }
}
