"""A reader of the wire, written from docs/protocol.md alone: bytes in, meaning out, or Malformed.

It decides what a datagram, a handshake payload, a frame and a message are. Sealing and keys are in keys.py. Section
numbers are those of the document. Nothing here was taken from the library, so that the document is tested, not it.
"""

import ipaddress
from dataclasses import dataclass, field

VERSION = 0
INIT_BYTES = 1200
MAX_NUMBER = 2**62
MAX_ACK_RANGES = 64
MAX_CLOSE_TEXT = 120
MAX_CERTIFICATE = 512
TAG_BYTES = 16


class Malformed(Exception):
    """These bytes are not what the document describes."""


def demand(holds, says):
    if not holds:
        raise Malformed(says)


class Bytes:
    """Bytes taken from the front (section 1)."""

    def __init__(self, data):
        self.left = bytes(data)

    def take(self, count):
        demand(count <= len(self.left), "too short")
        taken, self.left = self.left[:count], self.left[count:]
        return taken

    def rest(self):
        return self.take(len(self.left))

    def end(self):
        demand(not self.left, "bytes left over")

    def number(self, count):
        return int.from_bytes(self.take(count), "big")

    def varint(self):
        value = 0
        for position in range(10):
            (byte,) = self.take(1)
            value |= (byte & 0x7F) << (7 * position)
            if byte < 0x80:
                demand(byte != 0 or position == 0, "a trailing zero group")
                demand(value < 2**64, "more than 64 bits")
                return value
        raise Malformed("more than 10 bytes")

    def channel(self):
        folded = self.varint()
        demand(folded < 2**32, "a channel above 32 bits")
        return (folded >> 1) ^ -(folded & 1)


# Section 2: datagrams.


@dataclass
class Init:
    version: int
    app: int
    source: int
    session: int
    ephemeral: bytes
    cookie: bytes | None
    covered: bytes
    check: bytes


@dataclass
class Cookie:
    destination: int
    session: int
    cookie: bytes


@dataclass
class Response:
    destination: int
    source: int
    message: bytes


@dataclass
class Finish:
    destination: int
    message: bytes
    rest: bytes


@dataclass
class Hint:
    destination: int
    session: int
    code: int
    version: int


@dataclass
class Reset:
    connection: int
    token: bytes


@dataclass
class Punch:
    anything: bytes


@dataclass
class Data:
    """Section 4: `low` are the lowest `8 * count` bits of the packet's number."""

    destination: int
    phase: int
    low: int
    count: int
    header: bytes
    sealed: bytes


def datagram(data):
    """What a datagram is. One that is dropped, for whatever reason, is Malformed."""
    demand(data, "empty")
    if 0xC0 <= data[0] <= 0xDF:
        return data_packet(data)
    read = Bytes(data)
    parse = {0xE0: init, 0xE1: cookie, 0xE2: response, 0xE3: finish, 0xE4: hint, 0xE5: reset, 0xE6: punch}
    first = read.number(1)
    demand(first in parse, "no packet begins like this")
    packet = parse[first](read, data)
    read.end()
    return packet


def init(read, data):
    demand(len(data) == INIT_BYTES, "another length")
    version, app, source, session = read.number(1), read.number(4), read.number(4), read.number(8)
    ephemeral, proof = read.take(32), read.take(16)
    check = read.rest()[-16:]
    return Init(version, app, source, session, ephemeral, proof if any(proof) else None, data[:-16], check)


def cookie(read, _):
    return Cookie(read.number(4), read.number(8), read.take(16))


def response(read, _):
    return Response(read.number(4), read.number(4), read.rest())


def finish(read, _):
    destination, length = read.number(4), read.number(2)
    return Finish(destination, read.take(length), read.rest())


def hint(read, _):
    said = Hint(read.number(4), read.number(8), read.number(1), read.number(1))
    demand(said.code in (1, 2), "a hint without a meaning")
    return said


def reset(read, _):
    return Reset(read.number(4), read.take(16))


def punch(read, _):
    return Punch(read.rest())


def data_packet(data):
    read = Bytes(data)
    first = read.number(1)
    demand(first & 0xE0 == 0xC0 and first & 0x07 == 0, "not the first byte of a data packet")
    destination, count = read.number(4), 3 if first & 0x08 else 2
    low = read.number(count)
    sealed = read.rest()
    demand(len(sealed) >= TAG_BYTES, "shorter than its tag")
    return Data(destination, first >> 4 & 1, low, count, data[: 5 + count], sealed)


def number_bytes(number, acknowledged):
    """How many bytes of a number go on the wire (section 4), None when it may not be sent."""
    unacknowledged = number + 1 if acknowledged is None else number - acknowledged
    return 2 if unacknowledged < 2**14 else 3 if unacknowledged < 2**22 else None


def lengthen(low, count, largest):
    """The number with these low bytes nearest to the one expected, the larger of two (section 4)."""
    expected = 0 if largest is None else largest + 1
    span = 1 << (8 * count)
    candidates = [(expected // span + turn) * span + low for turn in (-1, 0, 1)]
    return min((n for n in candidates if 0 <= n < MAX_NUMBER), key=lambda n: (abs(n - expected), -n))


# Section 3.4 and 3.5: who they are, and what they take.


@dataclass
class Identity:
    session: int
    steam_id: int
    intended: int
    key: bytes
    not_after: int
    signature: bytes
    certificate: bytes
    parameters: dict


def identity(payload):
    read = Bytes(payload)
    session, steam_id, intended, key = read.number(8), read.number(8), read.number(8), read.take(32)
    demand(steam_id != 0, "nobody")
    not_after, signature, length = read.number(8), read.take(64), read.number(2)
    demand(length <= MAX_CERTIFICATE, "a certificate too long")
    certificate = read.take(length)
    return Identity(session, steam_id, intended, key, not_after, signature, certificate, parameters(read.rest()))


# Section 3.6.


@dataclass(frozen=True)
class Certificate:
    authority: bytes
    app: int
    steam_id: int
    key: bytes
    issued_at: int
    expires_at: int
    signed: bytes
    signature: bytes


def certificate(data):
    demand(data[:1] == b"\1", "a certificate of another version")
    demand(len(data) == 133, "a certificate of another length")
    read = Bytes(data[1:])
    authority, app, steam_id, key = read.take(8), read.number(4), read.number(8), read.take(32)
    issued_at, expires_at = read.number(8), read.number(8)
    demand(issued_at < expires_at, "a certificate that ends before it begins")
    return Certificate(authority, app, steam_id, key, issued_at, expires_at, data[:-64], data[-64:])


def at_most(highest, lowest=0):
    return lambda value: lowest <= value <= highest


# id: default, what a value has to be.
PARAMETERS = {
    1: (524_288, at_most(2**30, 1)),
    2: (0, at_most(2**62 - 1)),
    3: (0, at_most(2**62 - 1)),
    4: (0, at_most(2**62 - 1)),
    5: (0, at_most(2**62 - 1)),
    6: (180_000, at_most(2**32 - 1)),
    7: (2, lambda value: value & 2 and value < 256),
    8: (None, None),
    9: (25_000, at_most(1_000_000)),
    10: (1_200, at_most(65_535, 1_200)),
    11: ([], None),
    12: (None, None),
}


def parameters(data):
    values, seen, read = {which: default for which, (default, _) in PARAMETERS.items()}, set(), Bytes(data)
    while read.left:
        which = read.varint()
        value = Bytes(read.take(read.varint()))
        demand(which not in seen, "an id twice")
        if which < 64:
            seen.add(which)
        if which == 8:
            values[8] = value.take(16)
        elif which == 11:
            values[11] = candidates(value)
        elif which == 12:
            values[12] = value.number(8)
        elif which in PARAMETERS:
            values[which] = value.varint()
            demand(PARAMETERS[which][1](values[which]), f"parameter {which} is out of range")
        else:
            continue
        value.end()
    return values


# Section 12.1: candidates.

KINDS = {1: "host", 2: "reflexive", 3: "relayed"}


def candidates(read):
    found = []
    while read.left:
        kind = read.number(1)
        pop, port = read.number(4), read.number(2)
        address = ipaddress.ip_address(read.take(16 if kind & 0x80 else 4))
        demand(kind & 0x7F in KINDS, "a candidate of no kind")
        demand(port != 0, "a candidate with port 0")
        host = f"[{address}]" if kind & 0x80 else str(address)
        found.append(f"{KINDS[kind & 0x7F]} {host}:{port} pop {pop}")
    demand(len(found) <= 16, "too many candidates")
    return found


def told(read):
    revision = read.varint()
    return [revision, *candidates(Bytes(read.take(read.varint())))]


# Section 5 and 6: frames.


@dataclass
class Message:
    """A message frame: `data` at `offset` of a message of `total` bytes."""

    reliable: bool
    channel: int
    number: int
    offset: int
    total: int
    data: bytes


@dataclass
class Control:
    """A control frame, by its name in the document, with its fields in the document's order."""

    name: str
    fields: list = field(default_factory=list)


def percent(read):
    value = read.number(1)
    demand(value <= 100, "more than all")
    return [value]


def close(read):
    reason, length = read.varint(), read.varint()
    demand(reason < 2**32, "a reason above 32 bits")
    demand(length <= MAX_CLOSE_TEXT, "a text too long")
    try:
        return [reason, read.take(length).decode("utf-8")]
    except UnicodeDecodeError as wrong:
        raise Malformed("not UTF-8") from wrong


def ack(read):
    """[delay, first range, next range...], a range being (lowest, highest)."""
    largest, delay, count = read.varint(), read.varint(), read.varint()
    demand(largest < 2**63 - 1, "a number too large")
    demand(1 <= count <= MAX_ACK_RANGES, "no ranges, or too many")
    fields, high = [delay], largest
    for position in range(count):
        if position > 0:
            high = low - 1 - (read.varint() + 1)
        low = high - read.varint()
        demand(low >= 0, "a range below 0")
        fields.append((low, high))
    return fields


def nothing(_):
    return []


CONTROL = {
    0x00: ("PADDING", nothing),
    0x01: ("PING", nothing),
    0x02: ("ACK", ack),
    0x03: ("HOLD", nothing),
    0x04: ("ACCEPT", nothing),
    0x05: ("CLOSE", close),
    0x06: ("CLOSED", nothing),
    0x07: ("IDLE_PROPOSE", nothing),
    0x08: ("IDLE_CONSENT", nothing),
    0x09: ("IDLE_REFUSE", lambda read: [read.varint()]),
    0x0A: ("QUALITY", percent),
    0x0B: ("REQUEST", nothing),
    0x10: ("SESSION_GRANT", lambda read: [read.varint(), read.varint()]),
    0x11: ("CHANNEL_GRANT", lambda read: [read.channel(), read.varint(), read.varint()]),
    0x12: ("SESSION_BLOCKED", lambda read: [read.varint()]),
    0x13: ("CHANNEL_BLOCKED", lambda read: [read.channel(), read.varint()]),
    0x30: ("PATH_PROBE", lambda read: [read.number(8)]),
    0x31: ("PATH_REPLY", lambda read: [read.number(8)]),
    0x32: ("CANDIDATES", told),
    0x33: ("CANDIDATES_TAKEN", lambda read: [read.varint()]),
}

# Section 5, column AE.
ASKS_FOR_NOTHING = {"PADDING", "ACK", "HOLD", "CLOSE", "CLOSED", "REQUEST", "PATH_REPLY", "CANDIDATES", "CANDIDATES_TAKEN"}


def frames(plaintext):
    """Every frame of a packet."""
    read, found, before = Bytes(plaintext), [], None
    while read.left:
        kind = read.number(1)
        if kind >= 0x80:
            before = message(kind, read, before)
            found.append(before)
            continue
        demand(kind in CONTROL, f"no frame {kind:#x}")
        name, fields = CONTROL[kind]
        found.append(Control(name, fields(read)))
        if name == "CLOSE":
            break  # Section 11.1: a CLOSE ends the reading of its packet.
    return found


def message(kind, read, before):
    demand(kind & 0x03 == 0, "a low bit of a message frame is set")
    reliable, has_channel, has_number = bool(kind & 0x40), kind & 0x20, kind & 0x10
    channel = read.channel() if has_channel else before.channel if before else 0
    if has_number:
        number = read.varint()
    else:
        demand(before and (before.channel, before.reliable) == (channel, reliable), "nothing to count on from")
        number = before.number + 1
    demand(0 < number < 2**64, "no number of a message")
    offset, total = (read.varint(), read.varint()) if kind & 0x08 else (0, None)
    data = read.take(read.varint()) if kind & 0x04 else read.rest()
    total = len(data) if total is None else total
    demand(offset < 2**32 and total < 2**32, "a message of 4 GiB")
    demand(offset + len(data) <= total, "a slice beyond its message")
    demand(data or total == 0, "a slice of nothing")
    return Message(reliable, channel, number, offset, total, data)


class Inbox:
    """What a receiver makes of message frames: whole messages, reliable ones in order and once (section 6)."""

    def __init__(self):
        self.partial = {}  # (reliable, channel, number) -> (total, bytes, which of them are there)
        self.done = set()  # unreliable messages that were delivered
        self.next = {}  # channel -> number of the reliable message whose turn it is

    def push(self, frame):
        """The messages that this frame completes, as (reliable, channel, number, bytes)."""
        turn = self.next.setdefault(frame.channel, 1)
        key = (frame.reliable, frame.channel, frame.number)
        if key in self.done or (frame.reliable and frame.number < turn):
            return []
        total, data, there = self.partial.setdefault(key, (frame.total, bytearray(frame.total), bytearray(frame.total)))
        demand(total == frame.total, "a message of two sizes")
        end = frame.offset + len(frame.data)
        data[frame.offset : end] = frame.data
        there[frame.offset : end] = b"\1" * len(frame.data)
        if not frame.reliable:
            return [self.take(key)] if all(there) else []
        out = []
        while (key := (True, frame.channel, self.next[frame.channel])) in self.partial and all(self.partial[key][2]):
            out.append(self.take(key))
            self.next[frame.channel] += 1
        return out

    def take(self, key):
        if not key[0]:
            self.done.add(key)
        return (*key, bytes(self.partial.pop(key)[1]))
