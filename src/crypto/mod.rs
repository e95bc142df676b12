//! Sealed ↔ open: keys, signatures, seals and everything secret.
//!
//! This room turns a seed into randomness ([`random`]), proves who holds an identity ([`identity`]) and
//! whose steam id it is ([`certificate`]), agrees
//! on keys ([`noise`]), seals and opens packets ([`packet`]), refuses repeated ones ([`replay`]) and makes the
//! small tags that need no state ([`cookie`]). It decides no layout but that of its own inputs, and believes
//! nobody: whether a proven identity may enter is decided above.
//!
//! Invariants: no nonce is used twice under one key; a message that does not verify leaves every state
//! as it was; secrets are wiped when they are dropped, as far as they are ours; the same seed gives the same bytes.
//! The primitives come from `ring`, the handshake from `snow`.

pub mod certificate;
pub mod cookie;
pub mod identity;
pub mod noise;
pub mod packet;
pub mod random;
pub mod replay;

/// Why something secret could not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// A handshake message does not verify, or is cut short.
    #[error("the handshake message does not verify")]
    BadHandshake,
    /// A signature does not verify.
    #[error("the signature does not verify")]
    BadSignature,
    /// A step of the handshake before its turn, or a second time.
    #[error("the handshake is not at this step")]
    OutOfTurn,
    /// The key has sealed as many packets as it may, and the peer confirmed no newer one.
    #[error("the key has sealed as many packets as it may")]
    KeyExhausted,
    /// A packet number not above those sealed before: sealing it would give the key away.
    #[error("the packet number was used before")]
    NumberUsed,
    /// A packet whose bounds do not fit its buffer.
    #[error("the packet lies outside its buffer")]
    OutOfBounds,
}

/// Are both the same? Takes as long wherever they differ, so that a tag cannot be guessed byte by byte.
pub fn equal(a: &[u8; 16], b: &[u8; 16]) -> bool {
    // Compared as one number: there is no byte to stop at.
    std::hint::black_box(u128::from_ne_bytes(*a) ^ u128::from_ne_bytes(*b)) == 0
}
