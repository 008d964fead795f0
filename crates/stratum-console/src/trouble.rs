//! What keeps a page from being shown.

use http::StatusCode;

/// Why there is no page. All of it is text for people.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// The key that is signed in is nobody's any more.
    SignedOut,
    /// The store refused what was asked of it.
    Refused(Refusal),
    /// What was sent can't be taken.
    Wrong(String),
    /// There is no such page.
    NoPage,
}

/// A refusal of the store's.
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

    /// What to tell beside a form.
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
