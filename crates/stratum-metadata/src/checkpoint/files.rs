//! Checkpoint files on the drives: `checkpoint/<index>` on `m+1` of the hot ones, all copies the same bytes.
//!
//! A new one is written under a temporary name, synced, renamed, and its directory synced, on every drive it is
//! meant for, before it counts. The last two are kept.

use super::format::{self, END_LEN, FRAME_LEN, FormatError, HEADER_LEN};
use crate::record::Applied;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use stratum_storage::blob::Index;
use stratum_storage::drive::{Drive, FileIo, OpenHow, Roster};
use stratum_storage::set::Finding;

const DIR: &str = "checkpoint";

/// The drives that hold checkpoints, and how many copies there are of each.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    drives: Roster,
    copies: usize,
}

impl Files {
    pub(crate) fn new(drives: Roster, copies: usize) -> Files {
        Files { drives, copies }
    }

    /// The checkpoints that are there by name, oldest first, with the drives that hold a copy.
    pub(crate) fn list(&self) -> BTreeMap<Index, Vec<Arc<Drive>>> {
        let mut found: BTreeMap<Index, Vec<Arc<Drive>>> = BTreeMap::new();
        for drive in self.drives.healthy() {
            let names = match drive.io().list(DIR) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    tracing::warn!(drive = drive.label(), %error, "the checkpoints cannot be listed");
                    continue;
                }
            };
            for index in names.iter().filter_map(|entry| parse_name(&entry.name)) {
                found.entry(index).or_default().push(drive.clone());
            }
        }
        found
    }

    /// The size of a checkpoint, a copy; nothing if it can't be told.
    pub(crate) fn bytes(&self, index: Index) -> Option<u64> {
        let name = name(index);
        let entries =
            self.drives.healthy().into_iter().flat_map(|drive| drive.io().list(DIR).unwrap_or_default());
        entries.filter(|entry| entry.name == name).map(|entry| entry.len).max()
    }

    /// Begins a file on as many healthy drives as there must be copies; which ones turns with the index.
    pub(crate) fn create(&self, index: Index) -> io::Result<Writer> {
        let mut healthy = self.drives.open_to_new();
        if healthy.len() < self.copies {
            let text =
                format!("a checkpoint needs {} healthy drives, there are {}", self.copies, healthy.len());
            return Err(io::Error::other(text));
        }
        let first = index as usize % healthy.len();
        healthy.rotate_left(first);
        Writer::create(index, best(healthy, self.copies))
    }

    /// Brings a checkpoint to as many healthy drives as there must be copies; one on its way out doesn't count. Says how many were made.
    pub(crate) fn heal(&self, index: Index) -> io::Result<usize> {
        let holders = self.list().remove(&index).unwrap_or_default();
        let staying = holders.iter().filter(|holder| holder.takes_new()).count();
        let lacking = self.copies.saturating_sub(staying);
        let holds = |drive: &Arc<Drive>| holders.iter().any(|holder| holder.id() == drive.id());
        let free = self.drives.open_to_new().into_iter().filter(|drive| !holds(drive));
        let targets = best(free.collect(), lacking);
        if targets.len() < lacking {
            let there = staying + targets.len();
            let text = format!("only {there} drives can hold it, and {} must", self.copies);
            return Err(io::Error::other(text));
        }
        if lacking == 0 {
            return Ok(0);
        }
        copy(index, &holders, targets)?;
        Ok(lacking)
    }

    /// Reads every copy of a checkpoint by itself, and writes anew those that are damaged.
    pub(crate) fn check(&self, index: Index) -> Vec<Finding> {
        let holders = self.list().remove(&index).unwrap_or_default();
        let damaged = holders.iter().filter_map(|holder| Some((holder, read_through(index, holder).err()?)));
        let finding = |(holder, error): (&Arc<Drive>, io::Error)| {
            holder.found_rot();
            let written = copy(index, &holders, vec![holder.clone()]);
            if let Err(error) = &written {
                tracing::error!(index, %error, "a copy of a checkpoint could not be written anew");
            }
            Finding {
                drive: holder.label(),
                file: format!("{DIR}/{}", name(index)),
                problem: format!("a copy of a checkpoint is damaged: {error}"),
                repaired: written.is_ok(),
            }
        };
        damaged.map(finding).collect()
    }

    /// Removes every checkpoint but the last `keep`, and what an earlier run left unfinished.
    pub(crate) fn retain(&self, keep: usize) {
        let found = self.list();
        let old: Vec<Index> = found.keys().rev().skip(keep).copied().collect();
        for drive in self.drives.healthy() {
            for entry in drive.io().list(DIR).unwrap_or_default() {
                let unfinished = entry.name.ends_with(".new");
                if unfinished || parse_name(&entry.name).is_some_and(|index| old.contains(&index)) {
                    remove(&drive, &entry.name);
                }
            }
        }
    }
}

/// The first so many of these drives, without those that are slow at writing or full where there are enough others: the
/// journal's room waits for a checkpoint, and a checkpoint for the slowest of its drives.
fn best(mut drives: Vec<Arc<Drive>>, count: usize) -> Vec<Arc<Drive>> {
    drives.sort_by_key(|drive| drive.is_better_avoided());
    drives.truncate(count);
    drives
}

/// Writes a checkpoint to more drives, each block from whichever copy has it whole. What was there under its name is
/// replaced when the new one is durable.
pub(super) fn copy(index: Index, holders: &[Arc<Drive>], targets: Vec<Arc<Drive>>) -> io::Result<()> {
    let mut reader = Reader::open(index, holders)?;
    let mut writer = Writer::create(index, targets)?;
    writer.append(&[&format::header(&reader.applied)])?;
    while let Some(block) = reader.next_block()? {
        writer.block(&block)?;
    }
    writer.finish(reader.pairs)?;
    Ok(())
}

/// Reads a drive's copy from its beginning to its end.
fn read_through(index: Index, holder: &Arc<Drive>) -> io::Result<()> {
    let mut reader = Reader::open(index, std::slice::from_ref(holder))?;
    while reader.next_block()?.is_some() {}
    Ok(())
}

/// Removes a file among the checkpoints; says whether it did.
pub(super) fn remove(drive: &Drive, name: &str) -> bool {
    let removed = drive.io().remove(&format!("{DIR}/{name}")).and_then(|()| drive.io().sync_dir(DIR));
    if let Err(error) = &removed {
        tracing::warn!(drive = drive.label(), name, %error, "an old checkpoint could not be removed");
    }
    removed.is_ok()
}

pub(super) fn name(index: Index) -> String {
    format!("{index:016x}")
}

fn parse_name(text: &str) -> Option<Index> {
    (text.len() == 16).then(|| Index::from_str_radix(text, 16).ok()).flatten()
}

/// One checkpoint being written to several drives at once.
pub(crate) struct Writer {
    index: Index,
    drives: Vec<Arc<Drive>>,
    files: Vec<Arc<dyn FileIo>>,
    offset: u64,
}

impl Writer {
    fn create(index: Index, drives: Vec<Arc<Drive>>) -> io::Result<Writer> {
        let path = format!("{DIR}/{}.new", name(index));
        let mut files = Vec::new();
        for drive in &drives {
            drive.io().create_dir(DIR)?;
            drive.io().sync_dir("")?;
            match drive.io().remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => files.push(drive.io().open(&path, OpenHow::CreateNew)?),
            }
        }
        Ok(Writer { index, drives, files, offset: 0 })
    }

    pub(super) fn append(&mut self, bufs: &[&[u8]]) -> io::Result<()> {
        let length: u64 = bufs.iter().map(|buf| buf.len() as u64).sum();
        for file in &self.files {
            file.write_at(bufs, self.offset)?;
            file.start_writeback(self.offset, length);
        }
        self.offset += length;
        Ok(())
    }

    pub(super) fn block(&mut self, payload: &[u8]) -> io::Result<()> {
        let frame = format::frame(self.index, self.offset, payload);
        self.append(&[&frame, payload])
    }

    /// Makes it count: end, sync, rename, sync of the directory, on every drive.
    pub(super) fn finish(mut self, pairs: u64) -> io::Result<u64> {
        let end = format::end(self.index, self.offset, pairs);
        self.append(&[&end])?;
        let (from, to) = (format!("{DIR}/{}.new", name(self.index)), format!("{DIR}/{}", name(self.index)));
        for (drive, file) in self.drives.iter().zip(&self.files) {
            file.sync()?;
            drive.io().rename(&from, &to)?;
            drive.io().sync_dir(DIR)?;
        }
        Ok(self.offset)
    }

    /// Takes back what was written.
    pub(super) fn abandon(self) {
        for drive in &self.drives {
            remove(drive, &format!("{}.new", name(self.index)));
        }
    }
}

/// One checkpoint being read from all its copies: each block from the first copy in which it verifies.
pub(crate) struct Reader {
    applied: Applied,
    copies: Vec<(String, Arc<dyn FileIo>)>,
    offset: u64,
    /// The count that the end gave; known once `next_block` gave `None`.
    pairs: u64,
}

impl Reader {
    pub(crate) fn open(index: Index, holders: &[Arc<Drive>]) -> io::Result<Reader> {
        let path = format!("{DIR}/{}", name(index));
        let (mut copies, mut found, mut problem) = (Vec::new(), None, damaged(FormatError::Damaged(0)));
        for drive in holders {
            let mut bytes = [0; HEADER_LEN];
            let opened = drive.io().open(&path, OpenHow::Read).and_then(|file| {
                read_exact(&*file, &mut bytes, 0)?;
                Ok(file)
            });
            match opened.and_then(|file| Ok((file, format::parse_header(&bytes).map_err(damaged)?))) {
                Ok((file, applied)) if applied.index == index => {
                    copies.push((drive.label(), file));
                    found = Some(applied);
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(drive = drive.label(), index, %error, "a copy of a checkpoint cannot be read");
                    problem = error;
                }
            }
        }
        let applied = found.ok_or(problem)?;
        Ok(Reader { applied, copies, offset: HEADER_LEN as u64, pairs: 0 })
    }

    pub(crate) fn applied(&self) -> Applied {
        self.applied
    }

    /// The number of pairs that the end gave.
    pub(crate) fn pairs(&self) -> u64 {
        self.pairs
    }

    /// The next block's pairs, `None` at the end. An error when no copy has it whole.
    pub(crate) fn next_block(&mut self) -> io::Result<Option<Vec<u8>>> {
        Ok(match self.block_at(self.offset)? {
            Block::Pairs(payload) => {
                self.offset += (FRAME_LEN + payload.len()) as u64;
                Some(payload)
            }
            Block::End { pairs } => {
                self.pairs = pairs;
                None
            }
        })
    }

    /// Where the next block begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The block that begins there, from the first copy in which it verifies.
    pub(super) fn block_at(&self, offset: u64) -> io::Result<Block> {
        let mut problem = damaged(FormatError::Damaged(offset));
        for (label, file) in &self.copies {
            match read_block(&**file, self.applied.index, offset) {
                Ok(block) => return Ok(block),
                Err(error) => {
                    let index = self.applied.index;
                    tracing::warn!(drive = label, index, %error, "a block of a checkpoint is bad in this copy");
                    problem = error;
                }
            }
        }
        Err(problem)
    }
}

/// A verified block.
pub(super) enum Block {
    Pairs(Vec<u8>),
    End { pairs: u64 },
}

fn read_block(file: &dyn FileIo, index: Index, offset: u64) -> io::Result<Block> {
    let mut frame = [0; FRAME_LEN];
    read_exact(file, &mut frame, offset)?;
    let (length, crc) = format::parse_frame(frame, offset).map_err(damaged)?;
    let counted = END_LEN - FRAME_LEN;
    let mut payload = vec![0; if length == 0 { counted } else { length }];
    read_exact(file, &mut payload, offset + FRAME_LEN as u64)?;
    format::verify(index, offset, &payload, crc).map_err(damaged)?;
    match (length, payload.first_chunk()) {
        (0, Some(count)) => Ok(Block::End { pairs: u64::from_le_bytes(*count) }),
        _ => Ok(Block::Pairs(payload)),
    }
}

fn read_exact(file: &dyn FileIo, buf: &mut [u8], offset: u64) -> io::Result<()> {
    if file.read_at(buf, offset)? == buf.len() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn damaged(error: FormatError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
