//! The guard before a drive's files: it latches the drive, times what it does, and remembers open files.
//!
//! Every write, sync and change of a name goes through here, so that no caller can forget that a failed one ends
//! the drive. A drive that runs out of space has not failed. Reads are let through even on a failed drive: whoever
//! reads checks what they get. Nothing of a failed drive stays open for them: see [`super::hold`].

use super::health::Latch;
use super::hold::DirectoryHold;
use super::{Domain, DriveIo, Entry, FileIo, OpenHow, Space};
use crate::ambient::Clock;
use metrics::{Counter, Histogram};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tracing_mutex::parkinglot::{Mutex, RwLock};

/// How many bytes of an expected file are read at most.
const MAX_EXPECTED_BYTES: u64 = 64 * 1024;

/// How long a drive counts as full after it refused a write for want of space.
const FULL_PERIOD: Duration = Duration::from_secs(10);

/// What is said of a drive that fails when a name is made, changed or removed.
const CHANGE_OF_NAMES: &str = "a change of names";

/// The kind of error of a drive that is out: nothing of it is open, or it isn't written to any more.
pub(super) const OUT: ErrorKind = ErrorKind::NotConnected;

/// A [`DriveIo`] that watches another.
#[derive(Debug)]
pub(super) struct Guard {
    myself: Weak<Guard>,
    hold: DirectoryHold,
    domain: Domain,
    place: String,
    folder: Option<PathBuf>,
    watch: Arc<LatchAndMeters>,
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

/// The files that are open, and what [`Guard::check`] looks at. When we remove or replace a file ourselves, its entry
/// here loses the path before the drive loses the name, and whoever opens the file meanwhile gets an entry without a
/// path. So a file that has a path here and no name on the drive was deleted by somebody else.
#[derive(Debug, Default)]
struct OpenFiles {
    files: Vec<Opened>,
    /// Paths that are being removed or replaced right now.
    going: Vec<String>,
}

impl OpenFiles {
    fn enter(&mut self, path: &str, file: &Arc<GuardedFile>) {
        let has_name = !self.going.iter().any(|going| going == path) && file.has_name();
        if self.files.len() == self.files.capacity() {
            self.files.retain(|entry| entry.file.strong_count() > 0);
        }
        self.files.push(Opened { path: has_name.then(|| path.to_owned()), file: Arc::downgrade(file) });
    }

    fn path_of(&self, file: &GuardedFile) -> Option<String> {
        let found = self.files.iter().find(|entry| std::ptr::eq(entry.file.as_ptr(), file));
        found.and_then(|entry| entry.path.clone())
    }
}

#[derive(Debug)]
struct Opened {
    /// None once we took its name away.
    path: Option<String>,
    file: Weak<GuardedFile>,
}

impl Opened {
    fn is_at(&self, path: &str) -> bool {
        self.path.as_deref() == Some(path)
    }
}

impl Guard {
    pub(super) fn new(
        io: Arc<dyn DriveIo>,
        health: Arc<Latch>,
        clock: Arc<dyn Clock>,
        disk: &str,
    ) -> Arc<Guard> {
        let watch = Arc::new(LatchAndMeters::new(health, clock, disk));
        let (domain, place, folder) = (io.domain(), io.describe(), io.folder().map(Path::to_owned));
        let (hold, open, expected) = (DirectoryHold::new(io), Mutex::default(), OnceLock::new());
        Arc::new_cyclic(|myself| Guard {
            myself: myself.clone(),
            hold,
            domain,
            place,
            folder,
            watch,
            open,
            expected,
        })
    }

    /// Closes all that is open. What is read from now on is opened for that one read.
    pub(super) fn let_go(&self) {
        let root = self.hold.let_go();
        if root.is_some() {
            self.close_files();
        }
    }

    /// Closes all that is open, for good.
    pub(super) fn leave(&self) {
        let _root = self.hold.leave();
        self.close_files();
    }

    /// How many handles that were to be closed a thread still uses.
    pub(super) fn still_open(&self) -> usize {
        self.hold.still_open()
    }

    /// Whether a thread is in an operation of the drive now: each has the root or a file in its hands.
    pub(super) fn is_in_use(&self) -> bool {
        let is_used = |file: &Arc<GuardedFile>| {
            file.inner.read().as_ref().is_some_and(|inner| Arc::strong_count(inner) > 1)
        };
        self.hold.is_in_use() || self.open_files().iter().any(is_used)
    }

    fn close_files(&self) {
        let files: Vec<Arc<dyn FileIo>> = self.open_files().iter().filter_map(|file| file.take()).collect();
        self.hold.giving_up(&files);
    }

    /// Opens a closed file again, for one read.
    fn open_once(&self, file: &GuardedFile) -> io::Result<Arc<dyn FileIo>> {
        let path = self.open.lock().path_of(file).ok_or(ErrorKind::NotFound)?;
        self.hold.io()?.open(&path, OpenHow::Read)
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
        if !self.is_same_root() {
            return Err(format!("{} is not the directory any more that was opened", self.place));
        }
        self.check_expected()?;
        self.check_open_files()
    }

    /// Whether it refused a write for want of space a moment ago.
    pub(super) fn is_full(&self) -> bool {
        self.watch.is_full()
    }

    /// The first file that is right will do: what is wrong with another is for a repair to find.
    fn check_expected(&self) -> Result<(), String> {
        let Some(Expected { paths, is_right }) = self.expected.get() else { return Ok(()) };
        let read = |path: &str| -> io::Result<bool> {
            let file = self.hold.io()?.open(path, OpenHow::Read)?;
            let mut bytes = vec![0; file.len()?.min(MAX_EXPECTED_BYTES) as usize];
            let got = file.read_at(&mut bytes, 0)?;
            Ok(is_right(&bytes[..got]))
        };
        let mut outcome = Ok(());
        for path in *paths {
            let problem = match read(path) {
                Ok(true) => return Ok(()),
                Ok(false) => format!("{path} on {} is not what it was", self.place),
                Err(error) if is_not_the_drives_fault(&error) => return Ok(()),
                Err(error) => format!("{path} on {} cannot be read: {error}", self.place),
            };
            outcome = outcome.and(Err(problem));
        }
        outcome
    }

    fn check_open_files(&self) -> Result<(), String> {
        for file in self.open_files() {
            if file.has_name() {
                continue;
            }
            if let Some(path) = self.open.lock().path_of(&file) {
                return Err(format!("{path} on {} was deleted", self.place));
            }
        }
        Ok(())
    }

    fn open_files(&self) -> Vec<Arc<GuardedFile>> {
        self.open.lock().files.iter().filter_map(|entry| entry.file.upgrade()).collect()
    }

    /// Runs `take`, which removes or replaces the file at that path.
    fn taking<T>(&self, path: &str, take: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        {
            let mut open = self.open.lock();
            open.files.iter_mut().filter(|entry| entry.is_at(path)).for_each(|entry| entry.path = None);
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
        let io = self.hold.io()?;
        let how = if self.hold.is_open() || how == OpenHow::CreateNew { how } else { OpenHow::Read };
        let opened = io.open(path, how);
        let inner = match how {
            OpenHow::Read => self.watch.opened_to_read(opened),
            OpenHow::Write => self.watch.name("the opening of a file to write", opened),
            OpenHow::CreateNew => self.watch.name(CHANGE_OF_NAMES, opened),
        }?;
        let inner = RwLock::new(Some(inner));
        let file = Arc::new(GuardedFile { inner, guard: self.myself.clone(), watch: self.watch.clone() });
        self.open.lock().enter(path, &file);
        // The drive was let go of, perhaps just now, and nothing of it stays open: each read opens the file again.
        if !self.hold.is_open() {
            file.close();
        }
        Ok(file)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.watch.admit()?;
        let io = self.hold.io()?;
        self.watch.name(CHANGE_OF_NAMES, self.taking(to, || io.rename(from, to)))?;
        for entry in self.open.lock().files.iter_mut().filter(|entry| entry.is_at(from)) {
            entry.path = Some(to.to_owned());
        }
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.watch.admit()?;
        let io = self.hold.io()?;
        self.watch.name(CHANGE_OF_NAMES, self.taking(path, || io.remove(path)))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<Entry>> {
        self.hold.io()?.list(dir)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.watch.admit()?;
        let io = self.hold.io()?;
        self.watch.name(CHANGE_OF_NAMES, io.create_dir(dir))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.watch.sync(|| self.hold.io()?.sync_dir(dir))
    }

    fn space(&self) -> io::Result<Space> {
        self.hold.io()?.space()
    }

    fn domain(&self) -> Domain {
        self.domain
    }

    fn lock(&self) -> io::Result<()> {
        self.hold.io()?.lock()
    }

    fn is_same_root(&self) -> bool {
        self.hold.io().is_ok_and(|io| io.is_same_root())
    }

    fn describe(&self) -> String {
        self.place.clone()
    }

    fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }
}

/// A [`FileIo`] that watches another.
#[derive(Debug)]
struct GuardedFile {
    /// `None` once the drive was let go of. Cloned out for each use: a thread that hangs in one must not hold the
    /// lock that closing needs.
    inner: RwLock<Option<Arc<dyn FileIo>>>,
    guard: Weak<Guard>,
    watch: Arc<LatchAndMeters>,
}

impl GuardedFile {
    fn opened(&self) -> io::Result<Arc<dyn FileIo>> {
        let closed = || io::Error::new(OUT, "the drive is out, and its files are closed");
        self.inner.read().clone().ok_or_else(closed)
    }

    fn take(&self) -> Option<Arc<dyn FileIo>> {
        self.inner.write().take()
    }

    /// Closes the file once the lock is free again: a drive that hangs in that must not hold up who asks what is open.
    fn close(&self) {
        let closing = self.take();
        drop(closing);
    }

    /// The file, to be read; opened for that if it is closed.
    fn to_read(&self) -> io::Result<Arc<dyn FileIo>> {
        self.opened().or_else(|closed| self.guard.upgrade().ok_or(closed)?.open_once(self))
    }

    fn has_name(&self) -> bool {
        self.opened().is_ok_and(|file| file.is_linked())
    }
}

impl FileIo for GuardedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.watch.read(|| self.to_read()?.read_at(buf, offset))
    }

    fn read_at_cached(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        // Not timed: it would measure memory, and this is the hottest path there is.
        self.opened()?.read_at_cached(buf, offset)
    }

    fn write_at(&self, bufs: &[&[u8]], offset: u64) -> io::Result<()> {
        self.watch.write(|| self.opened()?.write_at(bufs, offset))
    }

    fn write_past_cache(&self, bufs: &[&[u8]], offset: u64) -> io::Result<()> {
        self.watch.write(|| self.opened()?.write_past_cache(bufs, offset))
    }

    fn sync(&self) -> io::Result<()> {
        self.watch.sync(|| self.opened()?.sync())
    }

    fn start_writeback(&self, offset: u64, len: u64) {
        if let Ok(file) = self.opened() {
            file.start_writeback(offset, len);
        }
    }

    fn len(&self) -> io::Result<u64> {
        self.to_read()?.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.watch.write(|| self.opened()?.set_len(len))
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.watch.write(|| self.opened()?.allocate(offset, len))
    }

    fn punch(&self, offset: u64, len: u64) -> io::Result<()> {
        self.watch.write(|| self.opened()?.punch(offset, len))
    }

    fn is_linked(&self) -> bool {
        self.has_name()
    }
}

/// The latch and the meters of a drive.
#[derive(Debug)]
struct LatchAndMeters {
    health: Arc<Latch>,
    clock: Arc<dyn Clock>,
    read: Meter,
    write: Meter,
    sync: Meter,
    name_errors: Counter,
    /// Until when it counts as full, in milliseconds of the clock.
    full_until: AtomicU64,
}

struct Meter {
    what: &'static str,
    seconds: Histogram,
    errors: Counter,
}

impl Meter {
    fn new(disk: &str, what: &'static str) -> Meter {
        let seconds =
            metrics::histogram!("stratum_drive_seconds", "disk" => disk.to_owned(), "operation" => what);
        Meter { what, seconds, errors: error_counter(disk, what) }
    }
}

impl std::fmt::Debug for Meter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.what)
    }
}

fn error_counter(disk: &str, what: &'static str) -> Counter {
    metrics::counter!("stratum_drive_errors_total", "disk" => disk.to_owned(), "operation" => what)
}

impl LatchAndMeters {
    fn new(health: Arc<Latch>, clock: Arc<dyn Clock>, disk: &str) -> LatchAndMeters {
        LatchAndMeters {
            health,
            clock,
            read: Meter::new(disk, "read"),
            write: Meter::new(disk, "write"),
            sync: Meter::new(disk, "sync"),
            name_errors: error_counter(disk, "name"),
            full_until: AtomicU64::new(0),
        }
    }

    fn is_full(&self) -> bool {
        let until = self.full_until.load(Ordering::Relaxed);
        until > 0 && until > self.clock.monotonic().as_millis() as u64
    }

    /// Notes a want of space on the device, or of file descriptors in the process.
    fn note_want(&self, error: &io::Error) {
        if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
            let until = self.clock.monotonic() + FULL_PERIOD;
            self.full_until.store(until.as_millis() as u64, Ordering::Relaxed);
        }
        if lacks_descriptors(error) {
            DESCRIPTORS_LACKED.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Refuses whatever would change a failed drive.
    fn admit(&self) -> io::Result<()> {
        match self.health.is_healthy() {
            true => Ok(()),
            false => Err(io::Error::new(OUT, "the drive has failed and is not written to")),
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
        outcome.as_ref().err().into_iter().for_each(|error| self.note_want(error));
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

    /// A file was opened to be read, or not: as a read that fails, that doesn't latch the drive.
    fn opened_to_read<T>(&self, outcome: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &outcome
            && error.kind() != ErrorKind::NotFound
        {
            self.note_want(error);
            self.read.errors.increment(1);
        }
        outcome
    }

    /// A change of a name, or what comes before a write: that a file is or isn't there says nothing about the drive,
    /// anything else does.
    fn name<T>(&self, what: &str, outcome: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &outcome {
            let about_names = [ErrorKind::NotFound, ErrorKind::AlreadyExists, ErrorKind::DirectoryNotEmpty];
            if !about_names.contains(&error.kind()) {
                self.note_want(error);
                self.name_errors.increment(1);
                if !is_not_the_drives_fault(error) {
                    self.health.fail(&format!("{what} failed: {error}"));
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
    kinds.contains(&error.kind())
        || lacks_descriptors(error)
        || error.raw_os_error() == Some(Errno::OPNOTSUPP.raw_os_error())
}

fn lacks_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let codes = [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error);
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

/// How often a drive's file or folder couldn't be opened because the process has no file descriptors left.
static DESCRIPTORS_LACKED: AtomicU64 = AtomicU64::new(0);

/// How often a file or folder of any drive couldn't be opened, since the process started, because it has no file
/// descriptors left.
pub fn descriptors_lacked() -> u64 {
    DESCRIPTORS_LACKED.load(Ordering::Relaxed)
}
