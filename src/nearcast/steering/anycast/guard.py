"""Keeps BIRD for as long as the announcer gives signs of life: BFD that goes on would vouch for routes which nobody looks after any more.

Arguments ``FIFO PATIENCE_S COMMAND…``; standard library only, so that it starts at once. Each byte from the FIFO is a sign of life. When
none comes for PATIENCE_S, BIRD is killed, and tells the routers nothing: to them it is a black hole, and they drop the routes (RFC 5882,
4.2), though ExaBGP and its helper be frozen with the announcer. What of that time this process was not run itself is left out
(patience.py).
"""

from __future__ import annotations

import ctypes
import functools
import os
import select
import signal
import subprocess
import sys
import time

from nearcast.steering.anycast.patience import TICK_S, heard_after

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Have the kernel kill this process with the one that has started it (prctl(2)), whose id is ``parent``. For ``preexec_fn``."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before, and no signal will come
        os.kill(os.getpid(), signal.SIGKILL)


def main(fifo: str, patience_s: float, command: list[str]) -> int:
    # For writing, too: without it a FIFO whose writer has gone is at its end for ever.
    channel = os.open(fifo, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    child = subprocess.Popen(command, preexec_fn=functools.partial(die_with, os.getpid()))
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    heard_s = time.monotonic()
    while child.poll() is None:
        due_s = time.monotonic() + TICK_S
        signed = bool(select.select([channel], [], [], TICK_S)[0])
        if signed:
            os.read(channel, 4096)
        woke_s = time.monotonic()
        heard_s = heard_after(heard_s, due_s, woke_s, signed)
        if woke_s - heard_s > patience_s:
            print(f"no sign of life for {patience_s:g} s: {command[0]} is ended", flush=True)
            child.kill()
            child.wait()
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2]), sys.argv[3:]))
