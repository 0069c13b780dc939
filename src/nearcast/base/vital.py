"""Signs of life: a process counts up in a file for as long as its work goes on, and its supervisor looks whether the count still moves.

A process that ended is seen at once; one that is frozen or hangs keeps its sockets, and with SO_REUSEPORT its share of what is sent to
them. Silence is counted in looks of the supervisor's own, so that a machine that was asleep is not taken for a dead process.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
from pathlib import Path

LOOK_S = 0.2
SILENT_LOOKS = 5
"""So many without a sign, while no thread has anything to do: it is frozen, or waits for what does not come."""
STARVED_LOOKS = 75
"""So many in any case. One that waits for a processor, or for a disk, is no better off when it is started again."""
_SIGN = struct.Struct("=QQ")
"""How many signs there were, and the id of the process that gave the last."""
_AT_WORK = frozenset("RD")
"""Running or ready to run, and in the kernel for a disk (proc_pid_stat(5))."""


def dead(silent_looks: int, states: frozenset[str] | None) -> bool:
    """Whether to give a process up that has given no sign for so many looks; ``states``: of its threads, None where they cannot be read."""
    return silent_looks >= (STARVED_LOOKS if states is None or states & _AT_WORK else SILENT_LOOKS)


def states(pid: int) -> frozenset[str] | None:
    """Of the threads of a process; none where it has ended, None where they cannot be read (no descriptors are left, say)."""
    found = set()
    try:
        for each in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found.add(Path(f"/proc/{pid}/task/{each}/stat").read_text().rpartition(")")[2].split()[0])
    except (FileNotFoundError, ProcessLookupError):
        return frozenset()
    except OSError:
        return None
    return frozenset(found)


class Sign:
    """The process's side. The file stays open, so that no right to the folder is needed later. Raises OSError."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # Reserved, not only declared: a hole in the file on a full disk would kill whoever writes to it (SIGBUS).
            os.posix_fallocate(descriptor, 0, _SIGN.size)
            self._map = mmap.mmap(descriptor, _SIGN.size)
        finally:
            os.close(descriptor)
        self._count, self._pid = _SIGN.unpack_from(self._map)[0], os.getpid()

    def give(self) -> None:
        """The work goes on. Costs a write to memory."""
        self._count += 1
        _SIGN.pack_into(self._map, 0, self._count, self._pid)


class Watch:
    """The other side, for one process. The file stays open: who has no descriptor left still sees its signs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._last = b""
        self.silent_looks = 0

    @property
    def pid(self) -> int:
        """Of the process that gave the last sign; 0 where there was none."""
        return int(_SIGN.unpack(self._last)[1]) if len(self._last) == _SIGN.size else 0

    def dead(self, pid: int) -> bool:
        """To be asked each LOOK_S. A file that is not there has no news; one that cannot be read tells nothing."""
        return not self.moved() and self.silent_looks >= SILENT_LOOKS and dead(self.silent_looks, states(pid))

    def moved(self) -> bool:
        """Whether there was a sign since it was asked last, or what was given cannot be read; the first counts as one, too."""
        try:
            found = self._read()
        except FileNotFoundError:
            found = self._last
        except OSError:
            return True
        self.silent_looks = self.silent_looks + 1 if found == self._last else 0
        self._last = found
        return self.silent_looks == 0

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _read(self) -> bytes:
        """Raises OSError."""
        if self._descriptor >= 0 and self.silent_looks and self._made_anew():
            self.close()
        if self._descriptor < 0:
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        return os.pread(self._descriptor, _SIGN.size, 0)

    def _made_anew(self) -> bool:
        """Whether signs are given elsewhere by now; a process whose file was removed goes on in the one that it has."""
        try:
            return not os.path.samestat(self._path.stat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False
