//! Judges whether new data can be written: drives that are full or almost full, tiers with too few drives, and a journal
//! near its cap.
//!
//! When space or drives have run out in the hot tier, clients are refused with `507` or `503`. The status therefore warns
//! before that, and says what to do. Another tier refuses no client: what belongs there goes to hot meanwhile.

use stratum_engine::Pressure;
use stratum_storage::blob::Tier;
use stratum_storage::drive::DriveId;
use stratum_storage::writepath::{Fill, Fullness, Refusal};

/// What new data lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Want {
    /// There is enough.
    Nothing,
    /// An operator should make room, or add drives, before writes are refused.
    Attention,
    /// Writes are refused for want of space.
    Space,
    /// Writes are refused for want of drives.
    Drives,
}

/// The tier to which new data goes if its own takes nothing.
const LAST: Tier = Tier::Hot;
const REMEDY: &str = "delete something, or add a drive (`stratum drive add`)";

/// What new data lacks on the worst of the tiers and in the journal.
pub fn want(tiers: &[Fullness], pressure: Pressure) -> Want {
    let of_tier = |fullness: &Fullness| match fullness.refusal() {
        Some(Refusal::Space) if fullness.tier == LAST => Want::Space,
        Some(Refusal::Drives { .. }) if fullness.tier == LAST => Want::Drives,
        Some(_) => Want::Attention,
        None if fullness.drives.iter().all(|(_, fill)| *fill == Fill::HasRoom) => Want::Nothing,
        None => Want::Attention,
    };
    let of_journal = match pressure {
        Pressure::None => Want::Nothing,
        Pressure::Slowing => Want::Attention,
        Pressure::Refusing => Want::Space,
    };
    tiers.iter().map(of_tier).max().unwrap_or(Want::Nothing).max(of_journal)
}

/// What follows from a tier's taking nothing, and why it takes nothing.
pub fn of_refusal(tier: Tier, refusal: Refusal) -> String {
    let name = tier.name();
    match (refusal, tier == LAST) {
        (Refusal::Space, true) => "new data is refused (507)".to_owned(),
        (Refusal::Space, false) => {
            format!(
                "the {name} tier has no room: what belongs there stays where it is, and new objects go to hot meanwhile"
            )
        }
        (Refusal::Drives { open, needed }, true) => format!(
            "new data is refused (503), small objects too as soon as the journal is full: {open} drives of the {name} tier \
             can be written to, and {needed} are needed"
        ),
        (Refusal::Drives { open, needed }, false) => format!(
            "what belongs in the {name} tier stays where it is, and new objects go to hot meanwhile: {open} of its drives \
             can be written to, and {needed} are needed"
        ),
    }
}

/// What the status tells the operator to know and do about space, and about tiers with too few drives. `label` gives the
/// name of a drive.
pub fn notes(tiers: &[Fullness], pressure: Pressure, label: impl Fn(DriveId) -> String) -> Vec<String> {
    let mut notes = Vec::new();
    for fullness in tiers {
        let (tier, refusal) = (fullness.tier, fullness.refusal());
        if let Some(refusal @ Refusal::Drives { .. }) = refusal {
            let what = of_refusal(tier, refusal);
            notes
                .push(format!("{what}: bring drives back, replace or add some, or keep one that is drained"));
        }
        let named = |wanted: Fill| {
            let drives = fullness.drives.iter().filter(|(_, fill)| *fill == wanted);
            let names: Vec<String> = drives.map(|(drive, _)| label(*drive)).collect();
            let verb = if names.len() == 1 { "is" } else { "are" };
            (!names.is_empty()).then(|| format!("{} {verb}", names.join(", ")))
        };
        if let Some(full) = named(Fill::Full) {
            notes.push(match (refusal, fullness.geometry, fullness.with_room) {
                (Some(refusal @ Refusal::Space), ..) => {
                    format!("{full} full: {}; {REMEDY}", of_refusal(tier, refusal))
                }
                (Some(Refusal::Drives { .. }), ..) => format!("{full} full: {REMEDY}"),
                (None, Some(now), Some(whole)) if now.k < whole.k => format!(
                    "{full} full: new data is written over the other drives, as {now}, which takes more space; {REMEDY}"
                ),
                (None, ..) => format!("{full} full: new data goes to the other drives; {REMEDY}"),
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
        Fullness {
            tier: Tier::Hot,
            drives,
            geometry: k.map(geometry),
            with_room: Some(geometry(4)),
            needed: 3,
        }
    }

    /// A tier of which two drives can be written to.
    fn narrow(tier: Tier) -> Fullness {
        let drives = (0..2).map(|number| (DriveId(number), Fill::HasRoom)).collect();
        Fullness { tier, drives, geometry: None, with_room: None, needed: 3 }
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
    fn a_tier_with_too_few_drives_is_told_with_the_numbers_and_refuses_writes_only_where_it_is_the_hot_one() {
        let (want, text) = told(narrow(Tier::Hot));
        assert!(want == Want::Drives && text.contains("new data is refused (503)"), "{text}");
        assert!(text.contains("2 drives of the hot tier") && text.contains("3 are needed"), "{text}");
        let (want, text) = told(narrow(Tier::Warm));
        assert!(want == Want::Attention && !text.contains("refused"), "{text}");
        assert!(text.contains("warm tier") && text.contains("go to hot meanwhile: 2 of"), "{text}");
    }

    #[test]
    fn a_full_tier_below_hot_refuses_nobody() {
        let full = Fullness { tier: Tier::Cold, ..tier([Fill::Full; 6], None) };
        let (want, text) = told(full);
        assert!(want == Want::Attention && text.contains("new objects go to hot meanwhile"), "{text}");
        assert!(!text.contains("refused") && !text.contains("507"), "{text}");
    }

    #[test]
    fn the_status_tells_of_a_journal_near_its_cap() {
        assert_eq!(want(&[], Pressure::Refusing), Want::Space);
        assert_eq!(notes(&[], Pressure::Slowing, |_| String::new()).len(), 1);
    }
}
