//! Endpoints and their keys under names that the user gives them: `aliases.json` in stratum's folder of the user's
//! configuration.
//!
//! The file holds secrets, so it is refused if anybody but its owner may read it. It is written whole under another
//! name and renamed, so that a crash leaves the former file.

use crate::machine::Machine;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;

const FILE: &str = "aliases.json";
/// The rights of the group and of everybody.
const OTHERS_MODE_BITS: u32 = 0o077;

/// An endpoint and its key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    pub url: String,
    pub access_key: String,
    pub secret_key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// Why an alias can't be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum AliasError {
    #[error("there is no alias \"{0}\": `stratum alias list` shows those there are")]
    Unknown(String),
    #[error("neither XDG_CONFIG_HOME nor HOME says where aliases are kept")]
    Homeless,
    #[error("{}: others may read it, and it holds secrets: take their rights away (chmod 600)", .0.display())]
    Open(PathBuf),
    #[error("{}: {problem}", path.display())]
    File { path: PathBuf, problem: String },
}

/// All aliases, as their file has them.
pub struct Aliases {
    path: PathBuf,
    by_name: BTreeMap<String, Alias>,
}

impl Aliases {
    /// Reads the file, which needn't be there.
    pub fn open(machine: &Machine) -> Result<Aliases, AliasError> {
        let of_home = || (machine.variable)("HOME").map(|home| PathBuf::from(home).join(".config"));
        let folder = (machine.variable)("XDG_CONFIG_HOME").map(PathBuf::from).or_else(of_home);
        let path = folder.ok_or(AliasError::Homeless)?.join("stratum").join(FILE);
        let problem = |problem: String| AliasError::File { path: path.clone(), problem };
        let by_name = match fs::read(&path) {
            Ok(text) => {
                let mode =
                    fs::metadata(&path).map_err(|error| problem(error.to_string()))?.permissions().mode();
                if mode & OTHERS_MODE_BITS != 0 {
                    return Err(AliasError::Open(path));
                }
                // The parser's own words could quote a secret.
                serde_json::from_slice(&text)
                    .map_err(|error| problem(format!("line {} is no alias", error.line())))?
            }
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(problem(error.to_string())),
        };
        Ok(Aliases { path, by_name })
    }

    pub fn get(&self, name: &str) -> Result<Alias, AliasError> {
        self.by_name.get(name).cloned().ok_or_else(|| AliasError::Unknown(name.to_owned()))
    }

    pub fn iter(&self) -> impl Iterator<Item = (&String, &Alias)> {
        self.by_name.iter()
    }

    /// Keeps an alias, in the place of one of the same name.
    pub fn set(&mut self, name: String, alias: Alias) -> Result<(), AliasError> {
        self.by_name.insert(name, alias);
        self.write()
    }

    /// Forgets an alias.
    pub fn remove(&mut self, name: &str) -> Result<(), AliasError> {
        self.by_name.remove(name).ok_or_else(|| AliasError::Unknown(name.to_owned()))?;
        self.write()
    }

    fn write(&self) -> Result<(), AliasError> {
        self.try_write()
            .map_err(|error| AliasError::File { path: self.path.clone(), problem: error.to_string() })
    }

    fn try_write(&self) -> std::io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let text = serde_json::to_vec_pretty(&self.by_name)?;
        let temporary = self.path.with_extension("tmp");
        // A temporary file that a crash left may have other permissions.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(&text)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&temporary, &self.path)
    }
}
