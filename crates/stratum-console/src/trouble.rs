//! Why a page can't be shown.

use http::StatusCode;

/// Why a page can't be shown, with words for people.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// The session's key was deleted or has expired.
    SignedOut,
    /// The store refused a request.
    Refused(Refusal),
    /// What the browser sent can't be used.
    Wrong(String),
    /// There is no such page.
    NoPage,
}

/// The error with which the store refused a request.
#[derive(Debug, Clone, Default)]
pub struct Refusal {
    pub status: StatusCode,
    pub code: String,
    pub message: String,
    pub request: String,
}

impl Trouble {
    pub fn wrong(why: impl Into<String>) -> Trouble {
        Trouble::Wrong(why.into())
    }

    pub fn status(&self) -> StatusCode {
        match self {
            Trouble::SignedOut => StatusCode::UNAUTHORIZED,
            Trouble::Refused(refusal) => refusal.status,
            Trouble::Wrong(_) => StatusCode::BAD_REQUEST,
            Trouble::NoPage => StatusCode::NOT_FOUND,
        }
    }

    /// What a page tells of it.
    pub fn words(&self) -> String {
        match self {
            Trouble::SignedOut => "You are signed out.".into(),
            Trouble::Refused(refusal) if refusal.message.is_empty() => refusal.code.clone(),
            Trouble::Refused(refusal) if refusal.code.is_empty() => refusal.message.clone(),
            Trouble::Refused(refusal) => format!("{} ({})", refusal.message, refusal.code),
            Trouble::Wrong(why) => why.clone(),
            Trouble::NoPage => "There is no such page.".into(),
        }
    }
}
