//! What the server keeps of the console's sessions: what they are sealed with, so that a restart signs nobody out, and which of them
//! were signed out, so that it lets nobody in again.
//!
//! Both lie in one file in `meta/`, so that neither is ever there without the other: the key, wrapped by a master key, since who has a
//! disk and not that one is to make no cookie, and after it what the console wants kept. It is no copy of anything and needs none: where
//! it can't be read there is a new key, and everybody signs in again.

use crate::private;
use std::path::{Path, PathBuf};
use stratum_api::context::SessionKeeper;
use stratum_cipher::{DataKey, KEY_BYTES, KeyService, Salt};
use stratum_storage::ambient::Entropy;

/// Its file in `meta/`: a line of hexadecimal digits, and the rest.
const FILE: &str = "console-sessions";
/// What the master key wraps the key as.
const NAME: &[u8] = b"console sessions";

/// The file, as it was found or begun.
#[derive(Debug)]
pub struct Sessions {
    key: DataKey,
    ended: Vec<u8>,
    file: Option<File>,
}

/// Where what has ended is kept; none where the key couldn't be, with which all of it goes.
#[derive(Debug)]
struct File {
    path: PathBuf,
    wrapped: String,
}

impl Sessions {
    /// Those that are kept there, or the first.
    pub async fn find(meta: &Path, keys: &dyn KeyService, entropy: &dyn Entropy) -> Sessions {
        let path = meta.join(FILE);
        match Sessions::kept(&path, keys).await {
            Ok(Some(sessions)) => return sessions,
            Ok(None) => {}
            Err(problem) => {
                tracing::warn!(file = %path.display(), problem, "the console's sessions have ended: their key can't be read, and there is a new one");
            }
        }
        let mut random = [0; KEY_BYTES];
        entropy.fill(&mut random);
        let key = DataKey::new(random);
        match File::begin(path.clone(), &key, keys, entropy).await {
            Ok(file) => Sessions { key, ended: Vec::new(), file: Some(file) },
            Err(problem) => {
                tracing::warn!(file = %path.display(), problem, "the key of the console's sessions can't be kept: a restart will end them");
                Sessions { key, ended: Vec::new(), file: None }
            }
        }
    }

    async fn kept(path: &Path, keys: &dyn KeyService) -> Result<Option<Sessions>, String> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or("it isn't a file of sessions")?;
        let (line, rest) = bytes.split_at(end);
        let wrapped = hex::decode(line).map_err(|_| "it isn't a file of sessions")?;
        let key = keys.unwrap(&wrapped, NAME).await.map_err(|error| error.to_string())?;
        let file = File { path: path.to_owned(), wrapped: hex::encode(wrapped) };
        let ended = rest.strip_prefix(b"\n").unwrap_or_default().to_vec();
        Ok(Some(Sessions { key, ended, file: Some(file) }))
    }
}

impl File {
    async fn begin(
        path: PathBuf,
        key: &DataKey,
        keys: &dyn KeyService,
        entropy: &dyn Entropy,
    ) -> Result<File, String> {
        let mut salt = [0; Salt::BYTES];
        entropy.fill(&mut salt);
        let wrapped = keys.wrap(None, key, NAME, Salt(salt)).await.map_err(|error| error.to_string())?;
        let file = File { path, wrapped: hex::encode(wrapped) };
        file.write(b"")?;
        Ok(file)
    }

    fn write(&self, ended: &[u8]) -> Result<(), String> {
        let bytes = [self.wrapped.as_bytes(), b"\n", ended].concat();
        private::write(&self.path, &bytes).map_err(|error| error.to_string())
    }
}

impl SessionKeeper for Sessions {
    fn key(&self) -> DataKey {
        self.key.clone()
    }

    fn ended(&self) -> Vec<u8> {
        self.ended.clone()
    }

    fn keep(&self, ended: &[u8]) -> Result<(), String> {
        self.file.as_ref().map_or(Ok(()), |file| file.write(ended))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use stratum_cipher::MasterKeys;
    use stratum_storage::ambient::Simulated;

    fn keys(byte: u8) -> MasterKeys {
        MasterKeys::parse(&MasterKeys::line("usual", &[byte; KEY_BYTES]).unwrap()).unwrap()
    }

    fn is_same(one: &DataKey, other: &DataKey) -> bool {
        other.open_words(&one.seal_words(Salt([0; Salt::BYTES]), b"words")).is_some()
    }

    #[tokio::test]
    async fn the_key_is_kept_wrapped_and_a_new_one_is_made_where_it_cannot_be_read() {
        let (meta, entropy) = (tempfile::tempdir().unwrap(), Simulated::new(0, 7));
        let key = async |master| Sessions::find(meta.path(), &keys(master), &entropy).await.key;
        let first = key(1).await;
        assert!(is_same(&first, &key(1).await));
        let path = meta.path().join(FILE);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        // Of another master key, and then damaged.
        let second = key(2).await;
        assert!(!is_same(&first, &second));
        std::fs::write(&path, b"nonsense").unwrap();
        let third = key(2).await;
        assert!(!is_same(&second, &third) && is_same(&third, &key(2).await));
    }

    #[tokio::test]
    async fn what_has_ended_is_kept_beside_the_key_and_goes_with_it() {
        let (meta, entropy) = (tempfile::tempdir().unwrap(), Simulated::new(0, 7));
        let find = async || Sessions::find(meta.path(), &keys(1), &entropy).await;
        let first = find().await;
        assert_eq!(first.ended(), b"");
        for ended in [&b"one"[..], b"two\nlines", b""] {
            first.keep(ended).unwrap();
            let again = find().await;
            assert!(again.ended() == ended && is_same(&first.key, &again.key));
        }
        first.keep(b"something").unwrap();
        std::fs::remove_file(meta.path().join(FILE)).unwrap();
        let new = find().await;
        assert!(new.ended().is_empty() && !is_same(&first.key, &new.key));
        std::fs::remove_dir_all(meta.path()).unwrap();
        assert!(new.keep(b"more").is_err());
        // Where the key isn't kept, what was sealed with it isn't there after a restart, either.
        assert_eq!(find().await.keep(b"more"), Ok(()));
    }
}
