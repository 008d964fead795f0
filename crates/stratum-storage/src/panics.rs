//! A panic, caught where a thread or a task begins, and what it said.
//!
//! A panic is a mistake of ours. Nobody may wait for ever for a thread that ended by one, so what runs on a thread of
//! its own is called through here, and whoever catches the panic decides which state can't be trusted any more.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Does some work. The error is what the work panicked with.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| words(&*panic))
}

/// What a panic said.
pub fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a word").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_what_it_said() {
        assert_eq!(caught(|| 1), Ok(1));
        assert_eq!(caught(|| panic!("plainly")), Err::<(), _>("plainly".into()));
        assert_eq!(caught(|| panic!("with {}", 2)), Err::<(), _>("with 2".into()));
        assert_eq!(caught(|| std::panic::panic_any(3)), Err::<(), _>("without a word".into()));
    }
}
