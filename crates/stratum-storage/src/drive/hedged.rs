//! Bytes that lie alike on several drives, read from whichever gives them first.
//!
//! The drive's own threads read, and after a while the next drive is asked as well, so that one that hangs holds up nobody
//! for long.

use super::{Drive, FileIo};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// How long one drive is waited for before the next one is asked.
const HEDGE_DELAY: Duration = Duration::from_millis(100);
/// How long they are waited for when all have been asked.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// A file on a drive, of which other drives hold the same bytes.
#[derive(Clone, Debug)]
pub struct Copy {
    pub drive: Arc<Drive>,
    pub file: Arc<dyn FileIo>,
}

/// Why no copy gave the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// All of them gave wrong bytes, or an error.
    Bad,
    /// Some still don't answer.
    Late,
}

/// Puts those first that are likely to answer soon, and leaves the order among them as it is.
pub fn soonest_first(copies: &mut [Copy]) {
    copies.sort_by_key(|copy| (!copy.drive.is_healthy(), copy.drive.is_slow()));
}

/// Reads `length` bytes at `offset` from the first copy whose bytes `verify` takes, and gives what it made of them.
/// `bad` is told of each drive that answered with other bytes, or fewer, or an error. Blocks.
///
/// # Errors
/// See [`Unread`].
pub fn read<T>(
    copies: &[Copy],
    offset: u64,
    length: usize,
    mut verify: impl FnMut(Vec<u8>) -> Option<T>,
    mut bad: impl FnMut(&Drive, Option<io::Error>),
) -> Result<T, Unread> {
    let (answer, answers) = mpsc::channel();
    let (mut asked, mut answered) = (0, 0);
    let mut remaining = copies.iter();
    loop {
        let next = remaining.next();
        if let Some(copy) = next {
            let (answer, file, number) = (answer.clone(), copy.file.clone(), asked);
            let read = move || {
                let mut bytes = vec![0; length];
                let read = file.read_at(&mut bytes, offset);
                let _ = answer.send((number, read.map(|read| (read == length).then_some(bytes))));
                Ok(())
            };
            // Asked for now; the answer comes by the channel.
            drop(copy.drive.reading(read));
            asked += 1;
        }
        if answered == asked {
            return Err(Unread::Bad);
        }
        let patience = if next.is_some() { HEDGE_DELAY } else { ANSWER_TIMEOUT };
        match answers.recv_timeout(patience) {
            Ok((number, read)) => {
                answered += 1;
                match read.map(|bytes| bytes.and_then(&mut verify)) {
                    Ok(Some(found)) => return Ok(found),
                    outcome => bad(&copies[number].drive, outcome.err()),
                }
            }
            Err(RecvTimeoutError::Timeout) if next.is_some() => {}
            Err(_) => return Err(Unread::Late),
        }
    }
}
