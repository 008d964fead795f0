//! The master keys of a server, which wrap the data keys of encrypted objects; `stratum_cipher::MasterKeys` parses
//! their text.
//!
//! An operator gives them in the environment, or in a file that only its owner may read. If none are given, the server
//! generates one at the first start and keeps it on every hot drive, so that it survives the loss of drives. Encryption
//! then protects the data on warm and cold drives, but protects nothing from somebody who has a hot drive
//! (`docs/SECURITY.md`). When an operator gives keys later, the generated key stays in use for what it has wrapped.
//!
//! No key is generated where something is encrypted already: it would hide that the key of that is missing.

mod used;

use crate::config::Config;
use crate::credentials::variable;
use crate::failure::Failure;
use crate::private;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use stratum_cipher::{Asked, DataKey, KEY_BYTES, KeyMark, KeyService, MasterKeys, Salt};
use stratum_engine::Engine;
use stratum_metadata::EncryptedWalk;
use stratum_storage::ambient::{Entropy, System};
use stratum_storage::set::Set;
use tracing_mutex::parkinglot::Mutex;
use zeroize::Zeroizing;

/// The name of the file on the drives that holds the generated key.
pub const FILE: &str = "master-keys";
/// The name of the file on the drives that says which keys may have wrapped something.
pub use used::FILE as USED_FILE;
pub use used::restore as restore_used;
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
    let file = config.encryption.master_keys.as_ref();
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
        (None, Some(file)) => Ok(Some(read(file.get_ref()).map_err(|error| {
            let field = config.place("encryption.master_keys", file);
            format!("{field}: {}: {error}", file.get_ref().display())
        })?)),
    }
}

fn read(file: &Path) -> Result<MasterKeys, String> {
    let text = private::read(file)?;
    MasterKeys::parse(&text).map_err(|error| error.to_string())
}

/// The master keys of a running server.
pub struct StoreKeys {
    keys: MasterKeys,
    set: Arc<Set>,
    /// Keys that may have wrapped something, also those that aren't here.
    used: Mutex<Vec<KeyMark>>,
    /// The text of a key that was generated now and isn't on the drives yet.
    made: Mutex<Option<Zeroizing<String>>>,
}

impl StoreKeys {
    /// All keys of a server: those that the operator gives, and the generated one. A key is generated if there is none
    /// at all; it counts only once [`StoreKeys::keep`] has kept it.
    ///
    /// # Errors
    /// The generated key can't be read from the drives, or there is no key and former ones have wrapped something.
    pub fn find(configured: Option<MasterKeys>, set: Arc<Set>) -> Result<StoreKeys, Failure> {
        let kept = set.read_replicated(FILE)?.map(parse_kept).transpose()?;
        let former = used::read(&set);
        let (keys, made) = match (configured, kept) {
            (Some(configured), Some(kept)) => (configured.and_former(kept), None),
            (Some(keys), None) | (None, Some(keys)) => (keys, None),
            (None, None) => match former.as_deref() {
                Some(former) if !former.is_empty() => {
                    return Err(format!("{}: {WAY_OUT}", missed(former)).into());
                }
                _ => {
                    let text = generate(MADE)?;
                    (MasterKeys::parse(&text).map_err(|error| error.to_string())?, Some(text))
                }
            },
        };
        // A key that a rotation took off the record isn't put on it again for being here still.
        let used = match former {
            Some(former) => used::union(&former, &keys.wrapping_marks()),
            None => keys.marks(),
        };
        Ok(StoreKeys { keys, set, used: Mutex::new(used), made: Mutex::new(made) })
    }

    /// Keeps what was found on the drives, after the store was opened: a key that was generated now, and which keys
    /// may have wrapped something.
    ///
    /// # Errors
    /// A key was generated, and can't be kept, or something is encrypted already.
    pub fn keep(&self, engine: &Engine) -> Result<(), Failure> {
        let made = self.made.lock().take();
        if let Some(text) = made {
            if is_anything_encrypted(engine)? {
                return Err(format!(
                    "objects or users' secrets are encrypted, and no master key is there: {WAY_OUT}"
                )
                .into());
            }
            self.set.write_replicated(FILE, text.as_bytes())?;
            tracing::info!(
                "made a master key for encrypted objects; it lies on every hot drive, and who has one of those has the key: \
                 set encryption.master_keys to keep it elsewhere"
            );
        }
        self.note().into_iter().for_each(|note| tracing::error!("{note}"));
        self.write_used();
        Ok(())
    }

    /// A sentence about keys that are missing.
    pub fn note(&self) -> Option<String> {
        let here = self.keys.marks();
        let mut missing = self.used.lock().clone();
        missing.retain(|key| !here.iter().any(|known| known.mark == key.mark));
        (!missing.is_empty()).then(|| {
            format!(
                "{}: what they wrapped can't be read. Put their lines back; if none of it is left, `stratum keys rotate` finds that \
                 out",
                missed(&missing)
            )
        })
    }

    fn write_used(&self) {
        let used = self.used.lock().clone();
        if used::read(&self.set).as_ref() != Some(&used)
            && let Err(error) = used::write(&self.set, &used)
        {
            tracing::warn!(%error, "which master keys are used can't be kept: one that is taken out too early isn't missed");
        }
    }
}

impl fmt::Debug for StoreKeys {
    /// Their names only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.keys.fmt(f)
    }
}

impl KeyService for StoreKeys {
    fn wrap<'a>(
        &'a self,
        name: Option<&'a str>,
        data: &'a DataKey,
        of: &'a [u8],
        salt: Salt,
    ) -> Asked<'a, Vec<u8>> {
        self.keys.wrap(name, data, of, salt)
    }

    fn unwrap<'a>(&'a self, wrapped: &'a [u8], of: &'a [u8]) -> Asked<'a, DataKey> {
        self.keys.unwrap(wrapped, of)
    }

    fn usual(&self) -> &str {
        self.keys.usual()
    }

    fn is_outdated(&self, name: Option<&str>, wrapped: &[u8]) -> bool {
        self.keys.is_outdated(name, wrapped)
    }

    fn has_key_of(&self, wrapped: &[u8]) -> bool {
        self.keys.has_key_of(wrapped)
    }

    fn forget_former(&self) {
        *self.used.lock() = self.keys.wrapping_marks();
        self.write_used();
    }
}

/// What an operator can do about a key that isn't there.
const WAY_OUT: &str = "give it in encryption.master_keys, or bring back a hot drive that has the file `master-keys`; a backup \
                       with credentials has it, too. If it is lost for good, so is what it wrapped: then give a new key \
                       (`stratum keys generate`), delete that, and run `stratum keys rotate`";

fn missed(keys: &[KeyMark]) -> String {
    format!(
        "master keys that have wrapped keys of objects or users are neither configured nor on the drives: {}",
        used::in_words(keys)
    )
}

/// Whether anything is encrypted with a master key. Goes over all objects if nothing is.
fn is_anything_encrypted(engine: &Engine) -> Result<bool, Failure> {
    let view = engine.metadata.local();
    if view.identities()?.is_some_and(|identities| !identities.key.is_empty()) {
        return Ok(true);
    }
    let mut walk = EncryptedWalk::default();
    loop {
        let page = view.encrypted(&mut walk)?;
        if !page.found.is_empty() || page.is_last {
            return Ok(!page.found.is_empty());
        }
    }
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
