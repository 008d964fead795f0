//! The fields of `[tiers.cold]` that describe a remote store.

use super::TierSection;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use stratum_remote::{AddressError, RemoteAddress};
use stratum_storage::blob::Tier;
use toml::Spanned;

/// A field that always is refused: credentials for the remote store don't belong into the configuration, which other
/// people may read.
#[derive(Debug)]
pub struct RefusedSecret;

impl<'de> Deserialize<'de> for RefusedSecret {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom(
            "credentials don't stand in the configuration: give them in the environment (AWS_ACCESS_KEY_ID and so on), or \
             in a file that `credentials_file` names",
        ))
    }
}

/// Whether a text can be the region in a signature's scope. Stores other than AWS name their regions freely, so little
/// is refused.
fn is_region(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b','))
}

impl TierSection {
    /// The address of the remote store, if there is one.
    ///
    /// # Errors
    /// The fields are no valid address.
    pub fn remote_address(&self) -> Result<Option<RemoteAddress>, AddressError> {
        let said = |said: Option<&Spanned<String>>| said.map(|said| said.get_ref().clone());
        let (endpoint, region) = (said(self.endpoint.as_ref()), said(self.region.as_ref()));
        let Some(remote) = &self.remote else { return Ok(None) };
        RemoteAddress::parse(remote.get_ref(), endpoint.as_deref(), region.as_deref()).map(Some)
    }

    /// The first mistake in the fields of the remote store: its offset in the file, the field, and what is wrong.
    pub(super) fn remote_problem(&self, tier: Tier) -> Option<(usize, &'static str, String)> {
        let at = |said: &Option<Spanned<String>>| said.as_ref().map(|said| said.span().start);
        let Some(start) = at(&self.remote) else {
            let credentials = self.credentials_file.as_ref().map(|said| said.span().start);
            let fields = [
                ("endpoint", at(&self.endpoint)),
                ("region", at(&self.region)),
                ("credentials_file", credentials),
            ];
            let (field, start) = fields.into_iter().find_map(|(field, at)| Some((field, at?)))?;
            return Some((
                start,
                field,
                "only a remote store has this setting, and `remote` names none".into(),
            ));
        };
        if tier != Tier::Cold {
            return Some((start, "remote", "only the cold tier may be remote".into()));
        }
        if let Some(region) = self.region.as_ref().filter(|region| !is_region(region.get_ref())) {
            let problem = format!("\"{}\" is no region", region.get_ref());
            return Some((region.span().start, "region", problem));
        }
        let error = self.remote_address().err()?;
        let (field, start) = match error {
            AddressError::Endpoint(_) => ("endpoint", at(&self.endpoint).unwrap_or(start)),
            AddressError::Region => ("region", at(&self.region).unwrap_or(start)),
            AddressError::Store(_) | AddressError::Credentials => ("remote", start),
        };
        Some((start, field, error.to_string()))
    }
}
