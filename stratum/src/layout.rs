//! From data folders to drives: which directory is which tier's which position, and with what geometry.
//!
//! One data folder is the embedded default: six directories a tier, so that everything about erasure coding can be
//! tried on one disk. Several are real drives, each with a directory for every tier. A tier whose drives the config
//! names has its directories there.

use crate::config::Config;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stratum_storage::blob::{Geometry, Tier};
use stratum_storage::drive::{Drive, Threads};
use stratum_storage::set::{Root, SetConfig, TierConfig};

/// How many directories a tier has when there is one data folder.
const DRIVES_IN_DATA_FOLDER: usize = 6;

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
    /// The data folders.
    homes: Vec<PathBuf>,
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
        Layout { meta: home.join("meta"), homes: data.to_owned(), tiers: tiers.into(), embedded }
    }

    /// Each drive has a folder of its own, in none of the others: two that fail together would be counted as two.
    ///
    /// # Errors
    /// In words, with both.
    pub fn check(&self) -> Result<(), String> {
        let named: Vec<&Path> =
            self.tiers.iter().flat_map(|tier| &tier.drives).map(PathBuf::as_path).collect();
        let real: Vec<PathBuf> = named.iter().map(|folder| real(folder)).collect();
        for (at, one) in real.iter().enumerate() {
            for (other_at, other) in real.iter().enumerate().filter(|(other_at, _)| *other_at != at) {
                let shown = |at: usize| named.get(at).copied().unwrap_or(Path::new("")).display();
                if one == other {
                    return Err(format!(
                        "two drives are one folder, {} and {}: name each once",
                        shown(at),
                        shown(other_at)
                    ));
                }
                if one.starts_with(other) {
                    return Err(format!("the drive {} lies in another one, {}", shown(at), shown(other_at)));
                }
            }
        }
        Ok(())
    }

    /// Now that these drives are there: what isn't on drives lies in the first data folder that has one. A disk that is
    /// not mounted leaves its folder behind, and an index must not be begun anew on the disk beneath.
    pub fn settle(&mut self, there: &[Arc<Drive>]) {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let places: Vec<PathBuf> =
            self.tiers.iter().flat_map(|tier| &tier.drives).map(|path| absolute(path)).collect();
        let is_away = |home: &&PathBuf| {
            let home = absolute(home);
            let is_in =
                |drive: &&Arc<Drive>| drive.io().folder().is_some_and(|folder| folder.starts_with(&home));
            let has_any = places.iter().any(|place| place.starts_with(&home));
            has_any && !there.iter().filter(is_in).any(|drive| drive.is_healthy())
        };
        let Some(home) = self.homes.iter().find(|home| !is_away(home)) else { return };
        let meta = home.join("meta");
        if meta != self.meta {
            let (absent, meta) = (self.meta.display(), meta.display());
            tracing::warn!(%absent, %meta, "the drives of the first data folder aren't there: the index lies in another");
        }
        self.meta = meta;
    }

    /// The drives as a set of them is opened; who does their work is for whoever opens it to say.
    pub fn set_config(&self, threads: Threads) -> SetConfig {
        let tiers = self.tiers.iter().map(|tier| TierConfig {
            tier: tier.tier,
            geometry: tier.geometry,
            drives: tier.drives.iter().cloned().map(Root::Path).collect(),
        });
        SetConfig { tiers: tiers.collect(), threads }
    }

    /// The index's directory.
    pub fn index(&self) -> PathBuf {
        self.meta.join("sled")
    }
}

/// Where it really is, as far as it is there.
fn real(folder: &Path) -> PathBuf {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let above = absolute.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    let below = above.and_then(|(above, real)| Some(real.join(absolute.strip_prefix(above).ok()?)));
    below.unwrap_or(absolute)
}

/// The usual six, and those above that were added: they have an identity, or what is left of one.
fn embedded(folder: &Path, tier: Tier) -> Vec<PathBuf> {
    let home = folder.join(tier.name());
    let number = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse::<usize>().ok();
    let found = std::fs::read_dir(&home).into_iter().flatten().flatten().filter_map(number);
    let is_added = |number: &usize| {
        let has = |file| home.join(number.to_string()).join(file).exists();
        *number >= DRIVES_IN_DATA_FOLDER && ["identity", "identity.copy"].into_iter().any(has)
    };
    let mut added: Vec<usize> = found.filter(is_added).collect();
    added.sort_unstable();
    (0..DRIVES_IN_DATA_FOLDER).chain(added).map(|position| home.join(position.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(data: &[&str]) -> Layout {
        Layout::new(&data.iter().map(PathBuf::from).collect::<Vec<_>>(), &Config::default())
    }

    #[test]
    fn no_drive_is_another_one_or_in_it() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        std::fs::create_dir(at("a")).unwrap();
        std::os::unix::fs::symlink(at("a"), at("link")).unwrap();
        let check = |names: &[&str]| {
            let folders: Vec<PathBuf> = names.iter().map(|name| at(name)).collect();
            Layout::new(&folders, &Config::default()).check()
        };
        assert_eq!(check(&["a"]), Ok(()));
        assert_eq!(check(&["a", "b"]), Ok(()));
        // A disk that is mounted below another one's folder.
        assert_eq!(check(&["a", "a/b"]), Ok(()));
        assert!(check(&["a", "a"]).unwrap_err().contains("two drives are one folder"));
        assert!(check(&["a", "link"]).unwrap_err().contains("two drives are one folder"));
        assert!(check(&["a", "link/hot"]).unwrap_err().contains("lies in another one"));
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
    fn the_index_lies_in_the_first_folder_whose_drives_are_there() {
        use stratum_storage::ambient::System;
        use stratum_storage::drive::DriveId;
        use stratum_storage::drive::real::RealDrive;
        let root = tempfile::tempdir().unwrap();
        let data = ["a", "b", "c"].map(|name| root.path().join(name));
        let drive = |tier: Tier, home: usize, is_there: bool| {
            let io = RealDrive::create(&data[home].join(tier.name())).unwrap();
            match is_there {
                true => {
                    Drive::new(DriveId(1), tier, home as u16, Arc::new(io), Threads::Caller, Arc::new(System))
                }
                false => Drive::missing(DriveId(1), tier, home as u16, "for this test"),
            }
        };
        for (there, expected) in
            [([true; 3], 0), ([false, true, true], 1), ([false, false, true], 2), ([false; 3], 0)]
        {
            let mut layout = Layout::new(&data, &Config::default());
            let drives = (0..3).map(|home| Arc::new(drive(Tier::Hot, home, there[home])));
            layout.settle(&drives.collect::<Vec<_>>());
            assert_eq!(layout.index(), data[expected].join("meta/sled"));
        }
    }

    #[test]
    fn several_folders_are_a_drive_each() {
        let layout = layout(&["a", "b", "c"]);
        assert_eq!(layout.meta, Path::new("a/meta"));
        assert_eq!(layout.tiers[0].drives, [Path::new("a/hot"), Path::new("b/hot"), Path::new("c/hot")]);
        assert_eq!(layout.tiers[0].geometry, Geometry { k: 2, m: 1 });
    }
}
