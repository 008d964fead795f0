//! Which drives a new folder becomes: of which tiers, and where in it.
//!
//! The next start must find them by the configuration. So a data folder gets a drive of each tier that has no drives of
//! its own, and a folder that is named for a tier gets one of that tier alone.

use super::{DriveError, absolute};
use crate::layout::Home;
use std::path::{Path, PathBuf};
use stratum_storage::blob::Tier;

/// Where the configuration has each tier's drives.
#[derive(Clone)]
pub(super) struct Homes(pub Vec<(Tier, Home)>);

impl Homes {
    /// The folders at a path that would become drives: at least one. `wanted` are the tiers that were named, if any.
    pub fn new_folders(&self, path: &Path, wanted: &[Tier]) -> Result<Vec<(Tier, PathBuf)>, DriveError> {
        let groups = self.groups(path);
        let is_one = |group: &&Vec<Tier>| group.iter().all(|tier| wanted.contains(tier));
        let chosen: Vec<Tier> = match (groups.as_slice(), wanted) {
            ([], _) => return Err(self.in_no_tier(path)),
            ([only], []) => only.clone(),
            _ => groups.iter().filter(is_one).flatten().copied().collect(),
        };
        if chosen.is_empty() || !wanted.iter().all(|tier| chosen.contains(tier)) {
            let choices: Vec<String> = groups.iter().map(|group| names(group)).collect();
            let (path, choices) = (path.display().to_string(), choices.join(" or "));
            return Err(DriveError::WhichTier { path, choices });
        }
        let is_numbered = |tier| matches!(self.home(tier), Some(Home::Numbered(_)));
        let folder = |tier: Tier| if is_numbered(tier) { path.to_owned() } else { path.join(tier.name()) };
        Ok(chosen.into_iter().map(|tier| (tier, folder(tier))).collect())
    }

    /// How the next start finds a drive of a tier that was added at a path.
    pub fn how_found(&self, tier: Tier, path: &Path) -> String {
        let path = path.display();
        match self.home(tier) {
            Some(Home::Own) => {
                format!("name {path} in `drives` of [tiers.{}] in the configuration", tier.name())
            }
            Some(Home::Shared) => format!("name {path} in `data` in the configuration"),
            Some(Home::Numbered(_)) | None => "the next start finds it".to_owned(),
        }
    }

    /// The tiers of which a path may become drives, those together that must be added together.
    fn groups(&self, path: &Path) -> Vec<Vec<Tier>> {
        let parent = path.parent().map(absolute);
        let lies_in =
            |home: &Home| matches!(home, Home::Numbered(folder) if Some(absolute(folder)) == parent);
        if let Some((tier, _)) = self.0.iter().find(|(_, home)| lies_in(home)) {
            return vec![vec![*tier]];
        }
        let of = |wanted: &Home| -> Vec<Tier> {
            self.0.iter().filter(|(_, home)| home == wanted).map(|(tier, _)| *tier).collect()
        };
        let shared = Some(of(&Home::Shared)).filter(|tiers| !tiers.is_empty());
        shared.into_iter().chain(of(&Home::Own).into_iter().map(|tier| vec![tier])).collect()
    }

    fn home(&self, tier: Tier) -> Option<&Home> {
        self.0.iter().find(|(known, _)| *known == tier).map(|(_, home)| home)
    }

    fn in_no_tier(&self, path: &Path) -> DriveError {
        let folders = self.0.iter().filter_map(|(_, home)| match home {
            Home::Numbered(folder) => Some(absolute(folder).display().to_string()),
            Home::Shared | Home::Own => None,
        });
        let folders = folders.collect::<Vec<_>>().join(", ");
        DriveError::InNoTier { path: path.display().to_string(), folders }
    }
}

fn names(tiers: &[Tier]) -> String {
    tiers.iter().map(|tier| tier.name()).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::layout::Layout;

    /// What becomes of a folder in a store of these data folders, where these tiers have drives of their own.
    fn added(data: &[&str], own: &[Tier], path: &str, wanted: &[Tier]) -> Result<Vec<String>, String> {
        let mut text = String::new();
        for tier in own {
            let named: Vec<String> = (0..6).map(|drive| format!("\"/{}{drive}\"", tier.name())).collect();
            text += &format!("[tiers.{}]\ndrives = [{}]\n", tier.name(), named.join(", "));
        }
        let data: Vec<PathBuf> = data.iter().map(PathBuf::from).collect();
        let homes = Homes(Layout::new(&data, &toml::from_str::<Config>(&text).unwrap()).tier_homes());
        let folders = homes.new_folders(Path::new(path), wanted).map_err(|error| error.to_string())?;
        Ok(folders
            .into_iter()
            .map(|(tier, folder)| format!("{} {}", tier.name(), folder.display()))
            .collect())
    }

    #[test]
    fn a_new_folder_becomes_what_the_next_start_finds() {
        use Tier::{Cold, Hot, Warm};
        let (one, three) = (["/data"].as_slice(), ["/a", "/b", "/c"].as_slice());
        let all = ["hot /d/hot", "warm /d/warm", "cold /d/cold"];
        for (data, own, path, wanted, expected) in [
            (three, [].as_slice(), "/d", [].as_slice(), all.as_slice()),
            (three, &[], "/d", &[Hot, Warm, Cold], &all),
            (three, &[Cold], "/hdd", &[Cold], &["cold /hdd/cold"]),
            (three, &[Cold], "/d", &[Hot, Warm], &["hot /d/hot", "warm /d/warm"]),
            (one, &[], "/data/warm/6", &[], &["warm /data/warm/6"]),
            (one, &[Hot], "/nv6", &[], &["hot /nv6/hot"]),
            (one, &[Hot], "/data/cold/6", &[], &["cold /data/cold/6"]),
            (one, &[Hot, Warm], "/nv6", &[Hot, Warm], &["hot /nv6/hot", "warm /nv6/warm"]),
        ] {
            assert_eq!(added(data, own, path, wanted).unwrap(), expected, "{path} {own:?} {wanted:?}");
        }
        for (data, own, path, wanted, expected) in [
            (three, [Cold].as_slice(), "/hdd", [].as_slice(), "--tier, as hot,warm or cold"),
            (three, &[Cold], "/d", &[Hot], "--tier, as hot,warm or cold"),
            (three, &[], "/d", &[Cold], "--tier, as hot,warm,cold"),
            (one, &[], "/data/warm/6", &[Cold], "--tier, as warm"),
            (one, &[], "/elsewhere/6", &[], "/elsewhere/6 is in no tier's folder"),
        ] {
            let refused = added(data, own, path, wanted).unwrap_err();
            assert!(refused.contains(expected), "{path} {own:?} {wanted:?}: {refused}");
        }
    }
}
