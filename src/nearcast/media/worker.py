"""The process that does one job: ``python -m nearcast.media.worker JOBFOLDER``.

It reads one line from its standard input (the keys), writes a line for everything that happens to its standard output, and ends
when its parent does: the kernel tells it, and so does the end of its standard input.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from nearcast.base.clock import SystemClock
from nearcast.base.errors import BadInput, Internal, NearcastError
from nearcast.base.processes import die_with_parent
from nearcast.media.files import DiskFailed
from nearcast.media.pipeline import Pipeline
from nearcast.media.workspace import Report, Start, WorkRequest, Workspace, read

ORPHANED = 70
"""Exit status when the parent has gone."""


def chunks_at_once(wanted: int, cores: int) -> int:
    """How many tasks run side by side: enough that one encoder's serial parts hide behind another's."""
    return wanted or max(2, cores // 2 + 1)


def tell(report: Report) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    sys.stdout.buffer.flush()


def _note(text: str) -> None:
    """A line in the log, which may lie on the very disk that is full."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def _watch_parent() -> None:
    """Blocks until the other end of standard input is closed, then ends everything at once."""
    while sys.stdin.buffer.readline():
        pass
    os._exit(ORPHANED)


def work(folder: Path, start: Start) -> None:
    """The job in ``folder``. Raises every error of media/."""
    space = Workspace(folder)
    request = read(space.request, WorkRequest)
    if request is None:
        raise DiskFailed(f"{folder} holds no job")
    # Encoding takes what is left of a machine: plays and fills beside it come first.
    os.setpriority(os.PRIO_PROCESS, 0, request.settings.niceness)
    with ThreadPoolExecutor(request.at_once, thread_name_prefix="encode") as farm:
        try:
            Pipeline(space, request, start.keys, farm, SystemClock(), tell).run()
        except BaseException:
            farm.shutdown(wait=False, cancel_futures=True)
            raise


def run(arguments: list[str]) -> int:
    """The exit status. A failed job has told its error on standard output."""
    die_with_parent()
    if len(arguments) != 1:
        print("usage: python -m nearcast.media.worker JOBFOLDER < start.json", file=sys.stderr)
        return 2
    try:
        start = msgspec.json.decode(sys.stdin.buffer.readline(), type=Start)
        threading.Thread(target=_watch_parent, daemon=True).start()
        work(Path(arguments[0]), start)
    except NearcastError as error:
        tell(Report(kind="error", error=error.problem()))
        _note(f"{error.code}: {error.message}")
        return 1
    except msgspec.MsgspecError as error:
        tell(Report(kind="error", error=BadInput(f"the worker was not started by the fleet: {error}").problem()))
        return 2
    except Exception as error:
        tell(Report(kind="error", error=Internal(f"the job failed unexpectedly: {error}").problem()))
        _note(traceback.format_exc())
        return 1
    tell(Report(kind="done"))
    return 0


if __name__ == "__main__":
    status = run(sys.argv[1:])
    sys.stdout.flush()
    os._exit(status)  # tasks still running in threads die with the process, and their tools with them
