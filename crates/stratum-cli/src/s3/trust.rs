//! Whom TLS trusts: the machine's authorities, or those of a file.
//!
//! A file may also name the certificate of the server itself. One that says of itself that it is an authority, as `openssl req -x509`
//! makes them, is none that a server may show by the letter of RFC 5280; but whoever named just that one means it.

use crate::connection::Connection;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Authorities that can't be trusted, because they can't be read.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("{}: {problem}", file.display())]
    File { file: PathBuf, problem: String },
    #[error(
        "this machine has no certificates of authorities: install ca-certificates, or name some by --ca-bundle"
    )]
    None,
    #[error("TLS can't be set up: {0}")]
    Tls(String),
}

/// The client's side of TLS for one endpoint.
pub fn tls(connection: &Connection) -> Result<ClientConfig, TrustError> {
    let named = match &connection.ca_bundle {
        Some(file) if connection.endpoint.is_tls() => certificates(file)?,
        _ => Vec::new(),
    };
    let roots = match (connection.endpoint.is_tls(), named.is_empty()) {
        // Nobody is asked who they are.
        (false, _) => RootCertStore::empty(),
        (true, true) => roots_of_machine()?,
        (true, false) => roots_of(&named)?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let wrong = |error: rustls::Error| TrustError::Tls(error.to_string());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(wrong)?;
    if named.is_empty() {
        return Ok(config.with_root_certificates(roots).with_no_client_auth());
    }
    let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let usual = usual.map_err(|error| TrustError::Tls(error.to_string()))?;
    Ok(config
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Named { usual, named }))
        .with_no_client_auth())
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let problem = |problem: String| TrustError::File { file: file.to_owned(), problem };
    let text = std::fs::read(file).map_err(|error| problem(error.to_string()))?;
    let read = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    match read.map_err(|_| problem("it isn't PEM".into()))? {
        none if none.is_empty() => Err(problem("it has no certificate in PEM".into())),
        certificates => Ok(certificates),
    }
}

fn roots_of(named: &[CertificateDer<'static>]) -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    for certificate in named {
        roots.add(certificate.clone()).map_err(|error| TrustError::Tls(error.to_string()))?;
    }
    Ok(roots)
}

fn roots_of_machine() -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(TrustError::None) } else { Ok(roots) }
}

/// Trusts what the named authorities vouch for, and the very certificates that are named, for the hosts that they name.
#[derive(Debug)]
struct Named {
    usual: Arc<WebPkiServerVerifier>,
    named: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let usually = self.usual.verify_server_cert(certificate, intermediates, host, ocsp, now);
        if usually.is_ok() || !self.named.iter().any(|named| named == certificate) {
            return usually;
        }
        verify_server_name(&ParsedCertificate::try_from(certificate)?, host)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}
