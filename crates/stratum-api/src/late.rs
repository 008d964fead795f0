//! Answers that come late.
//!
//! A client that hears nothing gives up, many after a minute, and a copy of an object of some GiB takes longer. S3 begins
//! such an answer before it knows what that will be, with `200` and white space, and ends it with the document, which is
//! an `<Error>` if the operation failed: SDKs look into the answers to these operations for that. So does this server,
//! but only where the answer takes long. An answer that doesn't has its own status, and all its headers.
//!
//! The work itself knows nothing of it. It comes to its own answer, and what is logged of the request, and told to the
//! audit, is that.
//!
//! Sources: Amazon S3 API Reference, CopyObject, UploadPartCopy and CompleteMultipartUpload.

use crate::in_flight::InFlight;
use crate::text::DECLARATION;
use axum::body::Body;
use bytes::{Buf, Bytes};
use futures_util::stream;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body::Body as _;
use http_body_util::BodyExt;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tracing_mutex::parkinglot::Mutex;

/// The pause between white space and white space.
const PAUSE: Duration = Duration::from_secs(10);

/// Whether the answer to a request may be begun before it is known, which the request's operation says as soon as all
/// that its head asks for was found to be right.
#[derive(Clone, Debug, Default)]
pub struct Late(Option<Arc<Mutex<Option<HeaderMap>>>>);

impl Late {
    /// Of a request that may take long, by its head; the answer to any other is waited for. What takes long has no
    /// payload: it is copied, or it was uploaded before and a document names it.
    pub fn of(request: &Request<Body>) -> Late {
        let has_no_payload = match *request.method() {
            Method::PUT => request.body().is_end_stream(),
            Method::POST => true,
            _ => false,
        };
        Late(has_no_payload.then(Arc::default))
    }

    /// Says that the answer may be begun from now on, with these headers beside its own. The request's body must have
    /// been read.
    pub fn may_begin(&self, headers: impl FnOnce(&mut HeaderMap)) {
        if let Late(Some(begun)) = self {
            let mut out = HeaderMap::new();
            headers(&mut out);
            *begun.lock() = Some(out);
        }
    }

    /// Whether the answer is waited for in any case.
    pub fn is_never(&self) -> bool {
        self.0.is_none()
    }

    fn headers(&self) -> Option<HeaderMap> {
        self.0.as_ref()?.lock().clone()
    }

    /// The answer that `work` comes to. If that takes longer than `patience`, and may be begun, it is an answer whose body waits for the rest
    /// of the work, which is done to its end whether or not that body is read. `head` writes the headers that all answers have
    /// into the head of that one.
    pub async fn answer(
        self,
        work: impl Future<Output = Response<Body>> + Send + 'static,
        patience: Duration,
        in_flight: InFlight,
        head: impl FnOnce(&mut HeaderMap),
    ) -> Response<Body> {
        let mut work: Working = Box::pin(work);
        let mut wait = patience;
        let headers = loop {
            if let Ok(answer) = tokio::time::timeout(wait, &mut work).await {
                return answer;
            }
            match self.headers() {
                Some(headers) => break headers,
                None => wait = wait.min(PAUSE),
            }
        };
        // The body is dropped when the client leaves, and the work is not.
        let work: Working = Box::pin(in_flight.finish(work));
        let mut answer = Response::new(Body::from_stream(stream::unfold(Telling::Begun(work), tell)));
        *answer.headers_mut() = headers;
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        head(answer.headers_mut());
        answer
    }
}

type Working = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// How far an answer that was begun has come.
enum Telling {
    Begun(Working),
    Waiting(Working),
    /// All was told. What the answer's memory was admitted by is kept until that was sent.
    Told {
        _kept: http::Extensions,
    },
}

/// The next bytes of an answer that was begun.
async fn tell(telling: Telling) -> Option<(Result<Bytes, Infallible>, Telling)> {
    let (bytes, next) = match telling {
        Telling::Begun(work) => (Bytes::from_static(DECLARATION.as_bytes()), Telling::Waiting(work)),
        Telling::Waiting(mut work) => match tokio::time::timeout(PAUSE, &mut work).await {
            Err(_) => (Bytes::from_static(b"\n"), Telling::Waiting(work)),
            Ok(answer) => {
                let (parts, body) = answer.into_parts();
                (rest(body).await, Telling::Told { _kept: parts.extensions })
            }
        },
        Telling::Told { .. } => return None,
    };
    Some((Ok(bytes), next))
}

/// A document without its declaration, which was sent before.
async fn rest(document: Body) -> Bytes {
    // Documents are in memory, which can't fail.
    let mut document = document.collect().await.map(|collected| collected.to_bytes()).unwrap_or_default();
    if document.starts_with(DECLARATION.as_bytes()) {
        document.advance(DECLARATION.len());
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;
    use tokio::sync::watch;

    const PATIENCE: Duration = Duration::from_secs(20);
    const LONG: Duration = Duration::from_secs(3_600);

    async fn after(pause: Duration, status: StatusCode, root: &str) -> Response<Body> {
        tokio::time::sleep(pause).await;
        let mut answer = Response::new(Body::from(format!("{DECLARATION}<{root}/>")));
        *answer.status_mut() = status;
        answer
    }

    fn nothing_stops() -> InFlight {
        InFlight::new(watch::channel(false).1)
    }

    #[tokio::test(start_paused = true)]
    async fn the_work_goes_on_when_the_begun_answer_is_dropped() {
        let late = copy();
        late.may_begin(|_| {});
        let (done, told) = tokio::sync::oneshot::channel();
        let work = async move {
            let answer = after(LONG, StatusCode::OK, "CopyObjectResult").await;
            let _ = done.send(());
            answer
        };
        drop(late.answer(work, PATIENCE, nothing_stops(), |_| {}).await);
        assert_eq!(told.await, Ok(()));
    }

    fn copy() -> Late {
        Late::of(&Request::put("/bucket/k").body(Body::empty()).unwrap())
    }

    /// The status of an answer, and its body with the white space counted.
    async fn read(answer: Response<Body>) -> (StatusCode, String, usize) {
        let status = answer.status();
        let text =
            String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
        let spaces = text.matches('\n').count() - DECLARATION.matches('\n').count();
        (status, text.replace('\n', ""), spaces)
    }

    fn document(root: &str) -> String {
        format!("{}<{root}/>", DECLARATION.trim_end())
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_soon_there_is_itself() {
        let late = copy();
        late.may_begin(|_| {});
        let answer = late
            .answer(
                after(PATIENCE / 2, StatusCode::NOT_FOUND, "Error"),
                PATIENCE,
                nothing_stops(),
                |_| panic!(),
            )
            .await;
        assert_eq!(read(answer).await, (StatusCode::NOT_FOUND, document("Error"), 0));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_late_is_begun_and_ends_with_what_it_comes_to() {
        for (status, root) in [(StatusCode::OK, "CopyObjectResult"), (StatusCode::CONFLICT, "Error")] {
            let late = copy();
            late.may_begin(|out| drop(out.insert("x-own", HeaderValue::from_static("1"))));
            let began = tokio::time::Instant::now();
            let head = |out: &mut HeaderMap| drop(out.insert("x-all", HeaderValue::from_static("2")));
            let answer = late.answer(after(LONG, status, root), PATIENCE, nothing_stops(), head).await;
            assert!(began.elapsed() < LONG, "the head comes before the end");
            assert_eq!(answer.headers()["x-own"], "1");
            assert_eq!(answer.headers()["x-all"], "2");
            let (status, text, spaces) = read(answer).await;
            assert_eq!((status, text), (StatusCode::OK, document(root)));
            assert!(spaces > 300, "{spaces}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_may_not_be_begun_is_waited_for() {
        let uploads = Request::put("/bucket/k").body(Body::from("bytes")).unwrap();
        let reads = Request::get("/bucket/k").body(Body::empty()).unwrap();
        for late in [Late::of(&uploads), Late::of(&reads), Late::default()] {
            late.may_begin(|_| panic!());
            assert!(late.is_never());
        }
        let answer = copy()
            .answer(after(LONG, StatusCode::CONFLICT, "Error"), PATIENCE, nothing_stops(), |_| panic!())
            .await;
        assert_eq!(answer.status(), StatusCode::CONFLICT, "nobody said that it may be begun");
    }
}
