//! Signature V4, by `aws-sigv4`.

use crate::connection::{Connection, Keys};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http_body_util::Full;
use std::time::{Duration, SystemTime};

/// Why a request can't be signed: something in it is no valid header or URL.
#[derive(Debug, thiserror::Error)]
#[error("the request can't be signed: {0}")]
pub struct SignError(String);

/// Signs the requests of one connection. Without an access key they stay as they are.
pub struct Signer {
    credentials: Option<Credentials>,
    region: String,
}

impl Signer {
    pub fn new(connection: &Connection) -> Signer {
        let credentials = connection.keys.clone().map(|Keys { access_key, secret_key, session_token }| {
            Credentials::new(access_key, secret_key, session_token, None, "stratum")
        });
        Signer { credentials, region: connection.region.clone() }
    }

    /// Adds the headers of the signature. `payload` is the SHA-256 of the body; without it the body isn't signed.
    pub fn sign(
        &self,
        request: &mut http::Request<Full<Bytes>>,
        payload: Option<String>,
        now: SystemTime,
    ) -> Result<(), SignError> {
        let mut settings = settings();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let body = payload.map_or(SignableBody::UnsignedPayload, SignableBody::Precomputed);
        self.apply(request, settings, body, now)
    }

    /// Adds the query parameters with which anybody may send the request until it expires.
    pub fn presign(
        &self,
        request: &mut http::Request<Full<Bytes>>,
        expires: Duration,
        now: SystemTime,
    ) -> Result<(), SignError> {
        let mut settings = settings();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(expires);
        self.apply(request, settings, SignableBody::UnsignedPayload, now)
    }

    fn apply(
        &self,
        request: &mut http::Request<Full<Bytes>>,
        settings: SigningSettings,
        body: SignableBody<'_>,
        now: SystemTime,
    ) -> Result<(), SignError> {
        let Some(credentials) = &self.credentials else { return Ok(()) };
        let wrong = |error: &dyn std::fmt::Display| SignError(error.to_string());
        let identity = credentials.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(now)
            .settings(settings)
            .build()
            .map_err(|error| wrong(&error))?;
        let mut headers = Vec::with_capacity(request.headers().len());
        for (name, value) in request.headers() {
            headers.push((name.as_str(), value.to_str().map_err(|error| wrong(&error))?));
        }
        let uri = request.uri().to_string();
        let signable = SignableRequest::new(request.method().as_str(), &uri, headers.into_iter(), body)
            .map_err(|error| wrong(&error))?;
        let signed = sign(signable, &parameters.into()).map_err(|error| wrong(&error))?;
        let (instructions, _) = signed.into_parts();
        instructions.apply_to_request_http1x(request);
        Ok(())
    }
}

/// The settings for S3, which signs the path as it is sent, neither encoded again nor normalised.
fn settings() -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings
}
