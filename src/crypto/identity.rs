//! The long-lived key of a steam id, and what it signs.
//!
//! The handshake agrees on keys with an X25519 key made per endpoint and run. The identity key (Ed25519,
//! RFC 8032) signs that key together with the app and the steam id, so that whoever completes a handshake
//! under the signed key holds the identity. Whether the identity may use that steam id is for a certificate.

use super::CryptoError;
use crate::ids::{AppId, SteamId};
use curve25519_dalek::edwards::CompressedEdwardsY;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use std::fmt;
use zeroize::Zeroizing;

/// Keeps these signatures apart from any other this key may ever make.
const LABEL: &[u8; 31] = b"steamnetmsg identity binding v0";
/// The same for logins.
const LOGIN_LABEL: &[u8; 19] = b"steamnetmsg login 0";
const BINDING_LEN: usize = LABEL.len() + 4 + 8 + 32 + 8;

/// Is this a public key for which not just anybody can sign? For points of small order, which RFC 8032 does not
/// exclude, anybody can; for what is no point nobody can, which is no harm.
pub fn is_sound(public_key: &[u8; 32]) -> bool {
    CompressedEdwardsY(*public_key).decompress().is_none_or(|point| !point.is_small_order())
}

/// The private key of an identity: shown nowhere, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed(Zeroizing<[u8; 32]>);

impl Seed {
    /// Any 32 bytes.
    pub fn new(bytes: [u8; 32]) -> Seed {
        Seed(Zeroizing::new(bytes))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(…)")
    }
}

/// An Ed25519 key pair.
pub struct Identity(Ed25519KeyPair);

impl Identity {
    /// The key pair of `seed` (the private key of RFC 8032). Every seed is one.
    pub fn from_seed(seed: &[u8; 32]) -> Identity {
        Identity(Ed25519KeyPair::from_seed_unchecked(seed).expect("32 bytes are the length of an Ed25519 seed"))
    }

    /// The public key.
    pub fn public_key(&self) -> [u8; 32] {
        self.0.public_key().as_ref().try_into().expect("an Ed25519 public key has 32 bytes")
    }

    /// Signs that the handshake key `static_public` speaks for `steam_id` in `app` until `not_after`
    /// (seconds since 1970, 0 without end).
    pub fn sign_binding(&self, app: AppId, steam_id: SteamId, static_public: &[u8; 32], not_after: u64) -> [u8; 64] {
        let signature = self.0.sign(&binding(app, steam_id, static_public, not_after));
        signature.as_ref().try_into().expect("an Ed25519 signature has 64 bytes")
    }

    /// Signs a login of `steam_id` in `app` at the signaling server `host`, which gave `nonce`.
    pub fn sign_login(&self, app: AppId, steam_id: SteamId, nonce: &[u8; 32], host: &str) -> [u8; 64] {
        let signature = self.0.sign(&login(&self.public_key(), app, steam_id, nonce, host));
        signature.as_ref().try_into().expect("an Ed25519 signature has 64 bytes")
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(…)")
    }
}

/// Checks what [`Identity::sign_binding`] signed. Whether `not_after` has passed is for the caller.
///
/// # Errors
/// [`CryptoError::BadSignature`].
pub fn verify_binding(
    identity_key: &[u8; 32],
    app: AppId,
    steam_id: SteamId,
    static_public: &[u8; 32],
    not_after: u64,
    signature: &[u8; 64],
) -> Result<(), CryptoError> {
    UnparsedPublicKey::new(&ED25519, identity_key)
        .verify(&binding(app, steam_id, static_public, not_after), signature)
        .map_err(|_| CryptoError::BadSignature)
}

/// Checks what [`Identity::sign_login`] signed. Whether the key speaks for the steam id is for the caller.
///
/// # Errors
/// [`CryptoError::BadSignature`].
pub fn verify_login(
    identity_key: &[u8; 32],
    app: AppId,
    steam_id: SteamId,
    nonce: &[u8; 32],
    host: &str,
    signature: &[u8; 64],
) -> Result<(), CryptoError> {
    UnparsedPublicKey::new(&ED25519, identity_key)
        .verify(&login(identity_key, app, steam_id, nonce, host), signature)
        .map_err(|_| CryptoError::BadSignature)
}

/// `[label][nonce 32][app u32][steam id u64][identity key 32][host]`, big endian.
fn login(identity_key: &[u8; 32], app: AppId, steam_id: SteamId, nonce: &[u8; 32], host: &str) -> Vec<u8> {
    let (app, steam_id) = (app.0.to_be_bytes(), steam_id.0.to_be_bytes());
    [&LOGIN_LABEL[..], nonce, &app, &steam_id, identity_key, host.as_bytes()].concat()
}

/// `[label][app u32][steam id u64][static key 32][not-after u64]`, big endian.
fn binding(app: AppId, steam_id: SteamId, static_public: &[u8; 32], not_after: u64) -> [u8; BINDING_LEN] {
    let mut message = [0; BINDING_LEN];
    let mut at = 0;
    for part in [&LABEL[..], &app.0.to_be_bytes(), &steam_id.0.to_be_bytes(), static_public, &not_after.to_be_bytes()] {
        message[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: AppId = AppId(480);
    const WHO: SteamId = SteamId(76_561_197_960_265_729);

    #[test]
    fn the_public_key_of_a_seed_is_that_of_rfc_8032() {
        // RFC 8032, section 7.1, test 1.
        let seed = [
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49,
            0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
        ];
        assert_eq!(Identity::from_seed(&seed).public_key()[..4], [0xd7, 0x5a, 0x98, 0x01]);
    }

    #[test]
    fn a_binding_verifies_with_what_was_signed_and_nothing_else() {
        let identity = Identity::from_seed(&[1; 32]);
        let key = identity.public_key();
        let signature = identity.sign_binding(APP, WHO, &[2; 32], 9);
        let bad = Err(CryptoError::BadSignature);

        assert_eq!(verify_binding(&key, APP, WHO, &[2; 32], 9, &signature), Ok(()));
        assert_eq!(verify_binding(&key, AppId(481), WHO, &[2; 32], 9, &signature), bad);
        assert_eq!(verify_binding(&key, APP, SteamId(1), &[2; 32], 9, &signature), bad);
        assert_eq!(verify_binding(&key, APP, WHO, &[3; 32], 9, &signature), bad);
        assert_eq!(verify_binding(&key, APP, WHO, &[2; 32], 0, &signature), bad);
        let other = Identity::from_seed(&[4; 32]).public_key();
        assert_eq!(verify_binding(&other, APP, WHO, &[2; 32], 9, &signature), bad);
        for i in 0..64 {
            let mut flipped = signature;
            flipped[i] ^= 1;
            assert_eq!(verify_binding(&key, APP, WHO, &[2; 32], 9, &flipped), bad, "byte {i}");
        }
    }

    #[test]
    fn signing_draws_no_randomness() {
        let sign = || Identity::from_seed(&[1; 32]).sign_binding(APP, WHO, &[2; 32], 0);
        assert_eq!(sign(), sign());
    }
}
