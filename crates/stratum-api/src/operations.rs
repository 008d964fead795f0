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
use crate::operation::{Body, Method, Need, Operation, Qualifier, Scope};
use std::ops::Deref;
use std::pin::Pin;
use stratum_metadata::record::BucketRecord;

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

/// An operation, and what does it.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub operation: Operation,
    pub handler: Handler,
}

impl Deref for Row {
    type Target = Operation;

    fn deref(&self) -> &Operation {
        &self.operation
    }
}

/// All operations, by what they are about.
const TABLE: [&[Row]; 5] = [service::ROWS, buckets::ROWS, configurations::ROWS, objects::ROWS, uploads::ROWS];

/// Every row of the table.
pub fn all() -> impl Iterator<Item = &'static Row> {
    TABLE.into_iter().flatten()
}

impl Scope {
    const fn get(self, name: &'static str, needs: &'static [Need]) -> Row {
        Row::new(Method::Get, self, name, needs)
    }

    const fn head(self, name: &'static str, needs: &'static [Need]) -> Row {
        Row::new(Method::Head, self, name, needs)
    }

    const fn put(self, name: &'static str, needs: &'static [Need]) -> Row {
        Row::new(Method::Put, self, name, needs)
    }

    const fn post(self, name: &'static str, needs: &'static [Need]) -> Row {
        Row::new(Method::Post, self, name, needs)
    }

    const fn delete(self, name: &'static str, needs: &'static [Need]) -> Row {
        Row::new(Method::Delete, self, name, needs)
    }

    const fn options(self, name: &'static str, needs: &'static [Need]) -> Row {
        Row::new(Method::Options, self, name, needs)
    }
}

impl Row {
    const fn new(method: Method, scope: Scope, name: &'static str, needs: &'static [Need]) -> Self {
        let operation = Operation {
            name,
            former_name: None,
            method,
            scope,
            subresource: None,
            qualifiers: &[],
            parameters: &[],
            needs,
            body: Body::None,
        };
        Self { operation, handler: Handler::Unbuilt }
    }

    const fn at(mut self, subresource: &'static str) -> Self {
        self.operation.subresource = Some(subresource);
        self
    }

    const fn when(mut self, qualifiers: &'static [Qualifier]) -> Self {
        self.operation.qualifiers = qualifiers;
        self
    }

    const fn takes(mut self, parameters: &'static [&'static str]) -> Self {
        self.operation.parameters = parameters;
        self
    }

    const fn document(mut self) -> Self {
        self.operation.body = Body::Document;
        self
    }

    const fn payload(mut self) -> Self {
        self.operation.body = Body::Payload;
        self
    }

    const fn formerly(mut self, name: &'static str) -> Self {
        self.operation.former_name = Some(name);
        self
    }

    const fn does(self, handler: Handler) -> Self {
        Self { handler, ..self }
    }
}
