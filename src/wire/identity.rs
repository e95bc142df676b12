//! Who is speaking: the payload inside messages 2 and 3 of the handshake, sealed by it.
//!
//! `[session id u64][steam id u64][intended steam id u64][identity key 32][not-after u64]`
//! `[signature 64][certificate length u16][certificate ≤ 512][transport parameters, the rest]`
//!
//! This only reads and writes it. What the signature covers and whether to believe any of it is for others.

use super::codec::{Reader, WireError, Writer};
use super::params::Params;
use crate::ids::{SessionId, SteamId};

/// The longest certificate, bytes.
pub const MAX_CERTIFICATE: usize = 512;

/// What one side says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityPayload<'a> {
    /// Its session.
    pub session: SessionId,
    /// Who it says it is.
    pub steam_id: SteamId,
    /// Whom it means to talk to.
    pub intended: SteamId,
    /// Its Ed25519 public key.
    pub identity_key: [u8; 32],
    /// The signature holds until then, seconds since 1970; 0 without end.
    pub not_after: u64,
    /// By the identity key, over the binding of steam id and handshake key.
    pub signature: [u8; 64],
    /// The certificate of the identity key, at most [`MAX_CERTIFICATE`] bytes; empty for none.
    pub certificate: &'a [u8],
    /// What it will take.
    pub params: Params,
}

impl<'a> IdentityPayload<'a> {
    /// The longest encoding this version writes, bytes.
    pub const MAX_LEN: usize = 3 * 8 + 32 + 8 + 64 + 2 + MAX_CERTIFICATE + Params::MAX_LEN;

    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        debug_assert!(self.certificate.len() <= MAX_CERTIFICATE, "certificates are checked when they are configured");
        let limit = out.len() + IdentityPayload::MAX_LEN;
        let mut w = Writer::new(out, limit);
        w.u64(self.session.0);
        w.u64(self.steam_id.0);
        w.u64(self.intended.0);
        w.bytes(&self.identity_key);
        w.u64(self.not_after);
        w.bytes(&self.signature);
        w.u16(self.certificate.len() as u16);
        w.bytes(self.certificate);
        self.params.encode(&mut w);
    }

    /// Reads a payload that fills `bytes`.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when it is cut short, [`WireError::Malformed`] when the certificate is too
    /// long or a parameter is wrong (see [`Params::decode`]).
    pub fn decode(bytes: &'a [u8]) -> Result<IdentityPayload<'a>, WireError> {
        let mut r = Reader::new(bytes);
        Ok(IdentityPayload {
            session: SessionId(r.u64()?),
            steam_id: SteamId(r.u64()?),
            intended: SteamId(r.u64()?),
            identity_key: r.array()?,
            not_after: r.u64()?,
            signature: r.array()?,
            certificate: match usize::from(r.u16()?) {
                len @ 0..=MAX_CERTIFICATE => r.bytes(len)?,
                _ => return Err(WireError::Malformed),
            },
            params: Params::decode(&mut r)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::params::tests::any_params;
    use super::*;
    use proptest::prelude::*;

    /// Bytes before the parameters when there is no certificate.
    const FIXED: usize = 130;

    fn payload(certificate: &[u8]) -> IdentityPayload<'_> {
        IdentityPayload {
            session: SessionId(1),
            steam_id: SteamId(2),
            intended: SteamId(3),
            identity_key: [4; 32],
            not_after: 5,
            signature: [6; 64],
            certificate,
            params: Params { reset_token: Some([7; 16]), ..Params::default() },
        }
    }

    fn encoded(payload: &IdentityPayload<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        payload.encode(&mut out);
        out
    }

    #[test]
    fn a_payload_cut_short_anywhere_before_its_parameters_is_truncated() {
        let bytes = encoded(&payload(b"certificate"));
        for end in 0..FIXED + 11 {
            assert_eq!(IdentityPayload::decode(&bytes[..end]), Err(WireError::Truncated), "cut to {end}");
        }
    }

    #[test]
    fn the_longest_certificate_passes_and_a_longer_one_does_not() {
        let longest = [9; MAX_CERTIFICATE];
        let mut bytes = encoded(&payload(&longest));
        assert_eq!(IdentityPayload::decode(&bytes), Ok(payload(&longest)));
        bytes[FIXED - 2..FIXED].copy_from_slice(&(MAX_CERTIFICATE as u16 + 1).to_be_bytes());
        assert_eq!(IdentityPayload::decode(&bytes), Err(WireError::Malformed));
    }

    proptest! {
        #[test]
        fn payloads_round_trip(
            session: u64, steam: u64, intended: u64, key: [u8; 32], not_after: u64, half: [[u8; 32]; 2],
            certificate in prop::collection::vec(any::<u8>(), 0..=MAX_CERTIFICATE), params in any_params(),
        ) {
            let mut signature = [0; 64];
            signature.copy_from_slice(half.as_flattened());
            let payload = IdentityPayload {
                session: SessionId(session), steam_id: SteamId(steam), intended: SteamId(intended), identity_key: key,
                not_after, signature, certificate: &certificate, params,
            };
            let bytes = encoded(&payload);
            prop_assert!(bytes.len() <= IdentityPayload::MAX_LEN);
            prop_assert_eq!(IdentityPayload::decode(&bytes), Ok(payload));
        }

        #[test]
        fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..900)) {
            let _ = IdentityPayload::decode(&bytes);
        }
    }
}
