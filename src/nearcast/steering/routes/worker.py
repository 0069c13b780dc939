"""The program that compiles tables and reads geography, with bounds on time and memory, and dies with who started it.

python -m nearcast.steering.routes.worker compile ORDER      # a file of Rebuild
python -m nearcast.steering.routes.worker unfold MMDB OUT
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec

from nearcast.base.errors import NearcastError, Unavailable
from nearcast.base.processes import die_with_parent

MEMORY_BYTES = 4 << 30
CPU_S = 300
LOOK_S = 0.2


class WorkFailed(Unavailable):
    """The table could not be compiled, or geography not be read. What is in force stays so."""

    code = "NC3007"
    cure = "the log of `steer` has what the program said; routes go on as they are"


def run(*arguments: str, ending: threading.Event, cpu_s: int = CPU_S) -> str:
    """Run the program and wait; what it says. Blocks the thread, which must not end before it. Raises WorkFailed, also once ``ending``."""
    environment = {**os.environ, "NEARCAST_CPU_S": str(cpu_s)}
    environment["OPENBLAS_NUM_THREADS"] = "1"  # nothing here multiplies matrices, and each thread reserves memory
    command = [sys.executable, "-m", __name__, *arguments]
    until_s = time.monotonic() + 4 * cpu_s
    try:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    except OSError as error:
        raise WorkFailed(f"{arguments[0]} did not start: {error}") from error
    with child:
        while True:
            try:
                said, complained = child.communicate(timeout=LOOK_S)
                break
            except subprocess.TimeoutExpired:
                if ending.is_set() or time.monotonic() > until_s:
                    child.kill()
                    raise WorkFailed(f"{arguments[0]} was ended before it was done") from None
    if child.returncode:
        last = complained.strip().splitlines()[-1:] or [f"it ended with {child.returncode}"]
        raise WorkFailed(f"{arguments[0]} failed: {last[0]}")
    return said.strip()


def main(arguments: list[str]) -> int:
    die_with_parent()
    cpu_s = int(os.environ.get("NEARCAST_CPU_S", CPU_S))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(5)
    try:
        if arguments[0] == "unfold":
            from nearcast.steering.routes.places import unfold

            found = unfold(Path(arguments[1]), Path(arguments[2]))
        else:
            from nearcast.steering.routes.rebuild import Rebuild, rebuild

            found = rebuild(msgspec.msgpack.decode(Path(arguments[1]).read_bytes(), type=Rebuild))
    except (NearcastError, OSError, MemoryError) as error:
        sys.stderr.write(f"{getattr(error, 'message', error)}\n")
        return 1
    sys.stdout.write(f"{found}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
