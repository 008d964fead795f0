//! The AWS SDK's client, set up for a [`Server`].

use crate::server::{ACCESS_KEY, SECRET_KEY, Server};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Builder, Credentials, Region};
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};

/// A client that trusts the server's certificate and signs as root.
pub fn client(server: &Server) -> Client {
    client_of(server, ACCESS_KEY, SECRET_KEY)
}

/// A client that signs with these keys.
pub fn client_of(server: &Server, access_key: &str, secret_key: &str) -> Client {
    let config = Builder::new()
        .endpoint_url(server.endpoint())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(access_key, secret_key, None, None, "test"))
        .force_path_style(true);
    let builder = aws_smithy_http_client::Builder::new();
    let http = match server.certificate() {
        Some(certificate) => {
            let trust = TrustStore::empty().with_pem_certificate(certificate.as_bytes());
            let context = TlsContext::builder().with_trust_store(trust).build().unwrap();
            builder.tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(context).build_https()
        }
        None => builder.build_http(),
    };
    Client::from_conf(config.http_client(http).build())
}
