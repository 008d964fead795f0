//! The remote store that a configuration names. The credentials for it come from the environment, or from a file that
//! only its owner may read. No request is sent to the store here.

use crate::config::Config;
use crate::credentials::variable;
use crate::failure::Failure;
use crate::private;
use std::path::Path;
use std::sync::Arc;
use stratum_remote::{Credentials, Provider, connect};
use stratum_storage::remote::ObjectStore;

/// The remote store, if the configuration names one. Touches no drive.
///
/// # Errors
/// Others than the owner may read the file of credentials, the file holds something else, or the credentials aren't
/// valid.
pub fn configured(config: &Config) -> Result<Option<Arc<dyn ObjectStore>>, Failure> {
    let section = &config.tiers.cold;
    let Some(address) = section.remote_address().map_err(|error| error.to_string())? else { return Ok(None) };
    let credentials = match &section.credentials_file {
        None => Credentials::of_environment(address.provider(), variable),
        Some(file) => {
            let field = config.place("tiers.cold.credentials_file", file);
            let file = file.get_ref();
            read(address.provider(), file)
                .map_err(|problem| format!("{field}: {}: {problem}", file.display()))?
        }
    };
    Ok(Some(connect(&address, &credentials).map_err(|error| error.to_string())?))
}

fn read(provider: Provider, file: &Path) -> Result<Credentials, String> {
    Credentials::parse(provider, &private::read(file)?).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("credentials");
        std::fs::write(&file, "AWS_ACCESS_KEY_ID=KEY\nAWS_SECRET_ACCESS_KEY=hush\n").unwrap();
        let (path, text) = (file.display(), "[tiers.cold]\nremote = \"s3://cold/x\"\n");
        let text = format!("{text}credentials_file = \"{path}\"\nendpoint = \"http://127.0.0.1:1\"\n");
        let config = Config::parse(Path::new("x"), &text).unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let error = configured(&config).unwrap_err().to_string();
        assert!(error.contains("chmod 600") && error.contains("credentials: "), "{error}");
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        let store = configured(&config).unwrap().unwrap();
        assert_eq!(store.place(), "s3://cold/x at http://127.0.0.1:1");
        std::fs::write(&file, "AWS_REGION=hush\n").unwrap();
        let error = configured(&config).unwrap_err().to_string();
        assert!(error.contains("line 1 sets AWS_REGION") && !error.contains("hush"), "{error}");
    }

    #[test]
    fn a_configuration_without_a_remote_store_gives_none() {
        assert!(configured(&Config::default()).unwrap().is_none());
    }
}
