"""``python -m nearcast.operations.lab.reaper NAME``: waits until whoever keeps a lab is gone, however they went, and removes the lab.

Its standard input is a pipe that the keeper holds open; the kernel closes it when the keeper dies, even by kill -9.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from nearcast.operations.lab import record


def start(name: str) -> subprocess.Popen[bytes]:
    """A reaper for the lab that this process keeps. It outlives its terminal; ``stdin`` of what is answered is the pipe to hold."""
    return subprocess.Popen(
        [sys.executable, "-m", "nearcast.operations.lab.reaper", name],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd=Path("/"),
    )


def main(name: str) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(0, 4096):
        pass
    found = record.read(name)
    if found:
        record.clean(found)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
