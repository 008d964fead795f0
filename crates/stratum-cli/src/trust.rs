//! Whom TLS trusts: the certificate authorities of the machine, those of a file, or anybody. All commands, and the
//! server where it is a client itself, take their TLS configuration from here.
//!
//! A file may also hold the certificate of the server itself. `openssl req -x509` makes certificates that call
//! themselves authorities, and by RFC 5280 a server may not show such a one. It is trusted all the same if it is in
//! the file, since whoever put it there means it.

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The variable that names a file of certificates where the command line doesn't, as AWS's own tools have it.
pub const BUNDLE_VARIABLE: &str = "AWS_CA_BUNDLE";

/// Why there is no TLS configuration: the authorities can't be read, or rustls refuses them.
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

/// Whom a client believes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Whom the machine's authorities vouch for.
    #[default]
    Machine,
    /// Whom the certificates of a file vouch for, and who shows one of them.
    File(PathBuf),
    /// Any certificate of whoever answers. Only for requests that carry no secret and whose answers decide nothing.
    Anybody,
}

impl Trust {
    /// Trusts the certificates of a file where one is named, else the machine's.
    pub fn of_bundle(file: Option<PathBuf>) -> Trust {
        file.map_or(Trust::Machine, Trust::File)
    }

    /// The client's side of TLS.
    ///
    /// # Errors
    /// Authorities that aren't there, or can't be read.
    pub fn tls(&self) -> Result<ClientConfig, TrustError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let judge = match self {
            Trust::Machine => return with_roots(provider, roots_of_machine()?),
            Trust::File(file) => {
                let named = certificates(file)?;
                let roots = Arc::new(roots_of(&named)?);
                let usual = WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build();
                Judge::Named { usual: usual.map_err(|error| TrustError::Tls(error.to_string()))?, named }
            }
            Trust::Anybody => Judge::Nobody,
        };
        let verifier = Arc::new(Verifier { judge, provider: provider.clone() });
        let config = with_roots(provider, RootCertStore::empty())?;
        Ok(with_verifier(config, verifier))
    }
}

/// A TLS configuration that trusts nobody, for a client of plain HTTP, whose connector wants one though it never uses
/// it.
///
/// # Errors
/// What rustls says of its own defaults.
pub fn no_tls() -> Result<ClientConfig, TrustError> {
    with_roots(Arc::new(rustls::crypto::ring::default_provider()), RootCertStore::empty())
}

fn with_roots(provider: Arc<CryptoProvider>, roots: RootCertStore) -> Result<ClientConfig, TrustError> {
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TrustError::Tls(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn with_verifier(mut config: ClientConfig, verifier: Arc<Verifier>) -> ClientConfig {
    config.dangerous().set_certificate_verifier(verifier);
    config
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

/// Decides by its judge whether a certificate is trusted. That the server has the certificate's key is verified as
/// usual.
#[derive(Debug)]
struct Verifier {
    judge: Judge,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
enum Judge {
    /// A certificate counts if the named authorities vouch for it, or if it is itself among the named ones and made
    /// out to the host.
    Named { usual: Arc<WebPkiServerVerifier>, named: Vec<CertificateDer<'static>> },
    /// Every certificate counts.
    Nobody,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Judge::Named { usual, named } = &self.judge else { return Ok(ServerCertVerified::assertion()) };
        let usually = usual.verify_server_cert(certificate, intermediates, host, ocsp, now);
        if usually.is_ok() || !named.iter().any(|named| named == certificate) {
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
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
