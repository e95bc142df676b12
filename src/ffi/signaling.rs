//! The app's own signaling: it carries signals between users by whatever means it has.
//!
//! Signals that wait go to whoever asks first: the callback, under the same rules as those of events, or
//! `snm_poll_signal`.

use super::answer::{Refusal, call, quiet, result};
use super::callback::Place;
use super::codes::snm_result;
use super::events;
use super::life::{Slot, find, snm_endpoint};
use super::pointers::read_bytes;
use crate::endpoint::signals;
use crate::ids::SteamId;
use std::ffi::c_void;

/// Largest signal, bytes.
const MAX_SIGNAL: u32 = signals::MAX_SIGNAL as u32;

/// Called with a signal to carry to a user, by whatever means the app has: opaque, 4096 bytes at most, best effort.
/// Loss, duplication and reordering slow the meeting down and never break it. The bytes are valid during the call only.
pub type snm_send_signal_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, to_steam_id: u64, signal: *const u8, size: u32)>;

/// A set [`snm_send_signal_fn`].
pub type SignalFn = unsafe extern "C" fn(*mut c_void, u64, *const u8, u32);

/// Hands the next signal to the callback, if there are both.
pub fn call_back(slot: &Slot, place: Place) -> bool {
    if !slot.signal.is_set() {
        return false;
    }
    let Ok(Some((to, bytes))) = slot.driver.poll_signal(MAX_SIGNAL as usize) else {
        return false;
    };
    // Should the callback have been cleared just now, the signal is lost, as any may be.
    slot.signal.call(place, |function, user_data| {
        // SAFETY: the app promised a function of this type; the bytes live until it returns.
        unsafe { function(user_data, to.0, bytes.as_ptr(), bytes.len() as u32) };
    })
}

/// Sets who carries signals; NULL for nobody. It implies snm_use_own_signaling(endpoint, function != NULL).
///
/// Called under the rules of snm_set_session_request_callback: inside snm_run_callbacks, or on the poll thread with
/// SNM_CONFIG_CALLBACK_MODE 1; and when this returns, no call of the function it replaced is under way. NULL or
/// destroyed endpoint: nothing happens.
#[unsafe(no_mangle)]
pub extern "C" fn snm_set_signal_callback(
    endpoint: *mut snm_endpoint,
    function: snm_send_signal_fn,
    user_data: *mut c_void,
) {
    quiet(|| {
        let slot = find(endpoint)?;
        slot.signal.set(function, user_data);
        slot.driver.use_own_signaling(function.is_some()).map_err(|gone| slot.refuse(gone))?;
        events::call_hook_soon(&slot);
        Ok(())
    });
}

/// Hands in a signal that was carried here. from_steam_id is who your carrier says it is from; the library checks that
/// for itself.
///
/// SNM_RESULT_OK, also for what turns out to be no signal of ours: such is dropped and counted. INVALID_PARAM (NULL,
/// user 0, empty or above 4096 bytes); INVALID_STATE (without snm_use_own_signaling there is no way to answer, or the
/// endpoint is destroyed); FAIL as usual. Any thread; never waits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snm_receive_signal(
    endpoint: *mut snm_endpoint,
    from_steam_id: u64,
    signal: *const u8,
    size: u32,
) -> snm_result {
    result(|| {
        let slot = find(endpoint)?;
        if from_steam_id == 0 || signal.is_null() || !(1..=MAX_SIGNAL).contains(&size) {
            return Err(Refusal::param("a signal needs a sender and 1 to 4096 bytes"));
        }
        if !slot.driver.has_own_signaling() {
            return Err(Refusal::state("say first that you carry signals yourself: snm_use_own_signaling"));
        }
        // SAFETY: the header asks for `size` bytes.
        let mut bytes = unsafe { read_bytes(signal, size, "signal") }?.to_vec();
        slot.core(|core, now| core.handle_signal(now, SteamId(from_steam_id), &mut bytes))
    })
}

/// Takes a signal to carry to *out_to_steam_id, instead of the callback.
///
/// Its size: the signal is in out, and yours to carry. 0: none waits, or an argument is bad (NULL; snm_last_error()
/// says which). Below 0: out_size is too small, minus the result is needed (never above 4096), and the signal
/// waits on. At most 256 wait; the oldest make room. Any thread; never waits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snm_poll_signal(
    endpoint: *mut snm_endpoint,
    out_to_steam_id: *mut u64,
    out: *mut u8,
    out_size: u32,
) -> i32 {
    call(
        |_| 0,
        || {
            let slot = find(endpoint)?;
            if out_to_steam_id.is_null() || (out.is_null() && out_size > 0) {
                return Err(Refusal::param("out_to_steam_id or out is NULL"));
            }
            match slot.driver.poll_signal(out_size as usize) {
                Ok(None) => Ok(0),
                Ok(Some((to, bytes))) => {
                    // SAFETY: the header asks for a place for an id, and for `out_size` writable bytes, which is no
                    // less than the signal has.
                    unsafe {
                        out_to_steam_id.write(to.0);
                        out.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
                    }
                    Ok(bytes.len() as i32)
                }
                Err(needed) => Ok(-(needed as i32)),
            }
        },
    )
}

/// Says that the app carries signals itself (1) and will take them by snm_poll_signal or the callback, or that it does
/// not (0). Meanwhile the signaling server, if one is set, still gives certificates and relays, but carries nothing.
///
/// NULL or destroyed endpoint: nothing happens. Any thread; never waits.
#[unsafe(no_mangle)]
pub extern "C" fn snm_use_own_signaling(endpoint: *mut snm_endpoint, on: u8) {
    quiet(|| {
        let slot = find(endpoint)?;
        slot.driver.use_own_signaling(on != 0).map_err(|gone| slot.refuse(gone))
    });
}
