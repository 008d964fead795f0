//! What the console's sessions are sealed with, kept so that a restart signs nobody out.
//!
//! It lies in `meta/`, wrapped by a master key: who has a disk and not that key can make no cookie. It is no copy of anything and
//! needs none: where it can't be read there is a new one, and everybody signs in again.

use crate::private;
use std::path::Path;
use stratum_cipher::{DataKey, KEY_BYTES, KeyService, Salt};
use stratum_storage::ambient::Entropy;

/// Its file in `meta/`.
const FILE: &str = "console-sessions";
/// What the master key wraps it as.
const NAME: &[u8] = b"console sessions";

/// The one that is kept there, or a new one.
pub async fn find(meta: &Path, keys: &dyn KeyService, entropy: &dyn Entropy) -> DataKey {
    let path = meta.join(FILE);
    match kept(&path, keys).await {
        Ok(Some(key)) => return key,
        Ok(None) => {}
        Err(problem) => {
            tracing::warn!(file = %path.display(), problem, "the console's sessions have ended: their key can't be read, and there is a new one");
        }
    }
    let mut random = [0; KEY_BYTES];
    entropy.fill(&mut random);
    let key = DataKey::new(random);
    if let Err(problem) = keep(&path, &key, keys, entropy).await {
        tracing::warn!(file = %path.display(), problem, "the key of the console's sessions can't be kept: a restart will end them");
    }
    key
}

async fn kept(path: &Path, keys: &dyn KeyService) -> Result<Option<DataKey>, String> {
    let wrapped = match std::fs::read(path) {
        Ok(wrapped) => wrapped,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    keys.unwrap(&wrapped, NAME).await.map(Some).map_err(|error| error.to_string())
}

async fn keep(
    path: &Path,
    key: &DataKey,
    keys: &dyn KeyService,
    entropy: &dyn Entropy,
) -> Result<(), String> {
    let mut salt = [0; Salt::BYTES];
    entropy.fill(&mut salt);
    let wrapped = keys.wrap(None, key, NAME, Salt(salt)).await.map_err(|error| error.to_string())?;
    private::write(path, &wrapped).map_err(|error| error.to_string())
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
    async fn it_is_kept_wrapped_and_a_new_one_is_made_where_it_cannot_be_read() {
        let (meta, entropy) = (tempfile::tempdir().unwrap(), Simulated::new(0, 7));
        let first = find(meta.path(), &keys(1), &entropy).await;
        assert!(is_same(&first, &find(meta.path(), &keys(1), &entropy).await));
        let path = meta.path().join(FILE);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        // Of another master key, and then damaged.
        let second = find(meta.path(), &keys(2), &entropy).await;
        assert!(!is_same(&first, &second));
        std::fs::write(&path, b"nonsense").unwrap();
        let third = find(meta.path(), &keys(2), &entropy).await;
        assert!(!is_same(&second, &third) && is_same(&third, &find(meta.path(), &keys(2), &entropy).await));
    }
}
