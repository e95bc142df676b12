#!/usr/bin/env python3
"""Looks for plaintext in a capture: plaintext_in_capture.py CAPTURE MIN_PAYLOAD_BYTES SECRET...

CAPTURE is a pcap file of Ethernet frames (as tcpdump writes on lo) holding IPv4 UDP. Exits with 0 if no datagram
holds any 16 successive bytes of any SECRET file, 1 if one does, 2 if the capture cannot be judged: unreadable, or
with less UDP payload than MIN_PAYLOAD_BYTES, so that an empty capture proves nothing.

Runs of fewer than four different byte values are not looked for: zeros in a file and the zeros that pad a datagram
have nothing to do with each other.
"""
import struct
import sys

RUN = 16
ETHERNET, IPV4, UDP = 1, 0x0800, 17


def payloads(capture):
    """The UDP payload of every datagram."""
    if len(capture) < 24 or capture[:4] not in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1"):
        raise ValueError("not a little-endian pcap file")
    if struct.unpack_from("<I", capture, 20)[0] != ETHERNET:
        raise ValueError("not a capture of Ethernet frames")
    at = 24
    while at + 16 <= len(capture):
        kept, whole = struct.unpack_from("<II", capture, at + 8)
        frame = capture[at + 16 : at + 16 + kept]
        at += 16 + kept
        if kept != whole or len(frame) != kept:
            raise ValueError("the capture holds a frame cut short")
        if struct.unpack_from(">H", frame, 12)[0] != IPV4 or frame[14 + 9] != UDP:
            continue
        yield frame[14 + (frame[14] & 15) * 4 + 8 :]


def runs(secret):
    """Every run of 16 bytes that tells something."""
    return {secret[i : i + RUN] for i in range(len(secret) - RUN + 1) if len(set(secret[i : i + RUN])) >= 4}


def main():
    capture_path, least, secret_paths = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    wanted = set()
    for path in secret_paths:
        with open(path, "rb") as file:
            found = runs(file.read())
        if not found:
            print(f"{path} holds no run worth looking for")
            return 2
        wanted |= found
    with open(capture_path, "rb") as file:
        capture = file.read()

    datagrams = total = 0
    try:
        for payload in payloads(capture):
            datagrams += 1
            total += len(payload)
            for i in range(len(payload) - RUN + 1):
                if payload[i : i + RUN] in wanted:
                    print(f"datagram {datagrams} holds, at byte {i}, {payload[i : i + RUN]!r}")
                    return 1
    except (ValueError, struct.error, IndexError) as error:
        print(f"{capture_path}: {error}")
        return 2
    print(f"{datagrams} datagrams, {total} bytes: none of {len(wanted)} runs of {RUN} bytes")
    if total < least:
        print(f"but that is less than the {least} bytes that were sent: not all was captured")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
