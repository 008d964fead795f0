//! The task that saves what is known of the use of objects in a file beside the index, so that it survives a restart.
//!
//! Every few seconds the changes are appended to the file and synced. When the file has grown to twice its needed
//! length, it is written anew beside the old one. No request waits for any of this. If the file can't be written, the
//! log says so once, counting goes on in memory, and everything is written as soon as writing works again. A file that
//! can't be read is put aside, and counting begins anew; the only consequence is that tiering decides worse for a
//! while.

use crate::layout::LiveMeta;
use crate::private::Replacement;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use stratum_storage::ambient::{Clock, Entropy, System, UnixMillis};
use stratum_storage::blocking;
use stratum_storage::task::{self, Executor, Next, Role, Row, Stop, Task, Work};
use stratum_tiering::day::Day;
use stratum_tiering::usage::name::Seed;
use stratum_tiering::usage::{Changes, End, Usage};
use tracing_mutex::parkinglot::Mutex;

const FILE: &str = "usage";
/// How often changes are written.
const WRITE_INTERVAL: Duration = Duration::from_secs(3);
/// How long the task rests after a write that failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(60);
/// The most bytes that the task writes in a second, on average.
const BYTES_PER_SECOND: u64 = 8 << 20;
/// The file is written anew when it is more than this many times as long as it need be.
const GROWTH_FACTOR: u64 = 2;
/// A file that is no longer than this is never written anew for its length.
const LEAST_REWRITE_BYTES: u64 = 1 << 20;

/// The task, with the use of objects and the file that keeps it.
pub struct UsageTask {
    usage: Arc<Usage>,
    meta: LiveMeta,
    saver: Mutex<Saver>,
}

#[derive(Default)]
struct Saver {
    /// The file that changes are appended to; nothing until this process has written it as a whole.
    file: Option<Begun>,
    /// Why the last write failed, if it did.
    failure: Option<String>,
    /// When the last write succeeded.
    saved: Option<UnixMillis>,
}

/// A file that this process has written as a whole, and its length in bytes.
struct Begun {
    file: File,
    bytes: u64,
}

impl Begun {
    /// Whether this is the file at that path: the disk that it lies on may have been detached, and another file system
    /// mounted in its place, to which a start would look.
    fn is_at(&self, path: &Path) -> bool {
        let same =
            |mine: fs::Metadata, other: fs::Metadata| (mine.dev(), mine.ino()) == (other.dev(), other.ino());
        self.file.metadata().and_then(|mine| Ok(same(mine, fs::metadata(path)?))).unwrap_or(false)
    }
}

impl UsageTask {
    /// Reads the file that an earlier run of the server has left in one of these folders, as far as it can be read; the
    /// newest, where there are several because disks went away and came back. It is written where `meta` says.
    pub fn open(metas: &[PathBuf], meta: LiveMeta, memory: usize, day: Day) -> UsageTask {
        let written_at = |path: &PathBuf| path.metadata().and_then(|file| file.modified()).ok();
        let newest = metas.iter().map(|meta| meta.join(FILE)).max_by_key(written_at);
        let usage = newest.and_then(|path| read(&path, memory, day)).unwrap_or_else(|| {
            let mut seed = [0; 16];
            System.fill(&mut seed);
            Usage::new(memory, day, Seed(seed))
        });
        UsageTask { usage: Arc::new(usage), meta, saver: Mutex::default() }
    }

    pub fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    /// The note in the status when the use of objects can't be saved.
    pub fn note(&self) -> Option<String> {
        let failure = self.saver.lock().failure.clone()?;
        Some(format!(
            "what is known of the use of objects can't be saved and would be lost with the server ({failure}); it is tried \
             again every minute"
        ))
    }

    /// Publishes metrics about how much is known and when it was last saved.
    fn publish(&self) {
        let status = self.usage.status();
        metrics::gauge!("stratum_usage_objects").set(status.objects as f64);
        metrics::gauge!("stratum_usage_groups").set(status.groups as f64);
        metrics::gauge!("stratum_usage_looks").set(status.looks as f64);
        metrics::gauge!("stratum_usage_memory_bytes").set(status.bytes as f64);
        metrics::counter!("stratum_usage_forgotten_total").absolute(status.forgotten);
        metrics::counter!("stratum_usage_woken_total").absolute(status.woken);
        metrics::counter!("stratum_usage_woken_dropped_total").absolute(status.dropped);
        if let Some(saved) = self.saver.lock().saved {
            metrics::gauge!("stratum_usage_saved_timestamp_seconds").set(saved as f64 / 1000.0);
        }
    }

    /// Saves the changes. Blocks. Gives how long the task should rest.
    fn save(&self) -> Duration {
        let mut file = self.saver.lock().file.take();
        match self.write(&mut file) {
            Ok(written) => {
                let mut saver = self.saver.lock();
                if saver.failure.take().is_some() {
                    tracing::info!(file = FILE, "the use of objects is saved again");
                }
                if written > 0 || saver.saved.is_none() {
                    saver.saved = Some(System.now());
                }
                saver.file = file;
                WRITE_INTERVAL.max(Duration::from_millis(written * 1_000 / BYTES_PER_SECOND))
            }
            Err(error) => {
                let mut saver = self.saver.lock();
                if saver.failure.is_none() {
                    tracing::warn!(%error, file = FILE, "the use of objects could not be saved");
                }
                saver.failure = Some(error.to_string());
                RETRY_INTERVAL
            }
        }
    }

    /// Appends the changes to the file, or writes the file anew; gives how many bytes were written.
    fn write(&self, file: &mut Option<Begun>) -> io::Result<u64> {
        let most = LEAST_REWRITE_BYTES.max(self.usage.file_bytes() * GROWTH_FACTOR);
        let path = self.meta.folder()?.join(FILE);
        if let Some(Begun { file, bytes: length }) = file.as_mut().filter(|begun| begun.is_at(&path))
            && *length <= most
        {
            let mut written = 0;
            let changes = self.usage.take_changes(|bytes| {
                written += bytes.len() as u64;
                file.write_all(bytes)
            })?;
            if written > 0 {
                file.sync_data()?;
                *length += written;
            }
            if changes == Changes::Told {
                return Ok(written);
            }
        }
        let begun = self.write_anew(&path)?;
        let length = begun.bytes;
        *file = Some(begun);
        Ok(length)
    }

    /// Writes the whole file anew.
    fn write_anew(&self, path: &Path) -> io::Result<Begun> {
        let replacement = Replacement::in_own_folder(path)?;
        let mut writer = BufWriter::new(replacement.file());
        let header = self.usage.file_header();
        writer.write_all(&header)?;
        let mut length = header.len() as u64;
        self.usage.mark_all();
        // What changes or is forgotten while this runs is written with the next changes.
        self.usage.take_changes(|bytes| {
            length += bytes.len() as u64;
            writer.write_all(bytes)
        })?;
        writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Begun { file: replacement.finish()?, bytes: length })
    }
}

impl Task for UsageTask {
    fn row(&self) -> Row {
        Row {
            name: "usage",
            role: Role::Host,
            class: None,
            executor: Executor::Thread,
            delay: WRITE_INTERVAL,
        }
    }

    fn step<'a>(&'a self, _: &'a Stop) -> Work<'a, Next> {
        task::blocking(|| {
            let rest = self.save();
            self.publish();
            Next::After(rest)
        })
    }

    fn ended(&self) -> Work<'_, ()> {
        Box::pin(async {
            blocking::in_place(|| self.save());
        })
    }
}

/// Reads the file; gives nothing if there is none, or if nothing of it can be read. A file that can't be read to its
/// end is put aside.
fn read(path: &Path, memory: usize, day: Day) -> Option<Usage> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            put_aside(path, &error);
            return None;
        }
    };
    match Usage::from_file(&bytes, memory, day, System.now()) {
        Ok((usage, End::Whole | End::Torn)) => Some(usage),
        Ok((usage, End::Damaged)) => {
            put_aside(path, &"it is damaged in the middle; what stands before that is used");
            Some(usage)
        }
        Err(error) => {
            put_aside(path, &error);
            None
        }
    }
}

fn put_aside(path: &Path, reason: &dyn std::fmt::Display) {
    let aside = path.with_extension("damaged");
    let kept = match fs::rename(path, &aside) {
        Ok(()) => format!("the damaged file is now {}", aside.display()),
        Err(error) => format!("the file could not be renamed ({error}) and will be overwritten"),
    };
    tracing::warn!(file = %path.display(), %reason, kept, "the saved use of objects can't be read in full");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use stratum_tiering::signals::Read;

    const MEMORY: usize = 1 << 20;
    const READ: Read = Read { bytes: 1, offset: 0, size: 1 };

    fn open(folder: &Path) -> UsageTask {
        UsageTask::open(&[folder.to_owned()], LiveMeta::fixed(folder), MEMORY, Day::REAL)
    }

    fn count(task: &UsageTask, keys: std::ops::Range<u32>) {
        keys.for_each(|key| task.usage().record(1, &key.to_string(), READ, false, System.now()));
    }

    fn reads(task: &UsageTask, key: &str) -> u32 {
        task.usage().of(1, key).own.map_or(0, |own| own.reads())
    }

    #[test]
    fn the_use_of_objects_survives_a_restart_and_its_file_stays_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let task = open(folder.path());
        count(&task, 0..100);
        assert_eq!(task.save(), WRITE_INTERVAL);
        for _ in 0..200 {
            count(&task, 0..100);
            task.save();
        }
        let length = || fs::metadata(folder.path().join(FILE)).unwrap().len();
        assert!(length() <= LEAST_REWRITE_BYTES + 20_000, "{}", length());
        let before = length();
        task.save();
        assert_eq!(length(), before, "nothing is written when nothing has changed");
        assert_eq!(reads(&open(folder.path()), "7"), 201);
        assert_eq!(fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), b"something else").unwrap();
        let task = open(folder.path());
        assert_eq!(fs::read(folder.path().join("usage.damaged")).unwrap(), b"something else");
        count(&task, 0..1);
        task.save();
        assert_eq!(reads(&open(folder.path()), "0"), 1);
    }

    #[test]
    fn a_failure_to_save_is_told_while_it_lasts_and_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let meta = folder.path().join("meta");
        fs::write(&meta, b"in the way").unwrap();
        let task = open(&meta);
        count(&task, 0..10);
        assert_eq!((task.save(), task.note().is_some()), (RETRY_INTERVAL, true));
        assert_eq!(task.saver.lock().saved, None);
        count(&task, 0..10);
        fs::remove_file(&meta).unwrap();
        assert_eq!((task.save(), task.note()), (WRITE_INTERVAL, None));
        assert_eq!(reads(&open(&meta), "3"), 2);
    }

    #[test]
    fn the_file_follows_where_its_folder_is_replaced_and_the_newest_one_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let [meta, away, other] = ["meta", "away", "other"].map(|name| folder.path().join(name));
        let task = open(&meta);
        count(&task, 0..10);
        task.save();
        // The disk is detached, and a blank one takes its place: what is open leads to the old one.
        fs::rename(&meta, &away).unwrap();
        count(&task, 0..1);
        assert_eq!((task.save(), task.note()), (WRITE_INTERVAL, None));
        assert_eq!((reads(&open(&meta), "0"), reads(&open(&meta), "7")), (2, 1));
        assert_eq!(reads(&open(&away), "0"), 1);
        let long_ago = fs::FileTimes::new().set_modified(std::time::SystemTime::UNIX_EPOCH);
        File::options().write(true).open(away.join(FILE)).unwrap().set_times(long_ago).unwrap();
        let metas = [other, away, meta.clone()];
        let both = UsageTask::open(&metas, LiveMeta::fixed(&meta), MEMORY, Day::REAL);
        assert_eq!(reads(&both, "0"), 2);
    }
}
