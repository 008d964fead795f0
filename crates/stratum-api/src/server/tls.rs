//! TLS with a certificate from PEM files, which are read again when they change.
//!
//! Certificates are valid for weeks, and the tools that renew them write files and do nothing else. So the server
//! looks at the files from time to time. The configuration of TLS stays the same, and asks a [`Certificate`] at each
//! handshake what to show. That is replaced when the files hold another certificate with its key. Open connections
//! aren't affected.

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tracing_mutex::parkinglot::RwLock;
use webpki::{EndEntityCert, KeyUsage};

/// A certificate or key that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{path}: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path}: {source}")]
    NotPem { path: PathBuf, source: pem::Error },
    #[error("{path} holds no certificate")]
    NoCertificate { path: PathBuf },
    #[error("{path}: the first certificate in it can't be read")]
    NotX509 { path: PathBuf },
    #[error("the certificate and the key can't be used together: {0}")]
    Unusable(#[from] rustls::Error),
}

impl TlsError {
    /// The file that can't be used; none where it is the two together.
    pub fn path(&self) -> Option<&Path> {
        match self {
            TlsError::Unreadable { path, .. }
            | TlsError::NotPem { path, .. }
            | TlsError::NoCertificate { path }
            | TlsError::NotX509 { path } => Some(path),
            TlsError::Unusable(_) => None,
        }
    }
}

/// The times from which and until which a certificate is valid, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    pub begins: u64,
    pub ends: u64,
}

/// The outcome of a look at the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Unchanged,
    /// The files hold another certificate, which is shown from now on.
    Renewed,
}

/// A certificate with its chain and its key, and the two files that hold them.
#[derive(Debug)]
pub struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    shown: RwLock<Shown>,
}

#[derive(Debug)]
struct Shown {
    pair: Arc<CertifiedKey>,
    validity: Validity,
    /// The digest of both files, to see whether they have changed. The files themselves aren't kept, since the key
    /// would then be in memory twice.
    digest: [u8; 32],
}

impl Certificate {
    /// Reads both files.
    ///
    /// # Errors
    /// [`TlsError`], which names the file.
    pub fn read(chain: &Path, key: &Path) -> Result<Arc<Certificate>, TlsError> {
        let (chain, key) = (chain.to_owned(), key.to_owned());
        let shown = RwLock::new(Files::read(&chain, &key)?.pair(&chain, &key)?);
        Ok(Arc::new(Certificate { chain, key, shown }))
    }

    /// The configuration of HTTP/1.1 over TLS 1.2 and 1.3. A handshake shows the certificate that is the newest by
    /// then.
    ///
    /// # Errors
    /// [`TlsError::Unusable`] where rustls refuses its own defaults.
    pub fn config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, TlsError> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// Looks whether the files have changed, and shows the certificate in them from now on. Files that can't be used
    /// change nothing.
    ///
    /// # Errors
    /// As [`Certificate::read`].
    pub fn look(&self) -> Result<Look, TlsError> {
        let files = Files::read(&self.chain, &self.key)?;
        if files.digest() == self.shown.read().digest {
            return Ok(Look::Unchanged);
        }
        let new = files.pair(&self.chain, &self.key)?;
        *self.shown.write() = new;
        Ok(Look::Renewed)
    }

    /// When the server's own certificate is valid, which is the first of the chain.
    pub fn validity(&self) -> Validity {
        self.shown.read().validity
    }

    /// The path of the file with the certificate and its chain.
    pub fn path(&self) -> &Path {
        &self.chain
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.shown.read().pair.clone())
    }
}

/// The contents of both files.
struct Files {
    chain: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    fn read(chain: &Path, key: &Path) -> Result<Files, TlsError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })
        };
        Ok(Files { chain: read(chain)?, key: read(key)? })
    }

    /// A digest of the digests of the two files.
    fn digest(&self) -> [u8; 32] {
        let of = |bytes: &[u8]| Sha256::digest(bytes);
        Sha256::new().chain_update(of(&self.chain)).chain_update(of(&self.key)).finalize().into()
    }

    /// The certificate with its key, if the two belong together.
    fn pair(&self, chain: &Path, key: &Path) -> Result<Shown, TlsError> {
        let not_pem = |path: &Path| {
            let path = path.to_owned();
            move |source| TlsError::NotPem { path, source }
        };
        let certificates = CertificateDer::pem_slice_iter(&self.chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(not_pem(chain))?;
        let own = certificates.first().ok_or_else(|| TlsError::NoCertificate { path: chain.to_owned() })?;
        let validity = validity(own).ok_or_else(|| TlsError::NotX509 { path: chain.to_owned() })?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(not_pem(key))?;
        let pair = CertifiedKey::from_der(certificates, key, &default_provider())?;
        Ok(Shown { pair: Arc::new(pair), validity, digest: self.digest() })
    }
}

/// From when to when a certificate is valid. webpki doesn't tell that directly, but its errors do: a verification at
/// the beginning of time fails with the time from which the certificate is valid, and one at the end of time with the
/// time until which it is. webpki checks that before anything else, so that it doesn't matter that nothing else would
/// verify.
fn validity(certificate: &CertificateDer<'_>) -> Option<Validity> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let judged = |seconds| {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        certificate.verify_for_usage(&[], &[], &[], time, KeyUsage::server_auth(), None, None).err()
    };
    let begins = match judged(0)? {
        webpki::Error::CertNotValidYet { not_before, .. } => not_before.as_secs(),
        _ => 0,
    };
    match judged(u64::MAX)? {
        webpki::Error::CertExpired { not_after, .. } => Some(Validity { begins, ends: not_after.as_secs() }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A folder with a certificate's file and a key's file.
    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Folder {
            let folder = Folder(tempfile::tempdir().unwrap());
            folder.write(Some(2030), true);
            folder
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// Writes a new key, and a certificate for it that is valid until that year; or only one of the two files.
        fn write(&self, until: Option<i32>, with_key: bool) {
            let key = rcgen::KeyPair::generate().unwrap();
            if let Some(year) = until {
                let mut made = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
                (made.not_before, made.not_after) =
                    (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(year, 1, 1));
                fs::write(self.path("chain"), made.self_signed(&key).unwrap().pem()).unwrap();
            }
            if with_key {
                fs::write(self.path("key"), key.serialize_pem()).unwrap();
            }
        }

        fn read(&self) -> Arc<Certificate> {
            Certificate::read(&self.path("chain"), &self.path("key")).unwrap()
        }
    }

    fn year_of(certificate: &Certificate) -> i32 {
        let Validity { begins, ends } = certificate.validity();
        assert_eq!(begins, 1_577_836_800);
        time::OffsetDateTime::from_unix_timestamp(ends as i64).unwrap().year()
    }

    #[test]
    fn a_renewed_certificate_is_shown() {
        let folder = Folder::new();
        let certificate = folder.read();
        let before = certificate.shown.read().pair.clone();
        assert_eq!((certificate.look().unwrap(), year_of(&certificate)), (Look::Unchanged, 2030));
        folder.write(Some(2031), true);
        assert_eq!((certificate.look().unwrap(), year_of(&certificate)), (Look::Renewed, 2031));
        assert_ne!(certificate.shown.read().pair.cert, before.cert);
        assert_eq!(certificate.look().unwrap(), Look::Unchanged);
    }

    #[test]
    fn files_that_cant_be_used_leave_the_certificate_before_them_in_use() {
        let folder = Folder::new();
        let certificate = folder.read();
        // A tool that renews the certificate has written the first of the two files, and not yet the second.
        folder.write(Some(2031), false);
        assert!(matches!(certificate.look(), Err(TlsError::Unusable(_))));
        fs::write(folder.path("chain"), "").unwrap();
        assert!(matches!(certificate.look(), Err(TlsError::NoCertificate { .. })));
        fs::write(folder.path("chain"), "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n")
            .unwrap();
        assert!(matches!(certificate.look(), Err(TlsError::NotX509 { .. })));
        fs::remove_file(folder.path("chain")).unwrap();
        let told = certificate.look().unwrap_err().to_string();
        assert!(told.contains("chain: No such file"), "{told}");
        assert_eq!(year_of(&certificate), 2030);
        // When the files can be used again, they are.
        folder.write(Some(2032), true);
        assert_eq!((certificate.look().unwrap(), year_of(&certificate)), (Look::Renewed, 2032));
    }
}
