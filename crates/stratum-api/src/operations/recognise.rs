//! Which operation of the table a request means, and the refusal of a request that means none.
//!
//! A request must never be taken for another: `DELETE /bucket?uploads` is no DeleteBucket. So the request's query is
//! compared with the row that was found. Where the method may change something, the row must know every query
//! parameter, except the caller's own (`x-...`) and those of the signature (`X-Amz-...`). Where the method only
//! reads, the row must know those parameters that are a subresource of any operation, and other unknown parameters
//! are ignored, as S3 does.

use super::{Row, all};
use crate::address::Address;
use crate::error::{Code, S3Error};
use crate::operation::{Method, Operation, Qualifier, Scope};
use crate::query::{self, Query};
use http::header::ALLOW;
use http::{HeaderMap, HeaderValue};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The rows by method and scope, so that a request is compared with few of them.
static BY_PLACE: LazyLock<BTreeMap<(Method, Scope), Vec<&'static Row>>> = LazyLock::new(|| {
    let mut rows = BTreeMap::<_, Vec<_>>::new();
    all().for_each(|row| rows.entry((row.method, row.scope)).or_default().push(row));
    rows
});

/// The row of the operation that a request means.
///
/// # Errors
/// `MethodNotAllowed`, with the methods that the path has an operation for; `InvalidArgument` for two subresources at
/// once, for a parameter that only other operations take, and for two values of one parameter; `InvalidRequest` for a
/// subresource that the scope doesn't have; `NotImplemented` for a parameter that S3 doesn't have.
pub fn recognise(
    method: &http::Method,
    address: &Address,
    query: &Query,
    headers: &HeaderMap,
) -> Result<&'static Row, S3Error> {
    let scope = Scope::of(address);
    let rows = Method::of(method).and_then(|method| BY_PLACE.get(&(method, scope)));
    let meant = rows
        .into_iter()
        .flatten()
        .filter(|operation| operation.is_meant(query, headers))
        .max_by_key(|operation| operation.specificity());
    let row = meant.ok_or_else(|| not_allowed(method.as_str(), scope, None))?;
    row.check_parameters(query)?;
    Ok(row)
}

impl Operation {
    /// Whether a request has the subresource and the qualifiers of this operation.
    fn is_meant(&self, query: &Query, headers: &HeaderMap) -> bool {
        self.subresource.is_none_or(|name| query.has(name))
            && self.qualifiers.iter().all(|qualifier| match *qualifier {
                Qualifier::Parameter(name) => query.has(name),
                Qualifier::Value(name, value) => query.get(name) == Some(value),
                Qualifier::Header(name) => headers.contains_key(name),
            })
    }

    /// Of several operations that fit a request, the most specific is meant: one with a subresource before one
    /// without, then the one with more qualifiers.
    fn specificity(&self) -> (bool, usize) {
        (self.subresource.is_some(), self.qualifiers.len())
    }

    /// Whether a query parameter selects this operation, or is one that it takes.
    fn knows(&self, parameter: &str) -> bool {
        self.subresource == Some(parameter)
            || self.parameters.contains(&parameter)
            || self.qualifiers.iter().any(|qualifier| qualifier.parameter() == Some(parameter))
    }

    fn check_parameters(&self, query: &Query) -> Result<(), S3Error> {
        if self.method == Method::Options {
            // A preflight has the path and query of the request that the browser is going to send.
            return Ok(());
        }
        if let Some(name) = self.contradicted(query) {
            let message = format!("The query parameter {name} may have only one value.");
            return Err(S3Error::invalid_argument(name, "", message));
        }
        let unknown = query.iter().map(|(name, _)| name).filter(|name| !self.knows(name));
        for name in unknown.filter(|name| !query::is_callers_own(name)) {
            if all().any(|operation| operation.subresource == Some(name)) {
                return Err(self.foreign_subresource(name));
            }
            if self.is_write() {
                return Err(self.unknown_parameter(name));
            }
        }
        Ok(())
    }

    /// A parameter that the query has with two different values. A signature sorts the parameters, so that it is the
    /// same for both orders, and somebody who intercepts a request could choose which of the values counts.
    fn contradicted<'a>(&self, query: &'a Query) -> Option<&'a str> {
        let mut first_values = Vec::new();
        let known = query.iter().filter(|(name, _)| self.knows(name));
        known
            .map(|(name, value)| match first_values.iter().find(|(first, _)| *first == name) {
                Some((_, first)) => (name, *first != value),
                None => {
                    first_values.push((name, value));
                    (name, false)
                }
            })
            .find_map(|(name, is_another)| is_another.then_some(name))
    }

    /// The refusal of a subresource that belongs to other operations.
    fn foreign_subresource(&self, name: &str) -> S3Error {
        let of_scope = |operation: &&Row| operation.scope == self.scope;
        let is_here = all().filter(of_scope).any(|operation| operation.subresource == Some(name));
        match self.subresource {
            Some(own) => {
                let message = format!("Conflicting query string parameters: {own}, {name}");
                S3Error::invalid_argument("ResourceType", own, message)
            }
            None if is_here => not_allowed(self.method.name(), self.scope, Some(name)),
            None => {
                let scope = match self.scope {
                    Scope::Object => "a key",
                    Scope::Bucket => "a bucket",
                    Scope::Service | Scope::ObjectResponse => "this path",
                };
                let message = format!("There is no such thing as the ?{name} sub-resource for {scope}");
                S3Error::new(Code::InvalidRequest).message(message)
            }
        }
    }

    /// The refusal of a parameter that the operation doesn't take, where the operation changes something: to ignore
    /// the parameter might change something else than the caller meant.
    fn unknown_parameter(&self, name: &str) -> S3Error {
        if all().any(|operation| operation.knows(name)) {
            let message = format!("{} doesn't take the query parameter {name}.", self.name);
            return S3Error::invalid_argument(name, "", message);
        }
        S3Error::not_implemented(&format!("The query parameter {name} of {}", self.name))
    }
}

impl Qualifier {
    fn parameter(self) -> Option<&'static str> {
        match self {
            Qualifier::Parameter(name) | Qualifier::Value(name, _) => Some(name),
            Qualifier::Header(_) => None,
        }
    }
}

impl Scope {
    fn of(address: &Address) -> Self {
        match address {
            Address::Service => Scope::Service,
            Address::Bucket(_) => Scope::Bucket,
            Address::Object(_, _) => Scope::Object,
            Address::ObjectResponse => Scope::ObjectResponse,
        }
    }
}

/// The refusal of a method that has no operation in the scope, or none with the subresource. It names the methods
/// that have one.
fn not_allowed(method: &str, scope: Scope, subresource: Option<&str>) -> S3Error {
    let mut allowed: Vec<&str> = Vec::new();
    let rows = all().filter(|operation| operation.scope == scope && operation.method != Method::Options);
    for operation in rows.filter(|operation| subresource.is_none() || operation.subresource == subresource) {
        if !allowed.contains(&operation.method.name()) {
            allowed.push(operation.method.name());
        }
    }
    let allow = HeaderValue::try_from(allowed.join(", ")).unwrap_or(HeaderValue::from_static(""));
    S3Error::new(Code::MethodNotAllowed)
        .with("Method", method)
        .with("ResourceType", subresource.map_or_else(|| scope.name().to_owned(), str::to_uppercase))
        .header(ALLOW, allow)
}
