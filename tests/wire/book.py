"""The format of vectors.txt and of recorded conversations: sections of names and values, and what the values say."""

import hashlib

from reader import Control, Message


class Section(dict):
    """Names and their values as text, in the order of the file."""

    def bytes(self, name):
        return bytes.fromhex(self[name])


def read(path):
    """The sections of a file, by their titles."""
    sections, section, name = {}, None, None
    with open(path, encoding="utf-8") as file:
        for line in file.read().splitlines():
            if line.startswith("[") and line.endswith("]"):
                section = sections.setdefault(line[1:-1], Section())
            elif line.startswith("  "):
                section[name] += line.strip()
            elif line and not line.startswith("#"):
                name, _, value = line.partition(" =")
                assert name not in section, f"{path}: {name} stands there twice"
                section[name] = value.strip()
    return sections


def say(frames):
    """Frames as text; PADDING says nothing."""
    return "; ".join(say_one(frame) for frame in frames if frame != Control("PADDING"))


def say_one(frame):
    match frame:
        case Message():
            kind = "reliable" if frame.reliable else "unreliable"
            end = frame.offset + len(frame.data)
            return f"MESSAGE {kind} {frame.channel} {frame.number} {frame.offset}-{end}/{frame.total} {short(frame.data)}"
        case Control("ACK", [delay, *ranges]):
            return " ".join(["ACK", str(delay), *(f"{low}-{high}" for low, high in ranges)])
        case Control("PATH_PROBE" | "PATH_REPLY", [token]):
            return f"{frame.name} {token:#x}"
        case Control():
            return " ".join([frame.name, *map(str, frame.fields)])


def short(data):
    """Enough of a hash to know bytes by."""
    return hashlib.sha256(data).hexdigest()[:16]
