"""Can a conversation of two endpoints be followed by who knows docs/protocol.md? Run as: check_conversation.py FILE...

Each file has the secrets of both, every datagram they sent, and what their apps sent and received. All datagrams are
read as if they had arrived, in the order in which they were sent; so what is read may be more than what was received,
and never more than what was sent. Prints a line for each conversation, and ends with 1 if one failed.
"""

import random
import sys
from collections import Counter
from functools import partial

import book
import checks
import keys
import reader
from checks import refuses

OTHER = {"alice": "bob", "bob": "alice"}


class Side:
    """What is known of one of the two: its secrets, and how far its own words have come."""

    def __init__(self, hand, name):
        self.steam_id = int(hand[f"{name}_steam_id"])
        self.seed = hand.bytes(f"{name}_identity_seed")
        self.privates = hand.bytes(f"{name}_static_private"), hand.bytes(f"{name}_ephemeral_private")
        self.connection = None
        self.said = None  # its identity payload
        self.opener = None  # opens what it seals
        self.inbox = reader.Inbox()  # what it says
        self.arrived = []
        self.numbers = set()
        self.probes = set()
        self.started = {}  # (channel, number) of its reliable messages: size


class Conversation:
    def __init__(self, sections):
        self.hand = sections["handshake"]
        self.app = int(self.hand["app"])
        self.sides = {name: Side(self.hand, name) for name in OTHER}
        self.grants = {name: {} for name in OTHER}  # given by this side: channel, or None for the session
        self.windows = {name: {} for name in OTHER}
        self.frames = Counter()
        self.kinds = Counter()
        self.noise = None

    def read(self, who, data):
        packet = reader.datagram(data)
        self.kinds[type(packet).__name__] += 1
        match packet:
            case reader.Init():
                self.init(packet)
            case reader.Response():
                self.response(packet)
            case reader.Finish():
                self.finish(packet)
            case reader.Data():
                self.data(who, packet, data)
            case reader.Reset():  # somebody was late, and the other has forgotten
                side = self.sides[who]
                assert packet == reader.Reset(side.connection, keys.reset_token(side.seed, side.connection))
            case _:
                raise AssertionError(f"nobody had a reason for {packet}")

    def init(self, packet):
        alice, bob = self.sides["alice"], self.sides["bob"]
        assert packet.app == self.app and packet.check == keys.check_value(self.app, bob.steam_id, packet.covered)
        if self.noise is None:
            alice.connection, self.session = packet.source, packet.session
            self.noise = {name: keys.Noise(*side.privates, self.app, packet.session) for name, side in self.sides.items()}
            for noise in self.noise.values():
                noise.first(packet.ephemeral)
        assert (packet.source, packet.session) == (alice.connection, self.session), "a repeat is the same"

    def response(self, packet):
        bob = self.sides["bob"]
        assert packet.destination == self.sides["alice"].connection
        if bob.said is None:
            bob.connection, self.second = packet.source, packet.message
            static, payload = self.noise["alice"].read_second(packet.message)
            self.believe(bob, static, payload)
            assert self.noise["bob"].write_second(payload) == packet.message
        assert packet.message == self.second, "a repeat is the same"

    def finish(self, packet):
        alice, bob = self.sides["alice"], self.sides["bob"]
        assert packet.destination == bob.connection
        if alice.said is None:
            self.third = packet
            static, payload = self.noise["bob"].read_third(packet.message)
            self.believe(alice, static, payload)
            assert self.noise["alice"].write_third(payload) == packet.message
            assert (alice.said.session, alice.said.intended) == (self.session, bob.steam_id)
            self.derive()
            if packet.rest:
                self.data("alice", reader.datagram(packet.rest), packet.rest)
        assert packet == self.third, "a repeat is the same"

    def believe(self, side, static, payload):
        side.said = said = reader.identity(payload)
        assert said.steam_id == side.steam_id and said.key == keys.identity_public(side.seed)
        keys.verify(said.key, said.signature, keys.binding(self.app, said.steam_id, static, said.not_after))
        assert said.parameters[8] == keys.reset_token(side.seed, side.connection)

    def derive(self):
        splits = self.noise["alice"].split()
        assert splits == self.noise["bob"].split()
        ciphers = [side.said.parameters[7] for side in self.sides.values()]
        cipher = "aes-256-gcm" if all(bits & 1 for bits in ciphers) else "chacha20-poly1305"
        for (name, side), split in zip(self.sides.items(), splits, strict=True):
            key = keys.Key(keys.first_secret(split, self.noise["alice"].hash), cipher)
            side.opener = keys.Opener(key, self.sides[OTHER[name]].connection)
            said = side.said.parameters
            self.grants[name] = {None: (said[2], said[3])}
            self.windows[name] = {"session": (said[2], said[3]), "channel": (said[4], said[5])}

    def data(self, who, packet, data):
        side = self.sides[who]
        for at in random.sample(range(len(data)), 2):
            broken = data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]
            refuses(lambda broken: side.opener.open(reader.datagram(broken)), [broken, data[:at]])
        number, plain = side.opener.open(packet)
        side.numbers.add(number)
        for frame in reader.frames(plain):
            self.frames[getattr(frame, "name", "MESSAGE")] += 1
            match frame:
                case reader.Message():
                    self.message(who, frame)
                case reader.Control("ACK", [_, *ranges]):
                    known = self.sides[OTHER[who]].numbers
                    assert all(number in known for low, high in ranges for number in range(low, high + 1))
                case reader.Control("SESSION_GRANT", [size, count]):
                    self.grant(who, None, size, count)
                case reader.Control("CHANNEL_GRANT", [channel, size, count]):
                    self.grant(who, channel, size, count)
                case reader.Control("PATH_PROBE", [token]):
                    side.probes.add(token)
                case reader.Control("PATH_REPLY", [token]):
                    assert token in self.sides[OTHER[who]].probes

    def grant(self, who, channel, size, count):
        before = self.grants[who].get(channel, (0, 0))
        self.grants[who][channel] = (max(before[0], size), max(before[1], count))

    def message(self, who, frame):
        side = self.sides[who]
        if frame.reliable and (frame.channel, frame.number) not in side.started:
            self.start(who, frame)
            side.started[frame.channel, frame.number] = frame.total
        side.arrived += side.inbox.push(frame)

    def start(self, who, frame):
        """Section 7: may this message be started, by what its receiver has granted?"""
        receiver, started = OTHER[who], self.sides[who].started
        for channel, window in ((None, "session"), (frame.channel, "channel")):
            window = self.windows[receiver][window]
            granted = self.grants[receiver].get(channel, window)
            sizes = [size for (of, _), size in started.items() if channel in (None, of)]
            assert len(sizes) < granted[1], f"{frame.channel}: message {frame.number} was not granted"
            assert sum(sizes) + frame.total <= granted[0] or sum(sizes) + window[0] <= granted[0]


def follow(path):
    sections = book.read(path)
    talk = Conversation(sections)
    for name in sections["datagrams"]:
        talk.read(name.split("_")[1], sections["datagrams"].bytes(name))
    for who, side in talk.sides.items():
        told = [
            f"{'reliable' if reliable else 'unreliable'} {channel} {len(data)} {book.short(data)}"
            for reliable, channel, _, data in side.arrived
        ]
        sent = list(sections[f"{who} sent"].values())
        received = list(sections[f"{OTHER[who]} received"].values())
        for channel in {line.split()[1] for line in sent}:
            mine = partial(filter, lambda line, c=channel: line.startswith(f"reliable {c} "))
            assert list(mine(told)) == list(mine(sent)) == list(mine(received)), f"{who} on channel {channel}"
        assert Counter(told) <= Counter(sent), "nothing was read that was not sent"
        assert Counter(received) <= Counter(told), "everything that was received was read"
    often = {"MESSAGE", "ACK", "ACCEPT", "QUALITY", "CLOSE", "CLOSED", "CHANNEL_GRANT", "PATH_PROBE", "PATH_REPLY"}
    assert often <= set(talk.frames), f"too quiet a conversation: {talk.frames}"
    print(f"       {sum(talk.kinds.values())} datagrams, {sum(map(len, (s.arrived for s in talk.sides.values())))} messages")


assert len(sys.argv) > 1, "no conversation to read"
for path in sys.argv[1:]:
    random.seed(path)
    checks.check(f"{path.rsplit('/', 1)[-1]} is followed from its first datagram to its last")(partial(follow, path))
checks.end()
