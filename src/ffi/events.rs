//! The events, and the signals an app carries itself: called back, or polled.
//!
//! An event goes once, to whoever takes it first. One for which there is no callback yet is held here, in
//! order, and waits for a callback or for `snm_poll_event`.

use super::answer::{Refusal, count, quiet};
use super::callback::Place;
use super::codes::{SNM_EVENT_SESSION_FAILED, SNM_EVENT_SESSION_REQUEST, SNM_EVENT_SIGNALING};
use super::life::{Slot, find, snm_endpoint};
use super::log;
use super::pointers::{check_struct, text_array, write_struct};
use super::signaling;
use super::structs::snm_event;
use crate::endpoint::events::Event;
use std::collections::VecDeque;
use std::ffi::{CString, c_char, c_void};
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};

/// Someone wants to talk: accept the session, send to the user, or close the session to reject it. Comes
/// again every few seconds while the user keeps asking.
pub type snm_session_request_fn = Option<unsafe extern "C" fn(user_data: *mut c_void, remote_steam_id: u64)>;

/// A session failed. reason is one of SNM_END_; connection_state is SNM_STATE_CLOSED_BY_PEER or
/// SNM_STATE_PROBLEM_DETECTED_LOCALLY; debug_message is for logs and valid during the call only.
pub type snm_session_failed_fn = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        reason: i32,
        remote_steam_id: u64,
        connection_state: i32,
        debug_message: *const c_char,
    ),
>;

/// A set [`snm_session_request_fn`].
pub type RequestFn = unsafe extern "C" fn(*mut c_void, u64);
/// A set [`snm_session_failed_fn`].
pub type FailedFn = unsafe extern "C" fn(*mut c_void, i32, u64, i32, *const c_char);

/// Failures held at most; the oldest go first.
const FAILURES_HELD: usize = 256;
/// Events held at most: one request of each stranger that may be pending, and the failures.
const EVENTS_HELD: usize = 65_536 + FAILURES_HELD;
/// Events called back in one go, so that a callback that causes events cannot keep the caller for ever.
const EVENTS_AT_ONCE: i32 = 1_024;

/// Events taken from the endpoint for which there was no callback.
#[derive(Default)]
pub struct Held {
    events: VecDeque<Event>,
    failures: usize,
    /// Something was held since a waiting thread was last told.
    news: bool,
}

impl Held {
    /// Keeps an event; true when an older one had to go for it.
    fn push(&mut self, event: Event) -> bool {
        match event {
            Event::SessionFailed { .. } => self.failures += 1,
            // Only the latest tells how it is.
            Event::Signaling { .. } => self.events.retain(|held| !matches!(held, Event::Signaling { .. })),
            Event::SessionRequest { .. } if self.events.contains(&event) => return false, // the same user again
            Event::SessionRequest { .. } => {}
        }
        self.events.push_back(event);
        self.news = true;
        let overflow = if self.failures > FAILURES_HELD {
            self.events.iter().position(|event| matches!(event, Event::SessionFailed { .. }))
        } else {
            (self.events.len() > EVENTS_HELD).then_some(0)
        };
        overflow.and_then(|at| self.remove(at)).is_some()
    }

    fn remove(&mut self, at: usize) -> Option<Event> {
        let event = self.events.remove(at)?;
        self.failures -= usize::from(matches!(event, Event::SessionFailed { .. }));
        Some(event)
    }
}

fn held(slot: &Slot) -> MutexGuard<'_, Held> {
    slot.held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// True once for each time something was held: it tells waiting threads, and does not keep them awake over
/// events nobody wants.
pub fn take_news(slot: &Slot) -> bool {
    std::mem::take(&mut held(slot).news)
}

/// Called by the poll thread whenever events wait.
pub fn hook(slot: &Slot) {
    quiet(|| {
        if slot.on_poll_thread.load(Ordering::Acquire) {
            dispatch(slot, Place::Elsewhere);
        }
        Ok(())
    });
}

/// Has the poll thread look again: a callback or a mode has changed.
pub fn call_hook_soon(slot: &Slot) {
    if slot.on_poll_thread.load(Ordering::Acquire) {
        // Any turn of the poll thread does; one that is gone has no more events.
        let _ = slot.core(|_, _| ());
    }
}

fn is_wanted(slot: &Slot, event: &Event) -> bool {
    match event {
        Event::SessionRequest { .. } => slot.request.is_set(),
        Event::SessionFailed { .. } => slot.failed.is_set(),
        Event::Signaling { .. } => false, // to be polled only
    }
}

/// The next event there is a callback for; those before it are held.
fn next_wanted(slot: &Slot) -> Option<Event> {
    let mut held = held(slot);
    if let Some(at) = held.events.iter().position(|event| is_wanted(slot, event)) {
        return held.remove(at);
    }
    let mut overflow = false;
    let wanted = loop {
        match slot.driver.poll_event() {
            Some(event) if !is_wanted(slot, &event) => overflow |= held.push(event),
            wanted_or_none => break wanted_or_none,
        }
    };
    drop(held); // the log callback is the app's
    if overflow {
        log::say(log::WARNING, "events nobody took were dropped: set both callbacks, or poll");
    }
    wanted
}

fn dispatch(slot: &Slot, place: Place) -> i32 {
    let wants_events = slot.request.is_set() || slot.failed.is_set();
    if !wants_events && !slot.signal.is_set() {
        return 0; // leave everything where it is
    }
    if slot.dispatching.swap(true, Ordering::AcqRel) {
        return 0;
    }
    let _turn = Turn(slot);
    let mut called = 0;
    while called < EVENTS_AT_ONCE && signaling::call_back(slot, place) {
        called += 1;
    }
    while wants_events && called < EVENTS_AT_ONCE && !slot.driver.is_closed() {
        let Some(event) = next_wanted(slot) else { break };
        if call_back(slot, place, &event) {
            called += 1;
        } else {
            held(slot).push(event); // its callback was cleared just now
        }
    }
    called
}

/// The one dispatch under way.
struct Turn<'a>(&'a Slot);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.dispatching.store(false, Ordering::Release);
    }
}

fn call_back(slot: &Slot, place: Place, event: &Event) -> bool {
    match event {
        Event::SessionRequest { from } => slot.request.call(place, |function, user_data| {
            // SAFETY: the app promised a function of this type.
            unsafe { function(user_data, from.0) };
        }),
        Event::SessionFailed { peer, reason, state, text } => slot.failed.call(place, |function, user_data| {
            let text = CString::new(text.replace('\0', " ")).unwrap_or_default(); // no NUL is left in it
            // SAFETY: the app promised a function of this type; the text lives until it returns.
            unsafe { function(user_data, *reason, peer.0, *state, text.as_ptr()) };
        }),
        Event::Signaling { .. } => false,
    }
}

/// Sets who is told that someone wants to talk; NULL for nobody.
///
/// Called only inside snm_run_callbacks, on its caller's thread, or on the poll thread with
/// SNM_CONFIG_CALLBACK_MODE 1. Inside it every call of this library is allowed. When this returns, no call
/// of the function it replaced is under way (unless called from inside that function), so what user_data
/// points to may be freed. Requests that came before are not lost; they wait. NULL or destroyed endpoint:
/// nothing happens.
#[unsafe(no_mangle)]
pub extern "C" fn snm_set_session_request_callback(
    endpoint: *mut snm_endpoint,
    function: snm_session_request_fn,
    user_data: *mut c_void,
) {
    quiet(|| {
        let slot = find(endpoint)?;
        slot.request.set(function, user_data);
        call_hook_soon(&slot);
        Ok(())
    });
}

/// Sets who is told that a session failed; NULL for nobody. Otherwise as snm_set_session_request_callback.
///
/// What the other side ends on purpose is no failure and not told, but for a request it rejects.
#[unsafe(no_mangle)]
pub extern "C" fn snm_set_session_failed_callback(
    endpoint: *mut snm_endpoint,
    function: snm_session_failed_fn,
    user_data: *mut c_void,
) {
    quiet(|| {
        let slot = find(endpoint)?;
        slot.failed.set(function, user_data);
        call_hook_soon(&slot);
        Ok(())
    });
}

/// Calls the callbacks of waiting events, on this thread. Call it once a frame.
///
/// How many were called; 0 also when another thread is in it for this endpoint, when no callback is set, and
/// with SNM_CONFIG_CALLBACK_MODE 1. An event without a callback of its kind waits on. At most 1024 at once.
#[unsafe(no_mangle)]
pub extern "C" fn snm_run_callbacks(endpoint: *mut snm_endpoint) -> i32 {
    count(|| {
        let slot = find(endpoint)?;
        if slot.on_poll_thread.load(Ordering::Acquire) {
            return Ok(0);
        }
        Ok(dispatch(&slot, Place::RunCallbacks))
    })
}

/// Takes the oldest waiting event, instead of callbacks or beside them: an event goes to whoever takes it
/// first.
///
/// 1: *out_event is filled. 0: none waits, or an argument is bad (NULL, struct_size below the structure's;
/// snm_last_error() says which), and nothing was taken. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snm_poll_event(endpoint: *mut snm_endpoint, out_event: *mut snm_event) -> i32 {
    count(|| {
        let slot = find(endpoint)?;
        // SAFETY: the header asks for a structure as large as its struct_size says, or NULL.
        unsafe { check_struct(out_event.cast_const()) }?;
        let Some(event) = next_any(&slot) else { return Ok(0) };
        // SAFETY: as above.
        unsafe { write_struct(out_event, &public(&event)) }?;
        Ok::<i32, Refusal>(1)
    })
}

fn next_any(slot: &Slot) -> Option<Event> {
    let mut held = held(slot);
    held.remove(0).or_else(|| slot.driver.poll_event())
}

fn public(event: &Event) -> snm_event {
    match event {
        Event::SessionRequest { from } => snm_event {
            struct_size: 0,
            r#type: SNM_EVENT_SESSION_REQUEST,
            remote_steam_id: from.0,
            reason: 0,
            connection_state: 0,
            debug_message: [0; 128],
        },
        Event::Signaling { state, reason, text } => snm_event {
            struct_size: 0,
            r#type: SNM_EVENT_SIGNALING,
            remote_steam_id: 0,
            reason: *reason,
            connection_state: *state,
            debug_message: text_array(text),
        },
        Event::SessionFailed { peer, reason, state, text } => snm_event {
            struct_size: 0,
            r#type: SNM_EVENT_SESSION_FAILED,
            remote_steam_id: peer.0,
            reason: *reason,
            connection_state: *state,
            debug_message: text_array(text),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SteamId;

    fn failure(peer: u64) -> Event {
        Event::SessionFailed { peer: SteamId(peer), reason: 5003, state: 5, text: String::new() }
    }

    #[test]
    fn held_requests_coalesce_and_failures_drop_their_oldest() {
        let mut held = Held::default();
        let request = Event::SessionRequest { from: SteamId(1) };
        held.push(request.clone());
        held.push(request.clone());
        for peer in 0..FAILURES_HELD as u64 + 1 {
            held.push(failure(peer));
        }
        assert_eq!(held.events.len(), 1 + FAILURES_HELD);
        assert_eq!(held.remove(0), Some(request));
        assert_eq!(held.remove(0), Some(failure(1)), "the oldest failure went, not the request");
        assert_eq!(held.failures, FAILURES_HELD - 1);
    }
}
