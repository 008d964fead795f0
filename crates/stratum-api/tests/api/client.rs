//! A client for the rig: it sends unsigned requests, and its answers have assertions.

use crate::rig::{Answer, Choices, Rig};
use std::ops::Deref;

/// A server for one test, and a client of it.
pub struct Client {
    pub rig: Rig,
}

/// An answer with assertions that show it when they fail.
#[derive(Debug)]
pub struct Answered(Answer);

impl Deref for Answered {
    type Target = Answer;

    fn deref(&self) -> &Answer {
        &self.0
    }
}

impl Client {
    pub async fn new() -> Client {
        Client { rig: Rig::start().await }
    }

    pub async fn with(choices: Choices) -> Client {
        Client { rig: Rig::with(choices).await }
    }

    /// A client of a server that has a bucket `bucket`.
    pub async fn with_bucket() -> Client {
        Client { rig: Rig::with_bucket().await }
    }

    pub async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Answered {
        Answered(self.rig.send(method, target, headers, body.as_ref()).await)
    }

    pub async fn get(&self, target: &str) -> Answered {
        self.send("GET", target, &[], "").await
    }

    pub async fn put(&self, target: &str, body: impl AsRef<[u8]>) -> Answered {
        self.send("PUT", target, &[], body).await
    }

    pub async fn post(&self, target: &str, body: impl AsRef<[u8]>) -> Answered {
        self.send("POST", target, &[], body).await
    }

    pub async fn delete(&self, target: &str) -> Answered {
        self.send("DELETE", target, &[], "").await
    }
}

impl Answered {
    /// Asserts that the answer has this status, and gives it.
    #[track_caller]
    pub fn expect(self, status: u16) -> Answered {
        assert_eq!(self.status, status, "{}{}", self.head, self.text());
        self
    }

    /// Asserts that the answer is an error with this status and code.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) {
        assert_eq!((self.status, self.code().as_str()), (status, code), "{}{}", self.head, self.text());
    }

    /// The text of each XML element of this name.
    pub fn elements(&self, name: &str) -> Vec<String> {
        let (text, open, close) = (self.text(), format!("<{name}>"), format!("</{name}>"));
        let found = text.split(&open).skip(1).filter_map(|rest| rest.split_once(&close));
        found.map(|(inside, _)| inside.to_owned()).collect()
    }
}
