//! The master keys of a server, which wrap the data keys of encrypted objects; `stratum_cipher::MasterKeys` parses
//! their text.
//!
//! An operator gives them in the environment, or in a file that only its owner may read. If none are given, the server
//! generates one at the first start and keeps it on every hot drive, so that it survives the loss of drives. Encryption
//! then protects the data on warm and cold drives, but protects nothing from somebody who has a hot drive
//! (`docs/SECURITY.md`). When an operator gives keys later, the generated key stays in use for what it has wrapped.

use crate::config::Config;
use crate::credentials::variable;
use crate::failure::Failure;
use crate::private;
use std::path::Path;
use stratum_cipher::{KEY_BYTES, MasterKeys};
use stratum_storage::ambient::{Entropy, System};
use stratum_storage::set::Set;
use zeroize::Zeroizing;

/// The name of the file on the drives that holds the generated key.
pub const FILE: &str = "master-keys";
/// The name of the generated key.
const MADE: &str = "stratum";

/// The environment variable with the text of a file of keys. Commas may separate its lines.
const VARIABLE: &str = "STRATUM_MASTER_KEYS";

/// The keys that the operator gives, if any. Touches no drive.
///
/// # Errors
/// Keys are given both in the environment and in a file, others than the owner may read the file, or the text holds no
/// valid keys.
pub fn configured(config: &Config) -> Result<Option<MasterKeys>, Failure> {
    let file = config.encryption.master_keys.as_deref();
    match (variable(VARIABLE).map(Zeroizing::new), file) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => {
            Err(format!("{VARIABLE} and encryption.master_keys both set the master keys: leave one out")
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

/// All keys of a server: those that the operator gives, and the generated one. A key is generated if there is none at
/// all.
///
/// # Errors
/// The generated key can't be written to the drives, or can't be read from them.
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

/// The keys of a stopped server's store: those that the operator gives, and the one that a hot drive kept.
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

/// A line of a file of keys, with a new key of this name.
///
/// # Errors
/// The name is not valid.
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
    fn generated_keys_differ_and_an_invalid_name_is_refused() {
        assert_ne!(generate("a").unwrap(), generate("a").unwrap());
        assert!(generate("a b").is_err());
    }
}
