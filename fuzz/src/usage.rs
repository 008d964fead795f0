//! The target for the file that keeps the use of objects over a restart. What was read must be written as a file that
//! reads the same.

use std::convert::Infallible;
use stratum_tiering::day::Day;
use stratum_tiering::usage::name::Seed;
use stratum_tiering::usage::{End, Usage};

const MEMORY: usize = 64 << 10;
const NOW: u64 = 1_700_000_000_000;

/// Reads the bytes as a file. Then reads them as the records of a file whose checksums are right; the first byte says
/// how many records a batch has.
pub fn usage(bytes: &[u8]) {
    let _ = Usage::from_file(bytes, MEMORY, Day::REAL, NOW);
    let Some((length, records)) = bytes.split_first() else { return };
    let mut file = Usage::new(MEMORY, Day::REAL, Seed([7; 16])).file_header();
    for batch in records.chunks(64 * (usize::from(*length) + 1)) {
        file.extend((batch.len() as u32).to_le_bytes());
        file.extend(crc32c::crc32c(batch).to_le_bytes());
        file.extend(batch);
    }
    let (usage, end) = Usage::from_file(&file, MEMORY, Day::REAL, NOW).expect("a header of ours");
    assert!(end == End::Whole);
    let mut again = usage.file_header();
    usage.mark_all();
    let written = usage.take_changes(|piece| {
        again.extend_from_slice(piece);
        Ok::<(), Infallible>(())
    });
    let Ok(_) = written;
    let (reread, end) = Usage::from_file(&again, MEMORY, Day::REAL, NOW).expect("a header of ours");
    assert!(end == End::Whole);
    let (one, other) = (usage.status(), reread.status());
    assert!(
        (one.objects, one.groups, one.looks) == (other.objects, other.groups, other.looks),
        "{one:?} {other:?}"
    );
}
