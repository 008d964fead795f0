//! A remote object store that keeps cold volumes: S3 and what speaks like it, GCS, or Azure.
//!
//! [`RemoteAddress`] is where it is, checked before anything is touched; [`Credentials`] come from the environment or from
//! a file's text, and are never shown; [`connect`] makes of both what `stratum_storage::remote` asks for. This is the one
//! crate that names `object_store`.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

mod address;
mod cloud;
mod credentials;

pub use address::{AddressError, Provider, RemoteAddress};
pub use credentials::{Credentials, CredentialsError};

use cloud::Cloud;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use std::sync::Arc;
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request may take with its body: a part of an upload over a slow line. Reads are given up sooner.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);
/// Few retries, within a short time: it is to be known soon that a store is away, and every caller has a timeout of
/// its own.
const MAX_RETRIES: usize = 2;
const RETRY_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a remote store can't be used as it is configured.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct ConnectError {
    place: String,
    problem: String,
}

/// What speaks to the store at an address. Nothing is sent yet.
pub fn connect(
    address: &RemoteAddress,
    credentials: &Credentials,
) -> Result<Arc<dyn stratum_storage::remote::ObjectStore>, ConnectError> {
    // Only the first call counts, and whoever came first chose the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let store = match address.provider() {
        Provider::S3 => s3(address, credentials),
        Provider::Gcs => gcs(address, credentials),
        Provider::Azure => azure(address, credentials),
    };
    let store = store.map_err(|error| {
        let problem = cloud::words(&error);
        ConnectError { place: address.to_string(), problem }
    })?;
    Ok(Arc::new(Cloud::new(store, address.prefix(), address.to_string())))
}

type Built = Result<Arc<dyn object_store::ObjectStore>, object_store::Error>;

fn s3(address: &RemoteAddress, credentials: &Credentials) -> Built {
    let builder = AmazonS3Builder::new()
        .with_bucket_name(address.bucket())
        .with_region(address.region())
        .with_client_options(client(address))
        .with_retry(retries());
    let builder = match address.endpoint() {
        Some(endpoint) => builder.with_endpoint(endpoint),
        None => builder,
    };
    let builder = credentials.pairs().try_fold(builder, |builder, (name, value)| {
        Ok::<_, object_store::Error>(builder.with_config(name.parse()?, value))
    })?;
    Ok(Arc::new(builder.build()?))
}

fn gcs(address: &RemoteAddress, credentials: &Credentials) -> Built {
    let builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(address.bucket())
        .with_client_options(client(address))
        .with_retry(retries());
    let builder = match address.endpoint() {
        Some(endpoint) => builder.with_base_url(endpoint),
        None => builder,
    };
    let builder = credentials.pairs().try_fold(builder, |builder, (name, value)| {
        Ok::<_, object_store::Error>(builder.with_config(name.parse()?, value))
    })?;
    Ok(Arc::new(builder.build()?))
}

fn azure(address: &RemoteAddress, credentials: &Credentials) -> Built {
    let builder = MicrosoftAzureBuilder::new()
        .with_container_name(address.bucket())
        .with_client_options(client(address))
        .with_retry(retries());
    let builder = match address.endpoint() {
        Some(endpoint) => builder.with_endpoint(endpoint.to_owned()),
        None => builder,
    };
    let builder = credentials.pairs().try_fold(builder, |builder, (name, value)| {
        Ok::<_, object_store::Error>(builder.with_config(name.parse()?, value))
    })?;
    Ok(Arc::new(builder.build()?))
}

fn client(address: &RemoteAddress) -> ClientOptions {
    ClientOptions::new()
        .with_allow_http(address.is_plain_http())
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_timeout(REQUEST_TIMEOUT)
}

fn retries() -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: MAX_RETRIES, retry_timeout: RETRY_TIMEOUT }
}
