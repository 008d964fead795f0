//! The file that keeps how far scrub has come, beside the index, and the text of scrub's status.
//!
//! Losing the file does no harm: without it, or if it can't be read, a pass begins anew.

use crate::layout::LiveMeta;
use crate::private;
use crate::shown::bytes;
use std::fs;
use std::io;
use std::path::Path;
use stratum_engine::ScrubProgress;
use stratum_storage::scrub::{ScrubCursor, ScrubFindings, ScrubPhase, ScrubStatus};

const FILE: &str = "scrub.json";

/// How far scrub had come when the server last stopped, by the file in `meta`, and the function that saves how far it is
/// where `live` says.
pub fn progress(meta: &Path, live: LiveMeta) -> ScrubProgress {
    let cursor = read(&meta.join(FILE));
    let save = move |cursor: &ScrubCursor| {
        if let Err(error) = live.folder().and_then(|meta| write(&meta.join(FILE), cursor)) {
            tracing::warn!(%error, file = FILE, "the progress of scrub could not be saved");
        }
    };
    ScrubProgress { cursor, save: Box::new(save) }
}

fn read(path: &Path) -> ScrubCursor {
    let read = fs::read(path).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
    read.unwrap_or_else(|error: io::Error| {
        if error.kind() != io::ErrorKind::NotFound {
            tracing::warn!(%error, file = %path.display(), "scrub begins anew: its saved progress can't be read");
        }
        ScrubCursor::default()
    })
}

fn write(path: &Path, cursor: &ScrubCursor) -> io::Result<()> {
    private::write(path, &serde_json::to_vec(cursor)?)
}

/// Whether a pass found nothing wrong.
pub fn is_clean(found: &ScrubFindings) -> bool {
    *found == ScrubFindings { stripes: found.stripes, bytes: found.bytes, ..ScrubFindings::default() }
}

/// The text of scrub's status.
pub fn to_text(status: &ScrubStatus) -> String {
    let ScrubStatus { cursor, volumes_to_do, bytes_to_do, seconds_left } = status;
    let to_read = format!("{volumes_to_do} volumes, about {} to read", bytes(*bytes_to_do));
    let mut text = match cursor.phase {
        ScrubPhase::Idle if cursor.passes == 0 => "no pass has ended yet\n".to_owned(),
        ScrubPhase::Idle => format!("idle after {} passes\n", cursor.passes),
        ScrubPhase::Paused => format!("paused; {to_read}\n"),
        ScrubPhase::Spread | ScrubPhase::Asked => {
            let left = seconds_left.map_or(String::new(), |seconds| format!(", {seconds} s left"));
            format!("under way; {to_read}{left}\n")
        }
    };
    let found = &cursor.found;
    text += &format!("read        {} stripes, {}\n", found.stripes, bytes(found.bytes));
    for (count, what) in found.told() {
        text += &format!("found       {count} {what}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_is_read_back_and_a_damaged_file_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        assert_eq!(read(&path), ScrubCursor::default());
        let cursor = ScrubCursor { volume: 7, phase: ScrubPhase::Paused, ..ScrubCursor::default() };
        write(&path, &cursor).unwrap();
        assert_eq!(read(&path), cursor);
        fs::write(&path, b"{\"volume\": 8,").unwrap();
        assert_eq!(read(&path), ScrubCursor::default());
    }

    #[test]
    fn the_text_tells_what_a_pass_has_found() {
        let found =
            ScrubFindings { stripes: 3, bytes: 9, bad_fragments: 2, mended: 2, ..ScrubFindings::default() };
        let cursor = ScrubCursor { passes: 1, found, ..ScrubCursor::default() };
        let text = to_text(&ScrubStatus { cursor, ..ScrubStatus::default() });
        assert!(text.contains("found       2 bad fragments\n") && !text.contains("unreadable"), "{text}");
        assert!(!is_clean(&found) && is_clean(&ScrubFindings { stripes: 3, ..ScrubFindings::default() }));
    }
}
