//! Nothing unwinds into SQLite: a panic becomes an error.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use crate::error::{Error, Kind, Result};

/// Runs the body of a callback.
///
/// A panic inside it comes back as [`Kind::Panic`]. The state it may have left
/// half-changed is ours alone and guarded by locks that do not poison; what is
/// on disk is only ever changed by a commit at the very end.
pub fn guard<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        let text = format!(
            "internal error: {}; the database is unharmed, please report this",
            message(payload.as_ref())
        );
        Err(Error::new(Kind::Panic, text))
    })
}

/// Runs a callback that has no way to report an error, such as a destructor.
pub fn guard_quietly(body: impl FnOnce()) {
    let _ = guard(|| {
        body();
        Ok(())
    });
}

/// Keeps panics from being printed on the host's stderr. This library has its
/// own copy of Rust's runtime, so the host's own panics are not touched.
#[expect(clippy::disallowed_methods, reason = "the hook of this library's own runtime")]
pub fn silence_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|_| ())));
}

fn message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("unknown panic")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_with_its_message() {
        let error = guard::<()>(|| panic!("number {}", 7)).unwrap_err();
        assert_eq!(error.kind(), Kind::Panic);
        assert_eq!(
            error.to_string(),
            "internal error: number 7; the database is unharmed, please report this"
        );
    }
}
