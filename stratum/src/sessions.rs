//! The file that keeps the sessions of the console over a restart: the key that their cookies are sealed with, so that
//! a restart signs nobody out, and the sessions that were signed out, so that a restart doesn't let them in again.
//!
//! Both lie in one file in `meta/`, so that neither can be lost without the other. The key is wrapped by a master key,
//! so that somebody who has the disk but not the master key can't make cookies. After the key comes the list of ended
//! sessions, whose bytes only the console understands. The file has no copy: if it can't be read, a new key is made,
//! and everybody has to sign in again.

use crate::private;
use std::path::{Path, PathBuf};
use stratum_api::context::SessionKeeper;
use stratum_cipher::{DataKey, KEY_BYTES, KeyService, Salt};
use stratum_storage::ambient::Entropy;

/// The name of the file in `meta/`. Its first line is the wrapped key in hexadecimal digits, the rest the ended
/// sessions.
const FILE: &str = "console-sessions";
/// The name to which the wrapped key is bound, so that no other wrapped key can be put in its place.
const NAME: &[u8] = b"console sessions";

/// The content of the file as it was at the start, and the file itself, if it could be read or written.
#[derive(Debug)]
pub struct Sessions {
    key: DataKey,
    /// The ended sessions, in the console's own format.
    ended: Vec<u8>,
    file: Option<File>,
}

/// The path of the file, and the wrapped key that every write repeats.
#[derive(Debug)]
struct File {
    path: PathBuf,
    wrapped: String,
}

impl Sessions {
    /// Reads the file in `meta`, or makes a new key and begins the file. If the file can't be written, the key lives in
    /// memory only.
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
        // A file that another master key has wrapped, and then a damaged one.
        let second = key(2).await;
        assert!(!is_same(&first, &second));
        std::fs::write(&path, b"nonsense").unwrap();
        let third = key(2).await;
        assert!(!is_same(&second, &third) && is_same(&third, &key(2).await));
    }

    #[tokio::test]
    async fn ended_sessions_are_kept_with_the_key_and_are_lost_with_it() {
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
        // If the key can't be kept, keeping ended sessions succeeds without a file: all cookies end with the process.
        assert_eq!(find().await.keep(b"more"), Ok(()));
    }
}
