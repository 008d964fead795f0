//! Errors as IAM and STS answer them: a code, a status and a message.

use super::table::{Api, Row};
use crate::error::S3Error;
use crate::request_id::RequestId;
use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use quick_xml::escape::partial_escape;
use std::fmt::Display;
use stratum_auth::AuthError;
use stratum_metadata::{CommitError, ReadError};
use stratum_policy::Malformed;

/// An error code of IAM or STS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    AccessDenied,
    ConcurrentModification,
    DeleteConflict,
    EntityAlreadyExists,
    ExpiredToken,
    IncompleteSignature,
    InvalidAction,
    InvalidClientTokenId,
    InvalidInput,
    LimitExceeded,
    MalformedPolicyDocument,
    MalformedQueryString,
    MissingAuthenticationToken,
    NoSuchEntity,
    NotImplemented,
    PackedPolicyTooLarge,
    SignatureDoesNotMatch,
    UnmodifiableEntity,
    ValidationError,
}

impl Fault {
    /// The code's name, its status and its usual message.
    fn tell(self) -> (&'static str, StatusCode, &'static str) {
        use Fault::*;
        match self {
            AccessDenied => ("AccessDenied", StatusCode::FORBIDDEN, "Access denied"),
            ConcurrentModification => (
                "ConcurrentModification",
                StatusCode::CONFLICT,
                "Users or policies were changed at the same time. Try again.",
            ),
            DeleteConflict => ("DeleteConflict", StatusCode::CONFLICT, "The resource is still in use."),
            EntityAlreadyExists => {
                ("EntityAlreadyExists", StatusCode::CONFLICT, "The resource exists already.")
            }
            ExpiredToken => (
                "ExpiredToken",
                StatusCode::FORBIDDEN,
                "The security token included in the request is expired",
            ),
            IncompleteSignature => {
                ("IncompleteSignature", StatusCode::BAD_REQUEST, "The signature can't be read.")
            }
            InvalidAction => {
                ("InvalidAction", StatusCode::BAD_REQUEST, "Could not find operation for this version.")
            }
            InvalidClientTokenId => (
                "InvalidClientTokenId",
                StatusCode::FORBIDDEN,
                "The security token included in the request is invalid.",
            ),
            InvalidInput => ("InvalidInput", StatusCode::BAD_REQUEST, "A parameter is invalid."),
            LimitExceeded => ("LimitExceeded", StatusCode::CONFLICT, "The quota is reached."),
            MalformedPolicyDocument => {
                ("MalformedPolicyDocument", StatusCode::BAD_REQUEST, "The policy is malformed.")
            }
            MalformedQueryString => {
                ("MalformedQueryString", StatusCode::BAD_REQUEST, "The form can't be read.")
            }
            MissingAuthenticationToken => (
                "MissingAuthenticationToken",
                StatusCode::FORBIDDEN,
                "Request is missing Authentication Token",
            ),
            NoSuchEntity => ("NoSuchEntity", StatusCode::NOT_FOUND, "There is no such entity."),
            NotImplemented => (
                "NotImplemented",
                StatusCode::NOT_IMPLEMENTED,
                "The request asks for something that is not implemented.",
            ),
            PackedPolicyTooLarge => (
                "PackedPolicyTooLarge",
                StatusCode::BAD_REQUEST,
                "The session's policies and tags are more than its token has room for.",
            ),
            SignatureDoesNotMatch => (
                "SignatureDoesNotMatch",
                StatusCode::FORBIDDEN,
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.",
            ),
            UnmodifiableEntity => (
                "UnmodifiableEntity",
                StatusCode::BAD_REQUEST,
                "The user is kept in the server's configuration, and can only be changed there.",
            ),
            ValidationError => ("ValidationError", StatusCode::BAD_REQUEST, "A parameter is invalid."),
        }
    }

    /// The error with a message of its own in place of the usual one.
    pub fn because(self, message: impl Into<String>) -> IamError {
        IamError { message: message.into(), ..self.into() }
    }

    /// `NoSuchEntity`, in the words of IAM.
    pub fn no_such(kind: &str, name: &str) -> IamError {
        Fault::NoSuchEntity.because(format!("The {kind} with name {name} cannot be found."))
    }
}

/// An error that is answered.
#[derive(Debug)]
pub struct IamError {
    code: &'static str,
    status: StatusCode,
    message: String,
    /// The cause, which goes to the log and never to the client.
    cause: Option<String>,
}

impl IamError {
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The same error with another message.
    pub fn saying(self, message: String) -> IamError {
        IamError { message, ..self }
    }

    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    fn failed(cause: impl Display) -> IamError {
        IamError {
            code: "ServiceUnavailable",
            status: StatusCode::SERVICE_UNAVAILABLE,
            message: "The request can't be answered now. Try again.".into(),
            cause: Some(cause.to_string()),
        }
    }

    /// The error's document, in the namespace of the action's API, and in IAM's where the action isn't known.
    pub fn respond(self, id: &RequestId, row: Option<&'static Row>) -> Response<Body> {
        let kind = if self.status.is_server_error() { "Receiver" } else { "Sender" };
        let text = format!(
            "<ErrorResponse xmlns=\"{}\">\n<Error><Type>{kind}</Type><Code>{}</Code><Message>{}</Message></Error>\
             <RequestId>{}</RequestId></ErrorResponse>",
            row.map_or(Api::Iam, |row| row.api).namespace(),
            self.code,
            partial_escape(crate::xml::printable(&self.message).as_ref()),
            id.as_str(),
        );
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
        response
    }
}

impl From<Fault> for IamError {
    fn from(fault: Fault) -> Self {
        let (code, status, message) = fault.tell();
        IamError { code, status, message: message.into(), cause: None }
    }
}

impl From<Malformed> for IamError {
    fn from(malformed: Malformed) -> Self {
        Fault::MalformedPolicyDocument.because(malformed.to_string())
    }
}

/// The errors of the layers below keep the code that S3 has for them. S3's codes with the status 403 become
/// `AccessDenied`.
impl From<S3Error> for IamError {
    fn from(error: S3Error) -> Self {
        let status = error.code().status();
        if status == StatusCode::FORBIDDEN {
            let mut denied = Fault::AccessDenied.because(error.text());
            denied.cause = error.cause().map(str::to_owned);
            return denied;
        }
        IamError {
            code: error.code().name(),
            status,
            message: error.text().to_owned(),
            cause: error.cause().map(str::to_owned),
        }
    }
}

impl From<ReadError> for IamError {
    fn from(error: ReadError) -> Self {
        IamError::failed(error)
    }
}

impl From<CommitError> for IamError {
    fn from(error: CommitError) -> Self {
        S3Error::from(error).into()
    }
}

impl From<AuthError> for IamError {
    fn from(error: AuthError) -> Self {
        match &error {
            AuthError::InvalidAccessKeyId { .. } | AuthError::InvalidToken => {
                Fault::InvalidClientTokenId.into()
            }
            AuthError::ExpiredToken => Fault::ExpiredToken.into(),
            AuthError::Unavailable(cause) => IamError::failed(cause),
            AuthError::SignatureDoesNotMatch(_) => Fault::SignatureDoesNotMatch.into(),
            AuthError::RequestTimeTooSkewed { .. } => {
                Fault::SignatureDoesNotMatch.because(format!("Signature expired: {error}"))
            }
            _ => Fault::IncompleteSignature.because(error.to_string()),
        }
    }
}
