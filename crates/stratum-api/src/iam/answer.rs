//! Answers: an action's result in the envelope of its API, and the elements that results are made of.

use super::boundary::BoundaryElement;
use super::error::IamError;
use super::table::Row;
use super::uses::Uses;
use crate::error::S3Error;
use crate::identities::Arn;
use crate::request_id::RequestId;
use crate::text::Timestamp;
use crate::xml;
use axum::body::Body;
use http::{HeaderValue, Response, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use stratum_metadata::record::{IdentityDetail, IdentityRecord, ManagedPolicyRecord};

/// What an action answers: the elements of its result, or nothing but that it was done.
#[derive(Debug)]
pub enum Reply {
    Done,
    /// The text that [`result`] made: the result in an element `Result`.
    Result(String),
}

/// Writes an action's result into an element `Result`, which [`respond`] renames after the action.
///
/// # Errors
/// For a document that XML can't hold.
pub fn result<T: Serialize>(document: &T) -> Result<Reply, IamError> {
    let text = xml::element("Result", document);
    Ok(Reply::Result(text.map_err(IamError::from)?))
}

/// The response: the result in the envelope of the action's API.
pub fn respond(row: &Row, reply: Reply, id: &RequestId) -> Response<Body> {
    let (name, namespace) = (row.name, row.api.namespace());
    let result = match reply {
        Reply::Done => String::new(),
        // The element's name follows from the action's.
        Reply::Result(text) => {
            match text.strip_prefix("<Result>").and_then(|t| t.strip_suffix("</Result>")) {
                Some(inner) => format!("<{name}Result>{inner}</{name}Result>"),
                None => format!("<{name}Result/>"),
            }
        }
    };
    let text = format!(
        "<{name}Response xmlns=\"{namespace}\">{result}<ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata></{name}Response>",
        id.as_str()
    );
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    response
}

impl From<quick_xml::se::SeError> for IamError {
    fn from(error: quick_xml::se::SeError) -> Self {
        S3Error::new(crate::error::Code::InternalError).because(error).into()
    }
}

/// A list: IAM and STS write each entry as an element `member`.
#[derive(Debug, Serialize)]
pub struct Members<T> {
    pub member: Vec<T>,
}

impl<T> From<Vec<T>> for Members<T> {
    fn from(member: Vec<T>) -> Self {
        Self { member }
    }
}

impl<T> FromIterator<T> for Members<T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        Self { member: all.into_iter().collect() }
    }
}

/// A policy's text, percent-encoded, as IAM returns it.
#[derive(Debug)]
pub struct Encoded<'a>(pub &'a str);

impl Serialize for Encoded<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&utf8_percent_encode(self.0, NON_ALPHANUMERIC))
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagElement<'a> {
    key: &'a str,
    value: &'a str,
}

pub fn tags(tags: &BTreeMap<String, String>) -> Members<TagElement<'_>> {
    tags.iter().map(|(key, value)| TagElement { key, value }).collect()
}

/// A user.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct UserElement<'a> {
    pub path: &'a str,
    pub user_name: &'a str,
    pub user_id: &'a str,
    pub arn: String,
    /// None for a user of the configuration, which doesn't say when the user was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_date: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions_boundary: Option<BoundaryElement<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Members<TagElement<'a>>>,
}

impl<'a> UserElement<'a> {
    pub fn of(account: &str, record: &'a IdentityRecord) -> Self {
        UserElement {
            path: &record.path,
            user_name: &record.name,
            user_id: &record.id,
            arn: Arn::new(account, "user", &record.path, &record.name).to_string(),
            create_date: Some(Timestamp(record.created)),
            permissions_boundary: BoundaryElement::of(record),
            tags: (!record.tags.is_empty()).then(|| tags(&record.tags)),
        }
    }

    /// The owner of an account, whom the configuration names.
    pub fn owner(owner: &'a stratum_auth::User) -> Self {
        UserElement {
            path: "/",
            user_name: &owner.display_name,
            user_id: &owner.id,
            arn: Arn::root(&owner.id).to_string(),
            create_date: None,
            permissions_boundary: None,
            tags: None,
        }
    }
}

/// A group.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GroupElement<'a> {
    path: &'a str,
    group_name: &'a str,
    group_id: &'a str,
    arn: String,
    create_date: Timestamp,
}

impl<'a> GroupElement<'a> {
    pub fn of(account: &str, record: &'a IdentityRecord) -> Self {
        GroupElement {
            path: &record.path,
            group_name: &record.name,
            group_id: &record.id,
            arn: Arn::new(account, "group", &record.path, &record.name).to_string(),
            create_date: Timestamp(record.created),
        }
    }
}

/// A role.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RoleElement<'a> {
    path: &'a str,
    role_name: &'a str,
    role_id: &'a str,
    arn: String,
    create_date: Timestamp,
    assume_role_policy_document: Encoded<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    max_session_duration: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions_boundary: Option<BoundaryElement<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Members<TagElement<'a>>>,
}

impl<'a> RoleElement<'a> {
    /// None where the record isn't a role's.
    pub fn of(account: &str, record: &'a IdentityRecord) -> Option<Self> {
        let IdentityDetail::Role { description, session_seconds, trust, .. } = &record.detail else {
            return None;
        };
        Some(RoleElement {
            path: &record.path,
            role_name: &record.name,
            role_id: &record.id,
            arn: Arn::new(account, "role", &record.path, &record.name).to_string(),
            create_date: Timestamp(record.created),
            assume_role_policy_document: Encoded(trust),
            description: description.as_deref(),
            max_session_duration: *session_seconds,
            permissions_boundary: BoundaryElement::of(record),
            tags: (!record.tags.is_empty()).then(|| tags(&record.tags)),
        })
    }
}

/// A managed policy.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyElement<'a> {
    pub policy_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_id: Option<&'a str>,
    pub arn: String,
    pub path: &'a str,
    pub default_version_id: String,
    pub attachment_count: usize,
    pub permissions_boundary_usage_count: usize,
    pub is_attachable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_date: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_date: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Members<TagElement<'a>>>,
}

impl<'a> PolicyElement<'a> {
    pub fn of(account: &str, record: &'a ManagedPolicyRecord, uses: Uses) -> Self {
        PolicyElement {
            policy_name: &record.name,
            policy_id: Some(&record.id),
            arn: Arn::new(account, "policy", &record.path, &record.name).to_string(),
            path: &record.path,
            default_version_id: format!("v{}", record.default),
            attachment_count: uses.attached,
            permissions_boundary_usage_count: uses.bounding,
            is_attachable: true,
            description: record.description.as_deref(),
            create_date: Some(Timestamp(record.created)),
            update_date: Some(Timestamp(record.updated)),
            tags: (!record.tags.is_empty()).then(|| tags(&record.tags)),
        }
    }
}
