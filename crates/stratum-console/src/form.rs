//! The fields of a form or a query.

use crate::shown::read_bytes;
use crate::trouble::Trouble;
use axum::body::Body;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, Limited};
use std::time::Duration;
use url::form_urlencoded;

/// The longest form, in bytes. The longest policy or lifecycle fits into it, percent-encoded, with the form's other
/// fields.
pub const MOST_FORM_BYTES: u64 = 512 << 10;
/// How long a form may take to arrive. Forms are small, so a slower sender isn't a browser.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(30);

/// The field of every form that holds the session's form token.
pub const TOKEN: &str = "token";

/// Names and values, in their order.
#[derive(Clone, Debug, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    pub fn parse(encoded: &[u8]) -> Fields {
        Fields(form_urlencoded::parse(encoded).into_owned().collect())
    }

    /// Reads the fields of a form from a request's body.
    ///
    /// # Errors
    /// The body is no form, is too long, or took too long to arrive.
    pub async fn read(headers: &HeaderMap, body: Body) -> Result<Fields, Trouble> {
        if !is_form(headers) {
            return Err(Trouble::wrong("This takes a form, and something else was sent."));
        }
        let read = Limited::new(body, MOST_FORM_BYTES as usize).collect();
        match tokio::time::timeout(ARRIVAL_TIMEOUT, read).await {
            Ok(Ok(read)) => Ok(Fields::parse(&read.to_bytes())),
            Ok(Err(_)) => Err(Trouble::wrong("The form is too long, or was cut off on its way.")),
            Err(_) => Err(Trouble::wrong("The form took too long to arrive.")),
        }
    }

    /// The first value of that name, empty where there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// All values of that name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Reads a size; an empty field is none.
    ///
    /// # Errors
    /// That it is none.
    pub fn size(&self, name: &str, called: &str) -> Result<Option<u64>, Trouble> {
        match self.get(name).trim() {
            "" => Ok(None),
            text => match read_bytes(text) {
                None => {
                    Err(Trouble::wrong(format!("{called} is a whole number with its unit, such as 500 MiB.")))
                }
                bytes => Ok(bytes),
            },
        }
    }

    /// Reads a number; an empty field is none.
    ///
    /// # Errors
    /// That it is none.
    pub fn number(&self, name: &str, called: &str) -> Result<Option<u64>, Trouble> {
        match self.get(name).trim() {
            "" => Ok(None),
            text => {
                text.parse().map(Some).map_err(|_| Trouble::wrong(format!("{called} is a whole number.")))
            }
        }
    }
}

/// Whether the body is a form without files.
pub fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim() == "application/x-www-form-urlencoded")
}
