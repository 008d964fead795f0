//! Checks claims, in the order in which S3 checks, and says who signed a request and how its body is to be read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use subtle::ConstantTimeEq;

use crate::canonical;
use crate::chunked::{ChunkChain, Chunking};
use crate::digest::{Hex, Sha256Digest};
use crate::error::{AuthError, Carrier, Fault, Mismatch};
use crate::identity::{Keyring, SecretKey, User};
use crate::mechanism::{Mechanism, Version2};
use crate::request::{Carried, Claim, PayloadMode, Request, Scope, Signed, version_2};
use crate::signing_key::{SigningKey, SigningKeys};
use crate::timestamp::Timestamp;

/// The name of the service in the scope of a request to S3.
pub(crate) const S3: &str = "s3";

/// Checks claims for one region. All requests share one verifier, which caches the signing keys.
#[derive(Debug)]
pub struct Verifier {
    region: String,
    version_2: Version2,
    pub(crate) keys: SigningKeys,
    root_has_signed: AtomicBool,
}

/// A request that passed the check.
#[derive(Debug, Clone)]
pub struct Authenticated<Holder = Arc<User>> {
    /// `None` for an anonymous request, which has no user's rights.
    pub signer: Option<Signer<Holder>>,
    /// How the body is to be read and checked.
    pub payload: Payload,
}

/// Who signed a request, and how.
#[derive(Debug, Clone)]
pub struct Signer<Holder = Arc<User>> {
    pub holder: Holder,
    pub mechanism: Mechanism,
}

/// How the body of a request is to be read and checked.
#[derive(Debug, Clone)]
pub enum Payload {
    /// The bytes as they come, unchecked.
    Unsigned,
    /// The bytes as they come; their hash must pass [`Sha256Digest::check`].
    Sha256(Sha256Digest),
    /// `aws-chunked`: the bytes must go through [`Chunking::decoder`].
    Chunked(Chunking),
}

impl Sha256Digest {
    /// Compares the digest that a client declared (`self`) with the one `computed` over its body.
    ///
    /// # Errors
    /// [`AuthError::ContentSha256Mismatch`] if they differ.
    pub fn check(self, computed: Self) -> Result<(), AuthError> {
        if self == computed {
            Ok(())
        } else {
            Err(AuthError::ContentSha256Mismatch { declared: self, computed })
        }
    }
}

/// The fields of a POST form (`multipart/form-data`) that authenticate it.
#[derive(Debug, Clone, Copy)]
pub struct PostForm<'a> {
    /// `policy`: base64, as sent.
    pub policy: &'a str,
    /// `x-amz-algorithm`
    pub algorithm: &'a str,
    /// `x-amz-credential`
    pub credential: &'a str,
    /// `x-amz-date`
    pub date: &'a str,
    /// `x-amz-signature`
    pub signature: &'a str,
    /// `x-amz-security-token`
    pub session_token: Option<&'a str>,
}

/// A signed form to another service than S3, whose signer has been found. Its signature can be checked once its body
/// has been read.
#[derive(Debug)]
pub struct SignedForm<Holder> {
    holder: Holder,
    secret: SecretKey,
    service: String,
}

impl<Holder> SignedForm<Holder> {
    /// The service for which it is signed.
    pub fn service(&self) -> &str {
        &self.service
    }
}

impl Verifier {
    /// A request may be signed this many seconds before or after now.
    pub const MAX_SKEW_SECONDS: i64 = 15 * 60;

    /// Checks claims whose scope must name `region`, and refuses version 2, which names none.
    pub fn new(region: impl Into<String>) -> Self {
        Self {
            region: region.into(),
            version_2: Version2::Refused,
            keys: SigningKeys::default(),
            root_has_signed: AtomicBool::new(false),
        }
    }

    /// Accepts or refuses version 2.
    pub fn with_version_2(self, version_2: Version2) -> Self {
        Self { version_2, ..self }
    }

    /// The region that scopes must name.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Whether root has ever sent a request with a right signature, since the start.
    pub fn has_root_signed(&self) -> bool {
        self.root_has_signed.load(Ordering::Relaxed)
    }

    /// Finds out who sent `request`, at `now` (Unix seconds).
    ///
    /// # Errors
    /// Any [`AuthError`]. A request without a claim is no error, but anonymous.
    pub fn authenticate<K: Keyring>(
        &self,
        request: &Request<'_>,
        now: i64,
        keys: &K,
    ) -> Result<Authenticated<K::Holder>, AuthError> {
        let (holder, mechanism, payload) = match Claim::of(request, self.version_2)? {
            Claim::Anonymous(mode) => {
                return Ok(Authenticated { signer: None, payload: unsigned_payload(mode)? });
            }
            Claim::Version2(signed) => {
                let (holder, secret) = keys.find(&signed.access_key, signed.session_token.as_deref())?;
                let payload = verify_version_2(request, &signed, now, &secret)?;
                (holder, signed.mechanism(), payload)
            }
            Claim::Version4(signed) => {
                let (holder, secret) =
                    keys.find(signed.scope.access_key(), signed.session_token.as_deref())?;
                self.check_scope(&signed.scope, signed.at, signed.carried.carrier())?;
                let payload = self.verify(request, &signed, now, &secret)?;
                (holder, signed.carried.mechanism(), payload)
            }
        };
        self.count::<K>(&holder);
        Ok(Authenticated { signer: Some(Signer { holder, mechanism }), payload })
    }

    /// Finds the user who claims to have signed a form to one of these services, before its body has been read;
    /// `None` if the form isn't signed. These services have no region, so any region in the scope is accepted.
    ///
    /// # Errors
    /// Any [`AuthError`].
    pub fn find_signer<K: Keyring>(
        &self,
        request: &Request<'_>,
        services: &[&str],
        now: i64,
        keys: &K,
    ) -> Result<Option<SignedForm<K::Holder>>, AuthError> {
        let Some(signed) = Signed::of_form(request, Sha256Digest::of(b""))? else { return Ok(None) };
        let service = signed.scope.service();
        if !services.contains(&service) {
            let (given, carrier) = (service.to_owned(), signed.carried.carrier());
            return Err(Fault::Service { given }.at(carrier));
        }
        let (holder, secret) = keys.find(signed.scope.access_key(), signed.session_token.as_deref())?;
        check_day(&signed.scope, signed.at, signed.carried.carrier())?;
        check_time(&signed, now)?;
        Ok(Some(SignedForm { holder, secret, service: service.to_owned() }))
    }

    /// Checks the signature of a form whose body is `body`, and says who signed it.
    ///
    /// # Errors
    /// Any [`AuthError`].
    pub fn verify_form<K: Keyring>(
        &self,
        request: &Request<'_>,
        form: SignedForm<K::Holder>,
        body: &[u8],
        now: i64,
    ) -> Result<K::Holder, AuthError> {
        let signed = Signed::of_form(request, Sha256Digest::of(body))?;
        let signed = signed.ok_or(AuthError::UnsupportedAuthorization)?;
        self.verify(request, &signed, now, &form.secret)?;
        self.count::<K>(&form.holder);
        Ok(form.holder)
    }

    /// The holder of a key, for somebody who proves to know its secret by giving it, and so needs no signature.
    ///
    /// # Errors
    /// Any [`AuthError`] of the key; `SignatureDoesNotMatch` if the secret is wrong.
    pub fn admit<K: Keyring>(
        &self,
        access_key: &str,
        session_token: Option<&str>,
        secret: &str,
        keys: &K,
    ) -> Result<K::Holder, AuthError> {
        let (holder, known) = keys.find(access_key, session_token)?;
        if !bool::from(known.reveal().as_bytes().ct_eq(secret.as_bytes())) {
            return Err(AuthError::SignatureDoesNotMatch(Box::new(Mismatch {
                access_key: access_key.to_owned(),
                string_to_sign: String::new(),
                signature_provided: String::new(),
                canonical_request: String::new(),
            })));
        }
        self.count::<K>(&holder);
        Ok(holder)
    }

    fn count<K: Keyring>(&self, holder: &K::Holder) {
        // Read first: to write every time would take the cache line from all other processors at every request.
        if K::is_root(holder) && !self.has_root_signed() {
            self.root_has_signed.store(true, Ordering::Relaxed);
        }
    }

    /// Checks that `signed` was made with `secret`. It was read from `request`, and its scope has been checked.
    fn verify(
        &self,
        request: &Request<'_>,
        signed: &Signed<'_>,
        now: i64,
        secret: &SecretKey,
    ) -> Result<Payload, AuthError> {
        check_time(signed, now)?;
        if let Some(headers) = canonical::unsigned_headers(request, &signed.signed_headers) {
            return Err(AuthError::HeadersNotSigned { headers });
        }

        let mut canonical = Vec::with_capacity(512);
        canonical::write(&mut canonical, request, signed);
        let string_to_sign = string_to_sign(signed.at, &signed.scope, Sha256Digest::of(&canonical));
        let key = self.keys.get(&signed.scope, secret);
        let signature = key.sign([string_to_sign.as_bytes()]);
        if !signature.matches(signed.signature.as_bytes()) {
            return Err(mismatch(signed, string_to_sign, &canonical));
        }
        Ok(payload(signed, key, signature))
    }

    /// Says who signed the policy of a POST form. The caller must check the policy's own conditions, among them its
    /// expiry.
    ///
    /// # Errors
    /// [`AuthError`], with [`Carrier::Query`] for fields that are malformed.
    pub fn verify_post_form<K: Keyring>(
        &self,
        form: &PostForm<'_>,
        keys: &K,
    ) -> Result<K::Holder, AuthError> {
        let carrier = Carrier::Query;
        if form.algorithm != "AWS4-HMAC-SHA256" {
            return Err(Fault::Algorithm.at(carrier));
        }
        let scope = Scope::parse(form.credential.into(), carrier)?;
        let at = Timestamp::parse(form.date).ok_or_else(|| Fault::Date.at(carrier))?;
        let (holder, secret) = keys.find(scope.access_key(), form.session_token)?;
        self.check_scope(&scope, at, carrier)?;
        let signature = SigningKey::derive(&secret, &scope).sign([form.policy.as_bytes()]);
        if signature.matches(form.signature.as_bytes()) {
            return Ok(holder);
        }
        Err(AuthError::SignatureDoesNotMatch(Box::new(Mismatch {
            access_key: scope.access_key().to_owned(),
            string_to_sign: form.policy.to_owned(),
            signature_provided: form.signature.to_owned(),
            canonical_request: String::new(),
        })))
    }

    /// As [`Verifier::verify_post_form`], for a form that is signed by version 2: HMAC-SHA1 over the policy as sent.
    /// Such forms are always accepted: clients still make them, and only the policy is signed, which has an expiry.
    ///
    /// # Errors
    /// [`AuthError::InvalidAccessKeyId`], [`AuthError::SignatureDoesNotMatch`].
    pub fn verify_post_form_v2<K: Keyring>(
        &self,
        policy: &str,
        access_key: &str,
        session_token: Option<&str>,
        signature: &str,
        keys: &K,
    ) -> Result<K::Holder, AuthError> {
        let (holder, secret) = keys.find(access_key, session_token)?;
        if version_2::is_signed(&secret, policy.as_bytes(), signature.trim()) {
            return Ok(holder);
        }
        Err(AuthError::SignatureDoesNotMatch(Box::new(Mismatch {
            access_key: access_key.to_owned(),
            string_to_sign: policy.to_owned(),
            signature_provided: signature.to_owned(),
            canonical_request: String::new(),
        })))
    }

    fn check_scope(&self, scope: &Scope<'_>, at: Timestamp, carrier: Carrier) -> Result<(), AuthError> {
        let fault = if scope.service() != S3 {
            Fault::Service { given: scope.service().to_owned() }
        } else if scope.region() != self.region {
            Fault::Region { given: scope.region().to_owned(), expected: self.region.clone() }
        } else {
            return check_day(scope, at, carrier);
        };
        Err(fault.at(carrier))
    }
}

fn check_day(scope: &Scope<'_>, at: Timestamp, carrier: Carrier) -> Result<(), AuthError> {
    if scope.day() == at.day() {
        return Ok(());
    }
    Err(Fault::CredentialDate { given: scope.day().to_owned(), expected: at.day().to_owned() }.at(carrier))
}

/// As [`Verifier::verify`], for version 2, whose key is the secret itself.
fn verify_version_2(
    request: &Request<'_>,
    signed: &version_2::Signed<'_>,
    now: i64,
    secret: &SecretKey,
) -> Result<Payload, AuthError> {
    match signed.carried {
        version_2::Carried::Header { at, .. } => check_skew(at, now)?,
        version_2::Carried::Query { expires, .. } => {
            let expired_at = i64::from(expires);
            if now >= expired_at {
                return Err(AuthError::Expired { expired_at, now });
            }
        }
    }
    signed.check(request, secret)?;
    unsigned_payload(signed.payload)
}

/// A signature in a header is valid for some minutes before and after its date.
fn check_skew(signed_at: Timestamp, now: i64) -> Result<(), AuthError> {
    match now.saturating_sub(signed_at.unix()).saturating_abs() {
        ..=Verifier::MAX_SKEW_SECONDS => Ok(()),
        _ => Err(AuthError::RequestTimeTooSkewed { signed_at, now }),
    }
}

/// A signature in a header is valid around its date, a presigned one from its date until it expires.
fn check_time(signed: &Signed<'_>, now: i64) -> Result<(), AuthError> {
    let signed_at = signed.at;
    let age = now.saturating_sub(signed_at.unix());
    match signed.carried {
        Carried::Header => check_skew(signed_at, now),
        Carried::Presigned { .. } if age < -Verifier::MAX_SKEW_SECONDS => {
            Err(AuthError::NotYetValid { signed_at, now })
        }
        Carried::Presigned { expires } if age >= i64::from(expires) => {
            Err(AuthError::Expired { expired_at: signed_at.unix() + i64::from(expires), now })
        }
        Carried::Presigned { .. } => Ok(()),
    }
}

pub(crate) fn string_to_sign(at: Timestamp, scope: &Scope<'_>, canonical: Sha256Digest) -> String {
    let hash = canonical.hex();
    ["AWS4-HMAC-SHA256\n", at.as_str(), "\n", scope.without_key(), "\n", hash.as_str()].concat()
}

fn mismatch(signed: &Signed<'_>, string_to_sign: String, canonical: &[u8]) -> AuthError {
    AuthError::SignatureDoesNotMatch(Box::new(Mismatch {
        access_key: signed.scope.access_key().to_owned(),
        string_to_sign,
        signature_provided: signed.signature.clone().into_owned(),
        canonical_request: Mismatch::shown(canonical),
    }))
}

fn payload(signed: &Signed<'_>, key: SigningKey, seed: Hex) -> Payload {
    let chain = || Box::new(ChunkChain::new(key, signed.at, signed.scope.without_key(), seed));
    match signed.payload {
        PayloadMode::Unsigned => Payload::Unsigned,
        PayloadMode::Sha256(digest) => Payload::Sha256(digest),
        PayloadMode::StreamingSigned => Payload::Chunked(Chunking::Signed(chain())),
        PayloadMode::StreamingSignedTrailer => Payload::Chunked(Chunking::SignedTrailer(chain())),
        PayloadMode::StreamingUnsignedTrailer => Payload::Chunked(Chunking::UnsignedTrailer),
    }
}

/// How to read a body whose chunks aren't signed.
fn unsigned_payload(mode: PayloadMode) -> Result<Payload, AuthError> {
    match mode {
        PayloadMode::Unsigned => Ok(Payload::Unsigned),
        PayloadMode::Sha256(digest) => Ok(Payload::Sha256(digest)),
        PayloadMode::StreamingUnsignedTrailer => Ok(Payload::Chunked(Chunking::UnsignedTrailer)),
        PayloadMode::StreamingSigned | PayloadMode::StreamingSignedTrailer => {
            Err(AuthError::SignedChunksUnsigned)
        }
    }
}
