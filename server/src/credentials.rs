//! TURN credentials made from a shared secret, as coturn's `use-auth-secret` has them: the name says until when it
//! holds and whose it is, the password is an HMAC of the name. Whoever has the secret can check them; nothing is stored.
//!
//! `EXPIRES:STEAMID.APP`, and base64(HMAC-SHA1(secret, name)). SHA-1 is what all TURN servers agree on here; as an HMAC
//! it is not broken.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};
use std::time::Duration;

/// No name is longer, bytes; longer ones are not looked at.
pub const MAX_NAME: usize = 128;

/// A name and its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// `EXPIRES:STEAMID.APP`.
    pub username: String,
    /// What belongs to it.
    pub password: String,
    /// When they end, seconds since 1970.
    pub expires: u64,
}

/// Credentials of this user from `now` on for `lifetime`.
pub fn mint(secret: &[u8], steam_id: u64, app: u32, now: u64, lifetime: Duration) -> Credentials {
    let expires = now + lifetime.as_secs();
    let username = format!("{expires}:{steam_id}.{app}");
    Credentials { password: password(secret, &username), username, expires }
}

/// The password that belongs to a name.
pub fn password(secret: &[u8], username: &str) -> String {
    STANDARD.encode(sign(&Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret), username.as_bytes()))
}

/// When a name ends, seconds since 1970, and whose it is; `None` if it is no such name.
pub fn read(username: &str) -> Option<(u64, &str)> {
    let (expires, user) = username.split_once(':')?;
    if username.len() > MAX_NAME || user.is_empty() || !expires.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((expires.parse().ok()?, user))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_what_coturn_would_say() {
        // printf '1800000600:76561197960265729.480' | openssl dgst -sha1 -hmac north -binary | base64
        let made = mint(b"north", 76_561_197_960_265_729, 480, 1_800_000_000, Duration::from_secs(600));
        assert_eq!(made.username, "1800000600:76561197960265729.480");
        assert_eq!((made.password.as_str(), made.expires), (PASSWORD, 1_800_000_600));
        assert_ne!(password(b"south", &made.username), made.password);
        assert_eq!(read(&made.username), Some((1_800_000_600, "76561197960265729.480")));
    }

    #[test]
    fn what_is_no_name_is_none() {
        for name in ["", ":", "5:", ":x", "x:y", "-1:x", "+5:x", "99999999999999999999:x", "alice"] {
            assert_eq!(read(name), None, "{name}");
        }
        assert_eq!(read(&format!("1:{}", "x".repeat(MAX_NAME))), None);
    }

    const PASSWORD: &str = "+lvtOYft7VOaBs2dAsgXUIioq8k=";
}
