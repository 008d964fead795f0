//! The format of a backup file (`docs/format/backup.md`): written as a stream, and verified when it is read back.

use bytes::{Bytes, BytesMut};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

const MAGIC: &[u8; 8] = b"STRATBKP";
const VERSION: u32 = 1;
const HEAD_BYTES: usize = 16;
const FRAME_HEAD_BYTES: usize = 12;
/// The longest payload of a frame.
const MAX_PAYLOAD_BYTES: usize = 1 << 20;

const BEGIN: u8 = 1;
const BYTES: u8 = 2;
const END: u8 = 3;

/// Why a backup file can't be read. Each text continues a sentence about the file.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("it is not a backup of Stratum")]
    NotOurs,
    #[error("it is a backup of version {0}, and this binary reads version {VERSION}: use a newer binary")]
    Newer(u32),
    #[error("it is damaged in frame {0}: use another copy of it")]
    Damaged(u64),
    #[error("it ends early: the backup was never finished")]
    Cut,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Writes a backup, frame by frame, to a function that takes bytes.
pub struct Writer<S> {
    sink: S,
    frames: u64,
    files: u64,
    /// Bytes of the current file that wait until they fill a frame.
    waiting: BytesMut,
}

impl<S: FnMut(Bytes) -> io::Result<()>> Writer<S> {
    pub fn new(mut sink: S) -> io::Result<Writer<S>> {
        let mut head = Vec::with_capacity(HEAD_BYTES);
        head.extend(MAGIC);
        head.extend(VERSION.to_le_bytes());
        head.extend(crc32c::crc32c(&head).to_le_bytes());
        sink(head.into())?;
        Ok(Writer { sink, frames: 0, files: 0, waiting: BytesMut::new() })
    }

    /// Begins the next file, and ends the one before.
    pub fn file(&mut self, name: &str) -> io::Result<()> {
        self.flush()?;
        self.files += 1;
        self.frame(BEGIN, name.as_bytes())
    }

    /// Adds bytes to the current file.
    pub fn bytes(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(MAX_PAYLOAD_BYTES - self.waiting.len()));
            self.waiting.extend_from_slice(now);
            bytes = later;
            if self.waiting.len() == MAX_PAYLOAD_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Writes the last frame, which says how many files there are. Without that frame, a reader takes the backup for
    /// cut off.
    pub fn end(mut self) -> io::Result<()> {
        self.flush()?;
        self.frame(END, &self.files.to_le_bytes())
    }

    fn flush(&mut self) -> io::Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() { Ok(()) } else { self.frame(BYTES, &waiting) }
    }

    fn frame(&mut self, kind: u8, payload: &[u8]) -> io::Result<()> {
        let mut frame = Vec::with_capacity(FRAME_HEAD_BYTES + payload.len());
        frame.extend([kind, 0, 0, 0]);
        frame.extend((payload.len() as u32).to_le_bytes());
        let check = checksum(self.frames, &frame, payload);
        frame.extend(check.to_le_bytes());
        frame.extend(payload);
        self.frames += 1;
        (self.sink)(frame.into())
    }
}

fn checksum(number: u64, head: &[u8], payload: &[u8]) -> u32 {
    let place = crc32c::crc32c_append(crc32c::crc32c(&number.to_le_bytes()), head);
    crc32c::crc32c_append(place, payload)
}

/// Reads a backup to its end. `file` is called with the name of each file, and the file's bytes are written to what it
/// gives back. Gives the number of files.
pub fn read<W: Write>(
    mut from: impl Read,
    mut file: impl FnMut(&str) -> io::Result<W>,
) -> Result<u64, ArchiveError> {
    let mut head = [0; HEAD_BYTES];
    read_exact(&mut from, &mut head)?;
    let [.., a, b, c, d, e, f, g, h] = head;
    if &head[..8] != MAGIC || crc32c::crc32c(&head[..12]) != u32::from_le_bytes([e, f, g, h]) {
        return Err(ArchiveError::NotOurs);
    }
    match u32::from_le_bytes([a, b, c, d]) {
        0 => return Err(ArchiveError::NotOurs),
        VERSION => {}
        newer => return Err(ArchiveError::Newer(newer)),
    }
    let (mut files, mut at_hand) = (0, None);
    for number in 0.. {
        let (kind, payload) = read_frame(&mut from, number)?;
        match (kind, &mut at_hand) {
            (BEGIN, _) => {
                let name = std::str::from_utf8(&payload).ok().filter(|name| is_name(name));
                at_hand = Some(file(name.ok_or(ArchiveError::Damaged(number))?)?);
                files += 1;
            }
            (BYTES, Some(file)) => file.write_all(&payload)?,
            (END, _) if payload == u64::to_le_bytes(files) => break,
            _ => return Err(ArchiveError::Damaged(number)),
        }
    }
    Ok(files)
}

fn read_frame(from: &mut impl Read, number: u64) -> Result<(u8, Vec<u8>), ArchiveError> {
    let mut head = [0; FRAME_HEAD_BYTES];
    read_exact(from, &mut head)?;
    let [kind, _, _, _, a, b, c, d, e, f, g, h] = head;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if length > MAX_PAYLOAD_BYTES {
        return Err(ArchiveError::Damaged(number));
    }
    let mut payload = vec![0; length];
    read_exact(from, &mut payload)?;
    match checksum(number, &head[..8], &payload) == u32::from_le_bytes([e, f, g, h]) {
        true => Ok((kind, payload)),
        false => Err(ArchiveError::Damaged(number)),
    }
}

fn read_exact(from: &mut impl Read, buf: &mut [u8]) -> Result<(), ArchiveError> {
    from.read_exact(buf).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => ArchiveError::Cut,
        _ => ArchiveError::Io(error),
    })
}

/// Whether a file of this name, joined to a folder, lies below that folder.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(plain);
    name.split('/').count() <= 2 && name.split('/').all(part)
}

/// Writes the files of a backup below a folder, which is made. A file that exists already is an error.
pub fn unpack(from: impl Read, folder: &Path) -> Result<u64, ArchiveError> {
    std::fs::create_dir_all(folder)?;
    read(from, |name| {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        File::create_new(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(|piece: Bytes| {
            bytes.extend_from_slice(&piece);
            Ok(())
        })
        .unwrap();
        for (name, content) in files {
            writer.file(name).unwrap();
            content.chunks(700_001).for_each(|piece| writer.bytes(piece).unwrap());
        }
        writer.end().unwrap();
        bytes
    }

    fn files() -> Vec<(&'static str, Vec<u8>)> {
        let long = (0..2_500_000u32).map(|at| (at * 7 / 3) as u8).collect();
        vec![
            ("journal/segment-0000", long),
            ("journal/segment-0001", Vec::new()),
            ("root-credentials", b"x".into()),
        ]
    }

    #[test]
    fn an_archive_unpacks_to_the_files_that_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        assert_eq!(unpack(packed(&files()).as_slice(), &out).unwrap(), 3);
        for (name, content) in files() {
            assert!(std::fs::read(out.join(name)).unwrap() == content, "{name}");
        }
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_an_error() {
        let bytes = packed(&[("a", b"some bytes".into()), ("b", b"others".into())]);
        let read = |bytes: &[u8]| read(bytes, |_| Ok(Vec::new()));
        assert_eq!(read(&bytes).unwrap(), 2);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&damaged).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(matches!(read(&bytes[..length]), Err(ArchiveError::Cut)), "length {length}");
        }
    }

    #[test]
    fn an_archive_of_a_newer_version_is_refused_with_its_version() {
        let of_version = |version| {
            let mut bytes = packed(&[]);
            bytes[8] = version;
            let crc = crc32c::crc32c(&bytes[..12]).to_le_bytes();
            bytes[12..16].copy_from_slice(&crc);
            read(bytes.as_slice(), |_| Ok(Vec::new()))
        };
        assert!(matches!(of_version(9), Err(ArchiveError::Newer(9))));
        assert!(matches!(of_version(0), Err(ArchiveError::NotOurs)), "no binary ever wrote version 0");
    }

    #[test]
    fn a_name_that_leaves_its_folder_is_refused() {
        for name in ["../x", "a/../b", "/a", "a//b", "a/b/c", "", ".x", "a/.x", "a b"] {
            assert!(!is_name(name), "{name}");
        }
        assert!(is_name("journal/segment-0001") && is_name("root-credentials"));
    }
}
