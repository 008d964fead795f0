use super::{Body, Handler, Method, Operation, Qualifier, Row, Scope, all, recognise};
use crate::address::Address;
use crate::error::{Code, S3Error};
use crate::key;
use crate::query::Query;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::collections::BTreeSet;

/// What isn't in the SDKs' model: a browser's form and its preflight.
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

/// A request that means this row and no other.
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
fn handlers_are_of_their_place_and_take_the_bodies_there_are() {
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

/// What is built and heeds a version asks for the right to that version.
#[test]
fn a_version_needs_a_right_of_its_own() {
    let is_built = |row: &&Row| !matches!(row.handler, Handler::Unbuilt);
    // What locks a version, or restores it, is one right, to whichever it is; a form names none.
    let has_one = |row: &&Row| {
        matches!(row.subresource, Some("retention" | "legal-hold" | "restore")) || row.name == "PostObject"
    };
    for operation in all().filter(|row| is_built(row) && !has_one(row)) {
        let takes_version = operation.parameters.contains(&"versionId");
        let differs = operation.actions(false).zip(operation.actions(true)).all(|(one, other)| one != other);
        assert_eq!(takes_version, differs && operation.actions(true).count() > 0, "{}", operation.name);
        let of_others =
            [operation.source_actions(true).collect::<Vec<_>>(), operation.actions_on_each(true).collect()];
        assert!(of_others.concat().iter().all(|action| action.ends_with("Version")), "{}", operation.name);
    }
}

/// Every subresource with every method in every scope means the operation whose row has it, or is refused.
#[test]
fn a_subresource_is_never_taken_for_the_place_itself() {
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
                    // The one parameter that means something besides selecting: other values than 2 mean the first.
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

/// What a signature of version 2 doesn't cover, whoever has the request may change. So it covers all that decides what is
/// done: which operation it is, and whatever one that changes something takes.
#[test]
fn version_2_signs_what_decides_what_is_done() {
    // Two lists of one thing; and which of the configurations, of which there are none.
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
fn a_read_ignores_what_nobody_knows() {
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
fn refusals_have_s3s_codes() {
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
fn allow_says_what_would_be() {
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

/// docs/S3.md has every operation, and says of each whether it is built.
#[test]
fn the_documentation_is_the_table() {
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
            // A preflight is answered before anybody is asked who they are, by no handler.
            let is_unbuilt = matches!(operation.handler, Handler::Unbuilt) && name != "Preflight";
            assert_eq!(works.first().is_some_and(|works| *works == "501"), is_unbuilt, "{name}");
        }
    }
}
