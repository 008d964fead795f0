//! What the head of a request costs its sender where it is larger than S3's heads are.
//!
//! Heads of up to 64 KiB are taken, though S3 itself takes 8 KiB of headers, and a head is read whole before anybody
//! can know who sent it. A stranger who sends one large head after the other would have a processor read them as fast
//! as the network brings them, and everybody's requests would wait for that. So the answer to such a head waits for
//! as long as its bytes take at a pace that no client of S3's would notice.

use http::Request;
use std::time::Duration;

/// How many bytes of a head are free: what S3 takes of headers, and as much again for the path and the query.
const FREE_BYTES: u64 = 16 << 10;
/// How fast the bytes beyond may come, on each connection.
const BYTES_PER_SECOND: u64 = 1 << 20;

/// How long after a request's head its answer may be sent. None for a head of a usual size.
pub fn pause<B>(request: &Request<B>) -> Option<Duration> {
    let uri = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
    let bytes = (uri + headers.sum::<usize>()) as u64;
    let beyond = bytes.checked_sub(FREE_BYTES).filter(|beyond| *beyond > 0)?;
    Some(Duration::from_micros(beyond * 1_000_000 / BYTES_PER_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_heads_larger_than_those_of_s3_wait() {
        let head = |bytes: usize| {
            Request::get("/bucket/key")
                .header("x-amz-meta-large", "v".repeat(bytes))
                .body(())
                .expect("a request")
        };
        assert_eq!(pause(&head(8 << 10)), None);
        assert_eq!(pause(&head(16 << 10)).map(|pause| pause.as_millis()), Some(0));
        let large = pause(&head(60 << 10)).expect("a pause").as_millis();
        assert!((40..50).contains(&large), "{large} ms");

        let path = Request::get(format!("/bucket/{}", "k".repeat(48 << 10))).body(()).expect("a request");
        assert!(pause(&path).expect("a pause").as_millis() > 30);
    }
}
