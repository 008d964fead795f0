//! Targets for files on drives, which a start reads: damage must be noticed and never be taken for what was written.

use std::sync::Arc;
use stratum_storage::ambient::{Clock, Simulated};
use stratum_storage::blob::{Geometry, Tier};
use stratum_storage::drive::simulated::{Power, SimulatedDrive};
use stratum_storage::drive::{Drive, DriveId, DriveIo, OpenHow, Threads};
use stratum_storage::journal::{Class, Journal, JournalSet, NewEntry, Options, Verify};
use stratum_storage::set::{Root, Set, SetConfig, TierConfig};

const SEGMENT: u64 = 64 << 10;

fn ambient() -> Arc<Simulated> {
    Arc::new(Simulated::new(1, 1))
}

fn disks(count: usize) -> Vec<Arc<SimulatedDrive>> {
    let power = Arc::new(Power::default());
    let disk = |number| SimulatedDrive::new(&format!("disk {number}"), number as u64, &power);
    (0..count).map(disk).collect()
}

/// Writes into a file, which is made if it isn't there.
fn put(disk: &Arc<SimulatedDrive>, path: &str, offset: u64, bytes: &[u8]) {
    let io = disk.attach();
    if let Some((folder, _)) = path.rsplit_once('/') {
        io.create_dir(folder).expect("a folder");
    }
    let file = io.open(path, OpenHow::Write).or_else(|_| io.open(path, OpenHow::CreateNew)).expect("a file");
    file.write_at(&[bytes], offset).expect("the drive takes it");
}

fn open_journal(disk: &Arc<SimulatedDrive>) -> Result<Journal, stratum_storage::journal::JournalError> {
    let clock: Arc<dyn Clock> = ambient();
    let io: Arc<dyn DriveIo> = disk.attach();
    let drive = Drive::new(DriveId(1), Tier::Hot, 0, io, Threads::Caller, clock.clone());
    let options = Options { segment_bytes: SEGMENT, ..Options::default() };
    Journal::open(JournalSet { drives: vec![Arc::new(drive)], m: 0, begun: false }, options, clock, ambient())
}

/// Opens a journal of a damaged segment. The first two bytes are a number. If it is 0, the segment is the other bytes
/// alone. Otherwise the segment has three entries, and the other bytes are written over it from that offset on,
/// counted from 1; then only entries that were written may be replayed.
pub fn journal(bytes: &[u8]) {
    let Some((at, rest)) = bytes.split_first_chunk() else { return };
    let at = u64::from(u16::from_le_bytes(*at));
    let disk = disks(1).remove(0);
    let entries: Vec<Vec<u8>> = (0..3u8).map(|number| vec![number; 40]).collect();
    if at > 0 {
        let journal = open_journal(&disk).expect("an empty drive");
        for command in &entries {
            let entry = NewEntry { command: command.clone(), body: bytes::Bytes::from_static(b"a body") };
            journal.append(vec![entry], Class::Ordinary).expect("room");
        }
        drop(journal);
    }
    for path in disk.files().into_iter().filter(|path| path.starts_with("journal/")) {
        put(&disk, &path, at - 1, rest);
    }
    if at == 0 {
        put(&disk, "journal/segment-0000", 0, rest);
    }
    disk.kill();
    let Ok(journal) = open_journal(&disk) else { return };
    for entry in journal.replay(journal.first(), Verify::Bodies) {
        let Ok(entry) = entry else { return };
        assert!(at == 0 || entries.iter().any(|command| *command == entry.command), "{entry:?}");
    }
}

fn set(disks: &[Arc<SimulatedDrive>]) -> Option<Set> {
    let drives = disks.iter().map(|disk| Root::Open(disk.attach())).collect();
    let tier = TierConfig { tier: Tier::Hot, geometry: Geometry { k: 2, m: 1 }, drives };
    let config = SetConfig { tiers: vec![tier], threads: Threads::Caller };
    let ambient = ambient();
    Set::open(&config, ambient.clone(), ambient.as_ref()).ok()
}

/// Opens a set of three drives, with the bytes written over the identity of one. The set opens as the same set, or is
/// refused.
pub fn identity(bytes: &[u8]) {
    let disks = disks(3);
    let id = set(&disks).expect("blank drives").id();
    disks.iter().for_each(|disk| disk.kill());
    for file in ["identity", "identity.copy"] {
        put(&disks[1], file, 0, bytes);
    }
    disks.iter().for_each(|disk| disk.kill());
    if let Some(opened) = set(&disks) {
        assert!(opened.id() == id, "a damaged identity changed the set");
    }
}

/// Reads a replicated file, with the bytes written over one of its three copies. It reads as what was written, or as
/// what the bytes hold as a copy.
pub fn replicated(bytes: &[u8]) {
    let disks = disks(3);
    let opened = set(&disks).expect("blank drives");
    let before: Vec<String> = disks[1].files();
    opened.write_replicated("secret", b"what was written").expect("three drives");
    let copies: Vec<String> = disks[1].files().into_iter().filter(|path| !before.contains(path)).collect();
    for path in &copies {
        put(&disks[1], path, 0, bytes);
    }
    let read = opened.read_replicated("secret").expect("two copies are sound");
    // Bytes that are a valid copy themselves may win. Others must be recognised as damage.
    let content = read.expect("it was written");
    let is_forged = || bytes.windows(content.len().max(1)).any(|window| window == content);
    assert!(content == b"what was written" || content.is_empty() || is_forged(), "{content:?}");
}
