//! TLS from PEM files, which are read again as they change.
//!
//! Certificates of today last for weeks, and who renews them writes files and nothing else. So the configuration stays as it
//! is and asks a [`Certificate`] what to show, with each handshake; what is there is exchanged when the files hold
//! another pair that can be used together. Connections that are open go on.

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
    #[error("{path}: its first certificate is none that can be read")]
    NotX509 { path: PathBuf },
    #[error("the certificate and the key can't be used together: {0}")]
    Unusable(#[from] rustls::Error),
}

/// From when to when a certificate counts, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    pub begins: u64,
    pub ends: u64,
}

/// What came of looking at the files again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Unchanged,
    /// What they hold now is shown.
    Renewed,
}

/// A chain of certificates and its key, as two files have them.
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
    /// Of both files: another copy of the key in memory would be one too many.
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

    /// HTTP/1.1 over TLS 1.2 and 1.3, with what is shown at the time of each handshake.
    ///
    /// # Errors
    /// What rustls says of its own defaults.
    pub fn config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, TlsError> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// Looks whether the files hold something else by now, and shows that from now on. What can't be used changes nothing.
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

    /// Of the first certificate of those that are shown: the server's own.
    pub fn validity(&self) -> Validity {
        self.shown.read().validity
    }

    /// The file of the chain.
    pub fn path(&self) -> &Path {
        &self.chain
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.shown.read().pair.clone())
    }
}

/// What lies in both files.
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

    fn digest(&self) -> [u8; 32] {
        let of = |bytes: &[u8]| Sha256::digest(bytes);
        Sha256::new().chain_update(of(&self.chain)).chain_update(of(&self.key)).finalize().into()
    }

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

/// What whoever verifies it would say, at the beginning and at the end of time: when it counts is the first that they ask, and
/// no other question is put here.
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

    /// A folder with a pair of files in it.
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

        /// Another pair, or one half of it, that ends with the year.
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
    fn a_pair_that_is_renewed_is_shown() {
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
    fn what_cant_be_used_leaves_the_pair_before_it() {
        let folder = Folder::new();
        let certificate = folder.read();
        // Between the two writes of whoever renews it.
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
        // And it goes on from there.
        folder.write(Some(2032), true);
        assert_eq!((certificate.look().unwrap(), year_of(&certificate)), (Look::Renewed, 2032));
    }
}
