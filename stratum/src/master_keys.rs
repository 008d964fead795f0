//! The master keys of a server, which are above the keys of encrypted objects: `stratum_cipher::MasterKeys` has their text.
//!
//! An operator says them in the environment, or in a file that nobody else may read. Where nobody does, one is made at the first start and
//! kept on every hot drive, so that losing drives doesn't lose it: encryption works then, and protects what is on other drives,
//! and nothing from who has a hot one (`docs/SECURITY.md`). A key that was made goes on opening what it wrapped when an operator
//! says others.

use crate::config::Config;
use crate::credentials::variable;
use crate::failure::Failure;
use crate::private;
use std::path::Path;
use stratum_cipher::{KEY_BYTES, MasterKeys};
use stratum_storage::ambient::{Entropy, System};
use stratum_storage::set::Set;
use zeroize::Zeroizing;

/// The name of the file on the drives, and of the key in it.
pub const FILE: &str = "master-keys";
const MADE: &str = "stratum";

/// The text of a file of keys; in the environment lines may be separated by commas, too.
const VARIABLE: &str = "STRATUM_MASTER_KEYS";

/// The keys that an operator says, if one does. Touches no drive.
///
/// # Errors
/// Both ways at once, a file that others may read, and what holds no keys.
pub fn configured(config: &Config) -> Result<Option<MasterKeys>, Failure> {
    let file = config.encryption.master_keys.as_deref();
    match (variable(VARIABLE).map(Zeroizing::new), file) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => {
            Err(format!("{VARIABLE} and encryption.master_keys both say the master keys: leave one out")
                .into())
        }
        (Some(text), None) => {
            let lines = Zeroizing::new(text.replace(',', "\n"));
            let keys = MasterKeys::parse(&lines).map_err(|error| format!("{VARIABLE} {error}"))?;
            Ok(Some(keys))
        }
        (None, Some(file)) => Ok(Some(read(file).map_err(|error| format!("{}: {error}", file.display()))?)),
    }
}

fn read(file: &Path) -> Result<MasterKeys, String> {
    let text = private::read(file)?;
    MasterKeys::parse(&text).map_err(|error| error.to_string())
}

/// All keys of a server: those that an operator says, and the one that was made, or is made now if nobody says any.
///
/// # Errors
/// Drives that can't keep it, and one on them that can't be read.
pub fn of_store(configured: Option<MasterKeys>, set: &Set) -> Result<MasterKeys, Failure> {
    let kept = set.read_replicated(FILE)?.map(parse_kept).transpose()?;
    Ok(match (configured, kept) {
        (Some(configured), Some(kept)) => configured.and_former(kept),
        (Some(configured), None) => configured,
        (None, Some(kept)) => kept,
        (None, None) => {
            let text = generate(MADE)?;
            set.write_replicated(FILE, text.as_bytes())?;
            tracing::info!(
                "made a master key for encrypted objects; it lies on every hot drive, and who has one of those has the key: \
                 set encryption.master_keys to keep it elsewhere"
            );
            MasterKeys::parse(&text).map_err(|error| error.to_string())?
        }
    })
}

/// The keys of a store that is looked at from outside: what the configuration says, and what a hot drive kept.
pub fn of_drives(
    configured: Option<MasterKeys>,
    kept: Option<Vec<u8>>,
) -> Result<Option<MasterKeys>, Failure> {
    let kept = kept.map(parse_kept).transpose()?;
    Ok(match (configured, kept) {
        (Some(configured), Some(kept)) => Some(configured.and_former(kept)),
        (one, other) => one.or(other),
    })
}

fn parse_kept(kept: Vec<u8>) -> Result<MasterKeys, Failure> {
    let text = Zeroizing::new(String::from_utf8(kept)?);
    Ok(MasterKeys::parse(&text).map_err(|error| format!("the master key on the drives: {error}"))?)
}

/// A line with a new key.
///
/// # Errors
/// A name that is none.
pub fn generate(name: &str) -> Result<Zeroizing<String>, String> {
    let mut random = Zeroizing::new([0; KEY_BYTES]);
    System.fill(random.as_mut());
    MasterKeys::line(name, &random).map(Zeroizing::new).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    use stratum_cipher::KeyService;

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        std::fs::write(&path, generate("archive").unwrap().as_bytes()).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert!(read(&path).unwrap_err().contains("chmod 600"));
        std::fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
        assert_eq!(read(&path).unwrap().usual(), "archive");
    }

    #[test]
    fn no_two_generated_keys_are_the_same() {
        assert_ne!(generate("a").unwrap(), generate("a").unwrap());
        assert!(generate("a b").is_err());
    }
}
