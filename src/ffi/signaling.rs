//! The app's own signaling. This version has none to hand signals to: it says so, and does nothing.

use super::answer::{Refusal, call, quiet, result};
use super::codes::snm_result;
use super::life::{find, snm_endpoint};
use std::ffi::c_void;

const LACKING: &str = "this version has no signaling: tell it where peers are with snm_add_peer_address";

/// Called with a signal to carry to a user, by whatever means the app has: opaque, under 4 KiB, best effort.
pub type snm_send_signal_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, to_steam_id: u64, signal: *const u8, size: u32)>;

fn lacking(endpoint: *const snm_endpoint) -> Result<(), Refusal> {
    find(endpoint)?;
    Err(Refusal::state(LACKING))
}

/// Sets who carries signals. Not in this version: nothing happens, and snm_last_error() says so.
#[unsafe(no_mangle)]
pub extern "C" fn snm_set_signal_callback(
    endpoint: *mut snm_endpoint,
    function: snm_send_signal_fn,
    user_data: *mut c_void,
) {
    let _ = (function, user_data);
    quiet(|| lacking(endpoint));
}

/// Hands in a signal that was carried here. Not in this version: SNM_RESULT_INVALID_STATE.
///
/// INVALID_PARAM for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn snm_receive_signal(
    endpoint: *mut snm_endpoint,
    from_steam_id: u64,
    signal: *const u8,
    size: u32,
) -> snm_result {
    result(|| {
        find(endpoint)?;
        if from_steam_id == 0 || signal.is_null() || size == 0 {
            return Err(Refusal::param("a signal needs a sender and bytes"));
        }
        Err(Refusal::state(LACKING))
    })
}

/// Takes a signal to carry to *out_to_steam_id: its size, 0 for none, minus the size needed if out_size is
/// too small. Not in this version: always 0.
#[unsafe(no_mangle)]
pub extern "C" fn snm_poll_signal(
    endpoint: *mut snm_endpoint,
    out_to_steam_id: *mut u64,
    out: *mut u8,
    out_size: u32,
) -> i32 {
    let _ = (out_to_steam_id, out, out_size);
    call(|_| 0, || lacking(endpoint).map(|()| 0))
}

/// Says that the app carries signals itself and polls for them. Not in this version: nothing happens, and
/// snm_last_error() says so.
#[unsafe(no_mangle)]
pub extern "C" fn snm_use_own_signaling(endpoint: *mut snm_endpoint, on: u8) {
    quiet(|| if on == 0 { find(endpoint).map(drop) } else { lacking(endpoint) });
}
