//! Which directories are the drives of a store: their tiers, their positions, and the geometry of each tier.
//!
//! A single data folder holds six directories for each tier, so that everything about erasure coding can be tried on
//! one disk; such a store is called embedded. Each of several data folders is a real drive, with a directory for every
//! tier. A tier whose drives the configuration names has its directories in those.

use crate::config::Config;
use crate::private;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stratum_storage::blob::{Geometry, Tier};
use stratum_storage::drive::{Drive, Threads};
use stratum_storage::set::{Root, Set, SetConfig, TierConfig};

/// How many directories each tier has in a single data folder.
const DRIVES_IN_DATA_FOLDER: usize = 6;

/// Where the configuration has the drives of a tier, and so where another one may come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// Numbered folders in this one, which is the tier's in the single data folder.
    Numbered(PathBuf),
    /// The tier's folder in each of several data folders, beside those of all other tiers that have no drives of their
    /// own.
    Shared,
    /// The tier's folder in each of the folders that are named for this tier.
    Own,
}

/// A tier's directories, in the order of their positions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierLayout {
    pub tier: Tier,
    pub home: Home,
    pub geometry: Geometry,
    pub drives: Vec<PathBuf>,
}

/// The directories of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The folder of the index (sled) and of the file with root's credentials. All of it can be made again from the hot
    /// drives.
    pub meta: PathBuf,
    /// The data folders.
    homes: Vec<PathBuf>,
    pub tiers: Vec<TierLayout>,
}

impl Layout {
    /// The layout of these data folders with this configuration. `data` must not be empty.
    pub fn new(data: &[PathBuf], config: &Config) -> Layout {
        let tiers = Tier::ALL.map(|tier| {
            let section = config.tiers.get(tier);
            let in_each = |folders: &[PathBuf]| {
                folders.iter().map(|folder| folder.join(tier.name())).collect::<Vec<_>>()
            };
            let (home, drives) = match (section.drives.as_slice(), data) {
                ([], [single]) => (Home::Numbered(single.join(tier.name())), embedded(single, tier)),
                ([], several) => (Home::Shared, in_each(several)),
                (named, _) => (Home::Own, in_each(named)),
            };
            let said = section.geometry.as_ref().map(|geometry| geometry.get_ref().0);
            TierLayout { tier, home, geometry: said.unwrap_or(Geometry::for_drives(drives.len())), drives }
        });
        let home = data.first().map_or(Path::new("data"), PathBuf::as_path);
        Layout { meta: home.join("meta"), homes: data.to_owned(), tiers: tiers.into() }
    }

    /// Where a new drive of each tier may come.
    pub fn tier_homes(&self) -> Vec<(Tier, Home)> {
        self.tiers.iter().map(|tier| (tier.tier, tier.home.clone())).collect()
    }

    /// Checks that the folders of the drives are [apart](check_apart).
    ///
    /// # Errors
    /// A sentence that names both folders.
    pub fn check(&self) -> Result<(), String> {
        let drives = self.tiers.iter().flat_map(|tier| &tier.drives);
        check_apart(&drives.map(|folder| DriveFolder::resolved(folder)).collect::<Vec<_>>())
    }

    /// Chooses the folder `meta`, once it is known which drives are there: it lies in the first data folder that has a
    /// healthy drive, or that never held one. Where a disk is not mounted, the folder of its mount point is still
    /// there, and an index must not be begun anew on the disk beneath.
    pub fn settle(&mut self, there: &[Arc<Drive>]) {
        let Some(meta) = self.metas(there).into_iter().next() else { return };
        if meta != self.meta {
            let (absent, meta) = (self.meta.display(), meta.display());
            tracing::warn!(%absent, %meta, "the drives of the first data folder aren't there: the index lies in another");
        }
        self.meta = meta;
    }

    /// The folders `meta` of the data folders that are there, as far as can be told by their drives.
    pub fn metas(&self, there: &[Arc<Drive>]) -> Vec<PathBuf> {
        self.metas_by(there, Drive::is_healthy).collect()
    }

    /// The folder `meta` as drives come and go while the server runs.
    pub fn live(&self, set: Arc<Set>) -> LiveMeta {
        let layout = self.clone();
        // Each drive is asked whether its folder is still there: files that were made in an empty mount point would lie
        // on the disk beneath.
        LiveMeta(Arc::new(move || layout.metas_by(&set.all_drives(), Drive::check).next()))
    }

    fn metas_by<'a>(
        &'a self,
        there: &'a [Arc<Drive>],
        is_there: impl Fn(&Drive) -> bool + 'a,
    ) -> impl Iterator<Item = PathBuf> + 'a {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let places: Vec<PathBuf> =
            self.tiers.iter().flat_map(|tier| &tier.drives).map(|path| absolute(path)).collect();
        let has_its_drives = move |home: &&PathBuf| {
            let home = absolute(home);
            let is_in =
                |drive: &&Arc<Drive>| drive.io().folder().is_some_and(|folder| folder.starts_with(&home));
            let has_any = places.iter().any(|place| place.starts_with(&home));
            !has_any || there.iter().filter(is_in).any(|drive| is_there(drive))
        };
        self.homes.iter().filter(has_its_drives).map(|home| home.join("meta"))
    }

    /// The configuration with which the set of these drives is opened. The caller says which threads do the drives'
    /// work.
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

/// The folder `meta` as drives come and go: it lies in the first data folder that is there. Small files that must outlive
/// a crash are written where it lies when they are written, so that they follow when the disk of the first data folder dies
/// or is replaced. The index looks after itself. A clone is a cheap handle.
#[derive(Clone)]
pub struct LiveMeta(Arc<dyn Fn() -> Option<PathBuf> + Send + Sync>);

impl LiveMeta {
    /// Always this folder.
    #[cfg(test)]
    pub fn fixed(folder: &Path) -> LiveMeta {
        let folder = folder.to_owned();
        LiveMeta(Arc::new(move || Some(folder.clone())))
    }

    /// The folder, which is made if it isn't there yet. Blocks, since it asks the drives.
    ///
    /// # Errors
    /// No data folder is there, or the folder can't be made or closed to other users.
    pub fn folder(&self) -> io::Result<PathBuf> {
        let folder = (self.0)().ok_or_else(|| io::Error::other("no data folder is there"))?;
        match std::fs::create_dir(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => private::close(&folder)?,
        }
        Ok(folder)
    }
}

/// The folder of a drive, for [`check_apart`].
pub struct DriveFolder {
    named: PathBuf,
    real: PathBuf,
}

impl DriveFolder {
    /// A folder whose symbolic links are followed.
    pub fn resolved(folder: &Path) -> DriveFolder {
        DriveFolder { named: folder.to_owned(), real: real(folder) }
    }

    /// A folder on a disk that may hang, which therefore isn't looked at.
    pub fn as_named(folder: &Path) -> DriveFolder {
        let real = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        DriveFolder { named: folder.to_owned(), real }
    }
}

/// Checks that no drive's folder is the same as another drive's or lies in one: two such drives would fail together, and
/// yet be counted as two that fail independently.
///
/// # Errors
/// A sentence that names both folders.
pub fn check_apart(folders: &[DriveFolder]) -> Result<(), String> {
    for (at, one) in folders.iter().enumerate() {
        for (_, other) in folders.iter().enumerate().filter(|(other_at, _)| *other_at != at) {
            let (named, other_named) = (one.named.display(), other.named.display());
            if one.real == other.real {
                return Err(format!("two drives are one folder, {named} and {other_named}: name each once"));
            }
            if one.real.starts_with(&other.real) {
                return Err(format!("the drive {named} lies in another one, {other_named}"));
            }
        }
    }
    Ok(())
}

/// The path of a folder with its symbolic links resolved, as far as the path exists.
fn real(folder: &Path) -> PathBuf {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let above = absolute.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    let below = above.and_then(|(above, real)| Some(real.join(absolute.strip_prefix(above).ok()?)));
    below.unwrap_or(absolute)
}

/// The directories of a tier in a single data folder: the first six, and those with a higher number that were added
/// later. A directory that was added has an identity file, or at least the copy of one.
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
    fn two_drives_in_one_folder_or_one_in_the_other_are_refused() {
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
        // A disk that is mounted in the data folder of another, beside the drives there.
        assert_eq!(check(&["a", "a/b"]), Ok(()));
        assert!(check(&["a", "a"]).unwrap_err().contains("two drives are one folder"));
        assert!(check(&["a", "link"]).unwrap_err().contains("two drives are one folder"));
        assert!(check(&["a", "link/hot"]).unwrap_err().contains("lies in another one"));
    }

    #[test]
    fn a_single_data_folder_holds_six_drives_of_each_tier() {
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
    fn each_of_several_data_folders_is_a_drive() {
        let layout = layout(&["a", "b", "c"]);
        assert_eq!(layout.meta, Path::new("a/meta"));
        assert_eq!(layout.tiers[0].drives, [Path::new("a/hot"), Path::new("b/hot"), Path::new("c/hot")]);
        assert_eq!(layout.tiers[0].geometry, Geometry { k: 2, m: 1 });
    }
}
