//! The log callback: one for the process, because an endpoint that cannot be made has no other voice.

use super::answer::quiet;
use super::callback::{CallbackSlot, Place};
use std::ffi::{CString, c_char, c_void};
use std::sync::atomic::{AtomicI32, Ordering};

pub use super::codes::{
    SNM_LOG_BUG as BUG, SNM_LOG_ERROR as ERROR, SNM_LOG_MESSAGE as MESSAGE, SNM_LOG_WARNING as WARNING,
};

/// Called with a line of the log: its level, one of SNM_LOG_, and the text, valid during the call only.
/// It may come from any thread, several at once.
pub type snm_log_fn = Option<unsafe extern "C" fn(user_data: *mut c_void, level: i32, message: *const c_char)>;

type LogFn = unsafe extern "C" fn(*mut c_void, i32, *const c_char);

static SINK: CallbackSlot<LogFn> = CallbackSlot::new();

/// The most talkative level wanted; 0 for silence. Looked at before a line is even written.
static WANTED: AtomicI32 = AtomicI32::new(0);

/// Says a line, if anyone listens at that level.
pub fn say(level: i32, text: &str) {
    if level > WANTED.load(Ordering::Relaxed) {
        return;
    }
    let Ok(text) = CString::new(text) else { return }; // a NUL inside: none of our lines has one
    SINK.call(Place::Elsewhere, |function, user_data| {
        // SAFETY: the app promised a function of this type; the text lives until it returns.
        unsafe { function(user_data, level, text.as_ptr()) };
    });
}

/// Sets who is told what the library is doing, for the whole process; NULL for nobody.
///
/// Lines above max_level (SNM_LOG_BUG 1 to SNM_LOG_DEBUG 7) are not made. The function may be called on any
/// thread, from inside any call of this library; it may itself call the library. When this returns, no call
/// of the function it replaced is under way (unless called from inside that function), so what user_data
/// points to may be freed.
#[unsafe(no_mangle)]
pub extern "C" fn snm_set_log_callback(function: snm_log_fn, user_data: *mut c_void, max_level: i32) {
    quiet(|| {
        WANTED.store(if function.is_some() { max_level } else { 0 }, Ordering::Relaxed);
        SINK.set(function, user_data);
        Ok(())
    });
}
