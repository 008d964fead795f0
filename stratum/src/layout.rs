//! From data folders to drives: which directory is which tier's which position, and with what geometry.
//!
//! One data folder is the embedded default: six directories a tier, so that everything about erasure coding can be
//! tried on one disk. Several are real drives, each with a directory for every tier. A tier whose drives the config
//! names has its directories there.

use crate::config::Config;
use std::path::{Path, PathBuf};
use stratum_storage::blob::{Geometry, Tier};

/// How many directories a tier has when there is one data folder.
const EMBEDDED_DRIVES: usize = 6;

/// A tier's directories, in the order of their positions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierLayout {
    pub tier: Tier,
    pub geometry: Geometry,
    pub drives: Vec<PathBuf>,
}

/// Where everything lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// sled and the shown-once credentials; all of it can be rebuilt from the hot drives.
    pub meta: PathBuf,
    pub tiers: Vec<TierLayout>,
    /// The one data folder with numbered drives, where there is only one.
    pub embedded: Option<PathBuf>,
}

impl Layout {
    /// The layout of these data folders under this config. `data` isn't empty.
    pub fn new(data: &[PathBuf], config: &Config) -> Layout {
        let tiers = Tier::ALL.map(|tier| {
            let section = config.tiers.get(tier);
            let drives = match (section.drives.as_slice(), data) {
                ([], [single]) => embedded(single, tier),
                ([], several) => several.iter().map(|folder| folder.join(tier.name())).collect(),
                (named, _) => named.iter().map(|folder| folder.join(tier.name())).collect(),
            };
            let said = section.geometry.as_ref().map(|geometry| geometry.get_ref().0);
            TierLayout { tier, geometry: said.unwrap_or(Geometry::for_drives(drives.len())), drives }
        });
        let home = data.first().map_or(Path::new("data"), PathBuf::as_path);
        let embedded = if let [single] = data { Some(single.clone()) } else { None };
        Layout { meta: home.join("meta"), tiers: tiers.into(), embedded }
    }

    /// The index's directory.
    pub fn index(&self) -> PathBuf {
        self.meta.join("sled")
    }
}

/// The usual six, and those above that were added: they have an identity, or what is left of one.
fn embedded(folder: &Path, tier: Tier) -> Vec<PathBuf> {
    let home = folder.join(tier.name());
    let number = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse::<usize>().ok();
    let found = std::fs::read_dir(&home).into_iter().flatten().flatten().filter_map(number);
    let is_added = |number: &usize| {
        let has = |file| home.join(number.to_string()).join(file).exists();
        *number >= EMBEDDED_DRIVES && ["identity", "identity.copy"].into_iter().any(has)
    };
    let mut added: Vec<usize> = found.filter(is_added).collect();
    added.sort_unstable();
    (0..EMBEDDED_DRIVES).chain(added).map(|position| home.join(position.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(data: &[&str]) -> Layout {
        Layout::new(&data.iter().map(PathBuf::from).collect::<Vec<_>>(), &Config::default())
    }

    #[test]
    fn one_folder_holds_six_drives_a_tier() {
        let layout = layout(&["d"]);
        assert_eq!(layout.meta, Path::new("d/meta"));
        let warm = &layout.tiers[1];
        assert_eq!((warm.tier, warm.geometry), (Tier::Warm, Geometry { k: 4, m: 2 }));
        assert_eq!(warm.drives[5], Path::new("d/warm/5"));
    }

    #[test]
    fn several_folders_are_a_drive_each() {
        let layout = layout(&["a", "b", "c"]);
        assert_eq!(layout.meta, Path::new("a/meta"));
        assert_eq!(layout.tiers[0].drives, [Path::new("a/hot"), Path::new("b/hot"), Path::new("c/hot")]);
        assert_eq!(layout.tiers[0].geometry, Geometry { k: 2, m: 1 });
    }
}
