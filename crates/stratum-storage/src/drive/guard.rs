//! What stands between everybody and a drive's files: it latches, counts, and remembers open files.
//!
//! Every write, sync and change of a name goes through here, so that no caller can forget that a failed one ends
//! the drive. A drive that runs out of space has not failed. Reads are let through even on a failed drive: whoever
//! reads checks what they get.

use super::health::Latch;
use super::{DriveIo, Entry, FileIo, OpenHow, Space};
use crate::ambient::Clock;
use metrics::{Counter, Histogram};
use parking_lot::Mutex;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::{Arc, OnceLock, Weak};

/// How much of the expected file is read.
const EXPECTED_MAX: u64 = 64 * 1024;
/// What is written to see whether a drive takes writes again. A name that means nothing at any start.
const PROBE: &str = "probe.new";

/// A [`DriveIo`] that watches another.
#[derive(Debug)]
pub(super) struct Guard {
    io: Arc<dyn DriveIo>,
    watch: Arc<Watch>,
    open: Mutex<OpenFiles>,
    expected: OnceLock<Expected>,
}

/// Files any of which proves which drive this is.
struct Expected {
    paths: &'static [&'static str],
    is_right: Box<IsRight>,
}

type IsRight = dyn Fn(&[u8]) -> bool + Send + Sync;

impl std::fmt::Debug for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.paths.fmt(f)
    }
}

/// What [`Guard::check`] looks at. A file whose name we take away ourselves leaves before the name goes, and can't
/// come in until it is gone: so one that is in here without a name was taken from us.
#[derive(Debug, Default)]
struct OpenFiles {
    files: Vec<Opened>,
    /// Paths that are being removed or replaced right now.
    going: Vec<String>,
}

impl OpenFiles {
    fn enter(&mut self, path: &str, file: &Arc<GuardedFile>) {
        if self.going.iter().any(|going| going == path) || !file.inner.is_linked() {
            return;
        }
        if self.files.len() == self.files.capacity() {
            self.files.retain(|entry| entry.file.strong_count() > 0);
        }
        self.files.push(Opened { path: path.to_owned(), file: Arc::downgrade(file) });
    }
}

#[derive(Debug)]
struct Opened {
    path: String,
    file: Weak<GuardedFile>,
}

impl Guard {
    pub(super) fn new(
        io: Arc<dyn DriveIo>,
        health: Arc<Latch>,
        clock: Arc<dyn Clock>,
        label: &str,
    ) -> Arc<Guard> {
        let watch = Arc::new(Watch::new(health, clock, label));
        Arc::new(Guard { io, watch, open: Mutex::default(), expected: OnceLock::new() })
    }

    /// From now on [`Guard::check`] wants one of these files to be right. Only the first call counts.
    pub(super) fn expect_file(
        &self,
        paths: &'static [&'static str],
        is_right: impl Fn(&[u8]) -> bool + Send + Sync + 'static,
    ) {
        // A second expectation would mean that the drive is two drives.
        let _ = self.expected.set(Expected { paths, is_right: Box::new(is_right) });
    }

    /// Says what is wrong when the drive isn't any more what was opened.
    pub(super) fn check(&self) -> Result<(), String> {
        if !self.io.is_same_root() {
            return Err(format!("{} is not the directory any more that was opened", self.io.describe()));
        }
        self.check_expected()?;
        self.check_open_files()
    }

    pub(super) fn unwatched(&self) -> Arc<dyn DriveIo> {
        self.io.clone()
    }

    /// Writes and removes a file, past the latch.
    pub(super) fn probe(&self) -> io::Result<()> {
        match self.io.remove(PROBE) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = self.io.open(PROBE, OpenHow::CreateNew)?;
        file.write_at(&[&[0; 4096]], 0)?;
        file.sync()?;
        self.io.remove(PROBE)?;
        self.io.sync_dir("")
    }

    /// The first file that is right will do: what is wrong with another is for a repair to find.
    fn check_expected(&self) -> Result<(), String> {
        let Some(Expected { paths, is_right }) = self.expected.get() else { return Ok(()) };
        let read = |path: &str| -> io::Result<bool> {
            let file = self.io.open(path, OpenHow::Read)?;
            let mut bytes = vec![0; file.len()?.min(EXPECTED_MAX) as usize];
            let got = file.read_at(&mut bytes, 0)?;
            Ok(is_right(&bytes[..got]))
        };
        let mut outcome = Ok(());
        for path in *paths {
            let problem = match read(path) {
                Ok(true) => return Ok(()),
                Ok(false) => format!("{path} on {} is not what it was", self.io.describe()),
                Err(error) if is_not_the_drives_fault(&error) => return Ok(()),
                Err(error) => format!("{path} on {} cannot be read: {error}", self.io.describe()),
            };
            outcome = outcome.and(Err(problem));
        }
        outcome
    }

    fn check_open_files(&self) -> Result<(), String> {
        for file in self.open_files() {
            if file.inner.is_linked() {
                continue;
            }
            let known = self.open.lock().files.iter().find_map(|entry| {
                std::ptr::eq(entry.file.as_ptr(), Arc::as_ptr(&file)).then(|| entry.path.clone())
            });
            if let Some(path) = known {
                return Err(format!("{path} on {} was deleted", self.io.describe()));
            }
        }
        Ok(())
    }

    fn open_files(&self) -> Vec<Arc<GuardedFile>> {
        self.open.lock().files.iter().filter_map(|entry| entry.file.upgrade()).collect()
    }

    /// Does what takes a path's present file away.
    fn taking<T>(&self, path: &str, take: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        {
            let mut open = self.open.lock();
            open.files.retain(|entry| entry.path != path);
            open.going.push(path.to_owned());
        }
        let outcome = take();
        let going = &mut self.open.lock().going;
        if let Some(at) = going.iter().position(|going| going == path) {
            going.swap_remove(at);
        }
        outcome
    }
}

impl DriveIo for Guard {
    fn open(&self, path: &str, how: OpenHow) -> io::Result<Arc<dyn FileIo>> {
        if how == OpenHow::CreateNew {
            self.watch.admit()?;
        }
        let inner = self.watch.name(self.io.open(path, how))?;
        let file = Arc::new(GuardedFile { inner, watch: self.watch.clone() });
        self.open.lock().enter(path, &file);
        Ok(file)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.watch.admit()?;
        self.watch.name(self.taking(to, || self.io.rename(from, to)))?;
        for entry in self.open.lock().files.iter_mut().filter(|entry| entry.path == from) {
            entry.path = to.to_owned();
        }
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.watch.admit()?;
        self.watch.name(self.taking(path, || self.io.remove(path)))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<Entry>> {
        self.io.list(dir)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.watch.admit()?;
        self.watch.name(self.io.create_dir(dir))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.watch.sync(|| self.io.sync_dir(dir))
    }

    fn space(&self) -> io::Result<Space> {
        self.io.space()
    }

    fn device(&self) -> u64 {
        self.io.device()
    }

    fn lock(&self) -> io::Result<()> {
        self.io.lock()
    }

    fn is_same_root(&self) -> bool {
        self.io.is_same_root()
    }

    fn describe(&self) -> String {
        self.io.describe()
    }

    fn folder(&self) -> Option<&Path> {
        self.io.folder()
    }
}

/// A [`FileIo`] that watches another.
#[derive(Debug)]
struct GuardedFile {
    inner: Arc<dyn FileIo>,
    watch: Arc<Watch>,
}

impl FileIo for GuardedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.watch.read(|| self.inner.read_at(buf, offset))
    }

    fn read_at_cached(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        // Not timed: it would measure memory, and this is the hottest path there is.
        self.inner.read_at_cached(buf, offset)
    }

    fn write_at(&self, bufs: &[&[u8]], offset: u64) -> io::Result<()> {
        self.watch.write(|| self.inner.write_at(bufs, offset))
    }

    fn write_past_cache(&self, bufs: &[&[u8]], offset: u64) -> io::Result<()> {
        self.watch.write(|| self.inner.write_past_cache(bufs, offset))
    }

    fn sync(&self) -> io::Result<()> {
        self.watch.sync(|| self.inner.sync())
    }

    fn start_writeback(&self, offset: u64, len: u64) {
        self.inner.start_writeback(offset, len);
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.watch.write(|| self.inner.set_len(len))
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.watch.write(|| self.inner.allocate(offset, len))
    }

    fn punch(&self, offset: u64, len: u64) -> io::Result<()> {
        self.watch.write(|| self.inner.punch(offset, len))
    }

    fn is_linked(&self) -> bool {
        self.inner.is_linked()
    }
}

/// The latch and the meters of a drive.
#[derive(Debug)]
struct Watch {
    health: Arc<Latch>,
    clock: Arc<dyn Clock>,
    read: Meter,
    write: Meter,
    sync: Meter,
    name_errors: Counter,
}

struct Meter {
    what: &'static str,
    seconds: Histogram,
    errors: Counter,
}

impl Meter {
    fn new(label: &str, what: &'static str) -> Meter {
        let seconds =
            metrics::histogram!("stratum_drive_seconds", "drive" => label.to_owned(), "operation" => what);
        Meter { what, seconds, errors: error_counter(label, what) }
    }
}

impl std::fmt::Debug for Meter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.what)
    }
}

fn error_counter(label: &str, what: &'static str) -> Counter {
    metrics::counter!("stratum_drive_errors_total", "drive" => label.to_owned(), "operation" => what)
}

impl Watch {
    fn new(health: Arc<Latch>, clock: Arc<dyn Clock>, label: &str) -> Watch {
        Watch {
            health,
            clock,
            read: Meter::new(label, "read"),
            write: Meter::new(label, "write"),
            sync: Meter::new(label, "sync"),
            name_errors: error_counter(label, "name"),
        }
    }

    /// Refuses whatever would change a failed drive.
    fn admit(&self) -> io::Result<()> {
        match self.health.is_healthy() {
            true => Ok(()),
            false => {
                Err(io::Error::new(ErrorKind::NotConnected, "the drive has failed and is not written to"))
            }
        }
    }

    fn read<T>(&self, operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.timed(&self.read, operation)
    }

    fn write<T>(&self, operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.latching(&self.write, operation)
    }

    fn sync<T>(&self, operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.latching(&self.sync, operation)
    }

    fn latching<T>(&self, meter: &Meter, operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.admit()?;
        let outcome = self.timed(meter, operation);
        if let Err(error) = &outcome
            && !is_not_the_drives_fault(error)
        {
            self.health.fail(&format!("a {} failed: {error}", meter.what));
        }
        outcome
    }

    fn timed<T>(&self, meter: &Meter, operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let began = self.clock.monotonic();
        let outcome = operation();
        meter.seconds.record(self.clock.monotonic().saturating_sub(began).as_secs_f64());
        if outcome.is_err() {
            meter.errors.increment(1);
        }
        outcome
    }

    /// A change of a name: that a file is or isn't there says nothing about the drive, anything else does.
    fn name<T>(&self, outcome: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &outcome {
            let about_names = [ErrorKind::NotFound, ErrorKind::AlreadyExists, ErrorKind::DirectoryNotEmpty];
            if !about_names.contains(&error.kind()) {
                self.name_errors.increment(1);
                if !is_not_the_drives_fault(error) {
                    self.health.fail(&format!("a change of names failed: {error}"));
                }
            }
        }
        outcome
    }
}

/// No space, no descriptors, no memory, or a filesystem that can't do what was asked: none of it is damage.
fn is_not_the_drives_fault(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let kinds = [
        ErrorKind::StorageFull,
        ErrorKind::QuotaExceeded,
        ErrorKind::Unsupported,
        ErrorKind::OutOfMemory,
        ErrorKind::InvalidInput,
    ];
    let codes = [Errno::MFILE, Errno::NFILE, Errno::OPNOTSUPP];
    kinds.contains(&error.kind())
        || error.raw_os_error().is_some_and(|code| codes.iter().any(|errno| errno.raw_os_error() == code))
}
