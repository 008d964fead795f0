//! Runs work on long documents apart from the threads that serve requests, so that other requests don't wait for it.

use crate::error::{Code, S3Error};
use stratum_storage::apart::Apart;

static LONG_WORK: Apart = Apart::leaving_one("long work");

/// Runs the work on threads of a low priority, which take work in the order in which it came.
///
/// # Errors
/// `InternalError` when the work panicked.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, S3Error> {
    let ended = |_| S3Error::new(Code::InternalError).because("long work ended before it was done");
    LONG_WORK.spawn(work).await.map_err(ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_panics_is_an_error() {
        let failed = run(|| -> u8 { panic!("on purpose") }).await;
        assert_eq!(failed.unwrap_err().code(), Code::InternalError);
        assert_eq!(run(|| 7).await.unwrap(), 7);
    }
}
