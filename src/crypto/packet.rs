//! Sealing and opening data packets, and changing the keys as they wear out.
//!
//! Each direction has a secret of its own, from which come a key and an IV; the nonce is the IV xor the packet
//! number (RFC 9001, section 5.3). The sender moves on to the next secret after a number of packets, once
//! a packet under the present one was acknowledged, and says so by the phase bit of the header. The receiver
//! follows when a packet opens under the next key, and keeps the old one for packets that come late
//! (section 6). Header bits are under the seal, so nobody else can turn the phase.
//!
//! Lengths of life: a key seals at most 2^23 packets (section 6.6 and appendix B, for AES-GCM), and a connection
//! is given up when so many packets failed to open that a forgery comes within reach.

use super::CryptoError;
use super::noise::Split;
use crate::drops::Dropped;
use crate::time::{Duration, Instant};
use ring::{aead, hkdf};
use std::fmt;
use zeroize::Zeroizing;

/// A sender changes its key after so many packets, if it may.
pub const KEY_UPDATE_PACKETS: u64 = 1 << 22;
/// No key seals more packets than this.
pub const KEY_LIMIT_PACKETS: u64 = 1 << 23;

const TAG: usize = aead::MAX_TAG_LEN;
const LABEL: &[u8] = b"steamnetmsg v0 ";

/// The cipher of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aead {
    /// AES-256-GCM, where both sides have it in hardware.
    Aes256Gcm,
    /// ChaCha20-Poly1305 (RFC 8439), everywhere.
    ChaCha20Poly1305,
}

const AES_256_GCM_BIT: u8 = 1;
const CHACHA20_POLY1305_BIT: u8 = 2;

/// What this machine can do well: bit 0 AES-256-GCM in hardware, bit 1 ChaCha20-Poly1305, always set.
pub fn aead_support() -> u8 {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    let aes = std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    let aes = std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    let aes = false;
    CHACHA20_POLY1305_BIT | if aes { AES_256_GCM_BIT } else { 0 }
}

impl Aead {
    /// The cipher for two sides with these [`aead_support`] bits; both sides choose the same.
    pub fn choose(ours: u8, theirs: u8) -> Aead {
        if ours & theirs & AES_256_GCM_BIT != 0 { Aead::Aes256Gcm } else { Aead::ChaCha20Poly1305 }
    }

    fn algorithm(self) -> &'static aead::Algorithm {
        match self {
            Aead::Aes256Gcm => &aead::AES_256_GCM,
            Aead::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
        }
    }

    /// Derived keys of one cipher are no keys of the other.
    fn name(self) -> &'static [u8] {
        match self {
            Aead::Aes256Gcm => b"aes-256-gcm",
            Aead::ChaCha20Poly1305 => b"chacha20-poly1305",
        }
    }
}

/// When keys are worn out, in packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyLimits {
    /// A confirmed key is changed after sealing so many.
    pub update_after: u64,
    /// An unconfirmed one may seal so many.
    pub seal_at_most: u64,
    /// So many failures to open, over all keys, end the connection.
    pub failed_opens: u64,
}

impl KeyLimits {
    /// The limits of `aead` (RFC 9001, section 6.6).
    pub fn of(aead: Aead) -> KeyLimits {
        let failed_opens = match aead {
            Aead::Aes256Gcm => 1 << 52,
            Aead::ChaCha20Poly1305 => 1 << 36,
        };
        KeyLimits { update_after: KEY_UPDATE_PACKETS, seal_at_most: KEY_LIMIT_PACKETS, failed_opens }
    }
}

/// The keys of one connection, both directions.
pub struct PacketKeys {
    aead: Aead,
    limits: KeyLimits,
    sending: Sending,
    receiving: Receiving,
}

struct Sending {
    key: Key,
    secret: Secret,
    phase: bool,
    /// No number below this may be sealed again.
    next: u64,
    /// The first number sealed in this phase, once there is one.
    first: Option<u64>,
    /// How many were sealed in this phase.
    sealed: u64,
    /// The peer has opened one of this phase.
    confirmed: bool,
}

struct Receiving {
    key: Key,
    phase: bool,
    /// The lowest number opened in this phase.
    first: u64,
    /// The key of the next phase, made before it is needed so that the first packet takes no longer than others.
    next: Box<Key>,
    /// The secret of the next phase.
    next_secret: Secret,
    /// The key of the last phase, and when it is forgotten.
    old: Option<Box<(Key, Instant)>>,
    failed: u64,
}

impl PacketKeys {
    /// The keys that follow from a finished handshake.
    pub fn new(split: &Split, aead: Aead) -> PacketKeys {
        PacketKeys::with_limits(split, aead, KeyLimits::of(aead))
    }

    /// The same, wearing out after `limits`.
    pub fn with_limits(split: &Split, aead: Aead, limits: KeyLimits) -> PacketKeys {
        let send = Secret::of(split.send(), split.handshake_hash());
        let receive = Secret::of(split.receive(), split.handshake_hash());
        let next_secret = receive.next();
        PacketKeys {
            aead,
            limits,
            sending: Sending {
                key: send.key(aead),
                secret: send,
                phase: false,
                next: 0,
                first: None,
                sealed: 0,
                confirmed: false,
            },
            receiving: Receiving {
                key: receive.key(aead),
                phase: false,
                first: 0,
                next: Box::new(next_secret.key(aead)),
                next_secret,
                old: None,
                failed: 0,
            },
        }
    }

    /// The phase that the header of the next packet must show. Changes the key when it is time to: call it for
    /// every packet, before its header is written.
    #[inline]
    pub fn send_phase(&mut self) -> bool {
        let sending = &mut self.sending;
        if sending.sealed >= self.limits.update_after && sending.confirmed {
            sending.update(self.aead);
        }
        sending.phase
    }

    /// Seals packet `pn` in place: `packet[start..start + header_len]` is its header, everything after that its
    /// content. 16 bytes of tag are appended; nothing is allocated when the buffer has room for them.
    ///
    /// # Errors
    /// [`CryptoError::NumberUsed`] when `pn` is not above all sealed before, [`CryptoError::KeyExhausted`] when
    /// the peer has confirmed no packet for far too long, [`CryptoError::OutOfBounds`] when the header lies
    /// outside the buffer. The packet is as it was then.
    #[inline]
    pub fn seal(&mut self, pn: u64, packet: &mut Vec<u8>, start: usize, header_len: usize) -> Result<(), CryptoError> {
        let sending = &mut self.sending;
        if pn < sending.next || pn == u64::MAX {
            return Err(CryptoError::NumberUsed);
        }
        if sending.sealed >= self.limits.seal_at_most {
            return Err(CryptoError::KeyExhausted);
        }
        let (header, content) = packet
            .get_mut(start..)
            .and_then(|packet| packet.split_at_mut_checked(header_len))
            .ok_or(CryptoError::OutOfBounds)?;
        let tag = sending
            .key
            .aead
            .seal_in_place_separate_tag(sending.key.nonce(pn), aead::Aad::from(&*header), content)
            .map_err(|_| CryptoError::OutOfBounds)?;
        packet.extend_from_slice(tag.as_ref());
        sending.next = pn.saturating_add(1);
        sending.first.get_or_insert(pn);
        sending.sealed += 1;
        Ok(())
    }

    /// The peer has acknowledged packet `pn`, under a seal of its own.
    #[inline]
    pub fn handle_acked(&mut self, pn: u64) {
        self.sending.confirmed |= self.sending.first.is_some_and(|first| pn >= first && pn < self.sending.next);
    }

    /// Opens packet `pn` in place; gives the length of its content at the front of `body`. When a packet shows
    /// that the peer has changed its key, the old one is kept for `old_key_lifetime` (three probe timeouts).
    ///
    /// # Errors
    /// [`Dropped::BadLength`] without room for a tag, [`Dropped::BadSeal`] when it does not open under the key it
    /// claims, or that key is forgotten. No key changes then; `body` is spoilt.
    #[inline]
    pub fn open(
        &mut self,
        now: Instant,
        old_key_lifetime: Duration,
        phase: bool,
        pn: u64,
        header: &[u8],
        body: &mut [u8],
    ) -> Result<usize, Dropped> {
        let len = body.len().checked_sub(TAG).ok_or(Dropped::BadLength)?;
        let receiving = &mut self.receiving;
        receiving.forget_old(now);
        let opened = if phase == receiving.phase {
            let opened = receiving.key.open(pn, header, body);
            if opened {
                receiving.first = receiving.first.min(pn);
            }
            opened
        } else if pn < receiving.first {
            // No key was tried without an old one, so this is no attempt at a forgery either.
            let (old, _) = receiving.old.as_deref().ok_or(Dropped::BadSeal)?;
            old.open(pn, header, body)
        } else {
            let opened = receiving.next.open(pn, header, body);
            if opened {
                receiving.update(self.aead, pn, now + old_key_lifetime);
            }
            opened
        };
        if opened {
            Ok(len)
        } else {
            receiving.failed = receiving.failed.saturating_add(1);
            Err(Dropped::BadSeal)
        }
    }

    /// So many packets failed to open that the keys may no longer be trusted: end the connection.
    pub fn failed_opens_exhausted(&self) -> bool {
        self.receiving.failed >= self.limits.failed_opens
    }

    /// The cipher in use.
    pub fn aead(&self) -> Aead {
        self.aead
    }
}

impl fmt::Debug for PacketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacketKeys").field("aead", &self.aead).finish_non_exhaustive()
    }
}

impl Sending {
    #[cold]
    fn update(&mut self, aead: Aead) {
        self.secret = self.secret.next();
        self.key = self.secret.key(aead);
        self.phase = !self.phase;
        self.first = None;
        self.sealed = 0;
        self.confirmed = false;
    }
}

impl Receiving {
    #[inline]
    fn forget_old(&mut self, now: Instant) {
        if self.old.as_ref().is_some_and(|old| now >= old.1) {
            self.old = None;
        }
    }

    #[cold]
    fn update(&mut self, aead: Aead, first: u64, forget_at: Instant) {
        self.next_secret = self.next_secret.next();
        let next = std::mem::replace(&mut *self.next, self.next_secret.key(aead));
        let old = std::mem::replace(&mut self.key, next);
        self.old = Some(Box::new((old, forget_at)));
        self.phase = !self.phase;
        self.first = first;
    }
}

struct Key {
    aead: aead::LessSafeKey,
    iv: [u8; aead::NONCE_LEN],
}

impl Key {
    #[inline]
    fn nonce(&self, pn: u64) -> aead::Nonce {
        let mut nonce = self.iv;
        for (byte, number) in nonce[4..].iter_mut().zip(pn.to_be_bytes()) {
            *byte ^= number;
        }
        aead::Nonce::assume_unique_for_key(nonce)
    }

    #[inline]
    fn open(&self, pn: u64, header: &[u8], body: &mut [u8]) -> bool {
        self.aead.open_in_place(self.nonce(pn), aead::Aad::from(header), body).is_ok()
    }
}

/// What the keys of one direction and phase come from (HKDF-SHA256, RFC 5869).
struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    /// The first of a direction, from what the handshake left.
    fn of(split: &[u8; 32], handshake_hash: &[u8; 32]) -> Secret {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, handshake_hash).extract(split);
        Secret(expand(&prk, &[LABEL, b"data secret"]))
    }

    /// The secret of the next phase.
    fn next(&self) -> Secret {
        Secret(expand(&self.prk(), &[LABEL, b"key update"]))
    }

    fn key(&self, cipher: Aead) -> Key {
        let prk = self.prk();
        let key = expand::<32>(&prk, &[LABEL, b"data key ", cipher.name()]);
        let iv = expand(&prk, &[LABEL, b"data iv ", cipher.name()]);
        let key = aead::UnboundKey::new(cipher.algorithm(), &*key).expect("both ciphers take 32 bytes");
        Key { aead: aead::LessSafeKey::new(key), iv: *iv }
    }

    fn prk(&self) -> hkdf::Prk {
        hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &*self.0)
    }
}

struct Bytes(usize);

impl hkdf::KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

fn expand<const N: usize>(prk: &hkdf::Prk, info: &[&[u8]]) -> Zeroizing<[u8; N]> {
    let mut out = Zeroizing::new([0; N]);
    prk.expand(info, Bytes(N)).and_then(|okm| okm.fill(&mut *out)).expect("HKDF gives up to 8,160 bytes");
    out
}

#[cfg(test)]
mod tests {
    use super::super::random::Random;
    use super::super::replay::ReplayWindow;
    use super::*;
    use ring::hmac;

    const CIPHERS: [Aead; 2] = [Aead::Aes256Gcm, Aead::ChaCha20Poly1305];
    const LIFETIME: Duration = Duration::from_millis(300);
    const HEADER: [u8; 7] = [0xC0, 1, 2, 3, 4, 5, 6];

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn pair(aead: Aead) -> (PacketKeys, PacketKeys) {
        pair_with(aead, KeyLimits::of(aead))
    }

    fn pair_with(aead: Aead, limits: KeyLimits) -> (PacketKeys, PacketKeys) {
        let (a, b) = Split::test_pair();
        (PacketKeys::with_limits(&a, aead, limits), PacketKeys::with_limits(&b, aead, limits))
    }

    struct Sealed {
        phase: bool,
        pn: u64,
        bytes: Vec<u8>,
    }

    fn seal(keys: &mut PacketKeys, pn: u64) -> Result<Sealed, CryptoError> {
        let phase = keys.send_phase();
        let mut bytes = HEADER.to_vec();
        bytes[0] |= u8::from(phase) << 4;
        bytes.extend_from_slice(&pn.to_be_bytes());
        keys.seal(pn, &mut bytes, 0, HEADER.len())?;
        Ok(Sealed { phase, pn, bytes })
    }

    fn open(keys: &mut PacketKeys, now: Instant, sealed: &Sealed) -> Result<(), Dropped> {
        let mut bytes = sealed.bytes.clone();
        let (header, body) = bytes.split_at_mut(HEADER.len());
        let len = keys.open(now, LIFETIME, sealed.phase, sealed.pn, header, body)?;
        assert_eq!(&body[..len], sealed.pn.to_be_bytes());
        Ok(())
    }

    #[test]
    fn what_one_side_seals_the_other_opens_in_both_directions() {
        for aead in CIPHERS {
            let (mut a, mut b) = pair(aead);
            for pn in [0, 1, 7, 1 << 40] {
                let sealed = seal(&mut a, pn).unwrap();
                assert_eq!(sealed.bytes.len(), HEADER.len() + 8 + TAG);
                assert_eq!(sealed.bytes[..HEADER.len()], HEADER);
                assert_eq!(open(&mut b, at(0), &sealed), Ok(()));
                let back = seal(&mut b, pn).unwrap();
                assert_ne!(back.bytes, sealed.bytes, "each direction has its own key");
                assert_eq!(open(&mut a, at(0), &back), Ok(()));
            }
        }
    }

    #[test]
    fn sealing_behind_other_packets_touches_none_of_them_and_allocates_nothing() {
        let (mut a, mut b) = pair(Aead::Aes256Gcm);
        let mut buf = Vec::with_capacity(64);
        buf.extend_from_slice(b"earlier");
        buf.extend_from_slice(&HEADER);
        buf.extend_from_slice(b"content");
        let place = buf.as_ptr();
        a.seal(0, &mut buf, 7, HEADER.len()).unwrap();
        assert_eq!((buf.as_ptr(), buf.len(), &buf[..14]), (place, 37, &[&b"earlier"[..], &HEADER].concat()[..]));
        let (header, body) = buf[7..].split_at_mut(HEADER.len());
        assert_eq!(b.open(at(0), LIFETIME, false, 0, header, body), Ok(7));
        assert_eq!(&body[..7], b"content");
    }

    #[test]
    fn any_flipped_bit_another_number_or_another_phase_breaks_the_seal_and_nothing_else() {
        for aead in CIPHERS {
            let (mut a, mut b) = pair(aead);
            let sealed = seal(&mut a, 9).unwrap();
            for bit in 0..sealed.bytes.len() * 8 {
                let mut forged = Sealed { bytes: sealed.bytes.clone(), ..sealed };
                forged.bytes[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(open(&mut b, at(0), &forged), Err(Dropped::BadSeal), "bit {bit}");
            }
            for (phase, pn) in [(true, 9), (false, 8), (false, 1 << 33)] {
                let forged = Sealed { phase, pn, bytes: sealed.bytes.clone() };
                assert_eq!(open(&mut b, at(0), &forged), Err(Dropped::BadSeal));
            }
            for len in 0..TAG {
                assert_eq!(b.open(at(0), LIFETIME, false, 1, &HEADER, &mut vec![0; len]), Err(Dropped::BadLength));
            }
            assert_eq!(open(&mut b, at(0), &sealed), Ok(()));
        }
    }

    #[test]
    fn keys_derive_as_the_specification_says() {
        // HKDF by hand (RFC 5869): one block of output is HMAC(prk, info | 1).
        let hmac = |key: &[u8], data: &[u8]| -> [u8; 32] {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data).as_ref().try_into().unwrap()
        };
        let (split, _) = Split::test_pair();
        let mut secret = hmac(&hmac(split.handshake_hash(), split.send()), b"steamnetmsg v0 data secret\x01");
        let limits = KeyLimits { update_after: 1, ..KeyLimits::of(Aead::Aes256Gcm) };
        let mut keys = PacketKeys::with_limits(&split, Aead::Aes256Gcm, limits);
        for pn in 0..3u64 {
            let key = hmac(&secret, b"steamnetmsg v0 data key aes-256-gcm\x01");
            let mut nonce = [0; 12];
            nonce.copy_from_slice(&hmac(&secret, b"steamnetmsg v0 data iv aes-256-gcm\x01")[..12]);
            nonce[11] ^= pn as u8;
            let mut sealed = seal(&mut keys, pn).unwrap();
            let (header, body) = sealed.bytes.split_at_mut(HEADER.len());
            let key = aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_256_GCM, &key).unwrap());
            let nonce = aead::Nonce::assume_unique_for_key(nonce);
            let opened = key.open_in_place(nonce, aead::Aad::from(&*header), body).expect("the keys are the same");
            assert_eq!(opened, pn.to_be_bytes());
            keys.handle_acked(pn);
            secret = hmac(&secret, b"steamnetmsg v0 key update\x01");
        }
    }

    #[test]
    fn a_number_is_never_sealed_twice() {
        let (mut a, _) = pair(Aead::ChaCha20Poly1305);
        seal(&mut a, 5).unwrap();
        for pn in [0, 5, u64::MAX] {
            let mut packet = HEADER.to_vec();
            assert_eq!(a.seal(pn, &mut packet, 0, HEADER.len()), Err(CryptoError::NumberUsed));
            assert_eq!(packet, HEADER);
        }
        for (start, header) in [(0, 8), (8, 0), (usize::MAX, 1), (1, usize::MAX)] {
            assert_eq!(a.seal(6, &mut HEADER.to_vec(), start, header), Err(CryptoError::OutOfBounds));
        }
        assert!(seal(&mut a, 6).is_ok());
    }

    #[test]
    fn keys_change_many_times_under_loss_and_reordering_without_a_packet_that_does_not_open() {
        for aead in CIPHERS {
            let limits = KeyLimits { update_after: 32, seal_at_most: 256, failed_opens: 1 };
            let (mut a, mut b) = pair_with(aead, limits);
            let mut random = Random::from_seed([aead as u8; 32]);
            let mut window = ReplayWindow::default();
            let (mut flying, mut acks) = (Vec::new(), Vec::new());
            let (mut phases, mut last, mut opened) = (0, false, 0);
            for pn in 0..6_000u64 {
                let sealed = seal(&mut a, pn).unwrap();
                phases += u32::from(sealed.phase != last);
                last = sealed.phase;
                if !random.next_u32().is_multiple_of(10) {
                    flying.push((pn + u64::from(random.next_u32() % 20), sealed));
                }
                let due: Vec<_> = flying.extract_if(.., |(when, _)| *when <= pn).map(|(_, sealed)| sealed).collect();
                for sealed in due.iter().rev() {
                    assert!(window.check(sealed.pn));
                    assert_eq!(open(&mut b, at(pn), sealed), Ok(()), "packet {} at {pn}", sealed.pn);
                    window.mark(sealed.pn);
                    opened += 1;
                    acks.push((pn + 5, sealed.pn));
                }
                for (_, acked) in acks.extract_if(.., |(when, _)| *when <= pn) {
                    a.handle_acked(acked);
                }
            }
            assert!(opened > 5_000 && phases > 100, "{opened} opened, {phases} changes");
            assert!(!b.failed_opens_exhausted());
        }
    }

    #[test]
    fn an_unconfirmed_key_goes_on_to_its_limit_and_changes_as_soon_as_it_is_confirmed() {
        let limits = KeyLimits { update_after: 4, seal_at_most: 8, failed_opens: 9 };
        let (mut a, mut b) = pair_with(Aead::Aes256Gcm, limits);
        for pn in 0..8 {
            assert!(!seal(&mut a, pn).unwrap().phase);
        }
        assert_eq!(seal(&mut a, 8).map(|_| ()), Err(CryptoError::KeyExhausted));
        a.handle_acked(8);
        assert!(!a.send_phase(), "a packet that was never sealed confirms nothing");
        a.handle_acked(3);
        let sealed = seal(&mut a, 8).unwrap();
        assert!(sealed.phase);
        assert_eq!(open(&mut b, at(0), &sealed), Ok(()));
        for pn in 9..14 {
            seal(&mut a, pn).unwrap();
            a.handle_acked(7);
        }
        assert!(a.send_phase(), "an acknowledgement of the phase before does not confirm this one");
    }

    #[test]
    fn the_old_key_opens_late_packets_until_its_time_is_up() {
        let limits = KeyLimits { update_after: 2, ..KeyLimits::of(Aead::Aes256Gcm) };
        let (mut a, mut b) = pair_with(Aead::Aes256Gcm, limits);
        let late: Vec<_> = (0..2).map(|pn| seal(&mut a, pn).unwrap()).collect();
        a.handle_acked(0);
        let new = seal(&mut a, 2).unwrap();
        let newer = seal(&mut a, 3).unwrap();
        assert!(new.phase && newer.phase);

        assert_eq!(open(&mut b, at(0), &newer), Ok(()));
        assert_eq!(open(&mut b, at(299), &late[0]), Ok(()));
        assert_eq!(open(&mut b, at(299), &new), Ok(()), "one of the new phase that comes after a later one");
        assert_eq!(open(&mut b, at(300), &late[1]), Err(Dropped::BadSeal));
        assert_eq!(open(&mut b, at(301), &newer), Ok(()));
    }

    #[test]
    fn repeated_and_forged_phases_turn_no_key() {
        let limits = KeyLimits { update_after: 2, ..KeyLimits::of(Aead::ChaCha20Poly1305) };
        let (mut a, mut b) = pair_with(Aead::ChaCha20Poly1305, limits);
        let old = seal(&mut a, 0).unwrap();
        seal(&mut a, 1).unwrap();
        a.handle_acked(1);
        let new = seal(&mut a, 2).unwrap();
        for sealed in [&old, &new, &old, &new, &old] {
            assert_eq!(open(&mut b, at(1), sealed), Ok(()));
        }
        for pn in [1, 2, 3, 1 << 50] {
            for phase in [false, true] {
                let forged = Sealed { phase, pn, bytes: vec![0xC0; 60] };
                assert_eq!(open(&mut b, at(1), &forged), Err(Dropped::BadSeal));
            }
        }
        let next = seal(&mut a, 3).unwrap();
        assert!(next.phase);
        assert_eq!(open(&mut b, at(1), &next), Ok(()));
    }

    #[test]
    fn the_two_directions_change_keys_each_in_its_own_time() {
        let limits = KeyLimits { update_after: 1, ..KeyLimits::of(Aead::Aes256Gcm) };
        let (mut a, mut b) = pair_with(Aead::Aes256Gcm, limits);
        for pn in 0..9 {
            let sealed = seal(&mut a, pn).unwrap();
            assert_eq!(sealed.phase, pn % 2 == 1);
            assert_eq!(open(&mut b, at(pn), &sealed), Ok(()));
            a.handle_acked(pn);
        }
        let back = seal(&mut b, 0).unwrap();
        assert!(!back.phase);
        assert_eq!(open(&mut a, at(9), &back), Ok(()));
    }

    #[test]
    fn too_many_failures_to_open_wear_a_connection_out() {
        let limits = KeyLimits { failed_opens: 3, ..KeyLimits::of(Aead::Aes256Gcm) };
        let (mut a, mut b) = pair_with(Aead::Aes256Gcm, limits);
        let forged = Sealed { phase: false, pn: 1, bytes: vec![0; 40] };
        for pn in 0..3 {
            assert!(!b.failed_opens_exhausted());
            assert_eq!(open(&mut b, at(0), &forged), Err(Dropped::BadSeal));
            assert_eq!(open(&mut b, at(0), &seal(&mut a, pn).unwrap()), Ok(()));
        }
        assert!(b.failed_opens_exhausted());
        assert_eq!(KeyLimits::of(Aead::Aes256Gcm).failed_opens, 1 << 52);
        assert_eq!(KeyLimits::of(Aead::ChaCha20Poly1305).failed_opens, 1 << 36);
    }

    #[test]
    fn both_sides_choose_the_same_cipher_and_hardware_decides() {
        for (ours, theirs, cipher) in [
            (3, 3, Aead::Aes256Gcm),
            (3, 2, Aead::ChaCha20Poly1305),
            (2, 3, Aead::ChaCha20Poly1305),
            (2, 2, Aead::ChaCha20Poly1305),
            (0xff, 3, Aead::Aes256Gcm),
        ] {
            assert_eq!((Aead::choose(ours, theirs), Aead::choose(theirs, ours)), (cipher, cipher));
        }
        assert_eq!(aead_support() & CHACHA20_POLY1305_BIT, CHACHA20_POLY1305_BIT);
    }

    #[test]
    fn a_pending_stranger_fits_into_4_kib() {
        let keys = size_of::<PacketKeys>() + size_of::<Key>();
        let bytes = keys + size_of::<ReplayWindow>() + 1_200;
        assert!(bytes <= 4_096 - 256, "{keys} bytes of keys, {bytes} in all, leave too little for the rest");
    }
}
