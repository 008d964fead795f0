//! The table of drives in the text of the status, with a line for each disk.
//!
//! A disk holds a drive of every tier, and usually fails or fills up as a whole. If its drives differ, those that
//! aren't well have lines of their own below the line of the disk.

use super::DriveStatus;
use crate::shown::bytes;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The table of drives.
pub fn to_text(drives: &[DriveStatus]) -> String {
    let mut disks: BTreeMap<&str, Vec<&DriveStatus>> = BTreeMap::new();
    for drive in drives {
        // The status of an older server doesn't name the disk.
        let disk = if drive.disk.is_empty() { &drive.path } else { &drive.disk };
        disks.entry(disk).or_default().push(drive);
    }
    let width = disks.keys().map(|disk| disk.len()).max().unwrap_or_default();
    let mut text = String::new();
    for (disk, drives) in disks {
        let used: u64 = drives.iter().map(|drive| drive.bytes_used).sum();
        // All drives of a disk lie on one device, so they report the same free space, except a missing drive, which
        // reports 0.
        let free = drives.iter().map(|drive| drive.bytes_free).max().unwrap_or_default();
        let (used, free) = (bytes(used), bytes(free));
        let first = drives.first().map(|drive| (drive.state.as_str(), remarks(drive)));
        let same = first.filter(|first| drives.iter().all(|d| (d.state.as_str(), remarks(d)) == *first));
        let differ = same.is_none();
        let (state, remarks_of_all) = same.unwrap_or(("see below", String::new()));
        let line = format!("  {disk:<width$}  {state:<9} {used:>9} used {free:>9} free  {remarks_of_all}");
        let _ = writeln!(text, "{}", line.trim_end());
        let is_well = |drive: &DriveStatus| drive.state == "healthy" && remarks(drive).is_empty();
        for drive in drives.into_iter().filter(|drive| differ && !is_well(drive)) {
            let place = format!("{}/{}", drive.tier, drive.position);
            let line = format!("    {place:<7} {:<9} {}", drive.state, remarks(drive));
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }
    text
}

/// What is wrong with a drive; empty if nothing is.
fn remarks(drive: &DriveStatus) -> String {
    let flags = [(drive.slow, "slow"), (drive.writes_slowly, "slow at writing"), (drive.rotting, "rotting")];
    let flags = flags.into_iter().filter_map(|(is_so, what)| is_so.then_some(what));
    let remarks: Vec<&str> = flags.chain(drive.fill.as_deref()).chain(drive.reason.as_deref()).collect();
    remarks.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(disk: &str) -> Vec<DriveStatus> {
        let drive = |tier: &str| DriveStatus {
            path: format!("{disk}/{tier}"),
            disk: disk.into(),
            tier: tier.into(),
            state: "healthy".into(),
            bytes_used: 1024,
            bytes_free: 4096,
            ..DriveStatus::default()
        };
        ["hot", "warm", "cold"].map(drive).into()
    }

    #[test]
    fn each_disk_has_one_line() {
        let drives = [disk("/mnt/1"), disk("/mnt/2")].concat();
        assert_eq!(
            to_text(&drives),
            "  /mnt/1  healthy     3.0 KiB used   4.0 KiB free\n  /mnt/2  healthy     3.0 KiB used   4.0 KiB free\n"
        );
    }

    #[test]
    fn drives_that_differ_from_others_of_their_disk_have_lines_below_it() {
        let mut drives = disk("/mnt/1");
        drives[1].state = "failed".into();
        drives[1].reason = Some("a sync failed".into());
        let text = to_text(&drives);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() == 2 && lines[0].starts_with("  /mnt/1  see below"), "{text}");
        assert_eq!(lines[1], "    warm/0  failed    a sync failed");
        for drive in &mut drives {
            (drive.state, drive.reason) = ("failed".into(), Some("a sync failed".into()));
        }
        let text = to_text(&drives);
        assert!(text.lines().count() == 1 && text.trim_end().ends_with("free  a sync failed"), "{text}");
    }
}
