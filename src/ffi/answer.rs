//! How every function answers: the panic guard, refusals, and the thread's last error text.

use super::codes::{SNM_RESULT_FAIL, SNM_RESULT_IGNORED, SNM_RESULT_INVALID_PARAM, SNM_RESULT_INVALID_STATE};
use super::codes::{SNM_RESULT_LIMIT_EXCEEDED, SNM_RESULT_NO_CONNECTION, SNM_RESULT_OK, snm_result};
use super::log;
use super::pointers::fitting;
use crate::endpoint::SendError;
use crate::endpoint::config::ConfigError;
use std::borrow::Cow;
use std::cell::Cell;
use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A call that did nothing: the code that says so and the text for `snm_last_error`.
#[derive(Debug)]
pub struct Refusal {
    /// For functions that answer with a code.
    pub code: snm_result,
    /// For humans.
    pub text: Cow<'static, str>,
}

impl Refusal {
    /// INVALID_PARAM.
    pub fn param(text: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { code: SNM_RESULT_INVALID_PARAM, text: text.into() }
    }

    /// INVALID_STATE.
    pub fn state(text: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { code: SNM_RESULT_INVALID_STATE, text: text.into() }
    }

    /// LIMIT_EXCEEDED.
    pub fn limit(text: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { code: SNM_RESULT_LIMIT_EXCEEDED, text: text.into() }
    }

    /// FAIL.
    pub fn fail(text: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { code: SNM_RESULT_FAIL, text: text.into() }
    }
}

impl From<ConfigError> for Refusal {
    fn from(error: ConfigError) -> Refusal {
        match error {
            ConfigError::Invalid(text) => Refusal::param(text),
            ConfigError::State(text) => Refusal::state(text),
            ConfigError::Limit(text) => Refusal::limit(text),
        }
    }
}

impl From<SendError> for Refusal {
    fn from(error: SendError) -> Refusal {
        match error {
            SendError::InvalidParam(text) => Refusal::param(text),
            SendError::LimitExceeded(text) => Refusal::limit(text),
            SendError::NoConnection => Refusal {
                code: SNM_RESULT_NO_CONNECTION,
                text:
                    "the session with this user is broken: close it, or send with SNM_SEND_AUTO_RESTART_BROKEN_SESSION"
                        .into(),
            },
            SendError::Ignored => Refusal {
                code: SNM_RESULT_IGNORED,
                text: "SNM_SEND_NO_DELAY: the message could not leave at once and was dropped".into(),
            },
        }
    }
}

/// Runs the body of a function; a refusal or a panic becomes `otherwise(code)` and the last error text.
pub fn call<T>(otherwise: impl FnOnce(snm_result) -> T, body: impl FnOnce() -> Result<T, Refusal>) -> T {
    // Unwind safety: what a panic may leave half done is the endpoint, and the driver takes a poisoned one
    // out of service; the tables of this room are changed in single steps.
    let refusal = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => return value,
        Ok(Err(refusal)) => refusal,
        Err(panic) => {
            let what = panic.downcast_ref::<String>().map(String::as_str);
            let what = what.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
            let text = format!("internal error, please report it: {what}");
            // The log callback is the app's: it may be the very thing that fails.
            let _ = catch_unwind(AssertUnwindSafe(|| log::say(log::BUG, &text)));
            Refusal::fail(text)
        }
    };
    set_last_error(&refusal.text);
    otherwise(refusal.code)
}

/// [`call`] for functions that answer with a code.
pub fn result(body: impl FnOnce() -> Result<(), Refusal>) -> snm_result {
    call(|code| code, || body().map(|()| SNM_RESULT_OK))
}

/// [`call`] for functions that answer yes (1) or no (0).
pub fn flag(body: impl FnOnce() -> Result<bool, Refusal>) -> u8 {
    call(|_| 0, || body().map(u8::from))
}

/// [`call`] for functions that answer with a number, 0 when refused.
pub fn count(body: impl FnOnce() -> Result<i32, Refusal>) -> i32 {
    call(|_| 0, body)
}

/// [`call`] for functions that answer nothing.
pub fn quiet(body: impl FnOnce() -> Result<(), Refusal>) {
    call(|_| (), body);
}

const ERROR_BYTES: usize = 512;

thread_local! {
    /// A plain buffer: it needs no destructor, so it does not keep the library in memory.
    static LAST_ERROR: Cell<[u8; ERROR_BYTES]> = const { Cell::new([0; ERROR_BYTES]) };
}

fn set_last_error(text: &str) {
    let mut buffer = [0; ERROR_BYTES];
    let kept = fitting(text, ERROR_BYTES - 1);
    // A NUL inside would end the text early, never run over it: the last byte stays 0.
    buffer[..kept.len()].copy_from_slice(kept);
    LAST_ERROR.with(|last| last.set(buffer));
}

/// The text of the calling thread's last refused call, in English, for logs and developers; "" when none was.
///
/// Meaningful right after a call that answered failure; calls that succeed leave it as it is. Never NULL.
/// The text belongs to the library and stays valid on this thread until its next failing call.
#[unsafe(no_mangle)]
pub extern "C" fn snm_last_error() -> *const c_char {
    LAST_ERROR.with(|last| last.as_ptr().cast_const().cast())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    fn last_error() -> String {
        // SAFETY: the buffer is NUL-terminated and this thread's own.
        unsafe { CStr::from_ptr(snm_last_error()) }.to_str().expect("UTF-8").to_owned()
    }

    #[test]
    fn a_panic_becomes_fail_and_a_text() {
        assert_eq!(result(|| panic!("seven {}", 7)), SNM_RESULT_FAIL);
        assert!(last_error().contains("seven 7"), "{}", last_error());
        assert_eq!(flag(|| panic!("eight")), 0);
        assert!(last_error().contains("eight"), "{}", last_error());
    }

    #[test]
    fn a_success_leaves_the_last_error_alone() {
        assert_eq!(result(|| Err(Refusal::param("first"))), SNM_RESULT_INVALID_PARAM);
        assert_eq!(result(|| Ok(())), SNM_RESULT_OK);
        assert_eq!(last_error(), "first");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = "ü".repeat(400);
        assert_eq!(result(|| Err(Refusal::state(text))), SNM_RESULT_INVALID_STATE);
        assert_eq!(last_error(), "ü".repeat(255));
    }
}
