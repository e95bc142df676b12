"""Does docs/vectors.txt say what docs/protocol.md says? Run as: check_vectors.py FILE

Every value of the file is looked at: a section or a name that no check has asked for is a failure too. Prints a line
for each check, and ends with 1 if one failed.
"""

import ipaddress
import sys
from functools import partial

import book
import checks
import keys
import reader
from checks import check, refuses

vectors = book.read(sys.argv[1])

# What a later check still needs of a section that was struck off.
KEPT = {}


def flipped(data):
    """The data with each of its bytes changed, one after the other."""
    for at in range(len(data)):
        for bit in (0x01, 0x80):
            yield data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]


def cut(data):
    """The data without its end, from all but one byte down to nothing."""
    return (data[:end] for end in range(len(data)))


@check("numbers and channels are folded as the document says")
def _():
    section = vectors.pop("numbers")
    for name, value in section.items():
        what, *words = name.split("_")
        match what:
            case "varint" | "channel":
                read = reader.Bytes(bytes.fromhex(value))
                assert getattr(read, what)() == int(words[0]), name
                read.end()
            case "number":
                way, number, _, known = words
                known = None if known == "none" else int(known, 16)
                if way == "bytes":
                    assert reader.number_bytes(int(number, 16), known) == int(value), name
                else:
                    assert reader.lengthen(int(number, 16), len(number) // 2, known) == int(value, 16), name
            case _:
                raise AssertionError(f"{name}: what is it?")


@check("every frame means what the vectors say, and none can be cut short unnoticed")
def _():
    names, types = set(), set()
    for title in ("frames", "message frames"):
        section = vectors.pop(title)
        for name in section:
            if name.endswith("_says"):
                continue
            data = section.bytes(name)
            frames = reader.frames(data)
            assert book.say(frames) == section[f"{name}_says"], name
            names |= {frame.name for frame in frames if isinstance(frame, reader.Control)}
            if name.startswith("message_type_"):
                types.add(int(name[-2:], 16))
            if title == "frames":
                refuses(reader.frames, (short for short in cut(data) if short))
    every = {name for name, _ in reader.CONTROL.values()} - {"PADDING"}
    assert names == every, f"no vector of {every - names}"
    assert types == set(range(0x80, 0x100, 4)), "every type of a message frame"


@check("tags, tokens and cookies are computed as the document says")
def _():
    tags, hand = vectors.pop("tags"), vectors["handshake"]
    app, bob = int(hand["app"]), int(hand["bob_steam_id"])
    assert keys.check_key(app, bob) == tags.bytes("check_key_for_bob")
    assert keys.check_value(app, bob, b"abc") == tags.bytes("check_value_of_abc")
    for who in ("alice", "bob"):
        connection = int(hand[f"{who}_connection_id"], 16)
        assert keys.reset_token(hand.bytes(f"{who}_identity_seed"), connection) == tags.bytes(f"{who}_reset_token")
    cookies = [name for name in tags if name.startswith("cookie_for_")]
    assert len(cookies) == 2
    for name in cookies:
        address, port = name.removeprefix("cookie_for_").split("_")
        packed = ipaddress.ip_address(address).packed
        session = int(hand["alice_session_id"], 16)
        period = int(tags["cookie_period"])
        assert keys.cookie(tags.bytes("cookie_secret"), period, session, int(port), packed) == tags.bytes(name)


class Party:
    """What one side knows, from the file."""

    def __init__(self, hand, who):
        self.seed = hand.bytes(f"{who}_identity_seed")
        self.steam_id = int(hand[f"{who}_steam_id"])
        self.connection = int(hand[f"{who}_connection_id"], 16)
        self.session = int(hand[f"{who}_session_id"], 16)
        self.public = hand.bytes(f"{who}_static_public")
        self.signature = hand.bytes(f"{who}_binding_signature")
        privates = hand.bytes(f"{who}_static_private"), hand.bytes(f"{who}_ephemeral_private")
        publics = self.public, hand.bytes(f"{who}_ephemeral_public")
        self.identity_public = hand.bytes(f"{who}_identity_public")
        self.noise = lambda: keys.Noise(*privates, int(hand["app"]), int(hand["alice_session_id"], 16))
        noise = self.noise()
        assert (keys.public_of(noise.static), keys.public_of(noise.ephemeral)) == publics
        assert keys.identity_public(self.seed) == self.identity_public


def believe(app, party, payload, intended):
    said = reader.identity(payload)
    assert (said.session, said.steam_id, said.intended) == (party.session, party.steam_id, intended)
    assert (said.key, said.not_after, said.certificate) == (party.identity_public, 0, b"")
    text = keys.binding(app, said.steam_id, party.public, said.not_after)
    keys.verify(said.key, said.signature, text)
    assert keys.sign(party.seed, text) == said.signature == party.signature
    assert said.parameters[8] == keys.reset_token(party.seed, party.connection)
    others = {which: value for which, value in said.parameters.items() if which != 8}
    defaults = {1: 524_288, 6: 180_000, 9: 25_000, 10: 1_200, 11: [], 12: None}
    assert others == defaults | {2: 1_048_576, 3: 1_000, 4: 524_288, 5: 500, 7: 3}
    refuses(lambda text: keys.verify(said.key, said.signature, text), flipped(text))
    refuses(reader.identity, cut(payload[:130]))
    refuses(reader.identity, [payload[:8] + bytes(8) + payload[16:], payload[:128] + b"\x02\x01" + payload[130:]])


@check("a certificate says what the vectors say, is signed, and no byte of it can be changed")
def _():
    section = vectors.pop("certificate")
    data, authority = section.bytes("certificate"), section.bytes("authority_public")
    read = reader.certificate(data)
    assert read.authority == section.bytes("authority_key_id") == keys.key_id(authority)
    assert (read.app, read.steam_id) == (int(section["app"]), int(section["steam_id"]))
    assert read.key == section.bytes("identity_key")
    assert (read.issued_at, read.expires_at) == (int(section["issued_at"]), int(section["expires_at"]))
    keys.certified(authority, read)
    assert keys.identity_public(section.bytes("authority_seed")) == authority
    assert keys.sign(section.bytes("authority_seed"), b"steamnetmsg certificate 1" + read.signed) == read.signature
    refuses(lambda changed: keys.certified(authority, reader.certificate(changed)), flipped(data))
    refuses(reader.certificate, [*cut(data), data + b"\0"])


@check("the handshake runs to the same bytes and keys, on both sides")
def _():
    hand = vectors["handshake"]
    app, alice, bob = int(hand["app"]), Party(hand, "alice"), Party(hand, "bob")
    assert keys.prologue(app, alice.session) == hand.bytes("prologue")

    for name, cookie in ("init", None), ("init_with_cookie", vectors["other packets"].bytes("cookie")[13:]):
        init = reader.datagram(hand.bytes(name))
        assert (init.version, init.app, init.source, init.session) == (0, app, alice.connection, alice.session)
        assert init.ephemeral == hand.bytes("alice_ephemeral_public") and init.cookie == cookie
        assert keys.check_value(app, bob.steam_id, init.covered) == init.check
        assert keys.check_value(app, alice.steam_id, init.covered) != init.check

    ours, theirs = alice.noise(), bob.noise()
    ours.first(init.ephemeral)
    theirs.first(init.ephemeral)
    response = reader.datagram(hand.bytes("response"))
    assert (response.destination, response.source) == (alice.connection, bob.connection)
    assert theirs.write_second(hand.bytes("response_payload")) == response.message
    static, payload = ours.read_second(response.message)
    assert (static, payload) == (bob.public, hand.bytes("response_payload"))
    believe(app, bob, payload, intended=0)

    finish = reader.datagram(hand.bytes("finish"))
    assert (finish.destination, finish.rest) == (bob.connection, b"")
    assert ours.write_third(hand.bytes("finish_payload")) == finish.message
    static, payload = theirs.read_third(finish.message)
    assert (static, payload) == (alice.public, hand.bytes("finish_payload"))
    believe(app, alice, payload, intended=bob.steam_id)

    assert ours.hash == theirs.hash == hand.bytes("handshake_hash")
    split = hand.bytes("split_initiator_to_responder"), hand.bytes("split_responder_to_initiator")
    assert ours.split() == theirs.split() == split


@check("a handshake message with any byte changed, or cut short, is refused")
def _():
    hand = vectors.pop("handshake")
    app, alice, bob = int(hand["app"]), Party(hand, "alice"), Party(hand, "bob")
    init = hand.bytes("init")

    def is_called(data):
        packet = reader.datagram(data)
        value = keys.check_value(packet.app, bob.steam_id, packet.covered)
        reader.demand(value == packet.check and packet.app == app, "another check value")

    is_called(init)
    refuses(is_called, flipped(init))
    refuses(reader.datagram, cut(init))
    refuses(reader.datagram, [init + b"\0"])

    def second(message):
        noise = alice.noise()
        noise.first(hand.bytes("alice_ephemeral_public"))
        noise.read_second(message)

    message = reader.datagram(hand.bytes("response")).message
    second(message)
    refuses(second, flipped(message))
    refuses(second, cut(message))

    def third(message):
        noise = bob.noise()
        noise.first(hand.bytes("alice_ephemeral_public"))
        noise.write_second(hand.bytes("response_payload"))
        noise.read_third(message)

    message = reader.datagram(hand.bytes("finish")).message
    third(message)
    refuses(third, flipped(message))
    refuses(third, cut(message))
    refuses(reader.datagram, cut(hand.bytes("finish")))
    KEPT["handshake"] = hand


def packets(cipher):
    hand, section = KEPT["handshake"], vectors.pop(f"data packets, {cipher}")
    hash_ = hand.bytes("handshake_hash")
    directions = {}
    for who, split, to, receiver in (
        ("alice", "split_initiator_to_responder", "alice_to_bob", "bob"),
        ("bob", "split_responder_to_initiator", "bob_to_alice", "alice"),
    ):
        key = keys.Key(keys.first_secret(hand.bytes(split), hash_), cipher)
        assert triple(key) == tuple(section.bytes(f"{to}_{part}") for part in ("secret", "key", "iv"))
        directions[who] = keys.Opener(key, int(hand[f"{receiver}_connection_id"], 16))
    following = directions["alice"].present.next()
    assert triple(following) == tuple(section.bytes(f"alice_to_bob_next_{part}") for part in ("secret", "key", "iv"))

    first = section.bytes("first_packet")
    assert section.bytes("finish_with_first_packet") == hand.bytes("finish") + first
    assert reader.datagram(section.bytes("finish_with_first_packet")).rest == first

    frames, phases = set(), set()
    for name in section:
        if not name.endswith("_packet") or name == "finish_with_first_packet":
            continue
        data = section.bytes(name)
        if name == "too_late_packet":
            refuses(lambda data: directions["alice"].open(reader.datagram(data)), [data])
            continue
        head, _, says = section[f"{name}_says"].partition(":")
        who, number = head.split()
        receiver = directions[who]

        def opens(data, receiver=receiver):
            receiver.open(reader.datagram(data))

        refuses(opens, flipped(data))
        refuses(opens, cut(data))
        refuses(opens, [data + b"\0"])
        packet = reader.datagram(data)
        opened, plain = receiver.open(packet)
        assert opened == int(number, 16), name
        assert book.say(reader.frames(plain)) == says.strip(), name
        refuses(opens, [data])  # a second time
        frames |= {frame.name for frame in reader.frames(plain) if isinstance(frame, reader.Control)}
        phases.add((packet.phase, packet.count))
        key = receiver.present if packet.phase == receiver.phase else receiver.old
        assert key.seal(opened, packet.header, plain) == packet.sealed, name
    assert frames == {name for name, _ in reader.CONTROL.values()}, "every control frame was in a packet"
    assert phases == {(0, 2), (0, 3), (1, 2)}


def triple(key):
    return key.secret, key.key, key.iv


for name in keys.CIPHERS:
    check(f"packets sealed with {name} open, mean what the vectors say, and open no other way")(partial(packets, name))


@check("cookie, hints, reset and punch are read, and nothing longer or shorter")
def _():
    section, hand = vectors.pop("other packets"), KEPT["handshake"]
    alice, session = int(hand["alice_connection_id"], 16), int(hand["alice_session_id"], 16)
    bob = int(hand["bob_connection_id"], 16)
    expected = {
        "cookie": reader.Cookie(alice, session, b"\xcc" * 16),
        "hint_version": reader.Hint(alice, session, 1, 0),
        "hint_app": reader.Hint(alice, session, 2, 0),
        "punch": reader.Punch(bytes([1, 2, 3])),
        "reset": reader.Reset(bob, keys.reset_token(hand.bytes("bob_identity_seed"), bob)),
    }
    assert set(section) == set(expected)
    for name, packet in expected.items():
        assert reader.datagram(section.bytes(name)) == packet, name
        if name != "punch":
            refuses(reader.datagram, cut(section.bytes(name)))
            refuses(reader.datagram, [section.bytes(name) + b"\0"])


@check("what the vectors call refused is refused")
def _():
    def number(data):
        read = reader.Bytes(data)
        read.varint()
        read.end()

    for what, read in (
        ("datagrams", reader.datagram),
        ("frames", reader.frames),
        ("transport parameters", reader.parameters),
        ("numbers", number),
    ):
        section = vectors.pop(f"refused {what}")
        assert section
        for name in section:
            refuses(read, [section.bytes(name)], what=name)
    well = vectors.pop("parameters that are well")
    for name in well:
        assert reader.parameters(well.bytes(name)) == {which: value for which, (value, _) in reader.PARAMETERS.items()}


@check("there is nothing in the file that was not looked at")
def _():
    assert not vectors, f"unread: {list(vectors)}"


checks.end()
