//! The numbers of the C header and their names. Where Steam has the same thing, it has the same number.
//!
//! Kept as constants, not as enums: what comes from C may be any number, and an unknown one must be an
//! answer, not undefined behaviour. Their type is spelled `i32` because the header generator does not look
//! through an alias.

use std::ffi::{CStr, c_char};

/// What a call answers: one of SNM_RESULT_.
pub type snm_result = i32;

/// The state of a session: one of SNM_STATE_.
pub type snm_connection_state = i32;

/// Done; for a send: the message is queued. Delivery is never confirmed.
pub const SNM_RESULT_OK: i32 = 1;
/// The system or this library failed; snm_last_error() says what.
pub const SNM_RESULT_FAIL: i32 = 2;
/// The session is broken (or, for a flush, there is none). Close it, or send with SNM_SEND_AUTO_RESTART_BROKEN_SESSION.
pub const SNM_RESULT_NO_CONNECTION: i32 = 3;
/// An argument is NULL, malformed or out of range.
pub const SNM_RESULT_INVALID_PARAM: i32 = 8;
/// The handle belongs to nothing alive, or this cannot be done now.
pub const SNM_RESULT_INVALID_STATE: i32 = 11;
/// A buffer or a table is full.
pub const SNM_RESULT_LIMIT_EXCEEDED: i32 = 25;
/// Reserved: Valve's library answers a send on a broken session with it; this one answers NO_CONNECTION.
pub const SNM_RESULT_CONNECT_FAILED: i32 = 35;
/// SNM_SEND_NO_DELAY: the message could not leave at once and was dropped.
pub const SNM_RESULT_IGNORED: i32 = 41;

/// May be lost, never duplicated.
pub const SNM_SEND_UNRELIABLE: i32 = 0;
/// Ends the Nagle wait of everything queued for this user, this message included.
pub const SNM_SEND_NO_NAGLE: i32 = 1;
/// Unreliable only: leave at once (within about 200 ms of queue) or be dropped with SNM_RESULT_IGNORED.
pub const SNM_SEND_NO_DELAY: i32 = 4;
/// Arrives exactly once, in order within its channel, or the session fails.
pub const SNM_SEND_RELIABLE: i32 = 8;
/// Accepted and without effect.
pub const SNM_SEND_USE_CURRENT_THREAD: i32 = 16;
/// If the session with this user is broken, forget it and start another. Without effect on a healthy one.
pub const SNM_SEND_AUTO_RESTART_BROKEN_SESSION: i32 = 32;

/// No session.
pub const SNM_STATE_NONE: i32 = 0;
/// Asked, or asking; not accepted yet.
pub const SNM_STATE_CONNECTING: i32 = 1;
/// Accepted; no path is proven yet.
pub const SNM_STATE_FINDING_ROUTE: i32 = 2;
/// Messages flow.
pub const SNM_STATE_CONNECTED: i32 = 3;
/// Ended by the other side; end_reason says why.
pub const SNM_STATE_CLOSED_BY_PEER: i32 = 4;
/// Ended by a fault noticed here; end_reason says which.
pub const SNM_STATE_PROBLEM_DETECTED_LOCALLY: i32 = 5;
/// Never returned; here for tables ported from Steam.
pub const SNM_STATE_FIN_WAIT: i32 = -1;
/// Never returned.
pub const SNM_STATE_LINGER: i32 = -2;
/// Never returned.
pub const SNM_STATE_DEAD: i32 = -3;

/// Not ended.
pub const SNM_END_INVALID: i32 = 0;
/// 1000 to 1999: ended by the app, nothing wrong.
pub const SNM_END_APP_MIN: i32 = 1000;
/// Ended by the app.
pub const SNM_END_APP_GENERIC: i32 = 1000;
/// The other side closed the session (or its last channel).
pub const SNM_END_SESSION_CLOSED: i32 = 1001;
/// Unused for SESSION_IDLE_TIMEOUT.
pub const SNM_END_SESSION_IDLE: i32 = 1002;
/// Last of the app's.
pub const SNM_END_APP_MAX: i32 = 1999;
/// 2000 to 2999: ended by the app, something wrong.
pub const SNM_END_APP_EXCEPTION_MIN: i32 = 2000;
/// Ended by the app's fault.
pub const SNM_END_APP_EXCEPTION_GENERIC: i32 = 2000;
/// Last of these.
pub const SNM_END_APP_EXCEPTION_MAX: i32 = 2999;
/// 3000 to 3999: a problem on this side.
pub const SNM_END_LOCAL_MIN: i32 = 3000;
/// No network here.
pub const SNM_END_LOCAL_OFFLINE_MODE: i32 = 3001;
/// Many relays cannot be reached from here.
pub const SNM_END_LOCAL_MANY_RELAY_CONNECTIVITY: i32 = 3002;
/// A hosted server lost its primary relay.
pub const SNM_END_LOCAL_HOSTED_SERVER_PRIMARY_RELAY: i32 = 3003;
/// The network configuration could not be had.
pub const SNM_END_LOCAL_NETWORK_CONFIG: i32 = 3004;
/// This user may not do that.
pub const SNM_END_LOCAL_RIGHTS: i32 = 3005;
/// No public address of ours was found.
pub const SNM_END_LOCAL_P2P_ICE_NO_PUBLIC_ADDRESSES: i32 = 3006;
/// Last of these.
pub const SNM_END_LOCAL_MAX: i32 = 3999;
/// 4000 to 4999: a problem on the other side.
pub const SNM_END_REMOTE_MIN: i32 = 4000;
/// The other side went silent while nothing was wrong here.
pub const SNM_END_REMOTE_TIMEOUT: i32 = 4001;
/// Its handshake does not verify.
pub const SNM_END_REMOTE_BAD_CRYPT: i32 = 4002;
/// Its certificate is missing, expired or not trusted.
pub const SNM_END_REMOTE_BAD_CERT: i32 = 4003;
/// Reserved; not used.
pub const SNM_END_REMOTE_NOT_LOGGED_IN: i32 = 4004;
/// Reserved; not used.
pub const SNM_END_REMOTE_NOT_RUNNING_APP: i32 = 4005;
/// It speaks another version of the protocol.
pub const SNM_END_REMOTE_BAD_PROTOCOL_VERSION: i32 = 4006;
/// It has no public address we know.
pub const SNM_END_REMOTE_P2P_ICE_NO_PUBLIC_ADDRESSES: i32 = 4007;
/// Last of these.
pub const SNM_END_REMOTE_MAX: i32 = 4999;
/// 5000 to 5999: everything else.
pub const SNM_END_MISC_MIN: i32 = 5000;
/// Something unnamed went wrong, a violated protocol for one.
pub const SNM_END_MISC_GENERIC: i32 = 5001;
/// This library failed; please report it.
pub const SNM_END_MISC_INTERNAL_ERROR: i32 = 5002;
/// No answer in time: the peer is unreachable, gone, or never accepted.
pub const SNM_END_MISC_TIMEOUT: i32 = 5003;
/// Reserved; not used.
pub const SNM_END_MISC_RELAY_CONNECTIVITY: i32 = 5004;
/// The signaling service cannot be reached.
pub const SNM_END_MISC_STEAM_CONNECTIVITY: i32 = 5005;
/// No relay reaches the peer.
pub const SNM_END_MISC_NO_RELAY_SESSIONS_TO_CLIENT: i32 = 5006;
/// The two sides could not be introduced to each other in time.
pub const SNM_END_MISC_P2P_RENDEZVOUS: i32 = 5008;
/// Firewalls or address translators keep the two sides apart.
pub const SNM_END_MISC_P2P_NAT_FIREWALL: i32 = 5009;
/// The peer, or who knows it, says there is no such session or peer.
pub const SNM_END_MISC_PEER_SENT_NO_CONNECTION: i32 = 5010;
/// Last of these.
pub const SNM_END_MISC_MAX: i32 = 5999;

/// The peer's identity is only its own claim.
pub const SNM_INFO_UNAUTHENTICATED: u32 = 1;
/// Messages travel in the clear.
pub const SNM_INFO_UNENCRYPTED: u32 = 2;
/// The session of this endpoint with itself.
pub const SNM_INFO_LOOPBACK: u32 = 4;
/// The peer is on this machine or this local network.
pub const SNM_INFO_FAST: u32 = 8;
/// A relay carries the traffic.
pub const SNM_INFO_RELAYED: u32 = 16;

/// remote_steam_id wants to talk: accept, send to it, or close.
pub const SNM_EVENT_SESSION_REQUEST: i32 = 1;
/// The session with remote_steam_id failed; reason, connection_state and debug_message say how.
pub const SNM_EVENT_SESSION_FAILED: i32 = 2;
/// The connection to the signaling server: connection_state 3 online, 1 connecting, 5 refused or lost; reason and
/// debug_message say why. Told when that changes; the library goes on by itself.
pub const SNM_EVENT_SIGNALING: i32 = 3;

/// The library found itself in the wrong.
pub const SNM_LOG_BUG: i32 = 1;
/// Something was not done.
pub const SNM_LOG_ERROR: i32 = 2;
/// Worth reading in any log.
pub const SNM_LOG_IMPORTANT: i32 = 3;
/// Something to look at.
pub const SNM_LOG_WARNING: i32 = 4;
/// The course of things.
pub const SNM_LOG_MESSAGE: i32 = 5;
/// More of it.
pub const SNM_LOG_VERBOSE: i32 = 6;
/// For work on the library.
pub const SNM_LOG_DEBUG: i32 = 7;

/// The enumerator's name of a result code, such as "SNM_RESULT_OK"; "unknown" for any other number.
///
/// Never NULL; the text is constant and need not be freed. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn snm_result_name(result: snm_result) -> *const c_char {
    let name = match result {
        SNM_RESULT_OK => c"SNM_RESULT_OK",
        SNM_RESULT_FAIL => c"SNM_RESULT_FAIL",
        SNM_RESULT_NO_CONNECTION => c"SNM_RESULT_NO_CONNECTION",
        SNM_RESULT_INVALID_PARAM => c"SNM_RESULT_INVALID_PARAM",
        SNM_RESULT_INVALID_STATE => c"SNM_RESULT_INVALID_STATE",
        SNM_RESULT_LIMIT_EXCEEDED => c"SNM_RESULT_LIMIT_EXCEEDED",
        SNM_RESULT_CONNECT_FAILED => c"SNM_RESULT_CONNECT_FAILED",
        SNM_RESULT_IGNORED => c"SNM_RESULT_IGNORED",
        _ => c"unknown",
    };
    CStr::as_ptr(name)
}

/// The enumerator's name of an end reason, such as "SNM_END_MISC_TIMEOUT"; "unknown" for any other number.
///
/// Never NULL; the text is constant and need not be freed. Any thread. Of two names for one number, the
/// one that says more.
#[unsafe(no_mangle)]
pub extern "C" fn snm_end_reason_name(reason: i32) -> *const c_char {
    let name = match reason {
        SNM_END_INVALID => c"SNM_END_INVALID",
        SNM_END_APP_GENERIC => c"SNM_END_APP_GENERIC",
        SNM_END_SESSION_CLOSED => c"SNM_END_SESSION_CLOSED",
        SNM_END_SESSION_IDLE => c"SNM_END_SESSION_IDLE",
        SNM_END_APP_MAX => c"SNM_END_APP_MAX",
        SNM_END_APP_EXCEPTION_GENERIC => c"SNM_END_APP_EXCEPTION_GENERIC",
        SNM_END_APP_EXCEPTION_MAX => c"SNM_END_APP_EXCEPTION_MAX",
        SNM_END_LOCAL_MIN => c"SNM_END_LOCAL_MIN",
        SNM_END_LOCAL_OFFLINE_MODE => c"SNM_END_LOCAL_OFFLINE_MODE",
        SNM_END_LOCAL_MANY_RELAY_CONNECTIVITY => c"SNM_END_LOCAL_MANY_RELAY_CONNECTIVITY",
        SNM_END_LOCAL_HOSTED_SERVER_PRIMARY_RELAY => c"SNM_END_LOCAL_HOSTED_SERVER_PRIMARY_RELAY",
        SNM_END_LOCAL_NETWORK_CONFIG => c"SNM_END_LOCAL_NETWORK_CONFIG",
        SNM_END_LOCAL_RIGHTS => c"SNM_END_LOCAL_RIGHTS",
        SNM_END_LOCAL_P2P_ICE_NO_PUBLIC_ADDRESSES => c"SNM_END_LOCAL_P2P_ICE_NO_PUBLIC_ADDRESSES",
        SNM_END_LOCAL_MAX => c"SNM_END_LOCAL_MAX",
        SNM_END_REMOTE_MIN => c"SNM_END_REMOTE_MIN",
        SNM_END_REMOTE_TIMEOUT => c"SNM_END_REMOTE_TIMEOUT",
        SNM_END_REMOTE_BAD_CRYPT => c"SNM_END_REMOTE_BAD_CRYPT",
        SNM_END_REMOTE_BAD_CERT => c"SNM_END_REMOTE_BAD_CERT",
        SNM_END_REMOTE_NOT_LOGGED_IN => c"SNM_END_REMOTE_NOT_LOGGED_IN",
        SNM_END_REMOTE_NOT_RUNNING_APP => c"SNM_END_REMOTE_NOT_RUNNING_APP",
        SNM_END_REMOTE_BAD_PROTOCOL_VERSION => c"SNM_END_REMOTE_BAD_PROTOCOL_VERSION",
        SNM_END_REMOTE_P2P_ICE_NO_PUBLIC_ADDRESSES => c"SNM_END_REMOTE_P2P_ICE_NO_PUBLIC_ADDRESSES",
        SNM_END_REMOTE_MAX => c"SNM_END_REMOTE_MAX",
        SNM_END_MISC_MIN => c"SNM_END_MISC_MIN",
        SNM_END_MISC_GENERIC => c"SNM_END_MISC_GENERIC",
        SNM_END_MISC_INTERNAL_ERROR => c"SNM_END_MISC_INTERNAL_ERROR",
        SNM_END_MISC_TIMEOUT => c"SNM_END_MISC_TIMEOUT",
        SNM_END_MISC_RELAY_CONNECTIVITY => c"SNM_END_MISC_RELAY_CONNECTIVITY",
        SNM_END_MISC_STEAM_CONNECTIVITY => c"SNM_END_MISC_STEAM_CONNECTIVITY",
        SNM_END_MISC_NO_RELAY_SESSIONS_TO_CLIENT => c"SNM_END_MISC_NO_RELAY_SESSIONS_TO_CLIENT",
        SNM_END_MISC_P2P_RENDEZVOUS => c"SNM_END_MISC_P2P_RENDEZVOUS",
        SNM_END_MISC_P2P_NAT_FIREWALL => c"SNM_END_MISC_P2P_NAT_FIREWALL",
        SNM_END_MISC_PEER_SENT_NO_CONNECTION => c"SNM_END_MISC_PEER_SENT_NO_CONNECTION",
        SNM_END_MISC_MAX => c"SNM_END_MISC_MAX",
        _ => c"unknown",
    };
    CStr::as_ptr(name)
}

/// The enumerator's name of a session's state, such as "SNM_STATE_CONNECTED"; "unknown" for any other number.
///
/// Never NULL; the text is constant and need not be freed. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn snm_connection_state_name(state: snm_connection_state) -> *const c_char {
    let name = match state {
        SNM_STATE_NONE => c"SNM_STATE_NONE",
        SNM_STATE_CONNECTING => c"SNM_STATE_CONNECTING",
        SNM_STATE_FINDING_ROUTE => c"SNM_STATE_FINDING_ROUTE",
        SNM_STATE_CONNECTED => c"SNM_STATE_CONNECTED",
        SNM_STATE_CLOSED_BY_PEER => c"SNM_STATE_CLOSED_BY_PEER",
        SNM_STATE_PROBLEM_DETECTED_LOCALLY => c"SNM_STATE_PROBLEM_DETECTED_LOCALLY",
        SNM_STATE_FIN_WAIT => c"SNM_STATE_FIN_WAIT",
        SNM_STATE_LINGER => c"SNM_STATE_LINGER",
        SNM_STATE_DEAD => c"SNM_STATE_DEAD",
        _ => c"unknown",
    };
    CStr::as_ptr(name)
}
