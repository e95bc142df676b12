"""Keys and seals of the wire, written from docs/protocol.md alone, with the `cryptography` package.

It decides whether a handshake message or a packet opens. What is inside is for reader.py.
"""

import hashlib
import hmac as standard_hmac

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from reader import VERSION, Malformed, demand, lengthen

REPLAY_WINDOW = 2048
CIPHERS = {"aes-256-gcm": AESGCM, "chacha20-poly1305": ChaCha20Poly1305}


def hmac(key, *parts):
    return standard_hmac.digest(key, b"".join(parts), "sha256")


def expand(secret, label, length):
    """HKDF-Expand (RFC 5869) of at most one block."""
    return hmac(secret, label.encode("ascii"), b"\1")[:length]


def u32(number):
    return number.to_bytes(4, "big")


def u64(number):
    return number.to_bytes(8, "big")


# Section 3.1: Noise_XX_25519_ChaChaPoly_SHA256, revision 34.


class Noise:
    """One side of a handshake; `static` and `ephemeral` are private keys, 32 bytes."""

    def __init__(self, static, ephemeral, app, session):
        self.static, self.ephemeral = (X25519PrivateKey.from_private_bytes(key) for key in (static, ephemeral))
        name = b"Noise_XX_25519_ChaChaPoly_SHA256"
        self.hash = self.chain = name.ljust(32, b"\0") if len(name) <= 32 else hashlib.sha256(name).digest()
        self.key, self.nonce = None, 0
        self.mix_hash(prologue(app, session))

    def mix_hash(self, data):
        self.hash = hashlib.sha256(self.hash + data).digest()

    def mix_key(self, private, public):
        secret = private.exchange(X25519PublicKey.from_public_bytes(public))
        self.chain, self.key = self.derive(secret)
        self.nonce = 0

    def derive(self, secret):
        prk = hmac(self.chain, secret)
        first = hmac(prk, b"\1")
        return first, hmac(prk, first, b"\2")

    def sealer(self):
        self.nonce += 1
        return ChaCha20Poly1305(self.key), bytes(4) + (self.nonce - 1).to_bytes(8, "little")

    def seal(self, plain):
        cipher, nonce = self.sealer()
        sealed = cipher.encrypt(nonce, plain, self.hash)
        self.mix_hash(sealed)
        return sealed

    def open(self, sealed):
        cipher, nonce = self.sealer()
        try:
            plain = cipher.decrypt(nonce, sealed, self.hash)
        except InvalidTag as wrong:
            raise Malformed("does not verify") from wrong
        self.mix_hash(sealed)
        return plain

    def split(self):
        return self.derive(b"")

    # Message 1: → e

    def first(self, public):
        """Both sides: the initiator's ephemeral key, from its INIT."""
        self.their_ephemeral = public
        self.mix_hash(public)
        self.mix_hash(b"")

    # Message 2: ← e, ee, s, es, payload

    def write_second(self, payload):
        mine = public_of(self.ephemeral)
        self.mix_hash(mine)
        self.mix_key(self.ephemeral, self.their_ephemeral)
        sealed_static = self.seal(public_of(self.static))
        self.mix_key(self.static, self.their_ephemeral)
        return mine + sealed_static + self.seal(payload)

    def read_second(self, message):
        """The responder's static key, and its payload."""
        demand(len(message) >= 96, "too short")
        theirs = message[:32]
        self.mix_hash(theirs)
        self.their_ephemeral = theirs
        self.mix_key(self.ephemeral, theirs)
        static = self.open(message[32:80])
        self.mix_key(self.ephemeral, static)
        return static, self.open(message[80:])

    # Message 3: → s, se, payload

    def write_third(self, payload):
        sealed_static = self.seal(public_of(self.static))
        self.mix_key(self.static, self.their_ephemeral)
        return sealed_static + self.seal(payload)

    def read_third(self, message):
        """The initiator's static key, and its payload."""
        demand(len(message) >= 64, "too short")
        static = self.open(message[:48])
        self.mix_key(self.ephemeral, static)
        return static, self.open(message[48:])


def public_of(private):
    return private.public_key().public_bytes_raw()


def prologue(app, session):
    return b"steamnetmsg v0" + bytes([VERSION]) + u32(app) + u64(session)


# Section 3.2 to 3.4, 11.3: tags and signatures.


def check_key(app, steam_id):
    return hashlib.sha256(b"steamnetmsg check value v0" + u32(app) + u64(steam_id)).digest()


def check_value(app, steam_id, covered):
    return hmac(check_key(app, steam_id), covered)[:16]


def cookie(secret, period, session, port, address):
    key = hmac(secret, b"steamnetmsg cookie v0")
    return hmac(key, u64(period), u64(session), port.to_bytes(2, "big"), address)[:16]


def reset_token(identity_seed, connection):
    return hmac(hmac(identity_seed, b"steamnetmsg reset v0"), u32(connection))[:16]


def binding(app, steam_id, static, not_after):
    return b"steamnetmsg identity binding v0" + u32(app) + u64(steam_id) + static + u64(not_after)


def sign(seed, text):
    return Ed25519PrivateKey.from_private_bytes(seed).sign(text)


def verify(public, signature, text):
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, text)
    except InvalidSignature as wrong:
        raise Malformed("a bad signature") from wrong


def identity_public(seed):
    return public_of(Ed25519PrivateKey.from_private_bytes(seed))


# Section 3.6: the keys of one direction.


def first_secret(split_key, handshake_hash):
    return expand(hmac(handshake_hash, split_key), "steamnetmsg v0 data secret", 32)


class Key:
    """One key of one direction, and the way to the next."""

    def __init__(self, secret, cipher):
        self.secret, self.cipher = secret, cipher
        self.key = expand(secret, f"steamnetmsg v0 data key {cipher}", 32)
        self.iv = expand(secret, f"steamnetmsg v0 data iv {cipher}", 12)

    def next(self):
        return Key(expand(self.secret, "steamnetmsg v0 key update", 32), self.cipher)

    def nonce(self, number):
        return bytes(a ^ b for a, b in zip(self.iv, bytes(4) + u64(number), strict=True))

    def seal(self, number, header, plain):
        return CIPHERS[self.cipher](self.key).encrypt(self.nonce(number), plain, header)

    def open(self, number, packet):
        try:
            return CIPHERS[self.cipher](self.key).decrypt(self.nonce(number), packet.sealed, packet.header)
        except InvalidTag as wrong:
            raise Malformed("does not open") from wrong


class Opener:
    """The receiving end of one direction (section 4): numbers, replay, key phases."""

    def __init__(self, key, connection):
        self.present, self.old, self.phase = key, None, 0
        self.connection, self.largest, self.opened = connection, None, set()
        self.lowest_of_phase = None

    def open(self, packet):
        """The packet's number and its plaintext; Malformed, and nothing has changed, if it is not to be opened."""
        demand(packet.destination == self.connection, "not for this connection")
        number = lengthen(packet.low, packet.count, self.largest)
        demand(number not in self.opened, "opened before")
        demand(self.largest is None or number > self.largest - REPLAY_WINDOW, "too old")
        moves_on = False
        if packet.phase == self.phase:
            key = self.present
        elif self.lowest_of_phase is not None and number < self.lowest_of_phase and self.old:
            key = self.old
        else:
            key, moves_on = self.present.next(), True
        plain = key.open(number, packet)
        if moves_on:
            self.old, self.present, self.phase, self.lowest_of_phase = self.present, key, packet.phase, None
        if key is self.present:
            self.lowest_of_phase = number if self.lowest_of_phase is None else min(self.lowest_of_phase, number)
        self.opened.add(number)
        self.largest = number if self.largest is None else max(self.largest, number)
        return number, plain


# Section 3.6.


def key_id(public):
    return hashlib.sha256(public).digest()[:8]


def certified(authority_public, certificate):
    """Fails unless the authority signed the certificate."""
    demand(certificate.authority == key_id(authority_public), "a certificate of another authority")
    verify(authority_public, certificate.signature, b"steamnetmsg certificate 1" + certificate.signed)
