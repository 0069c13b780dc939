"""``python -m nearcast.operations.lab.keeper FILE NAME MINUTES``: keeps an internet up until it is told to end, or its time is over.

It says what it does on standard output, one JSON object a line, and closes that when everything is up.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from nearcast.base.errors import NearcastError, Problem
from nearcast.operations.lab.internet import Internet
from nearcast.operations.lab.scenarios.table import populate
from nearcast.operations.lab.topology import load

T = TypeVar("T")


class Said(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of a keeper: what it does now, that it is done, or why it failed."""

    text: str = ""
    up: bool = False
    problem: Problem | None = None


def keep(path: Path, name: str, lifetime_s: float) -> int:
    """Exit status. Ends with SIGTERM, SIGINT, or after ``lifetime_s``."""
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: over.set())
    net = Internet(name, load(path), str(path), lambda text: _say(Said(text=text)))
    try:
        with net:
            populate(net, net.told)
            net.record.state = "up"
            net.record.save()
            _say(Said(up=True))
            _hush()
            over.wait(lifetime_s)
    except NearcastError as error:
        _say(Said(problem=error.problem()))
        return error.exit_code
    return 0


def _say(said: Said) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
    sys.stdout.buffer.flush()


def _hush() -> None:
    """Nobody reads on: what listened has ended."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(keep(Path(sys.argv[1]), sys.argv[2], 60 * float(sys.argv[3])))
