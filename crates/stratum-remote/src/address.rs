//! Where a remote store is, as people write it: `s3://bucket/prefix`, and perhaps an endpoint and a region.

use std::fmt;
use url::Url;

/// The region of a bucket if no region is configured.
const USUAL_REGION: &str = "us-east-1";

/// Why an address can't be used.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum AddressError {
    /// With what may be told of the text.
    #[error(
        "\"{0}\" is no remote store: write s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX"
    )]
    Store(String),
    /// What was written isn't shown: it holds a secret.
    #[error(
        "an address holds no credentials: give them in the environment, or in a file that `credentials_file` names"
    )]
    Credentials,
    /// With what may be told of the text.
    #[error("\"{0}\" is no endpoint: write http://HOST:PORT or https://HOST")]
    Endpoint(String),
    #[error("only an s3:// address has a region")]
    Region,
}

/// Whose interface the store has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    S3,
    Gcs,
    Azure,
}

/// Where a remote store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteAddress {
    provider: Provider,
    bucket: String,
    /// Without slashes at its ends; empty for the whole bucket.
    prefix: String,
    endpoint: Option<String>,
    region: String,
}

impl RemoteAddress {
    /// Reads what a configuration says.
    pub fn parse(
        store: &str,
        endpoint: Option<&str>,
        region: Option<&str>,
    ) -> Result<RemoteAddress, AddressError> {
        let wrong = || AddressError::Store(public_part(store));
        let url = Url::parse(store).map_err(|_| wrong())?;
        refuse_secrets(&url)?;
        let provider = match url.scheme() {
            "s3" => Provider::S3,
            "gs" => Provider::Gcs,
            "az" => Provider::Azure,
            _ => return Err(wrong()),
        };
        let bucket = url.host_str().filter(|host| !host.is_empty()).ok_or_else(wrong)?.to_owned();
        let prefix = url.path().trim_matches('/').to_owned();
        let is_plain = |name: &str| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            !name.is_empty() && name.bytes().all(fits) && name != "." && name != ".."
        };
        if url.port().is_some() || !prefix.is_empty() && !prefix.split('/').all(is_plain) {
            return Err(wrong());
        }
        if region.is_some() && provider != Provider::S3 {
            return Err(AddressError::Region);
        }
        let endpoint = endpoint.map(checked_endpoint).transpose()?;
        let region = region.unwrap_or(USUAL_REGION).to_owned();
        Ok(RemoteAddress { provider, bucket, prefix, endpoint, region })
    }

    pub fn provider(&self) -> Provider {
        self.provider
    }

    pub(crate) fn bucket(&self) -> &str {
        &self.bucket
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    pub(crate) fn region(&self) -> &str {
        &self.region
    }

    /// Whether the endpoint was written with `http://`, so that bytes go there in the clear.
    pub fn is_plain_http(&self) -> bool {
        self.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"))
    }
}

fn refuse_secrets(url: &Url) -> Result<(), AddressError> {
    let has_secrets = !url.username().is_empty() || url.password().is_some();
    match has_secrets || url.query().is_some() || url.fragment().is_some() {
        true => Err(AddressError::Credentials),
        false => Ok(()),
    }
}

/// A text that may not even be a URL, without what may be a secret in it: a user, a password, a query or a fragment.
fn public_part(text: &str) -> String {
    let is_scheme = |scheme: &str| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let split = text.split_once("://").filter(|(scheme, _)| is_scheme(scheme));
    let (scheme, rest) = split.map_or(("", text), |(scheme, rest)| (&text[..scheme.len() + 3], rest));
    // The password first: it may hold what begins a query.
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}{rest}")
}

fn checked_endpoint(text: &str) -> Result<String, AddressError> {
    let wrong = || AddressError::Endpoint(public_part(text));
    let url = Url::parse(text).map_err(|_| wrong())?;
    refuse_secrets(&url)?;
    match matches!(url.scheme(), "http" | "https") && url.has_host() {
        true => Ok(text.trim_end_matches('/').to_owned()),
        false => Err(wrong()),
    }
}

/// For people: `s3://bucket/prefix at http://host:port`.
impl fmt::Display for RemoteAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.provider {
            Provider::S3 => "s3",
            Provider::Gcs => "gs",
            Provider::Azure => "az",
        };
        write!(f, "{scheme}://{}", self.bucket)?;
        if !self.prefix.is_empty() {
            write!(f, "/{}", self.prefix)?;
        }
        match &self.endpoint {
            Some(endpoint) => write!(f, " at {endpoint}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        let address = RemoteAddress::parse("s3://cold/a/b/", Some("http://127.0.0.1:9000/"), None).unwrap();
        assert_eq!((address.provider(), address.bucket(), address.prefix()), (Provider::S3, "cold", "a/b"));
        assert_eq!((address.endpoint(), address.region()), (Some("http://127.0.0.1:9000"), "us-east-1"));
        assert!(address.is_plain_http());
        assert_eq!(address.to_string(), "s3://cold/a/b at http://127.0.0.1:9000");
        let address = RemoteAddress::parse("gs://cold", None, None).unwrap();
        assert_eq!(
            (address.provider(), address.prefix(), address.is_plain_http()),
            (Provider::Gcs, "", false)
        );
        assert!(RemoteAddress::parse("az://cold/x", None, None).is_ok());
    }

    #[test]
    fn what_is_no_address_is_refused_in_words() {
        for store in [
            "",
            "cold",
            "s3:",
            "s3://",
            "ftp://cold",
            "https://cold/x",
            "s3://cold:9000/x",
            "s3://cold/a/../b%20",
        ] {
            let error = RemoteAddress::parse(store, None, None).unwrap_err();
            assert!(matches!(error, AddressError::Store(_)), "{store}: {error}");
        }
        let error = RemoteAddress::parse("s3://cold", Some("ftp://host"), None).unwrap_err();
        assert!(matches!(error, AddressError::Endpoint(_)), "{error}");
        let error = RemoteAddress::parse("gs://cold", None, Some("us-east-1")).unwrap_err();
        assert_eq!(error, AddressError::Region);
    }

    #[test]
    fn an_address_with_a_secret_is_refused_and_not_shown() {
        let endpoints = [("s3://cold", "https://key:hush@host"), ("s3://cold", "https://host?secret=hush")];
        for (store, endpoint) in
            [("s3://key:hush@cold/x", ""), ("s3://cold/x?secret=hush", "")].iter().chain(&endpoints)
        {
            let endpoint = Some(*endpoint).filter(|endpoint| !endpoint.is_empty());
            let error = RemoteAddress::parse(store, endpoint, None).unwrap_err();
            assert_eq!(error, AddressError::Credentials);
            assert!(!error.to_string().contains("hush"));
        }
    }

    #[test]
    fn of_what_is_no_url_no_secret_is_shown() {
        for (text, shown) in [
            ("https://key:hush@host:99999/x", "https://host:99999/x"),
            ("https://host:99999?secret=hush", "https://host:99999"),
            ("https://key:hu?s#h/@host:99999?sig=hush#hush", "https://host:99999"),
            ("key:hush@cold", "cold"),
            ("key:hush://x@host:99999", "host:99999"),
            ("//cold#hush", "//cold"),
            ("s3://cold:99999/x", "s3://cold:99999/x"),
        ] {
            for error in [
                RemoteAddress::parse(text, None, None).unwrap_err(),
                RemoteAddress::parse("s3://cold", Some(text), None).unwrap_err(),
            ] {
                let told = error.to_string();
                assert!(told.starts_with(&format!("\"{shown}\" is no ")) && !told.contains("hush"), "{told}");
            }
        }
    }
}
