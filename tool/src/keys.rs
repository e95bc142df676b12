//! What a key is for, and how one is written.
//!
//! Every key here is an Ed25519 key (RFC 8032). A secret one is its seed and, on disk, says behind it what it is for,
//! so that a player's identity can never be taken for an authority:
//!
//! `[seed 32]["steamnetmsg " purpose " key 1\n"]`
//!
//! The seed comes first, so a C program reads 32 bytes and is done. A public key is 43 characters of base64url, as
//! TRUSTED_AUTHORITIES takes them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use std::fmt;
use std::str::FromStr;
use steamnetmsg::crypto::certificate::Authority;
use steamnetmsg::crypto::identity::Identity;
use steamnetmsg::crypto::identity::is_sound;
use zeroize::Zeroizing;

/// Bytes of a seed.
pub const SEED_LEN: usize = 32;

/// No key file is longer, bytes.
pub const MAX_FILE: usize = 128;

const VERSION: &str = "1";

/// What a key is for; no key is for two things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Signs certificates, which players show each other.
    Authority,
    /// Is a player.
    Identity,
    /// Signs login tokens, for a server that hands out certificates.
    Backend,
}

impl Purpose {
    const ALL: [Purpose; 3] = [Purpose::Authority, Purpose::Identity, Purpose::Backend];

    /// Its word in key files, file names and commands.
    pub fn word(self) -> &'static str {
        match self {
            Purpose::Authority => "authority",
            Purpose::Identity => "identity",
            Purpose::Backend => "backend",
        }
    }

    /// One of these, in a sentence.
    pub fn one(self) -> &'static str {
        match self {
            Purpose::Authority => "an authority",
            Purpose::Identity => "an identity",
            Purpose::Backend => "a backend",
        }
    }

    fn named(word: &str) -> Option<Purpose> {
        Purpose::ALL.into_iter().find(|purpose| purpose.word() == word)
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Why bytes are no key of the wanted purpose. The text completes "the file …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAKey {
    /// Something else altogether.
    #[error("holds no steamnetmsg key; `steamnetmsg {0} new` makes one")]
    Unknown(Purpose),
    /// Of a newer tool.
    #[error("is a key of version {0}, and this tool reads version {VERSION}: use a newer one")]
    Version(String),
    /// A key for something else.
    #[error("is the key of {}, and that of {} is needed", found.one(), wanted.one())]
    Purpose {
        /// What it is for.
        found: Purpose,
        /// What it should be for.
        wanted: Purpose,
    },
}

/// A secret key. It is wiped when dropped, and never printed.
pub struct SecretKey {
    purpose: Purpose,
    seed: Zeroizing<[u8; SEED_LEN]>,
}

impl SecretKey {
    /// A fresh one of the system's random numbers; `None` when it gives none.
    pub fn generate(purpose: Purpose) -> Option<SecretKey> {
        let mut seed = Zeroizing::new([0; SEED_LEN]);
        SystemRandom::new().fill(&mut *seed).ok()?;
        Some(SecretKey { purpose, seed })
    }

    /// The key of a seed.
    pub fn from_seed(purpose: Purpose, seed: &[u8; SEED_LEN]) -> SecretKey {
        SecretKey { purpose, seed: Zeroizing::new(*seed) }
    }

    /// Reads what a key file holds.
    ///
    /// # Errors
    /// See [`NotAKey`].
    pub fn decode(bytes: &[u8], wanted: Purpose) -> Result<SecretKey, NotAKey> {
        let (seed, label) = bytes.split_first_chunk::<SEED_LEN>().ok_or(NotAKey::Unknown(wanted))?;
        let words = label.strip_suffix(b"\n").and_then(|label| std::str::from_utf8(label).ok());
        let words: Vec<&str> = words.into_iter().flat_map(|words| words.split(' ')).collect();
        let ["steamnetmsg", purpose, "key", version] = words[..] else { return Err(NotAKey::Unknown(wanted)) };
        if version != VERSION {
            return Err(NotAKey::Version(version.escape_default().to_string()));
        }
        match Purpose::named(purpose) {
            Some(purpose) if purpose == wanted => Ok(SecretKey::from_seed(purpose, seed)),
            Some(found) => Err(NotAKey::Purpose { found, wanted }),
            None => Err(NotAKey::Unknown(wanted)),
        }
    }

    /// What a key file holds.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        // The room is there from the start, so no copy is left behind by growing.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FILE));
        bytes.extend_from_slice(&*self.seed);
        bytes.extend_from_slice(format!("steamnetmsg {} key {VERSION}\n", self.purpose).as_bytes());
        bytes
    }

    /// What it is for.
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// The seed itself, for whoever signs.
    pub fn seed(&self) -> &[u8; SEED_LEN] {
        &self.seed
    }

    /// The key everybody may know.
    pub fn public(&self) -> PublicKey {
        PublicKey(Identity::from_seed(&self.seed).public_key())
    }

    /// The authority whose key this is; `None` for a key of another purpose.
    pub fn authority(&self) -> Option<Authority> {
        (self.purpose == Purpose::Authority).then(|| Authority::from_seed(&self.seed))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({}, …)", self.purpose)
    }
}

/// An Ed25519 public key; written in base64url.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(pub [u8; 32]);

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl FromStr for PublicKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<PublicKey, &'static str> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        let bytes = bytes.ok_or("a public key has 43 characters of base64url")?;
        if is_sound(&bytes) { Ok(PublicKey(bytes)) } else { Err("anybody can sign for this public key") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_back_for_its_own_purpose_alone() {
        for purpose in Purpose::ALL {
            let file = SecretKey::from_seed(purpose, &[7; 32]).encode();
            assert_eq!(&file[..32], [7; 32], "a C program reads the first 32 bytes");
            assert!(file.len() <= MAX_FILE);
            for wanted in Purpose::ALL {
                let read = SecretKey::decode(&file, wanted);
                if wanted == purpose {
                    assert_eq!(read.map(|key| *key.seed()), Ok([7; 32]));
                } else {
                    assert_eq!(read.err(), Some(NotAKey::Purpose { found: purpose, wanted }));
                }
            }
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let whole = SecretKey::from_seed(Purpose::Identity, &[7; 32]).encode();
        let read = |bytes: &[u8]| SecretKey::decode(bytes, Purpose::Identity).err();
        let unknown = Some(NotAKey::Unknown(Purpose::Identity));
        for len in 0..whole.len() {
            assert_eq!(read(&whole[..len]), unknown, "cut to {len} bytes");
        }
        assert_eq!(read(&[&whole[..], b"x"].concat()), unknown);
        assert_eq!(read(&[&whole[..32], b"steamnetmsg lottery key 1\n"].concat()), unknown);
        let newer = [&whole[..32], b"steamnetmsg identity key 2\n"].concat();
        assert_eq!(read(&newer), Some(NotAKey::Version("2".to_owned())));
    }

    #[test]
    fn only_an_authority_key_certifies() {
        for purpose in Purpose::ALL {
            let key = SecretKey::from_seed(purpose, &[1; 32]);
            assert_eq!(key.authority().is_some(), purpose == Purpose::Authority);
        }
        let key = SecretKey::from_seed(Purpose::Authority, &[1; 32]);
        assert_eq!(key.authority().map(|authority| authority.public_key()), Some(key.public().0));
    }

    #[test]
    fn a_public_key_is_written_and_read_in_base64url() {
        let key = SecretKey::from_seed(Purpose::Authority, &[1; 32]).public();
        assert_eq!(key.to_string(), "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w");
        assert_eq!(key.to_string().parse(), Ok(key));
        for bad in
            ["", "abc", "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=", "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1+"]
        {
            assert!(bad.parse::<PublicKey>().is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_prints_a_secret() {
        let said = format!("{:?}", SecretKey::from_seed(Purpose::Authority, &[0xab; 32]));
        assert_eq!(said, "SecretKey(authority, …)");
    }
}
