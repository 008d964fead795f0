//! The one table of S3's operations, implemented or not.
//!
//! A row says how a request names the operation, which parameters and body it takes, which rights it needs, and which
//! function handles it. Recognition ([`recognise`]), authorisation, dispatch, the answer `501`, the header `Allow`,
//! and the names in logs and metrics all follow from the rows. Tests compare the rows with the list of S3's
//! operations and with docs/S3.md, so that none is missing. A new operation is a row, a file in [`ops`](crate::ops),
//! its documents in [`xml`](crate::xml), and a line in docs/S3.md.
//!
//! Source: the S3 model (`service-2.json`) from which the SDKs are generated; `s3-operations.txt` has the names in
//! it. For the rights: the Service Authorization Reference, "Actions, resources, and condition keys for Amazon S3".

mod brought;
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
use crate::operation::{Body, Brings, Method, Need, Operation, Qualifier, Scope};
use std::ops::Deref;
use std::pin::Pin;
use stratum_metadata::record::BucketRecord;

/// The future of an operation's answer.
pub type Answer<'a> = Pin<Box<dyn Future<Output = S3Result> + Send + 'a>>;

/// The function that handles an operation. Each kind takes the bucket and the key that the request names: the bucket
/// has been looked up, and the rights to what the path names have been checked. The kinds whose names end in `Body`,
/// and `NewBucket`, take the request's body as well, of which nothing has been read yet.
#[derive(Clone, Copy, Debug)]
pub enum Handler {
    /// S3 has the operation, and this server doesn't implement it.
    Unbuilt,
    Service(for<'a> fn(&'a Context) -> Answer<'a>),
    /// Takes the name of a bucket that is to be created.
    NewBucket(for<'a> fn(&'a Context, &'a str, RequestBody) -> Answer<'a>),
    Bucket(for<'a> fn(&'a Context, &'a BucketRecord) -> Answer<'a>),
    BucketBody(for<'a> fn(&'a Context, &'a BucketRecord, RequestBody) -> Answer<'a>),
    Object(for<'a> fn(&'a Context, &'a BucketRecord, &'a ObjectKey) -> Answer<'a>),
    ObjectBody(for<'a> fn(&'a Context, &'a BucketRecord, &'a ObjectKey, RequestBody) -> Answer<'a>),
}

/// An operation and its handler.
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

/// All operations, by the resource that they are about.
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
            brings: &[],
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

    const fn bringing(mut self, brings: &'static [&'static [Brings]]) -> Self {
        self.operation.brings = brings;
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
