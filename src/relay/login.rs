//! Who we are to a TURN server: STUN's long-term credentials (RFC 8489 section 9.2).
//!
//! A signature needs a realm and a nonce, which the server sends when it refuses the first request.
//! We sign with MD5 and SHA-1, as RFC 5389 has it: every server takes that, and what it guards is a
//! place on a relay; what passes there is sealed by us.

use super::stun::Challenge;
use std::fmt;
use stun_types::attribute::{Nonce, Realm, Username};
use stun_types::message::{IntegrityAlgorithm, IntegrityKey, LongTermCredentials, Message, MessageWriteVec};
use stun_types::prelude::*;
use zeroize::Zeroizing;

/// Credentials, and what the server last challenged them with.
pub struct Login {
    username: String,
    password: Zeroizing<String>,
    challenged: Option<(Challenge, IntegrityKey)>,
}

impl Login {
    /// Credentials nobody asked for yet.
    pub fn new(username: &str, password: &str) -> Login {
        Login { username: username.to_owned(), password: Zeroizing::new(password.to_owned()), challenged: None }
    }

    /// The user.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// Another password for the same user; the challenge stays good.
    pub fn set_password(&mut self, password: &str) {
        self.password = Zeroizing::new(password.to_owned());
        if let Some((challenge, _)) = self.challenged.take() {
            self.challenge(challenge);
        }
    }

    /// The server wants signatures for this from now on.
    pub fn challenge(&mut self, challenge: Challenge) {
        let password = String::clone(&self.password);
        let credentials = LongTermCredentials::new(self.username.clone(), password);
        let key = credentials.to_key(challenge.realm.clone()).make_key(IntegrityAlgorithm::Sha1);
        self.challenged = Some((challenge, key));
    }

    /// Signs a request, if a challenge has come. `None` if something is too long for STUN.
    pub fn sign(&self, message: &mut MessageWriteVec) -> Option<()> {
        let username = Username::new(&self.username).ok()?;
        let Some((challenge, key)) = &self.challenged else { return Some(()) };
        message.add_attribute(&username).ok()?;
        message.add_attribute(&Realm::new(&challenge.realm).ok()?).ok()?;
        message.add_attribute(&Nonce::new(&challenge.nonce).ok()?).ok()?;
        message.add_message_integrity_with_key(key, IntegrityAlgorithm::Sha1).ok()
    }

    /// Whether who wrote this knows our password.
    pub fn verify(&self, message: &Message<'_>) -> bool {
        self.challenged.as_ref().is_some_and(|(_, key)| message.validate_integrity_with_key(key).is_ok())
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({:?})", self.username)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_no_secret() {
        let mut login = Login::new("alice", "hunter2");
        login.challenge(Challenge { realm: "here".into(), nonce: "once".into() });
        assert_eq!(format!("{login:?}"), "Login(\"alice\")");
    }
}
