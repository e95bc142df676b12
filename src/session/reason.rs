//! Why sessions end: the numbers of the C header's SNM_END_ table that the core itself gives.

/// The app closed the session.
pub const CLOSED: i32 = 1001;
/// Nobody used the session for a while, and both sides agreed.
pub const IDLE: i32 = 1002;
/// Broken crypto.
pub const BAD_CRYPT: i32 = 4002;
/// The identity is not what it has to be, or may not enter.
pub const BAD_CERT: i32 = 4003;
/// The peer speaks another wire version.
pub const BAD_VERSION: i32 = 4006;
/// The peer broke the protocol, or refuses us.
pub const GENERIC: i32 = 5001;
/// A fault of our own.
pub const INTERNAL: i32 = 5002;
/// Nothing was heard for too long.
pub const TIMEOUT: i32 = 5003;
/// The signaling server cannot be reached.
pub const SIGNALING: i32 = 5005;
/// No way to the peer is known.
pub const RENDEZVOUS: i32 = 5008;
/// The peer knows nothing of the session, it was restarted perhaps.
pub const NO_CONNECTION: i32 = 5010;

/// Reasons in this range end a session by somebody's wish: no event follows.
pub fn is_a_wish(reason: i32) -> bool {
    (1000..3000).contains(&reason)
}
