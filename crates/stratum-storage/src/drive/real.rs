//! A drive that is a directory of the machine.
//!
//! Every path is opened relative to the root's descriptor (`openat`): a filesystem mounted over the root, or a root
//! that was moved away and replaced, is never silently written to. What was opened stays what is used, and
//! [`DriveIo::is_same_root`] tells when the path leads elsewhere. The lock is an `flock` on the root directory
//! itself, so that it needs no file that could be deleted. Files are for the server alone: modes 0600 and 0700.

use super::{Domain, DriveIo, Entry, FileIo, OpenHow, Space, Way, explained};
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FallocateFlags, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::{Errno, ReadWriteFlags, retry_on_intr};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

const FILE_MODE: Mode = Mode::from_raw_mode(0o600);
const DIR_MODE: Mode = Mode::from_raw_mode(0o700);
/// The rights of group and others.
const OTHERS_MODE: Mode = Mode::from_raw_mode(0o077);

/// The kernel's bound on slices in one call (`IOV_MAX`).
const MAX_SLICES: usize = 1024;

/// A directory as a drive.
#[derive(Debug)]
pub struct RealDrive {
    path: PathBuf,
    root: Arc<OwnedFd>,
    device: u64,
    inode: u64,
}

impl RealDrive {
    /// Opens an existing directory.
    pub fn open(path: &Path) -> io::Result<RealDrive> {
        let path = std::path::absolute(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root =
            rustix::fs::open(&path, flags, Mode::empty()).map_err(|error| explained(&path, error.into()))?;
        let stat = rustix::fs::fstat(&root)?;
        Ok(RealDrive { path, root: Arc::new(root), device: stat.st_dev, inode: stat.st_ino })
    }

    /// Makes the directory and its missing parents, durably, and opens it.
    pub fn create(path: &Path) -> io::Result<RealDrive> {
        let path = std::path::absolute(path)?;
        create_durably(&path).map_err(|error| explained(&path, error))?;
        RealDrive::open(&path)
    }

    /// Tells whose a path below the root is, where something was denied there.
    fn explained(&self, path: &str) -> impl FnOnce(Errno) -> io::Error {
        let path = self.path.join(path);
        move |error| explained(&path, error.into())
    }

    fn open_dir(&self, dir: &str) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.root, relative(dir)?, flags, Mode::empty()).map_err(self.explained(dir))
    }
}

fn create_durably(path: &Path) -> io::Result<()> {
    match rustix::fs::mkdir(path, DIR_MODE) {
        Ok(()) => {}
        Err(Errno::EXIST) => return Ok(()),
        Err(Errno::NOENT) => {
            let parent = path.parent().ok_or(ErrorKind::NotFound)?;
            create_durably(parent)?;
            match rustix::fs::mkdir(path, DIR_MODE) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(error) => return Err(error.into()),
    }
    match path.parent() {
        Some(parent) => std::fs::File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// A path that stays below the root; the root itself is ".".
fn relative(path: &str) -> io::Result<&str> {
    let strange = |part: &str| part.is_empty() || part == "." || part == "..";
    match path {
        "" => Ok("."),
        _ if path.split('/').any(strange) => Err(io::Error::new(
            ErrorKind::InvalidInput,
            format!("\"{}\" is not a path within a drive", path.escape_debug()),
        )),
        _ => Ok(path),
    }
}

impl DriveIo for RealDrive {
    fn open(&self, path: &str, how: OpenHow) -> io::Result<Arc<dyn FileIo>> {
        let flags = match how {
            OpenHow::Read => OFlags::RDONLY,
            OpenHow::Write => OFlags::RDWR,
            OpenHow::CreateNew => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
        };
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let opened = rustix::fs::openat(&self.root, relative(path)?, flags, FILE_MODE);
        let descriptor = opened.map_err(self.explained(path))?;
        Ok(Arc::new(RealFile { descriptor, direct: OnceLock::new() }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.root, relative(from)?, &self.root, relative(to)?)?)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let path = relative(path)?;
        match rustix::fs::unlinkat(&self.root, path, AtFlags::empty()) {
            Err(Errno::ISDIR) => Ok(rustix::fs::unlinkat(&self.root, path, AtFlags::REMOVEDIR)?),
            outcome => Ok(outcome?),
        }
    }

    fn list(&self, dir: &str) -> io::Result<Vec<Entry>> {
        let dir = self.open_dir(dir)?;
        let mut entries = Vec::new();
        for entry in Dir::read_from(&dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let stat = match rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue, // removed since the directory was read
                Err(error) => return Err(error.into()),
            };
            let is_dir = FileType::from_raw_mode(stat.st_mode).is_dir();
            let len = if is_dir { 0 } else { length(&stat) };
            entries.push(Entry { name: name.to_string_lossy().into_owned(), is_dir, len });
        }
        Ok(entries)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        let dir = relative(dir)?;
        for end in dir.match_indices('/').map(|(at, _)| at).chain([dir.len()]) {
            match rustix::fs::mkdirat(&self.root, &dir[..end], DIR_MODE) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(self.explained(dir)(error)),
            }
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        Ok(rustix::fs::fsync(self.open_dir(dir)?)?)
    }

    fn space(&self) -> io::Result<Space> {
        let stat = rustix::fs::fstatvfs(&self.root)?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok(Space { total: bytes(stat.f_blocks), free: bytes(stat.f_bavail) })
    }

    fn domain(&self) -> Domain {
        Domain::here(self.device)
    }

    fn lock(&self) -> io::Result<()> {
        Ok(rustix::fs::flock(&self.root, FlockOperation::NonBlockingLockExclusive)?)
    }

    fn keep_private(&self) -> io::Result<()> {
        let mode = Mode::from_raw_mode(rustix::fs::fstat(&self.root)?.st_mode);
        if !mode.intersects(OTHERS_MODE) {
            return Ok(());
        }
        rustix::fs::fchmod(&self.root, mode.difference(OTHERS_MODE)).map_err(self.explained(""))?;
        tracing::warn!(folder = %self.path.display(), "other users could look into this folder; it is closed to them now");
        Ok(())
    }

    fn is_same_root(&self) -> bool {
        rustix::fs::stat(&self.path)
            .is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (self.device, self.inode) && stat.st_nlink > 0)
    }

    fn describe(&self) -> String {
        self.path.display().to_string()
    }

    fn folder(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn way(&self) -> Option<Arc<dyn Way>> {
        Some(Arc::new(RealWay { path: self.path.clone(), device: self.device, inode: self.inode }))
    }
}

/// Where a directory was, and which one it was.
#[derive(Debug)]
struct RealWay {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Way for RealWay {
    fn open(&self) -> io::Result<Arc<dyn DriveIo>> {
        let drive = RealDrive::open(&self.path)?;
        match (drive.device, drive.inode) == (self.device, self.inode) {
            true => Ok(Arc::new(drive)),
            false => Err(io::Error::new(ErrorKind::NotConnected, "another directory is in its place")),
        }
    }
}

fn length(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// An open file of the machine.
#[derive(Debug)]
struct RealFile {
    descriptor: OwnedFd,
    /// The same file opened to go past the page cache, from when that is first wanted; none if it can't be.
    direct: OnceLock<Option<OwnedFd>>,
}

/// What buffers, lengths and offsets must be multiples of to go past the page cache, whatever the device's sectors.
const DIRECT_ALIGNMENT_BYTES: usize = 4096;

impl RealFile {
    fn direct(&self) -> Option<&OwnedFd> {
        let open = || {
            let same = format!("/proc/self/fd/{}", self.descriptor.as_raw_fd());
            let flags = OFlags::WRONLY | OFlags::DIRECT | OFlags::CLOEXEC;
            rustix::fs::open(same, flags, Mode::empty()).ok()
        };
        self.direct.get_or_init(open).as_ref()
    }

    fn write_all(&self, descriptor: &OwnedFd, bufs: &[&[u8]], offset: u64) -> io::Result<()> {
        let mut at = offset;
        for group in bufs.chunks(MAX_SLICES) {
            let mut slices: Vec<IoSlice<'_>> = group.iter().map(|buf| IoSlice::new(buf)).collect();
            let mut left = slices.as_mut_slice();
            IoSlice::advance_slices(&mut left, 0); // steps over empty ones
            while !left.is_empty() {
                match retry_on_intr(|| rustix::io::pwritev(descriptor, left, at))? {
                    0 => return Err(ErrorKind::WriteZero.into()),
                    count => {
                        at += count as u64;
                        IoSlice::advance_slices(&mut left, count);
                    }
                }
            }
        }
        Ok(())
    }
}

impl FileIo for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut got = 0;
        while got < buf.len() {
            match rustix::io::pread(&self.descriptor, &mut buf[got..], offset + got as u64) {
                Ok(0) => break,
                Ok(count) => got += count,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(got)
    }

    fn read_at_cached(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let (wanted, flags) = (buf.len(), ReadWriteFlags::NOWAIT);
        match rustix::io::preadv2(&self.descriptor, &mut [IoSliceMut::new(buf)], offset, flags) {
            Ok(got) if got == wanted => Ok(got),
            // Short: either the cache or the file ended.
            Ok(got) if offset.saturating_add(got as u64) >= self.len()? => Ok(got),
            // Filesystems that can't tell without waiting say so by one of these.
            Ok(_) | Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INTR) => {
                Err(ErrorKind::WouldBlock.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn write_at(&self, bufs: &[&[u8]], offset: u64) -> io::Result<()> {
        self.write_all(&self.descriptor, bufs, offset)
    }

    fn write_past_cache(&self, bufs: &[&[u8]], offset: u64) -> io::Result<()> {
        let whole = |buf: &&[u8]| (buf.as_ptr().addr() | buf.len()).is_multiple_of(DIRECT_ALIGNMENT_BYTES);
        match self.direct() {
            Some(direct)
                if offset.is_multiple_of(DIRECT_ALIGNMENT_BYTES as u64) && bufs.iter().all(whole) =>
            {
                match self.write_all(direct, bufs, offset) {
                    // A filesystem that takes the flag and not the write.
                    Err(error) if error.kind() == ErrorKind::InvalidInput => self.write_at(bufs, offset),
                    outcome => outcome,
                }
            }
            _ => self.write_at(bufs, offset),
        }
    }

    fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fdatasync(&self.descriptor)?)
    }

    fn start_writeback(&self, offset: u64, len: u64) {
        let (Ok(offset), Ok(len)) = (i64::try_from(offset), i64::try_from(len)) else { return };
        let descriptor = self.descriptor.as_fd().as_raw_fd();
        // SAFETY: rustix has no sync_file_range. The call takes no pointers, and the descriptor is open for as
        // long as `self` is borrowed. It is a hint: the sync that follows reports what went wrong.
        unsafe { libc::sync_file_range(descriptor, offset, len, libc::SYNC_FILE_RANGE_WRITE) };
    }

    fn len(&self) -> io::Result<u64> {
        Ok(length(&rustix::fs::fstat(&self.descriptor)?))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        Ok(retry_on_intr(|| rustix::fs::ftruncate(&self.descriptor, len))?)
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        let reserve = || rustix::fs::fallocate(&self.descriptor, FallocateFlags::empty(), offset, len);
        match retry_on_intr(reserve) {
            // A filesystem that can't reserve blocks: the length alone, so that all behave alike.
            Err(Errno::OPNOTSUPP) if self.len()? < offset + len => self.set_len(offset + len),
            Err(Errno::OPNOTSUPP) => Ok(()),
            outcome => Ok(outcome?),
        }
    }

    fn punch(&self, offset: u64, len: u64) -> io::Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        Ok(retry_on_intr(|| rustix::fs::fallocate(&self.descriptor, flags, offset, len))?)
    }

    fn is_linked(&self) -> bool {
        rustix::fs::fstat(&self.descriptor).is_ok_and(|stat| stat.st_nlink > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    fn drive() -> (tempfile::TempDir, RealDrive) {
        let folder = tempfile::tempdir().unwrap();
        let drive = RealDrive::create(&folder.path().join("new/drive")).unwrap();
        (folder, drive)
    }

    #[test]
    fn what_is_written_in_slices_is_read_back() {
        let (_folder, drive) = drive();
        drive.create_dir("a/b").unwrap();
        let file = drive.open("a/b/t", OpenHow::CreateNew).unwrap();
        file.write_at(&[b"", b"one ", b"", b"two"], 5).unwrap();
        file.sync().unwrap();
        drive.rename("a/b/t", "a/b/f").unwrap();
        drive.sync_dir("a/b").unwrap();
        assert_eq!(drive.open("a/b/f", OpenHow::CreateNew).unwrap_err().kind(), ErrorKind::AlreadyExists);
        let file = drive.open("a/b/f", OpenHow::Read).unwrap();
        let mut bytes = [9; 20];
        assert_eq!(file.read_at(&mut bytes, 0).unwrap(), 12);
        assert_eq!(&bytes[..12], b"\0\0\0\0\0one two");
        assert_eq!(drive.list("a/b").unwrap(), [Entry { name: "f".into(), is_dir: false, len: 12 }]);
        assert_eq!(drive.list("").unwrap(), [Entry { name: "a".into(), is_dir: true, len: 0 }]);
        drive.remove("a/b/f").unwrap();
        drive.remove("a/b").unwrap();
        assert_eq!(drive.list("a/b").unwrap_err().kind(), ErrorKind::NotFound);
        assert!(!file.is_linked());
    }

    #[test]
    fn what_goes_past_the_cache_is_read_back() {
        let (_folder, drive) = drive();
        let file = drive.open("f", OpenHow::CreateNew).unwrap();
        let memory = vec![5; 4 * DIRECT_ALIGNMENT_BYTES];
        let pages = &memory[memory.as_ptr().align_offset(DIRECT_ALIGNMENT_BYTES)..];
        file.write_past_cache(
            &[&pages[..DIRECT_ALIGNMENT_BYTES], &pages[DIRECT_ALIGNMENT_BYTES..2 * DIRECT_ALIGNMENT_BYTES]],
            DIRECT_ALIGNMENT_BYTES as u64,
        )
        .unwrap();
        file.write_past_cache(&[&pages[1..3]], 1).unwrap();
        file.sync().unwrap();
        let mut bytes = vec![9; 4 * DIRECT_ALIGNMENT_BYTES];
        assert_eq!(file.read_at(&mut bytes, 0).unwrap(), 3 * DIRECT_ALIGNMENT_BYTES);
        assert_eq!(bytes[..4], [0, 5, 5, 0]);
        assert!(bytes[DIRECT_ALIGNMENT_BYTES..3 * DIRECT_ALIGNMENT_BYTES].iter().all(|byte| *byte == 5));
    }

    #[test]
    fn more_slices_than_one_call_takes_all_arrive() {
        let (_folder, drive) = drive();
        let file = drive.open("f", OpenHow::CreateNew).unwrap();
        let numbers: Vec<[u8; 4]> = (0..3000u32).map(u32::to_le_bytes).collect();
        file.write_at(&numbers.iter().map(|number| number.as_slice()).collect::<Vec<_>>(), 1).unwrap();
        let mut bytes = vec![0; 12_000];
        assert_eq!(file.read_at(&mut bytes, 1).unwrap(), 12_000);
        assert_eq!(bytes, numbers.concat());
    }

    #[test]
    fn a_cached_read_gives_all_or_asks_to_wait() {
        let (_folder, drive) = drive();
        let file = drive.open("f", OpenHow::CreateNew).unwrap();
        file.write_at(&[&[7; 10_000]], 0).unwrap();
        let mut bytes = [0; 6000];
        match file.read_at_cached(&mut bytes, 8000) {
            Ok(count) => assert_eq!((count, &bytes[..2000]), (2000, [7; 2000].as_slice())),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }

    #[test]
    fn blocks_are_reserved_and_given_back() {
        let (folder, drive) = drive();
        let file = drive.open("f", OpenHow::CreateNew).unwrap();
        file.allocate(0, 1 << 20).unwrap();
        file.write_at(&[&[1; 1 << 20]], 0).unwrap();
        file.start_writeback(0, 1 << 20);
        file.sync().unwrap();
        let path = folder.path().join("new/drive/f");
        let blocks = || std::fs::metadata(&path).unwrap().blocks();
        let before = blocks();
        match file.punch(0, 1 << 19) {
            Ok(()) => assert!(blocks() <= before - (1 << 19) / 512),
            Err(error) => return assert_eq!(error.kind(), ErrorKind::Unsupported),
        }
        let mut bytes = [9; 2];
        file.read_at(&mut bytes, (1 << 19) - 1).unwrap();
        assert_eq!((bytes, file.len().unwrap()), ([0, 1], 1 << 20));
        file.set_len(10).unwrap();
        assert_eq!(file.len().unwrap(), 10);
    }

    #[test]
    fn paths_cannot_leave_the_drive() {
        let (folder, drive) = drive();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("new/drive/link")).unwrap();
        for path in ["../x", "/x", "a//b", "./a", "a/.."] {
            let error = drive.open(path, OpenHow::CreateNew).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{path}");
        }
        assert!(drive.list("link").is_err() && drive.open("link", OpenHow::Write).is_err());
    }

    #[test]
    fn a_locked_drive_is_refused_until_its_holder_is_gone() {
        let (folder, drive) = drive();
        drive.lock().unwrap();
        let other = RealDrive::open(&folder.path().join("new/drive")).unwrap();
        assert_eq!(other.lock().unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(drive);
        other.lock().unwrap();
    }

    #[test]
    fn a_root_that_went_elsewhere_is_noticed() {
        let (folder, drive) = drive();
        let (path, away) = (folder.path().join("new/drive"), folder.path().join("away"));
        assert!(drive.is_same_root());
        std::fs::rename(&path, &away).unwrap();
        assert!(!drive.is_same_root());
        std::fs::create_dir(&path).unwrap();
        assert!(!drive.is_same_root());
        drive.open("f", OpenHow::CreateNew).unwrap();
        assert!(away.join("f").exists() && !path.join("f").exists());
    }

    #[test]
    fn files_are_for_the_server_alone() {
        let (folder, drive) = drive();
        drive.open("f", OpenHow::CreateNew).unwrap();
        let mode =
            |path: &str| std::fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("new/drive"), mode("new/drive/f")), (0o700, 0o600));
        let space = drive.space().unwrap();
        assert!(space.free > 0 && space.total >= space.free);
    }
}
