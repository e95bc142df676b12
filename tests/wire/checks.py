"""Named checks: one line each, and 1 at the end if one failed."""

import sys
import time
import traceback

from reader import Malformed

failed = 0


def check(name):
    """Runs the function at once, under this name."""

    def run(function):
        global failed
        started = time.monotonic()
        try:
            function()
            print(f"ok     wire: {name} ({time.monotonic() - started:.1f} s)", flush=True)
        except Exception:
            failed += 1
            print("".join(f"       | {line}\n" for line in traceback.format_exc().splitlines()), end="")
            print(f"FAILED wire: {name}", flush=True)

    return run


def refuses(read, inputs, what=""):
    """Each of these is Malformed."""
    for data in inputs:
        try:
            read(data)
        except Malformed:
            continue
        raise AssertionError(f"{what} taken: {data.hex()}")


def end():
    sys.exit(1 if failed else 0)
