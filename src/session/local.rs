//! Who we are, as every handshake needs it.

use crate::crypto::cookie::ResetKey;
use crate::crypto::identity::Identity;
use crate::crypto::noise::StaticKey;
use crate::ids::{AppId, SteamId};
use crate::path::reach::Reach;
use crate::session::trust::Trust;

/// The local side of every session of one endpoint.
pub struct Local {
    /// Our steam id.
    pub steam_id: SteamId,
    /// The app all our sessions belong to.
    pub app_id: AppId,
    /// Our Ed25519 key.
    pub identity: Identity,
    /// Our X25519 key, made for this run.
    pub static_key: StaticKey,
    /// Our signature over the static key.
    pub binding: [u8; 64],
    /// Makes the tokens that end sessions we lost.
    pub reset_key: ResetKey,
    /// Whom we believe, and the certificate we show.
    pub trust: Trust,
    /// How we can be reached.
    pub reach: Reach,
    /// The ciphers we have in hardware.
    pub aead_support: u8,
}
