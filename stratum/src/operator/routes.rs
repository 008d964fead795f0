//! Routes that declare which query parameters they take. A request with any other parameter is refused, since what that
//! parameter asks for would not be done.
//!
//! Every refusal is a JSON document of the same form. axum's own refusals, of a value that can't be parsed or of a
//! method that a route doesn't have, are plain text, and are turned into such a document here.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Query;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::MethodRouter;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{Request, StatusCode};
use stratum_api::server::admin::refusal;

/// How much of the text of axum's own refusals is told.
const MAX_SAID_BYTES: usize = 16 << 10;

/// The operator's routes, each with the parameters that it takes.
pub struct Routes<S>(Router<S>);

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    pub fn new() -> Self {
        Self(Router::new())
    }

    /// Adds a route. A path may be given several times, with different methods and parameters.
    pub fn route(self, path: &str, methods: MethodRouter<S>, parameters: &'static [&'static str]) -> Self {
        let check = move |request, next| check(parameters, request, next);
        Self(self.0.route(path, methods.layer(middleware::from_fn(check))))
    }

    pub fn with_state(self, state: S) -> Router {
        self.0.layer(middleware::map_response(documented)).with_state(state)
    }
}

/// Turns a refusal that axum itself has made into a JSON document.
async fn documented(response: Response) -> Response {
    let (status, headers) = (response.status(), response.headers());
    let is_document = headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if is_document || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let allow = headers.get(ALLOW).cloned();
    let said = to_bytes(response.into_body(), MAX_SAID_BYTES).await.unwrap_or_default();
    let problem = match std::str::from_utf8(&said) {
        Ok(said) if !said.is_empty() => said,
        _ => status.canonical_reason().unwrap_or_default(),
    };
    let mut refused = refusal(status, problem);
    refused.headers_mut().extend(allow.map(|methods| (ALLOW, methods)));
    refused
}

async fn check(parameters: &[&str], request: Request<Body>, next: Next) -> Response {
    let Ok(Query(asked)) = Query::<Vec<(String, String)>>::try_from_uri(request.uri()) else {
        return refusal(StatusCode::BAD_REQUEST, "the query can't be read");
    };
    match asked.iter().find(|(name, _)| !parameters.contains(&name.as_str())) {
        None => next.run(request).await,
        Some((unknown, _)) => refusal(StatusCode::BAD_REQUEST, &problem(unknown, parameters)),
    }
}

fn problem(unknown: &str, parameters: &[&str]) -> String {
    let unknown = unknown.escape_debug();
    match parameters {
        [] => format!("the parameter \"{unknown}\" is not known here: this call takes none"),
        some => format!("the parameter \"{unknown}\" is not known here: this call takes {}", some.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::{get, post};
    use http_body_util::BodyExt;
    use tower_service::Service;

    #[derive(serde::Deserialize)]
    struct Number {
        #[allow(dead_code)]
        n: u8,
    }

    async fn asked(method: &str, uri: &str) -> (StatusCode, String) {
        let routes = Routes::new()
            .route("/plain", get(async || "plain"), &[])
            .route("/both", get(async || "got"), &["a"])
            .route("/both", post(async || "posted"), &["b", "c"])
            .route("/number", get(async |Query(_): Query<Number>| "number"), &["n"]);
        let mut router: Router = routes.with_state(());
        let request = Request::builder().method(method).uri(uri).body(Body::empty()).unwrap();
        let response = router.call(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_parameter_that_a_route_does_not_take_is_refused_by_name() {
        for (method, uri, told) in
            [("GET", "/plain", "plain"), ("GET", "/both?a=1", "got"), ("POST", "/both?c=1&b=2", "posted")]
        {
            assert_eq!(asked(method, uri).await, (StatusCode::OK, told.into()), "{uri}");
        }
        for (method, uri, told) in [
            ("GET", "/plain?dry=1", "\\\"dry\\\" is not known here: this call takes none"),
            ("GET", "/both?b=1", "\\\"b\\\" is not known here: this call takes a"),
            ("POST", "/both?b=1&%61=2", "\\\"a\\\" is not known here: this call takes b, c"),
        ] {
            let (status, said) = asked(method, uri).await;
            assert!(status == StatusCode::BAD_REQUEST && said.contains(told), "{uri}: {said}");
        }
    }

    #[tokio::test]
    async fn refusals_of_the_framework_are_json_documents_too() {
        for (method, uri, status, told) in [
            (
                "GET",
                "/number?n=x",
                400,
                "Failed to deserialize query string: n: invalid digit found in string",
            ),
            ("GET", "/number", 400, "Failed to deserialize query string: missing field `n`"),
            ("DELETE", "/plain", 405, "Method Not Allowed"),
        ] {
            let document = serde_json::json!({ "error": told }).to_string();
            let (was, said) = asked(method, uri).await;
            assert_eq!((was.as_u16(), said.trim_end()), (status, document.as_str()), "{uri}");
        }
    }
}
