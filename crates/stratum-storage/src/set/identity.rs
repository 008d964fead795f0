//! The bytes of a drive's `identity`, as `docs/format/drives.md` says them, and how they get onto a drive.
//!
//! Two files hold it, each the same page twice, so that neither a damaged sector nor a lost file loses the drive. It
//! names all drives of the set by tier and position: any one of them tells which are missing. A drive finds its own
//! place by its id.

use super::files::{self, fields};
use super::roll::{Roll, RollEntry, Shape, Standing};
use crate::blob::{Geometry, Tier};
use crate::drive::{DriveId, DriveIo};
use std::cmp::Ordering;
use std::io::{self, ErrorKind};

/// The two files of a drive that hold its identity, in the order of writing.
pub(super) const FILES: [&str; 2] = ["identity", "identity.copy"];
/// The newest version of the bytes. What an older one can say is still written as that one.
pub(super) const VERSION: u16 = 3;

const MAGIC: &[u8; 8] = b"STRMdrv\n";
const PAGE: usize = 4096;
const CRC_AT: usize = PAGE - 4;
// Bytes before the list of tiers, of a tier before its drives, and of a drive.
const HEAD_BYTES: usize = 60;
const TIER_BYTES: usize = 8;
const DRIVE_BYTES: usize = 17;

/// The name of a set, random and given once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SetId(pub u128);

impl std::fmt::Display for SetId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// How far the set's making has come, as this drive knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Formation {
    /// Some drive may not have its identity yet; nothing was ever stored.
    Forming,
    /// Every drive has its identity.
    Formed,
    /// The journal was opened on the set: from now on there is something to be lost, and a journal that isn't there
    /// is a lost one.
    Begun,
}

impl Formation {
    const ALL: [Formation; 3] = [Formation::Forming, Formation::Formed, Formation::Begun];

    /// Whether a drive whose formation has come that far counts when the set is recognised.
    pub(super) fn is_formed(self) -> bool {
        self >= Formation::Formed
    }
}

/// What a drive knows of itself and of its set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub drive: DriveId,
    pub set: SetId,
    pub formation: Formation,
    pub roll: Roll,
}

/// Why there is no identity to be had from a drive.
#[derive(Debug)]
pub(super) enum Unreadable {
    Absent,
    Damaged,
    /// Its two files say what no crash can make of them.
    Contradictory,
    /// Written by a binary that knows more.
    Version(u16),
    Io(io::Error),
}

/// Whether that many drives in that many tiers find room in a page.
pub(super) fn fits(tiers: usize, drives: usize) -> bool {
    HEAD_BYTES + tiers * TIER_BYTES + drives * DRIVE_BYTES <= CRC_AT
}

impl Identity {
    /// The whole file. The caller made sure that it [`fits`].
    fn encode(&self) -> Vec<u8> {
        let version: u16 = match (self.formation, self.roll.revision) {
            (Formation::Begun, _) => 3,
            (_, 0) => 1,
            (_, _) => 2,
        };
        let mut page = Vec::with_capacity(2 * PAGE);
        page.extend(MAGIC);
        page.extend(version.to_le_bytes());
        page.extend([0; 2]);
        page.extend(crc32c::crc32c(&page).to_le_bytes());
        page.extend(self.drive.0.to_le_bytes());
        page.extend(self.set.0.to_le_bytes());
        page.extend([formation_byte(self.formation), self.roll.tiers.len() as u8, 0, 0]);
        if version > 1 {
            page.extend(self.roll.revision.to_le_bytes());
        }
        for shape in &self.roll.tiers {
            page.extend([tier_byte(shape.tier), shape.geometry.k, shape.geometry.m, 0]);
            page.extend((shape.members.len() as u32).to_le_bytes());
            for member in &shape.members {
                page.extend(member.drive.0.to_le_bytes());
                page.extend((version > 1).then_some(standing_byte(member.standing)));
            }
        }
        page.resize(CRC_AT, 0);
        page.extend(crc32c::crc32c(&page).to_le_bytes());
        page.extend_from_within(..);
        page
    }

    /// Reads the file's bytes from either copy; the flag says whether both were good.
    fn decode(bytes: &[u8]) -> Result<(Identity, bool), Unreadable> {
        let mut copies = bytes.chunks(PAGE).take(2).map(decode_page);
        let (first, second) = (copies.next(), copies.next());
        match (first, second) {
            (Some(Err(Unreadable::Version(found))), _) | (_, Some(Err(Unreadable::Version(found)))) => {
                Err(Unreadable::Version(found))
            }
            (Some(Ok(first)), second) => {
                let both = matches!(second, Some(Ok(second)) if second == first);
                Ok((first, both))
            }
            (_, Some(Ok(second))) => Ok((second, false)),
            _ => Err(Unreadable::Damaged),
        }
    }

    /// Reads a drive's identity, and says whether all of both its files is good.
    pub(super) fn read(io: &dyn DriveIo) -> Result<(Identity, bool), Unreadable> {
        let [first, second] = FILES.map(|file| read_file(io, file));
        match (first, second) {
            (Err(Unreadable::Version(found)), _) | (_, Err(Unreadable::Version(found))) => {
                Err(Unreadable::Version(found))
            }
            (Ok((first, both)), Ok((second, too))) if first == second => Ok((first, both && too)),
            (Ok((first, _)), Ok((second, _))) => Ok((newer(first, second)?, false)),
            (Ok((identity, _)), Err(_)) | (Err(_), Ok((identity, _))) => Ok((identity, false)),
            (Err(Unreadable::Absent), Err(problem)) | (Err(problem), Err(_)) => Err(problem),
        }
    }

    /// Writes it; durable on return.
    pub(super) fn write(&self, io: &dyn DriveIo) -> io::Result<()> {
        FILES.iter().try_for_each(|file| self.write_file(io, file))
    }

    /// Writes one of its files; durable on return.
    pub(super) fn write_file(&self, io: &dyn DriveIo, file: &str) -> io::Result<()> {
        files::replace(io, file, &self.encode())
    }

    /// The files of a drive that are not as this identity has them, each with what is wrong with it.
    pub(super) fn lacking(&self, io: &dyn DriveIo) -> Vec<(&'static str, String)> {
        let lacking = FILES.into_iter().filter_map(|file| {
            let problem = match read_file(io, file) {
                Ok((found, both)) if found == *self && both => return None,
                Ok((found, _)) if found == *self => "one of its two pages is damaged".to_owned(),
                Ok(_) => "it is not what the set's drives agreed on".to_owned(),
                Err(Unreadable::Absent) => "it is not there".to_owned(),
                Err(Unreadable::Damaged) => "both its pages are damaged".to_owned(),
                Err(Unreadable::Contradictory) => "its pages contradict each other".to_owned(),
                Err(Unreadable::Version(found)) => format!("a newer Stratum wrote it, as version {found}"),
                Err(Unreadable::Io(error)) => format!("it can't be read: {error}"),
            };
            Some((file, problem))
        });
        lacking.collect()
    }

    /// Whether a file's bytes are the identity of that drive.
    pub(super) fn is_of(drive: DriveId, bytes: &[u8]) -> bool {
        Identity::decode(bytes).is_ok_and(|(identity, _)| identity.drive == drive)
    }
}

fn read_file(io: &dyn DriveIo, file: &str) -> Result<(Identity, bool), Unreadable> {
    let bytes = files::read(io, file, 2 * PAGE).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Unreadable::Absent,
        _ => Unreadable::Io(error),
    })?;
    Identity::decode(&bytes)
}

/// What counts where a drive's two files differ: a writing that was cut short, or an older copy put back, leaves
/// something older in one of them.
fn newer(first: Identity, second: Identity) -> Result<Identity, Unreadable> {
    let rank = |identity: &Identity| (identity.roll.revision, identity.formation);
    let is_any_formed = first.formation.max(second.formation).is_formed();
    match rank(&first).cmp(&rank(&second)) {
        _ if is_any_formed && first.set != second.set => Err(Unreadable::Contradictory),
        Ordering::Equal if is_any_formed => Err(Unreadable::Contradictory),
        Ordering::Less => Ok(second),
        Ordering::Equal | Ordering::Greater => Ok(first),
    }
}

fn decode_page(page: &[u8]) -> Result<Identity, Unreadable> {
    let mut head = fields(page);
    let (Some(magic), Some(version), Some(_), Some(crc)) =
        (head.take::<8>(), head.take().map(u16::from_le_bytes), head.take::<2>(), head.take())
    else {
        return Err(Unreadable::Damaged);
    };
    let checked = page.get(..12).map(crc32c::crc32c);
    if &magic != MAGIC || checked != Some(u32::from_le_bytes(crc)) {
        return Err(Unreadable::Damaged);
    }
    if !(1..=VERSION).contains(&version) {
        return Err(Unreadable::Version(version));
    }
    decode_body(page, version).ok_or(Unreadable::Damaged)
}

/// Version 1 has neither a revision nor standings: all drives serve, as the set was formed.
fn decode_body(page: &[u8], version: u16) -> Option<Identity> {
    let (covered, crc) = page.split_at_checked(CRC_AT)?;
    if crc != crc32c::crc32c(covered).to_le_bytes() {
        return None;
    }
    let mut fields = fields(covered.get(16..)?);
    let drive = DriveId(u128::from_le_bytes(fields.take()?));
    let set = SetId(u128::from_le_bytes(fields.take()?));
    let [formation, tiers, ..] = fields.take::<4>()?;
    let revision = if version == 1 { 0 } else { u64::from_le_bytes(fields.take()?) };
    let mut shapes = Vec::new();
    for _ in 0..tiers {
        let [tier, k, m, _] = fields.take()?;
        let tier = Tier::ALL.into_iter().find(|known| tier_byte(*known) == tier)?;
        let count = u32::from_le_bytes(fields.take()?);
        let members = (0..count).map(|_| {
            let drive = DriveId(u128::from_le_bytes(fields.take()?));
            let standing = if version == 1 { Standing::Serving } else { standing_of(fields.take()?)? };
            Some(RollEntry { drive, standing })
        });
        shapes.push(Shape { tier, geometry: Geometry { k, m }, members: members.collect::<Option<_>>()? });
    }
    let formation = Formation::ALL.into_iter().find(|known| formation_byte(*known) == formation)?;
    let roll = Roll { revision, tiers: shapes };
    roll.place(drive)?;
    Some(Identity { drive, set, formation, roll })
}

fn formation_byte(formation: Formation) -> u8 {
    match formation {
        Formation::Forming => 1,
        Formation::Formed => 2,
        Formation::Begun => 3,
    }
}

fn standing_byte(standing: Standing) -> u8 {
    match standing {
        Standing::Serving => 0,
        Standing::Draining => 1,
        Standing::Removed => 2,
    }
}

fn standing_of([byte]: [u8; 1]) -> Option<Standing> {
    [Standing::Serving, Standing::Draining, Standing::Removed]
        .into_iter()
        .find(|known| standing_byte(*known) == byte)
}

fn tier_byte(tier: Tier) -> u8 {
    match tier {
        Tier::Hot => 0,
        Tier::Warm => 1,
        Tier::Cold => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn example() -> Identity {
        let drives =
            |from: u128, count| (from..from + count).map(|id| RollEntry::serving(DriveId(id))).collect();
        let shape = |tier, k, m, from| {
            let geometry = Geometry { k, m };
            Shape { tier, geometry, members: drives(from, geometry.shards() as u128) }
        };
        Identity {
            drive: DriveId(0x102),
            set: SetId(0xfeed_0000_0000_0000_0000_0000_0000_0001),
            formation: Formation::Formed,
            roll: Roll {
                revision: 0,
                tiers: vec![shape(Tier::Hot, 4, 2, 0x100), shape(Tier::Cold, 8, 3, 0x200)],
            },
        }
    }

    #[test]
    fn the_released_version_is_read() {
        let fixture = include_bytes!("../../fixtures/v1/identity");
        assert_eq!(Identity::decode(fixture).unwrap(), (example(), true));
        assert!(example().encode() == fixture, "the bytes that version 1 writes must not change");
    }

    #[test]
    fn version_2_is_read() {
        let mut identity = example();
        identity.roll.revision = Roll::revision_of(7) + 3;
        *identity.roll.member_mut(Tier::Hot, 1).unwrap() = RollEntry::serving(DriveId(0x300));
        identity.roll.member_mut(Tier::Hot, 5).unwrap().standing = Standing::Draining;
        identity.roll.member_mut(Tier::Cold, 0).unwrap().standing = Standing::Removed;
        let fixture = include_bytes!("../../fixtures/v2/identity");
        assert_eq!(Identity::decode(fixture).unwrap(), (identity.clone(), true));
        assert!(identity.encode() == fixture, "the bytes that version 2 writes must not change");
    }

    #[test]
    fn version_3_is_read() {
        let identity = Identity { formation: Formation::Begun, ..example() };
        let fixture = include_bytes!("../../fixtures/v3/identity");
        assert_eq!(Identity::decode(fixture).unwrap(), (identity.clone(), true));
        assert!(identity.encode() == fixture, "the bytes that version 3 writes must not change");
    }

    #[test]
    fn one_flipped_bit_anywhere_loses_nothing_and_is_seen() {
        let bytes = example().encode();
        for bit in (0..bytes.len() * 8).step_by(7) {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Identity::decode(&damaged).unwrap(), (example(), false), "bit {bit}");
        }
    }

    #[test]
    fn what_is_damaged_twice_or_cut_is_refused() {
        let bytes = example().encode();
        for at in 0..PAGE {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            damaged[PAGE + at] ^= 0x10;
            assert!(matches!(Identity::decode(&damaged), Err(Unreadable::Damaged)), "byte {at}");
            assert!(matches!(Identity::decode(&bytes[..at]), Err(Unreadable::Damaged)), "length {at}");
        }
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let mut bytes = example().encode();
        for page in bytes.chunks_mut(PAGE) {
            page[8] = 9;
            let crc = crc32c::crc32c(&page[..12]).to_le_bytes();
            page[12..16].copy_from_slice(&crc);
            page[100..].fill(0xaa);
        }
        assert!(matches!(Identity::decode(&bytes), Err(Unreadable::Version(9))));
    }

    #[test]
    fn counts_that_lead_out_of_the_page_are_damage() {
        let mut bytes = example().encode();
        for page in bytes.chunks_mut(PAGE) {
            // The count of the first tier's drives, in version 1.
            page[56..60].fill(0xff);
            let crc = crc32c::crc32c(&page[..CRC_AT]).to_le_bytes();
            page[CRC_AT..].copy_from_slice(&crc);
        }
        assert!(matches!(Identity::decode(&bytes), Err(Unreadable::Damaged)));
        assert!(fits(3, 235) && !fits(3, 236));
    }
}
