use super::{Body, Handler, Method, Operation, Qualifier, Row, Scope, all, recognise};
use crate::address::Address;
use crate::error::{Code, S3Error};
use crate::key;
use crate::query::Query;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::collections::BTreeSet;

/// The operations that only browsers use, and that the SDKs' model doesn't have: a form's upload, and a preflight.
const BROWSERS: [&str; 2] = ["PostObject", "Preflight"];

fn address(scope: Scope) -> Address {
    match scope {
        Scope::Service => Address::Service,
        Scope::Bucket => Address::Bucket("bucket".into()),
        Scope::Object => Address::Object("bucket".into(), key::from_path("key").unwrap()),
        Scope::ObjectResponse => Address::ObjectResponse,
    }
}

fn asked(
    method: &http::Method,
    scope: Scope,
    query: &str,
    headers: &[&'static str],
) -> Result<&'static Row, S3Error> {
    let header =
        |name: &&'static str| (HeaderName::from_static(name), HeaderValue::from_static("bucket/key"));
    let headers: HeaderMap = headers.iter().map(header).collect();
    recognise(method, &address(scope), &Query::parse(query).unwrap(), &headers)
}

fn name(method: http::Method, scope: Scope, query: &str) -> Result<&'static str, Code> {
    asked(&method, scope, query, &[]).map(|operation| operation.name).map_err(|error| error.code())
}

/// The method, query and headers of a request that means this operation and no other.
fn request(operation: &Operation) -> (http::Method, String, Vec<&'static str>) {
    let mut query: Vec<String> = operation.subresource.map(str::to_owned).into_iter().collect();
    let mut headers = Vec::new();
    for qualifier in operation.qualifiers {
        match *qualifier {
            Qualifier::Parameter(name) => query.push(format!("{name}=1")),
            Qualifier::Value(name, value) => query = vec![format!("{name}={value}")],
            Qualifier::Header(name) => headers.push(name),
        }
    }
    (operation.method.name().parse().unwrap(), query.join("&"), headers)
}

#[test]
fn the_table_has_every_operation_of_s3_and_no_other() {
    let listed: BTreeSet<&str> = include_str!("s3-operations.txt").lines().chain(BROWSERS).collect();
    let table: BTreeSet<&str> =
        all().flat_map(|operation| [Some(operation.name), operation.former_name]).flatten().collect();
    assert_eq!(table, listed);
}

#[test]
fn every_operation_is_recognised_by_what_its_row_says() {
    for operation in all() {
        let (method, query, headers) = request(operation);
        let known = operation.parameters.iter().map(|name| format!("&{name}=1"));
        for query in [query.clone(), known.fold(query, |all, name| all + &name)] {
            let found = asked(&method, operation.scope, &query, &headers);
            assert_eq!(found.map(|found| found.name).ok(), Some(operation.name), "{method} ?{query}");
        }
    }
}

#[test]
fn a_handler_is_of_its_rows_scope_and_takes_a_body_where_the_row_says_so() {
    for operation in all() {
        let (scope, takes_body) = match operation.handler {
            Handler::Unbuilt => continue,
            Handler::Service(_) => (Scope::Service, false),
            Handler::NewBucket(_) | Handler::BucketBody(_) => (Scope::Bucket, true),
            Handler::Bucket(_) => (Scope::Bucket, false),
            Handler::Object(_) => (Scope::Object, false),
            Handler::ObjectBody(_) => (Scope::Object, true),
        };
        assert_eq!(
            (operation.scope, operation.body != Body::None),
            (scope, takes_body),
            "{}",
            operation.name
        );
    }
}

#[test]
fn every_operation_but_a_preflight_needs_a_right() {
    for operation in all().filter(|operation| operation.method != Method::Options) {
        let actions = operation.actions(false).chain(operation.actions_on_each(false));
        assert!(actions.count() > 0, "{}", operation.name);
        let copies =
            operation.qualifiers.iter().any(|of| matches!(of, Qualifier::Header("x-amz-copy-source")));
        assert_eq!(operation.source_actions(false).count() > 0, copies, "{}", operation.name);
    }
}

/// An implemented operation that takes a `versionId` needs another action's right to that version.
#[test]
fn a_version_needs_a_right_of_its_own() {
    let is_built = |row: &&Row| !matches!(row.handler, Handler::Unbuilt);
    // Of these the right is the same whether or not the request names a version; the form of PostObject can't name
    // one.
    let has_one_right = |row: &&Row| {
        matches!(row.subresource, Some("retention" | "legal-hold" | "restore")) || row.name == "PostObject"
    };
    for operation in all().filter(|row| is_built(row) && !has_one_right(row)) {
        let takes_version = operation.parameters.contains(&"versionId");
        let differs = operation.actions(false).zip(operation.actions(true)).all(|(one, other)| one != other);
        assert_eq!(takes_version, differs && operation.actions(true).count() > 0, "{}", operation.name);
        let of_others =
            [operation.source_actions(true).collect::<Vec<_>>(), operation.actions_on_each(true).collect()];
        assert!(of_others.concat().iter().all(|action| action.ends_with("Version")), "{}", operation.name);
    }
}

/// A request with a subresource means an operation whose row has the subresource, or is refused: with every method,
/// in every scope.
#[test]
fn a_request_with_a_subresource_is_never_taken_for_one_without() {
    let subresources: BTreeSet<&str> = all().filter_map(|operation| operation.subresource).collect();
    let methods =
        ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH"].map(|name| name.parse::<http::Method>().unwrap());
    for scope in [Scope::Service, Scope::Bucket, Scope::Object, Scope::ObjectResponse] {
        for (method, name) in
            methods.iter().flat_map(|method| subresources.iter().map(move |name| (method, name)))
        {
            for (query, headers) in [
                (name.to_string(), &[][..]),
                (format!("{name}=2"), &[][..]),
                (format!("x-id=PutObject&{name}=1"), &["x-amz-copy-source"][..]),
            ] {
                match asked(method, scope, &query, headers) {
                    Ok(found) if found.subresource == Some(*name) => {}
                    // With any other value than 2 `list-type` means ListObjects, the first version, whose row has no
                    // subresource.
                    Ok(found) if (found.name, *name) == ("ListObjects", "list-type") => {}
                    Ok(found) => panic!("{method} {scope:?} ?{query} is taken for {}", found.name),
                    Err(error) => {
                        let status = error.code().status().as_u16();
                        assert!([400, 405, 501].contains(&status), "{method} {scope:?} ?{query}: {status}");
                    }
                }
            }
        }
    }
}

#[test]
fn two_subresources_are_refused_together() {
    let rows = || all().filter(|operation| operation.subresource.is_some());
    for (one, other) in rows().flat_map(|one| rows().map(move |other| (one, other))) {
        if one.subresource == other.subresource || (one.method, one.scope) != (other.method, other.scope) {
            continue;
        }
        let (method, query, headers) = request(one);
        let query = format!("{query}&{}", request(other).1);
        let refused = asked(&method, one.scope, &query, &headers).map(|found| found.name);
        assert_eq!(refused.map_err(|error| error.code()), Err(Code::InvalidArgument), "{method} ?{query}");
    }
}

#[test]
fn a_write_heeds_every_parameter_or_is_refused() {
    for operation in all().filter(|operation| operation.is_write()) {
        let (method, query, headers) = request(operation);
        let with =
            |parameter: &str| asked(&method, operation.scope, &format!("{query}&{parameter}"), &headers);
        for own in ["x-id=1", "X-Amz-Date=1", "x-amz-meta-a=1", "X-Trace=1"] {
            assert!(with(own).is_ok(), "{} {own}", operation.name);
        }
        for (unknown, code) in
            [("annotation2=1", Code::NotImplemented), ("response-expires=1", Code::InvalidArgument)]
        {
            assert_eq!(with(unknown).unwrap_err().code(), code, "{} {unknown}", operation.name);
        }
    }
}

/// A signature of version 2 covers only some query parameters, and whoever intercepts a request may change the
/// others. So it must cover those that select an operation, every parameter of an operation that changes something,
/// and `versionId`.
#[test]
fn a_signature_of_version_2_covers_the_parameters_that_decide_what_is_done() {
    // `list-type` and `max-directory-buckets` choose between two forms of the same list; `id` names one of a bucket's
    // configurations of a kind of which no bucket has any here.
    const UNSIGNED: [&str; 3] = ["list-type", "max-directory-buckets", "id"];
    for row in all() {
        let qualifiers = row.qualifiers.iter().filter_map(|qualifier| match *qualifier {
            Qualifier::Parameter(name) | Qualifier::Value(name, _) => Some(name),
            Qualifier::Header(name) => {
                assert!(name.starts_with("x-amz-") || name == "content-type", "{} {name}", row.name);
                None
            }
        });
        let taken = row.parameters.iter().copied().filter(|name| row.is_write() || *name == "versionId");
        for name in row.subresource.into_iter().chain(qualifiers).chain(taken) {
            let is_signed = stratum_auth::version_2::SIGNED_PARAMETERS.contains(&name);
            assert!(is_signed || UNSIGNED.contains(&name), "{} {name}", row.name);
        }
    }
}

#[test]
fn a_read_ignores_parameters_that_no_operation_has_as_a_subresource() {
    assert_eq!(name(http::Method::GET, Scope::Object, "unknown=1&prefix=a"), Ok("GetObject"));
    assert_eq!(name(http::Method::HEAD, Scope::Bucket, "unknown"), Ok("HeadBucket"));
    assert_eq!(
        name(http::Method::GET, Scope::Bucket, "list-type=2&prefix=acl&partNumber=1"),
        Ok("ListObjectsV2")
    );
    assert_eq!(name(http::Method::GET, Scope::Bucket, "list-type=1"), Ok("ListObjects"));
    assert_eq!(name(http::Method::GET, Scope::Object, "partNumber=1&x-id=GetObject"), Ok("GetObject"));
}

#[test]
fn a_refused_request_has_the_code_that_s3_gives_it() {
    use Scope::{Bucket, Object, Service};
    use http::Method;
    for (method, scope, query, code) in [
        (Method::PUT, Object, "partNumber=1", Code::InvalidArgument),
        (Method::DELETE, Object, "partNumber=1", Code::InvalidArgument),
        (Method::DELETE, Bucket, "uploads", Code::MethodNotAllowed),
        (Method::DELETE, Bucket, "list-type=2", Code::MethodNotAllowed),
        (Method::DELETE, Object, "uploads", Code::MethodNotAllowed),
        (Method::DELETE, Object, "versions", Code::InvalidRequest),
        (Method::GET, Object, "uploads", Code::MethodNotAllowed),
        (Method::GET, Object, "policy", Code::InvalidRequest),
        (Method::GET, Service, "acl", Code::InvalidRequest),
        (Method::GET, Bucket, "acl&policy", Code::InvalidArgument),
        (Method::PUT, Object, "nonsense", Code::NotImplemented),
        (Method::DELETE, Service, "", Code::MethodNotAllowed),
        (Method::PATCH, Object, "", Code::MethodNotAllowed),
    ] {
        assert_eq!(name(method.clone(), scope, query), Err(code), "{method} {scope:?} ?{query}");
    }
}

#[test]
fn allow_names_the_methods_that_have_an_operation() {
    let allow = |method: http::Method, scope, query: &str| {
        let error = asked(&method, scope, query, &[]).unwrap_err();
        let response = error.respond(&crate::request_id::RequestId::from_u64(1), "/", false);
        response.headers()["allow"].to_str().unwrap().to_owned()
    };
    assert_eq!(allow(http::Method::DELETE, Scope::Service, ""), "GET");
    assert_eq!(allow(http::Method::DELETE, Scope::Bucket, "uploads"), "GET");
    assert_eq!(allow(http::Method::POST, Scope::Bucket, "acl"), "GET, PUT");
    assert_eq!(allow(http::Method::PATCH, Scope::Object, ""), "PUT, DELETE, GET, HEAD, POST");
}

#[test]
fn the_documentation_has_every_operation_and_says_whether_it_is_implemented() {
    let text = include_str!("../../../../docs/S3.md");
    let rows =
        || text.lines().filter_map(|line| line.strip_prefix("| ")).map(|line| line.split('|').map(str::trim));
    for operation in all() {
        for name in [Some(operation.name), operation.former_name].into_iter().flatten() {
            let works: Vec<&str> = rows()
                .filter_map(|mut cells| {
                    let names = cells.next()?;
                    names
                        .split(", ")
                        .any(|listed| listed.split(' ').next() == Some(name))
                        .then(|| cells.next())?
                })
                .collect();
            assert_eq!(works.len(), 1, "{name} has one row in docs/S3.md");
            // A preflight is answered before authentication, and not by a handler.
            let is_unbuilt = matches!(operation.handler, Handler::Unbuilt) && name != "Preflight";
            assert_eq!(works.first().is_some_and(|works| *works == "501"), is_unbuilt, "{name}");
        }
    }
}
