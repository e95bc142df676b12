//! Events waiting for the app.

use crate::ids::SteamId;

/// What the app is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Someone wants to talk.
    SessionRequest {
        /// Who.
        from: SteamId,
    },
    /// A session failed.
    SessionFailed {
        /// With whom.
        peer: SteamId,
        /// An SNM_END_ number.
        reason: i32,
        /// 4 closed by peer, 5 problem detected locally.
        state: i32,
        /// For humans.
        text: String,
    },
}
