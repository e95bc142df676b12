//! The paper that makes a claim a fact: an authority says that a steam id belongs to an identity key.
//!
//! Fixed size, big endian, no optional part, so that two encodings of one certificate cannot exist:
//!
//! `[version u8][authority key id 8][app u32][steam id u64][identity key 32][issued at u64][expires at u64][signature 64]`
//!
//! Times are seconds since 1970 on the authority's clock. The Ed25519 signature (RFC 8032) is over a label
//! and everything before it. Whether an authority is trusted and whether the time has passed is for the caller.

use super::CryptoError;
use super::identity::is_sound;
use crate::ids::{AppId, SteamId};
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use std::fmt;

/// The one version there is.
pub const VERSION: u8 = 1;

/// Keeps these signatures apart from any other an authority's key may ever make.
const LABEL: &[u8; 25] = b"steamnetmsg certificate 1";
const SIGNED_LEN: usize = 1 + 8 + 4 + 8 + 32 + 8 + 8;

/// Which key signed: the first eight bytes of the SHA-256 of the public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 8]);

impl KeyId {
    /// The id of an authority's public key.
    pub fn of(public_key: &[u8; 32]) -> KeyId {
        let mut id = [0; 8];
        id.copy_from_slice(&digest(&SHA256, public_key).as_ref()[..8]);
        KeyId(id)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a certificate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claims {
    /// In which app.
    pub app: AppId,
    /// Who.
    pub steam_id: SteamId,
    /// The Ed25519 public key that speaks for the steam id.
    pub identity_key: [u8; 32],
    /// When it was signed, seconds since 1970 on the authority's clock.
    pub issued_at: u64,
    /// The first second in which it holds no more, on the same clock.
    pub expires_at: u64,
}

/// A certificate as it was read: nothing of it is proven before [`Certificate::verify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The key that is said to have signed it.
    pub authority: KeyId,
    /// What it says.
    pub claims: Claims,
    bytes: [u8; Certificate::LEN],
}

/// Why bytes are no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotACertificate {
    /// The first byte is none we know.
    #[error("version {0}, this library reads version {VERSION}")]
    Version(u8),
    /// Cut short, or followed by something.
    #[error("{0} bytes long, not {len}", len = Certificate::LEN)]
    Length(usize),
    /// Anybody can sign for its identity key.
    #[error("its identity key is none")]
    Key,
    /// It ends before it begins.
    #[error("it expires before it was issued")]
    Times,
}

impl Certificate {
    /// Bytes of every certificate.
    pub const LEN: usize = SIGNED_LEN + 64;

    /// Reads what fills `bytes`.
    ///
    /// # Errors
    /// See [`NotACertificate`].
    pub fn decode(bytes: &[u8]) -> Result<Certificate, NotACertificate> {
        match bytes.first() {
            Some(&VERSION) => {}
            Some(&other) => return Err(NotACertificate::Version(other)),
            None => return Err(NotACertificate::Length(0)),
        }
        let bytes: [u8; Certificate::LEN] = bytes.try_into().map_err(|_| NotACertificate::Length(bytes.len()))?;
        let claims = Claims {
            app: AppId(u32::from_be_bytes(part(&bytes, 9))),
            steam_id: SteamId(u64::from_be_bytes(part(&bytes, 13))),
            identity_key: part(&bytes, 21),
            issued_at: u64::from_be_bytes(part(&bytes, 53)),
            expires_at: u64::from_be_bytes(part(&bytes, 61)),
        };
        if claims.expires_at <= claims.issued_at {
            return Err(NotACertificate::Times);
        }
        if !is_sound(&claims.identity_key) {
            return Err(NotACertificate::Key);
        }
        Ok(Certificate { authority: KeyId(part(&bytes, 1)), claims, bytes })
    }

    /// As it travels.
    pub fn as_bytes(&self) -> &[u8; Certificate::LEN] {
        &self.bytes
    }

    /// Did the holder of this authority key sign it?
    ///
    /// # Errors
    /// [`CryptoError::BadSignature`].
    pub fn verify(&self, authority_key: &[u8; 32]) -> Result<(), CryptoError> {
        let (signed, signature) = self.bytes.split_at(SIGNED_LEN);
        UnparsedPublicKey::new(&ED25519, authority_key)
            .verify(&labelled(signed), signature)
            .map_err(|_| CryptoError::BadSignature)
    }
}

/// The key of an authority.
pub struct Authority(Ed25519KeyPair);

impl Authority {
    /// The key pair of `seed` (the private key of RFC 8032). Every seed is one.
    pub fn from_seed(seed: &[u8; 32]) -> Authority {
        Authority(Ed25519KeyPair::from_seed_unchecked(seed).expect("32 bytes are the length of an Ed25519 seed"))
    }

    /// The public key, for TRUSTED_AUTHORITIES.
    pub fn public_key(&self) -> [u8; 32] {
        self.0.public_key().as_ref().try_into().expect("an Ed25519 public key has 32 bytes")
    }

    /// Certifies `claims`. What expires before it is issued is signed like anything else, and nobody reads it.
    pub fn issue(&self, claims: &Claims) -> Certificate {
        let authority = KeyId::of(&self.public_key());
        let mut bytes = [0; Certificate::LEN];
        bytes[0] = VERSION;
        bytes[1..9].copy_from_slice(&authority.0);
        bytes[9..13].copy_from_slice(&claims.app.0.to_be_bytes());
        bytes[13..21].copy_from_slice(&claims.steam_id.0.to_be_bytes());
        bytes[21..53].copy_from_slice(&claims.identity_key);
        bytes[53..61].copy_from_slice(&claims.issued_at.to_be_bytes());
        bytes[61..69].copy_from_slice(&claims.expires_at.to_be_bytes());
        let signature = self.0.sign(&labelled(&bytes[..SIGNED_LEN]));
        bytes[SIGNED_LEN..].copy_from_slice(signature.as_ref());
        Certificate { authority, claims: *claims, bytes }
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({})", KeyId::of(&self.public_key()))
    }
}

fn labelled(signed: &[u8]) -> Vec<u8> {
    [LABEL, signed].concat()
}

fn part<const N: usize>(bytes: &[u8; Certificate::LEN], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the fields lie within the certificate")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CLAIMS: Claims = Claims {
        app: AppId(480),
        steam_id: SteamId(76_561_197_960_265_729),
        identity_key: [7; 32],
        issued_at: 1_800_000_000,
        expires_at: 1_800_086_400,
    };

    #[test]
    fn what_was_issued_is_read_and_verifies_under_that_key_alone() {
        let authority = Authority::from_seed(&[1; 32]);
        let issued = authority.issue(&CLAIMS);
        let read = Certificate::decode(issued.as_bytes()).expect("a certificate");
        assert_eq!((read, read.claims), (issued, CLAIMS));
        assert_eq!(read.authority, KeyId::of(&authority.public_key()));
        assert_eq!(read.verify(&authority.public_key()), Ok(()));
        let other = Authority::from_seed(&[2; 32]).public_key();
        assert_eq!(read.verify(&other), Err(CryptoError::BadSignature));
    }

    #[test]
    fn no_bit_of_a_certificate_can_be_changed() {
        let authority = Authority::from_seed(&[1; 32]);
        let good = authority.issue(&CLAIMS);
        for bit in 0..Certificate::LEN * 8 {
            let mut bytes = *good.as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let verdict = Certificate::decode(&bytes).map(|c| c.verify(&authority.public_key()));
            // Another key id is noticed by whoever looks the authority up; it is signed all the same.
            assert_ne!(verdict, Ok(Ok(())), "bit {bit}");
        }
    }

    #[test]
    fn other_lengths_versions_and_times_are_no_certificate() {
        let good = *Authority::from_seed(&[1; 32]).issue(&CLAIMS).as_bytes();
        for len in 0..Certificate::LEN {
            assert_eq!(Certificate::decode(&good[..len]), Err(NotACertificate::Length(len)));
        }
        let longer = [&good[..], &[0]].concat();
        assert_eq!(Certificate::decode(&longer), Err(NotACertificate::Length(Certificate::LEN + 1)));
        let mut newer = good;
        newer[0] = 2;
        assert_eq!(Certificate::decode(&newer), Err(NotACertificate::Version(2)));
        let never = Authority::from_seed(&[1; 32]).issue(&Claims { expires_at: CLAIMS.issued_at, ..CLAIMS });
        assert_eq!(Certificate::decode(never.as_bytes()), Err(NotACertificate::Times));
    }

    #[test]
    fn a_certificate_is_133_bytes() {
        assert_eq!(Certificate::LEN, 133);
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Certificate::decode(&bytes);
        }
    }
}
