//! Randomness from a seed: the only source of secrets in the core.
//!
//! The generator is ChaCha20 over the seed, so its output is as unpredictable as the seed is, and the
//! same seed gives the same bytes. The driver draws the seed from the operating system.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use ring::hmac;
use std::fmt;
use zeroize::Zeroizing;

/// A deterministic random bit generator.
pub struct Random(ChaCha20Rng);

impl Random {
    /// A generator that gives the bytes of `seed`.
    pub fn from_seed(seed: [u8; 32]) -> Random {
        Random(ChaCha20Rng::from_seed(seed))
    }

    /// Fills `out`.
    pub fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }

    /// Random bytes, as many as asked for.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A generator of its own for `label`. What is drawn from one tells nothing of the other.
    pub fn fork(&mut self, label: &str) -> Random {
        let key = Zeroizing::new(self.bytes::<32>());
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &*key), label.as_bytes());
        let mut seed = Zeroizing::new([0; 32]);
        seed.copy_from_slice(tag.as_ref());
        Random::from_seed(*seed)
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
        let draw = |seed| Random::from_seed([seed; 32]).bytes::<64>();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn the_generator_is_chacha20_with_a_zero_nonce() {
        // RFC 8439, appendix A.1, test vectors 1 and 2: key stream of an all-zero key.
        let mut random = Random::from_seed([0; 32]);
        assert_eq!(random.bytes(), [0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90]);
        random.bytes::<56>();
        assert_eq!(random.next_u32(), u32::from_le_bytes([0x9f, 0x07, 0xe7, 0xbe]));
    }

    #[test]
    fn forks_differ_by_label_and_by_turn_and_repeat_with_the_seed() {
        let fork = |label| Random::from_seed([3; 32]).fork(label).next_u64();
        assert_eq!(fork("a"), fork("a"));
        assert_ne!(fork("a"), fork("b"));
        let mut random = Random::from_seed([3; 32]);
        assert_ne!(random.fork("a").next_u64(), random.fork("a").next_u64());
    }

    #[test]
    fn debug_output_shows_no_secret() {
        assert_eq!(format!("{:?}", Random::from_seed([7; 32])), "Random(…)");
    }
}
