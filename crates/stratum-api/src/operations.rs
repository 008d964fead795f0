//! The one table of S3's operations, the built and the unbuilt.
//!
//! A row says how a request names the operation, what the operation takes, which rights it needs, and what does it.
//! Recognition ([`recognise`]), rights, dispatch, `501`, `Allow`, and the names in logs and metrics all follow from
//! the rows; so do tests that no operation of S3 is missing, here or in docs/S3.md. A new operation is a row, a file
//! in [`ops`](crate::ops), its documents in [`xml`](crate::xml), and a line in docs/S3.md.
//!
//! Source: the S3 model (`service-2.json`) that the SDKs are made of, whose names are in `s3-operations.txt`; for the
//! rights, the Service Authorization Reference, "Actions, resources, and condition keys for Amazon S3".

mod buckets;
mod configurations;
mod objects;
mod recognise;
mod service;
#[cfg(test)]
mod tests;
mod uploads;

pub use recognise::recognise;

use crate::body::RequestBody;
use crate::context::Context;
use crate::error::S3Result;
use crate::key::ObjectKey;
use std::pin::Pin;
use stratum_metadata::record::BucketRecord;

/// The methods that S3 gives a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Put,
    Post,
    Delete,
    Options,
}

/// What an operation's path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Service,
    Bucket,
    Object,
    /// The one path of S3 that names none of them.
    ObjectResponse,
}

/// What selects an operation among those that share its method, place and subresource.
#[derive(Clone, Copy, Debug)]
pub enum Qualifier {
    /// A query parameter that has to be there.
    Parameter(&'static str),
    /// A query parameter with this value.
    Value(&'static str, &'static str),
    /// A header that has to be there.
    Header(&'static str),
}

/// A right that an operation needs, by the name of its action in a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// To what the path names.
    Here(&'static str),
    /// To the object that is copied.
    OfSource(&'static str),
    /// To each object that the body names.
    OfEach(&'static str),
}

/// What the body of a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    None,
    /// An XML or JSON document, read whole.
    Document,
    /// Bytes to be kept, or a form that holds them.
    Payload,
}

/// An answer on its way.
pub type Answer<'a> = Pin<Box<dyn Future<Output = S3Result> + Send + 'a>>;

/// What does the operation. Each kind takes what its operations are about, looked up and allowed, and those that end
/// in `Body` the request's body, of which nothing has been read.
#[derive(Clone, Copy, Debug)]
pub enum Handler {
    /// S3 has the operation and this server doesn't.
    Unbuilt,
    Service(for<'a> fn(&'a Context) -> Answer<'a>),
    /// Takes the name of a bucket that is to be.
    NewBucket(for<'a> fn(&'a Context, &'a str, RequestBody) -> Answer<'a>),
    Bucket(for<'a> fn(&'a Context, &'a BucketRecord) -> Answer<'a>),
    BucketBody(for<'a> fn(&'a Context, &'a BucketRecord, RequestBody) -> Answer<'a>),
    Object(for<'a> fn(&'a Context, &'a BucketRecord, &'a ObjectKey) -> Answer<'a>),
    ObjectBody(for<'a> fn(&'a Context, &'a BucketRecord, &'a ObjectKey, RequestBody) -> Answer<'a>),
}

/// An operation of S3.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// The name in S3's API reference.
    pub name: &'static str,
    /// A name that S3 gave the same request before, which SDKs still have.
    pub former_name: Option<&'static str>,
    pub method: Method,
    pub place: Place,
    /// The query parameter that says which side of the place is meant, such as `acl`; none for the place itself.
    pub subresource: Option<&'static str>,
    pub qualifiers: &'static [Qualifier],
    /// The query parameters that it knows besides those that select it.
    pub parameters: &'static [&'static str],
    pub needs: &'static [Need],
    pub body: Body,
    pub handler: Handler,
}

/// All operations, by what they are about.
const TABLE: [&[Operation]; 5] =
    [service::ROWS, buckets::ROWS, configurations::ROWS, objects::ROWS, uploads::ROWS];

/// Every row of the table.
pub fn all() -> impl Iterator<Item = &'static Operation> {
    TABLE.into_iter().flatten()
}

impl Place {
    const fn get(self, name: &'static str, needs: &'static [Need]) -> Operation {
        Operation::new(Method::Get, self, name, needs)
    }

    const fn head(self, name: &'static str, needs: &'static [Need]) -> Operation {
        Operation::new(Method::Head, self, name, needs)
    }

    const fn put(self, name: &'static str, needs: &'static [Need]) -> Operation {
        Operation::new(Method::Put, self, name, needs)
    }

    const fn post(self, name: &'static str, needs: &'static [Need]) -> Operation {
        Operation::new(Method::Post, self, name, needs)
    }

    const fn delete(self, name: &'static str, needs: &'static [Need]) -> Operation {
        Operation::new(Method::Delete, self, name, needs)
    }

    const fn options(self, name: &'static str, needs: &'static [Need]) -> Operation {
        Operation::new(Method::Options, self, name, needs)
    }
}

impl Operation {
    const fn new(method: Method, place: Place, name: &'static str, needs: &'static [Need]) -> Self {
        Self {
            name,
            former_name: None,
            method,
            place,
            subresource: None,
            qualifiers: &[],
            parameters: &[],
            needs,
            body: Body::None,
            handler: Handler::Unbuilt,
        }
    }

    const fn at(self, subresource: &'static str) -> Self {
        Self { subresource: Some(subresource), ..self }
    }

    const fn when(self, qualifiers: &'static [Qualifier]) -> Self {
        Self { qualifiers, ..self }
    }

    const fn takes(self, parameters: &'static [&'static str]) -> Self {
        Self { parameters, ..self }
    }

    const fn document(self) -> Self {
        Self { body: Body::Document, ..self }
    }

    const fn payload(self) -> Self {
        Self { body: Body::Payload, ..self }
    }

    const fn formerly(self, name: &'static str) -> Self {
        Self { former_name: Some(name), ..self }
    }

    const fn does(self, handler: Handler) -> Self {
        Self { handler, ..self }
    }

    /// Whether it may change something, by its method.
    pub fn is_write(&self) -> bool {
        matches!(self.method, Method::Put | Method::Post | Method::Delete)
    }

    /// The rights that it needs to what its path names.
    pub fn actions(&self) -> impl Iterator<Item = &'static str> {
        self.needs.iter().filter_map(|need| match need {
            Need::Here(action) => Some(*action),
            Need::OfSource(_) | Need::OfEach(_) => None,
        })
    }

    /// The rights that it needs to the object that is copied.
    pub fn source_actions(&self) -> impl Iterator<Item = &'static str> {
        self.needs.iter().filter_map(|need| match need {
            Need::OfSource(action) => Some(*action),
            Need::Here(_) | Need::OfEach(_) => None,
        })
    }

    /// The rights that it needs to each object that its body names.
    pub fn actions_on_each(&self) -> impl Iterator<Item = &'static str> {
        self.needs.iter().filter_map(|need| match need {
            Need::OfEach(action) => Some(*action),
            Need::Here(_) | Need::OfSource(_) => None,
        })
    }
}

impl Method {
    fn of(method: &http::Method) -> Option<Self> {
        Some(match *method {
            http::Method::GET => Method::Get,
            http::Method::HEAD => Method::Head,
            http::Method::PUT => Method::Put,
            http::Method::POST => Method::Post,
            http::Method::DELETE => Method::Delete,
            http::Method::OPTIONS => Method::Options,
            _ => return None,
        })
    }

    /// As the wire has it.
    fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Put => "PUT",
            Method::Post => "POST",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
        }
    }
}

impl Place {
    /// As S3's errors have it.
    fn name(self) -> &'static str {
        match self {
            Place::Service => "SERVICE",
            Place::Bucket => "BUCKET",
            Place::Object => "OBJECT",
            Place::ObjectResponse => "OBJECT_RESPONSE",
        }
    }
}
