//! Judges whether space is short: drives that are full or almost full, and a journal near its cap.
//!
//! When space has run out, clients are refused with `507` or `503`. The status therefore warns before that, and says
//! what to do.

use stratum_engine::Pressure;
use stratum_storage::blob::Tier;
use stratum_storage::drive::DriveId;
use stratum_storage::writepath::{Fill, Fullness};

/// How short space is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Want {
    /// There is enough.
    Nothing,
    /// An operator should make room before writes are refused.
    Attention,
    /// Writes are refused.
    Space,
}

/// How short space is on the worst of the tiers and in the journal.
pub fn want(tiers: &[Fullness], pressure: Pressure) -> Want {
    let of_tier = |fullness: &Fullness| {
        let worst = fullness.drives.iter().map(|(_, fill)| *fill).max().unwrap_or(Fill::HasRoom);
        match (fullness.refuses(), worst) {
            (true, _) => Want::Space,
            (false, Fill::HasRoom) => Want::Nothing,
            (false, Fill::AlmostFull | Fill::Full) => Want::Attention,
        }
    };
    let of_journal = match pressure {
        Pressure::None => Want::Nothing,
        Pressure::Slowing => Want::Attention,
        Pressure::Refusing => Want::Space,
    };
    tiers.iter().map(of_tier).max().unwrap_or(Want::Nothing).max(of_journal)
}

/// What the status tells the operator to know and do about space. `label` gives the name of a drive.
pub fn notes(tiers: &[Fullness], pressure: Pressure, label: impl Fn(DriveId) -> String) -> Vec<String> {
    const REMEDY: &str = "delete something, or add a drive (`stratum drive add`)";
    let mut notes = Vec::new();
    for fullness in tiers {
        let named = |wanted: Fill| {
            let drives = fullness.drives.iter().filter(|(_, fill)| *fill == wanted);
            let names: Vec<String> = drives.map(|(drive, _)| label(*drive)).collect();
            let verb = if names.len() == 1 { "is" } else { "are" };
            (!names.is_empty()).then(|| format!("{} {verb}", names.join(", ")))
        };
        if let Some(full) = named(Fill::Full) {
            notes.push(match (fullness.geometry, fullness.with_room) {
                (None, _) => format!("{full} full: new data is refused (507); {REMEDY}"),
                (Some(now), Some(whole)) if now.k < whole.k => format!(
                    "{full} full: new data is written over the other drives, as {now}, which takes more space; {REMEDY}"
                ),
                _ => format!("{full} full: new data goes to the other drives; {REMEDY}"),
            });
        }
        if let Some(almost) = named(Fill::AlmostFull) {
            notes.push(format!("{almost} almost full: {REMEDY} before writes are refused"));
        }
    }
    notes.extend(match pressure {
        Pressure::None => None,
        Pressure::Slowing => Some(
            "the journal is over three quarters of its cap: PUTs are slowed until packing and checkpoints have made room"
                .to_owned(),
        ),
        Pressure::Refusing => {
            Some("the journal is full: PUTs are refused until packing and checkpoints have made room".to_owned())
        }
    });
    notes
}

/// What the line of a drive in the status says of its space; nothing if it has room.
pub fn of_drive(tiers: &[Fullness], tier: Tier, drive: DriveId) -> Option<&'static str> {
    let fullness = tiers.iter().find(|fullness| fullness.tier == tier)?;
    let (_, fill) = fullness.drives.iter().find(|(id, _)| *id == drive)?;
    match fill {
        Fill::HasRoom => None,
        Fill::AlmostFull => Some("almost full"),
        Fill::Full => Some("full"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_storage::blob::Geometry;

    fn tier(fills: [Fill; 6], k: Option<u8>) -> Fullness {
        let drives = (0..).zip(fills).map(|(number, fill)| (DriveId(number), fill)).collect();
        let geometry = |k| Geometry { k, m: 2 };
        Fullness { tier: Tier::Hot, drives, geometry: k.map(geometry), with_room: Some(geometry(4)) }
    }

    fn told(fullness: Fullness) -> (Want, String) {
        let tiers = [fullness];
        let notes = notes(&tiers, Pressure::None, |drive| format!("hot/{}", drive.0));
        (want(&tiers, Pressure::None), notes.join("\n"))
    }

    #[test]
    fn full_drives_are_named_with_what_their_fullness_means() {
        use Fill::{AlmostFull, Full, HasRoom};
        assert_eq!(told(tier([HasRoom; 6], Some(4))), (Want::Nothing, String::new()));
        let (want, text) = told(tier([HasRoom, AlmostFull, HasRoom, HasRoom, HasRoom, HasRoom], Some(4)));
        assert!(want == Want::Attention && text.starts_with("hot/1 is almost full:"), "{text}");
        let (want, text) = told(tier([HasRoom, Full, HasRoom, HasRoom, HasRoom, HasRoom], Some(3)));
        assert!(want == Want::Attention && text.contains("hot/1 is full") && text.contains("3+2"), "{text}");
        let (want, text) = told(tier([Full, Full, Full, Full, HasRoom, HasRoom], None));
        assert!(want == Want::Space && text.contains("hot/0, hot/1, hot/2, hot/3 are full"), "{text}");
        assert!(text.contains("507"), "{text}");
    }

    #[test]
    fn the_status_tells_of_a_journal_near_its_cap() {
        assert_eq!(want(&[], Pressure::Refusing), Want::Space);
        assert_eq!(notes(&[], Pressure::Slowing, |_| String::new()).len(), 1);
    }
}
