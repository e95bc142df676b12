//! The six calls, and those beside them for speed and comfort.

use super::answer::{Refusal, call, count, flag, quiet, result};
use super::codes::{SNM_END_MISC_INTERNAL_ERROR, SNM_RESULT_OK, SNM_STATE_NONE, SNM_STATE_PROBLEM_DETECTED_LOCALLY};
use super::codes::{snm_connection_state, snm_result};
use super::life::{Slot, find, snm_endpoint};
use super::pointers::{read_bytes, write_struct};
use super::structs::{OwnedMessage, snm_connection_info, snm_message, snm_outgoing_message, snm_realtime_status};
use crate::driver::Gone;
use crate::endpoint::{MAX_MESSAGE_SIZE, SessionInfo, SessionStatus};
use crate::ids::{Channel, SteamId};
use std::ffi::c_void;

/// # Safety
/// `data` is NULL or points to `size` bytes.
unsafe fn send(slot: &Slot, to: u64, data: *const c_void, size: u32, flags: i32, channel: i32) -> Result<(), Refusal> {
    if to == 0 {
        return Err(Refusal::param("the remote steam id is 0: nobody"));
    }
    if size as usize > MAX_MESSAGE_SIZE {
        return Err(Refusal::param(format!(
            "a message of {size} bytes is larger than the largest, {MAX_MESSAGE_SIZE}"
        )));
    }
    // SAFETY: by this function's contract.
    let bytes = unsafe { read_bytes(data.cast(), size, "data") }?;
    Ok(slot.driver.send(SteamId(to), bytes, flags, Channel(channel)).map_err(|gone| slot.refuse(gone))??)
}

/// Sends size bytes to a user, on a channel. The first send to someone asks for a session; what is sent
/// before it is accepted waits here, as reliable (see SNM_CONFIG_EARLY_UNRELIABLE). Sending to someone who
/// asked for a session accepts it.
///
/// The bytes are copied before the call returns. flags are bits of SNM_SEND_; unknown ones are ignored. Every
/// channel number is legal; small ones travel in fewer bytes. Any thread; never waits.
///
/// SNM_RESULT_OK: queued, not delivered. INVALID_PARAM: NULL, user 0, or more than 524288 bytes.
/// NO_CONNECTION: the session is broken; close it, or send with SNM_SEND_AUTO_RESTART_BROKEN_SESSION.
/// LIMIT_EXCEEDED: more would wait than SNM_CONFIG_SEND_BUFFER_SIZE. IGNORED: SNM_SEND_NO_DELAY, and it
/// could not leave at once. INVALID_STATE: destroyed. FAIL: this endpoint failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snm_send_message_to_user(
    endpoint: *mut snm_endpoint,
    remote_steam_id: u64,
    data: *const c_void,
    size: u32,
    flags: i32,
    channel: i32,
) -> snm_result {
    // SAFETY: the header asks for `size` bytes at `data`, or NULL.
    result(|| unsafe { send(&*find(endpoint)?, remote_steam_id, data, size, flags, channel) })
}

/// Takes up to max_messages received messages of a channel, of all users, oldest first.
///
/// Pointers go to out_messages; each is yours until snm_message_release. Returns how many; 0 also for a bad
/// argument or max_messages below 1. Any thread; never waits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snm_receive_messages_on_channel(
    endpoint: *mut snm_endpoint,
    channel: i32,
    out_messages: *mut *mut snm_message,
    max_messages: i32,
) -> i32 {
    count(|| {
        let slot = find(endpoint)?;
        if out_messages.is_null() {
            return Err(Refusal::param("out_messages is NULL"));
        }
        let Some(max) = usize::try_from(max_messages).ok().filter(|max| *max > 0) else {
            return Ok(0);
        };
        let mut taken = Vec::new();
        slot.driver.receive(Channel(channel), max, &mut taken);
        let mut given = 0;
        for message in taken.into_iter().take(max) {
            // SAFETY: the header asks for room for max_messages pointers, and `given < max`.
            unsafe { out_messages.add(given).write(OwnedMessage::hand_out(message)) };
            given += 1;
        }
        Ok(given as i32) // at most max_messages
    })
}

/// Accepts the session a user asked for.
///
/// 1: there is a session, asked for, accepted or connected. 0: none, or it failed. Accepting before the
/// request is there does nothing: it is not remembered. Any thread; never waits.
#[unsafe(no_mangle)]
pub extern "C" fn snm_accept_session_with_user(endpoint: *mut snm_endpoint, remote_steam_id: u64) -> u8 {
    flag(|| find(endpoint)?.core(|core, now| core.accept(now, SteamId(remote_steam_id))))
}

/// Ends the session with a user, at once: what is queued is dropped (see SNM_CONFIG_CLOSE_FLUSH), and so are
/// its messages not read yet. A request is rejected that way; a failed session is forgotten.
///
/// 1: there was a session. 0: there was none. Any thread; never waits.
#[unsafe(no_mangle)]
pub extern "C" fn snm_close_session_with_user(endpoint: *mut snm_endpoint, remote_steam_id: u64) -> u8 {
    flag(|| find(endpoint)?.core(|core, now| core.close_session(now, SteamId(remote_steam_id))))
}

/// Ends one channel with a user: its messages not read yet are dropped. A channel is open once sent or
/// received on; the session ends with its last open channel. A later message opens the channel again.
///
/// 1: the channel was open. 0: it was not. Any thread; never waits.
#[unsafe(no_mangle)]
pub extern "C" fn snm_close_channel_with_user(endpoint: *mut snm_endpoint, remote_steam_id: u64, channel: i32) -> u8 {
    flag(|| {
        let close = |core: &mut crate::endpoint::Endpoint, now| {
            core.close_channel(now, SteamId(remote_steam_id), Channel(channel))
        };
        find(endpoint)?.core(close)
    })
}

/// Tells the state of the session with a user, and what is known and measured of it.
///
/// Either structure may be NULL; set struct_size of those that are not (one that is too small is not
/// written; snm_last_error() says so). Without a session both are all zeros. Reading the status starts its
/// max_jitter afresh.
///
/// One of SNM_STATE_; SNM_STATE_NONE without a session, and without an endpoint (then nothing is written).
/// Any thread; never waits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snm_get_session_connection_info(
    endpoint: *mut snm_endpoint,
    remote_steam_id: u64,
    out_info: *mut snm_connection_info,
    out_status: *mut snm_realtime_status,
) -> snm_connection_state {
    let mut state = SNM_STATE_NONE;
    quiet(|| {
        let slot = find(endpoint)?;
        let asked = slot.driver.with_endpoint(|core, now| core.session_info(now, SteamId(remote_steam_id)));
        let (info, status) = match asked {
            Ok(told) => told,
            Err(gone) if slot.driver.is_closed() => return Err(slot.refuse(gone)),
            Err(Gone) => out_of_service(remote_steam_id),
        };
        state = info.state;
        let mut public_status = snm_realtime_status::from(&status);
        public_status.state = info.state;
        // SAFETY: the header asks for structures as large as their struct_size says, or NULL.
        let info = if out_info.is_null() { Ok(()) } else { unsafe { write_struct(out_info, &(&info).into()) } };
        // SAFETY: likewise.
        let status = if out_status.is_null() { Ok(()) } else { unsafe { write_struct(out_status, &public_status) } };
        info.and(status)
    });
    state
}

/// What every session of an endpoint that met an internal error looks like.
fn out_of_service(remote_steam_id: u64) -> (SessionInfo, SessionStatus) {
    let info = SessionInfo {
        state: SNM_STATE_PROBLEM_DETECTED_LOCALLY,
        identity: remote_steam_id,
        end_reason: SNM_END_MISC_INTERNAL_ERROR,
        end_debug: "internal error; the endpoint is out of service".into(),
        ..SessionInfo::default()
    };
    let status = SessionStatus {
        ping: -1,
        local_quality: -1.0,
        remote_quality: -1.0,
        max_jitter: -1,
        ..SessionStatus::default()
    };
    (info, SessionStatus { queue_time: u64::MAX, ..status })
}

/// Frees a received message. NULL: nothing happens. Any thread, exactly once for each message.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snm_message_release(message: *mut snm_message) {
    quiet(|| {
        // SAFETY: the header asks for NULL or a received message not released before.
        unsafe { OwnedMessage::release(message) };
        Ok(())
    });
}

/// Frees count received messages and sets their pointers to NULL. Entries that are NULL are passed over.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snm_messages_release(messages: *mut *mut snm_message, count: i32) {
    quiet(|| {
        if messages.is_null() {
            return Ok(());
        }
        for at in 0..usize::try_from(count).unwrap_or(0) {
            // SAFETY: the header asks for `count` pointers, each NULL or a received message not released before.
            unsafe { OwnedMessage::release(messages.add(at).replace(std::ptr::null_mut())) };
        }
        Ok(())
    });
}

/// Sends count messages, each as if sent alone, in order.
///
/// out_results may be NULL; else it gets count results, each as of snm_send_message_to_user. Returns how many
/// were SNM_RESULT_OK. A message that is refused does not keep the later ones. Any thread; never waits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snm_send_messages(
    endpoint: *mut snm_endpoint,
    messages: *const snm_outgoing_message,
    count: i32,
    out_results: *mut snm_result,
) -> i32 {
    let many = if messages.is_null() { 0 } else { usize::try_from(count).unwrap_or(0) };
    if messages.is_null() && count > 0 {
        result(|| Err(Refusal::param("messages is NULL")));
    }
    let found = call(Err, || find(endpoint).map(Ok));
    let mut queued = 0;
    for at in 0..many {
        let answer = match &found {
            // SAFETY: the header asks for `count` structures, each with `size` bytes at `payload`, or NULL.
            Ok(slot) => result(|| unsafe {
                let message = messages.add(at).read();
                let snm_outgoing_message { remote_steam_id: to, payload, size, flags, channel, .. } = message;
                send(slot, to, payload, size, flags, channel)
            }),
            Err(code) => *code,
        };
        queued += i32::from(answer == SNM_RESULT_OK);
        if !out_results.is_null() {
            // SAFETY: the header asks for room for `count` results, or NULL.
            unsafe { out_results.add(at).write(answer) };
        }
    }
    queued
}

/// Ends the Nagle wait of what is queued for a user.
///
/// SNM_RESULT_OK; NO_CONNECTION (there is no session); INVALID_PARAM, INVALID_STATE, FAIL as usual.
/// Any thread; never waits.
#[unsafe(no_mangle)]
pub extern "C" fn snm_flush_messages_to_user(endpoint: *mut snm_endpoint, remote_steam_id: u64) -> snm_result {
    result(|| {
        let flushed = find(endpoint)?.core(|core, now| core.flush(now, SteamId(remote_steam_id)))?;
        let none =
            || Refusal { code: super::codes::SNM_RESULT_NO_CONNECTION, text: "no session with this user".into() };
        flushed.then_some(()).ok_or_else(none)
    })
}

/// Sets how urgent a channel is, for all sessions of the endpoint: higher numbers go first, equal ones share
/// fairly. 0 by default.
///
/// SNM_RESULT_OK; LIMIT_EXCEEDED (too many channels have a priority of their own); INVALID_PARAM,
/// INVALID_STATE, FAIL as usual. Any thread; never waits.
#[unsafe(no_mangle)]
pub extern "C" fn snm_set_channel_priority(endpoint: *mut snm_endpoint, channel: i32, priority: i32) -> snm_result {
    result(|| {
        let set = |core: &mut crate::endpoint::Endpoint, _| core.set_channel_priority(Channel(channel), priority);
        Ok(find(endpoint)?.core(set)??)
    })
}
